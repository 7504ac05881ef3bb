# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Recordings in, a report out.

The parts of the recordings are merged in their order, however many processes there were: the
report has the same bytes. They stay in the folder of the report, so that a run that was
interrupted, or is given more recordings, scores only those that it has not got.
"""

from __future__ import annotations

import gzip
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ..machine import machine, versions
from ..metrics.shown import Figure
from ..metrics.table import COUNTS
from ..report.folder import Written, claim_folder, write_report
from ..report.thresholds import Thresholds
from .evaluate_bag import BagJob, BagPart, evaluate_bag, failed_part
from .fleet.one_job import Progress
from .fleet.part_files import has_parts, load_part, remove_parts, save_part
from .fleet.run_bags import run_bags
from .jobs import job_key
from .scoring import BagScore, StepTimes
from .worst_frames import WorstFrame, worst_of

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
    :param workers, ray_address, progress, stopped: see run_bags.
    :returns: None when it was stopped before the end.
    :raises ConfigError: no recording could be scored, or the folder cannot be written.
    """
    if len({job.name for job in jobs}) < max(len(jobs), 1):
        raise ConfigError(f'{len(jobs)} recordings with {len({job.name for job in jobs})} names; '
                          'give at least one, and each a name of its own')
    parts = folder / PARTS
    claim_folder(folder, has_parts(parts))
    if overwrite:
        remove_parts(parts)
    keys = {job.name: job_key(job) for job in jobs}

    def load(job: BagJob) -> BagPart | None:
        part: BagPart | None = load_part(parts, job.name, keys[job.name])
        return part if all(path.exists() for path in job.viewers) else None

    fresh = Counter[str]()

    def keep(job: BagJob, part: BagPart) -> None:
        save_part(parts, job.name, part, keys[job.name])
        fresh['frames'] += part.summary['frames']

    start = time.perf_counter()
    total = _Total(jobs)
    for part in run_bags(
            evaluate_bag, jobs, workers=workers, ray_address=ray_address, progress=progress,
            stopped=stopped, failed=failed_part, done=load, keep=keep):
        total.add(part)
    if len(total.bags) < len(jobs):
        return None
    report = total.report(title or _title(jobs))
    times = total.times_report(time.perf_counter() - start, fresh['frames'])
    scored = {bag['name'] for bag in total.bags if bag['error'] is None}

    def lines() -> Iterator[bytes]:
        for job in jobs:
            if job.name in scored and (part := load(job)) is not None:
                with gzip.GzipFile(fileobj=io.BytesIO(part.lines)) as packed:
                    yield from packed

    return write_report(folder, report, times, lines(), total.pictures(), baseline=baseline,
                        thresholds=thresholds)


def _title(jobs: Sequence[BagJob]) -> str:
    if len(jobs) == 1:
        return f'Replay of {jobs[0].name}'
    return f'Replay of {len(jobs)} recordings'


class _Total:
    """What is known of the recordings so far."""

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
        figures, detail = self._score.summary()
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
            'figures': {figure.name: figure.to_dict()
                        for figure in [*self._counts(), *figures]},
            'detail': detail,
            'worst': [{**frame.record, 'picture': name}
                      for name, frame in self._named_worst().items()]}

    def _counts(self) -> list[Figure]:
        on = f'{len(self.bags)} recordings'
        values = (sum(bag['error'] is not None for bag in self.bags),
                  sum(bag['frames'] for bag in self.bags),
                  sum(sum(bag['skipped'].values()) for bag in self.bags))
        return [Figure(name, value, on, kind)
                for (name, kind), value in zip(COUNTS.items(), values, strict=True)]

    def _named_worst(self) -> dict[str, WorstFrame]:
        return {f'worst/{number:02d}.jpg': frame for number, frame in enumerate(self._worst, 1)}

    def pictures(self) -> dict[str, bytes]:
        """Pictures of the worst frames by their path in the report."""
        return {name: frame.jpeg for name, frame in self._named_worst().items()}

    def times_report(self, wall_s: float, fresh: int) -> dict[str, Any]:
        """
        Return the content of times.json; parts of an earlier run keep their times.

        :param wall_s: of this run; fresh: frames that it scored.
        """
        return {'machine': {**machine(), **versions()}, 'wall_s': round(wall_s, 3),
                'frames_per_s': round(fresh / wall_s, 2) if fresh else None,
                **self._times.to_dict()}
