# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Diagnostics from the status: a message for people, values for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..status import Health, HealthLevel, StreamState, StreamStatus
from .settings import DiagnosticsSettings

OTHER_CLOCK_S = 60.0
"""Stamps that differ this much from the clock are of another clock."""


def engine_health(status: StreamStatus) -> Health:
    """Whether the network is loaded and runs."""
    level, message = {
        StreamState.UNCONFIGURED: (HealthLevel.WARN, 'not configured'),
        StreamState.BUILDING: (HealthLevel.WARN, status.message),
        StreamState.LOADING: (HealthLevel.WARN, status.message),
        StreamState.ERROR: (HealthLevel.ERROR, status.message),
    }.get(status.state, (HealthLevel.OK, f'{status.model_id} runs on {status.backend}'))
    return Health('engine', level, message, {
        'state': status.state.name, 'backend': status.backend, 'model': status.model_id,
        'tasks': ', '.join(status.tasks), 'engine': status.engine_key,
        'build_percent': _text(100 * status.build_progress)})


def input_health(status: StreamStatus, bad_frame: str, age_s: float) -> Health:
    """
    Whether images arrive and can be used.

    :param bad_frame: why an image was skipped recently; empty if none was.
    :param age_s: age of the latest image on arrival, by its stamp; NaN without one.
    """
    level, message = HealthLevel.OK, 'images arrive'
    if status.state == StreamState.STALLED:
        level, message = HealthLevel.ERROR, status.message
    elif bad_frame:
        level, message = HealthLevel.WARN, f'images are skipped: {bad_frame}'
    elif abs(age_s) > OTHER_CLOCK_S:
        level, message = HealthLevel.WARN, (
            f'the latest image is {age_s:.0f} s old by its stamp; for a recording, play it with '
            '--clock and set use_sim_time' if age_s > 0 else
            f'the stamp of the latest image is {-age_s:.0f} s ahead of the clock; for a live '
            'camera, do not set use_sim_time')
    elif not status.input_rate_hz > 0:
        message = 'no images'
    return Health('input', level, message, {
        'rate_hz': _text(status.input_rate_hz),
        'received': str(status.frames_received),
        'dropped_queue': str(status.frames_dropped_queue),
        'dropped_age': str(status.frames_dropped_age),
        'dropped_error': str(status.frames_dropped_error)})


def camera_health(problem: str, skipped: bool) -> Health:
    """Whether the camera is known; see CameraMemory.problem."""
    if not problem:
        return Health('camera_info', HealthLevel.OK, 'the camera is known')
    return Health('camera_info', HealthLevel.ERROR if skipped else HealthLevel.WARN, problem)


def latency_health(status: StreamStatus, limits: DiagnosticsSettings) -> Health:
    """Whether latency and output rate are within the limits."""
    level, message = HealthLevel.OK, 'within the limits'
    if 0 < limits.max_latency_ms < status.latency_ms[1]:
        level, message = HealthLevel.WARN, (
            f'95 % of the results are published within {status.latency_ms[1]:.0f} ms, but '
            f'diagnostics.max_latency_ms is {limits.max_latency_ms:g}')
    elif status.state == StreamState.RUNNING and status.output_rate_hz < limits.min_output_rate_hz:
        level, message = HealthLevel.WARN, (
            f'{status.output_rate_hz:.1f} results per second, but diagnostics.min_output_rate_hz '
            f'is {limits.min_output_rate_hz:g}')
    return Health('latency', level, message, {
        'output_rate_hz': _text(status.output_rate_hz),
        **{f'{name}_p{percent}_ms': _text(value)
           for name in ('latency', 'inference', 'overhead')
           for percent, value in zip((50, 95, 99), getattr(status, f'{name}_ms'), strict=True)}})


def gpu_health(status: StreamStatus) -> Health:
    """Use of the GPU."""
    if not status.gpu_memory_bytes:
        return Health('gpu', HealthLevel.OK, 'no GPU is used')
    return Health('gpu', HealthLevel.OK, 'in use',
                  {'memory_mib': f'{status.gpu_memory_bytes / 2**20:.0f}'})


def qos_health(problems: Sequence[str], messages_lost: int) -> Health:
    """
    Whether the QoS of publishers and subscribers is compatible.

    :param problems: one per topic where it is not.
    """
    level = HealthLevel.ERROR if problems else HealthLevel.OK
    return Health('qos', level, '; '.join(problems) or 'compatible',
                  {'messages_lost': str(messages_lost)})


def _text(value: float) -> str:
    return 'unknown' if math.isnan(value) else f'{value:.1f}'
