# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights that the golden vectors of LapDepth were made with, by its authors' names."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import torch
from golden import golden_file, golden_weight

# Standardized weights multiply the variance by their fan-in: everything would be saturated.
SMALL = 0.06
BEFORE_RESIDUALS = tuple(f'decoder.{name}.module.0.' for name in (
    'decoder1.4', 'decoder2_4', 'decoder2_1_3', 'decoder2_1_1_2', 'decoder2_1_1_1_3'))


def golden_shapes(norm: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape, counters of batch norm left out; norm: bn or gn."""
    listed = json.loads(golden_file(f'state_dict_keys_lapdepth_{norm}.json').read_text())
    return {name: tuple(shape) for name, shape, dtype in listed if dtype == 'float32'}


def golden_weights(norm: str, seed: int, stored: Mapping[str, np.ndarray] | None = None,
                   ) -> dict[str, torch.Tensor]:
    """
    Deterministic weights.

    :param stored: a golden file, whose ``stats/`` are the statistics of batch norm.
    """
    weights = {}
    for name, shape in golden_shapes(norm).items():
        value = golden_weight(name, shape, seed)
        if name.startswith(BEFORE_RESIDUALS) and name.endswith(('weight', 'bias')):
            value = (value * SMALL).astype(np.float32)
        weights[name] = torch.from_numpy(value)
    for name in (stored or {}):
        if name.startswith('stats/'):
            assert name.removeprefix('stats/') in weights
            weights[name.removeprefix('stats/')] = torch.from_numpy(stored[name])
    return weights
