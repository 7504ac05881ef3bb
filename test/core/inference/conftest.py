# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What tests of the pipeline share; see rendered_scene.py."""

from __future__ import annotations

import pytest


@pytest.fixture(scope='session')
def info(make_info):
    return make_info(input_height=256, input_width=512, output_stride=2,
                     trained_focal_range_px=(50, 2000))
