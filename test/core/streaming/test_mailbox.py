# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The mailbox: newest wins, order is kept, and nothing gets lost without being counted."""

from __future__ import annotations

import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.streaming.stream import Mailbox


def test_the_newest_wins() -> None:
    box: Mailbox[str] = Mailbox()
    assert [box.put(item) for item in 'abc'] == [0, 1, 1]
    assert box.take(0.0) == 'c'
    assert box.take(0.0) is None
    assert box.put('d') == 0


def test_a_queue_keeps_the_order_and_drops_the_oldest() -> None:
    box: Mailbox[str] = Mailbox(3)
    assert [box.put(item) for item in 'abcde'] == [0, 0, 0, 1, 1]
    assert [box.take(0.0) for _ in range(4)] == ['c', 'd', 'e', None]


def test_clear() -> None:
    box: Mailbox[str] = Mailbox(5)
    for item in 'abcde':
        box.put(item)
    assert (box.clear(), box.clear(), box.take(0.0)) == (5, 0, None)


@given(st.lists(st.sampled_from(('put', 'take', 'clear')), max_size=60), st.integers(1, 5))
def test_as_a_plain_list_would_be(steps: list[str], capacity: int) -> None:
    box: Mailbox[int] = Mailbox(capacity)
    model: deque[int] = deque(maxlen=capacity)
    for number, step in enumerate(steps):
        before = len(model)
        if step == 'put':
            model.append(number)
            assert box.put(number) == before + 1 - len(model)
        elif step == 'take':
            assert box.take(0.0) == (model.popleft() if model else None)
        else:
            model.clear()
            assert box.clear() == before


def test_one_that_waits_is_woken() -> None:
    box: Mailbox[str] = Mailbox()
    found: list[str | None] = []
    taker = threading.Thread(target=lambda: found.append(box.take(60.0)))
    taker.start()
    box.put('news')
    taker.join(60.0)
    assert found == ['news']


@pytest.mark.parametrize('capacity', [1, 7])
def test_all_that_was_put_in_is_taken_or_counted(capacity: int) -> None:
    box: Mailbox[tuple[int, int]] = Mailbox(capacity)
    count, producers = 2000, 3
    dropped, taken, done = [0] * producers, [], threading.Event()
    start = threading.Barrier(producers + 1)

    def produce(which: int) -> None:
        start.wait()
        for number in range(count):
            dropped[which] += box.put((which, number))

    def consume() -> None:
        start.wait()
        while True:
            last = done.is_set()
            item = box.take(0.001)
            if item is not None:
                taken.append(item)
            elif last:
                return

    threads = [threading.Thread(target=produce, args=(i,)) for i in range(producers)]
    consumer = threading.Thread(target=consume)
    for thread in (*threads, consumer):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    consumer.join()
    assert len(taken) + sum(dropped) == count * producers
    for which in range(producers):
        numbers = [number for producer, number in taken if producer == which]
        assert numbers == sorted(set(numbers))
