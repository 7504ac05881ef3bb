# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Instances that are followed by their masks: what is seen again, under which id, how far."""

from __future__ import annotations

import math

import consistency_scenes as scene
import numpy as np
import pytest
from consistency_scenes import (
    CARS,
    LABELS,
    START_NS,
    all_of,
    compared,
    frame,
    metric,
    result,
    seen,
)
from panoptic_depth_core.labels import CLASS_ID


def measured(*results, labels=None, **settings):
    """Metrics of all and records of frames with results made of these arguments."""
    found = metric(**settings)
    worlds = labels or [LABELS] * len(results)
    records = [compared(found, frame(i), result(seen(world, i), **arguments))
               for i, (world, arguments) in enumerate(zip(worlds, results, strict=True))]
    return all_of(found), records


def test_what_moves_with_the_image_is_seen_again() -> None:
    total, records = measured({}, {}, {})
    assert (total.instances, total.instance_survival) == (4, 1.0)
    assert [r['instance_survival'] for r in records] == [None, 1.0, 1.0]
    assert total.tracked_instances == 0 and total.id_switches is None
    assert [r['id_switches'] for r in records] == [None] * 3


def car(index: int) -> np.ndarray:
    """Mask of a car in the world."""
    return np.isin(LABELS, CARS[index])


def test_panoptic_ids_may_change() -> None:
    """Ids of a frame say nothing of those of another one."""
    swapped = np.where(car(0), CARS[1], np.where(car(1), CARS[0], LABELS))
    tracks = dict(zip(CARS, (4, 9), strict=True))
    other = dict(zip(CARS, (9, 4), strict=True))
    total, _ = measured({'tracks': tracks}, {'tracks': other}, labels=[LABELS, swapped])
    assert total.instance_survival == 1.0
    assert (total.tracked_instances, total.id_switches) == (2, 0)


def test_switches_are_counted() -> None:
    tracks, swapped = (dict(zip(CARS, ids, strict=True)) for ids in ((4, 9), (9, 4)))
    total, records = measured({'tracks': tracks}, {'tracks': swapped}, {'tracks': swapped},
                              {'tracks': {CARS[0]: 9}})
    assert (total.tracked_instances, total.id_switches) == (5, 2)
    assert [r['id_switches'] for r in records] == [None, 2, 0, 0]


@pytest.mark.parametrize(('columns', 'survival'), [(19, 1.0), (21, 0.5)])
def test_an_instance_of_less_than_half_the_mask_is_another_one(columns, survival) -> None:
    """Of the 40 columns of a car, some are road in the next frame."""
    less = LABELS.copy()
    less[:, :scene.MARGIN + 110 + columns][car(1)[:, :scene.MARGIN + 110 + columns]] = (
        scene.ROAD * 1000)
    assert measured({}, {}, labels=[LABELS, less])[0].instance_survival == survival


def test_an_instance_of_another_class_is_another_one() -> None:
    truck = np.where(car(0), CLASS_ID['truck'] * 1000 + 1, LABELS)
    assert measured({}, {}, labels=[LABELS, truck])[0].instance_survival == 0.5


def test_small_instances_and_those_that_leave_are_not_expected() -> None:
    assert measured({}, {}, min_instance_pixels=1201)[0].instances == 0
    assert math.isnan(measured({}, {}, min_instance_pixels=1201)[0].instance_survival)
    assert measured({}, {}, min_instance_pixels=1200)[0].instances == 2
    # A car of which 4 of 6 columns leave at the right.
    leaving = np.full_like(LABELS, scene.ROAD * 1000)
    leaving[:, scene.MARGIN + scene.WIDTH - 4:] = CARS[0]
    assert measured({}, {}, labels=[leaving] * 2, min_instance_pixels=100)[0].instances == 0


def test_jitter_of_distances_is_by_hand() -> None:
    """Car 1 is 3 % off in the middle, car 2 comes nearer at a constant speed."""
    distances = [{CARS[0]: 10.0, CARS[1]: 20.0}, {CARS[0]: 10.0 * math.exp(0.03), CARS[1]: 19.0},
                 {CARS[0]: 10.0, CARS[1]: 18.0}]
    total, records = measured(*({'distances': d} for d in distances))
    wanted = 0.03 / math.sqrt(1.5) * 1.4826
    assert total.distance_triples == 2
    assert total.distance_jitter == pytest.approx(0.5 * wanted)
    assert records[2]['distance_jitter'] == pytest.approx(0.5 * wanted)
    assert records[1]['distance_jitter'] is None


def test_unknown_distances_are_left_out() -> None:
    total, _ = measured({'distances': {CARS[0]: math.nan}}, {}, {})
    assert (total.distance_triples, total.distance_jitter) == (1, 0.0)


def test_instances_without_a_distance() -> None:
    """Masks without any entry in the distances are followed all the same."""
    found = metric()
    for i in range(3):
        bare = result(seen(LABELS, i))
        object.__setattr__(bare, 'distances', ())
        compared(found, frame(i, stamp_ns=START_NS + i), bare)
    assert all_of(found).instance_survival == 1.0
    assert all_of(found).distance_triples == 0
