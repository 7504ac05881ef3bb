# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages that wait: which belongs to an image, and for how long one waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.evaluation.recordings.reading.stamp_window import StampWindow


def window(tolerance_s: float = 0.0, most: int = 10, **counts: int) -> StampWindow:
    """Return an empty window."""
    return StampWindow(counts or {'a': 100}, tolerance_s, most)


def take(into: StampWindow, *stamps: int, topic: str = 'a') -> None:
    """Let messages come that say their stamp."""
    for stamp in stamps:
        into.add(topic, stamp, f'{topic} {stamp}')


def test_the_nearest_within_the_tolerance() -> None:
    near = window(1e-8)
    take(near, 100, 120, 104, 140)
    assert near.nearest(102).stamp_ns == 100 and near.nearest(103).stamp_ns == 104
    assert near.nearest(114).messages == {'a': 'a 120'}
    assert near.nearest(90).stamp_ns == 100 and near.nearest(89) is None
    assert near.nearest(150).stamp_ns == 140 and near.nearest(151) is None
    exact = window()
    take(exact, 100)
    assert exact.nearest(101) is None and exact.nearest(100).stamp_ns == 100


def test_the_first_of_a_stamp_is_kept() -> None:
    twice = window()
    twice.add('a', 5, 'first')
    twice.add('a', 5, 'second')
    assert twice.nearest(5).messages == {'a': 'first'} and len(twice) == 1


def test_a_group_is_whole_when_all_have_come() -> None:
    both = window(a=5, b=5)
    take(both, 10, 20)
    assert both.nearest(10) is None and not both.settled(10)
    take(both, 10, topic='b')
    assert both.nearest(10).messages == {'a': 'a 10', 'b': 'b 10'} and both.settled(10)
    assert not both.settled(20)


def test_waiting_ends_when_later_ones_have_come() -> None:
    late = window()
    for stamp, settled in ((9, False), (11, False), (12, False), (13, True)):
        take(late, stamp)
        assert late.settled(10) is settled


def test_waiting_ends_with_the_recording() -> None:
    """The last stamp is settled when its last message has come, not before."""
    last = window(a=2, b=2)
    take(last, 10, 20)
    assert last.settled(15) and not last.settled(20)
    take(last, 10, topic='b')
    assert not last.settled(20)
    last.skip('b')
    assert last.settled(20) and last.nearest(20) is None


def test_forgetting() -> None:
    old = window(1e-8)
    take(old, 100, 110, 120)
    old.forget_before(120)
    assert len(old) == 2 and old.nearest(105).stamp_ns == 110


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from('ab')), max_size=60),
       st.integers(4, 9))
def test_never_more_than_the_most(messages: list[tuple[int, str]], most: int) -> None:
    few = window(0.0, most, a=100, b=100)
    for stamp, topic in messages:
        take(few, stamp, topic=topic)
        assert len(few) <= most
    latest = sorted({stamp for stamp, _ in messages})[-most:]
    assert set(few._groups) <= {stamp for stamp, _ in messages}
    assert not latest or max(few._groups) == latest[-1]
