# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Five recordings, and where their parts are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from misbehaving_jobs import NAMES, Job, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / 'parts')


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [Job(name, tmp_path) for name in NAMES]
