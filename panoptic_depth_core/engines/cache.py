# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Engines on the disk, so that each is built once: NAME.engine, and NAME.json that describes it.

The JSON is written last and removed before its engine is replaced, so that it is never that of
another engine; an engine without one is not there. Engines that are not used any more stay, for
whoever wants to know why, until they are pruned: NAME.rejected failed its self-test, NAME.damaged
was not what NAME.json said.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from ..errors import BackendError, ConfigError
from ..files import write_atomic
from ..self_test import SelfTestReport
from ..status import Watch
from .key import EngineKey, file_name
from .lock import wait_for_lock
from .record import EngineRecord, EngineSelfTest, StoredEngine, read_record
from .trust import Untrusted, check_private, make_private, read_private

ENGINE, RECORD, NEW, REJECTED, DAMAGED = '.engine', '.json', '.new', '.rejected', '.damaged'
LOCK, RUNTIME, TIMING = '.lock', '.runtime', '.timing'

_PRIVATE = 0o600

_log = logging.getLogger(__name__)


def default_directory() -> Path:
    """
    Where engines are kept unless a directory is named.

    :raises ConfigError: when this user has no home directory.
    """
    # The XDG base directory specification: a relative path is to be ignored.
    caches = Path(os.environ.get('XDG_CACHE_HOME', ''))
    try:
        root = caches if caches.is_absolute() else Path.home() / '.cache'
    except RuntimeError:
        raise ConfigError('engine.cache_dir: this user has no home directory; '
                          'name a directory for engines') from None
    return root / 'panoptic_depth' / 'engines'


