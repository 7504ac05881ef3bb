# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Track ids of made-up things that move, hide, come back and change."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.config import InferenceSettings, TrackingSettings, parse_settings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference.tracking import Tracker
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.structures import (
    DistanceFlag,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
    Segment,
)

pytest.importorskip('scipy')

CAR, PERSON, ROAD = (CLASS_ID[name] for name in ('car', 'person', 'road'))
SIZE = (120, 200)
STEP_NS = 100_000_000
START_NS = 1_700_000_000_000_000_000
NAN3 = (np.nan, np.nan, np.nan)


def thing(box, position=NAN3, class_id=CAR, sigma=0.3):
    """Return a box x, y, width, height at a position in meters."""
    return class_id, box, position, sigma


def frame(*things, stamp_ns=0, size=SIZE):
    """
    Return a result with these things, the first in front; instance ids count down.

    So that an id within a frame says nothing of the ids of the frame before.
    """
    panoptic = np.full(size, ROAD * 1000, np.uint16)
    distances = []
    for number, (class_id, (x, y, w, h), position, sigma) in enumerate(reversed(things), 1):
        pid = class_id * 1000 + number
        panoptic[max(y, 0):y + h, max(x, 0):x + w] = pid
        distances.insert(0, InstanceDistance(
            Segment(pid, class_id, number, True, 0.9, w * h), 'thing', (x, y, w, h), w * h,
            DistanceFlag(0), position_m=np.array(position, np.float32),
            position_covariance=np.eye(3, dtype=np.float32) * sigma ** 2))
    return PanopticDepth(panoptic, np.zeros(size, np.float32), (), tuple(distances),
                         Intrinsics.from_fov(70, size[1], size[0]), 1000, stamp_ns)


def ids(tracker, *things, **of_frame):
    """Track ids of the things of the next frame, in their order."""
    return [d.track_id for d in tracker.update(frame(*things, **of_frame)).distances]


def test_masks_that_overlap_are_one_thing() -> None:
    tracker = Tracker()
    assert ids(tracker, thing((10, 40, 40, 30)), thing((120, 40, 40, 30))) == [0, 1]
    assert ids(tracker, thing((115, 40, 40, 30)), thing((16, 40, 40, 30))) == [1, 0]


def test_all_but_the_ids_stays_as_it_is() -> None:
    given = frame(thing((10, 40, 40, 30), (1, 2, 10)), stamp_ns=START_NS)
    tracked = Tracker().update(given)
    assert tracked.step_ms.keys() == {'tracking'}
    assert replace(tracked, distances=given.distances, step_ms={}) == given
    assert [replace(d, track_id=-1) for d in tracked.distances] == list(given.distances)


@given(st.integers(-3, 3), st.integers(-3, 3), st.floats(-0.5, 0.5), st.permutations(range(4)))
def test_ids_follow_whatever_the_order(dx, dy, dz, order) -> None:
    tracker = Tracker()
    at = [(x, y, 3 * x / 50, 5.0 + y) for x, y in ((10, 10), (90, 10), (10, 70), (90, 70))]
    before = ids(tracker, *(thing((x, y, 40, 30), (px, 0, z)) for x, y, px, z in at))
    after = ids(tracker, *(thing((at[i][0] + dx, at[i][1] + dy, 40, 30),
                                 (at[i][2], 0, at[i][3] + dz)) for i in order))
    assert after == [before[i] for i in order]


def test_small_and_fast_is_found_by_its_position() -> None:
    """Far apart in the image, 1.5 m in the scene."""
    tracker = Tracker()
    first = ids(tracker, thing((100, 50, 6, 12), (0, 0, 5.0), PERSON))
    assert ids(tracker, thing((160, 50, 6, 12), (1.5, 0, 5.0), PERSON)) == first


