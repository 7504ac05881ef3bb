# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Hands items from one thread to another without ever making the first one wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar('Item')


class Mailbox(Generic[Item]):
    """
    A queue that drops its oldest item when it is full.

    :param capacity: 1: the newest item wins; more: so many wait, in order.
    """

    def __init__(self, capacity: int = 1) -> None:
        self._items: deque[Item] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()

    def put(self, item: Item) -> int:
        """Leave an item; the number of items that were dropped for it is returned."""
        with self._changed:
            dropped = self._shorten(self._capacity - 1)
            self._items.append(item)
            self._changed.notify()
        return dropped

    def take(self, timeout_s: float) -> Item | None:
        """Oldest item, waited for; None when there is none in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
            return self._items.popleft() if self._items else None

    def resize(self, capacity: int) -> int:
        """Change the capacity; the number of items that were dropped for it is returned."""
        with self._changed:
            self._capacity = capacity
            return self._shorten(capacity)

    def clear(self) -> int:
        """Drop everything; the number of items that there were is returned."""
        with self._changed:
            return self._shorten(0)

    def _shorten(self, length: int) -> int:
        dropped = max(len(self._items) - length, 0)
        for _ in range(dropped):
            self._items.popleft()
        return dropped
