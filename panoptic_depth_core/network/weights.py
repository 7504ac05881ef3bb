# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights from files: read without running code, and checked for completeness."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ConfigError

COUNTER = '.num_batches_tracked'
"""End of the names of batch norm's counters, which only some files and kinds of norm have."""


def read_state_dict(path: Path | str, remedy: str) -> dict[str, Tensor]:
    """
    Read named tensors or numpy arrays, from the entry "model" where there is one.

    :param remedy: for the message.
    :raises ConfigError: when it cannot be read or holds anything but named arrays.
    """
    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            stored = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise ConfigError(
            f'{path}: weights cannot be read: {error.strerror}; {remedy}') from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else 'it is cut off'
        raise ConfigError(f'{path}: no checkpoint of tensors or numpy arrays: {reason}; '
                          f'{remedy}') from None
    weights = stored.get('model', stored) if isinstance(stored, Mapping) else stored
    if not isinstance(weights, Mapping) or not weights:
        raise ConfigError(f'{path}: holds a {type(weights).__name__} and no weights; {remedy}')
    arrays = {}
    for name, value in weights.items():
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value.copy())
        if not isinstance(value, Tensor):
            raise ConfigError(f'{path}: entry {name!r} is a {type(value).__name__}, not a tensor '
                              f'or an array; {remedy}')
        arrays[str(name)] = value
    return arrays


def load_all(module: nn.Module, given: Mapping[str, Tensor], source: str, remedy: str) -> None:
    """
    Load every weight of a module, in place; only batch norm's counters may be missing.

    :param source, remedy: for the message.
    :raises ConfigError: naming what is missing, unknown or of another shape.
    """
    if listed := list_gaps(find_gaps(module.state_dict(), given)):
        raise ConfigError(f'{source}: weights do not fit: {listed}; {remedy}')
    module.load_state_dict(given, strict=False)


def find_gaps(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Names of weights that do not fit, by kind; batch norm's counters are ignored."""
    kinds = {
        'missing': [name for name in wanted if name not in given],
        'unknown': [name for name in given if name not in wanted],
        'of another shape': [name for name in given if name in wanted
                             and given[name].shape != wanted[name].shape]}
    return {kind: [name for name in names if not name.endswith(COUNTER)]
            for kind, names in kinds.items()}


def list_gaps(gaps: Mapping[str, Sequence[str]]) -> str:
    """Text with the first gaps of each kind; empty without any."""
    return '; '.join(
        f'{kind}: {", ".join(items[:3])}' + (f' and {len(items) - 3} more' if items[3:] else '')
        for kind, items in gaps.items() if items)


def _numpy_globals() -> list[Any]:
    """Names in a pickle of numeric arrays; they differ between numpy 1 and 2."""
    core = np._core if hasattr(np, '_core') else np.core
    reconstruct = core.multiarray._reconstruct
    kinds = {type(np.dtype(name)) for name in
             ('float16', 'float32', 'float64', 'int64', 'int32', 'uint8', 'bool')}
    return [reconstruct, (reconstruct, 'numpy.core.multiarray._reconstruct'),
            np.ndarray, np.dtype, *kinds]
