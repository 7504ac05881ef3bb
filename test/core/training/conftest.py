# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the training tests."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from miniature import RECIPE, Miniature, make_sample
from panoptic_depth_core import datasets
from panoptic_depth_core.structures import Sample


@pytest.fixture
def sample() -> Sample:
    """One frame with every kind of label."""
    return make_sample()


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Small and quick, on a CPU; one thread, because more of them sum in any order."""
    torch = pytest.importorskip('torch', reason='training needs the extra [train]')
    monkeypatch.setitem(datasets.DATASETS, 'miniature', Miniature)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield copy.deepcopy(RECIPE)
    torch.set_num_threads(threads)
