# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
An evaluation by one or several processes, which read, predict and score parts of a data set.

The parts have a fixed size and are merged in the order of the data set, however many processes
there are: the metrics are the same to the last bit. A sequence may continue in the next part.
"""

from __future__ import annotations

from collections.abc import Callable
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
                   progress: Callable[[int], None] = lambda frames: None) -> EvaluationResult:
    """
    Evaluate the first ``count`` frames of a data set.

    :param jobs: processes; 1 is this one.
    :param progress: called with the number of frames done.
    :raises ConfigError, BackendError, ValueError: whatever goes wrong with a frame.
    :raises BackendError: when a process dies twice on the same part.
    """
    parts = [range(start, min(start + PART_FRAMES, count))
             for start in range(0, count, PART_FRAMES)]
    total = Evaluator(work.settings, work.classes)
    frames, early = [0] * len(parts), dict[int, Outcome]()

    def tell(index: int, done: int, _: int | None) -> None:
        frames[index] = done
        progress(sum(frames))

    with _Scorer(work) as score, closing(
            run_jobs(score, parts, workers=jobs, progress=tell)) as outcomes:
        for index, part in enumerate(parts):
            while index not in early:
                outcome = next(outcomes)
                early[outcome.job_index] = outcome
            _, evaluator, error = early.pop(index)
            if isinstance(error, WorkerError):
                raise BackendError(f'evaluate: frames {part.start} to {part[-1]}: {error}; give '
                                   f'fewer than {jobs} --jobs') from error
            if error is not None:
                raise error
            total.merge(evaluator)
    return total.result()


class _Scorer(ExitStack):
    """Scores parts in one process, in which it opens the data set and the model only once."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._opened: tuple[Samples, Predictor] | None = None

    def __call__(self, part: range, tell: Tell) -> Evaluator:
        work = self._work
        if self._opened is None:
            self._opened = work.open_samples(), self.enter_context(work.open_predictor())
        samples, predict = self._opened
        evaluator = Evaluator(work.settings, work.classes)
        for done, index in enumerate(part, 1):
            sample = samples[index]
            evaluator.add(sample.truth, predict(sample.frame), sample.sequence)
            tell(done, len(part))
        return evaluator
