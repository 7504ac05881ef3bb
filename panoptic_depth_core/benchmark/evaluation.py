# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How fast results are evaluated, without a network: made-up scenes with truth and results.

As a data set in the format of Cityscapes-DVPS with stored results (scoring), and as recordings of
images, true labels and depth, a point cloud per image, and results (replay). The time includes
reading and decoding.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import DistanceSettings
from ..errors import ConfigError
from ..evaluation.recordings.evaluate_bag import BagJob
from ..evaluation.recordings.evaluate_bags import evaluate_bags
from ..evaluation.settings import RecordingSettings
from ..files import make_folder
from ..inference.distances import measure_distances
from ..io.bags.drive_bags import DEPTH_TOPIC, PANOPTIC_TOPIC
from ..io.bags.result_bags import READ, ResultBagWriter
from ..io.bags.writing import Outgoing
from ..io.messages.outputs import OUTPUTS, FrameMessages
from ..io.messages.types import IMAGE, POINT_CLOUD
from ..io.results.coco_panoptic import FILE_NAME, FOLDER, encode_ids, segments_info
from ..io.results.result_folder import depth_to_png16
from ..io.visualization import encode_png
from ..labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, THING_CLASSES, VOID_ID
from ..structures import Frame, Intrinsics, PanopticDepth, Segment
from .pipeline import street_image
from .report import Report

REPLAY_SIZE = (375, 1242)
SEQUENCE_FRAMES = 6
"""As in Cityscapes-DVPS; recordings repeat as many scenes."""

THINGS = 50
"""Instances per frame; with the stuff about 60 segments."""

LEAST_FRAMES = 50
PERIOD_NS = 100_000_000
LOG_DEPTH_SCALE = 0.1
_STUFF = ('sky', 'building', 'vegetation', 'fence', 'sidewalk', 'terrain', 'road')
_VOID = 32


class Scene(NamedTuple):
    """
    One made-up frame with its truth and what a network could have made of it.

    :param panoptic: (H, W) int32 panoptic ids. :param depth: (H, W) float32 meters, NaN unknown.
    """

    frame: Frame
    panoptic: NDArray[np.int32]
    depth: NDArray[np.float32]
    result: PanopticDepth


def measure_scoring(frames: int, score: Callable[[Path, Path], object],
                    size: tuple[int, int]) -> Report:
    """
    Time the scoring of made-up frames.

    :param score: called with the root of a cityscapes_dvps and the folder of the results.
    :param size: height and width of the frames.
    :raises ConfigError: there are no frames.
    """
    if frames < 1:
        raise ConfigError(f'benchmark: {frames} frames to score; give at least 1')
    with tempfile.TemporaryDirectory() as folder:
        root, results = Path(folder) / 'data', Path(folder) / 'results'
        write_frames(root, results, frames, size)
        start = time.perf_counter()
        score(root, results)
        return _report('scoring', frames, size, time.perf_counter() - start)


def measure_replay(frames: int, workers: int, size: tuple[int, int] = REPLAY_SIZE) -> Report:
    """
    Time the evaluation of a made-up recording per worker, once all of them work.

    :param frames: of all recordings together; 8 MB each at the default size.
    :param size: height and width of the images.
    :raises ConfigError: fewer than 50 frames for each worker.
    """
    if frames < LEAST_FRAMES * workers:
        raise ConfigError(f'benchmark: {frames} frames for {workers} processes; give at least '
                          f'{LEAST_FRAMES * workers} (--frames), or fewer processes (--jobs)')
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for number in range(workers):
            path = Path(folder) / f'drive_{number}'
            write_drive(path, len(range(number, frames, workers)), size)
            jobs.append(BagJob(path.name, path, RecordingSettings()))
        done = [0] * workers
        seen: list[tuple[float, int]] = []

        def progress(index: int, frames: int, _expected: int | None) -> None:
            done[index] = frames
            if min(done):
                seen.append((time.perf_counter(), sum(done)))

        evaluate_bags(jobs, Path(folder) / 'report', workers=workers, progress=progress)
    (start, before), (end, after) = seen[0], seen[-1]
    return _report('replay', after - before, size, end - start)


def _report(what: str, frames: int, size: tuple[int, int], seconds: float) -> Report:
    return Report(what, f'{frames} frames of {size[1]}x{size[0]} scored in {seconds:.1f} s', {
        'frames': 'd', 'image_size': '', 'seconds': '.1f', 'frames_per_s': '.1f'}, [{
            'frames': frames, 'image_size': f'{size[0]}x{size[1]}', 'seconds': seconds,
            'frames_per_s': frames / seconds}])


def write_frames(root: Path, results: Path, frames: int, size: tuple[int, int]) -> None:
    """Write a data set and what ``predict`` writes of it; every sequence has the same scenes."""
    data = make_folder(root / 'video_sequence' / 'val')
    folders = [make_folder(results / FOLDER), make_folder(results / 'depth')]
    first: list[tuple[list[Path], list[dict[str, Any]]]] = []
    annotations = []
    for index in range(frames):
        sequence, step = divmod(index, SEQUENCE_FRAMES)
        name = f'{sequence:06d}_{step:06d}_made_{sequence:06d}_{step:06d}'
        paths = [*(data / f'{name}_{kind}.png' for kind in (
            'leftImg8bit', 'gtFine_instanceTrainIds', 'depth')),
            *(folder / f'{name}.png' for folder in folders)]
        if sequence:
            for path, original in zip(paths, first[step][0], strict=True):
                path.symlink_to(original)
        else:
            scene = make_scene(step, size)
            first.append((paths, segments_info(scene.result)))
            for path, content in zip(paths, _png_files(scene), strict=True):
                path.write_bytes(content)
        annotations.append({'file_name': f'{name}.png', 'segments_info': first[step][1]})
    categories = [{'id': c.class_id, 'name': c.name, 'isthing': int(c.is_thing)}
                  for c in CITYSCAPES]
    (results / FILE_NAME).write_text(json.dumps(
        {'annotations': annotations, 'categories': categories}), encoding='utf-8')


