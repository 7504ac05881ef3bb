# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels and depth of a world that moves, with known faults."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import consistency_scenes as scene
import cv2
import numpy as np
import pytest
from consistency_scenes import (
    CAMERA,
    LABELS,
    START_NS,
    STEP_NS,
    all_of,
    compared,
    frame,
    lattice,
    metric,
    result,
    seen,
)
from panoptic_depth_core.evaluation.metrics.consistency import (
    RECORD,
)
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.structures import Frame

STILL = 0, 0


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def measured(*pairs) -> tuple[SimpleNamespace, list[dict]]:
    """Metrics of frames with their results, of all and of each."""
    found = metric()
    records = [compared(found, *pair) for pair in pairs]
    return all_of(found), records


def moving(count: int) -> list:
    """Frames with perfect labels."""
    return [(frame(i), result(seen(LABELS, i))) for i in range(count)]


def still(*depths, seconds: tuple[float, ...] = ()) -> list:
    """Frames of a camera that sees nothing move, with these depths."""
    times = seconds or tuple(0.1 * i for i in range(len(depths)))
    return [(frame(0, STILL, START_NS + round(1e9 * t)), result(seen(LABELS, 0), depth))
            for depth, t in zip(depths, times, strict=True)]


def test_labels_that_move_with_the_image_are_stable() -> None:
    total, records = measured(*moving(4))
    assert total.label_stability == 1.0
    assert total.stability_by_class == {'road': 1.0, 'sky': 1.0, 'car': 1.0}
    assert total.label_flicker == 0.0
    assert (total.frames, total.compared_frames) == (4, 3)
    assert total.compared_share > 0.9
    assert total.compared_pixels == pytest.approx(total.compared_share * 3 * 120 * 200)
    assert [r['label_stability'] for r in records] == [None, 1.0, 1.0, 1.0]
    assert [r['label_flicker'] for r in records] == [None, None, 0.0, 0.0]


def test_labels_that_stay_while_the_image_moves_are_not() -> None:
    total, _ = measured(*((frame(i), result(seen(LABELS, 0))) for i in range(3)))
    assert 0.9 < total.label_stability < 0.98


@pytest.mark.parametrize('step', [STILL, scene.STEP])
def test_share_of_labels_that_change_is_found(step) -> None:
    """One pixel of 20 becomes void: of that share is what is not stable."""
    faulty = np.where(lattice(20), VOID_ID, LABELS)
    total, _ = measured(*((frame(i, step), result(seen(labels, i, step)))
                          for i, labels in enumerate((LABELS, faulty))))
    assert total.label_stability == pytest.approx(0.95, abs=5e-4)
    assert total.void_share == pytest.approx(0.025, abs=1e-4)


def test_stability_of_a_class_is_of_those_that_had_it() -> None:
    """One car of two is taken for road in the second frame."""
    gone = np.where(np.isin(LABELS, scene.CARS[0]), scene.ROAD * 1000, LABELS)
    total, _ = measured(*((frame(0, STILL, START_NS + i), result(seen(labels, 0)))
                          for i, labels in enumerate((LABELS, gone))))
    assert total.stability_by_class == {'car': 0.5, 'road': 1.0, 'sky': 1.0}


def test_flicker_is_what_comes_back() -> None:
    """Void for one frame is flicker; void that stays is none."""
    faulty = np.where(lattice(20), VOID_ID, LABELS)
    back, _ = measured(*((frame(i), result(seen(labels, i)))
                         for i, labels in enumerate((LABELS, faulty, LABELS))))
    assert back.label_flicker == pytest.approx(0.05, abs=5e-4)
    assert back.label_stability == pytest.approx(0.95, abs=5e-4)
    assert 0.8 * 120 * 200 < back.flicker_pixels < 120 * 200
    stays, _ = measured(*((frame(i), result(seen(labels, i)))
                          for i, labels in enumerate((LABELS, faulty, faulty))))
    assert stays.label_flicker == 0.0


