# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A prediction beside its truth: pictures, distances by instance, metrics."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config import DistanceSettings
from ..contract import NEEDS_POSITIONS, SEGMENTATION, lacking
from ..evaluation.dataset.evaluate import EvaluationResult, Evaluator
from ..evaluation.metrics.segment_overlaps import segment_overlaps
from ..files import make_folder, write_atomic
from ..inference.distances import measure_distances
from ..io.visualization import depth_color, encode_png, overlay
from ..labels import CITYSCAPES, LABEL_DIVISOR, VOID_ID, ClassInfo
from ..structures import PanopticDepth, Sample, Segment

LEAST_PIXELS = 100
"""Smaller instances are left out of the list, as in the evaluation."""


class DistancePair(NamedTuple):
    """
    Distances of one true instance from the camera.

    :param predicted_m: NaN where no predicted instance of the class covers it with IoU > 0.5.
    """

    frame: str
    instance: str
    pixels: int
    truth_m: float
    predicted_m: float

    @property
    def error(self) -> float:
        """Relative error, positive when it is predicted too far; NaN where not found."""
        return (self.predicted_m - self.truth_m) / self.truth_m


def as_result(sample: Sample, classes: Sequence[ClassInfo] = CITYSCAPES) -> PanopticDepth:
    """Return the truth as a prediction; its distances are measured in the same way."""
    truth, frame = sample.truth, sample.frame
    if truth.panoptic is None or truth.depth is None:
        raise ValueError(f'frame {frame.name!r} has no full truth; give one with both parts')
    panoptic = truth.panoptic.astype(np.uint16)
    segments = [
        Segment(int(number), int(number) // LABEL_DIVISOR, int(number) % LABEL_DIVISOR,
                classes[int(number) // LABEL_DIVISOR].is_thing, 1.0, int(count))
        for number, count in zip(*np.unique(panoptic, return_counts=True), strict=True)
        if number != VOID_ID]
    distances = measure_distances(panoptic, truth.depth, segments, frame.intrinsics,
                                  [c.name for c in classes], DistanceSettings())
    return PanopticDepth(panoptic, truth.depth, tuple(segments), distances, frame.intrinsics,
                         LABEL_DIVISOR, frame.stamp_ns, frame.frame_id, frame.name, 'truth')


def _distance_pairs(truth: PanopticDepth, predicted: PanopticDepth) -> list[DistancePair]:
    """Every instance of the truth that is large enough, nearest first."""
    overlaps = segment_overlaps(truth.panoptic, predicted.panoptic,
                                truth_divisor=truth.label_divisor,
                                predicted_divisor=predicted.label_divisor)
    rows, columns, _ = overlaps.matches()
    match = {int(overlaps.truth_id[r]): int(overlaps.predicted_id[c])
             for r, c in zip(rows, columns, strict=True)}
    found = {d.segment.panoptic_id: d.distance_m for d in predicted.distances}
    return [DistancePair(truth.name, f'{d.class_name} {d.segment.instance_id}',
                         d.segment.pixel_count, d.distance_m,
                         found.get(match.get(d.segment.panoptic_id, -1), math.nan))
            for d in truth.distances
            if d.segment.pixel_count >= LEAST_PIXELS and math.isfinite(d.distance_m)]


class Comparison:
    """
    Collects frames whose truth is known.

    :param folder: gets one picture per frame, and distances.csv at the end.
    """

    def __init__(self, folder: Path, classes: Sequence[ClassInfo] = CITYSCAPES) -> None:
        self.folder = make_folder(folder)
        self.pairs: list[DistancePair] = []
        self._classes = classes
        self._evaluator = Evaluator(classes=classes)

    def add(self, sample: Sample, predicted: PanopticDepth) -> None:
        """Add one frame and write its picture: prediction on the left, truth on the right."""
        truth = as_result(sample, self._classes)
        if not lacking(NEEDS_POSITIONS, predicted.tasks):
            self.pairs += _distance_pairs(truth, predicted)
        self._evaluator.add(sample.truth, predicted)
        rows: list[NDArray[np.uint8]] = []
        if predicted.tasks & SEGMENTATION:
            rows.append(np.hstack([overlay(sample.frame.image, result, self._classes)
                                   for result in (predicted, truth)]))
        if 'depth' in predicted.tasks:
            rows.append(np.hstack([depth_color(result.depth) for result in (predicted, truth)]))
        write_atomic(self.folder / f'{sample.frame.name}.png', encode_png(np.vstack(rows)))

    def finish(self) -> EvaluationResult:
        """Write the table of distances and work out the metrics."""
        write_atomic(self.folder / 'distances.csv', self._write_distances)
        return self._evaluator.result()

    def _write_distances(self, path: Path) -> None:
        with path.open('w', encoding='utf-8', newline='') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(DistancePair._fields)
            writer.writerows((*p[:3], f'{p.truth_m:.3f}', '' if math.isnan(p.predicted_m) else
                              f'{p.predicted_m:.3f}') for p in self.pairs)
