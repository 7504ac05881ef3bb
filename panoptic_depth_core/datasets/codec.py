# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
One sample as named parts of bytes, for caches and packs: the same code, other settings.

Labels, cameras, extra inputs, instance depths and where a depth is known, or infinite, come back
exactly. What may lose is the image (a quality) and the depth (steps of its logarithm, so that the
relative error is the same near and far).

- ``image``, ``ignore``: a file of OpenCV's; lossless ones are PNG, lossy ones WebP
- ``panoptic``: rows of ``meta.ids``, low and high byte as channels of a lossless WebP
- ``depth``: LZMA of: bits of where it is known; bits of where it is infinite; low and high bytes
  of the differences of its steps from pixel to pixel, signs interleaved
- ``input.NAME``: numpy's file of an extra input
- ``meta``: JSON with the rest
"""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..structures import Frame, GroundTruth, Intrinsics, Sample

Parts = dict[str, bytes]

_FILTERS = [{'id': lzma.FILTER_LZMA2, 'preset': 9, 'pb': 0}]
_INPUT = 'input.'
_WEBP_LOSSLESS = 101
_BYTE = 256
_STEPS = 1 << 15
_OLD_DEPTH_UNIT_M = 1.0 / 256.0


@dataclass(frozen=True)
class Storage:
    """
    What may be lost of a sample.

    :param quality: of the image, 1..100 as in WebP; None keeps it exactly.
    :param depth_step: of the logarithm of depth; the relative error is at most half of it.
    """

    quality: int | None = None
    depth_step: float = 0.0005


CACHED = Storage()
PACKED = Storage(quality=88, depth_step=0.005)


def encode(sample: Sample, storage: Storage) -> Parts:
    """
    Take a sample apart; equal samples give equal bytes.

    :raises ConfigError: for a depth that is neither positive nor unknown.
    """
    frame, truth = sample.frame, sample.truth
    meta: dict[str, Any] = {
        'intrinsics': asdict(frame.intrinsics), 'name': frame.name, 'stamp_ns': frame.stamp_ns,
        'frame_id': frame.frame_id, 'intrinsics_source': frame.intrinsics_source,
        'sequence': sample.sequence, 'has_semantics': truth.has_semantics,
        'instance_classes': list(truth.instance_classes),
        'instance_depth_m': truth.instance_depth_m}
    parts = {'image': _encode_image(frame.image, storage.quality)}
    for name, array in frame.extra_inputs.items():
        buffer = BytesIO()
        np.save(buffer, array, allow_pickle=False)
        parts[f'{_INPUT}{name}'] = buffer.getvalue()
    if truth.panoptic is not None:
        ids, rows = np.unique(truth.panoptic, return_inverse=True)
        meta['ids'] = ids.tolist()
        rows = rows.reshape(truth.panoptic.shape)
        parts['panoptic'] = _file('.webp', np.stack([rows % _BYTE, rows // _BYTE, 0 * rows], -1),
                                  cv2.IMWRITE_WEBP_QUALITY, _WEBP_LOSSLESS)
    if truth.ignore is not None:
        parts['ignore'] = _file('.png', truth.ignore, cv2.IMWRITE_PNG_COMPRESSION, 9)
    if truth.depth is not None:
        parts['depth'], first = _encode_depth(truth.depth, storage.depth_step, frame.name)
        meta['depth'] = {'step': storage.depth_step, 'first': first}
    return {'meta': json.dumps(meta, separators=(',', ':')).encode(), **parts}


def decode(parts: Mapping[str, bytes]) -> Sample:
    """Put a sample together again; arrays are its own."""
    meta = json.loads(parts['meta'])
    image = cv2.cvtColor(_read(parts['image']), cv2.COLOR_BGR2RGB)
    shape = image.shape[:2]
    frame = Frame(
        image.astype(np.uint8, copy=False), Intrinsics(**meta['intrinsics']),
        meta.get('stamp_ns', 0), meta.get('frame_id', 'camera'), meta['name'],
        meta.get('intrinsics_source', 'data set'),
        {name.removeprefix(_INPUT): np.load(BytesIO(data), allow_pickle=False)
         for name, data in parts.items() if name.startswith(_INPUT)})
    return Sample(frame, GroundTruth(
        panoptic=_decode_ids(parts['panoptic'], meta.get('ids')) if 'panoptic' in parts else None,
        has_semantics=meta['has_semantics'], instance_classes=tuple(meta['instance_classes']),
        ignore=_read(parts['ignore']) > 0 if 'ignore' in parts else None,
        depth=_decode_depth(parts['depth'], meta.get('depth'), shape)
        if 'depth' in parts else None,
        instance_depth_m={int(k): v for k, v in meta['instance_depth_m'].items()}),
        meta.get('sequence', ''))


def join(parts: Parts) -> bytes:
    """Parts as one record: a line of JSON with their lengths, then their bytes."""
    lengths = json.dumps({name: len(data) for name, data in parts.items()})
    return b''.join([lengths.encode(), b'\n', *parts.values()])


def split(record: bytes) -> Parts:
    """Take a record apart again."""
    head, _, body = record.partition(b'\n')
    parts, start = {}, 0
    for name, length in json.loads(head).items():
        parts[name] = body[start:start + length]
        start += length
    return parts


def _encode_image(image: NDArray[np.uint8], quality: int | None) -> bytes:
    bgr = np.ascontiguousarray(image[..., ::-1])
    if quality is None:
        return _file('.png', bgr, cv2.IMWRITE_PNG_COMPRESSION, 1)
    return _file('.webp', bgr, cv2.IMWRITE_WEBP_QUALITY, quality)


def _file(suffix: str, array: NDArray[Any], option: int, value: int) -> bytes:
    return cv2.imencode(suffix, array.astype(np.uint8), [option, value])[1].tobytes()


def _read(data: bytes) -> NDArray[Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def _decode_ids(data: bytes, ids: list[int] | None) -> NDArray[np.int32]:
    stored = _read(data)
    if ids is None:
        # Caches of earlier versions have the ids themselves.
        return stored.astype(np.int32)
    rows: NDArray[Any] = cv2.extractChannel(stored, 0)
    if len(ids) > _BYTE:
        rows = rows + _BYTE * stored[..., 1].astype(np.int32)
    return np.asarray(np.array(ids, np.int32)[rows])


def _encode_depth(depth: NDArray[np.float32], step: float, name: str) -> tuple[bytes, int]:
    """:returns: the bytes, and the step that the first difference counts from."""
    known, far = np.isfinite(depth), np.isposinf(depth)
    wrong = depth[depth <= 0]
    if len(wrong):
        raise ConfigError(f'sample {name!r}: a depth is {wrong[0]} m; give metres > 0, NaN where '
                          'it is not known, or +Inf')
    values = depth[known].astype(np.float64)
    steps = np.rint(np.log(values) / step).astype(np.int64)
    first = int(steps[0]) if len(steps) else 0
    changes = np.diff(steps, prepend=first)
    if np.abs(changes).max(initial=0) >= _STEPS:
        raise ConfigError(f'sample {name!r}: depths of {values.min()} to {values.max()} m do not '
                          f'fit in steps of {step}; take larger steps')
    signless = ((changes << 1) ^ (changes >> 63)).astype('<u2').view(np.uint8)
    data = b''.join([np.packbits(known).tobytes(), np.packbits(far).tobytes(),
                     signless[::2].tobytes(), signless[1::2].tobytes()])
    return lzma.compress(data, lzma.FORMAT_RAW, filters=_FILTERS), first


def _decode_depth(data: bytes, how: dict[str, Any] | None,
                  shape: tuple[int, ...]) -> NDArray[np.float32]:
    if how is None:
        # Caches of earlier versions have a picture of 1/256 m, 0 where not known.
        metres = _read(data).astype(np.float32) * np.float32(_OLD_DEPTH_UNIT_M)
        return np.where(metres > 0, metres, np.float32(np.nan))
    raw = np.frombuffer(lzma.decompress(data, lzma.FORMAT_RAW, filters=_FILTERS), np.uint8)
    pixels = math.prod(shape)
    number = -(-pixels // 8)
    known, far = (np.unpackbits(bits, count=pixels).astype(np.bool_).reshape(shape)
                  for bits in (raw[:number], raw[number:2 * number]))
    low, high = raw[2 * number:].reshape(2, -1)
    signless = np.stack([low, high], -1).view('<u2')[:, 0]
    changes = (signless >> 1).astype(np.int16) ^ -(signless & 1).astype(np.int16)
    steps = how['first'] + np.cumsum(changes, dtype=np.int32)
    depth = np.full(shape, np.nan, np.float32)
    depth[far] = np.inf
    if len(steps):
        least = int(steps.min())
        table = np.exp(np.arange(least, int(steps.max()) + 1) * how['step']).astype(np.float32)
        depth[known] = table[steps - least]
    return depth
