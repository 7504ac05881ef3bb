# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth tied to the ground, on a street of known geometry."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from panoptic_depth_core.config import GroundSettings
from panoptic_depth_core.inference import ground_scale
from panoptic_depth_core.inference.ground_scale import GroundView, ScaleFilter
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR
from panoptic_depth_core.structures import GroundScale, Intrinsics, Mounting, Segment

CAMERA = Intrinsics(200.0, 200.0, 159.5, 60.0, 320, 160)
TRUE = Mounting(1.3, 2.0, 0.5)
CAR, ROAD, BUILDING = (CLASS_ID[name] for name in ('car', 'road', 'building'))
SETTINGS = GroundSettings()


def street(predict=lambda z: z, mounting=TRUE):
    """True depth and labels of a road, a wall at 30 m and a car at 8 m; depth as predicted."""
    v, u = np.mgrid[:CAMERA.height, :CAMERA.width]
    inverse = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy,
                        np.ones(u.shape)], -1) @ mounting.plane
    z = np.where(inverse > 1 / 30.0, 1 / np.maximum(inverse, 1e-3), 30.0)
    panoptic = np.where(z < 30, ROAD, BUILDING) * LABEL_DIVISOR
    foot = int(np.argmax(z[:, 160] <= 8.0))
    panoptic[foot - 30:foot, 140:180] = CAR * LABEL_DIVISOR + 1
    z[foot - 30:foot, 140:180] = 8.0
    segments = [Segment(CAR * LABEL_DIVISOR + 1, CAR, 1, True, 0.9, 1200, 0.1),
                Segment(ROAD * LABEL_DIVISOR, ROAD, 0, False, 0.9, 20000, 0.1)]
    return z, predict(z).astype(np.float32), panoptic.astype(np.uint16), segments


class Made(NamedTuple):
    """What the pipeline makes of a frame."""

    depth: Any
    segments: Any
    ground: GroundScale


def run(predicted, panoptic, segments, mounting=TRUE, classes=CITYSCAPES, **more):
    view = GroundView(predicted, panoptic, CAMERA, mounting, classes, LABEL_DIVISOR, SETTINGS)
    ground = view.scale()
    if ground.problem:
        return Made(predicted, tuple(segments), ground)
    return Made(*view.anchor(segments, **more), ground)


@pytest.mark.parametrize('error', [0.7, 1.0, 1.4])
def test_a_wrong_scale_is_mended(error):
    """Road and car get their true depths, and the factor is what was wrong."""
    true, predicted, panoptic, segments = street(lambda z: z * error)
    made = run(predicted, panoptic, segments)
    assert made.ground.problem == ''
    assert made.ground.factor == pytest.approx(1 / error, rel=0.01)
    assert made.ground.low < made.ground.factor < made.ground.high
    road, car = panoptic // LABEL_DIVISOR == ROAD, panoptic // LABEL_DIVISOR == CAR
    near = road & (true < 15)
    assert np.abs(made.depth[near] / true[near] - 1).max() < 0.06
    assert np.median(made.depth[car]) == pytest.approx(8.0, rel=0.08)
    # Half of the correction, in log depth.
    wall = panoptic // LABEL_DIVISOR == BUILDING
    assert np.median(made.depth[wall]) == pytest.approx(30.0 * math.sqrt(error), rel=0.05)


def test_a_thing_on_the_ground_is_more_certain_than_before():
    _, predicted, panoptic, segments = street()
    made = {s.panoptic_id: s.log_depth_scale for s in run(predicted, panoptic, segments).segments}
    assert made[CAR * LABEL_DIVISOR + 1] < 0.06
    assert made[ROAD * LABEL_DIVISOR] == 0.1


def test_things_that_do_not_stand_on_the_ground_keep_their_depth():
    """Nothing is known of a thing whose foot is hidden or outside of the image."""
    _, predicted, panoptic, segments = street(lambda z: z * 1.3)
    car = panoptic == CAR * LABEL_DIVISOR + 1
    rows = np.flatnonzero(car.any(axis=1))
    hidden = panoptic.copy()
    hidden[rows[-1] + 1:rows[-1] + 6, 140:180] = BUILDING * LABEL_DIVISOR
    made = run(predicted, hidden, segments)
    assert np.array_equal(made.depth[car], predicted[car])
    assert made.segments[0].log_depth_scale == 0.1


