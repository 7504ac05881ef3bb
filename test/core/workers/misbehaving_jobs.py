# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Jobs that do what recordings can do to a process, and where their parts are kept."""

from __future__ import annotations

import os
import pickle
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.metrics.distance import DistanceMetric, InstanceRecord
from panoptic_depth_core.evaluation.recordings.part_files import file_name
from panoptic_depth_core.files import make_folder, write_atomic
from panoptic_depth_core.workers import pool

NAMES = ('a', 'b', 'c', 'd', 'e')


@dataclass(frozen=True)
class Job:
    """
    A recording.

    :param does: what it does to its process.
    :param notes: folder in which it notes its process each time that it is run.
    """

    name: str
    notes: Path
    does: str = 'works'
    frames: int = 5

    def runs(self) -> list[int]:
        """Process ids of its runs."""
        path = self.notes / self.name
        return [int(line) for line in path.read_text().split()] if path.exists() else []


@dataclass
class Store:
    """Parts in a folder; what was kept, in order, and what failed."""

    folder: Path
    kept: list[str] = field(default_factory=list)
    frames: dict[int, tuple[int, int | None]] = field(default_factory=dict)

    def done(self, job: Job):
        path = self.folder / file_name(job.name)
        return pickle.loads(path.read_bytes()) if path.exists() else None

    def keep(self, job: Job, part) -> None:
        write_atomic(make_folder(self.folder) / file_name(job.name), pickle.dumps(part))
        self.kept.append(job.name)

    def failed(self, job: Job, error: str):
        return {'name': job.name, 'error': error}

    def progress(self, index: int, frames: int, expected: int | None) -> None:
        self.frames[index] = frames, expected

    def callbacks(self):
        return {'done': self.done, 'keep': self.keep, 'failed': self.failed,
                'progress': self.progress}


def run_job(job: Job, tell):
    """Score frames of random numbers that the name stands for."""
    with (job.notes / job.name).open('a') as file:
        file.write(f'{os.getpid()}\n')
    rng = np.random.default_rng(list(job.name.encode()))
    score, sums = DistanceMetric(), np.zeros(3)
    for frame in range(job.frames):
        if frame == job.frames - 1:
            misbehave(job)
        sums += rng.uniform(size=3)
        score.append(InstanceRecord(13, 200, *map(float, rng.uniform(5, 50, 1)), True, 10.0))
        tell(frame + 1, job.frames)
        if job.does == 'is slow':
            time.sleep(0.05)
    if job.does == 'cannot be sent':
        return {'name': job.name, 'score': lambda: None}
    return {'name': job.name, 'score': score, 'sums': sums, 'threads': cv2.getNumThreads()}


def die_at_start(*_: object) -> None:
    """End a worker before it has a job."""
    os._exit(3)


def die_at_first_start(*assigned: Any) -> None:
    """The same, in the first worker only."""
    job = assigned[1][0]
    if not (job.notes / 'started').exists():
        (job.notes / 'started').touch()
        os._exit(3)
    pool._start_worker(*assigned)


def misbehave(job: Job) -> None:
    """Fail in the last frame."""
    if job.does == 'is wrong':
        raise ConfigError(f'{job.name}: no image in it;\n give another one')
    if job.does == 'is a bug':
        raise KeyError('stamp')
    if job.does == 'exits':
        os._exit(3)
    if job.does == 'is killed' or (job.does == 'is killed once' and len(job.runs()) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if job.does == 'never ends':
        while True:
            time.sleep(0.05)


def metric_values(parts) -> list:
    """What has to be equal however parts were made."""
    total, found = DistanceMetric(), []
    for part in parts:
        if 'score' in part:
            total.merge(part['score'])
            # Whoever merges parts adds to the arrays of the first one.
            part['sums'] += 0
        found.append((part['name'], part.get('error'), part.get('threads'),
                      part['sums'].tolist() if 'sums' in part else None))
    return [*found, total.result().all]
