# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How fast results are scored: made-up frames in the format of Cityscapes-DVPS with stored results.

The time includes reading pictures, labels and results from PNG files; there is no network in it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..files import make_folder
from ..io.results.coco_panoptic import FILE_NAME, FOLDER, encode_ids
from ..io.results.sinks import depth_to_png16, encode_png
from ..labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, THING_CLASSES, VOID_ID
from .benchmark import street_image
from .machine import machine, versions

SIZE = (1024, 2048)
SEQUENCE_FRAMES = 6
"""As in Cityscapes-DVPS."""

THINGS = 50
"""Instances per frame; with the stuff about 60 segments."""

_STUFF = ('sky', 'building', 'vegetation', 'fence', 'sidewalk', 'terrain', 'road')
LOG_DEPTH_SCALE = 0.1
_VOID = 32


@dataclass(frozen=True)
class ScoringTiming:
    """
    Time to score some frames.

    :param seconds: of opening the data set to the last figure.
    """

    frames: int
    image_size: tuple[int, int]
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """Frames per second and seconds, and on what."""
        height, width = self.image_size
        return (f'{self.frames} frames of {width}x{height} scored in {self.seconds:.1f} s: '
                f'{self.frames / self.seconds:.1f} frames/s\n'
                + ', '.join([*self.machine.values(),
                             *(f'{k} {v}' for k, v in self.versions.items())]) + '\n')


@dataclass(frozen=True)
class MadeScene:
    """
    One made-up frame and what a network could have made of it.

    :param panoptic, predicted: (H, W) int32 and uint16 panoptic ids.
    :param depth, predicted_depth: (H, W) float32 metres, NaN where unknown.
    """

    panoptic: NDArray[np.int32]
    depth: NDArray[np.float32]
    predicted: NDArray[np.uint16]
    predicted_depth: NDArray[np.float32]


def scoring_benchmark(frames: int, score: Callable[[Path, Path], object],
                      size: tuple[int, int] = SIZE) -> ScoringTiming:
    """
    Write a data set and results into a temporary folder and time their scoring.

    :param score: called with the root of a cityscapes_dvps and the folder of the results.
    :param size: height and width of the frames.
    :raises ConfigError: when there are no frames.
    """
    if frames < 1:
        raise ConfigError(f'benchmark: {frames} frames to score; give at least 1')
    with tempfile.TemporaryDirectory() as folder:
        root, results = Path(folder) / 'data', Path(folder) / 'results'
        write_frames(root, results, frames, size)
        start = time.perf_counter()
        score(root, results)
        seconds = time.perf_counter() - start
    return ScoringTiming(frames, size, seconds, machine(), versions())


def write_frames(root: Path, results: Path, frames: int, size: tuple[int, int] = SIZE) -> None:
    """
    Write frames and their results; every sequence shows the same scenes.

    :param root: gets video_sequence/val; results: what ``predict`` writes of it.
    """
    data = make_folder(root / 'video_sequence' / 'val')
    folders = {'panoptic': make_folder(results / FOLDER), 'depth': make_folder(results / 'depth')}
    first: list[list[Path]] = []
    segments: list[list[dict[str, Any]]] = []
    annotations = []
    for index in range(frames):
        sequence, step = divmod(index, SEQUENCE_FRAMES)
        name = f'{sequence:06d}_{step:06d}_made_{sequence:06d}_{step:06d}'
        paths = [*(data / f'{name}_{kind}.png' for kind in (
            'leftImg8bit', 'gtFine_instanceTrainIds', 'depth')),
            *(folder / f'{name}.png' for folder in folders.values())]
        if sequence:
            for path, original in zip(paths, first[step], strict=True):
                _repeat(original, path)
        else:
            scene = made_scene(step, size)
            first.append(paths)
            segments.append(_segments_info(scene))
            for path, content in zip(paths, _pictures(scene, step), strict=True):
                path.write_bytes(content)
        annotations.append({'file_name': f'{name}.png', 'segments_info': segments[step]})
    categories = [{'id': c.class_id, 'name': c.name, 'isthing': int(c.is_thing)}
                  for c in CITYSCAPES]
    (results / FILE_NAME).write_text(json.dumps(
        {'annotations': annotations, 'categories': categories}), encoding='utf-8')


def _repeat(original: Path, path: Path) -> None:
    """Give a file a second name, where the disk can; else copy it."""
    try:
        os.link(original, path)
    except OSError:
        shutil.copyfile(original, path)


def _pictures(scene: MadeScene, seed: int) -> tuple[bytes, ...]:
    """Picture, labels, depth, predicted ids and predicted depth as PNG files."""
    ids = scene.panoptic
    void, instance = ids == VOID_ID, ids % LABEL_DIVISOR
    # In the format instances count from 0, and stuff has none.
    labels = np.where(void, _VOID * LABEL_DIVISOR, ids - (instance > 0)).astype(np.uint16)
    # Without the blur the noise would make the file twice as large as a photograph is.
    picture = cv2.GaussianBlur(street_image(ids.shape[0], ids.shape[1], seed), (3, 3), 0)
    return (encode_png(np.asarray(picture, np.uint8)), encode_png(labels),
            encode_png(depth_to_png16(scene.depth)), encode_ids(scene.predicted),
            encode_png(depth_to_png16(scene.predicted_depth)))


def _segments_info(scene: MadeScene) -> list[dict[str, Any]]:
    """COCO's segments_info, with an expected error of depth."""
    return [{'id': i + 1, 'category_id': i // LABEL_DIVISOR, 'log_depth_scale': LOG_DEPTH_SCALE}
            for i in np.unique(scene.predicted).tolist() if i != VOID_ID]


def made_scene(step: int, size: tuple[int, int]) -> MadeScene:
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
    predicted_depth = depth * np.exp(patches + grain)
    # Stereo is noisy and leaves gaps.
    depth *= rng.normal(1.0, 0.01, size).astype(np.float32)
    depth[patches > 0.8 * LOG_DEPTH_SCALE] = np.nan
    shift = max(width // 500, 1)
    return MadeScene(ids, depth, np.roll(ids, shift, axis=1).astype(np.uint16),
                  np.asarray(predicted_depth, np.float32))