def test_what_is_refused_says_why():
    _, predicted, panoptic, segments = street()
    no_road = np.where(panoptic // LABEL_DIVISOR == ROAD, BUILDING * LABEL_DIVISOR, panoptic)
    rng = np.random.default_rng(0)
    rough = (predicted * np.exp(rng.normal(0, 0.8, predicted.shape))).astype(np.float32)
    for depth, labels, mounting, words in (
            (predicted, no_road.astype(np.uint16), TRUE, 'too little'),
            (predicted * 9, panoptic, TRUE, 'another scale'), (rough, panoptic, TRUE, 'no plane'),
            (predicted, panoptic, Mounting(1.3, -1.5, 0.5), 'another pitch'),
            (predicted, panoptic, Mounting(1.3, 2.0, 15.0), 'another roll'),
            (predicted, panoptic, Mounting(3.0, 2.0, 0.5), 'another scale')):
        made = run(np.asarray(depth, np.float32), labels, segments, mounting)
        assert words in made.ground.problem and made.ground.applied == 1.0


def test_what_a_low_camera_sees_is_not_judged_by_its_plane():
    """No training picture is from there."""
    low = Mounting(0.5, 2.0, 0.5)
    _, predicted, panoptic, segments = street(mounting=low)
    assert not run(predicted, panoptic, segments, Mounting(0.5, 5.0, 0.5)).ground.problem


def test_models_without_ground_are_refused():
    _, predicted, panoptic, segments = street()
    classes = [c for c in CITYSCAPES if c.name not in ('road', 'sidewalk', 'terrain')]
    made = run(predicted, panoptic, segments, classes=classes)
    assert 'no class of the ground' in made.ground.problem


def test_unknown_depth_stays_unknown():
    """Models with depth of segments alone give NaN elsewhere."""
    true, predicted, panoptic, segments = street(lambda z: z * 1.2)
    wall = panoptic // LABEL_DIVISOR == BUILDING
    predicted[wall] = np.nan
    made = run(predicted, panoptic, segments)
    assert np.isnan(made.depth[wall]).all() and np.isfinite(made.depth[~wall]).all()
    assert made.ground.problem == ''


def test_depth_that_is_not_known_on_the_ground_does_not_count():
    """Half of the road without depth: the factor is that of the other half."""
    _, predicted, panoptic, segments = street(lambda z: z * 1.3)
    predicted[:, ::2] = np.nan
    assert run(predicted, panoptic, segments).ground.factor == pytest.approx(1 / 1.3, rel=0.01)


def test_the_correction_is_smoothed_by_the_clock():
    """A single bad frame moves the wall by a share that falls with the time since the last."""
    _, good, panoptic, segments = street()
    bad = good * np.float32(1.5)
    wall = panoptic // LABEL_DIVISOR == BUILDING

    def of_wall(step_s):
        scale = ScaleFilter()
        for index in range(3):
            run(good, panoptic, segments, scale=scale, stamp_ns=int(1e9 + index * 1e9 * step_s))
        made = run(bad, panoptic, segments, scale=scale, stamp_ns=int(1e9 + 3e9 * step_s))
        return float(np.median(made.depth[wall] / bad[wall]))

    alone = float(np.median(run(bad, panoptic, segments).depth[wall] / bad[wall]))
    assert alone == pytest.approx(1.5 ** -0.5, rel=0.02)
    assert alone < of_wall(1.0) < of_wall(0.1) < 1.01
    # After a gap, or a jump back, nothing is left of the frames before.
    assert of_wall(100.0) == pytest.approx(alone) == of_wall(-0.1)


def test_a_good_look_is_kept_for_a_while():
    good, kept = GroundScale(1.1), ScaleFilter()
    assert kept.look(0, 2.0) is None
    kept.remember(good, 10 ** 9)
    assert kept.look(int(2.9e9), 2.0) is good and kept.look(int(3e9), 2.0) is None
    assert kept.look(int(0.9e9), 2.0) is None, 'the clock has jumped back'
    assert kept.look(10 ** 9, 0.0) is None


def test_a_mounting_that_was_believed_needs_several_contradictions():
    good, bad = GroundScale(1.1), GroundScale(1.1, problem='no plane')
    assert bad.refuses and not good.refuses
    assert not GroundScale(problem='too little of the ground is seen').refuses
    kept = ScaleFilter()
    assert kept.remember(bad, 0) is bad, 'the first look counts'
    assert kept.look(0, 2.0) is None
    assert kept.remember(good, 1) is good
    for stamp in range(2, 1 + ground_scale.DOUBTS):
        assert kept.remember(bad, stamp) is good
    assert kept.look(stamp, 2.0) is good
    assert kept.remember(bad, stamp + 1) is bad
    assert kept.look(stamp + 1, 2.0) is None


def test_the_error_grows_with_distance():
    """An error of the pitch of 0.5 degrees at 1.3 m is 13 % at 20 m; 2 % of the height."""
    error = ground_scale._ground_error(np.array([1e-3, 20.0], np.float32), TRUE, SETTINGS)
    assert error == pytest.approx([0.02, math.hypot(0.02, 20 / 1.3 * math.radians(0.5))], rel=1e-3)
