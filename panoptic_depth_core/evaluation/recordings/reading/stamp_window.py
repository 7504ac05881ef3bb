# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages that wait for the image that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ....errors import ConfigError
from ....io.bags.storage import Message, deserialize
from ....io.messages.reading import stamp_of
from ....io.sources.bag_source import NO_STAMP
from .topics import Note

LATER = 3
"""Later stamps after whose messages one is no longer waited for."""


class Group(NamedTuple):
    """Messages of one stamp, by topic."""

    stamp_ns: int
    messages: dict[str, Any]


class StampWindow:
    """
    Groups of messages of the same stamp, one of each topic; a bounded number of them.

    :param counts: topic -> messages of it in the recording.
    :param tolerance_s: farthest stamp of a group from that of an image.
    :param most: groups that are kept, whole and unfinished, at least one more than LATER; the
        oldest make room.
    """

    def __init__(self, counts: Mapping[str, int], tolerance_s: float, most: int) -> None:
        self._left = dict(counts)
        self._tolerance_ns = round(tolerance_s * 1e9)
        self._most = max(most, LATER + 1)
        self._groups: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def take(self, topic: str, message: Message, note: Note) -> None:
        """Read a message of the recording; a damaged one is noted."""
        try:
            value = deserialize(message)
        except ConfigError as error:
            note(str(error))
            self.skip(topic)
            return
        stamp_ns = stamp_of(value)
        if not stamp_ns:
            note(f'{message.topic}: {NO_STAMP}')
        self.add(topic, stamp_ns or message.stamp_ns, value)

    def skip(self, topic: str) -> None:
        """Note that a message of a topic is lost, and need not be waited for."""
        self._left[topic] -= 1

    def add(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Add a message; of several with one stamp the first is kept."""
        self._left[topic] -= 1
        self._groups.setdefault(stamp_ns, {}).setdefault(topic, message)
        if len(self._groups) > self._most:
            del self._groups[min(self._groups)]

    def _is_whole(self, stamp_ns: int) -> bool:
        return len(self._groups.get(stamp_ns, ())) == len(self._left)

    def settled(self, stamp_ns: int) -> bool:
        """Whether what belongs to an image is there, or not to be expected any more."""
        if self._is_whole(stamp_ns) or sum(s > stamp_ns for s in self._groups) >= LATER:
            return True
        group = self._groups.get(stamp_ns, ())
        return any(count <= 0 for topic, count in self._left.items() if topic not in group)

    def nearest(self, stamp_ns: int) -> Group | None:
        """Whole group that belongs to an image; of two as near the earlier one."""
        found = min(filter(self._is_whole, self._groups), key=lambda s: (abs(s - stamp_ns), s),
                    default=None)
        if found is None or abs(found - stamp_ns) > self._tolerance_ns:
            return None
        return Group(found, self._groups[found])

    def forget_before(self, stamp_ns: int) -> None:
        """Drop what cannot belong to an image of this stamp or a later one."""
        first = stamp_ns - self._tolerance_ns
        self._groups = {s: group for s, group in self._groups.items() if s >= first}
