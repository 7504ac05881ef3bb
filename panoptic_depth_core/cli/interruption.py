# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C between two frames, not in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """
    Whether the user asked to stop.

    :ivar signal: number of the signal that did, None as long as there was none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What shells expect of a process that a signal ended; 0 without one."""
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
        # Only the main thread may set handlers; there Ctrl-C acts as it always does.
        yield state
        return
    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
