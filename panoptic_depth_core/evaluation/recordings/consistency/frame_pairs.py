# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results of two or three frames that follow each other, compared along the optical flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ....inference.distances import MAD_TO_SIGMA
from ....io.visualization import picture_of
from ....labels import VOID_ID, class_of
from ....structures import Frame, InstanceDistance, Intrinsics, PanopticDepth
from ...metrics.segment_overlaps import segment_overlaps
from .flow import Path, path_between, reduced_gray, reduced_shape

LEAST_PIXELS = 100
"""The jitter of fewer pixels of a frame is not measured."""


@dataclass(frozen=True)
class View:
    """
    What is kept of a frame; (H, W) is the size of its result, (h, w) the reduced one.

    :param panoptic: (H, W) uint16 ids; ids, classes: (h, w) uint16 and uint8, those of the
        pixels in the middle of the reduced ones.
    :param gray: (h, w) uint8 image.
    :param inverse_depth: (h, w) float32 1 / Z in 1/m, NaN where Z is not known or infinite.
    :param camera: of the reduced pixels.
    :param instances: by panoptic id.
    """

    time_ns: int
    divisor: int
    panoptic: NDArray[np.uint16]
    ids: NDArray[np.uint16]
    classes: NDArray[np.uint8]
    gray: NDArray[np.uint8]
    inverse_depth: NDArray[np.float32]
    camera: Intrinsics
    instances: Mapping[int, InstanceDistance]


def view_of(frame: Frame, result: PanopticDepth, width_px: int, time_ns: int) -> View:
    """
    Reduce a frame and its result.

    :param result: at the size of the image, or of the network, which then is compared at that.
    :param width_px: of the reduced image, where the result is not smaller.
    """
    height, width = result.panoptic.shape
    shape = reduced_shape((height, width), width_px)
    rows, columns = (((np.arange(n) + 0.5) * (full / n)).astype(np.intp)
                     for n, full in zip(shape, (height, width), strict=True))
    ids = result.panoptic[rows].take(columns, axis=1)
    depth = cv2.resize(result.depth, shape[::-1], interpolation=cv2.INTER_LINEAR)
    with np.errstate(divide='ignore', invalid='ignore'):
        inverse = np.asarray(np.float32(1.0) / depth, np.float32)
    inverse[~((inverse > 0) & (inverse < np.inf))] = np.nan
    return View(
        time_ns, result.label_divisor, result.panoptic, ids, class_of(ids, result.label_divisor),
        reduced_gray(picture_of(frame, result), shape), inverse,
        result.intrinsics.transformed(shape[1] / width, shape[0] / height, 0, 0, shape[1],
                                      shape[0]),
        {d.segment.panoptic_id: d for d in result.distances})


@dataclass(frozen=True)
class Step:
    """
    Two frames, and the path from the later to the earlier one.

    :param ids_before, classes_before: (h, w) of the pixel that each was in the earlier frame;
        without a meaning where the path is not known.
    """

    before: View
    now: View
    path: Path
    ids_before: NDArray[np.uint16]
    classes_before: NDArray[np.uint8]

    @property
    def seconds(self) -> float:
        """Time between the frames."""
        return 1e-9 * (self.now.time_ns - self.before.time_ns)


def step_between(before: View, now: View) -> Step | None:
    """
    Follow the pixels of a frame to the one before it, of the same size and divisor.

    :returns: None where no pixel can be followed.
    """
    path = path_between(now.gray, before.gray)
    if path is None or not path.known.any():
        return None
    ids = path.labels(before.panoptic)
    return Step(before, now, path, ids, class_of(ids, before.divisor))


class SeenAgain(NamedTuple):
    """
    What became of the instances of a frame in the next one.

    :param expected: that should be seen again; matches: id in the next frame -> id of those that
        were; tracked: of these, with a track id in both frames; switches: of these, with another.
    """

    expected: int
    matches: dict[int, int]
    tracked: int
    switches: int


