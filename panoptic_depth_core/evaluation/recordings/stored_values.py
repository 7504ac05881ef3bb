# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Values and accumulators as JSON and bytes, and back, by the types that their classes declare.

What is stored names no class and no function: reading it can make nothing but values of the types
that the reader asks for. An accumulator, which is a metric or a part of one, stores the attributes
that its class annotates, and is read into a new one; all else of it follows from its rules.
"""

from __future__ import annotations

import copy
import json
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import numpy as np

_SCALARS = (bool, int, float, str)
_ROWS = (list, tuple, set, frozenset)
_MAPS = (dict, Counter)


def to_bytes(value: object, kind: Any, like: object = None) -> bytes:
    """
    Store a value.

    :param kind: its type, as a class would annotate it.
    :param like: see from_bytes; it is left alone.
    :raises TypeError: it is not of this type, or something was counted in an attribute that its
        class does not annotate, and would be lost.
    """
    blobs: list[bytes] = []
    tree = json.dumps(_store(value, kind, like, blobs)).encode()
    return b''.join([tree, b'\n', *blobs])


def from_bytes(data: bytes, kind: Any, like: object = None) -> Any:
    """
    Read what to_bytes made; a bound on the data is one on the memory that this takes.

    :param like: the same before anything was counted; the accumulators in it are filled, and
        arrays and mappings in them keep their shapes and keys.
    :raises Exception: nearly any, where data are of another type.
    """
    tree, _, blobs = data.partition(b'\n')
    return _restore(json.loads(tree), kind, like, _Blobs(blobs))


class _Blobs:
    """Bytes, of which each piece is taken once."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        end = self._at + count
        _require(self._at <= end <= len(self._data), 'holds less than it says')
        piece, self._at = self._data[self._at:end], end
        return piece


def _store(value: Any, kind: Any, like: Any, blobs: list[bytes]) -> Any:
    """Return values for JSON; bytes go to blobs."""
    base, inside = _split(kind)
    if base is Any:
        return value
    if base is Union:
        return None if value is None else _store(value, inside, like, blobs)
    if base in _SCALARS:
        return _scalar(value, base)
    if base is Literal:
        return _one_of(value, inside)
    if base in (bytes, bytearray):
        blobs.append(bytes(value))
        return len(value)
    if base is array:
        _require(value.typecode == inside, f'{value.typecode} is not {inside}')
        blobs.append(value.tobytes())
        return len(blobs[-1])
    if base is np.ndarray:
        if value.dtype != inside:
            raise TypeError(f'{value.dtype} is not {inside}')
        blobs.append(value.tobytes())
        return list(value.shape)
    if base in _MAPS:
        key, item = inside
        return [[_store(k, key, None, blobs), _store(v, item, (like or {}).get(k), blobs)]
                for k, v in value.items()]
    if base in _ROWS:
        value = sorted(value) if base in (set, frozenset) else value
        return [_store(v, item, None, blobs)
                for v, item in zip(value, _items(inside, len(value)), strict=True)]
    get = dict.__getitem__ if is_typeddict(base) else getattr
    if not _is_record(base):
        # A copy has what a pickle has: not the last frames, which nothing follows.
        value, base = copy.copy(value), type(value)
        _require_declared(value, like)
    return {name: _store(get(value, name), hint, getattr(like, name, None), blobs)
            for name, hint in _hints(base, like).items()
            if not is_typeddict(base) or name in value}


def _restore(tree: Any, kind: Any, like: Any, blobs: _Blobs) -> Any:
    """Invert _store."""
    base, inside = _split(kind)
    if base is Any:
        return tree
    if base is Union:
        return None if tree is None else _restore(tree, inside, like, blobs)
    if base in _SCALARS:
        return _scalar(tree, base)
    if base is Literal:
        return _one_of(tree, inside)
    if base in (bytes, bytearray):
        return base(blobs.take(tree))
    if base is array:
        return array(inside, blobs.take(tree))
    if base is np.ndarray:
        _require(like is None or list(like.shape) == tree, f'an array has the shape {tree}')
        count = int(np.prod([_scalar(side, int) for side in tree], dtype=object))
        return np.frombuffer(blobs.take(inside.itemsize * count), inside).reshape(tree).copy()
    if base in _MAPS:
        key, item = inside
        found = {}
        for k, v in tree:
            name = _restore(k, key, None, blobs)
            found[name] = _restore(v, item, (like or {}).get(name), blobs)
        _require(not like or found.keys() == like.keys(), f'a mapping has the keys {list(found)}')
        return base(found)
    if base in _ROWS:
        return base([_restore(v, item, None, blobs)
                     for v, item in zip(tree, _items(inside, len(tree)), strict=True)])
    if not _is_record(base):
        base = type(like)
    hints = _hints(base, like)
    _require(tree.keys() == hints.keys() or is_typeddict(base) and tree.keys() <= hints.keys()
             and tree.keys() >= base.__required_keys__, f'{base.__name__} has {list(tree)}')
    values = {name: _restore(tree[name], hint, getattr(like, name, None), blobs)
              for name, hint in hints.items() if name in tree}
    if _is_record(base):
        return base(**values)
    vars(like).update(values)
    return like


@cache
def _split(kind: Any) -> tuple[Any, Any]:
    """Return what kind of type it is, and the types or values in it."""
    base, inside = get_origin(kind) or kind, get_args(kind)
    if base is UnionType or base is Union:
        found = [arg for arg in inside if arg is not NoneType]
        _require(len(found) == 1, f'{kind} is not stored')
        return Union, found[0]
    if base is Annotated:
        return array, inside[1]
    if base is np.ndarray:
        return base, np.dtype(get_args(inside[1])[0])
    return base, (*inside, int) if base is Counter else inside


@cache
def _declared(kind: type) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(kind, include_extras=True).items()
            if get_origin(hint) is not ClassVar}


def _hints(kind: type, like: Any) -> dict[str, Any]:
    """Return the types of what is stored of a class, by name."""
    return {name: hint for name, hint in _declared(kind).items()
            if _is_record(kind) or hasattr(like, name)}


@cache
def _is_record(kind: type) -> bool:
    return is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, '_fields')


def _items(inside: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """Return the type of each item."""
    return inside if len(inside) > 1 and inside[1] is not ... else inside[:1] * count


def _require_declared(value: Any, like: Any) -> None:
    hints = _hints(type(value), like)
    _require(type(value) is type(like), f'{value} is to be stored as {like}')
    for name, mine in vars(value).items():
        empty = vars(like).get(name)
        if not (name in hints or mine is empty or np.array_equal(mine, empty)):
            raise TypeError(f'{type(value).__name__}.{name} counts, but its class does not say of '
                            'what type it is; annotate it there, and give it a value at the start')


def _scalar(value: Any, kind: Any) -> Any:
    if (isinstance(value, (int, float) if kind is float else kind)
            and (kind is bool or not isinstance(value, bool))):
        return value
    raise TypeError(f'{value!r} is no {kind.__name__}')


def _one_of(value: Any, values: Sequence[Any]) -> Any:
    if value in values:
        return value
    raise TypeError(f'{value!r} is none of {values}')


def _require(fits: bool, otherwise: str) -> None:
    if not fits:
        raise TypeError(otherwise)
