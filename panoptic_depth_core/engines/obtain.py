# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Get an engine that fits: from the cache, or built once for all processes that need it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Literal

from ..errors import BackendError, ConfigError
from ..status import Watch
from . import Build
from .cache import EngineCache, StoredEngine
from .key import EngineKey

BuildPolicy = Literal['auto', 'never', 'only', 'force']
"""As engine.build_policy; 'only' works like 'auto' here: to end then is up to the caller."""

_log = logging.getLogger(__name__)


def obtain_engine(cache: EngineCache, key: EngineKey, build: Build, policy: BuildPolicy = 'auto',
                  watch: Watch | None = None, alternatives: Sequence[EngineCache] = ()
                  ) -> StoredEngine:
    """
    Return the engine of a key, which is in the cache under exactly this key afterwards.

    An engine of TensorRT for RTX that was built ahead of time fits every GPU of its compute
    capability; it is copied under the key of this machine, as its self-test holds here only.

    :param watch: called while waiting and building; it may cancel both.
    :param alternatives: other folders of engines, which are only read. The caller vouches for
        them: an engine is code, and whoever unpacks an archive owns its files.
    :raises BackendError: when there is none and the policy is 'never', when it was rejected, or
        the build fails.
    :raises BuildCancelled: when watch returned False.
    :raises ConfigError: when others may write to the folder, or it cannot be written.
    """
    watch = watch or (lambda share, what: True)
    wanted_at = datetime.now(timezone.utc)
    ahead_of_time = None
    if policy != 'force':
        found = cache.load(key)
        if found is not None:
            return found
        ahead_of_time = _built_ahead_of_time(cache, key, alternatives)
        if ahead_of_time is None and policy == 'never':
            raise BackendError(
                f'no engine fits: {cache.why_missing(key)}; build one with `panoptic-depth '
                'build-engine`, or with the build policy auto')
    with cache.lock(key, watch):
        found = _built_since(cache, key, wanted_at) if policy == 'force' else cache.load(key)
        if found is not None:
            return found
        if ahead_of_time is not None:
            return cache.store(key, ahead_of_time.engine)
        _log.info('building engine %s: %s', key.name,
                  'forced' if policy == 'force' else cache.why_missing(key))
        built = build(cache.load_extra(cache.timing_path(key)), watch)
        stored = cache.store(key, built.engine)
        if built.timing_cache:
            cache.store_extra(cache.timing_path(key), built.timing_cache)
    return stored


def _built_ahead_of_time(cache: EngineCache, key: EngineKey, alternatives: Sequence[EngineCache]
                         ) -> StoredEngine | None:
    """Look for the engine of a key, or of its portable one, in all folders."""
    keys = (key, key.portable()) if key.library == 'tensorrt_rtx' else (key,)
    for place in (cache, *alternatives):
        try:
            for one in keys:
                if found := place.load(one):
                    return found
        except (BackendError, ConfigError) as error:
            _log.warning('%s is skipped: %s', place.directory, error)
    return None


def _built_since(cache: EngineCache, key: EngineKey, since: datetime) -> StoredEngine | None:
    """Engine that another process built while this one waited for it."""
    try:
        found = cache.load(key)
    except BackendError:
        return None
    return found if found is not None and found.record.built_at >= since else None
