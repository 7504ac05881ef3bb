# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Engines on the disk, each built once: NAME.engine, and NAME.json that describes it.

The JSON is written last and removed before its engine is replaced, so it never describes another
engine; an engine without JSON does not count. Until they are pruned, unusable engines are kept
for whoever wants to know why: NAME.rejected failed its self-test, NAME.damaged did not match
NAME.json.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from ..config import Settings, parse_settings
from ..errors import BackendError, ConfigError
from ..files import disk_errors, write_atomic
from ..locks import lock_holder, try_lock, wait_for_lock
from ..model_directory import SelfTestReport
from ..status import Watch
from . import Build, BuildCancelled
from .key import EngineKey, file_name
from .private_files import check_private_folder, make_private_folder, read_private

BuildPolicy = Literal['auto', 'never', 'only', 'force']
"""As engine.build_policy; 'only' works like 'auto' here: to end then is up to the caller."""

_ENGINE, _RECORD, _NEW, _REJECTED, _DAMAGED = '.engine', '.json', '.new', '.rejected', '.damaged'
_LOCK, _RUNTIME, _TIMING = '.lock', '.runtime', '.timing'
_OF_AN_ENGINE = (_RECORD, _ENGINE, _REJECTED, _DAMAGED, _RUNTIME)
"""The record first: it is removed first."""

_PRIVATE = 0o600
_LEFT_OVER_S = 3600.0
"""A temporary file older than this is not being written any more."""

_log = logging.getLogger(__name__)


class EngineSelfTest(Settings):
    """Difference of the engine to the reference of the model; see self_test.SelfTest."""

    equal_ids: float
    depth_error: float


class EngineRecord(Settings):
    """Content of NAME.json, which describes NAME.engine."""

    format_version: Literal[1] = 1
    key: EngineKey
    engine_bytes: int = Field(gt=0)
    engine_sha256: str = Field(pattern='^[0-9a-f]{64}$')
    built_at: AwareDatetime
    self_test: EngineSelfTest | None = Field(None, description='none: not run yet')
    rejected: str = Field('', description='why the engine is not used')


@dataclass(frozen=True)
class StoredEngine:
    """An engine of the cache; load these bytes, which were checked, and not the file again."""

    path: Path
    record: EngineRecord
    engine: bytes = field(repr=False)

    @property
    def key(self) -> EngineKey:
        """Key under which it is stored."""
        return self.record.key

    @property
    def is_tested(self) -> bool:
        """Whether it has passed the self-test of the model on this machine."""
        return self.record.self_test is not None


@dataclass(frozen=True)
class CacheEntry:
    """
    One engine on the disk, usable or not, or another file of the cache.

    :param name: of its files, without suffix; size_bytes is that of all of them.
    :param record: None where it cannot be read.
    :param problem: why it is not used, or was removed; empty for a good one.
    """

    name: str
    record: EngineRecord | None
    size_bytes: int
    problem: str = ''


