# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the mounting of the camera is worth.

On synthetic scenes seen from several heights, with exact truth, and on a data set that knows its
mounting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..config import DepthSettings, GroundSettings, InferenceSettings
from ..contract import MOUNTING
from ..datasets import open_dataset, parse_data
from ..datasets.synthetic import height_scenes
from ..errors import ConfigError
from ..evaluation.dataset.evaluate import EvaluationResult, evaluate
from ..evaluation.dataset.measured_samples import MeasuredSamples, SimulatedPoints
from ..inference.pipeline import Pipeline
from ..structures import Frame, Mounting, Sample
from .report import Report

HEIGHTS_M = (0.4, 0.8, 1.2, 1.65, 2.2)

_LONG = InferenceSettings(depth=DepthSettings(max_m=1000.0))


class _Way(NamedTuple):
    """
    A way to use the mounting.

    :param told: the network is. :param anchored: depth is, to the ground.
    :param points: measured points are blended in, too; their pixels are not scored.
    """

    name: str
    told: bool
    anchored: bool
    points: bool = False


POINTS = 'sample:0.01,noise=0.03,outliers=0.05'

WAYS = (_Way('none', False, False), _Way('network', True, False),
        _Way('anchoring', False, True), _Way('both', True, True))
POINTS_WAY = _Way('both, points', True, True, points=True)

ERRORS: tuple[tuple[str, float, float], ...] = (
    *((f'height {100 * share - 100:+.0f} %', share, 0.0)
      for share in (0.8, 0.9, 0.95, 1.05, 1.1, 1.2)),
    *((f'pitch {degrees:+g} degrees', 1.0, degrees)
      for degrees in (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)))
"""Name, factor on the height, degrees added to the pitch."""

_METRICS = {'absrel': 'depth.abs_rel', 'bias': 'distance.labels.bias_rel',
            'error': 'distance.labels.median_rel', 'in68': 'calibration.labels.coverage_68'}


def measure_mountings(model: Path | None, frames: int, data: str = '',
                      threads: int | None = None,
                      note: Callable[[str], None] = lambda text: None) -> Report:
    """
    Measure every way to use the mounting, then errors of the mounting in the best of them.

    :param frames: synthetic places, each seen from every height.
    :param data: NAME:ROOT:SPLIT of a data set that knows its mounting; empty: none.
    :raises ConfigError: a wrong data set, or no ray caster of synthetic scenes.
    """
    options: dict[str, Any] = {} if threads is None else {'threads': threads}
    sets: dict[str, Sequence[Sample]] = {
        f'{height:g} m': list(_all(height_scenes(frames, height))) for height in HEIGHTS_M}
    if data:
        sets[data.split(':')[0]] = list(_with_depth(data))
    rows: list[dict[str, Any]] = []
    with Pipeline(model, settings=_LONG, **options) as pipeline:
        info = pipeline.model.info
        ways = [way for way in WAYS if info.takes_mounting or not way.told]
        for name, samples in sets.items():
            note(name)
            rows += [{'camera at': name, 'mounting': 'true', 'used by': way.name,
                      **_measured(pipeline, samples, way)} for way in (*ways, POINTS_WAY)]
        best = ways[-1]
        for error, factor, degrees in ERRORS:
            note(error)
            for name, samples in sets.items():
                wrong = [_mounted(sample, factor, degrees) for sample in samples]
                rows.append({'camera at': name, 'mounting': error, 'used by': best.name,
                             **_measured(pipeline, wrong, best)})
    return Report(
        'mounting', f'Depth with the mounting of the camera, {frames} synthetic places from each '
        f'height, {info.model_id}',
        {'camera at': '', 'mounting': '', 'used by': '', 'absrel': '.3f', 'bias': '+.3f',
         'error': '.3f', 'in68': '.2f'},
        rows,
        ['used by: the network, which is told the mounting; anchoring, which ties depth to the '
         'ground after it; or both. points: '
         f'{SimulatedPoints.parse(POINTS)}. absrel: of pixels up to 80 m; bias, error: median '
         'relative error of the distances of instances, with its sign and without; in68: share of '
         'pixels within their 68 % range.'],
        {'frames': frames, 'threads': threads, 'data': data})


def _all(scenes: Any) -> Iterator[Sample]:
    for index in range(len(scenes)):
        yield scenes[index]


def _with_depth(data: str) -> Iterator[Sample]:
    for sample in _all(open_dataset(*parse_data(data), mounting='data')):
        if sample.truth.depth is not None:
            if sample.frame.mounting is None:
                raise ConfigError(f'data set {data}: does not know its mounting; give one that '
                                  'does, such as kitti_half')
            yield sample


def _measured(pipeline: Pipeline, samples: Sequence[Sample], way: _Way) -> dict[str, float]:
    pipeline.configure(_LONG.model_copy(update={
        'ground': GroundSettings(anchor=way.anchored)}))

    def run(frame: Frame) -> Any:
        if not (way.told or way.anchored):
            frame = replace(frame, mounting=None)
        elif not way.told:
            frame = replace(frame, extra_inputs={MOUNTING: np.zeros(3, np.float32)})
        return pipeline(frame)

    if way.points:
        measured = MeasuredSamples(samples, POINTS, 1.0)
        samples = list(_all(measured))
    result: EvaluationResult = evaluate(run, samples)
    return {key: result.values.get(name, float('nan')) for key, name in _METRICS.items()}


def _mounted(sample: Sample, factor: float, degrees: float) -> Sample:
    """The sample with a wrong mounting."""
    true = sample.frame.mounting
    assert true is not None
    wrong = Mounting(true.height_m * factor, true.pitch_deg + degrees, true.roll_deg)
    return replace(sample, frame=replace(sample.frame, mounting=wrong))
