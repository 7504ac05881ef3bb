# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Golden vectors, which are not part of the repository: where they are, a test for each."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(os.environ.get('GOLDEN_DIR')
              or Path(__file__).resolve().parents[2].parent / 'shared' / 'golden')


def golden_file(name: str) -> Path:
    """Path of a file or folder of golden data; skips the test where it is not."""
    path = GOLDEN / name
    if not path.exists():
        pytest.skip(f'no {path}; set GOLDEN_DIR')
    return path


def each_golden(kind: str) -> pytest.MarkDecorator:
    """Run a test once per vector of a kind as ``path``; skip it where there is none."""
    missing = pytest.param(None, marks=pytest.mark.skip(
        reason=f'no {kind}_*.npz in {GOLDEN}; set GOLDEN_DIR'))
    return pytest.mark.parametrize('path', sorted(GOLDEN.glob(f'{kind}_*.npz')) or [missing],
                                   ids=lambda path: path and path.stem)


def golden_weight(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Parameter or buffer, float64, that the vectors were made with; its name seeds it."""
    rng = np.random.default_rng(zlib.crc32(f'{seed}:{name}'.encode()))
    if name.endswith('running_var'):
        return np.ones(shape)
    if name.endswith('running_mean'):
        return np.zeros(shape)
    if len(shape) == 1 and name.endswith('.weight'):
        return 0.5 + 0.5 * rng.random(shape)
    if len(shape) == 1:
        return 0.1 * rng.standard_normal(shape)
    return np.sqrt(2 / np.prod(shape[1:])) * rng.standard_normal(shape)
