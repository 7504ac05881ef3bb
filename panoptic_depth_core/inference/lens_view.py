# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Step 1 and 5 for a camera with a lens: the network sees a pinhole view of the same axis.

The maps of the graph are those of a pinhole camera, so segments, distances and Z are as exact as
without a lens. LensView and LensGrid stand for Geometry and MapGrid of preprocess.py.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import warn_once
from ..structures import InstanceDistance, Intrinsics
from ..views import Remap, fixed_point, rays_of, rectified, seen_by, shown_by, view_of
from .seams import seams

Item = TypeVar('Item', bound=np.generic)

_BLOCK_ROWS = 64
_NO_WEIGHTS: Any = None
"""Second map of a remap of whole pixels; OpenCV's annotations lack it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LensView:
    """
    Place of the view of a camera in the input of the network.

    :param camera: of the image.
    :param network: pinhole camera of the network input; a letterbox has the view at its top left.
    :param result: camera of results at image size.
    """

    camera: Intrinsics
    network: Intrinsics
    result: Intrinsics

    @classmethod
    def of(cls, camera: Intrinsics, network_width: int, network_height: int,
           fit: Literal['letterbox', 'crop'], is_rectified: bool) -> LensView:
        """View of an image, as Geometry.fit; what it leaves out is said once."""
        return _lens_view(camera, network_width, network_height, fit, is_rectified)

    def picture(self, image: NDArray[np.uint8], padding_rgb: tuple[int, int, int],
                ) -> NDArray[np.uint8]:
        """(network height, network width, 3) uint8 RGB input of the network."""
        return seen_by(self.network, image, self.camera, padding_rgb)

    def result_camera(self, _intrinsics: Intrinsics) -> Intrinsics:
        """Camera of results at image size."""
        return self.result

    def network_intrinsics(self, _intrinsics: Intrinsics) -> Intrinsics:
        """Camera of the network input."""
        return self.network

    def grid(self, stride: int) -> LensGrid:
        """Way back from maps at a stride of the network input; cached."""
        whole, network = view_of(self.camera), self.network
        width, height = (
            min(size // stride, math.ceil(round(extent * network.fx, 6) / stride))
            for size, extent in ((network.width, whole.width), (network.height, whole.height)))
        return lens_grid(self.camera, self.result, network.transformed(
            1 / stride, 1 / stride, 0, 0, width, height))


@lru_cache(maxsize=16)
def _lens_view(camera: Intrinsics, width: int, height: int, fit: Literal['letterbox', 'crop'],
               is_rectified: bool) -> LensView:
    view = view_of(camera)
    if view.left_out:
        warn_once(_log, view.left_out)
    return LensView(camera, view.camera(width, height, fit, centered=fit == 'crop'),
                    rectified(camera) if is_rectified else camera)


@dataclass(frozen=True, eq=False)
class LensGrid:
    """
    Geometry of a map at stride s of the network input, to bring it to the camera of the results.

    All methods but crop work on the *region*: the part of the map that shows the view.

    :param map_camera: pinhole camera of the region.
    :param visible: (h, w) bool pixels of the region that show the image.
    :param border: (h, w) bool those of them that are next to one that does not.
    :param pixel_counts: (h, w) float64 result pixels per pixel of the region.
    :param spans: (4, h, w) int32 least and greatest column, least and greatest row of these
        result pixels; greatest < least where there are none.
    :param nearest: map of cv2.remap from the region to the result.
    :param between: maps of cv2.remap that interpolate; the first is of the upper left neighbors.
    """

    map_camera: Intrinsics
    visible: NDArray[np.bool_]
    border: NDArray[np.bool_]
    pixel_counts: NDArray[np.float64]
    spans: NDArray[np.int32]
    nearest: NDArray[np.int16]
    between: Remap

    def crop(self, array: NDArray[Item], outside: float) -> NDArray[Item]:
        """
        (h, w) region of a map of the whole network input.

        :param outside: of pixels that show nothing of the image.
        """
        height, width = self.visible.shape
        return np.where(self.visible, array[:height, :width], array.dtype.type(outside))

    def intrinsics(self, _intrinsics: Intrinsics) -> Intrinsics:
        """Camera of the region, with the true rays of its pixel centers."""
        return self.map_camera

    def restore_rois(self, distances: Iterable[InstanceDistance], labels: NDArray[np.uint16],
                     ) -> tuple[InstanceDistance, ...]:
        """Boxes in the result in place of those in the region, whose labels are (h, w)."""
        return tuple(replace(d, roi=self._roi(d, labels)) for d in distances)

    def _roi(self, distance: InstanceDistance, labels: NDArray[np.uint16],
             ) -> tuple[int, int, int, int]:
        x, y, width, height = distance.roi
        rows, columns = slice(y, y + height), slice(x, x + width)
        spans = self.spans[:, rows, columns][
            :, labels[rows, columns] == distance.segment.panoptic_id]
        if not spans.size:
            return 0, 0, 0, 0
        left, right, top, bottom = (int(value) for value in (
            spans[0].min(), spans[1].max(), spans[2].min(), spans[3].max()))
        return left, top, right + 1 - left, bottom + 1 - top

    def restore_labels(self, labels: NDArray[np.uint16], fill: int) -> NDArray[np.uint16]:
        """(h, w) labels of the region -> (H, W) nearest labels, fill outside of the view."""
        return np.asarray(cv2.remap(labels, self.nearest, _NO_WEIGHTS, cv2.INTER_NEAREST,
                                    borderMode=cv2.BORDER_CONSTANT, borderValue=fill), np.uint16)

    def restore_depth(self, depth: NDArray[np.float32], labels: NDArray[np.uint16],
                      ) -> NDArray[np.float32]:
        """
        Depth of every pixel of the result, by the rules of MapGrid.restore_depth.

        cv2.remap knows places to 1/32 of a map pixel: errors of 0.1 % of the depth, as a rule, in
        a third of the time that exact places take.

        :param depth: (h, w) of the region, meters; labels: (h, w) panoptic ids.
        :returns: (H, W) float32, NaN outside of the view.
        """
        seam = seams(labels, depth).astype(np.uint8)
        fine = np.empty(self.nearest.shape[:2], np.float32)
        with np.errstate(divide='ignore', invalid='ignore'):
            inverse = np.reciprocal(depth)
            # By blocks that stay in cache.
            for start in range(0, len(fine), _BLOCK_ROWS):
                rows = slice(start, start + _BLOCK_ROWS)
                cells, weights = (part[rows] for part in self.between)
                # Not with NaN at the border, which would count with a weight of 0, too.
                block = cv2.remap(inverse, cells, weights, cv2.INTER_LINEAR, fine[rows],
                                  cv2.BORDER_REPLICATE)
                np.reciprocal(block, out=block)
                at_seam = cv2.remap(seam, cells, _NO_WEIGHTS, cv2.INTER_NEAREST,
                                    borderMode=cv2.BORDER_CONSTANT, borderValue=1)
                nearest = cv2.remap(depth, self.nearest[rows], _NO_WEIGHTS, cv2.INTER_NEAREST,
                                    borderMode=cv2.BORDER_CONSTANT, borderValue=np.nan)
                cv2.copyTo(nearest, at_seam, block)
        return fine


@lru_cache(maxsize=4)
def lens_grid(camera: Intrinsics, result: Intrinsics, map_camera: Intrinsics) -> LensGrid:
    """
    Way from maps to a result; cached.

    :param camera: of the image, with a lens.
    :param result: the same, or its rectified one.
    :param map_camera: pinhole camera of the maps.
    """
    width, height = map_camera.width, map_camera.height
    rays = rays_of(result)
    known = view_of(camera).shows(rays)
    if result != camera:
        known &= np.isfinite(shown_by(camera, result)).all(axis=-1)
    at = map_camera.pixels(rays.reshape(-1, 2)).reshape(rays.shape)
    with np.errstate(invalid='ignore'):
        # A crop leaves out the rim of the view.
        known &= ((at >= -0.5) & (at < (width - 0.5, height - 0.5))).all(axis=-1)
    at[~known] = np.nan
    last = width - 1, height - 1
    nearest = np.clip(np.floor(at + 0.5), 0, last)
    place = np.clip(at, 0, last)

    v, u = np.nonzero(known)
    column, row = nearest[known].astype(np.intp).T
    pixel = row * width + column
    counts = np.bincount(pixel, minlength=width * height).reshape(height, width)
    spans = np.empty((4, height * width), np.int32)
    spans[::2], spans[1::2] = max(result.width, result.height), -1
    for place_of, low, high in ((u, 0, 1), (v, 2, 3)):
        np.minimum.at(spans[low], pixel, place_of.astype(np.int32))
        np.maximum.at(spans[high], pixel, place_of.astype(np.int32))

    visible = (counts > 0) | np.isfinite(shown_by(camera, map_camera)).all(axis=-1)
    inner = cv2.erode(visible.astype(np.uint8), np.ones((3, 3), np.uint8),
                      borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return LensGrid(
        map_camera, visible, visible & (inner == 0), counts.astype(np.float64),
        spans.reshape(4, height, width), fixed_point(nearest)[0], fixed_point(place))
