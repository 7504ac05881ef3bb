# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Which TensorRT is here: ``tensorrt`` (10.3 to 11.x) or ``tensorrt_rtx``."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, cast

from ..errors import BackendError, ConfigError

LIBRARIES = ('tensorrt', 'tensorrt_rtx')
"""Module names, the one that find_library prefers first."""

_OLDEST = {'tensorrt': '10.3', 'tensorrt_rtx': '1.4'}

_INSTALL = {
    'tensorrt': "JetPack brings it; elsewhere: pip install 'panoptic-depth[tensorrt]'",
    'tensorrt_rtx': "pip install 'panoptic-depth[tensorrt-rtx]'",
}

# Only INFO for errors, too: many are attempts that the builder then does without; what ends a
# build or a run is in the exception.
_LEVELS = {'INTERNAL_ERROR': logging.INFO, 'ERROR': logging.INFO, 'WARNING': logging.INFO}
_ERRORS = ('INTERNAL_ERROR', 'ERROR')

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """
    One TensorRT that could be imported.

    :param module: what was imported.
    :param name: one of LIBRARIES.
    :param version: as the module says, for instance '10.3.0' or '1.7.1.116'.
    """

    module: Any = field(repr=False, compare=False)
    name: str
    version: str

    def __str__(self) -> str:
        return f'{self.name} {self.version}'

    @property
    def is_rtx(self) -> bool:
        """Whether it is TensorRT for RTX, whose engines are compiled once more where they run."""
        return self.name == 'tensorrt_rtx'

    def targets(self) -> tuple[str, ...]:
        """
        Compute capabilities that it can build for without such a GPU: 'sm_75', 'sm_86' ...

        None for full TensorRT, which measures on the GPU that it builds for.
        """
        if not self.is_rtx:
            return ()
        names = ' '.join(self.module.ComputeCapability.__members__)
        return tuple(f'sm_{number}' for number in sorted(map(int, re.findall(r'SM(\d+)', names))))

    @property
    def logger(self) -> Any:
        """Return what builder, parser and runtime are given; it feeds logging and errors()."""
        return _logger(self.module)

    def errors(self) -> AbstractContextManager[list[str]]:
        """Collect the texts of errors from all threads while the context lasts."""
        return cast('AbstractContextManager[list[str]]', self.logger.errors())


def find_library(name: str = '') -> Library:
    """
    Import TensorRT.

    :param name: one of LIBRARIES; empty: the first that is there.
    :raises ConfigError: for an unknown name.
    :raises BackendError: when there is none, it is too old or broken; the message says which.
    """
    if name and name not in LIBRARIES:
        raise ConfigError(f'library is {name!r}; choose {" or ".join(LIBRARIES)}, '
                          'or leave it empty')
    reasons = []
    for candidate in (name,) if name else LIBRARIES:
        try:
            library = _load(candidate)
        except BackendError as error:
            reasons.append(str(error))
            continue
        for reason in reasons:
            if 'is not installed' not in reason:
                _log.warning('%s; using %s', reason, library)
        return library
    raise BackendError('; '.join(reasons))


def _load(name: str) -> Library:
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise BackendError(f'{name} is not installed: {_INSTALL[name]}') from None
        raise _broken(name, error) from None
    except Exception as error:
        # Whatever a binary module without its libraries raises: ImportError, OSError, ...
        raise _broken(name, error) from None
    version = str(getattr(module, '__version__', ''))
    if not version:
        raise BackendError(f'{name}: {getattr(module, "__path__", module)} is not the module of '
                           'NVIDIA; rename it')
    if _numbers(version) < _numbers(_OLDEST[name]):
        raise BackendError(f'{name} is {version}, but {_OLDEST[name]} is the oldest that will do; '
                           f'{_INSTALL[name]}')
    return Library(module, name, version)


def _broken(name: str, error: Exception) -> BackendError:
    return BackendError(f'{name} is installed, but cannot be imported: {error}; '
                        f'install it again: {_INSTALL[name]}')


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r'\d+', version))


@cache
def _logger(module: Any) -> Any:
    """
    One logger per library and process.

    TensorRT keeps the first one that it is given for what belongs to no builder or runtime, so it
    must never go away.
    """
    class Logger(module.ILogger):
        def __init__(self) -> None:
            super().__init__()
            self._lock = threading.Lock()
            self._collectors: list[list[str]] = []

        def log(self, severity: Any, message: str) -> None:
            """Is called by TensorRT, from any thread."""
            _log.log(_LEVELS.get(severity.name, logging.DEBUG), '%s: %s', module.__name__, message)
            if severity.name in _ERRORS:
                with self._lock:
                    for collector in self._collectors:
                        collector.append(message)

        @contextmanager
        def errors(self) -> Iterator[list[str]]:
            found: list[str] = []
            with self._lock:
                self._collectors.append(found)
            try:
                yield found
            finally:
                with self._lock:
                    self._collectors = [c for c in self._collectors if c is not found]

    return Logger()
