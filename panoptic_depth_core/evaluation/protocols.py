# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Named evaluations of depth: which true depths count, and what happens to predictions before.

A protocol counts the pixels of a crop with min < truth < cap, clamps predictions to [min, cap],
and its values are means over images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .depthlab_metrics import depthlab_metrics, floored
from .disparity import at_quarter, disparity_errors

Size = tuple[int, int]
"""Height and width in px."""

Window = tuple[slice, slice]
Scalar = TypeVar('Scalar', bound=np.generic)


def _garg(size: Size) -> Window:
    """Crop of Garg et al. (ECCV 2016), in shares of the picture."""
    height, width = size
    return (slice(int(0.40810811 * height), int(0.99189189 * height)),
            slice(int(0.03594771 * width), int(0.96405229 * width)))


def _whole(size: Size) -> Window:
    return slice(0, size[0]), slice(0, size[1])


def _bottom_center(size: Size) -> Window:
    """352 x 1216 px, which networks of KITTI are given (KITTI depth benchmark)."""
    top, left = size[0] - 352, (size[1] - 1216) // 2
    return slice(top, top + 352), slice(left, left + 1216)


def _garg_in_bottom_center(size: Size) -> Window:
    """Shares of the whole picture, applied to a part of it: less of what is far is left."""
    rows, columns = _bottom_center(size)
    inner_rows, inner_columns = _garg((352, 1216))
    return (slice(rows.start + inner_rows.start, rows.start + inner_rows.stop),
            slice(columns.start + inner_columns.start, columns.start + inner_columns.stop))


def _nyu_input(_: Size) -> Window:
    return slice(42, 474), slice(40, 616)


def _nyu(_: Size) -> Window:
    """Inside of the border that the projection of the depth on the picture leaves empty."""
    return slice(45, 471), slice(41, 601)


@dataclass(frozen=True)
class DepthProtocol:
    """
    One evaluation of depth.

    :param words: what is special, for reports.
    :param min_m, cap_m: limits of true depths that count, and of predictions.
    :param crop: where they count, by the size of the picture.
    :param least, most: sizes that the crop is defined for.
    :param network_part: part of the picture whose prediction alone may be stored.
    :param prepare: what happens to predictions, meters, instead of clamping; NaN remains unknown.
    :param more: further values of an image by name, of its known predictions after ``prepare`` and
        their truths, (N,) meters each.
    """

    words: str
    cap_m: float
    crop: Callable[[Size], Window]
    least: Size
    most: Size
    network_part: Callable[[Size], Window] = _whole
    min_m: float = 1e-3
    prepare: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    more: Callable[[NDArray[np.float64], NDArray[np.float64]], Mapping[str, float]] | None = None

    def counted(self, truth: NDArray[Any]) -> NDArray[np.bool_]:
        """
        Find the pixels that count.

        :param truth: (H, W) meters.
        :returns: (H, W) bool.
        :raises ConfigError: for a size that the protocol is not defined for.
        """
        size = truth.shape[0], truth.shape[1]
        self.require_size(size)
        inside = np.zeros(truth.shape, np.bool_)
        window = self.crop(size)
        inside[window] = (truth[window] > self.min_m) & (truth[window] < self.cap_m)
        return inside

    def convention(self, name: str) -> str:
        """Say what is counted, for reports."""
        clamped = '' if self.prepare else ', predictions clamped to these limits'
        return (f'Depth protocol {name}: {self.words}; {self.min_m:g} m < truth < '
                f'{self.cap_m:g} m{clamped}; values are means over images, by range and class '
                'over pixels. Pixels without a predicted depth are counted as missing and are in '
                'no other value.')

    def require_size(self, size: Size) -> None:
        """:raises ConfigError: for a size of pictures that the protocol is not defined for."""
        if not all(low <= n <= high
                   for low, n, high in zip(self.least, size, self.most, strict=True)):
            wanted = f'{self.least[1]}x{self.least[0]}'
            if self.most != self.least:
                wanted = f'from {wanted} to {self.most[1]}x{self.most[0]}'
            raise ConfigError(f'the picture has {size[1]}x{size[0]} px, but the depth protocol '
                              f'takes {wanted} px; give whole, unscaled pictures, or '
                              'choose another protocol')

    def prepared(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Bring predictions within the limits, those of -Inf (too near) and Inf (far) too.

        NaN, 0 and negative ones are unknown: NaN.
        """
        predicted = np.where((predicted > 0) | np.isneginf(predicted), predicted, np.nan)
        if self.prepare is not None:
            return self.prepare(predicted)
        return np.clip(predicted, self.min_m, self.cap_m)

    def pasted(self, predicted: NDArray[Scalar], size: Size, unknown: Any) -> NDArray[Scalar]:
        """
        Put the prediction of the part that networks are given into the whole picture.

        :param predicted: (h, w) of that part; of another size it is returned as it is.
        :param size: of the picture. :param unknown: value around it.
        """
        window = self.network_part(size)
        part = tuple(span.stop - span.start for span in window)
        if predicted.shape == size or predicted.shape != part:
            return predicted
        self.require_size(size)
        whole = np.full(size, unknown, predicted.dtype)
        whole[window] = predicted
        return whole


_KITTI = (352, 1216), (376, 1242)
# The part that networks are given is not among these: the shares would be of a part.
_KITTI_WHOLE = (370, 1224), (376, 1242)
_NYU = (480, 640), (480, 640)
_CITYSCAPES = (1024, 2048), (1024, 2048)
_GARG = 'crop of Garg et al.'
_GARG_FAULT = ('shares of the crop of Garg et al. taken of the 1216x352 px at the bottom center, '
               'as LapDepth evaluates')

PROTOCOLS: dict[str, DepthProtocol] = {
    'eigen_kitti': DepthProtocol(_GARG, 80.0, _garg, *_KITTI_WHOLE, _bottom_center),
    'eigen_kitti_50': DepthProtocol(_GARG, 50.0, _garg, *_KITTI_WHOLE, _bottom_center),
    'eigen_kitti_uncropped': DepthProtocol('no crop', 80.0, _whole, *_KITTI, _bottom_center),
    'eigen_kitti_uncropped_50': DepthProtocol('no crop', 50.0, _whole, *_KITTI, _bottom_center),
    'lapdepth_kitti': DepthProtocol(
        _GARG_FAULT, 80.0, _garg_in_bottom_center, *_KITTI, _bottom_center),
    'lapdepth_kitti_50': DepthProtocol(
        _GARG_FAULT, 50.0, _garg_in_bottom_center, *_KITTI, _bottom_center),
    # In its truth all that is beyond 80 m is at 80 m.
    'depthlab': DepthProtocol(
        'predictions floored to whole meters, and silog the mean of |log10 p - log10 g|, as '
        'Panoptic-DepthLab evaluates', 80.001, _whole, (1024, 2048), (1024, 2048), min_m=0.0,
        prepare=floored, more=depthlab_metrics),
    'nyu': DepthProtocol('rows 45 to 470, columns 41 to 600', 10.0, _nyu, *_NYU, _nyu_input),
    'cityscapes_disparity': DepthProtocol(
        'every fourth row and column, errors also of disparity in px of the 2048 px wide picture',
        1e5, at_quarter, *_CITYSCAPES, more=disparity_errors),
}
"""Evaluations by name; the truth of KITTI is the improved one (KITTI depth prediction)."""
