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

OK, WARN, ERROR = HealthLevel.OK, HealthLevel.WARN, HealthLevel.ERROR


def diagnostics(status: StreamStatus, limits: DiagnosticsSettings, *, bad_frame: str = '',
                age_s: float = math.nan, camera: tuple[str, bool] = ('', False),
                qos: Sequence[str] = ()) -> list[Health]:
    """
    Diagnostics of the node: engine, input, camera_info, latency, gpu and qos.

    :param bad_frame: why an image was skipped recently; empty if none was.
    :param age_s: age of the latest image on arrival, by its stamp; NaN without one.
    :param camera: see CameraMemory.problem.
    :param qos: one message per topic with incompatible QoS.
    """
    problem, skipped = camera
    gpu_mib = status.gpu_memory_bytes / 2**20
    return [
        Health('engine', *_engine(status), {
            'state': status.state.name, 'backend': status.backend, 'model': status.model_id,
            'tasks': ', '.join(status.tasks), 'engine': status.engine_key,
            'build_percent': _text(100 * status.build_progress)}),
        Health('input', *_input(status, bad_frame, age_s), {
            'rate_hz': _text(status.input_rate_hz), 'received': str(status.frames_received),
            'dropped_queue': str(status.frames_dropped_queue),
            'dropped_age': str(status.frames_dropped_age),
            'dropped_error': str(status.frames_dropped_error)}),
        Health('camera_info', (ERROR if skipped else WARN) if problem else OK,
               problem or 'the camera is known'),
        Health('latency', *_latency(status, limits), {
            'output_rate_hz': _text(status.output_rate_hz),
            **{f'{name}_p{percent}_ms': _text(value)
               for name in ('latency', 'inference', 'overhead')
               for percent, value in zip((50, 95, 99), getattr(status, f'{name}_ms'),
                                         strict=True)}}),
        Health('gpu', OK, 'in use', {'memory_mib': f'{gpu_mib:.0f}'}) if gpu_mib
        else Health('gpu', OK, 'no GPU is used'),
        Health('qos', ERROR if qos else OK, '; '.join(qos) or 'compatible',
               {'messages_lost': str(status.messages_lost)})]


def _engine(status: StreamStatus) -> tuple[HealthLevel, str]:
    return {
        StreamState.UNCONFIGURED: (WARN, 'not configured'),
        StreamState.BUILDING: (WARN, status.message),
        StreamState.LOADING: (WARN, status.message),
        StreamState.ERROR: (ERROR, status.message),
    }.get(status.state, (OK, f'{status.model_id} runs on {status.backend}'))


def _input(status: StreamStatus, bad_frame: str, age_s: float) -> tuple[HealthLevel, str]:
    if status.state == StreamState.STALLED:
        return ERROR, status.message
    if bad_frame:
        return WARN, f'images are skipped: {bad_frame}'
    if age_s > OTHER_CLOCK_S:
        return WARN, (f'the latest image is {age_s:.0f} s old by its stamp; for a recording, play '
                      'it with --clock and set use_sim_time')
    if age_s < -OTHER_CLOCK_S:
        return WARN, (f'the stamp of the latest image is {-age_s:.0f} s ahead of the clock; for a '
                      'live camera, do not set use_sim_time')
    return OK, 'images arrive' if status.input_rate_hz > 0 else 'no images'


def _latency(status: StreamStatus, limits: DiagnosticsSettings) -> tuple[HealthLevel, str]:
    if 0 < limits.max_latency_ms < status.latency_ms[1]:
        return WARN, (f'95 % of the results are published within {status.latency_ms[1]:.0f} ms, '
                      f'but diagnostics.max_latency_ms is {limits.max_latency_ms:g}')
    if status.state == StreamState.RUNNING and status.output_rate_hz < limits.min_output_rate_hz:
        return WARN, (f'{status.output_rate_hz:.1f} results per second, but '
                      f'diagnostics.min_output_rate_hz is {limits.min_output_rate_hz:g}')
    return OK, 'within the limits'


def _text(value: float) -> str:
    return 'unknown' if math.isnan(value) else f'{value:.1f}'
