# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A CameraInfo of absurd numbers: one rule for bags, their evaluation and the node."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from bag_makers import CAMERA, Entry, image, info, write_bag
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.messages.reading import stamp_of
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.streaming.cameras import CameraMemory
from panoptic_depth_core.streaming.settings import CameraInfoSettings
from panoptic_depth_core.structures import Intrinsics

NOT_CALIBRATED = {
    f'{field} {value}': {**{f'k{i}': value for i in of_k}, **{f'p{i}': value for i in of_p}}
    for field, of_k, of_p in (('focal length', (0, 4), (0, 5)), ('fx', (0,), (0,)),
                              ('cx', (2,), (2,)), ('last row', (6,), (8,)))
    for value in (1e308, -1e308, 1e300, -3000.0, math.nan, math.inf)}
NOT_CALIBRATED['focal length 1e-300'] = {'k0': 1e-300, 'k4': 1e-300, 'p0': 1e-300, 'p5': 1e-300}
SIZES = {'width': ('width', 2**31), 'height': ('height', 2**32 - 1), 'binning': ('binning_x', 7),
         'binning all': ('binning_y', 2**32 - 1)}
REGIONS = {'outside': (30, 0, 40, 24), 'far outside': (2**32 - 1, 2**32 - 1, 2**32 - 1, 1),
           'another shape': (0, 0, 40, 12)}
LENSES = ([math.nan] * 5, [1e300, 0, 0, 0, 0], [-1e300] * 8, [math.inf, 0, 0, 0])


def found(tmp_path: Path, entry: Entry) -> tuple[list[Intrinsics | None], list[dict[str, int]]]:
    """Cameras that predict, evaluate-bag and the node find, and the notes of the first two."""
    bag = write_bag(tmp_path / 'bag', [entry, image(0), image(1), image(2)])
    cameras: list[Intrinsics | None] = []
    with open_source(bag) as source, RecordingReader(bag, RecordingSettings()) as reader:
        for frames in ([*source], [item.frame for item in reader]):
            assert len(frames) == 3
            (camera, origin), = {(frame.intrinsics, frame.intrinsics_source) for frame in frames}
            cameras.append(camera if origin == 'camera_info' else None)
        assert not source.skipped and not reader.skipped
        notes = [dict(source.notes), dict(reader.notes)]
    memory = CameraMemory(CameraInfoSettings(policy='require'))
    memory.remember(entry.message)
    try:
        cameras.append(memory.resolve(40, 24, stamp_of(entry.message), 'optical')[0])
    except ConfigError:
        cameras.append(None)
    return cameras, notes


def check_missing(tmp_path: Path, entry: Entry) -> None:
    cameras, notes = found(tmp_path, entry)
    assert cameras == [None] * 3
    for counted in notes:
        (told, times), = ((text, n) for text, n in counted.items() if 'counts as missing' in text)
        assert told.startswith('/camera/camera_info: camera_info') and times == 3


@pytest.mark.parametrize('name', NOT_CALIBRATED)
def test_not_calibrated(name: str, tmp_path: Path) -> None:
    cameras, notes = found(tmp_path, info(0, **NOT_CALIBRATED[name]))
    assert cameras == [None] * 3
    assert all('/camera/camera_info: ' in ' '.join(counted) for counted in notes)


@pytest.mark.parametrize('name', SIZES)
def test_sizes(name: str, tmp_path: Path) -> None:
    entry = info(0)
    setattr(entry.message, *SIZES[name])
    check_missing(tmp_path, entry)


@pytest.mark.parametrize('name', REGIONS)
def test_regions(name: str, tmp_path: Path) -> None:
    entry = info(0)
    for field, value in zip(('x_offset', 'y_offset', 'width', 'height'), REGIONS[name],
                            strict=True):
        setattr(entry.message.roi, field, value)
    cameras, _ = found(tmp_path, entry)
    # The image is the whole one: a driver left the region in.
    assert cameras == [CAMERA] * 3


@pytest.mark.parametrize('d', LENSES)
def test_lenses(d: list[float], tmp_path: Path) -> None:
    entry = info(0)
    entry.message.d = np.array(d)
    cameras, notes = found(tmp_path, entry)
    assert cameras == [CAMERA] * 3
    assert all('that no lens has' in ' '.join(counted) for counted in notes)


@pytest.mark.parametrize('value', [1e308, 1e-300, math.nan, -1.0])
def test_rotation_does_not_count(value: float, tmp_path: Path) -> None:
    entry = info(0)
    entry.message.r = np.full(9, value)
    assert found(tmp_path, entry)[0] == [CAMERA] * 3


@pytest.mark.parametrize('values', [(1e308, 1e308, 0, 0), (1e-300, 1e-300, 0, 0),
                                    (50, 50, 1e300, 0), (50, -50, 0, 0), (50, 50, math.nan, 0)])
def test_no_such_camera(values: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r'intrinsics: (f|c)[xy] is .*; calibrate the camera'):
        Intrinsics(*values, 40, 24)


def test_what_a_person_states_is_refused() -> None:
    far = Intrinsics(50.0, 50.0, 1e6, 11.0, 40, 24)
    with pytest.raises(ConfigError, match='camera: it has its principal point far outside'):
        CameraOptions(camera=far)
    memory = CameraMemory(CameraInfoSettings(policy='fallback', fallback_k=(
        50.0, 0.0, 1e6, 0.0, 50.0, 11.0, 0.0, 0.0, 1.0)))
    with pytest.raises(ConfigError, match='camera_info.fallback_k has its principal point far'):
        memory.resolve(40, 24, 0)
