# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
An evaluation by several processes, each of which reads, predicts and scores parts of a data set.

The parts are of a fixed size and merged in the order of the data set, however many processes there
are: the figures are the same to the last bit. A sequence may go on from one part to the next.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol

import cv2

from ...errors import BackendError
from ...labels import ClassInfo
from ...structures import Frame, PanopticDepth, Sample
from ..settings import EvaluationSettings
from .evaluate import EvaluationResult, Evaluator

PART_FRAMES = 8
MOST_JOBS = 4

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""See mallopt(3)."""
_KEPT_BYTES = 256 << 20

Predictor = Callable[[Frame], PanopticDepth]


class Samples(Protocol):
    """A data set."""

    def __len__(self) -> int:
        """Count the samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Read one sample."""
        ...


@dataclass(frozen=True)
class Work:
    """
    What every process needs; all of it can be pickled.

    :param open_samples: opens the data set.
    :param open_predictor: loads the model, or whatever else the predictions are from.
    """

    open_samples: Callable[[], Samples]
    open_predictor: Callable[[], AbstractContextManager[Predictor]]
    settings: EvaluationSettings
    classes: tuple[ClassInfo, ...]


def evaluate_parts(work: Work, count: int, jobs: int = 1,
                   progress: Callable[[int], None] | None = None) -> EvaluationResult:
    """
    Evaluate the first ``count`` frames of a data set.

    :param jobs: processes; with 1 it is done in this one.
    :param progress: called with the number of frames done, after each part at least.
    :raises ConfigError, BackendError, ValueError: whatever goes wrong with a frame.
    :raises BackendError: when a process dies.
    """
    parts = [range(start, min(start + PART_FRAMES, count))
             for start in range(0, count, PART_FRAMES)]
    total = Evaluator(work.settings, work.classes)
    tell = progress or (lambda _: None)
    evaluators = _here(work, parts, tell) if jobs == 1 else _elsewhere(work, parts, jobs)
    for part, evaluator in zip(parts, evaluators, strict=True):
        total.merge(evaluator)
        tell(part.stop)
    return total.result()


def _here(work: Work, parts: Sequence[range], tell: Callable[[int], None]) -> Iterator[Evaluator]:
    samples = work.open_samples()
    with work.open_predictor() as predict:
        for part in parts:
            yield _score(work, samples, predict, part, tell)


def _elsewhere(work: Work, parts: Sequence[range], jobs: int) -> Iterator[Evaluator]:
    # Not forked: a runtime's threads do not survive that.
    pool = ProcessPoolExecutor(min(jobs, max(len(parts), 1)),
                               multiprocessing.get_context('spawn'), _start, (work,))
    try:
        for future in [pool.submit(_score_part, part) for part in parts]:
            yield future.result()
    except BrokenProcessPool:
        raise BackendError('evaluate: a process ended before its time, perhaps for want of '
                           f'memory; give fewer than {jobs} --jobs') from None
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass
class _Worker:
    """State of a process of the pool."""

    work: Work
    samples: Samples | None = None
    predict: Predictor | None = None


_worker: _Worker | None = None


def _start(work: Work) -> None:
    global _worker
    _worker = _Worker(work)
    become_worker()


def become_worker() -> None:
    """Set up a process that works for another one."""
    # Ctrl-C reaches every process of the terminal; here it ends it without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Each process has a core to itself.
    cv2.setNumThreads(1)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """
    Let this process use the memory of one frame again for the next, where its C library is glibc.

    Without, every image is given back to the system and asked for anew, page by page, which takes
    twice as long as decoding it. For whole programs only: it holds for all that they do.
    """
    with suppress(OSError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            set_option(option, _KEPT_BYTES)


def _score_part(part: range) -> Evaluator:
    assert _worker is not None
    # Not in _start, where an error would end the process without a word.
    if _worker.samples is None or _worker.predict is None:
        _worker.samples = _worker.work.open_samples()
        _worker.predict = _worker.work.open_predictor().__enter__()
    return _score(_worker.work, _worker.samples, _worker.predict, part)


def _score(work: Work, samples: Samples, predict: Predictor, part: range,
           tell: Callable[[int], None] | None = None) -> Evaluator:
    evaluator = Evaluator(work.settings, work.classes)
    for index in part:
        sample = samples[index]
        evaluator.add(sample.truth, predict(sample.frame), sample.sequence)
        if tell is not None:
            tell(index + 1)
    return evaluator