class EngineCache:
    """
    A folder of engines that belongs to this user alone; created when something is stored.

    Every method raises ConfigError when others may write to the folder, see private_files, or
    when the disk fails.

    :param directory: None: default_directory().
    """

    def __init__(self, directory: Path | str | None = None) -> None:
        path = Path(directory).expanduser().absolute() if directory else default_directory()
        # Symbolic links above it are resolved now, and what they point to is checked.
        self.directory = path.parent.resolve() / path.name

    def path(self, key: EngineKey, suffix: str = _ENGINE) -> Path:
        """Path of one of the files of an engine."""
        return self.directory / (key.name + suffix)

    def runtime_path(self, key: EngineKey) -> Path:
        """Path of what TensorRT for RTX compiled of an engine for this GPU."""
        return self.path(key, _RUNTIME)

    def timing_path(self, key: EngineKey) -> Path:
        """Path of what the builder measured for the library and GPU of an engine."""
        name = f'{key.target}-{key.library}{key.library_version}-{key.gpu}'
        return self.directory / (file_name(name) + _TIMING)

    def obtain(self, key: EngineKey, build: Build, policy: BuildPolicy = 'auto',
               watch: Watch | None = None, alternatives: Sequence[EngineCache] = ()
               ) -> StoredEngine:
        """
        Return the engine of a key, which is stored here under exactly this key afterwards.

        An engine of TensorRT for RTX that was built ahead of time fits every GPU of its compute
        capability; it is copied under the key of this machine, as its self-test holds here only.

        :param watch: called while waiting and building; it may cancel both.
        :param alternatives: other folders of engines, which are only read. The caller vouches for
            them: an engine is code, and whoever unpacks an archive owns its files.
        :raises BackendError: when there is none and the policy is 'never', when it was rejected,
            or the build fails.
        :raises BuildCancelled: when watch returned False.
        """
        watch = watch or (lambda share, what: True)
        wanted_at = datetime.now(timezone.utc)
        ahead_of_time = None
        if policy != 'force':
            if found := self.load(key):
                return found
            ahead_of_time = _built_ahead_of_time(key, (self, *alternatives))
            if ahead_of_time is None and policy == 'never':
                raise BackendError(
                    f'no engine fits: {self.why_missing(key)}; build one with `panoptic-depth '
                    'build-engine`, or with the build policy auto')
        with self.lock(key, watch):
            # Another process may have built it meanwhile.
            found = self._built_since(key, wanted_at) if policy == 'force' else self.load(key)
            if found:
                return found
            if ahead_of_time is not None:
                return self.store(key, ahead_of_time.engine)
            _log.info('building engine %s: %s', key.name,
                      'forced' if policy == 'force' else self.why_missing(key))
            built = build(self.load_extra(self.timing_path(key)), watch)
            stored = self.store(key, built.engine)
            if built.timing_cache:
                self.store_extra(self.timing_path(key), built.timing_cache)
        return stored

    def load(self, key: EngineKey) -> StoredEngine | None:
        """
        Read an engine; one that is damaged or that others may have written is set aside.

        :returns: None where there is none that can be used.
        :raises BackendError: when it was rejected.
        """
        if not self._exists():
            return None
        record = None
        try:
            record = self._read_record(key.name)
            if record.key != key:
                raise ConfigError('its description is that of another engine: '
                                  + '; '.join(record.key.differences(key)))
            if record.rejected:
                raise BackendError(f'engine {key.name} is set aside: {record.rejected}; build it '
                                   'anew with the build policy force, or choose another backend '
                                   'or precision')
            engine = read_private(self.path(key), record.engine_bytes)
            if hashlib.sha256(engine).hexdigest() != record.engine_sha256:
                raise ConfigError('its SHA-256 is not that of its description')
        except FileNotFoundError:
            return None
        except (ConfigError, OSError) as error:
            if record is None or self._is_described_by(key, record):
                self._set_aside_damaged(key, error)
            return None
        return StoredEngine(self.path(key), record, engine)

    def store(self, key: EngineKey, engine: bytes) -> StoredEngine:
        """Replace the engine of a key, whole or not at all; its self-test is still to be run."""
        record = EngineRecord(
            key=key, engine_bytes=len(engine), engine_sha256=hashlib.sha256(engine).hexdigest(),
            built_at=datetime.now(timezone.utc))
        make_private_folder(self.directory)
        with disk_errors(self.path(key)):
            write_atomic(self.path(key, _NEW), engine, sync=True, mode=_PRIVATE)
            self.path(key, _RECORD).unlink(missing_ok=True)
            self.path(key, _NEW).replace(self.path(key))
            try:
                self._write_record(record)
            except BaseException:
                self._remove(key.name, _ENGINE)
                raise
        # What the runtime compiled belongs to the previous engine.
        self._remove(key.name, _REJECTED, _DAMAGED, _RUNTIME)
        return StoredEngine(self.path(key), record, engine)

    def set_tested(self, key: EngineKey, report: SelfTestReport) -> None:
        """Note that an engine has passed the self-test of its model."""
        self._update(key, self_test=EngineSelfTest(equal_ids=report.equal_ids,
                                                   depth_error=report.depth_error))

    def set_aside(self, key: EngineKey, reason: str) -> None:
        """Use an engine no more, and give the reason whenever it is wanted, until a new build."""
        _log.warning('engine %s is set aside: %s', key.name, reason)
        self._update(key, rejected=reason)
        with suppress(OSError):
            self.path(key).replace(self.path(key, _REJECTED))

    def why_missing(self, key: EngineKey) -> str:
        """Name the parts in which the nearest engine of the same model differs."""
        nearest = min((entry.record.key.differences(key) for entry in self.entries()
                       if entry.record and entry.record.key.model_id == key.model_id
                       and not entry.record.rejected), key=len, default=None)
        if not nearest:
            return f'{self.directory} has no engine of {key.model_id}'
        return f'the nearest engine in {self.directory} differs in {"; ".join(nearest)}'

    @contextmanager
    def lock(self, key: EngineKey, watch: Watch) -> Iterator[None]:
        """
        Be the only process that builds an engine, waiting for another one that does.

        :raises BuildCancelled: when the watch ended the waiting.
        """
        make_private_folder(self.directory)
        path = self.path(key, _LOCK)

        def what(holder: str) -> str:
            # Without its command, which is too long beside a bar.
            return f'waiting for process {holder.partition(" (")[0]}, which builds {key.name}'

        with disk_errors(path):
            handle = wait_for_lock(path, lambda pid: watch(math.nan, what(pid)))
        if handle is None:
            raise BuildCancelled(f'{what(lock_holder(path))}, was cancelled')
        try:
            yield
        finally:
            os.close(handle)

    def load_extra(self, path: Path) -> bytes:
        """Read a file of runtime_path or timing_path; empty where there is none to be used."""
        if self._exists():
            try:
                return read_private(path)
            except FileNotFoundError:
                pass
            except (ConfigError, OSError) as error:
                _log.warning('%s is not used: %s', path, error)
        return b''

    def store_extra(self, path: Path, data: bytes) -> None:
        """Write such a file; it only saves time, so that a failure is no reason to stop."""
        make_private_folder(self.directory)
        try:
            write_atomic(path, data, sync=True, mode=_PRIVATE)
        except ConfigError as error:
            _log.warning('%s', error)

    def entries(self) -> list[CacheEntry]:
        """Every engine, by name; only their descriptions are read."""
        names = {path.stem for path in self._files()
                 if path.suffix in _OF_AN_ENGINE and not path.name.startswith('.')}
        return [self._entry(name) for name in sorted(names)]

    def prune(self, why_unfit: Callable[[EngineRecord], str]) -> list[CacheEntry]:
        """
        Remove engines that are unusable or do not fit any more, and left-over files.

        What another process is building stays.

        :param why_unfit: says why an engine does not fit; empty: it stays.
        :returns: what was removed, with the reason as its problem.
        """
        removed, timings = [], set()
        for entry in self.entries():
            reason = entry.problem or (why_unfit(entry.record) if entry.record else '')
            if reason and self._remove_unlocked(entry.name, *_OF_AN_ENGINE, _NEW):
                removed.append(replace(entry, problem=reason))
            elif entry.record is not None:
                timings.add(self.timing_path(entry.record.key))
        for path in self._files():
            if path.suffix == _LOCK:
                self._remove_unlocked(path.stem)
            elif reason := _why_left_over(path, timings):
                with suppress(OSError):
                    size = path.lstat().st_size
                    path.unlink()
                    removed.append(CacheEntry(path.name, None, size, reason))
        return removed

    def _built_since(self, key: EngineKey, since: datetime) -> StoredEngine | None:
        with suppress(BackendError):
            found = self.load(key)
            if found and found.record.built_at >= since:
                return found
        return None

    def _exists(self) -> bool:
        """Whether the folder exists; it is checked then."""
        try:
            check_private_folder(self.directory)
        except FileNotFoundError:
            return False
        return True

    def _files(self) -> list[Path]:
        return sorted(self.directory.iterdir()) if self._exists() else []

    def _entry(self, name: str) -> CacheEntry:
        paths = [self.directory / (name + suffix) for suffix in _OF_AN_ENGINE]
        size = sum(path.lstat().st_size for path in paths if os.path.lexists(path))
        record, problem = None, ''
        try:
            record = self._read_record(name)
        except FileNotFoundError:
            problem = 'it has no description'
        except (ConfigError, OSError) as error:
            problem = str(error)
        else:
            if record.rejected:
                problem = f'set aside: {record.rejected}'
            elif not (self.directory / (name + _ENGINE)).is_file():
                problem = 'its engine is missing'
        return CacheEntry(name, record, size, problem)

    def _read_record(self, name: str) -> EngineRecord:
        """Read NAME.json; ConfigError, beside OSError, if it is damaged or not private."""
        path = self.directory / (name + _RECORD)
        try:
            values = json.loads(read_private(path))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f'{path.name}: not valid JSON: {error}') from None
        return parse_settings(EngineRecord, values, path.name)

    def _write_record(self, record: EngineRecord) -> None:
        text = json.dumps(record.model_dump(mode='json'), indent=1) + '\n'
        write_atomic(self.path(record.key, _RECORD), text.encode(), sync=True, mode=_PRIVATE)

    def _update(self, key: EngineKey, **changes: object) -> None:
        """Change a description; a failure to write it is no reason to stop a robot."""
        try:
            self._write_record(self._read_record(key.name).model_copy(update=changes))
        except (ConfigError, OSError) as error:
            _log.warning('%s: %s cannot be noted: %s', self.path(key, _RECORD),
                         ', '.join(changes), error)

    def _is_described_by(self, key: EngineKey, record: EngineRecord) -> bool:
        """Whether a description is still there: if not, the engine was replaced meanwhile."""
        try:
            return self._read_record(key.name) == record
        except (ConfigError, OSError):
            return False

    def _set_aside_damaged(self, key: EngineKey, error: Exception) -> None:
        _log.warning('%s is set aside: %s', self.path(key), error)
        # The folder may be read-only, as that of a model.
        with suppress(OSError):
            self.path(key).replace(self.path(key, _DAMAGED))
        self._remove(key.name, _RECORD)

    def _remove_unlocked(self, name: str, *suffixes: str) -> bool:
        """Remove files of an engine, and its lock, unless it is being built."""
        with suppress(OSError):
            if (handle := try_lock(self.directory / (name + _LOCK))) is not None:
                self._remove(name, *suffixes, _LOCK)
                os.close(handle)
                return True
        return False

    def _remove(self, name: str, *suffixes: str) -> None:
        for suffix in suffixes:
            with suppress(OSError):
                (self.directory / (name + suffix)).unlink()