def test_small_and_fast_without_a_position_is_found_by_its_box() -> None:
    tracker = Tracker()
    first = ids(tracker, thing((100, 50, 6, 12), class_id=PERSON))
    assert ids(tracker, thing((107, 50, 6, 12), class_id=PERSON)) == first
    alone = Tracker(TrackingSettings(box_weight=0))
    assert ids(alone, thing((100, 50, 6, 12))) != ids(alone, thing((107, 50, 6, 12)))


def test_what_comes_in_front_is_another_thing() -> None:
    """A near car in the place of a far one; the far one beside it."""
    tracker = Tracker()
    far, = ids(tracker, thing((80, 40, 40, 30), (0, 0, 40), sigma=3))
    assert ids(tracker, thing((84, 38, 42, 32), (0, 0, 10), sigma=1),
               thing((70, 40, 14, 30), (0, 0, 40), sigma=3)) == [far + 1, far]
    masks = Tracker(TrackingSettings(position_weight=0))
    ids(masks, thing((80, 40, 40, 30), (0, 0, 40), sigma=3))
    assert ids(masks, thing((84, 38, 42, 32), (0, 0, 10), sigma=1),
               thing((70, 40, 14, 30), (0, 0, 40), sigma=3)) == [0, 1]


@pytest.mark.parametrize(('range_m', 'same'), [(60.0, True), (6.0, False)])
def test_the_gate_grows_with_range(range_m: float, same: bool) -> None:
    """Five meters are within the error at 60 m, not at 6 m; nothing else speaks for it."""
    tracker = Tracker(TrackingSettings(motion_mps=5))
    first = ids(tracker, thing((20, 50, 20, 12), (0, 0, range_m), sigma=0.1 * range_m))
    second = ids(tracker, thing((150, 50, 20, 12), (0, 0, range_m + 5), sigma=0.1 * range_m))
    assert (first == second) is same


def test_other_classes_are_other_things() -> None:
    tracker = Tracker()
    assert ids(tracker, thing((10, 40, 40, 30))) == [0]
    assert ids(tracker, thing((10, 40, 40, 30), class_id=PERSON)) == [1]


@pytest.mark.parametrize(('gap', 'again'), [(1, [1]), (10, [1]), (11, [2])])
@pytest.mark.parametrize('start_ns', [0, START_NS])
def test_what_hides_is_remembered(gap: int, again: list[int], start_ns: int) -> None:
    """For one second, with stamps and without, while another thing is seen all the time."""
    tracker = Tracker()
    stays, hides = thing((10, 10, 60, 30)), thing((120, 70, 40, 30))

    def step(number, *things):
        return ids(tracker, *things, stamp_ns=start_ns and start_ns + number * STEP_NS)

    assert step(0, stays, hides) == [0, 1]
    for number in range(1, gap):
        assert step(number, stays) == [0]
    assert step(gap, hides) == again


def test_what_was_covered_is_remembered() -> None:
    """A car drives past in front of a parked one, of which nothing is seen for a frame."""
    tracker = Tracker()
    parked = thing((80, 40, 30, 30), (0, 0, 25))
    assert ids(tracker, parked) == [0]
    assert ids(tracker, thing((70, 35, 32, 40), (-1, 0, 9)), parked) == [1, 0]
    assert ids(tracker, thing((78, 35, 40, 40), (0, 0, 9))) == [1]
    assert ids(tracker, thing((98, 35, 40, 40), (1, 0, 9)), parked) == [1, 0]


def test_a_mask_that_was_covered_still_counts_where_it_shows() -> None:
    """Of a mask that another one took pixels of, the others are remembered."""
    tracker = Tracker(TrackingSettings(position_weight=0, box_weight=0))
    low, bush = thing((80, 40, 40, 30)), thing((85, 40, 8, 8), class_id=PERSON)
    assert ids(tracker, low) == [0]
    assert ids(tracker, bush) == [1]
    assert ids(tracker, low) == [0]


