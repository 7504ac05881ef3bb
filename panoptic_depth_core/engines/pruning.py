# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What lies in a cache of engines, and what of it is of no use any more."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BackendError, ConfigError
from ..model_directory import ModelDirectory
from .cache import DAMAGED, ENGINE, LOCK, NEW, RECORD, REJECTED, RUNTIME, TIMING, EngineCache
from .cuda.driver import Gpu, find_gpu
from .key import EngineKey, this_system
from .library import LIBRARIES, find_library
from .lock import try_lock
from .record import EngineRecord, read_record
from .trust import Untrusted

_OF_AN_ENGINE = (ENGINE, REJECTED, DAMAGED, RUNTIME, RECORD)

_LEFT_OVER_S = 3600.0
"""A file that is being written is not older than this."""


@dataclass(frozen=True)
class CacheEntry:
    """
    One engine on the disk, usable or not, or another file of the cache.

    :param name: of its files, without suffix.
    :param record: None where it cannot be read.
    :param size_bytes: of all its files.
    :param problem: why it is not used, or was removed; empty for a good one.
    """

    name: str
    record: EngineRecord | None
    size_bytes: int
    problem: str = ''


@dataclass(frozen=True)
class Here:
    """
    What engines on this machine have to fit, as far as it is known.

    :param gpus: empty where there is none to be seen: then GPUs and drivers are not compared.
    :param library_versions: of those libraries that are installed; others are not compared.
    :param model: engines of another state of this model do not fit.
    """

    gpus: tuple[Gpu, ...]
    library_versions: dict[str, str]
    model: ModelDirectory

    @classmethod
    def look(cls, model: ModelDirectory) -> Here:
        """Look at this machine; neither a GPU nor TensorRT has to be there."""
        versions = {}
        for name in LIBRARIES:
            with suppress(BackendError):
                versions[name] = find_library(name).version
        return cls(tuple(_gpus()), versions, model)

    def why_unfit(self, key: EngineKey) -> str:
        """Name the parts of a key that are not those of this machine; empty if all are."""
        known = {'system': this_system()}
        if key.library in self.library_versions:
            known['library_version'] = self.library_versions[key.library]
        if key.model_id == self.model.info.model_id:
            of_model = EngineKey.of(self.model, key.library, key.library_version,
                                    key.compute_capability)
            known |= {'onnx_sha256': of_model.onnx_sha256,
                      'model_json_sha256': of_model.model_json_sha256}
        wanted = [key.model_copy(update={
            **known, 'gpu': gpu.name, 'compute_capability': gpu.compute_capability,
            'driver': gpu.driver, 'cuda': gpu.cuda}) for gpu in self.gpus]
        if key == key.portable():
            wanted = [one.portable() for one in wanted]
        found = [key.differences(one) for one in wanted or [key.model_copy(update=known)]]
        nearest = min(found, key=len)
        return '; '.join(nearest)


def entries(cache: EngineCache) -> list[CacheEntry]:
    """
    Every engine of a cache, by name; engines are not read, only their descriptions.

    :raises ConfigError: when the directory is not to be trusted.
    """
    if not cache.is_there():
        return []
    names = {path.name.removesuffix(path.suffix) for path in cache.directory.iterdir()
             if path.suffix in _OF_AN_ENGINE and not path.name.startswith('.')}
    return [_entry(cache, name) for name in sorted(names)]


def prune(cache: EngineCache, why_unfit: Callable[[EngineRecord], str]) -> list[CacheEntry]:
    """
    Remove engines that are not used or do not fit any more, and what was left over.

    What another process is building now stays.

    :param why_unfit: says why an engine does not fit; empty for one that is to stay.
    :returns: what was removed, with the reason as its problem.
    :raises ConfigError: when the directory is not to be trusted.
    """
    removed, timings = [], set()
    for entry in entries(cache):
        reason = entry.problem
        if entry.record is not None:
            reason = reason or why_unfit(entry.record)
        if reason and _remove_engine(cache, entry.name):
            removed.append(replace(entry, problem=reason))
        elif entry.record is not None:
            timings.add(cache.timing_path(entry.record.key))
    _remove_locks(cache)
    for path, reason in _left_over(cache, timings):
        size = path.lstat().st_size
        with suppress(OSError):
            path.unlink()
            removed.append(CacheEntry(path.name, None, size, reason))
    return removed


def _entry(cache: EngineCache, name: str) -> CacheEntry:
    paths = [cache.directory / (name + suffix) for suffix in _OF_AN_ENGINE]
    size = sum(path.lstat().st_size for path in paths if os.path.lexists(path))
    try:
        record = read_record(cache.directory / (name + RECORD))
    except FileNotFoundError:
        return CacheEntry(name, None, size, 'nothing says what it is')
    except (Untrusted, ConfigError, OSError) as error:
        return CacheEntry(name, None, size, str(error))
    if record.rejected:
        return CacheEntry(name, record, size, f'set aside: {record.rejected}')
    if not (cache.directory / (name + ENGINE)).is_file():
        return CacheEntry(name, record, size, 'its engine is missing')
    return CacheEntry(name, record, size)


def _remove_engine(cache: EngineCache, name: str) -> bool:
    """Remove all files of an engine, unless it is being built."""
    handle = try_lock(cache.directory / (name + LOCK))
    if handle is None:
        return False
    try:
        # The description first, since an engine without one is not there.
        for suffix in (RECORD, ENGINE, REJECTED, DAMAGED, RUNTIME, NEW):
            with suppress(OSError):
                (cache.directory / (name + suffix)).unlink()
    finally:
        os.close(handle)
    return True


def _remove_locks(cache: EngineCache) -> None:
    """Remove locks that nobody holds; they are empty but for the id of a process."""
    for path in cache.directory.glob('*' + LOCK) if cache.is_there() else ():
        with suppress(OSError):
            handle = try_lock(path)
            if handle is not None:
                path.unlink()
                os.close(handle)


def _left_over(cache: EngineCache, timings: set[Path]) -> Iterator[tuple[Path, str]]:
    """Files without an engine that needs them, with the reason."""
    for path in sorted(cache.directory.iterdir()) if cache.is_there() else ():
        if path.suffix == TIMING and path not in timings:
            yield path, 'no engine is left of what it was measured for'
        elif ((path.name.startswith('.') or path.suffix == NEW)
              and time.time() - path.lstat().st_mtime > _LEFT_OVER_S):
            yield path, 'its writing was broken off'


def _gpus() -> Iterator[Gpu]:
    """Every GPU that this process may see."""
    with suppress(ConfigError, BackendError):
        device_id = 0
        while True:
            yield find_gpu(device_id)
            device_id += 1
