# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What distances through a lens are worth, on synthetic scenes with exact truth.

Each place is rendered twice: through the lens, and by the pinhole camera that shows the same view.
All results are compared on the pixels of the latter, where each thing is the same thing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import InferenceSettings
from ..datasets.synthetic import scenes_of
from ..inference.pipeline import Pipeline
from ..inference.preprocess import prepare
from ..labels import VOID_ID
from ..lens import Lens
from ..model_info import ModelInfo
from ..structures import Frame, Intrinsics, PanopticDepth
from ..views import fixed_point, rays_of, rectified, shown_by, view_of
from .report import Report

_WIDTH, _HEIGHT = 1024, 512
_LARGE = 2
"""Factor to the size at which host time is measured."""
_LEAST_PIXELS = 300
_LEAST_IOU = 0.5
_LEAST_SHOWN = 0.9
_HOST_REPEATS = 15
_NO_WEIGHTS: Any = None
"""Second map of a remap of whole pixels; OpenCV's annotations lack it."""


class _Case(NamedTuple):
    name: str
    fov_deg: float
    lens: Lens


CASES = (
    _Case('narrow barrel', 40.0, Lens('plumb_bob', (-0.25, 0.12, 0.0008, -0.0005, 0.0))),
    _Case('barrel', 70.0, Lens('plumb_bob', (-0.32, 0.14, 0.001, -0.0005, -0.02))),
    _Case('wide angle', 100.0, Lens('rational_polynomial', (
        1.2, 0.35, 0.0005, -0.0004, 0.01, 1.55, 0.7, 0.07))),
    _Case('fisheye', 160.0, Lens('equidistant', (0.02, -0.008, 0.003, -0.0006))),
)
"""Lenses by the horizontal angle of their pictures, in the conventions of OpenCV."""


def camera_of(case: _Case) -> Intrinsics:
    """Camera whose middle row spans the angle."""
    edge = math.tan(math.radians(case.fov_deg / 2))
    focal = 0.5 * _WIDTH / float(case.lens.distorted(np.array([[edge, 0.0]]))[0, 0])
    return Intrinsics(focal, focal, 0.5 * _WIDTH - 0.5, 0.5 * _HEIGHT - 0.5, _WIDTH, _HEIGHT,
                      case.lens)


def measure_lenses(model: Path | None, frames: int, threads: int | None = None,
                   note: Callable[[str], None] = lambda text: None) -> Report:
    """
    Compare distances through lenses with those of a pinhole camera, and with the truth.

    :param model: as Pipeline takes it. :param frames: places per lens.
    :raises ConfigError: without the ray caster of synthetic scenes.
    """
    options: dict[str, Any] = {} if threads is None else {'threads': threads}
    rows: list[dict[str, Any]] = []
    with Pipeline(model, settings=InferenceSettings(rectified=True), **options) as pipeline:
        info = pipeline.model.info
        pinhole = Intrinsics.from_fov(70.0, _LARGE * _WIDTH, _LARGE * _HEIGHT)
        rows.append({'lens': 'none', 'host_ms': host_ms(pinhole, info)})
        for case in CASES:
            note(f'{case.name}, {case.fov_deg:g} degrees')
            camera = camera_of(case)
            large = camera.transformed(_LARGE, _LARGE, 0, 0, _LARGE * _WIDTH, _LARGE * _HEIGHT)
            rows.append({
                'lens': case.name, 'model': case.lens.model, 'degrees': case.fov_deg,
                'view': _angle(camera), **_errors(pipeline, camera, frames),
                'host_ms': host_ms(large, info)})
    return Report(
        'lenses', f'Distances through lenses, {frames} synthetic places each, {info.model_id}',
        {'lens': '', 'model': '', 'degrees': '.0f', 'view': '.0f', 'things': 'd',
         'to_pinhole_%': '.1f', 'bias_%': '+.1f', 'error_%': '.1f', 'pinhole_error_%': '.1f',
         'ignored_to_pinhole_%': '.1f', 'ignored_error_%': '.1f', 'ignored_things': 'd',
         'host_ms': '.1f'},
        rows,
        ['degrees: across the picture; view: across the part that the network sees. to pinhole: '
         'median difference of distances from those in the picture of a pinhole camera at the '
         'same place, bias with its sign; error, pinhole error: from the truth, in both pictures. '
         'ignored: with the lens left out of the intrinsics. host: preparing an image of '
         f'{_LARGE * _HEIGHT}x{_LARGE * _WIDTH} px and bringing labels and depth back to it.'],
        {'frames': frames, 'threads': threads})


