# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Changes of the mounting of the camera in training, for networks that take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from pydantic import Field

from ..config import Settings
from ..inference.ground_plane import fit_ground
from ..labels import ClassInfo, class_of
from ..structures import Mounting, Sample


class MountingErrors(Settings):
    """Random errors of the mounting that a network is told."""

    height: float = Field(0.0, ge=0, lt=1, description='standard deviation, as a share of it')
    angle_deg: float = Field(0.0, ge=0, le=10, description='standard deviation of pitch and roll')
    unknown: float = Field(0.0, ge=0, le=1, description='probability that it is not told')


def with_errors(sample: Sample, errors: MountingErrors, rng: Generator) -> Sample:
    """Draw what a network is told of the mounting; nothing is drawn without errors."""
    told = sample.frame.mounting
    if told is None or errors == MountingErrors():
        return sample
    height, pitch, roll = rng.standard_normal(3).tolist()
    known = rng.random() >= errors.unknown
    mounting = Mounting(
        told.height_m * float(np.exp(errors.height * height)),
        float(np.clip(told.pitch_deg + errors.angle_deg * pitch, -89, 89)),
        float(np.clip(told.roll_deg + errors.angle_deg * roll, -89, 89))) if known else None
    return replace(sample, frame=replace(sample.frame, mounting=mounting))


def from_road(sample: Sample, classes: Sequence[ClassInfo]) -> Sample:
    """
    Take the mounting of this very frame from its depth and its labels of the road.

    The vehicle sways: a mounting that is the same for all frames is off by half a degree. Frames
    that do not show it get none.

    :param classes: the table of the labels.
    """
    truth, mounting = sample.truth, None
    if truth.depth is not None and truth.panoptic is not None:
        road = np.isin(class_of(truth.panoptic),
                       [c.class_id for c in classes if c.name == 'road'])
        with np.errstate(divide='ignore', invalid='ignore'):
            plane = fit_ground(np.reciprocal(truth.depth), road, sample.frame.intrinsics)
        if plane is not None:
            mounting = Mounting(plane.height_m, plane.pitch_deg, plane.roll_deg)
    return replace(sample, frame=replace(sample.frame, mounting=mounting))


def enlarged(sample: Sample, factor: float) -> Sample:
    """
    Show the same picture as one of a world ``factor`` times as large.

    That is exact for depth and the height of the camera, so that a network cannot know the height
    from the picture. A car is then of another size, though.
    """
    truth, mounting = sample.truth, sample.frame.mounting
    return replace(
        sample,
        truth=replace(
            truth, depth=None if truth.depth is None else truth.depth * np.float32(factor),
            instance_depth_m={i: z * factor for i, z in truth.instance_depth_m.items()}),
        frame=replace(sample.frame, mounting=mounting and replace(
            mounting, height_m=mounting.height_m * factor)))
