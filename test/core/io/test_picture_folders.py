# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures: their order, names, stamps, and what is left out of them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.files import natural
from panoptic_depth_core.io.sources import picture_source
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.io.sources.picture_source import find_pictures, frame_names


def _save(path: Path, value: int = 9) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((6, 8, 3), value, np.uint8))


def _names(folder: Path, **options: bool) -> list[str]:
    return [frame.name for frame in open_source(folder, fov_deg=70, **options)]


def test_natural_order() -> None:
    names = ['1', '01', '2', '10', 'a', 'a1b2', 'a1b10', 'a1c1', 'a02', 'a2', 'a10', '²', 'é',
             'frame_9.jpg', 'frame_10.jpg', '1700000000000000009', '1700000000000000010']
    expected = ['01', '1', '2', '10', '1700000000000000009', '1700000000000000010']
    orders = set()
    for seed in range(5):
        random.Random(seed).shuffle(names)
        order = sorted(names, key=natural)
        orders.add(tuple(order))
        assert [name for name in order if name in expected] == expected
        assert order.index('a1b2') < order.index('a1b10') < order.index('a1c1')
        assert order.index('a02') < order.index('a2') < order.index('a10')
        assert order.index('frame_9.jpg') < order.index('frame_10.jpg')
    assert len(orders) == 1


def test_the_case_of_frame_order(case: Callable[[str], Path]) -> None:
    assert _names(case('04_frame_order/frames')) == [f'frame_{n}' for n in range(12)]


def test_pictures_have_no_stamp(tmp_path: Path) -> None:
    for number in range(3):
        _save(tmp_path / f'{number}.png')
        os.utime(tmp_path / f'{number}.png', ns=(5, (9 - number) * 10 ** 9))
    assert [f.stamp_ns for f in open_source(tmp_path)] == [0, 0, 0]


def test_nested_folders_on_request(tmp_path: Path) -> None:
    for name in ('b.png', 'left/2.jpg', 'left/10.jpg', 'left/deep/1.png', 'right/2.jpg',
                 '.hidden/1.png', 'results/overlay/1.png'):
        _save(tmp_path / name)
    (tmp_path / 'results' / 'run.json').write_text('{}')
    assert _names(tmp_path) == ['b']
    assert _names(tmp_path, recursive=True) == [
        'b', 'left__2', 'left__10', 'left__deep__1', 'right__2']
    flat, nested = find_pictures(tmp_path), find_pictures(tmp_path, recursive=True)
    assert flat.left_out == '1 hidden, 3 nested (--recursive reads them)'
    assert nested.left_out == '1 hidden, 1 with results'
    with pytest.raises(ConfigError, match='holds no pictures.*but .*1 nested .--recursive'):
        open_source(tmp_path / 'results')


@pytest.mark.parametrize('names', [
    ('a.b.png', 'c.png', 'c.jpg'), ('c.jpg', 'c.png', 'c_png.jpg', 'c_png.png', 'c_jpg.png'),
    ('a/b.png', 'a__b.png', 'a/b.jpg'), ('a/b.png', 'a__b.png', 'a__b_png.png', 'a__b.PNG')])
def test_names_are_unique_and_stable(names: tuple[str, ...]) -> None:
    paths = [Path('/data', name) for name in names]
    found = frame_names(paths, Path('/data'))
    assert len(set(found)) == len(names) and found == frame_names(paths, Path('/data'))
    assert not any('/' in name for name in found)


def test_what_is_left_out_is_said_in_one_line(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('a.png', 'B.JPG', 'c.Png'):
        _save(tmp_path / name)
    for name in ('x.txt', 'y.txt', 'z.TXT', '.DS_Store', 'p.heic', 'LICENSE', 'camera.yaml.bak'):
        (tmp_path / name).write_text('')
    (tmp_path / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    (tmp_path / 'camera.json').write_text(
        '{"fx": 8, "fy": 8, "cx": 3.5, "cy": 2.5, "width": 8, "height": 6}')
    monkeypatch.setattr(picture_source, 'extra_for', lambda suffix: (
        "pip install 'panoptic-depth[heif]'" if suffix == '.heic' else ''))
    source = open_source(tmp_path)
    assert [frame.name for frame in source] == ['B', 'a', 'c']
    assert not source.skipped
    assert dict(source.notes) == {
        f'left out of {tmp_path}: 1 .bak, '
        "1 .heic (needs pip install 'panoptic-depth[heif]'), 1 .png (no file), 3 .txt, "
        '1 hidden, 1 without a suffix': 1}


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    (tmp_path / 'a.png').write_text('version https://git-lfs.github.com/spec/v1\n'
                                    f'oid sha256:{"0" * 64}\nsize 12345\n')
    _save(tmp_path / 'b.png')
    source = open_source(tmp_path, fov_deg=70)
    assert [frame.name for frame in source] == ['b']
    assert 'git lfs pull' in ' '.join(source.skipped)


def test_a_tidy_folder_has_no_note(tmp_path: Path) -> None:
    _save(tmp_path / 'a.png')
    assert not open_source(tmp_path).notes and not open_source(tmp_path / 'a.png').notes
