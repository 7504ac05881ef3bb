# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What flows through the evaluation of a recording."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...structures import Frame, GroundTruth, PanopticDepth


@dataclass(frozen=True)
class TrueBox:
    """
    A thing whose place is known.

    :param class_name: as in the bag.
    :param roi: x, y, width, height in px of the image, clipped to it.
    :param distance_m: Euclidean, from the optical centre to the visible surface.
    :param depth_m: Z of that point.
    """

    class_name: str
    roi: tuple[float, float, float, float]
    distance_m: float
    depth_m: float


@dataclass(frozen=True)
class ReplayFrame:
    """
    One image of a recording with all that the recording knows of it.

    :param truth: from images of labels and depth; empty where there are none.
    :param lidar_depth: (H, W) float32 metres along Z at the pixels that a point falls on, NaN
        elsewhere; None where no cloud belongs to the image.
    :param boxes: None where no message of boxes belongs to the image.
    :param recorded: the results that the recording holds.
    :param reference: results of another recording to compare with.
    """

    frame: Frame
    truth: GroundTruth = field(default_factory=GroundTruth)
    lidar_depth: NDArray[np.float32] | None = None
    boxes: tuple[TrueBox, ...] | None = None
    recorded: PanopticDepth | None = None
    reference: PanopticDepth | None = None
