# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results recorded at the size of the network's maps become those of the size of the image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.outputs import OUTPUTS, FrameMessages
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.structures import Frame, Intrinsics, PanopticDepth
from replay_bags import NODE, Item, header, write_items

CAMERA = Intrinsics(300.0, 301.0, 250.0, 70.0, 517, 151)


@pytest.fixture(scope='module')
def frame() -> Frame:
    """Smooth noise, in which the network sees a few things."""
    noise = np.random.default_rng(3).integers(0, 256, (10, 30, 3), np.uint8)
    image = np.asarray(cv2.resize(noise, (517, 151), interpolation=cv2.INTER_CUBIC), np.uint8)
    stamp = header(0).stamp
    return Frame(image, CAMERA, stamp.sec * 10**9 + stamp.nanosec, 'optical', '000000',
                 'camera_info')


def read_back(frame: Frame, result: PanopticDepth, path: Path, names: tuple[str, ...],
              fx: float | None = None) -> tuple[list[PanopticDepth], RecordingReader]:
    """Record the image and its result, and read the latter."""
    of_frame = FrameMessages(make, frame, result)
    head = of_frame.head
    items = [Item('/camera/camera_info', OUTPUTS['camera_info'].type,
                  make.camera_info(head, frame.intrinsics), frame.stamp_ns),
             Item('/camera/image_raw', OUTPUTS['panoptic'].type,
                  make.image(head, frame.image, 'rgb8'), frame.stamp_ns)]
    items += [Item(f'{NODE}/{OUTPUTS[n].name}', OUTPUTS[n].type, OUTPUTS[n].make(of_frame),
                   frame.stamp_ns + 1000 + i) for i, n in enumerate(names)]
    with RecordingReader(write_items(path, items), RecordingSettings(), recorded=True,
                      camera=CameraOptions(fx)) as reader:
        return [item.recorded for item in reader if item.recorded is not None], reader


@pytest.mark.parametrize('fit', ['letterbox', 'crop'])
def test_they_are_what_the_pipeline_gives(fit: str, frame: Frame, tmp_path: Path) -> None:
    def run(size: str) -> PanopticDepth:
        settings = InferenceSettings.model_validate({'fit': fit, 'output_size': size})
        with Pipeline(None, 'onnxruntime', settings) as pipeline:
            return pipeline(frame)

    small, expected = run('network'), run('input')
    assert small.panoptic.shape != expected.panoptic.shape
    (found,), reader = read_back(frame, small, tmp_path / 'bag',
                                 ('panoptic', 'depth', 'instances', 'camera_info'))
    np.testing.assert_array_equal(found.panoptic, expected.panoptic)
    np.testing.assert_allclose(found.depth, expected.depth, rtol=1e-4)
    assert found.intrinsics == CAMERA
    assert [(d.roi, d.segment.pixel_count) for d in found.distances] == [
        (d.roi, d.segment.pixel_count) for d in expected.distances]
    assert any('are brought to the 517x151 px of the image' in note for note in reader.notes)


@pytest.mark.parametrize('settings', [{'output_size': 'network'}, {'rectified': True}],
                         ids=['network', 'rectified'])
def test_pinhole_results_of_a_lens(settings: dict[str, object], frame: Frame, tmp_path: Path,
                                   ) -> None:
    """They are not of the pixels of the image, even where they are of its size."""
    bent = replace(frame, intrinsics=replace(CAMERA, lens=Lens('plumb_bob', (-0.2, 0.05, 0, 0))))
    with Pipeline(None, 'onnxruntime', InferenceSettings.model_validate(settings)) as pipeline:
        recorded = pipeline(bent)
        pipeline.configure(InferenceSettings())
        expected = pipeline(bent)
    names = ('panoptic', 'depth', 'instances', 'camera_info')
    (found,), reader = read_back(bent, recorded, tmp_path / 'bag', names)
    assert found.intrinsics == bent.intrinsics and found.depth.shape == (151, 517)
    assert np.mean(found.panoptic == expected.panoptic) > 0.97
    # Where the nearest pixel of the maps counts, it may be another one the second time.
    both = np.isfinite(found.depth) & np.isfinite(expected.depth)
    assert np.mean(np.isfinite(expected.depth) == both) > 0.97
    assert np.mean(np.abs(found.depth[both] / expected.depth[both] - 1) < 0.01) > 0.9
    assert any('rectified: they are brought to' in note for note in reader.notes)
    if 'output_size' in settings:
        np.testing.assert_array_equal(found.panoptic, expected.panoptic)
        assert [d.roi for d in found.distances] == [d.roi for d in expected.distances]
        found, reader = read_back(bent, recorded, tmp_path / 'without', names[:3])
        assert not found and 'record output/camera_info' in next(iter(reader.skipped))


@pytest.mark.parametrize('names', [('panoptic', 'depth'), ('camera_info', 'panoptic', 'depth')])
def test_a_camera_that_does_not_tell(names: tuple[str, ...], frame: Frame,
                                     tmp_path: Path) -> None:
    """Not recorded, or of another focal length than the user's: then it is the whole image."""
    ids = np.repeat(np.arange(11, dtype=np.uint16) * 1000, 24)[None].repeat(76, 0)[:, :259]
    result = PanopticDepth(ids, np.full(ids.shape, 5, np.float32), (), (),
                           CAMERA.transformed(0.5, 0.5, 0, 0, 259, 76), 1000, frame.stamp_ns,
                           'optical')
    (found,), _ = read_back(frame, result, tmp_path / 'bag', names, 450.0)
    assert found.panoptic.shape == (151, 517) == found.depth.shape
    columns = ((np.arange(517) + 0.5) * 259 / 517).astype(int)
    np.testing.assert_array_equal(found.panoptic[75], ids[0, columns])
    assert (found.depth == 5).all()


def test_results_of_another_image(frame: Frame, tmp_path: Path) -> None:
    ids = np.zeros((200, 200), np.uint16)
    result = PanopticDepth(ids, np.ones(ids.shape, np.float32), (), (),
                           Intrinsics(100, 100, 100, 100, 200, 200), 1000, frame.stamp_ns, '')
    found, reader = read_back(frame, result, tmp_path / 'bag', ('panoptic', 'depth'))
    assert not found
    assert list(reader.skipped) == ['recorded results are of 200x200 px and show another part '
                                    'than the image of 517x151 px']
