# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the diagnostics say, worked out from the status: a line for people, values for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..config import DiagnosticsSettings
from ..status import Health, HealthLevel, StreamState, StreamStatus

FORGOTTEN_SIM_TIME_S = 60.0
"""Stamps that are so far from the clock are of another clock."""


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
        'build_percent': _figure(100 * status.build_progress)})


def input_health(status: StreamStatus, bad_frame: str, age_s: float) -> Health:
    """
    Whether images come in and can be used.

    :param bad_frame: why an image was skipped a short time ago; empty where none was.
    :param age_s: of the latest image when it came in, by its stamp; NaN without one.
    """
    level, message = HealthLevel.OK, 'images come in'
    if status.state == StreamState.STALLED:
        level, message = HealthLevel.ERROR, status.message
    elif bad_frame:
        level, message = HealthLevel.WARN, f'images are skipped: {bad_frame}'
    elif abs(age_s) > FORGOTTEN_SIM_TIME_S:
        level, message = HealthLevel.WARN, (
            f'the latest image is {age_s:.0f} s old by its stamp; for a recording, play it with '
            '--clock and set use_sim_time' if age_s > 0 else
            f'the stamp of the latest image is {-age_s:.0f} s ahead of the clock; for a live '
            'camera, do not set use_sim_time')
    elif not status.input_rate_hz > 0:
        message = 'no images'
    return Health('input', level, message, {
        'rate_hz': _figure(status.input_rate_hz),
        'received': str(status.frames_received),
        'dropped_queue': str(status.frames_dropped_queue),
        'dropped_age': str(status.frames_dropped_age),
        'dropped_error': str(status.frames_dropped_error)})


def camera_health(problem: str, skipped: bool) -> Health:
    """
    Whether the camera is known.

    :param problem, skipped: see CameraMemory.problem.
    """
    if not problem:
        return Health('camera_info', HealthLevel.OK, 'the camera is known')
    return Health('camera_info', HealthLevel.ERROR if skipped else HealthLevel.WARN, problem)


def latency_health(status: StreamStatus, limits: DiagnosticsSettings) -> Health:
    """Whether results are as fast as was asked for."""
    level, message = HealthLevel.OK, 'within the limits'
    if 0 < limits.max_latency_ms < status.latency_ms[1]:
        level, message = HealthLevel.WARN, (
            f'95 % of the results are sent within {status.latency_ms[1]:.0f} ms, but '
            f'diagnostics.max_latency_ms is {limits.max_latency_ms:g}')
    elif status.state == StreamState.RUNNING and status.output_rate_hz < limits.min_output_rate_hz:
        level, message = HealthLevel.WARN, (
            f'{status.output_rate_hz:.1f} results per second, but diagnostics.min_output_rate_hz '
            f'is {limits.min_output_rate_hz:g}')
    values = {'output_rate_hz': _figure(status.output_rate_hz)}
    for name, figures in (('latency', status.latency_ms), ('inference', status.inference_ms),
                          ('overhead', status.overhead_ms)):
        for percent, figure in zip((50, 95, 99), figures, strict=True):
            values[f'{name}_p{percent}_ms'] = _figure(figure)
    return Health('latency', level, message, values)


def gpu_health(status: StreamStatus) -> Health:
    """What of the GPU is used."""
    if not status.gpu_memory_bytes:
        return Health('gpu', HealthLevel.OK, 'no GPU is used')
    return Health('gpu', HealthLevel.OK, 'in use',
                  {'memory_mib': f'{status.gpu_memory_bytes / 2**20:.0f}'})


def qos_health(problems: Sequence[str], messages_lost: int) -> Health:
    """
    Whether publishers and subscribers fit, and nothing is lost on the way.

    :param problems: one per topic that has an incompatible other side.
    """
    level = HealthLevel.ERROR if problems else HealthLevel.OK
    return Health('qos', level, '; '.join(problems) or 'compatible',
                  {'messages_lost': str(messages_lost)})


def _figure(value: float) -> str:
    return 'unknown' if math.isnan(value) else f'{value:.1f}'
