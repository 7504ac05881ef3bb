# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the diagnostics say, line by line."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from panoptic_depth_core.status import Health, HealthLevel, StreamState, StreamStatus
from panoptic_depth_core.streaming.monitoring import diagnostics
from panoptic_depth_core.streaming.settings import DiagnosticsSettings

OK, WARN, ERROR = HealthLevel.OK, HealthLevel.WARN, HealthLevel.ERROR
RUNNING = StreamStatus(
    StreamState.RUNNING, backend='onnxruntime', model_id='fast', tasks=('depth', 'semantic'),
    frames_received=9, frames_dropped_queue=1, frames_dropped_age=2, frames_dropped_error=3,
    input_rate_hz=15.04, output_rate_hz=10.0, latency_ms=(40.0, 60.0, 80.0),
    inference_ms=(20.0, 30.0, 40.0), overhead_ms=(5.0, 6.0, 7.0))
FRESH = StreamStatus(StreamState.UNCONFIGURED)


def health_of(name: str, status: StreamStatus, limits: dict[str, float] | None = None,
              **more: Any) -> Health:
    """Return the diagnostics of one name."""
    found, = (health for health in diagnostics(
        status, DiagnosticsSettings(**limits or {}), **more) if health.name == name)
    return found


@pytest.mark.parametrize(('state', 'level', 'words'), [
    (StreamState.UNCONFIGURED, WARN, 'not configured'),
    (StreamState.BUILDING, WARN, 'what is the matter'),
    (StreamState.LOADING, WARN, 'what is the matter'),
    (StreamState.READY, OK, 'fast runs on onnxruntime'),
    (StreamState.RUNNING, OK, 'fast runs on onnxruntime'),
    (StreamState.STALLED, OK, 'fast runs on onnxruntime'),
    (StreamState.ERROR, ERROR, 'what is the matter'),
])
def test_engine(state: StreamState, level: HealthLevel, words: str) -> None:
    health = health_of('engine', replace(RUNNING, state=state, message='what is the matter'))
    assert (health.level, health.message) == (level, words)
    assert health.values == {'state': state.name, 'backend': 'onnxruntime', 'model': 'fast',
                             'tasks': 'depth, semantic', 'engine': '', 'build_percent': 'unknown'}


STALLED = replace(RUNNING, state=StreamState.STALLED, message='no image from /a for 2 s')


@pytest.mark.parametrize(('status', 'bad_frame', 'age_s', 'level', 'words'), [
    (RUNNING, '', 0.02, OK, 'images arrive'),
    (RUNNING, '', math.nan, OK, 'images arrive'),
    (replace(RUNNING, input_rate_hz=math.nan), '', math.nan, OK, 'no images'),
    (replace(RUNNING, input_rate_hz=0.0), '', 0.1, OK, 'no images'),
    (RUNNING, 'image: torn', 0.02, WARN, 'images are skipped: image: torn'),
    (STALLED, 'image: torn', 1e6, ERROR, 'no image from /a for 2 s'),
    (RUNNING, '', 59.0, OK, 'images arrive'),
    (RUNNING, '', 86400.0, WARN, 'the latest image is more than 60 s old by its stamp '
     '(age_s); for a recording, play it with --clock and set use_sim_time'),
    (RUNNING, '', -86400.0, WARN, 'the stamp of the latest image is more than 60 s ahead '
     'of the clock (age_s); for a live camera, do not set use_sim_time'),
])
def test_input(status: StreamStatus, bad_frame: str, age_s: float, level: HealthLevel,
               words: str) -> None:
    health = health_of('input', status, bad_frame=bad_frame, age_s=age_s)
    assert (health.level, health.message) == (level, words)
    assert health.values['received'] == '9'
    assert [health.values[f'dropped_{w}'] for w in ('queue', 'age', 'error')] == ['1', '2', '3']


def test_metrics_that_are_not_known() -> None:
    assert health_of('input', RUNNING).values['rate_hz'] == '15.0'
    assert health_of('input', FRESH).values['rate_hz'] == 'unknown'
    assert set(health_of('latency', FRESH).values.values()) == {'unknown'}


@pytest.mark.parametrize(('problem', 'skipped', 'level', 'words'), [
    ('', False, OK, 'the camera is known'),
    ('it is distorted', False, WARN, 'it is distorted'),
    ('none has arrived', True, ERROR, 'none has arrived'),
])
def test_camera(problem: str, skipped: bool, level: HealthLevel, words: str) -> None:
    health = health_of('camera_info', RUNNING, camera=(problem, skipped))
    assert (health.level, health.message) == (level, words)


@pytest.mark.parametrize(('status', 'limits', 'level', 'words'), [
    (RUNNING, {}, OK, 'within the limits'),
    (FRESH, {'max_latency_ms': 1.0, 'min_output_rate_hz': 1.0}, OK, 'within the limits'),
    (RUNNING, {'max_latency_ms': 60.0}, OK, 'within the limits'),
    (RUNNING, {'max_latency_ms': 59.5}, WARN, 'more than 5 % of the results are later '
     '(latency_p95_ms) than diagnostics.max_latency_ms, which is 59.5'),
    (RUNNING, {'min_output_rate_hz': 10.0}, OK, 'within the limits'),
    (RUNNING, {'min_output_rate_hz': 10.5}, WARN, 'fewer results per second '
     '(output_rate_hz) than diagnostics.min_output_rate_hz, which is 10.5'),
    # Nothing at all is too little as well, but not before the beginning.
    (replace(RUNNING, output_rate_hz=0.0), {'min_output_rate_hz': 0.1}, WARN, 'fewer results per '
     'second (output_rate_hz) than diagnostics.min_output_rate_hz, which is 0.1'),
    (replace(RUNNING, output_rate_hz=math.nan), {'min_output_rate_hz': 0.1}, OK,
     'within the limits'),
    (STALLED, {'min_output_rate_hz': 10.5}, OK, 'within the limits'),
])
def test_latency(status: StreamStatus, limits: dict[str, float], level: HealthLevel,
                 words: str) -> None:
    health = health_of('latency', status, limits)
    assert (health.level, health.message) == (level, words)


def test_metrics_of_latency() -> None:
    values = health_of('latency', RUNNING).values
    assert values['output_rate_hz'] == '10.0'
    for name, metric_values in (('latency', ('40.0', '60.0', '80.0')),
                          ('inference', ('20.0', '30.0', '40.0')),
                          ('overhead', ('5.0', '6.0', '7.0'))):
        assert tuple(values[f'{name}_p{p}_ms'] for p in (50, 95, 99)) == metric_values


def test_gpu() -> None:
    none = health_of('gpu', RUNNING)
    assert none.message == 'no GPU is used' and not none.values
    used = health_of('gpu', replace(RUNNING, gpu_memory_bytes=3 << 20))
    assert (used.level, used.values) == (OK, {'memory_mib': '3'})


def test_qos() -> None:
    good = health_of('qos', replace(RUNNING, messages_lost=7))
    assert (good.level, good.message, good.values) == (OK, 'compatible', {'messages_lost': '7'})
    bad = health_of('qos', RUNNING, qos=['/a: reliability', '/b: durability'])
    assert (bad.level, bad.message) == (ERROR, '/a: reliability; /b: durability')


def test_names_and_values() -> None:
    """The values are text, as diagnostic_msgs/KeyValue wants it."""
    found = diagnostics(RUNNING, DiagnosticsSettings())
    assert [health.name for health in found] == [
        'engine', 'input', 'camera_info', 'scale', 'measured_depth', 'latency', 'gpu', 'qos']
    assert all(isinstance(value, str) for health in found for value in health.values.values())
