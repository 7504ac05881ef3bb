# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of tracking: perfect, degenerate, and counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.evaluation.metrics import tracking
from panoptic_depth_core.evaluation.metrics.segment_overlaps import segment_overlaps
from panoptic_depth_core.evaluation.metrics.tracking import TrackingMetric
from panoptic_depth_core.labels import CLASS_ID

pytest.importorskip('scipy')

CAR, PERSON, TRUCK = (CLASS_ID[name] for name in ('car', 'person', 'truck'))
CARS = (CAR * 1000 + 1, CAR * 1000 + 2)
PERSON_1 = PERSON * 1000 + 1
ALL_IDS = (*CARS, PERSON_1)


def line(*ids):
    """Ten pixels for each id."""
    return np.repeat(np.array([ids], np.int32), 10, axis=1)


def scored(frames, judged=(CAR, PERSON)):
    """
    Result of frames of one sequence.

    :param frames: truth, prediction, track id by predicted panoptic id.
    """
    metrics = TrackingMetric()
    for truth, predicted, tracks in frames:
        metrics.count(segment_overlaps(truth, predicted, unlabelled_is_void=False), judged,
                       tracks, 'a')
    return metrics.scores()


def seen(*track_ids):
    """Frames of one car that has this track id, None where it is missed."""
    return [(line(CARS[0], 0), line(0 if track is None else CARS[1], 0),
             {} if track is None else {CARS[1]: track}) for track in track_ids]


def test_perfect() -> None:
    ids = line(*ALL_IDS)
    result = scored([(ids, ids, dict(zip(ALL_IDS, (5, 0, 9), strict=True)))] * 3)
    assert result.frames == 3
    assert (result.all.mota, result.all.idf1, result.all.detection_f1) == (1, 1, 1)
    assert (result.all.things, result.all.tracks, result.all.seen) == (3, 3, 9)
    assert (result.all.switches, result.all.fragments) == (0, 0)
    assert {c: s.things for c, s in result.by_class.items()} == {PERSON: 1, CAR: 2}


@pytest.mark.parametrize(('track_ids', 'switches', 'fragments', 'idf1'), [
    ([1, 1, 1, 1], 0, 0, 1),
    ([1, 1, 2, 2], 1, 0, 1 / 2),
    ([1, 2, 1, 1], 2, 0, 3 / 4),
    ([1, None, 1, 1], 0, 1, 6 / 7),
    ([1, None, None, 2], 1, 1, 1 / 3),
    ([None, None, 1, 1], 0, 0, 2 / 3),
    ([1, 1, None, None], 0, 0, 2 / 3),
    ([None, 1, None, 1], 0, 1, 2 / 3),
    ([None] * 4, 0, 0, 0),
])
def test_switches_and_fragments(track_ids, switches: int, fragments: int, idf1: float) -> None:
    scores = scored(seen(*track_ids)).all
    missed = track_ids.count(None)
    assert (scores.switches, scores.fragments, scores.missed) == (switches, fragments, missed)
    assert scores.mota == pytest.approx(1 - (missed + switches) / 4)
    assert scores.idf1 == pytest.approx(idf1)


def test_a_thing_that_cannot_be_seen_is_not_interrupted() -> None:
    """Behind a house for a frame; a new id afterwards is a switch all the same."""
    hidden = line(0, 0), line(0, 0), {}
    first, second = seen(1, 2)
    scores = scored([first, hidden, second]).all
    assert (scores.seen, scores.switches, scores.fragments) == (2, 1, 0)


def test_ids_that_are_swapped() -> None:
    """IDF1 gives each thing one track: half of the frames are right."""
    ids = line(*CARS)
    swapped = [dict(zip(CARS, pair, strict=True)) for pair in ((1, 2), (2, 1))]
    scores = scored([(ids, ids, tracks) for tracks in swapped]).all
    assert (scores.switches, scores.mota) == (2, 0.5)
    assert scores.idf1 == 0.5


def test_what_is_not_there() -> None:
    """One false positive; on void or on things that nobody told apart it is none."""
    def false(truth):
        return scored([(line(truth, CARS[0]), line(CARS[1], CARS[0]),
                        {CARS[0]: 1, CARS[1]: 2})]).all

    road = false(0)
    assert (road.false_positives, road.mota, road.tracks) == (1, 0.0, 2)
    assert road.detection_f1 == pytest.approx(2 / 3)
    assert false(CAR * 1000).false_positives == 0
    assert false(TRUCK * 1000 + 1).false_positives == 0
    ignored = TrackingMetric()
    ignored.count(segment_overlaps(line(0, 0), line(CARS[0], 0),
                                    ignore=line(1, 0).astype(np.bool_)), (CAR,), {CARS[0]: 3})
    assert ignored.scores().all.tracks == 0


def test_what_claims_nothing() -> None:
    """An instance without a track, or of a class that is not judged."""
    scores = scored([(line(CARS[0]), line(CARS[0]), {CARS[0]: -1}),
                     (line(0), line(PERSON_1), {PERSON_1: 4})], judged=(CAR,)).all
    assert (scores.matched, scores.missed, scores.false_positives) == (0, 1, 0)


def test_nothing_at_all() -> None:
    result = TrackingMetric().scores()
    assert (result.frames, result.all.things) == (0, 0)
    assert math.isnan(result.all.mota) and math.isnan(result.all.idf1)


def test_sequences_do_not_share_things() -> None:
    metrics = TrackingMetric()
    for sequence, track in (('a', 1), ('b', 2)):
        metrics.count(segment_overlaps(line(CARS[0]), line(CARS[0])), (CAR,),
                       {CARS[0]: track}, sequence)
    scores = metrics.scores().all
    assert (scores.things, scores.tracks, scores.switches, scores.idf1) == (2, 2, 0, 1)


@given(st.lists(st.sampled_from([None, 0, 1, 2]), min_size=1, max_size=12))
def test_bounds(track_ids) -> None:
    scores = scored(seen(*track_ids)).all
    assert scores.idf1 <= scores.detection_f1 + 1e-12
    assert scores.matched + scores.missed == scores.seen == len(track_ids)
    assert scores.switches < len(track_ids) and scores.fragments < len(track_ids)
    if scores.switches == 0:
        assert scores.idf1 == pytest.approx(scores.detection_f1)


def test_an_id_twice_in_a_frame_is_refused() -> None:
    ids = line(*CARS)
    with pytest.raises(ValueError, match='one is there twice'):
        scored([(ids, ids, dict.fromkeys(CARS, 1))])


def test_a_class_outside_of_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r'class 40, but the table has classes 0\.\.18'):
        scored([(line(CARS[0]), line(40_001), {})])


def test_tables_do_not_grow_with_the_number_of_sequences(monkeypatch) -> None:
    """One table of all things and tracks would be of gigabytes for a fleet."""
    shapes, solve = [], tracking.assignment_solver()

    def small(counts, maximize):
        shapes.append(counts.shape)
        return solve(counts, maximize=maximize)

    monkeypatch.setattr(tracking, 'assignment_solver', lambda: small)
    metrics = TrackingMetric()
    for number in range(9):
        for truth, predicted, tracks in seen(1, 1, 2):
            metrics.count(segment_overlaps(truth, predicted), (CAR,), tracks, f'drive {number}')
    result = metrics.scores()
    assert result.all.idf1 == pytest.approx(2 / 3)
    assert set(shapes) == {(1, 2)}
