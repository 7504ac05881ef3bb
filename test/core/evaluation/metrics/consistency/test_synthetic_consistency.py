# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact truth of a rendered drive is consistent, and its camera is where it was put."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from consistency_scenes import all_of, compared, metric, result

pytest.importorskip('embreex', reason='the extra synthetic is not installed')


def test_truth_is_consistent() -> None:
    from panoptic_depth_core.datasets.synthetic import SyntheticDrive, SyntheticSettings

    drive = SyntheticDrive(4, 4, settings=SyntheticSettings(height=192, width=414))
    metrics = metric(min_instance_pixels=100)
    world = drive.world()
    for index, sample in enumerate(drive):
        truth = sample.truth
        exact = result(truth.panoptic, truth.depth, camera=sample.frame.intrinsics)
        record = compared(metrics, sample.frame, replace(exact, depth=truth.depth))
        camera = drive.camera(world, index)
        pitch = math.asin(-camera.rotation[2, 2])
        roll = math.asin(-camera.rotation[2, 0] / math.cos(pitch))
        assert record['ground_height_m'] == pytest.approx(camera.position[2], rel=1e-3)
        assert np.radians(record['ground_pitch_deg']) == pytest.approx(pitch, abs=1e-3)
        assert np.radians(record['ground_roll_deg']) == pytest.approx(roll, abs=1e-3)
    total = all_of(metrics)
    assert total.compared_share > 0.7
    assert total.label_stability > 0.95
    assert total.label_flicker < 0.02
    assert total.depth_jitter < 0.01
    assert total.instance_survival == 1.0 and total.instances > 5
    assert total.ground_height_spread < 1e-3 and total.ground_residual < 1e-3