def _angle(camera: Intrinsics) -> float:
    """Degrees across the view."""
    view = view_of(camera)
    return math.degrees(math.atan(view.right) - math.atan(view.left))


def _errors(pipeline: Pipeline, camera: Intrinsics, frames: int) -> dict[str, Any]:
    """Medians over all things, in percent."""
    pinhole = rectified(camera)
    at = shown_by(camera, pinhole)
    shown = np.asarray(np.isfinite(at).all(axis=-1))
    nearest = fixed_point(np.floor(at + 0.5))[0]
    through, plain = scenes_of(frames, camera), scenes_of(frames, pinhole)
    found = []
    for index in range(frames):
        sample = plain[index]
        # A mounting would mend what a wrong lens does to the scale.
        frame = replace(through[index].frame, mounting=None)
        true_ids, true_depth = sample.truth.panoptic, sample.truth.depth
        assert true_ids is not None and true_depth is not None
        ignored = pipeline(replace(frame, intrinsics=camera.pinhole))
        ignored = replace(ignored, panoptic=np.asarray(cv2.remap(
            ignored.panoptic, nearest, _NO_WEIGHTS, cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT, borderValue=VOID_ID), np.uint16))
        results = pipeline(frame), pipeline(replace(sample.frame, mounting=None)), ignored
        ranges = true_depth * np.sqrt(1 + (rays_of(pinhole) ** 2).sum(axis=-1))
        for number in sample.truth.instance_depth_m:
            mask = true_ids == number
            if mask.sum() >= _LEAST_PIXELS and shown[mask].mean() >= _LEAST_SHOWN:
                found.append([*(_distance(result, mask & shown) for result in results),
                              float(np.median(ranges[mask]))])
    lens, plain_m, without, true = np.array(found).reshape(-1, 4).T
    both, either = np.isfinite(lens) & np.isfinite(plain_m), np.isfinite(without)

    def percent(values: NDArray[np.float64], others: NDArray[np.float64],
                known: NDArray[np.bool_], signed: bool = False) -> float:
        ratio = values[known] / others[known] - 1
        return 100 * float(np.median(ratio if signed else np.abs(ratio))) if ratio.size else (
            math.nan)

    return {
        'things': int(both.sum()), 'to_pinhole_%': percent(lens, plain_m, both),
        'bias_%': percent(lens, plain_m, both, signed=True), 'error_%': percent(lens, true, both),
        'pinhole_error_%': percent(plain_m, true, both),
        'ignored_to_pinhole_%': percent(without, plain_m, both & either),
        'ignored_error_%': percent(without, true, both & either),
        'ignored_things': int((both & either).sum())}


def _distance(result: PanopticDepth, mask: NDArray[np.bool_]) -> float:
    """Distance of the thing that has these pixels; NaN where none has."""
    ids, counts = np.unique(result.panoptic[mask], return_counts=True)
    number = int(ids[counts.argmax()])
    union = mask.sum() + np.count_nonzero(result.panoptic == number) - counts.max()
    return next((d.distance_m for d in result.distances if d.segment.panoptic_id == number
                 and counts.max() >= _LEAST_IOU * union), math.nan)


def host_ms(camera: Intrinsics, info: ModelInfo) -> float:
    """Median time of preparing an image and of bringing labels and depth back."""
    image = np.random.default_rng(0).integers(0, 256, (camera.height, camera.width, 3), np.uint8)
    frame = Frame(image, camera)
    height, width = info.map_size()
    depth = np.linspace(2.0, 50.0, height * width, dtype=np.float32).reshape(height, width)
    labels = (np.add.outer(np.arange(height) // 24, np.arange(width) // 24) % 7).astype(np.uint16)
    times = []
    for _ in range(_HOST_REPEATS + 1):
        start = time.perf_counter()
        _, geometry = prepare(frame, info.input_width, info.input_height)
        grid = geometry.grid(info.output_stride)
        ids = grid.crop(labels, VOID_ID)
        grid.restore_depth(grid.crop(depth, math.nan), ids)
        grid.restore_labels(ids, VOID_ID)
        times.append(1e3 * (time.perf_counter() - start))
    # The first one makes the maps.
    return float(np.median(times[1:]))
