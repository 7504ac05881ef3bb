# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Recordings in, a report out.

The parts of the recordings are merged in their order, however many workers there were: the report
has the same bytes. They stay in the folder of the report, so that a run that was interrupted, or
gets more recordings, scores only the missing ones.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from ...errors import ConfigError
from ...files import lock_folder
from ...machine import machine, versions
from ...workers.pool import Progress, Tell, in_words, run_jobs
from ..metrics.shown import MetricValue
from ..metrics.table import COUNTS
from ..report.folder import Written, claim_folder, write_report
from ..report.thresholds import Thresholds
from .evaluate_bag import BagJob, BagPart, evaluate_bag, failed_part
from .jobs import job_key
from .part_files import has_parts, load_part, remove_parts, save_part
from .scoring import BagScore, StepTimes
from .worst_frames import WorstFrame, worst_of

Job = TypeVar('Job')
Part = TypeVar('Part')

PARTS = 'parts'
"""Folder in that of the report."""


def evaluate_bags(jobs: Sequence[BagJob], folder: Path, *, title: str = '', workers: int = 1,
                  ray_address: str | None = None, overwrite: bool = False,
                  baseline: Path | None = None, thresholds: Thresholds | None = None,
                  progress: Progress = lambda index, frames, expected: None,
                  stopped: Callable[[], bool] = lambda: False) -> Written | None:
    """
    Score recordings and write the report.

    :param folder: of the report; parts of an earlier run in it are used where nothing changed.
    :param overwrite: score every recording anew.
    :param workers, ray_address, progress, stopped: see run_jobs.
    :returns: None when it was stopped before the end.
    :raises ConfigError: no recording could be scored, the folder cannot be written, or another
        program writes into it.
    """
    names = {job.name for job in jobs}
    if len(names) < max(len(jobs), 1):
        raise ConfigError(f'{len(jobs)} recordings with {len(names)} names; give at least one, '
                          'and each a name of its own')
    with lock_folder(folder) as output:
        parts = folder / PARTS
        claim_folder(folder, has_parts(parts))
        if overwrite:
            remove_parts(parts)
        keys = {job.name: job_key(job) for job in jobs}
        fresh = 0

        def load(job: BagJob) -> BagPart | None:
            part: BagPart | None = load_part(parts, job.name, keys[job.name])
            return part if all(path.exists() for path in job.viewers) else None

        def keep(job: BagJob, part: BagPart) -> None:
            nonlocal fresh
            output.check()
            if part.summary.get('ended_early'):
                # The next run does not take it: the recording may be whole again by then.
                keys[job.name] += ' ended early'
            save_part(parts, job.name, part, keys[job.name])
            fresh += part.summary['frames']

        start = time.perf_counter()
        total = _Total(jobs)
        for part in run_bags(evaluate_bag, jobs, done=load, keep=keep, failed=failed_part,
                             workers=workers, ray_address=ray_address, progress=progress,
                             stopped=stopped):
            output.check()
            total.add(part)
        if len(total.bags) < len(jobs):
            return None
        report = total.report(title or 'Evaluation of ' + (
            jobs[0].name if len(jobs) == 1 else f'{len(jobs)} recordings'))
        times = total.times_report(time.perf_counter() - start, fresh)

        def lines() -> Iterator[bytes]:
            for job, bag in zip(jobs, total.bags, strict=True):
                if bag['error'] is None and (part := load(job)) is not None:
                    yield gzip.decompress(part.lines)

        return write_report(
            folder, report, times, lines(),
            {name: frame.jpeg for name, frame in total.worst_by_path().items()},
            baseline=baseline, thresholds=thresholds)


