# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The two errors of this package that are not built-ins, and warnings that are given once.

A message names the thing, the value and the remedy; the command line prints it in one line.
"""

import logging
from functools import cache


class ConfigError(ValueError):
    """A setting, a file or an input that the user can correct."""


class BackendError(RuntimeError):
    """A runtime could not load or run the graph; the input may be fine."""


@cache
def warn_once(log: logging.Logger, text: str) -> None:
    """Warn the first time only, for instance for all frames of a source."""
    log.warning('%s', text)


def with_count(text: str, count: int) -> str:
    """The text, and how many times if that is more than once."""
    return f'{text} ({count} times)' if count > 1 else text


def in_words(error: BaseException) -> str:
    """One line: the message of an error of this package, ``Type: message`` of any other."""
    text = ' '.join(str(error).split())
    return text if isinstance(error, (ConfigError, BackendError)) else (
        f'{type(error).__name__}: {text}')