def default_directory() -> Path:
    """Where engines are kept by default; ConfigError if this user has no home directory."""
    # The XDG base directory specification: a relative path is to be ignored.
    caches = Path(os.environ.get('XDG_CACHE_HOME', ''))
    try:
        root = caches if caches.is_absolute() else Path.home() / '.cache'
    except RuntimeError:
        raise ConfigError('engine.cache_dir: this user has no home directory; '
                          'name a folder for engines') from None
    return root / 'panoptic_depth' / 'engines'


def _built_ahead_of_time(key: EngineKey, places: Sequence[EngineCache]) -> StoredEngine | None:
    """Look for the engine of a key, or of its portable one."""
    keys = (key, key.portable()) if key.library == 'tensorrt_rtx' else (key,)
    for place in places:
        try:
            for one in keys:
                if found := place.load(one):
                    return found
        except (BackendError, ConfigError) as error:
            _log.warning('%s is skipped: %s', place.directory, error)
    return None


def _why_left_over(path: Path, timings: set[Path]) -> str:
    """Why nothing needs a file; empty if it may be needed."""
    if path.suffix == _TIMING and path not in timings and not path.name.startswith('.'):
        return 'no engine is left of the library and GPU that it was measured for'
    if ((path.name.startswith('.') or path.suffix == _NEW)
            and time.time() - path.lstat().st_mtime > _LEFT_OVER_S):
        return 'it was not written to the end'
    return ''