def run_bags(run: Callable[[Job, Tell], Part], jobs: Sequence[Job], *,
             done: Callable[[Job], Part | None], keep: Callable[[Job, Part], None],
             failed: Callable[[Job, str], Part], workers: int = 1, ray_address: str | None = None,
             progress: Progress = lambda index, frames, expected: None,
             stopped: Callable[[], bool] = lambda: False) -> Iterator[Part]:
    """
    Run every job that is not done yet; only one part is in memory at a time.

    :param run, workers, ray_address: see run_jobs.
    :param done: returns the part that was kept for a job, now or by an earlier run, if any.
    :param keep: called in this process with every part as soon as it is finished.
    :param failed: makes the part of a job that failed, from the error in words; it is not kept.
    :param progress, stopped: see run_jobs; once stopped there are fewer parts than jobs.
    :returns: parts in the order of the jobs.
    :raises ConfigError, BackendError: see run_jobs, or ``keep`` fails.
    """
    todo = [index for index, job in enumerate(jobs) if done(job) is None]
    pending, errors = set(todo), dict[int, str]()
    with closing(run_jobs(
            run, [jobs[index] for index in todo], workers=workers, ray_address=ray_address,
            progress=lambda number, *told: progress(todo[number], *told),
            stopped=stopped)) as outcomes:
        for index, job in enumerate(jobs):
            while index in pending:
                outcome = next(outcomes, None)
                if outcome is None:
                    return
                ended = todo[outcome.job_index]
                if outcome.error is None:
                    keep(jobs[ended], outcome.result)
                else:
                    errors[ended] = in_words(outcome.error)
                pending.remove(ended)
                del outcome
            if stopped():
                return
            part = None if index in errors else done(job)
            yield failed(job, errors.get(
                index, 'its part was finished but is gone; run it again')
                ) if part is None else part


class _Total:
    """The parts so far, merged."""

    def __init__(self, jobs: Sequence[BagJob]) -> None:
        self._jobs = jobs
        self._settings = jobs[0].settings
        self._score: BagScore | None = None
        self._run: dict[str, Any] = {}
        self._model_ids: dict[str, None] = {}
        self._times = StepTimes()
        self._worst: list[WorstFrame] = []
        self.bags: list[dict[str, Any]] = []

    def add(self, part: BagPart) -> None:
        """Add the next recording."""
        if part.score is not None:
            part = self._merged(part, part.score)
        self.bags.append(part.summary)
        self._times.merge(part.times)
        self._worst = worst_of([self._worst, part.worst], self._settings.worst.count)

    def _merged(self, part: BagPart, score: BagScore) -> BagPart:
        if self._score is None:
            self._score, self._run = score, part.run
        elif score.rules.classes != self._score.rules.classes:
            job = next(job for job in self._jobs if job.name == part.name)
            return failed_part(job, 'its results have other classes than those of the first '
                                    'recording; evaluate it by itself')
        else:
            self._score.merge(score)
        self._model_ids[part.run['model_id']] = None
        return part

    def report(self, title: str) -> dict[str, Any]:
        """
        Return the content of report.json.

        :raises ConfigError: when nothing was scored.
        """
        if self._score is None:
            errors = '; '.join(f'{bag["name"]}: {bag["error"]}' for bag in self.bags)
            raise ConfigError(f'no recording could be scored: {errors}')
        metric_values, detail = self._score.summary()
        job = self._jobs[0]
        results = 'model' if job.model is not None else (
            'recorded' if job.results is None else str(job.results))
        return {
            'title': title,
            'run': {'results': results, 'model_sha256': '', 'backend': '',
                    'settings': {}, **self._run,
                    # Recorded results may be of one model here and of another one there.
                    'model_id': ', '.join(filter(None, self._model_ids)),
                    'evaluation': job.settings.model_dump(mode='json')},
            'bags': self.bags,
            'figures': {metric_value.name: metric_value.to_dict()
                        for metric_value in [*self._counts(), *metric_values]},
            'detail': detail,
            'worst': [{**frame.record, 'picture': path}
                      for path, frame in self.worst_by_path().items()]}

    def _counts(self) -> list[MetricValue]:
        on = f'{len(self.bags)} recordings'
        values = (sum(bag['error'] is not None for bag in self.bags),
                  sum(bag['frames'] for bag in self.bags),
                  sum(sum(bag['skipped'].values()) for bag in self.bags))
        return [MetricValue(name, value, on, kind)
                for (name, kind), value in zip(COUNTS.items(), values, strict=True)]

    def worst_by_path(self) -> dict[str, WorstFrame]:
        """Worst frames by the paths of their pictures in the report."""
        return {f'worst/{number:02d}.jpg': frame for number, frame in enumerate(self._worst, 1)}

    def times_report(self, wall_s: float, fresh: int) -> dict[str, Any]:
        """
        Return the content of times.json; parts of an earlier run keep their times.

        :param wall_s: of this run; fresh: frames that it scored.
        """
        return {'machine': {**machine(), **versions()}, 'wall_s': round(wall_s, 3),
                'frames_per_s': round(fresh / wall_s, 2) if fresh else None,
                **self._times.to_dict()}
