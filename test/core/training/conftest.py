# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the training tests."""

from __future__ import annotations

import pytest
from miniature import make_sample
from panoptic_depth_core.structures import Sample


@pytest.fixture
def sample() -> Sample:
    """One frame with every kind of label."""
    return make_sample()