def seen_again(step: Step, least_pixels: int) -> SeenAgain:
    """
    Instances of the earlier frame in the later one, by their masks along the flow.

    :param least_pixels: of the (H, W) of the result; smaller instances are not expected, nor are
        those of whose reduced pixels half or less could be followed: they leave, or are hidden.
    """
    known, divisor = step.path.known, step.now.divisor
    overlaps = segment_overlaps(step.ids_before[known], step.now.ids[known],
                                truth_divisor=divisor, predicted_divisor=divisor)
    rows, columns, _ = overlaps.matches()
    match = dict(zip(overlaps.truth_id[rows].tolist(), overlaps.predicted_id[columns].tolist(),
                     strict=True))
    area = np.bincount(step.before.ids.ravel(), minlength=VOID_ID + 1)[overlaps.truth_id]
    least = least_pixels * step.now.ids.size / step.now.panoptic.size
    expected = overlaps.truth_id[
        (overlaps.truth_instance > 0) & (area >= least)
        & (2 * overlaps.pixels.sum(axis=1) > area)].tolist()
    matches = {match[pid]: pid for pid in expected if pid in match}
    tracks = [(_track(step.before, pid), _track(step.now, pid_now))
              for pid_now, pid in matches.items()]
    known_tracks = [pair for pair in tracks if min(pair) >= 0]
    return SeenAgain(len(expected), matches, len(known_tracks),
                     sum(a != b for a, b in known_tracks))


def _track(view: View, pid: int) -> int:
    return view.instances[pid].track_id if pid in view.instances else -1


@dataclass(frozen=True)
class ThreeFrames:
    """
    Two steps, the second of which starts where the first ends.

    :param path: from the last frame to the first one.
    """

    first: Step
    second: Step
    path: Path

    @classmethod
    def of(cls, first: Step, second: Step) -> ThreeFrames:
        """Join two steps."""
        return cls(first, second, second.path.after(first.path))

    def flicker(self) -> tuple[int, int]:
        """Pixels whose class went and came back, and those that could be followed."""
        known = self.path.known
        ids = self.path.labels(self.first.before.panoptic)
        then = class_of(ids, self.first.before.divisor)
        came_back = then == self.second.now.classes
        came_back &= then != self.second.classes_before
        return int(np.count_nonzero(came_back & known)), int(np.count_nonzero(known))

    def depth_jitter(self) -> float | None:
        """Jitter of depth, median over pixels; None where too few have three depths."""
        first = self.path.thinned().sample(self.first.before.inverse_depth)
        middle = self.second.path.thinned().sample(self.second.before.inverse_depth)
        last = self.second.now.inverse_depth[::2]
        # One NaN of three makes all of it NaN.
        values = self._jitter(*(np.float32(1.0) / inverse for inverse in (first, middle, last)))
        values = values[~np.isnan(values)]
        return float(np.median(values)) if len(values) >= LEAST_PIXELS else None

    def distance_jitter(self, first: Mapping[int, int], second: Mapping[int, int],
                        ) -> NDArray[np.float64]:
        """
        Jitter of the distance of each instance that was seen three times.

        :param first, second: matches of the steps.
        :returns: (n,) float64.
        """
        chains = [(first[middle], middle, last) for last, middle in second.items()
                  if middle in first]
        views = (self.first.before, self.second.before, self.second.now)
        distances = np.array([[v.instances[pid].distance_m if pid in v.instances else np.nan
                               for v, pid in zip(views, chain, strict=True)]
                              for chain in chains], np.float64).reshape(len(chains), 3)
        values = self._jitter(*distances.T)
        return np.asarray(values[~np.isnan(values)])

    def _jitter(self, first: NDArray[Any], middle: NDArray[Any], last: NDArray[Any],
                ) -> NDArray[Any]:
        """
        How far what is in the middle of three is off the line through the others.

        With errors of the standard deviation s that are relative and independent, the logarithm
        of middle / line has the variance s^2 (1 + a^2 + b^2), a and b the weights of the other
        two: 1.5 s^2 for equal steps, a sixth of the variance of the second difference being a
        quarter of that. Scaled so that the median of normal errors is s.
        """
        early, late = self.first.seconds, self.second.seconds
        a, b = late / (early + late), early / (early + late)
        off = np.abs(np.log(middle / (a * first + b * last)))
        return np.asarray(off * (MAD_TO_SIGMA / np.sqrt(1.0 + a * a + b * b)))
