# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of 16 bits: scaled alike over a source, whatever a run has done before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from bag_makers import Entry, write_bag
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.reading import pixels_of
from panoptic_depth_core.io.messages.types import IMAGE
from panoptic_depth_core.io.sixteen_bits import SixteenBits, window_of
from panoptic_depth_core.io.sources.open_source import open_source


@pytest.mark.parametrize(('low', 'high', 'window'), [
    (0, 0, (0, 8)), (0, 255, (0, 8)), (0, 256, (0, 10)), (3, 1023, (0, 10)),
    (0, 1024, (0, 12)), (240, 4095, (0, 12)), (9, 16383, (0, 14)), (0, 16384, (0, 16)),
    (0, 65535, (0, 16)),
    # Thermal cameras: a few degrees of a range of hundreds.
    (7593, 8265, (7424, 10)), (28_000, 31_500, (27_648, 12)), (60_000, 65_535, (57_344, 14)),
    # All one value, or its noise: what is bright stays bright.
    (1023, 1023, (0, 10)), (65_535, 65_535, (0, 16)), (16_380, 16_383, (0, 14))])
def test_the_window_holds_all_values(low: int, high: int, window: tuple[int, int]) -> None:
    assert window_of(low, high) == window
    assert window[0] <= low and high < window[0] + (1 << window[1])


def test_a_window_only_grows() -> None:
    rng = np.random.default_rng(0)
    sixteen, before = SixteenBits(), (0, 0)
    windows = set()
    for high in rng.integers(256, 60_000, 200):
        values = rng.integers(0, high, (4, 5), np.uint16)
        sixteen.scaled(values)
        start, bits = sixteen._window
        assert bits >= before[1] and start == 0
        before = start, bits
        windows.add(bits)
    assert len(windows) <= 5


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
@pytest.mark.parametrize('shifted', [False, True], ids=['low bits', 'high bits'])
def test_the_same_scene_looks_the_same_at_any_depth(bits: int, shifted: bool) -> None:
    scene = np.arange(256, dtype=np.uint16).reshape(16, 16)
    values = (scene << (bits - 8)) | (scene >> (16 - bits))
    values = values << (16 - bits) if shifted else values
    np.testing.assert_array_equal(SixteenBits().scaled(values), scene)


def test_given_bits_are_taken_and_cut() -> None:
    values = np.array([[0, 15, 16, 4095, 4096, 65535]], np.uint16)
    assert SixteenBits(12).scaled(values).tolist() == [[0, 0, 1, 255, 255, 255]]
    assert not list(SixteenBits(12).notes())
    for bits in (-1, 7, 17):
        with pytest.raises(ConfigError, match='give 8 to 16'):
            SixteenBits(bits)


def test_it_is_said_once() -> None:
    sixteen = SixteenBits()
    notes = []
    for high in (1000, 1020, 900, 4000, 1000, 65_000, 65_000):
        sixteen.scaled(np.array([[0, high]], np.uint16))
        notes += sixteen.notes()
    assert ['10 of 16' in notes[0], '12 of 16' in notes[1], len(notes)] == [True, True, 2]


def test_alpha_does_not_count() -> None:
    colors = np.full((3, 4, 4), 800, np.uint16)
    colors[..., 3] = 65_535
    message = SimpleNamespace(encoding='rgba16', width=4, height=3, step=32, is_bigendian=False,
                              data=colors.tobytes())
    assert (pixels_of(message) == 200).all()


def _values(number: int) -> np.ndarray:
    """(6, 8) uint16: later frames are brighter."""
    return np.linspace(0, 40 * 1.35 ** number, 48).astype(np.uint16).reshape(6, 8)


def _folder(path: Path) -> Path:
    path.mkdir()
    for number in range(24):
        cv2.imwrite(str(path / f'{number}.png'), _values(number))
    return path


def _bag(path: Path) -> Path:
    return write_bag(path, [
        Entry('/image', IMAGE, make.image(make.header(number + 1, ''), _values(number), 'mono16'),
              number) for number in range(24)])


def _read(source: Path, done: Iterable[str] = ()) -> dict[str, np.ndarray]:
    with open_source(source, fov_deg=70, skip=set(done).__contains__) as frames:
        return {frame.name: frame.image for frame in frames}


@pytest.mark.parametrize('write', [_folder, _bag])
def test_a_continued_run_scales_as_one_run_does(
        write: Callable[[Path], Path], tmp_path: Path) -> None:
    source = write(tmp_path / 'source')
    whole = _read(source)
    assert len(whole) == 24
    names = list(whole)
    for count in (1, 22, 23):
        rest = _read(source, names[:count])
        assert list(rest) == names[count:]
        for name, image in rest.items():
            np.testing.assert_array_equal(image, whole[name])


@pytest.mark.parametrize(('name', 'words'), [
    ('03_low_bits_in_16/mono16_10bit', 'use 10 of 16 bits'),
    ('03_low_bits_in_16/thermal_14bit', 'use values 7424 to 8447'),
    ('03_low_bits_in_16/png12.png', 'use 12 of 16 bits'),
    ('14_unread_topics/bayer16', 'use 12 of 16 bits')])
def test_the_cases_of_low_bits(case: Callable[[str], Path], name: str, words: str) -> None:
    with open_source(case(name), fov_deg=70) as source:
        (frame,) = source
    low, high = np.percentile(frame.image, (2, 98))
    assert high - low > 100 and 80 < frame.image.mean() < 180
    (note,) = (note for note in source.notes if '16 bits' in note)
    assert words in note and '--bits' in note


def test_bits_of_the_user_win(case: Callable[[str], Path]) -> None:
    with open_source(case('03_low_bits_in_16/mono16_10bit'), fov_deg=70, bits=16) as source:
        (frame,) = source
    assert frame.image.max() <= 3 and not [n for n in source.notes if '16 bits' in n]


@pytest.mark.parametrize(('low', 'high', 'outlier'), [(0, 1000, 65_535), (7500, 8010, 0)])
def test_a_hot_or_dead_pixel_does_not_count(low: int, high: int, outlier: int) -> None:
    values = np.linspace(low, high, 4800).astype(np.uint16).reshape(60, 80)
    expected = SixteenBits().scaled(values)
    damaged = values.copy()
    damaged[30, 40] = outlier
    found = SixteenBits().scaled(damaged)
    assert expected.std() > 10 and (found != expected).sum() == 1
    assert found[30, 40] == (255 if outlier else 0)


def test_a_closed_shutter_does_not_count() -> None:
    values = np.linspace(7500, 8010, 4800).astype(np.uint16).reshape(60, 80)
    sixteen = SixteenBits()
    assert not sixteen.scaled(np.zeros_like(values)).any()
    np.testing.assert_array_equal(sixteen.scaled(values), SixteenBits().scaled(values))
