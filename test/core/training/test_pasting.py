# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Things of a rendered street in another frame: size, depth, occlusion, labels."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from dataclasses import replace  # noqa: E402

from miniature import RECIPE, Miniature  # noqa: E402
from panoptic_depth_core import datasets  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, VOID_ID  # noqa: E402
from panoptic_depth_core.network.dense import class_borders  # noqa: E402
from panoptic_depth_core.structures import (  # noqa: E402
    Frame,
    GroundTruth,
    Intrinsics,
    Sample,
)
from panoptic_depth_core.training.loading import MixedSamples  # noqa: E402
from panoptic_depth_core.training.pasting import PasteSettings, paste  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402

PERSON, ROAD, WALL = (CLASS_ID[name] for name in ('person', 'road', 'wall'))
SETTINGS = PasteSettings(row=0)


def street(focal_px: float, *, person: tuple[int, int, float] | None = None,
           height_m: float = 1.5) -> Sample:
    """
    A flat road and a wall at 40 m.

    :param person: column, height in px and depth of a fronto-parallel one.
    """
    camera = Intrinsics.from_focal(focal_px, 320, 160)
    v = np.arange(160, dtype=np.float32)
    with np.errstate(divide='ignore'):
        ground = np.where(v > camera.cy, focal_px * height_m / (v - camera.cy), np.inf)
    depth = np.repeat(np.minimum(ground, 40.0).astype(np.float32)[:, None], 320, 1)
    panoptic = np.where(depth < 40.0, ROAD, WALL).astype(np.int32) * LABEL_DIVISOR
    image = np.full((160, 320, 3), 90, np.uint8)
    if person is not None:
        column, tall, z = person
        foot = round(camera.cy + focal_px * height_m / z)
        window = slice(foot - tall + 1, foot + 1), slice(column, column + tall // 3)
        panoptic[window], depth[window], image[window] = PERSON * LABEL_DIVISOR + 1, z, 250
    return Sample(Frame(image, camera), GroundTruth(
        panoptic, has_semantics=True, instance_classes=(CLASS_ID['car'],), depth=depth))


def pasted_person(sample: Sample, donor: Sample, seed: int = 0) -> tuple[Sample, np.ndarray]:
    made = paste(sample, donor, SETTINGS, CITYSCAPES, np.random.default_rng(seed))
    return made, made.truth.panoptic == PERSON * LABEL_DIVISOR + 1


@pytest.mark.parametrize('seed', range(5))
def test_a_thing_keeps_its_meters_and_stands_on_the_ground(seed):
    donor = street(200.0, person=(100, 40, 9.0))
    before = street(300.0)
    made, mask = pasted_person(before, donor, seed)
    assert mask.any()
    rows = np.flatnonzero(mask.any(1))
    z = made.truth.depth[mask].astype(float)
    assert z == pytest.approx(z[0]), 'fronto-parallel as it was'
    tall_m = len(rows) * z[0] / 300.0
    assert tall_m == pytest.approx(40 * 9.0 / 200.0, abs=1.5 * z[0] / 300.0)
    assert before.truth.depth[rows[-1], 0] == pytest.approx(z[0], rel=0.15), 'the ground there'
    assert made.truth.instance_depth_m == {PERSON * LABEL_DIVISOR + 1: pytest.approx(z[0])}
    assert made.truth.instance_classes == (PERSON, CLASS_ID['car'])
    assert made.frame.image[mask].max() > 200
    outside = ~mask
    for name in ('panoptic', 'depth'):
        assert np.array_equal(getattr(made.truth, name)[outside],
                              getattr(before.truth, name)[outside])
    assert np.array_equal(made.frame.image[outside], before.frame.image[outside])


def test_what_is_nearer_stays_in_front():
    before = street(300.0)
    depth = before.truth.depth.copy()
    depth[:, :160] = np.minimum(depth[:, :160], 1.0)
    before = replace(before, truth=replace(before.truth, depth=depth))
    for seed in range(8):
        _, mask = pasted_person(before, street(200.0, person=(100, 40, 9.0)), seed)
        assert not mask[:, :160].any()


def test_half_hidden_and_cut_things_stay_where_they_are():
    hidden = street(200.0, person=(100, 40, 9.0))
    hidden.truth.depth[95:, 95:120] = 3.0
    hidden.truth.panoptic[95:, 95:120] = WALL * LABEL_DIVISOR
    for donor in (hidden, street(200.0, person=(0, 40, 9.0))):
        before = street(300.0)
        made, mask = pasted_person(before, donor)
        assert made is before and not mask.any()


def test_frames_without_ground_or_depth_stay_as_they_are():
    donor, known = street(200.0, person=(100, 40, 9.0)), street(300.0)
    for change in ({'depth': None}, {'has_semantics': False},
                   {'panoptic': np.full((160, 320), VOID_ID, np.int32)}):
        before = replace(known, truth=replace(known.truth, **change))
        assert paste(before, donor, SETTINGS, CITYSCAPES, np.random.default_rng(0)) is before


@pytest.mark.parametrize('number', [0, 1])
def test_a_row_that_is_not_another_one(number):
    row = {'name': 'miniature', 'root': '-', 'paste': {'row': number}}
    with pytest.raises(ConfigError, match='data has 1 rows, from 0, and this is row 0'):
        parse_settings(TrainSettings, {'data': [row]}, 'recipe')


@pytest.fixture
def mix(monkeypatch):
    """Return what makes the mix of two rows of miniature frames, the first with paste."""
    monkeypatch.setitem(datasets.DATASETS, 'miniature', Miniature)

    def make(root='-', **settings):
        rows = [{'name': 'miniature', 'root': '-', 'paste': {'row': 1, 'share': 1, **settings}},
                {'name': 'miniature', 'root': root, 'weight': 1e-9}]
        return MixedSamples(parse_settings(TrainSettings, {**RECIPE, 'data': rows}, 'test'), 0, 8)
    return make


@pytest.mark.parametrize('name', ['pedestrian', 'road'])
def test_classes_that_cannot_be_pasted(mix, name):
    with pytest.raises(ConfigError, match=f"row 1 has no thing class '{name}'; known: person"):
        mix(classes=['car', name])
    with pytest.raises(ConfigError, match='classes'):
        mix(classes=[])


def test_a_row_without_depth_has_nothing_to_paste(mix, caplog):
    assert [mix()[i].truth.has_semantics for i in range(8)] == [True] * 8 and not caplog.text
    assert len([mix('partial')[i] for i in range(8)]) == 8
    assert 'data.0.paste: frames of row 1 without a depth' in caplog.text


def test_borders_of_classes():
    classes = torch.tensor([[[3, 3, 3, 8, 8, 255], [3, 3, 3, 8, 8, 255]]])
    assert class_borders(classes)[0, 0].tolist() == [False, False, True, True, False, False]
    assert not class_borders(torch.full((1, 4, 4), 255)).any()
