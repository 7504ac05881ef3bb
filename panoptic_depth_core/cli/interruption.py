# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C takes effect between two frames."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """True once a signal has arrived; ``signal`` is its number."""

    signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + signal, as in shells; 0 without a signal."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def stop_on_signal() -> Iterator[Interruption]:
    """Note the first SIGINT or SIGTERM; the second one interrupts at once."""
    state = Interruption()

    def note(number: int, _: FrameType | None) -> None:
        if state:
            raise KeyboardInterrupt
        state.signal = number

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may set handlers; there, Ctrl-C keeps its usual effect.
        yield state
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