def _png_files(scene: Scene) -> tuple[bytes, ...]:
    """Picture, labels, depth, predicted ids and predicted depth."""
    ids = scene.panoptic
    # In the format instances count from 0, and stuff has none.
    labels = np.where(ids == VOID_ID, _VOID * LABEL_DIVISOR, ids - (ids % LABEL_DIVISOR > 0))
    # Without the blur the noise would make the file twice as large as a photograph is.
    picture = cv2.GaussianBlur(scene.frame.image, (3, 3), 0)
    return (encode_png(np.asarray(picture, np.uint8)), encode_png(labels.astype(np.uint16)),
            encode_png(depth_to_png16(scene.depth)), encode_ids(scene.result.panoptic),
            encode_png(depth_to_png16(scene.result.depth)))


class _DriveWriter(ResultBagWriter):
    """Results of the node, with the truth, and the points of every second pixel as a LiDAR's."""

    outputs = READ
    scene: Scene

    def _outgoing(self, messages: FrameMessages) -> list[Outgoing]:
        panoptic = self.scene.panoptic.astype(np.uint16)
        return [*super()._outgoing(messages),
                Outgoing(PANOPTIC_TOPIC, IMAGE, messages.image(panoptic, '16UC1')),
                Outgoing(DEPTH_TOPIC, IMAGE, messages.image(self.scene.depth, '32FC1')),
                Outgoing('/lidar/points', POINT_CLOUD, OUTPUTS['points'].make(messages))]


def write_drive(path: Path, frames: int, size: tuple[int, int] = REPLAY_SIZE) -> None:
    """Write a recording of made-up scenes, the same few again and again."""
    scenes = [make_scene(step, size) for step in range(min(SEQUENCE_FRAMES, frames))]
    writer = _DriveWriter(path)
    with writer:
        for index in range(frames):
            writer.scene = scenes[index % len(scenes)]
            writer.write(replace(writer.scene.frame, stamp_ns=(index + 1) * PERIOD_NS,
                                 name=f'{index:06d}'), writer.scene.result)


def make_scene(step: int, size: tuple[int, int]) -> Scene:
    """Draw bands of stuff with wavy borders, ellipses on them, and predict all a little off."""
    height, width = size
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:height, :width].astype(np.float32)
    wave = v + 0.02 * height * np.sin(u / (0.02 * width) + step)
    band = np.clip(wave / height * len(_STUFF), 0, len(_STUFF) - 1).astype(np.int32)
    ids = (np.array([CLASS_ID[name] for name in _STUFF], np.int32) * LABEL_DIVISOR)[band]
    depth = (200.0 / (1.0 + 12.0 * v / height)).astype(np.float32)
    for number in range(THINGS):
        radius = height * float(rng.uniform(0.01, 0.1))
        x = (float(rng.uniform(0, width)) + 5.0 * step) % width
        y = float(rng.uniform(0.4, 0.9)) * height
        mask = np.hypot(u - x, 1.3 * (v - y)) < radius
        class_id = THING_CLASSES[number % len(THING_CLASSES)]
        ids[mask] = class_id * LABEL_DIVISOR + number // len(THING_CLASSES) + 1
        depth[mask] = 600.0 / height * 10.0 / max(radius / height * 100.0, 1.0)
    ids[-height // 20:] = VOID_ID
    # A network is wrong in patches, and at its own resolution.
    patches, grain = (cv2.resize(rng.normal(0.0, spread, (
        height // cell + 1, width // cell + 1)).astype(np.float32), (width, height))
        for cell, spread in ((16, LOG_DEPTH_SCALE), (4, 0.02)))
    predicted_depth = np.asarray(depth * np.exp(patches + grain), np.float32)
    # Stereo is noisy and leaves gaps.
    depth *= rng.normal(1.0, 0.01, size).astype(np.float32)
    depth[patches > 0.8 * LOG_DEPTH_SCALE] = np.nan
    predicted = np.roll(ids, max(width // 500, 1), axis=1).astype(np.uint16)
    camera = Intrinsics.from_fov(80.0, width, height)
    found, counts = np.unique(predicted[predicted != VOID_ID], return_counts=True)
    segments = tuple(
        Segment(i, i // LABEL_DIVISOR, i % LABEL_DIVISOR, CITYSCAPES[i // LABEL_DIVISOR].is_thing,
                1.0, count, LOG_DEPTH_SCALE)
        for i, count in zip(found.tolist(), counts.tolist(), strict=True))
    distances = measure_distances(predicted, predicted_depth, segments, camera,
                                  [c.name for c in CITYSCAPES], DistanceSettings())
    return Scene(Frame(street_image(height, width, step), camera), ids, depth, PanopticDepth(
        predicted, predicted_depth, segments, distances, camera, LABEL_DIVISOR))
