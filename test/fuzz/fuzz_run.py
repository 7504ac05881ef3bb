# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Damaged inputs by the thousand through the readers: ``make fuzz MINUTES=n``.

Each input is drawn from a generator of (seed, kind, number) and read in a worker process, so a
crash, a hang or a leak is found and known to be of this input. A round is 1000 pictures,
10 recordings and 280 other inputs; a run is 100 rounds, and more until its time is over.

    python test/fuzz/fuzz_run.py --minutes 10
    python test/fuzz/fuzz_run.py --only 'bag.mcap:17'      one input again, with its traceback
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
for _folder in (TESTS, TESTS / 'core/io', TESTS / 'fuzz'):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

ROUNDS = 100
LIMITS = {'PANOPTIC_DEPTH_MAX_PIXELS': str(1 << 20), 'PANOPTIC_DEPTH_MAX_BYTES': str(1 << 24),
          'PANOPTIC_DEPTH_MAX_SECONDS': '5'}
"""Small ones: what is larger has to be refused before it takes memory."""
MOST_MORE_BYTES = 2 << 30
"""Of address space beyond what the libraries take; beyond, allocations fail."""
MEGABYTE = 1 << 20


@dataclass
class Found:
    """What became of the inputs of a kind."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Offender:
    """An input that a reader did not bear."""

    kind: str
    number: int
    what: str
    details: str = ''


@dataclass
class Summary:
    """A run: name of a kind -> what was found, and the offenders."""

    found: dict[str, Found] = field(default_factory=dict)
    offenders: list[Offender] = field(default_factory=list)
    rounds: int = 0

    def table(self) -> str:
        """The table of kinds."""
        rows = [('kind', 'inputs', 'accepted', 'refused', 'slowest s', 'peak MB', 'offenders')]
        counts = Counter(offender.kind for offender in self.offenders)
        for name, one in sorted(self.found.items()):
            rows.append((name, str(one.inputs), str(one.accepted), str(one.refused),
                         f'{one.slowest_s:.2f}', f'{one.peak_mb:.0f}', str(counts[name])))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return '\n'.join('  '.join(
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows)


def _memory(name: str) -> float:
    """MB of this process by /proc, VmRSS or VmHWM; 0 where there is no /proc."""
    try:
        for line in Path('/proc/self/status').read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def _start_peak() -> float:
    """Let the peak of memory begin again; MB now."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        return _memory('VmHWM')
    return _memory('VmRSS')


def read_one(name: str, number: int, seed: int, folder: Path) -> tuple[str, str, float, float]:
    """
    Make and read one input.

    :returns: 'accepted', 'refused' or what is wrong; details; seconds; MB at the peak.
    """
    import numpy as np
    from fuzz_kinds import KINDS
    from panoptic_depth_core.errors import BackendError, ConfigError
    one = KINDS[name]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before, start, details = _start_peak(), time.perf_counter(), ''
    try:
        what = 'accepted' if one.read(rng, folder) else 'refused'
    except (ConfigError, BackendError) as error:
        what, details = 'refused', str(error)
        if 'fault of' in details or 'Traceback' in details:
            what = 'blames the program'
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        what, details = type(error).__name__, traceback.format_exc()
    seconds, peak = time.perf_counter() - start, max(_memory('VmHWM') - before, 0.0)
    if what in ('accepted', 'refused') and peak > one.megabytes:
        what, details = f'takes {peak:.0f} MB, more than {one.megabytes}', details
    return what, details, seconds, peak


def _work(pipe: Connection, seed: int, folder: str, quiet: bool) -> None:
    """Read the inputs that are named, and tell of each."""
    if quiet:
        # Decoders in C complain there.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
    os.environ.update(LIMITS)
    import cv2
    import fuzz_kinds
    cv2.setNumThreads(1)
    fuzz_kinds.entries()
    size = int(_memory('VmSize') * MEGABYTE)
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + MOST_MORE_BYTES,) * 2)
    while (task := pipe.recv()) is not None:
        pipe.send(read_one(*task, seed, Path(folder)))


