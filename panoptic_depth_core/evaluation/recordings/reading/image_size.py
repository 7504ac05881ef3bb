# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Recorded results of the size of the network's maps, brought to the size of the image.

As the pipeline does it with ``output_size: input``, so that it makes no difference to a score
which of the two was recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ....errors import ConfigError
from ....inference.preprocess import MapGrid
from ....io.messages.truth_images import pixel_counts
from ....labels import VOID_ID
from ....structures import Frame, Intrinsics, PanopticDepth, Segment

_ROUNDING = 1.5
"""Pixels of the maps: half a pixel of the network's input, and the end of the last stride."""

_TIE = 1e-6
"""Of a map pixel: the scale comes out of a division, and must not decide at the seam of two."""


def at_image_size(result: PanopticDepth, frame: Frame,
                  cameras: Sequence[Intrinsics]) -> PanopticDepth:
    """
    Enlarge a result, or reduce one of maps that are finer than the image.

    :param cameras: of the result's pixels, the most trusted first; the first one is taken whose
        pixels are those of the image.
    :raises ConfigError: for a result of another image.
    """
    grids = (_grid(frame.intrinsics, camera) for camera in cameras)
    grid = next((grid for grid in grids if grid is not None), None)
    height, width = result.panoptic.shape
    if grid is None:
        raise ConfigError(f'recorded results are of {width}x{height} px and show another part '
                          f'than the image of {grid_size(frame.intrinsics)}')
    region = grid.crop(result.panoptic)
    panoptic = grid.restore_labels(region, VOID_ID)
    depth = grid.restore_depth(grid.crop(result.depth), region)
    counts = pixel_counts(panoptic)

    def counted(segment: Segment) -> Segment:
        return replace(segment, pixel_count=counts.get(segment.panoptic_id, 0))

    return replace(
        result, panoptic=panoptic, depth=depth, intrinsics=frame.intrinsics,
        segments=tuple(map(counted, result.segments)),
        distances=tuple(replace(d, segment=counted(d.segment), roi=grid.image_roi(d.roi))
                        for d in result.distances))


def grid_size(camera: Intrinsics) -> str:
    """Size of an image in words."""
    return f'{camera.width}x{camera.height} px'


@lru_cache(maxsize=8)
def _grid(image: Intrinsics, camera: Intrinsics) -> MapGrid | None:
    """How maps of a camera lie in the image; None where they are not of it."""
    scale = camera.fx / image.fx, camera.fy / image.fy
    # Sides are rounded to whole pixels, the shorter one by the greater share.
    if abs(scale[0] - scale[1]) * min(image.width, image.height) > _ROUNDING:
        return None
    # The principal points are one point; pixel centres are at integers.
    offset = (camera.cx + 0.5 - (image.cx + 0.5) * scale[0],
              camera.cy + 0.5 - (image.cy + 0.5) * scale[1])
    across = _axis(image.width, camera.width, scale[0], offset[0])
    down = _axis(image.height, camera.height, scale[1], offset[1])
    if across is None or down is None:
        return None
    (columns, first_column), (rows, first_row) = across, down
    counts = np.outer(np.bincount(rows, minlength=camera.height),
                      np.bincount(columns, minlength=camera.width)).astype(np.float64)
    return MapGrid(
        image.width, image.height, (0, camera.height, 0, camera.width), rows, columns,
        first_row, first_column, scale, (offset[0] - 0.5, offset[1] - 0.5), counts)


def _axis(size: int, maps: int, scale: float, offset: float,
          ) -> tuple[NDArray[np.intp], int] | None:
    """Map pixel of every shown image pixel, and the first of these; None: others are shown."""
    at = np.floor(scale * (np.arange(size) + 0.5) + offset + _TIE).astype(np.intp)
    shown = np.flatnonzero((at >= 0) & (at < maps))
    if not shown.size or at[shown[0]] > scale or maps - 1 - at[shown[-1]] > scale:
        return None
    return at[shown], int(shown[0])