class EngineCache:
    """
    A directory of engines that belongs to this user alone.

    Nothing is made before something is stored. Every method raises ConfigError when the directory
    is there and not to be trusted.

    :param directory: None: default_directory().
    """

    def __init__(self, directory: Path | str | None = None) -> None:
        path = Path(directory).expanduser().absolute() if directory else default_directory()
        # Symbolic links above it are followed now, and what they lead to is checked.
        self.directory = path.parent.resolve() / path.name

    def path(self, key: EngineKey, suffix: str = ENGINE) -> Path:
        """Return the path of one of the files of an engine."""
        return self.directory / (key.name + suffix)

    def timing_path(self, key: EngineKey) -> Path:
        """Return the path of what was measured for the library and GPU of an engine."""
        name = f'{key.target}-{key.library}{key.library_version}-{key.gpu}'
        return self.directory / (file_name(name) + TIMING)

    def load(self, key: EngineKey) -> StoredEngine | None:
        """
        Read an engine; one that is damaged or may be of another user is set aside.

        :returns: None where there is none that can be trusted.
        :raises BackendError: when it was rejected.
        """
        if not self.is_there():
            return None
        record = None
        try:
            record = read_record(self.path(key, RECORD))
            if record.key != key:
                raise Untrusted('it is described as another one: '
                                + '; '.join(record.key.differences(key)))
            if record.rejected:
                raise BackendError(f'engine {key.name} is set aside: {record.rejected}; build it '
                                   'anew with the build policy force, or choose another backend '
                                   'or precision')
            engine = read_private(self.path(key), record.engine_bytes)
            if hashlib.sha256(engine).hexdigest() != record.engine_sha256:
                raise Untrusted('its SHA-256 is not that of its description')
        except FileNotFoundError:
            return None
        except (Untrusted, ConfigError, OSError) as error:
            if record is None or self._is_described_by(key, record):
                self._set_aside_damaged(key, str(error))
            return None
        return StoredEngine(self.path(key), record, engine)

    def store(self, key: EngineKey, engine: bytes) -> StoredEngine:
        """
        Keep an engine in place of what was there under this key; its self-test is to be run.

        :raises ConfigError: when it cannot be written; nothing half is left.
        """
        record = EngineRecord(
            key=key, engine_bytes=len(engine), engine_sha256=hashlib.sha256(engine).hexdigest(),
            built_at=datetime.now(timezone.utc))
        make_private(self.directory)
        with _writing(self.path(key)):
            write_atomic(self.path(key, NEW), engine, sync=True, mode=_PRIVATE)
            self.path(key, RECORD).unlink(missing_ok=True)
            self.path(key, NEW).replace(self.path(key))
            try:
                write_atomic(self.path(key, RECORD), record.to_json(), sync=True, mode=_PRIVATE)
            except BaseException:
                self._remove(key, ENGINE)
                raise
        # What the runtime compiled belongs to the engine that was there before.
        self._remove(key, REJECTED, DAMAGED, RUNTIME)
        return StoredEngine(self.path(key), record, engine)

    def set_tested(self, key: EngineKey, report: SelfTestReport) -> None:
        """Note that an engine has passed the self-test of its model."""
        test = EngineSelfTest(equal_ids=report.equal_ids, depth_error=report.depth_error)
        self._update(key, self_test=test)

    def set_aside(self, key: EngineKey, reason: str) -> None:
        """
        Use an engine no more, and say why whenever it is asked for; a forced build replaces it.

        :param reason: in one line, without a remedy.
        """
        _log.warning('engine %s is set aside: %s', key.name, reason)
        self._update(key, rejected=reason)
        with suppress(OSError):
            self.path(key).replace(self.path(key, REJECTED))

    def why_missing(self, key: EngineKey) -> str:
        """Say in which parts the nearest engine of the same model differs."""
        nearest: list[str] | None = None
        for record in self.records():
            found = record.key.differences(key)
            if record.key.model_id == key.model_id and not record.rejected and (
                    nearest is None or len(found) < len(nearest)):
                nearest = found
        if not nearest:
            return f'{self.directory} has no engine of {key.model_id}'
        return f'the nearest engine in {self.directory} differs in {"; ".join(nearest)}'

    def records(self) -> Iterator[EngineRecord]:
        """Every description that can be read; the engines themselves are not looked at."""
        for path in sorted(self.directory.glob('*' + RECORD)) if self.is_there() else ():
            with suppress(Untrusted, ConfigError, OSError):
                yield read_record(path)

    @contextmanager
    def lock(self, key: EngineKey, watch: Watch) -> Iterator[None]:
        """
        Be the only process that builds an engine, waiting for another one that does.

        :raises BuildCancelled: when watch ended the waiting.
        :raises ConfigError: when the directory cannot be made or used.
        """
        make_private(self.directory)
        with _writing(self.path(key, LOCK)):
            handle = wait_for_lock(self.path(key, LOCK), watch, f'which builds {key.name}')
        try:
            yield
        finally:
            os.close(handle)

    def timing_cache(self, key: EngineKey) -> bytes:
        """What the builder measured for this library and GPU; empty where nothing is known."""
        return self._read_extra(self.timing_path(key))

    def store_timing_cache(self, key: EngineKey, data: bytes) -> None:
        """Keep what the builder measured, for every engine of this library and GPU."""
        self._store_extra(self.timing_path(key), data)

    def runtime_cache(self, key: EngineKey) -> bytes:
        """What TensorRT for RTX compiled for this GPU when the engine was first loaded."""
        return self._read_extra(self.path(key, RUNTIME))

    def store_runtime_cache(self, key: EngineKey, data: bytes) -> None:
        """Keep what TensorRT for RTX compiled; it goes when the engine does."""
        self._store_extra(self.path(key, RUNTIME), data)

    def is_there(self) -> bool:
        """Whether the directory is there; it is checked then."""
        try:
            check_private(self.directory)
        except FileNotFoundError:
            return False
        return True

    def _is_described_by(self, key: EngineKey, record: EngineRecord) -> bool:
        """Whether a description is still there: if not, the engine was replaced meanwhile."""
        try:
            return read_record(self.path(key, RECORD)) == record
        except (Untrusted, ConfigError, OSError):
            return False

    def _set_aside_damaged(self, key: EngineKey, reason: str) -> None:
        _log.warning('%s is set aside, since %s', self.path(key), reason)
        # The directory may be one that is only read, as that of a model.
        with suppress(OSError):
            self.path(key).replace(self.path(key, DAMAGED))
        self._remove(key, RECORD)

    def _update(self, key: EngineKey, **changes: object) -> None:
        """Change a description; that it cannot be written is no reason to stop a robot."""
        path = self.path(key, RECORD)
        try:
            record = read_record(path).model_copy(update=changes)
            write_atomic(path, record.to_json(), sync=True, mode=_PRIVATE)
        except (Untrusted, ConfigError, OSError) as error:
            _log.warning('%s: %s is not noted: %s', path, ', '.join(changes), error)

    def _read_extra(self, path: Path) -> bytes:
        if not self.is_there():
            return b''
        try:
            return read_private(path)
        except FileNotFoundError:
            return b''
        except (Untrusted, OSError) as error:
            _log.warning('%s is not used: %s', path, error)
            return b''

    def _store_extra(self, path: Path, data: bytes) -> None:
        """Write what only saves time: that it cannot be written is no reason to stop."""
        make_private(self.directory)
        try:
            write_atomic(path, data, sync=True, mode=_PRIVATE)
        except ConfigError as error:
            _log.warning('%s', error)

    def _remove(self, key: EngineKey, *suffixes: str) -> None:
        for suffix in suffixes:
            with suppress(OSError):
                self.path(key, suffix).unlink()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """
    Turn errors of the disk into one line that names the file and the remedy.

    :raises ConfigError: for an OSError raised inside.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f'{path}: the engine cannot be written: {error.strerror}; free some '
                          'space, change permissions or choose another engine.cache_dir'
                          ) from error
