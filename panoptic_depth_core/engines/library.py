# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the installed TensorRT: ``tensorrt`` (10.3 to 11.x) or ``tensorrt_rtx``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from ..errors import BackendError, ConfigError

LIBRARIES = ('tensorrt', 'tensorrt_rtx')
"""Module names; find_library prefers the first."""

NO_MEMORY = re.compile('out ?of ?memory|memory ?allocation', re.IGNORECASE)
"""How TensorRT says that the GPU has too little memory."""

_OLDEST = {'tensorrt': '10.3', 'tensorrt_rtx': '1.4'}

_INSTALL = {
    'tensorrt': "JetPack brings it; elsewhere: pip install 'panoptic-depth[tensorrt]'",
    'tensorrt_rtx': "pip install 'panoptic-depth[tensorrt-rtx]'",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """One TensorRT that could be imported; its version is such as '10.3.0' or '1.7.1.116'."""

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
        """Compute capabilities that it can build for without such a GPU: 'sm_75', 'sm_86' ..."""
        if not self.is_rtx:
            # Full TensorRT measures on the GPU that it builds for.
            return ()
        names = ' '.join(self.module.ComputeCapability.__members__)
        return tuple(f'sm_{number}' for number in sorted(map(int, re.findall(r'SM(\d+)', names))))

    @property
    def logger(self) -> Any:
        """Logger for builder, parser and runtime; it feeds logging and errors()."""
        return _logger(self.module)

    @contextmanager
    def errors(self) -> Iterator[list[str]]:
        """Collect the error messages of all threads while the context lasts."""
        found: list[str] = []
        self.logger.collectors[id(found)] = found
        try:
            yield found
        finally:
            del self.logger.collectors[id(found)]


def find_library(name: str = '') -> Library:
    """
    Import TensorRT.

    :param name: one of LIBRARIES; empty: the first that works.
    :raises ConfigError: for an unknown name.
    :raises BackendError: when it is missing, too old or broken; the message says which.
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


def installed_versions() -> dict[str, str]:
    """Version of each of LIBRARIES that can be used."""
    versions = {}
    for name in LIBRARIES:
        with suppress(BackendError):
            versions[name] = find_library(name).version
    return versions


def one_line(errors: Sequence[str]) -> str:
    """Error messages in one line, each once."""
    return '; '.join(dict.fromkeys(' '.join(error.split()) for error in errors)) \
        or 'it gives no reason'


def _load(name: str) -> Library:
    try:
        module = import_module(name)
    # A binary module without its libraries raises ImportError, OSError, ...
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise BackendError(f'{name} is not installed: {_INSTALL[name]}') from None
        raise BackendError(f'{name} is installed, but cannot be imported: {error}; '
                           f'install it again: {_INSTALL[name]}') from None
    version = str(getattr(module, '__version__', ''))
    if not version:
        raise BackendError(f'{name}: {getattr(module, "__path__", module)} is not the module of '
                           'NVIDIA; rename it')
    if _numbers(version) < _numbers(_OLDEST[name]):
        raise BackendError(f'{name} is {version}, but {_OLDEST[name]} is the oldest version that '
                           f'works; {_INSTALL[name]}')
    return Library(module, name, version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r'\d+', version))


@cache
def _logger(module: Any) -> Any:
    """One logger for the process: TensorRT keeps the first one that it gets, so it must stay."""
    class Logger(module.ILogger):
        def __init__(self) -> None:
            super().__init__()
            self.collectors: dict[int, list[str]] = {}

        def log(self, severity: Any, message: str) -> None:
            """TensorRT calls this, from any thread."""
            # INFO for errors, too: the builder recovers from many of them; what ends a build or
            # a run is in the exception.
            is_error = severity.name in ('INTERNAL_ERROR', 'ERROR')
            level = logging.INFO if is_error or severity.name == 'WARNING' else logging.DEBUG
            _log.log(level, '%s: %s', module.__name__, message)
            if is_error:
                for collector in tuple(self.collectors.values()):
                    collector.append(message)

    return Logger()
