# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
An evaluation by several processes, each of which reads, predicts and scores parts of a data set.

The parts are of a fixed size and merged in the order of the data set, however many processes there
are: the figures are the same to the last bit. A sequence may go on from one part to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from typing import Protocol

from ...errors import BackendError
from ...labels import ClassInfo
from ...structures import Frame, PanopticDepth, Sample
from ...workers.pool import Outcome, Tell, WorkerError, run_jobs
from ..settings import EvaluationSettings
from .evaluate import EvaluationResult, Evaluator

PART_FRAMES = 8
MOST_JOBS = 4

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

    :param jobs: processes; 1 is this one.
    :param progress: called with the number of frames done, at least after each part.
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
            yield _score(work, samples, predict, part, lambda done, _: tell(done))


def _elsewhere(work: Work, parts: Sequence[range], jobs: int) -> Iterator[Evaluator]:
    early: dict[int, Outcome] = {}
    with closing(run_jobs(_Worker(work), parts, workers=jobs)) as outcomes:
        for index, part in enumerate(parts):
            while index not in early:
                outcome = next(outcomes)
                early[outcome.job_index] = outcome
            outcome = early.pop(index)
            if isinstance(outcome.error, WorkerError):
                raise BackendError(f'evaluate: frames {part.start} to {part[-1]}: {outcome.error}'
                                   f'; give fewer than {jobs} --jobs')
            if outcome.error is not None:
                raise outcome.error
            yield outcome.result


class _Worker:
    """Scores parts in another process, in which it opens data set and model only once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._opened: tuple[Samples, Predictor] | None = None
        self._stack = ExitStack()

    def __call__(self, part: range, tell: Tell) -> Evaluator:
        if self._opened is None:
            samples = self._work.open_samples()
            self._opened = samples, self._stack.enter_context(self._work.open_predictor())
        return _score(self._work, *self._opened, part, tell)


def _score(work: Work, samples: Samples, predict: Predictor, part: range,
           tell: Tell) -> Evaluator:
    evaluator = Evaluator(work.settings, work.classes)
    for index in part:
        sample = samples[index]
        evaluator.add(sample.truth, predict(sample.frame), sample.sequence)
        tell(index + 1, None)
    return evaluator
