# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Whether the model knows where it is wrong: the error of the pixels that it is most sure of.

Pixels are kept in the order of what the model says of their segment. With a share c kept, the risk
is their mean error; AURC is the area under the risk, its mean over c (Geifman, Uziel and El-Yaniv,
Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers, ICLR 2019). Where AURC is the
error of all pixels, the order is worth nothing.

The model says one number for a segment, so its pixels, and those of equal segments, are kept in
any order: within them the sum of errors grows evenly, and the area is exact.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_DEPTH, NEEDS_SEMANTIC
from ...labels import VOID_CLASS
from .base import Metric
from .calibration import known_depth, scales_of
from .depth import ABS_REL, PIXELS, group_sums
from .frame import JudgedFrame, Rules
from .shown import MetricKind, Record

SHARES = tuple(round(0.05 * i, 2) for i in range(1, 21))
"""Shares of pixels kept for which the risk is reported."""

Columns = NDArray[np.float64]
"""(3, N) float64 by segment: doubt, least first; pixels; sum of their errors."""


@dataclass(frozen=True)
class RiskResult:
    """
    Risk over coverage.

    :param aurc: NaN where there are no pixels, as is the risk.
    :param risk: share of pixels kept -> their mean error.
    """

    pixels: int
    aurc: float
    risk: dict[float, float]


def risk_of(columns: Columns) -> RiskResult:
    """Risk over coverage of segments."""
    doubt, pixels, errors = columns
    total = float(pixels.sum())
    if not total:
        return RiskResult(0, np.nan, dict.fromkeys(SHARES, np.nan))
    _, group = np.unique(doubt, return_inverse=True)
    share = np.bincount(group, pixels) / total
    slope = np.bincount(group, errors) / total / share
    kept = np.cumsum(share)
    # Sums of shares can miss 1 by rounding.
    kept[-1] = 1.0
    sums = np.cumsum(slope * share)
    start, before = kept - share, sums - slope * share
    # The integral of (before + slope (c - start)) / c over each group.
    area = slope * share
    area[1:] += (before - slope * start)[1:] * np.log(kept[1:] / kept[:-1])
    at = np.array(SHARES)
    risk = np.interp(at, [0.0, *kept], [0.0, *sums]) / at
    return RiskResult(int(total), float(area.sum()), dict(zip(SHARES, risk.tolist(), strict=True)))


class RiskMetric(Metric[RiskResult]):
    """Keeps three numbers of every segment."""

    breakdowns = ()

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self._columns: list[Columns] = []

    def update(self, frame: JudgedFrame) -> None:
        self._columns.append(self.columns(frame))

    @abstractmethod
    def columns(self, frame: JudgedFrame) -> Columns:
        """Count the segments of a frame."""

    def merge(self, other: RiskMetric) -> None:
        super().merge(other)
        self._columns += other._columns

    def result(self) -> RiskResult:
        return risk_of(np.concatenate([np.zeros((3, 0)), *self._columns], axis=1))

    @property
    def measured(self) -> bool:
        return self.found.pixels > 0

    def value(self, end: str) -> float:
        return self.found.aurc if end == 'aurc' else self.found.risk[int(end[5:]) / 100]

    def on(self, end: str) -> str:
        return f'{self.frames} frames, {self.found.pixels} px'

    def detail(self) -> Record:
        found = self.found
        return {'pixels': found.pixels, 'aurc': found.aurc,
                'risk': [{'kept': share, 'risk': risk} for share, risk in found.risk.items()]}


def _kinds(error: str, order: str) -> Mapping[str, MetricKind]:
    return {'aurc': MetricKind(f'AURC, {error}', 'share', 'lower',
                               f'Mean over all shares of pixels kept, those with {order} first.'),
            **{f'risk_{q}': MetricKind(f'{error} of the {q} % with {order}', 'share', 'lower',
                                       'Mean over these pixels.') for q in (50, 80, 100)}}


class DepthRisk(RiskMetric):
    """Relative error of depth of pixels with a true and a predicted one, by log_depth_scale."""

    name, title, prefix = 'depth_risk', 'Risk of depth', 'risk.depth'
    truth, needs = frozenset(('depth',)), NEEDS_DEPTH
    kinds = _kinds('absRel', 'the least expected error')

    def columns(self, frame: JudgedFrame) -> Columns:
        result, truth = frame.result, frame.truth.depth
        assert truth is not None
        known = known_depth(result.depth, truth, self.rules.settings.depth_cap_m)
        ids, group = np.unique(result.panoptic[known], return_inverse=True)
        sums = group_sums(result.depth[known], truth[known], group, len(ids))
        scales = scales_of(result.segments)
        if np.isnan(scales).all():
            return np.zeros((3, 0))
        # What has no expected error is doubted most.
        return np.stack([np.nan_to_num(scales[ids], nan=np.inf).astype(np.float64),
                         sums[:, PIXELS], sums[:, ABS_REL]])


class LabelRisk(RiskMetric):
    """Share of wrong classes among pixels with a true one, by score; void is wrong, and last."""

    name, title, prefix = 'label_risk', 'Risk of labels', 'risk.labels'
    truth, needs = frozenset(('semantics',)), NEEDS_SEMANTIC
    kinds = _kinds('wrong classes', 'the highest score')

    def columns(self, frame: JudgedFrame) -> Columns:
        overlaps = frame.overlaps
        known = overlaps.truth_class != VOID_CLASS
        right = overlaps.truth_class[:, None] == overlaps.predicted_class[None, :]
        pixels = overlaps.pixels * known[:, None]
        scores = {segment.panoptic_id: segment.score for segment in frame.result.segments}
        doubt = [-scores.get(number, -np.inf) for number in overlaps.predicted_id.tolist()]
        columns = np.stack([np.array(doubt, np.float64), pixels.sum(axis=0),
                            (pixels * ~right).sum(axis=0)]).astype(np.float64)
        return columns[:, columns[1] > 0]
