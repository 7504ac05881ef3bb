# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Golden vectors of the published metrics, which are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.labels import CITYSCAPES, VOID_ID

GOLDEN = Path(os.environ.get('GOLDEN_DIR')
              or Path(__file__).resolve().parents[3].parent / 'shared' / 'golden')

each_golden_metric = pytest.mark.parametrize(
    'path', sorted(GOLDEN.glob('metric_*.npz')) or [pytest.param(None, marks=pytest.mark.skip(
        reason=f'no metric_*.npz in {GOLDEN}; set GOLDEN_DIR'))], ids=lambda p: p and p.stem)


def published(ids: np.ndarray) -> np.ndarray:
    """Published ids, where void is a class beyond the table."""
    ids = ids.astype(np.int32)
    return np.where(ids // 1000 >= len(CITYSCAPES), VOID_ID, ids)
