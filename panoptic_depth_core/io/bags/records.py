# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What every storage format of a bag gives: records, in order of time."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple, Protocol

from ...untrusted import input_limits

Record = tuple[str, str, int, bytes]
"""Topic, type as recorded, time of recording in nanoseconds, CDR."""

Report = Callable[[str], None]

NO_TIME_NS = (1 << 63) - 1
"""Start of what holds no message: behind everything."""

NOT_TEXT = '\ufffd'
"""What stands for bytes that are no UTF-8."""

DAMAGED_NAME = 'the name of a topic or of its type is damaged'
DAMAGED = 'damaged or not closed; what can be read is read'


class StorageFile(Protocol):
    """
    One storage file of a bag.

    :ivar counts: readable messages by topic and type as recorded, also 0.
    :ivar start_ns: time of the first message.
    """

    counts: Counter[tuple[str, str]]
    start_ns: int

    def messages(self, topics: Collection[str]) -> Iterator[Record]:
        """Give the messages of the topics in order of time, as far as they can be read."""


class Stretch(NamedTuple):
    """A part of a recording; ``size`` is the memory in bytes that reading it takes."""

    start_ns: int
    size: int
    read: Callable[[], Iterator[Record]]


def by_time(stretches: Iterable[Stretch]) -> Iterator[Record]:
    """
    Merge the records of stretches that follow each other or overlap.

    Each is opened when the time reaches its start, so of those that follow each other one is in
    memory; and none that would bring what is open above the limit of bytes.
    """
    waiting = deque(sorted(stretches, key=lambda stretch: stretch.start_ns))
    if len(waiting) == 1:
        yield from waiting[0].read()
        return
    most, open_size, number = input_limits().max_bytes, 0, 0
    heap: list[tuple[int, int, int, Record, Iterator[Record]]] = []
    while waiting or heap:
        while waiting and (not heap or (waiting[0].start_ns <= heap[0][0]
                                        and open_size + waiting[0].size <= most)):
            _, size, read = waiting.popleft()
            records = read()
            first = next(records, None)
            if first is not None:
                heapq.heappush(heap, (first[2], number, size, first, records))
                open_size, number = open_size + size, number + 1
        if heap:
            _, place, size, record, records = heap[0]
            yield record
            following = next(records, None)
            if following is None:
                heapq.heappop(heap)
                open_size -= size
            else:
                heapq.heapreplace(heap, (following[2], place, size, following, records))


_ROS1 = 'ROS 1 messages', 'convert the ROS 1 bag with rosbags-convert'
_OTHERS = {'ros1': _ROS1, 'ros1msg': _ROS1}
"""Encoding -> what it is, and the remedy."""


def left_out(topics: Iterable[str], encoding: str) -> str:
    """Say that topics are no ROS 2 messages."""
    kind, remedy = _OTHERS.get(encoding.lower(), (
        encoding or 'of no stated encoding', 'convert them if they are needed'))
    names = sorted(topics)
    more = ', ...' if len(names) > 5 else ''
    return (f'the messages of {", ".join(names[:5])}{more} are {kind}, not ROS 2 messages (cdr), '
            f'and left out; {remedy}')
