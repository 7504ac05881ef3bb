# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Compressed depth as the truth of a recording, and video as its images."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings, TopicSettings
from panoptic_depth_core.io.bags.writing import BagWriter, Outgoing
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import COMPRESSED_IMAGE, IMAGE, typestore

TOPIC = '/camera/depth/image_raw/compressedDepth'


def _read(path: Path) -> tuple[list[np.ndarray | None], RecordingReader]:
    settings = RecordingSettings(topics=TopicSettings(depth=TOPIC))
    with RecordingReader(path, settings) as reader:
        return [item.truth.depth for item in reader], reader


def test_a_recording_of_users(case: Callable[[str], Path]) -> None:
    (depth,), reader = _read(case('14_unread_topics/compressed_depth'))
    assert depth is not None and depth.shape == (96, 192) and (depth == 8.0).all()
    assert reader.topics.image == '/camera/image_raw/compressed'
    assert not any('no true depth' in note for note in reader.notes)


@pytest.mark.parametrize(('shape', 'cut', 'words'), [
    ((24, 40), None, ''), ((24, 40), 40, 'damaged'), ((24, 40), 5, 'truncated'),
    ((12, 40), None, r'is of 40x12 px, the image of 40x24 px'),
], ids=['whole', 'damaged', 'cut', 'of another size'])
def test_quantized_meters(tmp_path: Path, shape: tuple[int, int], cut: int | None,
                          words: str) -> None:
    # As the encoder has it: a = q (q + 1) and b = 1 - a / max, here of q = 100 and max = 10 m.
    a, true = 10_100.0, np.linspace(0.5, 9.5, shape[0] * shape[1]).reshape(shape)
    values = (a / true + 1 - a / 10).astype(np.uint16)
    data = struct.pack('<iff', 0, a, 1 - a / 10) + cv2.imencode('.png', values)[1].tobytes()
    head = make.header(10 ** 9, 'optical')
    with BagWriter(tmp_path / 'bag') as writer:
        writer.add('0', 10 ** 9, [
            Outgoing('/image', IMAGE, make.image(head, np.zeros((24, 40, 3), np.uint8), 'rgb8')),
            Outgoing(TOPIC, COMPRESSED_IMAGE, typestore().types[COMPRESSED_IMAGE](
                head, '32FC1; compressedDepth png', np.frombuffer(data[:cut], np.uint8)))])
    (depth,), reader = _read(tmp_path / 'bag')
    if words:
        assert depth is None
        assert any(words in note and 'no true depth for this frame' in note
                   for note in reader.notes)
    else:
        np.testing.assert_allclose(depth, true, rtol=0.01)


@pytest.mark.parametrize('name', ['ffmpeg_packet', 'compressed_h264'])
def test_video_as_the_images(case: Callable[[str], Path], name: str) -> None:
    pytest.importorskip('av', reason="PyAV is not installed: pip install 'panoptic-depth[video]'")
    with RecordingReader(case(f'14_unread_topics/{name}'), RecordingSettings()) as reader:
        frames = [item.frame for item in reader]
    assert [frame.stamp_ns for frame in frames] == [
        1_000_000_000 + 100_000_000 * index for index in range(4)]
    assert {frame.image.shape for frame in frames} == {(192, 384, 3)} and not reader.skipped