class _Worker:
    """A process, and the input that it reads."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed, self._folder = seed, folder
        self.task: tuple[str, int] | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context('spawn')
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(
            other, self._seed, str(self._folder), True), daemon=True)
        self.process.start()
        other.close()

    def give(self, task: tuple[str, int], seconds: float) -> None:
        """Let it read an input, within seconds."""
        # A process that starts has libraries to load.
        self.until = time.monotonic() + seconds + 60.0 * (self.task is None)
        self.task = task
        self.pipe.send(task)

    def replace(self) -> str:
        """End the process, start another; how the first one ended."""
        self.process.join(timeout=1.0)
        ended = self.process.exitcode
        if ended is None:
            self.process.kill()
            self.process.join()
        self.pipe.close()
        self.task = None
        self._start()
        return 'hangs' if ended is None else f'ends the process ({ended})'

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def tasks(only: str | None, rounds: int, end: float, summary: Summary
          ) -> Iterator[tuple[str, int]]:
    """Names and numbers of inputs: so many rounds, and on until the time is over."""
    from fuzz_kinds import KINDS
    while summary.rounds < rounds or time.monotonic() < end:
        for name, one in KINDS.items():
            if only is None or name.startswith(only):
                first = summary.rounds * one.per_round
                yield from ((name, first + i) for i in range(one.per_round))
        summary.rounds += 1


def run(out: Path, *, seed: int = 0, rounds: int = ROUNDS, minutes: float = 0.0,
        workers: int = 1, only: str | None = None,
        todo: Iterator[tuple[str, int]] | None = None) -> Summary:
    """
    Read inputs in worker processes.

    :param out: for the offenders.
    :param todo: names and numbers, in place of rounds.
    """
    from fuzz_kinds import KINDS
    summary = Summary()
    todo = todo or tasks(only, rounds, time.monotonic() + 60.0 * minutes, summary)
    with tempfile.TemporaryDirectory(prefix='panoptic_depth_fuzz_') as temporary:
        pool = [_Worker(seed, Path(temporary) / str(i)) for i in range(workers)]
        try:
            busy = [worker for worker in pool if _next(worker, todo)]
            while busy:
                wait([worker.pipe for worker in busy], timeout=max(
                    0.0, min(worker.until for worker in busy) - time.monotonic()))
                for worker in list(busy):
                    if not _settled(worker, summary, KINDS, out, seed,
                                    Path(temporary) / str(pool.index(worker))):
                        continue
                    if not _next(worker, todo):
                        busy.remove(worker)
        finally:
            for worker in pool:
                worker.close()
    return summary


def _next(worker: _Worker, todo: Iterator[tuple[str, int]]) -> bool:
    from fuzz_kinds import KINDS
    task = next(todo, None)
    if task is None:
        return False
    worker.give(task, KINDS[task[0]].seconds)
    return True


def _settled(worker: _Worker, summary: Summary, kinds: Any, out: Path, seed: int,
             folder: Path) -> bool:
    """Take what a worker has found, if it has; also when it ended or hangs."""
    assert worker.task is not None
    name, number = worker.task
    try:
        if worker.pipe.poll():
            what, details, seconds, peak = worker.pipe.recv()
        elif time.monotonic() > worker.until:
            what, details, seconds, peak = worker.replace(), '', kinds[name].seconds, 0.0
        else:
            return False
    except (EOFError, OSError):
        what, details, seconds, peak = worker.replace(), '', 0.0, 0.0
    one = summary.found.setdefault(name, Found())
    one.inputs += 1
    one.accepted += what == 'accepted'
    one.refused += what == 'refused'
    one.slowest_s, one.peak_mb = max(one.slowest_s, seconds), max(one.peak_mb, peak)
    if what not in ('accepted', 'refused'):
        summary.offenders.append(Offender(name, number, what, details))
        print(f'{name}:{number}: {what}\n{details}', flush=True)
        place = out / f'{name.replace(" ", "_")}_{number}'
        shutil.rmtree(place, ignore_errors=True)
        if folder.is_dir():
            shutil.copytree(folder, place, symlinks=True)
        place.mkdir(parents=True, exist_ok=True)
        (place / 'what.txt').write_text(
            f'{what}\npython test/fuzz/fuzz_run.py --seed {seed} --only {name!r}:{number}\n'
            f'{details}')
    return True


def main(arguments: list[str] | None = None) -> int:
    """Run by arguments; 1 where there is an offender."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--minutes', type=float, default=0.0, help='at least')
    parser.add_argument('--rounds', type=int, default=ROUNDS, help='at least')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument('--out', type=Path, default=Path('fuzz_out'))
    parser.add_argument('--only', metavar='KIND[:NUMBER]', help='one kind, or one input of it')
    given = parser.parse_args(arguments)
    if given.only and given.only.rpartition(':')[2].isdigit():
        name, _, number = given.only.replace("'", '').rpartition(':')
        os.environ.update(LIMITS)
        what, details, seconds, peak = read_one(name, int(number), given.seed,
                                                given.out / 'again')
        print(f'{what} in {seconds:.2f} s, {peak:.0f} MB\n{details}')
        return int(what not in ('accepted', 'refused'))
    summary = run(given.out, seed=given.seed, rounds=given.rounds, minutes=given.minutes,
                  workers=given.workers, only=given.only)
    print(summary.table())
    pictures = sum(one.inputs for name, one in summary.found.items()
                   if name.partition('.')[0] in ('picture', 'compressed', 'raw image'))
    recordings = sum(one.inputs for name, one in summary.found.items()
                     if name.partition('.')[0] in ('bag', 'video'))
    print(f'{pictures} pictures and {recordings} recordings of seed {given.seed}: '
          f'{len(summary.offenders)} offenders'
          + (f', saved in {given.out}' if summary.offenders else ''))
    return int(bool(summary.offenders))


if __name__ == '__main__':
    sys.exit(main())
