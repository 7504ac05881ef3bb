# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C takes effect between two frames; signals that end a program let it clean up."""

from __future__ import annotations

import os
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


class Terminated(SystemExit):
    """A signal ended the program; ``code`` is 128 + signal."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """
    Let SIGTERM and SIGHUP end what runs by an exception, which frees folders and processes.

    :raises Terminated: the signal came.
    """
    own = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != own:
            # A forked process has nothing to free.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        raise Terminated(128 + number)

    numbers = [number for name in ('SIGTERM', 'SIGHUP')
               if (number := getattr(signal, name, None)) is not None
               # Not those that somebody else handles, or nohup ignores.
               and signal.getsignal(number) is signal.SIG_DFL
               and threading.current_thread() is threading.main_thread()]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


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
