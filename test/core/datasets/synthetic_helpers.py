# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of scenes and drives share."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from panoptic_depth_core.datasets.synthetic import SyntheticSettings
from panoptic_depth_core.labels import class_of
from panoptic_depth_core.structures import Sample

SMALL = SyntheticSettings(height=64, width=128)


def points_of(sample: Sample, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, 3) points of pixels in the camera frame, meters."""
    assert sample.truth.depth is not None
    k = sample.frame.intrinsics
    v, u = np.nonzero(mask)
    z = sample.truth.depth[mask].astype(np.float64)
    return np.stack([(u - k.cx) / k.fx * z, (v - k.cy) / k.fy * z, z], 1)


def classes_of(sample: Sample) -> NDArray[np.uint8]:
    assert sample.truth.panoptic is not None
    return class_of(sample.truth.panoptic)


def digest_of(sample: Sample) -> str:
    truth = sample.truth
    assert truth.panoptic is not None and truth.depth is not None
    parts = (sample.frame.image, truth.panoptic, truth.depth, sample.frame.intrinsics.as_vector())
    return hashlib.sha256(b''.join(part.tobytes() for part in parts)).hexdigest()
