# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Many recordings, each by itself: in this process, in several, or on a Ray cluster.

A recording that fails costs nobody else anything. Parts are kept as they are finished, and given
back in the order of the recordings, so that what is made of them does not depend on who was first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

from .one_job import Job, Outcome, Part, Progress, Tell, attempt
from .process_fleet import by_processes
from .ray_fleet import by_ray


class _Stop(BaseException):
    """Ends a job of this process; not an error, so that no job takes it for one."""


def run_bags(run: Callable[[Job, Tell], Part], jobs: Sequence[Job], *,
             done: Callable[[Job], Part | None], keep: Callable[[Job, Part], None],
             failed: Callable[[Job, str], Part], workers: int = 1, ray_address: str | None = None,
             progress: Progress = lambda index, frames, expected: None,
             stopped: Callable[[], bool] = lambda: False) -> Iterator[Part]:
    """
    Run every job that is not done yet.

    Only what has failed, and the part at hand, are in memory: parts that are finished before their
    turn are read again when it comes.

    :param run: makes the part of a job; for other processes a function of a module. It is called
        for one job at a time in a process, with OpenCV's threads set to 1. What it raises fails
        its job alone.
    :param done: gives the part that was kept for a job, now or by an earlier run, if there is one.
    :param keep: called in this process with every part as soon as it is finished.
    :param failed: makes the part of a job that failed, from the error in words; it is not kept.
    :param workers: processes; with 1 it is done in this one.
    :param ray_address: see by_ray; in place of workers.
    :param progress: called in this process, a few times a second and job.
    :param stopped: whether to end at once; then there are fewer parts than jobs.
    :returns: parts in the order of jobs.
    :raises ConfigError, BackendError: when there is no fleet, or ``keep`` fails.
    """
    present = {index for index, job in enumerate(jobs) if done(job) is not None}
    todo = [index for index in range(len(jobs)) if index not in present]
    errors: dict[int, str] = {}
    if ray_address is not None:
        outcomes = by_ray(run, jobs, todo, ray_address, progress, stopped)
    elif workers > 1:
        outcomes = by_processes(run, jobs, todo, workers, progress, stopped)
    else:
        outcomes = _here(run, jobs, todo, progress, stopped)
    with closing(outcomes):
        for index, job in enumerate(jobs):
            part: Part | None = None
            while index not in present and index not in errors:
                outcome = next(outcomes, None)
                if outcome is None:
                    return
                if outcome.error:
                    errors[outcome.job_index] = outcome.error
                    continue
                keep(jobs[outcome.job_index], outcome.part)
                present.add(outcome.job_index)
                if outcome.job_index == index:
                    part = outcome.part
                del outcome
            if stopped():
                return
            if index in present and part is None:
                part = done(job)
                if part is None:
                    errors[index] = 'its part was finished, and is there no more; run it again'
            yield failed(job, errors[index]) if part is None else part


def _here(run: Callable[[Job, Tell], Part], jobs: Sequence[Job], todo: Sequence[int],
          progress: Progress, stopped: Callable[[], bool],
          ) -> Generator[Outcome, None, None]:
    for index in todo:
        def tell(done: int, expected: int | None, index: int = index) -> None:
            if stopped():
                raise _Stop
            progress(index, done, expected)

        if stopped():
            return
        try:
            part, error = attempt(run, jobs[index], tell)
        except _Stop:
            return
        yield Outcome(index, part, error)
