# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Track ids: instances of successive frames that are the same thing get the same id.

Instances of one class are compared with the things seen last by three cues, each 0..1:

- mask: IoU with the last mask. The best cue for near or slow things.
- position: exp(-d^2 / 2), d the Mahalanobis distance of the two positions, over the sum of their
  covariances (which grow with range) and of the expected motion. It separates things behind each
  other, and finds things too small or fast to overlap.
- box: IoU of the boxes at twice their width and height: small things move by their own width from
  frame to frame, and their depth is the least certain.

Similarity is the weighted mean of the cues, but 0 where the positions are too far apart for one
thing. The assignment with the greatest sum (Kuhn, The Hungarian method for the assignment problem,
1955) gives each instance at most one id. There is no motion model of things or of the camera.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import TrackingSettings
from ..errors import ConfigError
from ..structures import UNSTAMPED_PERIOD_NS, InstanceDistance, PanopticDepth

SAMPLES = 80_000
"""
Masks are compared on at most about as many pixels, evenly spaced: every second in both directions
at 640x480, which leaves some thirty of a person 40 m away, and keeps the count below 1 ms.
"""

LEAST_SIGMA_M = 0.1
"""
No position is more certain, from frame to frame, than this: the visible part of a thing changes
by as much. It also keeps the sum of covariances regular where two frames have one stamp.
"""

LEAST_RELATIVE_SIGMA = 0.07
"""Nor is its distance: relative error of the shipped network, for models that do not state one."""

MOST_SIGMAS = 4.0
"""Positions that are farther apart are not of one thing, however well its masks overlap."""

Assignment = Callable[..., tuple[NDArray[np.intp], NDArray[np.intp]]]


