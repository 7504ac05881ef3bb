# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Sources that are taken away while they are read: what was read is kept, and the end is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from bag_makers import Entry, image, pixels, storage_file, write_bag
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import IMAGE
from panoptic_depth_core.io.sources.open_source import open_source

COUNT = 30
STAMP_NS = 1_000_000_000


def large(index: int) -> Entry:
    """Return an image of its own chunk of MCAP, or nearly."""
    stamp_ns = (index + 1) * STAMP_NS
    return Entry('/image', IMAGE, make.image(make.header(stamp_ns, 'optical'),
                                             pixels(index, 240, 400), 'rgb8'), stamp_ns)


def cut(bag: Path) -> None:
    """Leave a tenth of the file."""
    path = storage_file(bag)
    with path.open('r+b') as file:
        file.truncate(path.stat().st_size // 10)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('open_it', [
    open_source, lambda path: RecordingReader(path, RecordingSettings())],
    ids=['predict', 'evaluate-bag'])
def test_a_bag_that_is_cut(open_it: Callable[[Path], object], storage: str, tmp_path: Path,
                           ) -> None:
    bag = write_bag(tmp_path / 'bag', map(large, range(COUNT)), storage)
    with open_it(bag) as source:
        frames = iter(source)
        for _ in range(5):
            next(frames)
        assert not source.ended_early
        cut(bag)
        count = 5 + sum(1 for _ in frames)
    assert count < COUNT
    assert source.ended_early == f'{storage_file(bag)}: became shorter while it was read'


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_bag_that_is_whole_or_grows(storage: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [image(index) for index in range(9)], storage)
    with open_source(bag) as source:
        frames = iter(source)
        next(frames)
        with storage_file(bag).open('ab') as file:
            file.write(bytes(10))
        assert sum(1 for _ in frames) == 8
    assert not source.ended_early


@pytest.mark.parametrize('lost', ['folder', 'files', 'one file'])
def test_pictures_that_are_gone(lost: str, tmp_path: Path) -> None:
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for index in range(50):
        cv2.imwrite(str(folder / f'{index:02d}.png'), pixels(index))
    with open_source(folder) as source:
        frames = iter(source)
        next(frames)
        if lost == 'folder':
            shutil.rmtree(folder)
        for path in () if lost == 'folder' else [
                folder / '01.png'] if lost == 'one file' else list(folder.iterdir()):
            path.unlink()
        count = 1 + sum(1 for _ in frames)
    assert count == (49 if lost == 'one file' else 1)
    assert source.skipped.total() == (1 if lost == 'one file' else 0)
    assert ('01.png: it is gone, and so are all' in source.ended_early) == (lost != 'one file')
