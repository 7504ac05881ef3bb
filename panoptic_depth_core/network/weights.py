# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights from files: read without running code, and checked for completeness."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ConfigError
from ..untrusted import reading

COUNTER = '.num_batches_tracked'
"""End of the names of batch norm's counters, which only some files and kinds of norm have."""

_PARALLEL = 'module.'
"""Beginning of all names in a file of torch's DataParallel."""

def read_state_dict(path: Path | str, remedy: str) -> dict[str, Tensor]:
    """
    Read named tensors or numpy arrays, from the entry "model" or "state_dict" where there is one.

    :param remedy: for the message.
    :raises ConfigError: when it cannot be read or holds anything but named arrays.
    """
    with reading(path, 'a checkpoint of tensors or numpy arrays', remedy):
        if _is_plain_pickle(path):
            file = BytesIO(Path(path).read_bytes())
            stored = _ArrayUnpickler(file, encoding='latin1').load()
        else:
            named: list[Any] = [(stand_in, name) for name, stand_in in _STAND_INS.items()
                                if name.startswith('numpy.')]
            with torch.serialization.safe_globals(named):
                stored = torch_load(path)
    weights = stored
    for entry in ('model', 'state_dict'):
        if isinstance(stored, Mapping) and isinstance(stored.get(entry), Mapping):
            weights = stored[entry]
            break
    arrays = tensors_of(weights, path, remedy)
    if all(name.startswith(_PARALLEL) for name in arrays):
        return {name.removeprefix(_PARALLEL): value for name, value in arrays.items()}
    return arrays


def tensors_of(weights: Any, path: Path | str, remedy: str) -> dict[str, Tensor]:
    """
    Check that what a file holds are named arrays.

    :param path, remedy: for the message.
    :raises ConfigError: they are none.
    """
    if not isinstance(weights, Mapping) or not weights:
        raise ConfigError(f'{path}: holds a {type(weights).__name__} and no weights; {remedy}')
    arrays = {}
    for name, value in weights.items():
        if isinstance(value, _StoredArray):
            value = torch.from_numpy(value.array.copy())
        if not isinstance(value, Tensor):
            raise ConfigError(f'{path}: entry {name!r} is a {type(value).__name__}, not a tensor '
                              f'or an array; {remedy}')
        if value.layout != torch.strided or value.is_meta or (
                value.nbytes > value.untyped_storage().nbytes()):
            raise ConfigError(f'{path}: entry {name!r} has more numbers than are in the file; '
                              f'{remedy}')
        arrays[str(name)] = value
    return arrays


def torch_load(source: Path | str | BytesIO) -> Any:
    """
    Load a file of torch that holds tensors and plain values alone, in no more memory than it has.

    :raises Exception: nearly any, if it is damaged; see reading.
    """
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            # Torch compresses nothing; it would also read one member under many names.
            if sum(member.file_size for member in archive.infolist()) > archive.start_dir:
                raise ValueError('it holds more than it has bytes')
    if isinstance(source, BytesIO):
        source.seek(0)
    try:
        return torch.load(source, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch proposes to load the file without its checks.
        found = re.search(r'GLOBAL (\S+)', str(error))
        raise pickle.UnpicklingError(
            f'it holds {found[1]}, which may run code' if found else
            'it is cut off, or neither a file of PyTorch nor a pickle of arrays') from None


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


def _is_plain_pickle(path: Path | str) -> bool:
    """Whether it is a pickle that torch did not write, as the model zoo of detectron2 has them."""
    old_torch = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
    with Path(path).open('rb') as file:
        start = file.read(len(old_torch))
    return start[:1] == pickle.PROTO and start != old_torch


# The one in Python: that in C takes memory for 2^32 names where a file uses the last of them.
class _ArrayUnpickler(pickle._Unpickler):
    """Makes containers, numbers, texts and stored arrays; whatever else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for what a pickle asks for by name, if arrays need it."""
        found = _STAND_INS.get(f'{module}.{name}')
        if found is None:
            raise pickle.UnpicklingError(f'it holds {module}.{name}, which no array needs and '
                                         'which may run code')
        return found


# A pickle calls what it names, and sets the state of what it made. numpy's own types trust both:
# a made-up dtype turns bytes of the file into pointers. Each stand-in has a __setstate__ of its
# own, since without one a pickle may set any attribute, also of the class.

class _StoredDtype:
    """A numeric dtype."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in _CODES:
            raise pickle.UnpicklingError(f'it holds an array of dtype {str(code)[:20]!r}')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if state[1] == '>':
            self.dtype = self.dtype.newbyteorder('>')


class _StoredArray:
    """What numpy's _reconstruct makes, and numpy.ndarray, its argument."""

    def __init__(self, *_: Any) -> None:
        self.array = np.zeros(0, np.float32)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        self.array = _array(data, dtype, shape, 'F' if is_fortran else 'C')


class _BufferArray(_StoredArray):
    """What numpy's _frombuffer makes."""

    def __init__(self, data: Any, dtype: Any, shape: Any, order: Any) -> None:
        self.array = _array(data, dtype, shape, 'F' if order == 'F' else 'C')


class _StoredScalar:
    """A number, as a Python one."""

    def __new__(cls, dtype: Any, data: Any) -> Any:
        return _array(data, dtype, (), 'C').item()

    def __setstate__(self, state: Any) -> None:
        """See above."""


class _StoredBytes:
    """Bytes as Python 3 writes them into an old form of pickle."""

    def __new__(cls, text: str, encoding: str) -> Any:
        if encoding != 'latin1':
            raise pickle.UnpicklingError(f'it holds bytes in the encoding {str(encoding)[:20]!r}')
        return text.encode('latin1')

    def __setstate__(self, state: Any) -> None:
        """See above."""


class _StoredItems(dict[Any, Any]):
    """A dict; its attributes are dropped."""

    def __setstate__(self, state: Any) -> None:
        """See above."""


def _array(data: Any, dtype: Any, shape: Any, order: Literal['C', 'F']) -> NDArray[Any]:
    if isinstance(data, str):  # As Python 2 wrote bytes.
        data = data.encode('latin1')
    if not (isinstance(dtype, _StoredDtype) and isinstance(data, bytes | bytearray)):
        raise pickle.UnpicklingError('it holds an array that is not of numbers')
    native = np.frombuffer(data, dtype.dtype).astype(dtype.dtype.newbyteorder('='))
    return native.reshape(shape, order=order)


_CODES = frozenset(('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'b1'))

_STAND_INS: dict[str, Any] = {
    'numpy.ndarray': _StoredArray, 'numpy.dtype': _StoredDtype,
    'collections.OrderedDict': _StoredItems, '_codecs.encode': _StoredBytes,
    # The name of this module differs between numpy 1 and 2.
    **{f'numpy.{core}.{name}': stand_in for core in ('core', '_core') for name, stand_in in (
        ('multiarray._reconstruct', _StoredArray), ('multiarray.scalar', _StoredScalar),
        ('numeric._frombuffer', _BufferArray))}}
"""Full name -> what is called in its place."""