def assignment_solver() -> Assignment:
    """
    Return scipy.optimize.linear_sum_assignment.

    :raises ConfigError: where scipy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ConfigError('tracking needs scipy, which is not installed: pip install scipy, or '
                          'for the Python of ROS apt install python3-scipy') from None
    solver: Assignment = linear_sum_assignment
    return solver


_THING = np.dtype([
    ('track_id', np.int64), ('class_id', np.int64), ('time_ns', np.int64), ('area', np.int64),
    ('box', np.float64, 4), ('position', np.float64, 3), ('covariance', np.float64, (3, 3))])
"""
An instance of a frame, or a thing that is remembered: when it was seen, the samples of its mask,
its box as left, top, right, bottom in px, its position in the camera frame in meters (NaN where
not known) and the covariance of that.
"""

_Things = NDArray[np.void]


def _things(instances: Sequence[InstanceDistance], time_ns: int) -> _Things:
    """(n,) _THING; areas and ids are filled in later."""
    return np.array([
        (-1, d.segment.class_id, time_ns, 0,
         (d.roi[0], d.roi[1], d.roi[0] + d.roi[2], d.roi[1] + d.roi[3]),
         d.position_m, d.position_covariance) for d in instances], _THING)


class Tracker:
    """
    Gives the thing instances of successive frames a track_id.

    A thing keeps its id while it is seen, and when it returns within ``max_gap_s``. The tracker
    resets when a stamp goes backwards, after a gap of more than ``max_gap_s``, and when the size
    of the panoptic image changes. Ids only count up, also over a reset, so no two things share
    one. Frames with stamp 0 count as UNSTAMPED_PERIOD_NS apart.

    It holds state: use one per camera, with its frames in order, from one thread.

    :ivar next_id: that the next new thing gets.
    :param settings: may be replaced between frames; callers check ``enabled``.
    :raises ConfigError: where scipy is not installed.
    """

    def __init__(self, settings: TrackingSettings | None = None, first_id: int = 0) -> None:
        self.settings = settings or TrackingSettings()
        self._assign = assignment_solver()
        self.next_id = first_id
        self._unstamped = 0
        self.reset()

    def reset(self) -> None:
        """Forget what was seen; ids count on."""
        self._tracks = _things((), 0)
        # Row of _tracks plus 1 by sample, where its mask was last seen; 0 where none was.
        self._rows = np.zeros((0, 0), np.intp)
        self._size = (0, 0)
        self._time_ns = 0

    def update(self, result: PanopticDepth) -> PanopticDepth:
        """
        Return the result of the next frame with the track ids of its instances.

        Stuff keeps the id -1. ``step_ms`` gets the time of this step, as 'tracking'.

        :param result: its panoptic image and the roi of its distances have one size.
        """
        start = time.perf_counter()
        instances = [d for d in result.distances if d.segment.instance_id > 0]
        time_ns = self._advance(result)
        labels = self._sampled(result.panoptic, [d.segment.panoptic_id for d in instances])
        found, tracks = _things(instances, time_ns), self._tracks

        shape = len(tracks) + 1, len(found) + 1
        shared = np.bincount((self._rows * shape[1] + labels).ravel(),
                             minlength=shape[0] * shape[1]).reshape(shape)
        found['area'] = shared.sum(axis=0)[1:]
        alike = similarity(tracks, found, shared[1:, 1:], self.settings)
        before, now = self._assign(alike, maximize=True)
        good = alike[before, now] > 0
        before, now = before[good], now[good]

        found['track_id'][now] = tracks['track_id'][before]
        new = np.flatnonzero(found['track_id'] < 0)
        found['track_id'][new] = self.next_id + np.arange(len(new))
        self.next_id += len(new)
        self._remember(found, labels, before)

        ids = dict(zip((d.segment.panoptic_id for d in instances), found['track_id'].tolist(),
                       strict=True))
        distances = tuple(replace(d, track_id=ids.get(d.segment.panoptic_id, -1))
                          for d in result.distances)
        step_ms = {**result.step_ms, 'tracking': 1e3 * (time.perf_counter() - start)}
        return replace(result, distances=distances, step_ms=step_ms)

    def _advance(self, result: PanopticDepth) -> int:
        """Time of a frame in ns, before which the past is forgotten where it has to be."""
        time_ns = result.stamp_ns
        if time_ns == 0:
            # The first frame of a video has the stamp 0, too.
            time_ns = self._unstamped * UNSTAMPED_PERIOD_NS
            self._unstamped += 1
        gap_ns = time_ns - self._time_ns
        if result.panoptic.shape != self._size or not 0 <= gap_ns <= _max_gap_ns(self.settings):
            self.reset()
        self._time_ns, self._size = time_ns, result.panoptic.shape
        return time_ns

    def _sampled(self, panoptic: NDArray[np.uint16], ids: Sequence[int]) -> NDArray[np.intp]:
        """Row of ``ids`` plus 1 by sample, 0 where it is none of them."""
        stride = max(1, math.ceil(math.sqrt(panoptic.size / SAMPLES)))
        row = np.zeros(65536, np.intp)
        row[list(ids)] = np.arange(1, len(ids) + 1)
        labels: NDArray[np.intp] = row.take(panoptic[::stride, ::stride])
        if self._rows.shape != labels.shape:
            self._rows = np.zeros_like(labels)
        return labels

    def _remember(self, found: _Things, labels: NDArray[np.intp],
                  matched: NDArray[np.intp]) -> None:
        """Things of this frame, then those not seen in it, whose masks are behind them."""
        tracks = self._tracks
        lost = self._time_ns - tracks['time_ns'] <= _max_gap_ns(self.settings)
        lost[matched] = False
        kept = np.flatnonzero(lost)
        if len(kept):
            row = np.zeros(len(tracks) + 1, np.intp)
            row[kept + 1] = np.arange(len(found) + 1, len(found) + len(kept) + 1)
            labels = np.where(labels > 0, labels, row.take(self._rows))
        self._tracks, self._rows = np.concatenate([found, tracks[kept]]), labels


def similarity(tracks: _Things, found: _Things, shared: NDArray[np.int64],
               settings: TrackingSettings) -> NDArray[np.float64]:
    """
    Weighted mean of the cues that are known.

    :param shared: (T, N) samples that the masks of tracks and instances have in common.
    :returns: (T, N) float64 0..1; 0 where classes differ, below ``min_similarity``, and for
        tracks that were not seen for longer than ``max_gap_s``.
    """
    alike = np.zeros(shared.shape, np.float64)
    rows, columns = np.nonzero(tracks['class_id'][:, None] == found['class_id'])
    if not len(rows):
        return alike
    before, now = tracks[rows], found[columns]
    gap_ns = now['time_ns'] - before['time_ns']
    common = shared[rows, columns]
    cues = np.stack([
        _ratio(common, before['area'] + now['area'] - common),
        _nearness(before, now, np.asarray(settings.motion_mps * 1e-9 * gap_ns, np.float64)),
        _box_overlap(_grown(before['box']), _grown(now['box']))])
    weights = np.array([settings.mask_weight, settings.position_weight, settings.box_weight])
    known = np.isfinite(cues)
    means = _ratio(weights @ np.where(known, cues, 0.0), weights @ known)
    means[(means < settings.min_similarity) | (gap_ns > _max_gap_ns(settings))] = 0.0
    if settings.position_weight:
        means[cues[1] == 0.0] = 0.0
    alike[rows, columns] = means
    return alike


def _max_gap_ns(settings: TrackingSettings) -> int:
    # Stamps of today do not fit into a float to the nanosecond.
    return round(1e9 * settings.max_gap_s)


def _nearness(before: _Things, now: _Things, motion_m: NDArray[np.float64],
              ) -> NDArray[np.float64]:
    """
    exp(-d^2 / 2) of each pair, 0 from MOST_SIGMAS on; NaN where a position is not known.

    :param motion_m: (M,) standard deviation of the motion in between, meters in any direction.
    """
    offset = now['position'] - before['position']
    along = np.stack([before['position'], now['position']], axis=2) * LEAST_RELATIVE_SIGMA
    covariance = before['covariance'] + now['covariance'] + along @ along.transpose(0, 2, 1)
    covariance += (motion_m ** 2 + LEAST_SIGMA_M ** 2)[:, None, None] * np.eye(3)
    known = np.flatnonzero(
        np.isfinite(offset).all(axis=1) & np.isfinite(covariance).all(axis=(1, 2)))
    offset, covariance = offset[known], covariance[known]
    squared = (offset * np.linalg.solve(covariance, offset[..., None])[..., 0]).sum(axis=1)
    nearness = np.full(len(now), np.nan)
    nearness[known] = np.where(squared < MOST_SIGMAS ** 2, np.exp(-0.5 * squared), 0.0)
    return nearness


def _grown(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes twice as wide and high, around the same center."""
    half = 0.5 * (box[:, 2:] - box[:, :2])
    return np.concatenate([box[:, :2] - half, box[:, 2:] + half], axis=1)


def _box_overlap(before: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of each pair of boxes, (M, 4) left, top, right, bottom."""
    def area(least: NDArray[np.float64], most: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.maximum(most - least, 0.0).prod(axis=1))

    common = area(np.maximum(before[:, :2], now[:, :2]), np.minimum(before[:, 2:], now[:, 2:]))
    return _ratio(common, area(before[:, :2], before[:, 2:]) + area(now[:, :2], now[:, 2:])
                  - common)


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Quotient, 0 where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0))
