# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""MCAP files of another writer, whole, cut off, damaged, and with messages of other worlds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag_makers import image, pixels
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.bags.storage import BagReader
from panoptic_depth_core.io.messages.types import IMAGE, typestore
from panoptic_depth_core.io.sources.open_source import open_source

mcap = pytest.importorskip('mcap.writer')
COMPRESSIONS = list(mcap.CompressionType)
COUNT = 40


def _write(path: Path, compression: object, foreign: bool = False) -> Path:
    """Write images in chunks of about five."""
    with path.open('wb') as file:
        writer = mcap.Writer(file, chunk_size=15_000, compression=compression)
        writer.start(profile='ros2')
        definition, _ = typestore().generate_msgdef(IMAGE, ros_version=2)
        schema = writer.register_schema(IMAGE, 'ros2msg', definition.encode())
        channel = writer.register_channel('/image', 'cdr', schema)
        if foreign:
            schema = writer.register_schema('Pose', 'jsonschema', b'{}')
            other = writer.register_channel('/pose', 'json', schema)
            writer.add_message(other, 0, b'{"x": 1}', 0)
        for index in range(COUNT):
            entry = image(index)
            data = bytes(typestore().serialize_cdr(entry.message, IMAGE))
            writer.add_message(channel, entry.time_ns, data, entry.time_ns)
        writer.finish()
    return path


def _check(frames: list, stamps_s: range | list[int]) -> None:
    assert [frame.stamp_ns // 10 ** 9 for frame in frames] == list(stamps_s)
    for frame, stamp in zip(frames, stamps_s, strict=True):
        np.testing.assert_array_equal(frame.image, pixels(stamp - 1))


@pytest.mark.parametrize('compression', COMPRESSIONS)
def test_salvage_reads_what_the_index_gives(compression: object, tmp_path: Path) -> None:
    path = _write(tmp_path / 'a.mcap', compression)
    source = open_source(path)
    _check(list(source), range(1, COUNT + 1))
    assert not source.notes


@pytest.mark.parametrize('compression', COMPRESSIONS)
@pytest.mark.parametrize('share', [0.01, 0.5, 0.85])
def test_cut_off(compression: object, share: float, tmp_path: Path) -> None:
    path = _write(tmp_path / 'a.mcap', compression)
    whole = path.read_bytes()
    path.write_bytes(whole[:int(len(whole) * share)])
    if share < 0.1:
        with pytest.raises(ConfigError, match=r'no message can be read: a\.mcap: .*damaged'):
            BagReader(path)
        return
    records = list(BagReader(path).messages(('/image',)))
    # A decompressor holds back up to a block, here a chunk; uncompressed, no message is lost.
    lost = 1 if compression == mcap.CompressionType.NONE else 7
    assert share * COUNT - lost <= len(records) <= share * COUNT + 1
    _check(list(open_source(path)), range(1, len(records) + 1))


@pytest.mark.parametrize('compression', COMPRESSIONS)
def test_a_damaged_chunk_is_left_out(compression: object, tmp_path: Path) -> None:
    path = _write(tmp_path / 'a.mcap', compression)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 20] = bytes(value ^ 0x55 for value in data[middle:middle + 20])
    path.write_bytes(data)
    source = open_source(path)
    stamps = [frame.stamp_ns // 10 ** 9 for frame in source]
    lost = sorted(set(range(1, COUNT + 1)) - set(stamps))
    assert 0 < len(lost) <= 7 and lost == list(range(lost[0], lost[-1] + 1))
    assert stamps == sorted(stamps) and stamps[-1] == COUNT
    assert any('a chunk is damaged; its messages are left out' in note for note in source.notes)


def test_channels_of_other_encodings_do_not_matter(tmp_path: Path) -> None:
    path = _write(tmp_path / 'a.mcap', mcap.CompressionType.ZSTD, foreign=True)
    _check(list(open_source(path)), range(1, COUNT + 1))


@pytest.mark.parametrize('name', ['a.mcap', 'a.db3'])
def test_what_is_no_storage_gives_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b'no storage at all' * 50)
    with pytest.raises(ConfigError, match='no message can be read: .*(not begin like|not a dat)'):
        BagReader(path)