def test_jitter_is_the_standard_deviation_of_the_noise_of_a_frame() -> None:
    rng = np.random.default_rng(1)
    shape = scene.HEIGHT, scene.WIDTH
    total, records = measured(*still(*(
        10.0 * np.exp(rng.normal(0, 0.05, shape)) for _ in range(6))))
    assert total.depth_jitter == pytest.approx(0.05, rel=0.03)
    assert total.jitter_frames == 4
    assert [r['depth_jitter'] is None for r in records] == [True, True, *[False] * 4]


def test_jitter_is_the_same_for_steps_of_any_length() -> None:
    rng = np.random.default_rng(2)
    noise = [10.0 * np.exp(rng.normal(0, 0.05, (scene.HEIGHT, scene.WIDTH))) for _ in range(3)]
    for seconds in ((0.0, 0.1, 0.2), (0.0, 0.1, 0.5), (0.0, 0.4, 0.45)):
        total, _ = measured(*still(*noise, seconds=seconds))
        assert total.depth_jitter == pytest.approx(0.05, rel=0.04)


def test_jitter_follows_what_moves() -> None:
    """The world has depths of its own, and 5 % of noise in patches wider than a pixel."""
    rng = np.random.default_rng(3)
    world = 10.0 + 5.0 * np.sin(np.arange(LABELS.shape[1]) / 15.0) + np.zeros(LABELS.shape)
    clean = [(frame(i), result(seen(LABELS, i), seen(world, i))) for i in range(8)]
    assert measured(*clean)[0].depth_jitter < 0.004

    def patches() -> np.ndarray:
        noise = rng.normal(0, 0.05, (scene.HEIGHT // 8, scene.WIDTH // 8))
        return np.exp(noise).repeat(8, axis=0).repeat(8, axis=1)

    noisy = [(f, replace(r, depth=(r.depth * patches()).astype(np.float32))) for f, r in clean]
    assert measured(*noisy)[0].depth_jitter == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize('seconds', [(0.0, 0.1, 0.2, 0.3), (0.0, 0.05, 0.35, 0.45)])
def test_constant_speed_is_no_jitter(seconds) -> None:
    total, _ = measured(*still(*(20.0 - 15.0 * t for t in seconds), seconds=seconds))
    assert total.depth_jitter < 1e-6
    assert total.jitter_frames == 2


def test_only_finite_depths_are_compared() -> None:
    rng = np.random.default_rng(4)
    depths = [10.0 * np.exp(rng.normal(0, 0.05, (scene.HEIGHT, scene.WIDTH))) for _ in range(3)]
    for depth, value in zip(depths, (np.nan, np.inf, -np.inf), strict=True):
        depth[rng.random(depth.shape) < 0.1] = value
    total, records = measured(*still(*depths))
    assert total.depth_jitter == pytest.approx(0.05, rel=0.05)
    assert [r['depth_missing_share'] > 0 for r in records] == [True, False, False]
    assert total.depth_missing_share == pytest.approx(0.1 / 3, abs=0.002)


@pytest.mark.parametrize('depth', [0.0, -1.0, np.nan, np.inf, -np.inf])
def test_what_is_no_depth_has_no_jitter(depth) -> None:
    total, _ = measured(*still(10.0, depth, 10.0))
    assert total.jitter_frames == 0 and math.isnan(total.depth_jitter)


def test_metrics_are_compared_at_the_size_of_the_result() -> None:
    """A result of the network shows the middle of the image, at a third of its size."""
    camera = CAMERA.transformed(0.5, 0.5, -4, -2, 92, 56)
    total, _ = measured(*((frame(i, (4, 2)), result(seen(LABELS, i, (4, 2))[5:-4:2, 9:-8:2][:56],
                                                    camera=camera)) for i in range(3)))
    assert total.compared_frames == 2
    assert total.label_stability > 0.995


@pytest.mark.parametrize(('change', 'compared'), [
    ({}, 3), ({'stamp_ns': START_NS}, 1), ({'stamp_ns': START_NS + 2 * 10 ** 9}, 1),
    ({'divisor': 500}, 1), ({'cut': 10}, 1)],
    ids=['nothing', 'backward', 'gap', 'divisor', 'size'])
def test_the_past_is_forgotten_where_it_has_to_be(change, compared) -> None:
    def pair(index: int) -> tuple:
        odd = change if index == 2 else {}
        given = frame(index, stamp_ns=odd.get('stamp_ns'))
        rows = slice(odd.get('cut', 0), None)
        image = given.image[rows]
        camera = replace(CAMERA, height=len(image))
        return replace(given, image=image, intrinsics=camera), result(
            seen(LABELS, index)[rows], camera=camera, divisor=odd.get('divisor', 1000))

    total, _ = measured(*map(pair, range(4)))
    # Frame 3 follows a frame 2 that was moved back in time, but not one of another kind.
    follows = 'stamp_ns' in change and change['stamp_ns'] == START_NS
    assert total.compared_frames == compared + follows


def test_frames_without_stamps_are_counted() -> None:
    total, _ = measured(*((frame(i, stamp_ns=0), result(seen(LABELS, i))) for i in range(3)))
    assert total.compared_frames == 2


def test_halves_that_are_merged_are_the_whole() -> None:
    rng = np.random.default_rng(6)
    pairs = [(f, replace(r, depth=(r.depth * np.exp(rng.normal(0, 0.1))).astype(np.float32)))
             for f, r in moving(4)] * 2
    whole = metric()
    for i, pair in enumerate(pairs):
        if i == 4:
            whole.start()
        compared(whole, *pair)
    halves = [metric(), metric()]
    for i, pair in enumerate(pairs):
        compared(halves[i // 4], *pair)
    sent = [pickle.dumps(half) for half in halves]
    assert max(map(len, sent)) < 12_000
    merged, second = map(pickle.loads, sent)
    merged.merge(second)
    assert repr(all_of(merged)) == repr(all_of(whole))
    assert all_of(whole).frames == 8 and all_of(whole).compared_frames == 6
    # What was sent goes on without the frames before.
    assert compared(merged, *pairs[0])['label_stability'] is None


def test_same_bytes_every_time() -> None:
    def once() -> str:
        total, records = measured(*moving(4))
        return repr((total, records))

    assert once() == once()


def test_records_are_json() -> None:
    _, records = measured(*moving(3))
    for record in records:
        assert tuple(record) == RECORD
        assert json.loads(json.dumps(record, allow_nan=False)) == record
    names = set(vars(measured(*moving(1))[0]))
    assert set(RECORD) <= names


def test_one_frame_is_compared_with_nothing() -> None:
    total, records = measured(*moving(1))
    assert math.isnan(total.label_stability) and math.isnan(total.depth_jitter)
    assert math.isnan(total.instance_survival) and total.id_switches is None
    assert total.void_share == 0.0 and records[0]['void_share'] == 0.0
    empty = all_of(metric())
    assert empty.frames == 0 and math.isnan(empty.void_share)
    assert math.isnan(empty.ground_height_spread)


@pytest.mark.parametrize('size', [(1, 1), (8, 300), (31, 200), (33, 40), (300, 20)])
def test_small_images(size) -> None:
    """The search for flow would crash the process on the smallest ones."""
    camera = replace(CAMERA, width=size[1], height=size[0])
    given = Frame(np.zeros((*size, 3), np.uint8), camera)
    labels = np.full(size, VOID_ID, np.uint16)
    total, records = measured(*[(given, result(labels, np.nan, camera=camera))] * 3)
    assert total.void_share == 1.0 and total.depth_missing_share == 1.0
    assert total.compared_frames == (2 if min(size) >= 32 else 0)
    assert total.ground_frames == 0 and total.jitter_frames == 0
    if total.compared_frames:
        assert records[2]['label_stability'] == 1.0
        assert total.stability_by_class == {'void': 1.0}


def test_classes_beyond_the_table_have_a_name() -> None:
    labels = np.full((scene.HEIGHT, scene.WIDTH), 40 * 1000, np.uint16)
    total, _ = measured(*[(frame(0, STILL, START_NS + i * STEP_NS), result(labels))
                          for i in range(2)])
    assert total.stability_by_class == {'class 40': 1.0}
