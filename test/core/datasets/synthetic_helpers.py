# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of scenes and drives share."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.datasets.synthetic import SyntheticSettings
from panoptic_depth_core.labels import CITYSCAPES, LABEL_DIVISOR, SKY, class_of
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


def check_labels(sample: Sample) -> None:
    """Sky alone has no depth; instances are numbered from 1; their depths are medians."""
    truth = sample.truth
    assert truth.panoptic is not None and truth.depth is not None and truth.has_semantics
    assert truth.panoptic.dtype == np.int32 and truth.depth.dtype == np.float32
    classes = classes_of(sample)
    np.testing.assert_array_equal(np.isinf(truth.depth), classes == SKY)
    assert np.all(truth.depth > 0.1)
    ids = [int(i) for i in np.unique(truth.panoptic) if i % LABEL_DIVISOR]
    assert sorted(truth.instance_depth_m) == ids
    for class_id in truth.instance_classes:
        mine = [i % LABEL_DIVISOR for i in ids if i // LABEL_DIVISOR == class_id]
        assert mine == list(range(1, len(mine) + 1))
    for i in ids:
        expected = np.median(truth.depth[truth.panoptic == i])
        assert truth.instance_depth_m[i] == pytest.approx(float(expected))
    things = np.array([c.is_thing for c in CITYSCAPES])[classes]
    np.testing.assert_array_equal(truth.panoptic % LABEL_DIVISOR > 0, things)
    assert not np.any(truth.panoptic // LABEL_DIVISOR >= len(CITYSCAPES))
