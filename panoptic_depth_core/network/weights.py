# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights from files: read without running code, and checked for completeness."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ConfigError

COUNTER = '.num_batches_tracked'
"""End of the names of batch norm's counters, which only some files and kinds of norm have."""

_DAMAGED = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, AttributeError,
            LookupError, ImportError, MemoryError, OverflowError)
"""What a file that was cut off or made up raises."""


def read_state_dict(path: Path | str, remedy: str) -> dict[str, Tensor]:
    """
    Read named tensors or numpy arrays, from the entry "model" where there is one.

    :param remedy: for the message.
    :raises ConfigError: when it cannot be read or holds anything but named arrays.
    """
    try:
        if _is_plain_pickle(path):
            with Path(path).open('rb') as file:
                stored = _ArrayUnpickler(file, encoding='latin1').load()
        else:
            with torch.serialization.safe_globals(_numpy_globals()):
                stored = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise ConfigError(
            f'{path}: weights cannot be read: {error.strerror}; {remedy}') from None
    except _DAMAGED as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else 'it is cut off'
        raise ConfigError(f'{path}: no checkpoint of tensors or numpy arrays: {reason}; '
                          f'{remedy}') from None
    weights = stored.get('model', stored) if isinstance(stored, Mapping) else stored
    if not isinstance(weights, Mapping) or not weights:
        raise ConfigError(f'{path}: holds a {type(weights).__name__} and no weights; {remedy}')
    arrays = {}
    for name, value in weights.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in 'fiub':
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
    reconstruct = _numpy_core().multiarray._reconstruct
    kinds = {type(np.dtype(name)) for name in
             ('float16', 'float32', 'float64', 'int64', 'int32', 'uint8', 'bool')}
    return [reconstruct, (reconstruct, 'numpy.core.multiarray._reconstruct'),
            np.ndarray, np.dtype, *kinds]


def _numpy_core() -> Any:
    return np._core if hasattr(np, '_core') else np.core


def _is_plain_pickle(path: Path | str) -> bool:
    """Whether it is a pickle that torch did not write, as the model zoo of detectron2 has them."""
    old_torch = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
    with Path(path).open('rb') as file:
        start = file.read(len(old_torch))
    return start[:1] == pickle.PROTO and start != old_torch


class _ArrayUnpickler(pickle.Unpickler):
    """Makes containers, numbers, texts and numpy arrays of them; whatever else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle asks for by name, if arrays need it."""
        # The name of this module differs between numpy 1 and 2.
        module = module.replace('numpy._core.', 'numpy.core.')
        core = _numpy_core()
        known = {('numpy.core.multiarray', '_reconstruct'): core.multiarray._reconstruct,
                 ('numpy.core.multiarray', 'scalar'): core.multiarray.scalar,
                 ('numpy.core.numeric', '_frombuffer'): core.numeric._frombuffer,
                 ('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): np.dtype,
                 ('collections', 'OrderedDict'): OrderedDict, ('_codecs', 'encode'): _latin1}
        if (module, name) not in known:
            raise pickle.UnpicklingError(f'it holds {module}.{name}, which no array needs and '
                                         'which may run code')
        return known[module, name]


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes as Python 3 writes them into an old form of pickle; no other codec is looked up."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'it holds bytes in the encoding {encoding!r}')
    return text.encode('latin1')
