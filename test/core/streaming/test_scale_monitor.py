# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The scale in the diagnostics: where meters come from, and cameras that were knocked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from panoptic_depth_core.io.bags.transforms import TransformError
from panoptic_depth_core.io.sources.mounting import MountingSettings
from panoptic_depth_core.status import HealthLevel, StreamState, StreamStatus
from panoptic_depth_core.streaming.monitoring import diagnostics
from panoptic_depth_core.streaming.mountings import MountingMemory
from panoptic_depth_core.streaming.scale import SAMPLES, ScaleMonitor
from panoptic_depth_core.streaming.settings import DiagnosticsSettings
from panoptic_depth_core.structures import (
    GroundScale,
    Intrinsics,
    Mounting,
    PanopticDepth,
    ScaleSource,
)

OK, WARN = HealthLevel.OK, HealthLevel.WARN
CAMERA = Intrinsics.from_fov(70.0, 64, 48)
STATED = Mounting(1.22, 2.6)
LIMITS = DiagnosticsSettings()


class Clock:
    """Seconds that a test moves on."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def result(ground: GroundScale | None = None, mounting: Mounting | None = None,
           source: ScaleSource = ScaleSource.METRIC_MODEL, model_id: str = 'fast',
           ) -> PanopticDepth:
    shape = CAMERA.height, CAMERA.width
    return PanopticDepth(
        np.zeros(shape, np.uint16), np.ones(shape, np.float32), (), (), CAMERA, 1000,
        model_id=model_id, mounting=mounting, ground=ground, scale_source=source)


def factor(actual: Mounting, depth_scale: float = 1.0) -> float:
    """Factor of the stated mounting to the depth that a camera mounted otherwise measures."""
    v, u = np.mgrid[:CAMERA.height, :CAMERA.width]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones_like(u)])
    stated, seen = (np.einsum('i,ihw->hw', m.plane, rays) for m in (STATED, actual))
    near = (stated > 1 / 30) & (stated < 1 / 3) & (seen > 0)
    return float(np.median((seen / stated)[near] / depth_scale))


def anchored(number: float, problem: str = '') -> PanopticDepth:
    ground = GroundScale(number, 0.95 * number, 1.05 * number, 1.0 if problem else number, problem)
    source = ScaleSource.METRIC_MODEL if problem else ScaleSource.CAMERA_HEIGHT
    return result(ground, STATED, source)


def drive(monitor: ScaleMonitor, clock: Clock, seconds: float, actual: Mounting,
          seed: int = 0, depth_scale: float = 1.0) -> None:
    """Results at 10 Hz; the factor of one frame is off by 6 %, that of every tenth by 30 %."""
    rng = np.random.default_rng(seed)
    for index in range(round(10 * seconds)):
        clock.now_s += 0.1
        noise = math.exp(rng.normal(0.0, 0.06 if index % 10 else 0.3))
        monitor.add(anchored(factor(actual, depth_scale) * noise))


def test_a_good_mounting_is_no_warning() -> None:
    clock = Clock()
    monitor = ScaleMonitor(clock)
    assert monitor.health(LIMITS).message == 'no results' and monitor.fields() == {}
    drive(monitor, clock, 120.0, STATED)
    health = monitor.health(LIMITS)
    assert (health.level, health.message) == (OK, 'meters from the height of the camera')
    assert health.values['source'] == 'CAMERA_HEIGHT' and health.values['height_m'] == '1.220'
    assert float(health.values['factor_recent']) == pytest.approx(1.0, abs=0.05)
    status = StreamStatus(StreamState.RUNNING, **monitor.fields())
    assert status.scale_source == ScaleSource.CAMERA_HEIGHT
    assert status.ground_scale[1] < status.ground_scale[0] < status.ground_scale[2]
    assert health in diagnostics(status, LIMITS, scale=health)


@pytest.mark.parametrize('knocked', [
    Mounting(1.22, 5.1), Mounting(1.22, 0.1), Mounting(0.95, 2.6), Mounting(1.5, 2.6)],
    ids=['down', 'up', 'lower', 'higher'])
def test_a_knocked_camera_is_noticed(knocked: Mounting) -> None:
    clock = Clock()
    monitor = ScaleMonitor(clock)
    drive(monitor, clock, 30.0, STATED)
    assert monitor.health(LIMITS).level == OK
    drive(monitor, clock, 15.0, knocked, seed=1)
    health = monitor.health(LIMITS)
    assert health.level == WARN and 'the camera may have been moved' in health.message
    assert 'mounting.height_m and mounting.pitch_deg' in health.message
    assert monitor.health(DiagnosticsSettings(scale_drift=0.9)).level == OK
    # Set right again, or put back: the next factors count anew.
    monitor.reset()
    drive(monitor, clock, 30.0, STATED)
    assert monitor.health(LIMITS).level == OK


def test_a_bump_is_no_knock() -> None:
    clock = Clock()
    monitor = ScaleMonitor(clock)
    drive(monitor, clock, 30.0, STATED)
    drive(monitor, clock, 3.0, Mounting(1.22, 5.0))
    assert monitor.health(LIMITS).level == OK


def test_a_wrong_height_is_outside_of_the_range_from_the_start() -> None:
    clock = Clock()
    monitor = ScaleMonitor(clock)
    drive(monitor, clock, 5.0, STATED, depth_scale=4.0)
    health = monitor.health(LIMITS)
    assert health.level == WARN and 'between diagnostics.scale_low, 0.3, and' in health.message
    assert monitor.health(DiagnosticsSettings(scale_low=0.2)).level == OK


def test_a_ground_that_gives_no_scale_is_a_warning_after_a_while() -> None:
    clock = Clock()
    monitor = ScaleMonitor(clock)
    refused = anchored(math.nan, 'the ground is no plane')
    monitor.add(refused)
    clock.now_s += 9.0
    monitor.add(refused)
    assert monitor.health(LIMITS).level == OK
    assert monitor.health(LIMITS).message == 'the ground gives no scale: the ground is no plane'
    clock.now_s += 2.0
    health = monitor.health(LIMITS)
    assert health.level == WARN
    assert health.message.startswith('for more than 10 s the ground has given no scale: the gr')
    monitor.add(anchored(1.0))
    monitor.add(refused)
    assert monitor.health(LIMITS).level == OK


@pytest.mark.parametrize(('source', 'level', 'words'), [
    (ScaleSource.METRIC_MODEL, OK, 'meters of the model'),
    (ScaleSource.EXTERNAL, OK, 'meters from another sensor or a measured factor'),
    (ScaleSource.RELATIVE, WARN, 'distances are relative: neither the camera nor its mounting')])
def test_without_a_mounting(source: ScaleSource, level: HealthLevel, words: str) -> None:
    monitor = ScaleMonitor()
    monitor.add(result(source=source))
    health = monitor.health(LIMITS)
    assert health.level == level and health.message.startswith(words)
    assert health.values['source'] == source.name and health.values['height_m'] == 'unknown'
    status = StreamStatus(StreamState.RUNNING, **monitor.fields())
    assert status.scale_source == source and np.isnan(status.ground_scale).all()


def test_another_model_begins_anew() -> None:
    clock = Clock()
    monitor = ScaleMonitor(clock)
    drive(monitor, clock, 30.0, STATED)
    monitor.add(result(model_id='other'))
    assert monitor.health(LIMITS).values['factor_first'] == 'unknown'


def test_factors_of_a_fast_camera_are_not_all_taken() -> None:
    clock = Clock()
    monitor = ScaleMonitor(clock)
    for _ in range(4 * SAMPLES):
        clock.now_s += 0.02
        monitor.add(anchored(1.0))
    assert monitor.health(LIMITS).values['factor_recent'] == 'unknown'


class TestMountingMemory:
    """The mounting of the images of a node."""

    def test_fixed_or_none(self) -> None:
        def never(*_: object) -> np.ndarray:
            raise AssertionError('tf is not asked')

        assert MountingMemory(MountingSettings(), never).resolve('camera', 5) is None
        memory = MountingMemory(MountingSettings(height_m=1.2, pitch_deg=2.0), never)
        assert memory.resolve('camera', 5) == Mounting(1.2, 2.0) and memory.problem == ''

    def test_from_tf_and_without(self) -> None:
        asked = []

        def locate(target: str, source: str, stamp_ns: int) -> np.ndarray:
            asked.append((target, source, stamp_ns))
            if stamp_ns > 7:
                raise TransformError('extrapolation into the future')
            matrix = np.eye(4)
            matrix[:3, :3] = STATED.to_ground.T
            matrix[:3, 3] = STATED.to_ground.T @ (0.0, 0.0, -STATED.height_m + 0.2)
            return matrix

        memory = MountingMemory(MountingSettings(ground_frame='base_link', ground_offset_m=0.2),
                                locate)
        found = memory.resolve('camera', 7)
        assert (found.height_m, found.pitch_deg) == pytest.approx((1.22, 2.6))
        assert memory.problem == '' and asked == [('camera', 'base_link', 7)]
        assert memory.resolve('camera', 8) is None
        assert memory.problem.endswith(
            'images are processed without a mounting: extrapolation into the future')
        health = ScaleMonitor().health(LIMITS, memory.problem)
        assert (health.level, health.message) == (WARN, memory.problem)
        memory.settings = MountingSettings()
        assert memory.problem == ''

    def test_a_problem_stays_while_the_next_image_waits_for_tf(self) -> None:
        told = []

        def locate(*_: object) -> np.ndarray:
            told.append(memory.problem)
            raise TransformError('not there')

        memory = MountingMemory(MountingSettings(ground_frame='base_link'), locate)
        memory.resolve('camera', 1)
        memory.resolve('camera', 2)
        assert told == ['', memory.problem] and memory.problem
