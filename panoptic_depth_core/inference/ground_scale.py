# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Depth tied to the ground, where the mounting of the camera is known.

A network learns the heights of the cameras it saw; a camera at another height gets wrong meters.
The mounting tells the true depth of the ground, Z = 1 / (m . (x, y, 1)), and with it:

1. Pixels of the ground get that depth, as far as the mounting is more certain than the network.
2. Things get it where they stand: the depth of the ground at the lowest pixels of an instance is
   compared with the depth of the instance there.
3. The rest, such as buildings, is corrected by half of what pixels of the ground with the same
   predicted depth are corrected by. That is no geometry: half measured best (doc/cameras.md).

Depths are fused as normal errors of log depth. The error of the ground's depth grows with
distance: an error of the pitch moves the horizon, d(ln Z) = Z / h * d(pitch).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import GroundSettings
from ..labels import GROUND_CLASSES, ClassInfo
from ..structures import GroundScale, Intrinsics, Mounting, Segment
from .bins import between_bins
from .ground_plane import fit_ground

LEAST_GROUND = 0.01
"""Share of the map that has to be ground."""

NETWORK_ERROR = 0.15
"""Standard deviation of the log depth that networks predict for the ground."""

THING_ERROR = 0.25
"""The same for things of a network that does not know the height of the camera."""

REST_SHARE = 0.5
"""Share of the correction of the ground that everything else but things gets."""

CHECKED_HEIGHT_M = 1.0
"""
Lower cameras see the ground as no training picture shows it: its plane says nothing of them, and
from 0.4 m the shipped model sees it up to 3 times too far.
"""

GREATEST_FACTOR = 2.0
GREATEST_FACTOR_OF_LOW = 4.0
"""Beyond it, or below its inverse, the mounting is wrong or that is no ground."""

PLANE_RESIDUAL = 0.15
"""Median relative distance of the seen ground from a plane that still is one."""

PITCH_ERROR_DEG, ROLL_ERROR_DEG = 1.75, 6.0
"""
A greater difference between the angles of the mounting and those of the ground that is seen is an
error of the mounting. 25 to 96 % of frames show a pitch that is 2 degrees wrong, 88 to 100 % one
of 3 degrees; 0 to 8 % are refused by mistake (benchmark/mounting.py from 1.2 m on, kitti_half).
Roads are cambered, and a network sees their roll less exactly.
"""
LEAST_INLIERS = 0.5
"""Share of the ground that has to be on the plane whose angles are compared."""

DOUBTS = 3
"""Looks in a row that have to contradict a mounting that was believed."""

_GREATEST_DEPTH_M = 80.0
_OUTLIER = math.log(2.0)
"""A greater difference from the rest of the ground is no ground."""

_BINS = np.linspace(math.log(1.5), math.log(60.0), 12)
"""Of predicted log depth, for the curve of corrections."""
_WIDTHS = (4.0, 2.0, 1.0, 0.5)
"""Standard deviations of the smoothing in bins, from coarse to fine."""
_BIN_PIXELS = 0.001
"""Share of the map at which a bin counts fully."""

_FOOT_SHARE = 0.08
"""Part of the height of an instance, at its bottom, that stands on the ground; above it, as
between the wheels of a car, one sees the ground behind."""
_FOOT_COLUMNS = 3
_FOOT_HEIGHT_ERROR = 0.03
_FOOT_OUTLIER = 0.6


class ScaleFilter:
    """
    What lasts over the frames of a camera, by the clock of their stamps.

    It smooths the correction, and remembers what the ground looked like to a network that is told
    the mounting, which has to be asked without it. It forgets after a jump of the clock.
    """

    def __init__(self) -> None:
        self._sums: NDArray[np.float64] | None = None
        self._sums_ns = 0
        self._look: GroundScale | None = None
        self._look_ns = 0
        self._doubts = 0

    def smoothed(self, sums: NDArray[np.float64], stamp_ns: int, smoothing_s: float,
                 ) -> NDArray[np.float64]:
        """
        Add the sums of a frame to those of the frames before, which fade.

        :param sums: (2, bins) weights, and weighted corrections.
        """
        passed_s = (stamp_ns - self._sums_ns) / 1e9
        if self._sums is None or not 0 < passed_s < 5 * smoothing_s:
            self._sums = sums
        else:
            kept = math.exp(-passed_s / smoothing_s)
            self._sums = kept * self._sums + (1 - kept) * sums
        self._sums_ns = stamp_ns
        return self._sums

    def look(self, stamp_ns: int, check_s: float) -> GroundScale | None:
        """The last look, if it was good and is not older than that."""
        look = self._look
        passed_s = (stamp_ns - self._look_ns) / 1e9
        return look if look and not look.problem and 0 <= passed_s < check_s else None

    def remember(self, look: GroundScale, stamp_ns: int) -> GroundScale:
        """Keep a look at the ground; returns what is believed, see DOUBTS."""
        if look.refuses and self._look is not None and not self._look.refuses:
            self._doubts += 1
            if self._doubts < DOUBTS:
                return self._look
        self._doubts = 0
        self._look, self._look_ns = look, stamp_ns
        return look


