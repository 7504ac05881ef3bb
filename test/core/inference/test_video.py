# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A video without stamps: what lasts from frame to frame sees time pass, results stay honest."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings
from panoptic_depth_core.inference.video import Video
from panoptic_depth_core.structures import UNSTAMPED_PERIOD_NS, Frame, Intrinsics, PanopticDepth

CAMERA = Intrinsics(8.0, 8.0, 3.5, 2.5, 8, 6)


@pytest.mark.parametrize('stamps', [(0, 0, 0), (5, 7, 9), (0, 33, 66)])
def test_time_passes_without_stamps(stamps: tuple[int, ...]) -> None:
    seen = []
    empty = PanopticDepth(np.zeros((6, 8), np.uint16), np.ones((6, 8), np.float32), (), (), CAMERA,
                          1000)

    class _Pipeline(SimpleNamespace):
        def __call__(self, frame: Frame, _: object) -> PanopticDepth:
            seen.append(frame.stamp_ns)
            return replace(empty, stamp_ns=frame.stamp_ns)

    video = Video(_Pipeline(settings=InferenceSettings()))
    results = [video(Frame(np.zeros((6, 8, 3), np.uint8), CAMERA, stamp)) for stamp in stamps]
    assert [result.stamp_ns for result in results] == list(stamps)
    assert seen == ([n * UNSTAMPED_PERIOD_NS for n in range(3)] if not any(stamps)
                    else list(stamps))
