# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the meters of a stream come from, and whether the scale by the ground can be trusted."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ..status import Health, HealthLevel
from ..structures import GroundScale, PanopticDepth, ScaleSource
from .settings import DiagnosticsSettings

SAMPLES = 30
"""Of the factor, in each of the two medians that are compared."""

FEWEST_SAMPLES = 10
"""Of the factor, for its median to be judged by itself."""

SAMPLE_S = 0.33
"""So far apart at least: a median is of ten seconds or more, which outlasts a bump or a curb."""

NO_RESULTS = Health('scale', HealthLevel.OK, 'no results')

_CHECK = 'check mounting.height_m and mounting.pitch_deg, or the tf from mounting.ground_frame'


class ScaleMonitor:
    """
    Watches the factor of each result by the ground; thread-safe.

    A camera that is knocked keeps its height and pitch in the settings, but the ground that it
    sees lies elsewhere: the factor of the first frames, when the robot was set up, is compared
    with that of the latest.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._now_s = now_s
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after a change of the mounting or the model."""
        with self._lock:
            self._latest: PanopticDepth | None = None
            self._first: list[float] = []
            self._recent: deque[float] = deque(maxlen=SAMPLES)
            self._sampled_s = -math.inf
            self._refused_since_s: float | None = None

    def add(self, result: PanopticDepth) -> None:
        """Take the next result."""
        if self._latest is not None and self._latest.model_id != result.model_id:
            self.reset()
        ground, now_s = result.ground, self._now_s()
        with self._lock:
            self._latest = result
            if ground is None or not ground.problem:
                self._refused_since_s = None
            elif self._refused_since_s is None:
                self._refused_since_s = now_s
            # A factor that is refused counts too, if there is one: it may be why it is refused.
            if (ground is None or not math.isfinite(ground.factor)
                    or now_s - self._sampled_s < SAMPLE_S):
                return
            self._sampled_s = now_s
            (self._first if len(self._first) < SAMPLES else self._recent).append(ground.factor)

    def fields(self) -> dict[str, Any]:
        """Fields of StreamStatus."""
        with self._lock:
            latest = self._latest
        if latest is None:
            return {}
        ground = latest.ground or GroundScale()
        return {'scale_source': latest.scale_source,
                'ground_scale': (ground.factor, ground.low, ground.high)}

    def health(self, limits: DiagnosticsSettings, mounting: str = '') -> Health:
        """
        The entry of the diagnostics.

        :param mounting: why the mounting is not known though it is set; empty if it is known.
        """
        with self._lock:
            latest, first, recent = self._latest, list(self._first), list(self._recent)
            since_s = self._refused_since_s
        values = {} if latest is None else _values(latest, first, recent)
        refused_s = 0.0 if since_s is None else self._now_s() - since_s
        problem = mounting or _drift(first, recent, limits) or (
            '' if latest is None else _state(latest, refused_s, limits))
        if problem:
            return Health('scale', HealthLevel.WARN, problem, values)
        if latest is None:
            return NO_RESULTS
        return Health('scale', HealthLevel.OK, _words(latest), values)


def _drift(first: list[float], recent: list[float], limits: DiagnosticsSettings) -> str:
    """Say what is wrong with the factor; empty if nothing is."""
    if len(recent) == SAMPLES:
        now, then = float(np.median(recent)), float(np.median(first))
        if abs(math.log(now / then)) > math.log(1 + limits.scale_drift):
            return ('the scale by the ground is no longer what it was (factor_recent, '
                    f'factor_first): the camera may have been moved; {_CHECK}')
    latest = recent or first
    if len(latest) >= FEWEST_SAMPLES and not (
            limits.scale_low <= float(np.median(latest)) <= limits.scale_high):
        return ('the scale by the ground (factor) is not between '
                f'diagnostics.scale_low, {limits.scale_low:g}, and diagnostics.scale_high, '
                f'{limits.scale_high:g}; {_CHECK}')
    return ''


def _state(latest: PanopticDepth, refused_s: float, limits: DiagnosticsSettings) -> str:
    """Say why there are no meters; empty if there are."""
    if latest.ground is not None and refused_s > limits.scale_refused_s:
        return (f'for more than {limits.scale_refused_s:g} s the ground has given no scale: '
                f'{latest.ground.problem}; {_CHECK}')
    if 'depth' in latest.tasks and latest.scale_source == ScaleSource.RELATIVE:
        return ('distances are relative: neither the camera nor its mounting is known; publish '
                'camera_info, or set camera_info.fallback_k')
    return ''


def _words(latest: PanopticDepth) -> str:
    if 'depth' not in latest.tasks:
        return 'the model has no depth'
    if latest.ground is not None and latest.ground.problem:
        return f'the ground gives no scale: {latest.ground.problem}'
    return {ScaleSource.CAMERA_HEIGHT: 'meters from the height of the camera',
            ScaleSource.EXTERNAL: 'meters from another sensor or a measured factor',
            }.get(latest.scale_source, 'meters of the model')


def _values(latest: PanopticDepth, first: list[float], recent: list[float]) -> dict[str, str]:
    """Numbers behind it, as text."""
    ground, mounting = latest.ground or GroundScale(), latest.mounting
    numbers = {
        'factor': ground.factor, 'factor_low': ground.low, 'factor_high': ground.high,
        'factor_applied': ground.applied if latest.ground else math.nan,
        'factor_first': float(np.median(first)) if first else math.nan,
        'factor_recent': float(np.median(recent)) if recent else math.nan,
        **{name: getattr(mounting, name) if mounting else math.nan
           for name in ('height_m', 'pitch_deg', 'roll_deg')}}
    return {'source': latest.scale_source.name, **{
        # Plus zero, so that -0.0 is 0.
        name: 'unknown' if math.isnan(value) else f'{round(value, 3) + 0.0:.3f}'
        for name, value in numbers.items()}}
