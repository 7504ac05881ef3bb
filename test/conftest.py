# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What several tests share: where the repository is, and real data that is not part of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """One of several test processes computes in one thread: together they have the processor."""
    if 'PYTEST_XDIST_WORKER' in os.environ:
        os.environ.setdefault('OMP_NUM_THREADS', '1')


@pytest.fixture(scope='session')
def repository() -> Path:
    """Top folder of the checkout."""
    return REPOSITORY


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Folder of the shared data: $PANOPTIC_DEPTH_SHARED/data, by default ../shared/data."""
    root = Path(os.environ.get('PANOPTIC_DEPTH_SHARED') or REPOSITORY.parent / 'shared')
    data = root / 'data'
    if not data.is_dir():
        pytest.skip(f'{data} is not there; set PANOPTIC_DEPTH_SHARED to the folder above data/')
    return data


@pytest.fixture
def case(tmp_path: Path) -> Callable[[str], Path]:
    """Copy an input of test/cases, as '04_frame_order/frames'; a fresh copy at every call."""
    def copy(name: str) -> Path:
        origin = REPOSITORY / 'test' / 'cases' / name
        target = tmp_path / f'case{len(list(tmp_path.glob("case*")))}' / origin.name
        target.parent.mkdir()
        return Path((shutil.copytree if origin.is_dir() else shutil.copy)(origin, target))
    return copy
