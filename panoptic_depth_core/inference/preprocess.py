# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Step 1: the image at network size, and the geometry to there and back.

Both axes have the same scale (up to the rounding to whole pixels, which the intrinsics include
exactly), so an object keeps its shape and the focal length its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contract import PADDING_RGB, Arrays
from ..errors import ConfigError
from ..model_info import ModelInfo
from ..structures import Frame, InstanceDistance, Intrinsics
from .lens_view import LensView
from .seams import seams

Item = TypeVar('Item', bound=np.generic)

_BLOCK_ROWS = 32


@dataclass(frozen=True)
class Geometry:
    """
    Place of an image of width x height px in the input of the network.

    The image is resized to resized_width x resized_height, then shifted by the offsets (>= 0 for
    a letterbox, <= 0 for a crop). A letterbox pads at the right and bottom only, so that image and
    maps of any stride have the same top left corner.
    """

    width: int
    height: int
    network_width: int
    network_height: int
    resized_width: int
    resized_height: int
    offset_x: int
    offset_y: int

    @classmethod
    def fit(cls, width: int, height: int, network_width: int, network_height: int,
            fit: Literal['letterbox', 'crop']) -> Geometry:
        """
        Return the geometry of the largest image that fits, or the smallest one that fills.

        :param fit: letterbox: nothing is cut off; crop: the center is kept, nothing is padded.
        """
        ratios = network_width / width, network_height / height
        scale = min(ratios) if fit == 'letterbox' else max(ratios)
        resized = max(1, round(width * scale)), max(1, round(height * scale))
        offset = (0, 0) if fit == 'letterbox' else (
            -((resized[0] - network_width) // 2), -((resized[1] - network_height) // 2))
        return cls(width, height, network_width, network_height, *resized, *offset)

    @property
    def scale_x(self) -> float:
        """Network px per image px; differs from scale_y by the rounding only."""
        return self.resized_width / self.width

    @property
    def scale_y(self) -> float:
        """Network px per image px."""
        return self.resized_height / self.height

    def result_camera(self, intrinsics: Intrinsics) -> Intrinsics:
        """Camera of results at image size."""
        return intrinsics

    def network_intrinsics(self, intrinsics: Intrinsics) -> Intrinsics:
        """Camera of the network input."""
        return intrinsics.transformed(self.scale_x, self.scale_y, self.offset_x, self.offset_y,
                                      self.network_width, self.network_height)

    def grid(self, stride: int) -> MapGrid:
        """Way back from maps at a stride of the network input; cached."""
        return _grid(self, stride)


def prepare(frame: Frame, network_width: int, network_height: int,
            fit: Literal['letterbox', 'crop'] = 'letterbox',
            padding_rgb: tuple[int, int, int] = PADDING_RGB, rectified: bool = False,
            ) -> tuple[NDArray[np.uint8], Geometry | LensView]:
    """
    Bring an image to the size of the network.

    :param padding_rgb: 0..255, where there is no image.
    :param rectified: results will be on the rectified grid, where the camera has a lens.
    :returns: (network_height, network_width, 3) uint8 RGB, contiguous, and its geometry.
    """
    image = frame.image
    if frame.intrinsics.lens is not None:
        view = LensView.of(frame.intrinsics, network_width, network_height, fit, rectified)
        return view.picture(image, padding_rgb), view
    height, width = image.shape[:2]
    geometry = Geometry.fit(width, height, network_width, network_height, fit)
    size = geometry.resized_width, geometry.resized_height
    if size != (width, height):
        # INTER_AREA averages all pixels that fall into one: no aliasing when shrinking.
        shrinks = size[0] < width or size[1] < height
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
    if size == (network_width, network_height):
        return np.ascontiguousarray(image), geometry
    if fit == 'crop':
        top, left = -geometry.offset_y, -geometry.offset_x
        cut = image[top:top + network_height, left:left + network_width]
        return np.ascontiguousarray(cut), geometry
    padded = np.empty((network_height, network_width, 3), np.uint8)
    padded[:size[1], :size[0]] = image
    padded[size[1]:] = padding_rgb
    padded[:size[1], size[0]:] = padding_rgb
    return padded, geometry


def graph_inputs(frame: Frame, info: ModelInfo, thresholds: NDArray[np.float32],
                 fit: Literal['letterbox', 'crop'] = 'letterbox', rectified: bool = False,
                 ) -> tuple[Arrays, Geometry | LensView]:
    """
    All inputs of a model's graph for a frame; missing extra inputs have their unknown value.

    :param thresholds: (T,) float32 in the order of contract.THRESHOLDS.
    :param rectified: as in prepare.
    :returns: inputs by name, without the batch axis, and the geometry of the image.
    """
    image, geometry = prepare(frame, info.input_width, info.input_height, fit, info.padding_rgb,
                              rectified)
    camera = geometry.network_intrinsics(frame.intrinsics)
    given = frame.given_inputs
    return {'image': image, 'intrinsics': camera.as_vector(), 'thresholds': thresholds,
            **info.unknown_inputs(), **{e.name: given[e.name] for e in
                                        info.extra_inputs if e.name in given}}, geometry


@dataclass(frozen=True, eq=False)
class MapGrid:
    """
    Geometry of a map at stride s of the network input, to bring it to the image.

    All methods but crop work on the *region*: the part of the map that shows the image.

    :param region: its first row, end row, first column, end column in the map.
    :param rows: region row of the image rows first_row, first_row + 1 ...; other image rows were
        cut off. columns: the same for columns.
    :param scale, shift: region coordinate = scale * (image coordinate + 0.5) + shift, for x
        and y (pixel centers at integers).
    :param pixel_counts: (h, w) float64 image pixels per pixel of the region.
    """

    width: int
    height: int
    region: tuple[int, int, int, int]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    first_row: int
    first_column: int
    scale: tuple[float, float]
    shift: tuple[float, float]
    pixel_counts: NDArray[np.float64]

    @property
    def border(self) -> None:
        """Where the image ends within the region: nowhere."""

    def crop(self, array: NDArray[Item], outside: float) -> NDArray[Item]:
        """
        (h, w) contiguous region of a map of the whole network input.

        :param outside: of pixels that show nothing of the image, of which there are none here.
        """
        top, bottom, left, right = self.region
        return np.ascontiguousarray(array[top:bottom, left:right])

    def intrinsics(self, intrinsics: Intrinsics) -> Intrinsics:
        """Camera of the region, with the true rays of its pixel centers."""
        height, width = self.pixel_counts.shape
        return intrinsics.transformed(*self.scale, self.shift[0] + 0.5, self.shift[1] + 0.5,
                                      width, height)

    def image_roi(self, roi: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """X, y, width, height in the image of such a box in the region."""
        x, y, width, height = roi
        left, right = np.searchsorted(self.columns, (x, x + width))
        top, bottom = np.searchsorted(self.rows, (y, y + height))
        return (self.first_column + int(left), self.first_row + int(top),
                int(right - left), int(bottom - top))

    def restore_rois(self, distances: Iterable[InstanceDistance], labels: NDArray[np.uint16],
                     ) -> tuple[InstanceDistance, ...]:
        """Boxes in the image in place of those in the region, whose labels are (h, w)."""
        return tuple(replace(d, roi=self.image_roi(d.roi)) for d in distances)

    def restore_labels(self, labels: NDArray[np.uint16], fill: int) -> NDArray[np.uint16]:
        """(h, w) labels of the region -> (H, W) nearest labels, fill where it was cut off."""
        # Columns first: then the second step copies whole rows.
        return self._placed(labels.take(self.columns, 1).take(self.rows, 0), fill)

    def restore_depth(self, depth: NDArray[np.float32], labels: NDArray[np.uint16],
                      ) -> NDArray[np.float32]:
        """
        Depth of every pixel of the image.

        Within a segment 1/Z is interpolated bilinearly, which is exact for planes (1/Z is
        linear in pixel coordinates); where labels meet, or known depth meets none, the nearest
        value is taken, so that no depth lies between two surfaces.

        :param depth: (h, w) of the region, meters; NaN, +Inf, -Inf as in PanopticDepth.
        :param labels: (h, w) panoptic ids of the same pixels.
        :returns: (H, W) float32, NaN where the image was cut off.
        """
        if depth.shape == (self.height, self.width):
            return depth.copy()
        rows, row_weights = self._pairs(1)
        columns, column_weights = self._pairs(0)
        seam = seams(labels, depth).take(columns, 1)
        nearest = depth.take(self.columns, 1)
        fine = np.empty((rows.size, columns.size), np.float32)
        with np.errstate(divide='ignore', invalid='ignore'):
            # Columns first, while there are few rows; then rows by blocks that stay in cache.
            wide = _between(np.reciprocal(depth), 1, columns, column_weights)
            for start in range(0, rows.size, _BLOCK_ROWS):
                block = slice(start, start + _BLOCK_ROWS)
                inverse = _between(wide, 0, rows[block], row_weights[block, None])
                np.reciprocal(inverse, out=fine[block])
                np.copyto(fine[block], nearest.take(self.rows[block], 0),
                          where=seam.take(rows[block], 0))
        return self._placed(fine, np.nan)

    def _pairs(self, axis: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """
        Neighbors in bilinear interpolation, per image column (axis 0) or row (axis 1).

        :returns: the first of the two, and the weight of the second.
        """
        count, first = (self.rows.size, self.first_row) if axis else (
            self.columns.size, self.first_column)
        last = self.pixel_counts.shape[1 - axis] - 1
        at = self.scale[axis] * (first + np.arange(count) + 0.5) + self.shift[axis]
        at = np.clip(at, 0, last)
        pair = np.clip(np.floor(at), 0, max(last - 1, 0))
        return pair.astype(np.intp), (at - pair).astype(np.float32)

    def _placed(self, shown: NDArray[Item], fill: float) -> NDArray[Item]:
        if shown.shape == (self.height, self.width):
            return shown
        image = np.full((self.height, self.width), fill, shown.dtype)
        image[self.first_row:self.first_row + shown.shape[0],
              self.first_column:self.first_column + shown.shape[1]] = shown
        return image


@lru_cache(maxsize=16)
def _grid(geometry: Geometry, stride: int) -> MapGrid:
    g = geometry
    rows, top, first_row = _axis(g.height, g.resized_height, g.offset_y, g.network_height, stride)
    columns, left, first_column = _axis(
        g.width, g.resized_width, g.offset_x, g.network_width, stride)
    counts = np.outer(np.bincount(rows), np.bincount(columns)).astype(np.float64)
    return MapGrid(
        g.width, g.height, (top, top + counts.shape[0], left, left + counts.shape[1]),
        rows, columns, first_row, first_column,
        (g.scale_x / stride, g.scale_y / stride),
        (g.offset_x / stride - 0.5 - left, g.offset_y / stride - 0.5 - top), counts)


def _axis(size: int, resized: int, offset: int, network: int, stride: int,
          ) -> tuple[NDArray[np.intp], int, int]:
    """
    One axis of a grid.

    :returns: the map pixel of every visible image pixel, counted from the first such map pixel;
        that map pixel; the first visible image pixel.
    :raises ConfigError: when a crop cuts off all pixels, as of an image of one column.
    """
    pixel = np.arange(size, dtype=np.int64)
    # floor of ((pixel + 0.5) * resized / size + offset) / stride, in integers, so exact.
    at = ((2 * pixel + 1) * resized + 2 * size * offset) // (2 * size * stride)
    shown = np.flatnonzero((at >= 0) & (at < network // stride))
    if not shown.size:
        raise ConfigError(f'a crop leaves no pixel of an image side of {size} px; '
                          'set fit to letterbox')
    at = at[shown]
    return (at - at[0]).astype(np.intp), int(at[0]), int(shown[0])


def _between(array: NDArray[np.float32], axis: int, first: NDArray[np.intp],
             weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted mean of the values at ``first`` and ``first + 1`` along an axis."""
    result = array.take(first, axis)
    step = array.take(np.minimum(first + 1, array.shape[axis] - 1), axis)
    step -= result
    step *= weight
    result += step
    return result