@pytest.mark.parametrize(('stamp_ns', 'size', 'expected'), [
    (START_NS + STEP_NS, SIZE, [0]),
    (START_NS, SIZE, [0]),
    (START_NS - 1, SIZE, [1]),
    (START_NS + 1_000_000_000, SIZE, [0]),
    (START_NS + 1_000_000_001, SIZE, [1]),
    (START_NS + STEP_NS, (60, 100), [1]),
    (0, SIZE, [1]),
], ids=['next', 'same stamp', 'back', 'gap', 'longer gap', 'size', 'no stamp any more'])
def test_what_makes_it_forget(stamp_ns: int, size: tuple[int, int],
                              expected: list[int]) -> None:
    tracker = Tracker()
    assert ids(tracker, thing((10, 20, 40, 30)), stamp_ns=START_NS) == [0]
    assert ids(tracker, thing((10, 20, 40, 30)), stamp_ns=stamp_ns, size=size) == expected


def test_reset_forgets_and_ids_count_on() -> None:
    tracker = Tracker(first_id=7)
    car = thing((10, 20, 40, 30))
    assert ids(tracker, car) == [7]
    tracker.reset()
    assert ids(tracker, car) == [8]
    assert ids(tracker, car) == [8]


def test_one_point_is_a_position_too() -> None:
    """No spread, and one stamp twice: the sum of covariances is regular all the same."""
    tracker = Tracker(TrackingSettings(mask_weight=0, box_weight=0))
    car = thing((10, 20, 40, 30), (1, 1, 9), sigma=0.0)
    assert ids(tracker, car, stamp_ns=START_NS) == ids(tracker, car, stamp_ns=START_NS)


def test_unknown_positions_with_no_other_cue_are_new_things() -> None:
    tracker = Tracker(TrackingSettings(mask_weight=0, box_weight=0))
    assert ids(tracker, thing((10, 20, 40, 30))) == [0]
    assert ids(tracker, thing((10, 20, 40, 30))) == [1]


def test_frames_without_things() -> None:
    tracker = Tracker()
    assert ids(tracker) == []
    assert ids(tracker, thing((10, 20, 40, 30))) == [0]
    assert ids(tracker) == []
    assert ids(tracker, thing((12, 20, 40, 30))) == [0]


def test_stuff_with_a_distance_has_no_track() -> None:
    result = frame(thing((10, 20, 40, 30)))
    road = InstanceDistance(Segment(ROAD * 1000, ROAD, 0, False, 1.0, 99), 'road', (0, 0, 9, 9),
                            9, DistanceFlag(0))
    tracked = Tracker().update(replace(result, distances=(*result.distances, road)))
    assert [d.track_id for d in tracked.distances] == [0, -1]


def test_a_large_image_is_sampled() -> None:
    """Instances that no sample hits, and void, do no harm."""
    tracker = Tracker()
    size = (1080, 1920)
    things = thing((100, 100, 300, 200)), thing((1001, 601, 1, 1), (0, 0, 30), PERSON)
    result = frame(*things, size=size)
    result.panoptic[:50] = VOID_ID
    assert [d.track_id for d in tracker.update(result).distances] == [0, 1]
    assert ids(tracker, *things, size=size) == [0, 1]


def test_settings_may_change_between_frames() -> None:
    tracker = Tracker()
    ids(tracker, thing((10, 20, 40, 30)))
    tracker.settings = TrackingSettings(min_similarity=1.0)
    assert ids(tracker, thing((20, 20, 40, 30))) == [1]


def test_weights_that_are_all_zero_are_refused() -> None:
    weights = {'mask_weight': 0, 'position_weight': 0, 'box_weight': 0}
    with pytest.raises(ConfigError, match='tracking.*all weights are 0; give mask_weight'):
        parse_settings(InferenceSettings, {'tracking': weights}, 'here')


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'scipy.optimize', None)
    with pytest.raises(ConfigError, match='pip install scipy.*python3-scipy'):
        Tracker()
