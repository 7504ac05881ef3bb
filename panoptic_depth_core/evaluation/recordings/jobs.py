# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Which recordings to evaluate, their names, and whether one has changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import ConfigError
from ...files import natural
from ...io.bags.bag_files import is_bag, ros1_bag
from ...model_directory import open_model
from ...workers.ray_cluster import code_digest
from ..report.files import REPORT
from .evaluate_bag import BagJob


def find_bags(paths: Sequence[Path], report: Path | None = None) -> list[Path]:
    """
    Find recordings that are given by themselves or in folders, each once.

    :param report: a folder to leave out, like any with a report in it: files for viewers look
        like recordings.
    :raises ConfigError: a path does not exist, or a folder has no recording in it.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise ConfigError(f'{path}: no such file or folder; give rosbag2 recordings, or '
                              'folders of them')
        inside = [path] if is_bag(path) else _bags_below(path, report)
        if not inside:
            raise ConfigError(ros1_bag(path) or f'{path}: is no recording and has none in it; '
                              'give a rosbag2 folder, a .mcap or .db3 file, or a folder of such '
                              'folders')
        for bag in inside:
            found.setdefault(bag.resolve(), bag)
    return list(found.values())


def _bags_below(folder: Path, report: Path | None) -> list[Path]:
    """Recordings in a folder and below, sorted; not the storage files inside of one."""
    if not folder.is_dir() or (folder / REPORT).is_file() or (
            report is not None and folder.resolve() == report.resolve()):
        return []
    bags: list[Path] = []
    for path in sorted(folder.iterdir(), key=lambda path: natural(path.name)):
        if path.is_dir() and is_bag(path):
            bags.append(path)
        elif path.is_dir() and not path.is_symlink():
            bags += _bags_below(path, report)
    return bags


def bag_names(paths: Sequence[Path]) -> list[str]:
    """
    Name recordings by the last parts of their paths, as few as tell them apart.

    :param paths: all different.
    """
    whole = [path.resolve() for path in paths]
    parts = [(*path.parts[1:-1], path.stem if path.is_file() else path.name) for path in whole]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ['/'.join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    # A folder and a file that differ only in the suffix.
    return list(map(str, whole))


def beside(path: Path | None, bag: Path, alone: bool) -> Path | None:
    """
    Find the recording of results that belongs to a bag.

    :param path: the recording, or a folder of recordings with the names of the bags.
    :param alone: whether there is only one bag.
    :raises ConfigError: there is none of that name.
    """
    if path is None or (alone and is_bag(path)):
        return path
    found = path / bag.name
    if not found.exists():
        raise ConfigError(f'{found}: no such recording; for several bags give a folder that has '
                          'one of the same name for each')
    return found


def job_key(job: BagJob) -> str:
    """
    Digest of all that a part of the report depends on.

    Files count by name, size and time of change, a model by its digest, and this program by its
    source: another version may give other metrics.
    """
    lines = [code_digest(), repr(replace(job, model=None))]
    if job.model is not None:
        model = open_model(job.model.model)
        lines += [repr(job.model), model.info.model_dump_json()]
    for path in filter(None, (job.path, job.results, job.reference, job.calibration,
                              job.camera.file)):
        files = sorted(path.rglob('*')) if path.is_dir() else [path]
        states = ((file, file.stat()) for file in files if file.is_file())
        lines += [f'{file} {state.st_size} {state.st_mtime_ns}' for file, state in states]
    return hashlib.sha256('\n'.join(lines).encode('utf-8', 'surrogatepass')).hexdigest()