class GroundView:
    """
    The ground of a frame, as the mounting has it and as a network sees it.

    :param depth: (h, w) float32 meters.
    :param panoptic: (h, w) uint16 panoptic ids with this label divisor.
    :param camera: pinhole camera of these pixels.
    """

    def __init__(self, depth: NDArray[np.float32], panoptic: NDArray[np.uint16],
                 camera: Intrinsics, mounting: Mounting, classes: Sequence[ClassInfo],
                 divisor: int, settings: GroundSettings) -> None:
        self.depth, self.panoptic, self.camera, self.mounting = depth, panoptic, camera, mounting
        self.settings = settings
        ground_ids = [i for i, c in enumerate(classes) if c.name in GROUND_CLASSES]
        self.is_ground = np.isin(panoptic // divisor, ground_ids)
        self.inverse = _ground_inverse(camera, mounting)
        log_ground = -np.log(np.maximum(self.inverse, 1.0 / (2 * _GREATEST_DEPTH_M)))
        self.log_depth = np.log(depth)
        self.seen = (self.is_ground & np.isfinite(depth)
                     & (self.inverse > 1.0 / _GREATEST_DEPTH_M))
        self.correction = np.where(self.seen, log_ground - self.log_depth, np.float32(0))
        self.error = _ground_error(np.exp(log_ground), mounting, settings)
        self.trust = np.where(self.seen, 1.0 / (1.0 + (self.error / NETWORK_ERROR) ** 2), 0.0)
        self.has_ground = bool(ground_ids)
        self.enough = bool(self.seen.sum() >= LEAST_GROUND * self.seen.size)
        self.middle = math.nan
        if self.enough:
            self.middle = _weighted_median(self.correction[self.seen], self.trust[self.seen])
            self.trust *= np.abs(self.correction - self.middle) < _OUTLIER

    def scale(self) -> GroundScale:
        """Compare the two, and say whether the mounting can be right."""
        if not self.enough:
            return GroundScale(problem='too little of the ground is seen' if self.has_ground else
                               'the model has no class of the ground')
        factor, total = math.exp(self.middle), self.trust.sum()
        # All pixels share an error of the mounting: it does not shrink with their number.
        sigma = math.sqrt(float((self.trust * self.error ** 2).sum() / max(total, 1e-9)))
        limit = (GREATEST_FACTOR if self.mounting.height_m >= CHECKED_HEIGHT_M
                 else GREATEST_FACTOR_OF_LOW)
        if not 1.0 / limit < factor < limit:
            problem = 'the ground is at another scale than that of the mounting'
        else:
            problem = _plane_problem(self)
        return GroundScale(factor, factor * math.exp(-sigma), factor * math.exp(sigma),
                           1.0 if problem else factor, problem)

    def anchor(self, segments: Sequence[Segment], scale: ScaleFilter | None = None,
               stamp_ns: int = 0) -> tuple[NDArray[np.float32], tuple[Segment, ...]]:
        """
        Tie the depth to the ground.

        :returns: (h, w) float32 meters, and the segments, more certain where they stand on it.
        """
        curve = _curve(self, scale, stamp_ns)
        share = np.full(self.depth.shape, REST_SHARE, np.float32)
        things = [s.panoptic_id for s in segments if s.instance_id > 0]
        share[np.isin(self.panoptic, things)] = 0
        share[self.is_ground] = 1
        change = share * np.interp(self.log_depth, _BINS, curve).astype(np.float32)
        rest = self.correction - change
        change += np.where(self.seen & (np.abs(rest) < _OUTLIER), self.trust * rest, 0
                           ).astype(np.float32)
        changed = []
        for segment in segments:
            step, weight = _standing(self, segment) if segment.instance_id > 0 else (0.0, 0.0)
            if weight:
                change[self.panoptic == segment.panoptic_id] = weight * step
                segment = replace(segment, log_depth_scale=segment.log_depth_scale
                                  * math.sqrt(1.0 - weight))
            changed.append(segment)
        return self.depth * np.exp(change), tuple(changed)


def _ground_inverse(camera: Intrinsics, mounting: Mounting) -> NDArray[np.float32]:
    """(h, w) inverse depth of the ground in 1/m, negative above the horizon."""
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    m = mounting.plane
    inverse = m[0] * x[None, :] + m[1] * y[:, None] + m[2]
    return np.asarray(inverse, np.float32)


def _ground_error(z: Any, mounting: Mounting, settings: GroundSettings) -> Any:
    """Standard deviation of the log depth of the ground at depths z in meters; of z's type."""
    return np.hypot(settings.height_error,
                    math.radians(settings.pitch_error_deg) / mounting.height_m * z)


def _plane_problem(view: GroundView) -> str:
    """Why the ground that is seen cannot be that of the mounting; empty where it can."""
    if view.mounting.height_m < CHECKED_HEIGHT_M:
        return ''
    plane = fit_ground(1.0 / view.depth, view.is_ground, view.camera)
    if plane is None or plane.residual > PLANE_RESIDUAL:
        return 'the ground that is seen is no plane'
    if plane.inlier_share >= LEAST_INLIERS:
        for name, limit in (('pitch', PITCH_ERROR_DEG), ('roll', ROLL_ERROR_DEG)):
            off = getattr(plane, f'{name}_deg') - getattr(view.mounting, f'{name}_deg')
            if abs(off) > limit:
                return (f'the ground that is seen has another {name} than the mounting; check the '
                        f'{name} of the camera')
    return ''


def _curve(view: GroundView, scale: ScaleFilter | None, stamp_ns: int) -> NDArray[np.float64]:
    """(bins,) correction of log depth by predicted log depth."""
    used = view.trust > 0
    place = np.clip((view.log_depth[used] - _BINS[0]) / (_BINS[1] - _BINS[0]), 0, len(_BINS) - 1)
    below = np.minimum(place.astype(np.intp), len(_BINS) - 2)
    above, weight = place - below, view.trust[used]
    sums = np.array([
        between_bins(below, above, part, len(_BINS))
        for part in (weight, weight * view.correction[used])]) / (_BIN_PIXELS * used.size)
    smoothing_s = view.settings.smoothing_s
    if scale is not None and smoothing_s > 0:
        sums = scale.smoothed(sums, stamp_ns, smoothing_s)
    steps = np.subtract.outer(np.arange(len(_BINS)), np.arange(len(_BINS)))
    curve = np.full(len(_BINS), view.middle)
    for width in _WIDTHS:
        weights, values = np.einsum('ij,kj->ki', np.exp(-0.5 * (steps / width) ** 2), sums)
        full = np.minimum(weights, 1.0)
        curve = full * values / np.maximum(weights, 1e-9) + (1.0 - full) * curve
    return curve


def _standing(view: GroundView, thing: Segment) -> tuple[float, float]:
    """
    Compare a thing with the ground that it stands on.

    :returns: correction of its log depth, and the weight of this against the network's depth; 0
        where it is not seen to stand on the ground.
    """
    panoptic, mounting, settings = view.panoptic, view.mounting, view.settings
    rows, columns = np.nonzero(panoptic == thing.panoptic_id)
    bottom = np.full(panoptic.shape[1], -1, np.intp)
    np.maximum.at(bottom, columns, rows)
    foot = np.flatnonzero(bottom >= 0)
    reach = max(1.0, _FOOT_SHARE * (rows.max() - rows.min() + 1))
    foot = foot[bottom[foot] >= bottom.max() - reach]
    # At the border of the image it is cut off, and below it may be something that hides its foot.
    foot = foot[bottom[foot] < panoptic.shape[0] - 2]
    foot = foot[view.is_ground[bottom[foot] + 2, foot]]
    foot = foot[view.inverse[bottom[foot] + 1, foot] > 1.0 / _GREATEST_DEPTH_M]
    if len(foot) < _FOOT_COLUMNS:
        return 0.0, 0.0
    log_ground = -np.log(view.inverse[bottom[foot] + 1, foot])
    own = np.array([np.median(view.depth[rows[columns == c], c]) for c in foot])
    step = float(np.median(log_ground - np.log(own)))
    # Either the network is right about things, or it errs as it does about the ground.
    if not min(abs(step), abs(step - view.middle)) < _FOOT_OUTLIER:
        return 0.0, 0.0
    z = float(np.exp(np.median(log_ground)))
    row_error = z * mounting.normal[1] / (mounting.height_m * view.camera.fy)
    variance = (_FOOT_HEIGHT_ERROR ** 2 + row_error ** 2
                + float(_ground_error(z, mounting, settings)) ** 2)
    return step, THING_ERROR ** 2 / (THING_ERROR ** 2 + variance)


def _weighted_median(values: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(sums, sums[-1] / 2)])
