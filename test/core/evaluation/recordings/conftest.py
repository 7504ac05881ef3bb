# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What tests of replay evaluation share."""

from __future__ import annotations

from pathlib import Path

import pytest
from known_errors import OPTIONS, wrong
from simulated_drive import write_simulated_drive


@pytest.fixture(scope='session')
def wrong_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording whose results are wrong in known ways, see known_errors.py."""
    path = tmp_path_factory.mktemp('bags') / 'wrong'
    write_simulated_drive(path, depth_factor=1.0, change=wrong, **OPTIONS)
    return path
