# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""One recording in whatever process: its part, or in words what went wrong."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import cv2

Job = TypeVar('Job')
Part = TypeVar('Part')

Tell = Callable[[int, int | None], None]
"""Called with the number of frames done and, where it is known, of those expected."""

Progress = Callable[[int, int, int | None], None]
"""The same after the number of the job, from 0."""

TELL_EVERY_S = 0.1


class Outcome(NamedTuple):
    """
    What came of a job.

    :param job_index: from 0.
    :param part: None where it failed.
    :param error: in words; empty where it did not fail.
    """

    job_index: int
    part: Any
    error: str


def attempt(run: Callable[[Job, Tell], Part], job: Job, tell: Tell) -> tuple[Part | None, str]:
    """
    Run a job in this process, in which OpenCV has one thread meanwhile.

    :returns: its part and no error, or no part and the error: ``Type: text`` in one line.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return run(job, tell), ''
    except Exception as error:
        return None, in_words(error)
    finally:
        cv2.setNumThreads(threads)


def in_words(error: BaseException) -> str:
    """``Type: text`` of an error, in one line."""
    return f'{type(error).__name__}: {" ".join(str(error).split())}'


def packed_attempt(run: Callable[[Job, Tell], Part], job: Job, tell: Tell) -> bytes:
    """Run a job for another process; what comes back is for ``unpack``."""
    often = Throttle(tell)
    part, error = attempt(run, job, often)
    often.flush()
    try:
        return pickle.dumps((part, error), pickle.HIGHEST_PROTOCOL)
    except Exception as reason:
        return pickle.dumps((None, f'its part cannot be sent: {in_words(reason)}'))


def unpack(index: int, data: bytes) -> Outcome:
    """Outcome from the bytes of ``packed_attempt``."""
    try:
        part, error = pickle.loads(data)
    except Exception as reason:
        return Outcome(index, None, f'its part cannot be read: {in_words(reason)}')
    return Outcome(index, part, error)


class Throttle:
    """Passes on what a job tells ten times a second at most, and the last of it."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._next = 0.0
        self._held: tuple[int, int | None] | None = None

    def __call__(self, done: int, expected: int | None) -> None:
        """Pass on or hold back; the same as Tell."""
        self._held = done, expected
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Pass on what was held back."""
        if self._held is not None:
            self._tell(*self._held)
            self._held = None
            self._next = time.monotonic() + TELL_EVERY_S
