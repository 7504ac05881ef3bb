# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""An engine that fits: out of the cache, or built once however many processes ask for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Literal

from ..errors import BackendError, ConfigError
from ..status import Watch
from . import BuiltEngine
from .cache import EngineCache
from .key import EngineKey
from .record import StoredEngine

BuildPolicy = Literal['auto', 'never', 'only', 'force']
"""As engine.build_policy: 'only' obtains an engine like 'auto'; to end then is the caller's."""

Build = Callable[[bytes, Watch], BuiltEngine]
"""Builds an engine, given the timing cache of earlier builds."""

_log = logging.getLogger(__name__)


def obtain_engine(cache: EngineCache, key: EngineKey, build: Build, policy: BuildPolicy = 'auto',
                  watch: Watch | None = None, alternatives: Sequence[EngineCache] = (), *,
                  library_is_rtx: bool = False) -> StoredEngine:
    """
    Return the engine of a key; what is returned lies in the cache under exactly this key.

    :param watch: is told of waiting and building, and may cancel both.
    :param alternatives: other directories of engines, only read. Whoever gives one vouches for
        it: an engine is code, and the owner of a file that was unpacked is who unpacked it.
    :param library_is_rtx: whether an engine that was built ahead of time for the compute
        capability of the GPU does; a copy is then kept under the key of this machine, as its
        self-test is that of this machine.
    :raises BackendError: when there is none and the policy is 'never', when it was rejected, or
        the build fails.
    :raises BuildCancelled: when watch said so.
    :raises ConfigError: when the directory is not to be trusted or cannot be written.
    """
    watch = watch or _go_on
    asked_at = datetime.now(timezone.utc)
    ahead_of_time = None
    if policy != 'force':
        found = cache.load(key)
        if found is not None:
            return found
        ahead_of_time = _find_elsewhere(cache, key, alternatives, library_is_rtx)
        if ahead_of_time is None and policy == 'never':
            raise BackendError(
                f'no engine fits: {cache.why_missing(key)}; build one with `panoptic-depth '
                'build-engine`, or with the build policy auto')
    with cache.lock(key, watch):
        found = _built_since(cache, key, asked_at) if policy == 'force' else cache.load(key)
        if found is not None:
            return found
        if ahead_of_time is not None:
            return cache.store(key, ahead_of_time.engine)
        _log.info('building engine %s: %s', key.name,
                  'forced' if policy == 'force' else cache.why_missing(key))
        built = build(cache.timing_cache(key), watch)
        stored = cache.store(key, built.engine)
        if built.timing_cache:
            cache.store_timing_cache(key, built.timing_cache)
    return stored


def _find_elsewhere(cache: EngineCache, key: EngineKey, alternatives: Sequence[EngineCache],
                    library_is_rtx: bool) -> StoredEngine | None:
    """Look for the engine of this very key, or one built ahead of time."""
    keys = (key, key.portable()) if library_is_rtx else (key,)
    for place in (cache, *alternatives):
        for wanted in keys:
            try:
                found = place.load(wanted)
            except (BackendError, ConfigError) as error:
                _log.warning('%s is not looked into: %s', place.directory, error)
                break
            if found is not None:
                return found
    return None


def _built_since(cache: EngineCache, key: EngineKey, since: datetime) -> StoredEngine | None:
    """Return an engine that another process has built while this one waited for it."""
    try:
        found = cache.load(key)
    except BackendError:
        return None
    return found if found is not None and found.record.built_at >= since else None


def _go_on(_done: float, _what: str) -> bool:
    return True
