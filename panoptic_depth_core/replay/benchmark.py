# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How fast recordings are read, decoded and scored, without a network: made-up drives with truth.

Each holds images, camera_info, true labels and depth, a point cloud per image, and the results.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config import DistanceSettings
from ..errors import ConfigError
from ..evaluation.benchmark import street_image
from ..evaluation.machine import machine, versions
from ..evaluation.recordings.evaluate_bag import BagJob
from ..evaluation.recordings.evaluate_bags import evaluate_bags
from ..evaluation.scoring_benchmark import (
    LOG_DEPTH_SCALE,
    MadeScene,
    ScoringTiming,
    made_scene,
)
from ..evaluation.settings import RecordingSettings
from ..inference.distances import measure_distances
from ..io.bags.drive_bags import DEPTH_TOPIC, PANOPTIC_TOPIC
from ..io.bags.result_bags import DEFAULT_IMAGE_TOPIC, NODE
from ..io.bags.writing import BagWriter, Outgoing
from ..io.messages.maker import ROSBAGS_MESSAGES as make
from ..io.messages.outputs import OUTPUTS, FrameMessages
from ..io.messages.types import CAMERA_INFO, IMAGE, LABEL_INFO, POINT_CLOUD, POINT_FIELD
from ..io.results.result_reading import LABEL_INFO_TOPIC, READ
from ..labels import CITYSCAPES, LABEL_DIVISOR, VOID_ID
from ..structures import Frame, Intrinsics, PanopticDepth, Segment

SIZE = (375, 1242)
SCENES = 6
LEAST_FRAMES = 50
PERIOD_NS = 100_000_000
CLOUD_POINTS = 120_000
"""Per image, as of a LiDAR of 64 rings; a quarter of them in the picture."""


def replay_benchmark(frames: int, workers: int, size: tuple[int, int] = SIZE) -> ScoringTiming:
    """
    Write a made-up recording per worker into a temporary folder and time their evaluation.

    The time is from when all processes work to the last frame: not of their start and of the
    pages of the report.

    :param frames: of all recordings together; 8 MB each at the default size.
    :param size: height and width of the images.
    :raises ConfigError: when there are fewer than 50 frames for each worker.
    """
    if frames < LEAST_FRAMES * workers:
        raise ConfigError(f'benchmark: {frames} frames for {workers} processes; give at least '
                          f'{LEAST_FRAMES} for each')
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for number in range(workers):
            path = Path(folder) / f'drive_{number}'
            write_made_drive(path, len(range(number, frames, workers)), size)
            jobs.append(BagJob(path.name, path, RecordingSettings()))
        done = [0] * workers
        told: list[tuple[float, int]] = []

        def tell(index: int, frames: int, _expected: int | None) -> None:
            done[index] = frames
            if min(done):
                told.append((time.perf_counter(), sum(done)))

        evaluate_bags(jobs, Path(folder) / 'report', workers=workers, progress=tell)
    (start, before), (end, after) = told[0], told[-1]
    return ScoringTiming(after - before, size, end - start, machine(), versions())


def write_made_drive(path: Path, frames: int, size: tuple[int, int] = SIZE) -> None:
    """Write a recording of made-up scenes, the same few again and again."""
    height, width = size
    camera = Intrinsics.from_fov(80.0, width, height)
    made = [_Made(made_scene(step, size), street_image(height, width, step), camera)
            for step in range(min(SCENES, frames))]
    with BagWriter(path) as writer:
        for index in range(frames):
            stamp_ns = (index + 1) * PERIOD_NS
            writer.add(f'{index:06d}', stamp_ns, made[index % len(made)].messages(stamp_ns))


class _Made:
    """One scene with its results and the points on it."""

    def __init__(self, scene: MadeScene, image: NDArray[np.uint8], camera: Intrinsics) -> None:
        self._scene = scene
        self._image = image
        self._camera = camera
        self._cloud = _cloud(scene.depth, camera)
        ids, counts = np.unique(scene.predicted[scene.predicted != VOID_ID], return_counts=True)
        self._segments = tuple(
            Segment(i, i // LABEL_DIVISOR, i % LABEL_DIVISOR,
                    CITYSCAPES[i // LABEL_DIVISOR].is_thing, 1.0, count, LOG_DEPTH_SCALE)
            for i, count in zip(ids.tolist(), counts.tolist(), strict=True))
        self._distances = measure_distances(
            scene.predicted, scene.predicted_depth, self._segments, camera,
            [c.name for c in CITYSCAPES], DistanceSettings())

    def messages(self, stamp_ns: int) -> list[Outgoing]:
        """All that is recorded of one image."""
        scene = self._scene
        frame = Frame(self._image, self._camera, stamp_ns)
        result = PanopticDepth(
            scene.predicted, scene.predicted_depth, self._segments, self._distances, self._camera,
            LABEL_DIVISOR, stamp_ns)
        results = FrameMessages(make, frame, result)
        head = results.head
        points = self._cloud
        fields = [make(POINT_FIELD, name=name, offset=4 * i, datatype=7, count=1)
                  for i, name in enumerate('xyz')]
        cloud = make(POINT_CLOUD, header=head, height=1, width=len(points), fields=fields,
                     is_bigendian=False, point_step=12, row_step=12 * len(points),
                     data=points.view(np.uint8).ravel(), is_dense=True)
        return [
            Outgoing(DEFAULT_IMAGE_TOPIC, IMAGE, make.image(head, self._image, 'rgb8')),
            Outgoing('/camera/camera_info', CAMERA_INFO, make.camera_info(head, self._camera)),
            Outgoing(PANOPTIC_TOPIC, IMAGE,
                     make.image(head, scene.panoptic.astype(np.uint16), '16UC1')),
            Outgoing(DEPTH_TOPIC, IMAGE, make.image(head, scene.depth, '32FC1')),
            Outgoing('/lidar/points', POINT_CLOUD, cloud),
            *(Outgoing(f'{NODE}/{OUTPUTS[name].name}', OUTPUTS[name].type,
                       OUTPUTS[name].make(results)) for name in READ),
            Outgoing(f'{NODE}/{LABEL_INFO_TOPIC}', LABEL_INFO, make.label_info(head),
                     latched=True)]


def _cloud(depth: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """(CLOUD_POINTS, 3) float32 points in the camera's frame, a quarter of them in front."""
    rng = np.random.default_rng(0)
    behind = rng.uniform(-50.0, -1.0, (CLOUD_POINTS, 3))
    v, u = np.nonzero(np.isfinite(depth))
    chosen = rng.permutation(len(u))[:CLOUD_POINTS // 4]
    v, u = v[chosen], u[chosen]
    z = depth[v, u]
    behind[:len(u)] = np.stack([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z,
                                z], axis=1)
    return rng.permutation(behind).astype(np.float32)
