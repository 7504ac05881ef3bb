# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Stored samples: named parts of bytes, in caches (one file per sample) and packs (one file of all).

Labels, cameras, mountings, extra inputs, instance depths and where a depth is known, or infinite,
come back exactly. The image may lose quality, and depth is rounded to steps of its logarithm, so
that the relative error is the same near and far. Parts:

- ``image``, ``ignore``: a file of OpenCV's; lossless ones are PNG, lossy ones WebP
- ``panoptic``: rows of ``meta.ids``, low and high byte as channels of a lossless WebP
- ``depth``: LZMA of: bits of where it is known; bits of where it is infinite; low and high bytes
  of the differences of its steps from pixel to pixel, signs interleaved
- ``input.NAME``: numpy's file of an extra input
- ``meta``: JSON with the rest

A pack is one file with a recipe, all of its samples and the weights that it starts from: a ZIP
archive without compression, so that any tool lists its members:

- ``samples/NNNNNN``: records (a line of JSON with the lengths of the parts, then their bytes); a
  sample that two data sets have is there once
- ``weights.pt``: a checkpoint
- ``index.json``: PackIndex, with place, length and SHA-256 of all other members

The comment of the archive names the format, its version and the SHA-256 of the index. Members are
read at the place that the index names, from any number of processes; nothing is unpacked, so no
name inside of it ever becomes a path. A file that is missing, no pack, cut short, changed or of a
later version raises ConfigError.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..class_tables import ClassTable, table_classes
from ..config import Settings, parse_settings
from ..errors import ConfigError
from ..files import write_atomic
from ..labels import CLASS_TABLES, ClassInfo
from ..structures import Frame, GroundTruth, Intrinsics, Mounting, Sample
from ..untrusted import array_of, arrays_of, parse_json, reading, require_members
from . import Dataset, Wrapped

Parts = dict[str, bytes]

_FILTERS = [{'id': lzma.FILTER_LZMA2, 'preset': 9, 'pb': 0}]
_INPUT = 'input.'
_WEBP_LOSSLESS = 101
_BYTE = 256
_STEPS = 1 << 15
_MOST_STEPS = 1 << 20  # From the least to the greatest depth: e^524 at the finest of steps.
_LEAST_INDEX = 1 << 20


@dataclass(frozen=True)
class Fidelity:
    """How exactly a sample is stored."""

    quality: int | None = None  # Of the image, 1..100 as in WebP; None keeps it exactly.
    depth_step: float = 0.0005  # Of log depth; the relative error is at most half of it.


CACHED = Fidelity()
PACKED = Fidelity(quality=88, depth_step=0.005)

PACKED_NAME = 'packed'
"""Of the data set in the table, and in the recipe of a pack."""

_FORMAT = 'panoptic-depth pack'
_VERSION = 1
_INDEX = 'index.json'
_TIME = (1980, 1, 1, 0, 0, 0)
_BYTES_PER_MEMBER = 250
"""Enough for two headers in the archive and a row of the index."""


def encode(sample: Sample, fidelity: Fidelity) -> Parts:
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
        'instance_depth_m': truth.instance_depth_m,
        **({} if frame.mounting is None else {'mounting': asdict(frame.mounting)})}
    bgr = np.ascontiguousarray(frame.image[..., ::-1])
    parts = {'image': _file('.png', bgr, cv2.IMWRITE_PNG_COMPRESSION, 1)
             if fidelity.quality is None else
             _file('.webp', bgr, cv2.IMWRITE_WEBP_QUALITY, fidelity.quality)}
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
        parts['depth'], first = _encode_depth(truth.depth, fidelity.depth_step, frame.name)
        meta['depth'] = {'step': fidelity.depth_step, 'first': first}
    return {'meta': json.dumps(meta, separators=(',', ':')).encode(), **parts}


def decode(parts: Mapping[str, bytes]) -> Sample:
    """Put a sample together again; arrays are its own."""
    meta = json.loads(parts['meta'])
    image = cv2.cvtColor(_read(parts['image']), cv2.COLOR_BGR2RGB)
    frame = Frame(
        image.astype(np.uint8, copy=False), Intrinsics(**meta['intrinsics']),
        meta.get('stamp_ns', 0), meta.get('frame_id', 'camera'), meta['name'],
        meta.get('intrinsics_source', 'data set'),
        {name.removeprefix(_INPUT): array_of(data)
         for name, data in parts.items() if name.startswith(_INPUT)},
        # Caches of earlier versions have none.
        Mounting(**meta['mounting']) if 'mounting' in meta else None)
    return Sample(frame, GroundTruth(
        panoptic=_decode_ids(parts['panoptic'], meta.get('ids')) if 'panoptic' in parts else None,
        has_semantics=meta['has_semantics'], instance_classes=tuple(meta['instance_classes']),
        ignore=_read(parts['ignore']) > 0 if 'ignore' in parts else None,
        depth=_decode_depth(parts['depth'], meta.get('depth'), image.shape[:2])
        if 'depth' in parts else None,
        instance_depth_m={int(k): v for k, v in meta['instance_depth_m'].items()}),
        meta.get('sequence', ''))


def to_record(parts: Parts) -> bytes:
    lengths = json.dumps({name: len(data) for name, data in parts.items()})
    return b''.join([lengths.encode(), b'\n', *parts.values()])


def from_record(record: bytes) -> Parts:
    head, _, body = record.partition(b'\n')
    parts, start = {}, 0
    for name, length in json.loads(head).items():
        parts[name] = body[start:start + length]
        start += length
    return parts


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
        raise ConfigError(f'sample {name!r}: a depth is {wrong[0]} m; give meters > 0, NaN where '
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
        meters = _read(data).astype(np.float32) * np.float32(1 / 256)
        return np.where(meters > 0, meters, np.float32(np.nan))
    pixels = math.prod(shape)
    number = -(-pixels // 8)
    raw = np.frombuffer(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS).decompress(
        data, 2 * (number + pixels)), np.uint8)
    known, far = (np.unpackbits(bits, count=pixels).astype(np.bool_).reshape(shape)
                  for bits in (raw[:number], raw[number:2 * number]))
    low, high = raw[2 * number:].reshape(2, -1)
    signless = np.stack([low, high], -1).view('<u2')[:, 0]
    changes = (signless >> 1).astype(np.int16) ^ -(signless & 1).astype(np.int16)
    steps = how['first'] + np.cumsum(changes, dtype=np.int32)
    depth = np.full(shape, np.nan, np.float32)
    depth[far] = np.inf
    if len(steps):
        least, most = int(steps.min()), int(steps.max())
        if most - least > _MOST_STEPS:
            raise ValueError(f'depths of {most - least} steps')
        table = np.exp(np.arange(least, most + 1) * how['step']).astype(np.float32)
        depth[known] = table[steps - least]
    return depth


class CachedDataset(Wrapped):
    """
    A data set that stores each sample when it is first asked for.

    Depth is kept to 0.025 %, all else exactly (CACHED).

    :param folder: one folder per data set and seed; reused by later runs.
    """

    def __init__(self, dataset: Dataset, folder: Path | str) -> None:
        super().__init__(dataset)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __getitem__(self, index: int) -> Sample:
        if not self.is_stored(index):
            arrays: dict[str, Any] = {
                name: np.frombuffer(data, np.uint8)
                for name, data in encode(self.dataset[index], CACHED).items()}
            # Other processes may store the same sample: each has its own file, the last one stays.
            write_atomic(self._path(index), lambda part: np.savez(part, **arrays))
        path = self._path(index)
        with reading(path, 'a stored sample', 'remove it, and it is made again'):
            return decode({name: data.tobytes() for name, data in arrays_of(path).items()})

    def is_stored(self, index: int) -> bool:
        """Whether a sample is there already, and need not be made."""
        return self._path(index).exists()

    def _path(self, index: int) -> Path:
        return self.folder / f'{index:06d}.npz'


class Record(Settings):
    """Where the bytes of a member are."""

    start: int = Field(ge=0)
    length: int = Field(ge=0)
    sha256: str


class PackedSet(Settings):
    """One data set of a pack."""

    class_table: ClassTable | None = None  # None: depth alone.
    samples: tuple[int, ...] = Field(min_length=1)  # Numbers of records.


class PackIndex(Settings):
    """What is in a pack."""

    recipe: dict[str, Any]  # Its data sets are called 'packed', their splits are keys of datasets.
    datasets: dict[str, PackedSet]
    records: tuple[Record, ...]
    weights: Record | None = None


class PackWriter:
    """Writes a pack over a file; call finish() at the end."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED)
        self._numbers: dict[str, int] = {}
        self.records: list[Record] = []
        self.size = 0
        """Bytes so far, with a little too much for what finish() adds."""

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def add(self, data: bytes, limit: float = math.inf) -> int | None:
        """Add a record and return its number; None when the file would have more bytes."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._numbers:
            if self.size + len(data) + _BYTES_PER_MEMBER > limit:
                return None
            self._numbers[digest] = len(self.records)
            self.records.append(self.store(f'samples/{len(self.records):06d}', data))
        return self._numbers[digest]

    def store(self, name: str, data: bytes) -> Record:
        """Add a member."""
        info = zipfile.ZipInfo(name, _TIME)
        self._archive.writestr(info, data)
        self.size += len(data) + _BYTES_PER_MEMBER
        return Record(start=info.header_offset + len(info.FileHeader()), length=len(data),
                      sha256=hashlib.sha256(data).hexdigest())

    def finish(self, index: PackIndex) -> None:
        """Add the index and the comment."""
        data = index.model_dump_json().encode()
        self._archive.writestr(zipfile.ZipInfo(_INDEX, _TIME), data, zipfile.ZIP_DEFLATED)
        digest = hashlib.sha256(data).hexdigest()
        self._archive.comment = f'{_FORMAT} {_VERSION} {digest}'.encode()


def is_pack(path: Path | str) -> bool:
    """Whether a file says that it is a pack; of any version, and in whatever state."""
    with suppress(Exception), zipfile.ZipFile(path) as archive:
        return archive.comment.startswith(_FORMAT.encode())
    return False


def read_index(path: Path | str) -> PackIndex:
    """Read and check the index of a pack."""
    with reading(path, 'a pack', 'copy it again, or make one with panoptic-depth pack'), \
            zipfile.ZipFile(path) as archive:
        name, version, digest = [
            *archive.comment.decode(errors='replace').rsplit(' ', 2), '', ''][:3]
        if name != _FORMAT:
            raise ConfigError(f'{path}: a ZIP file, but no pack; make one with '
                              'panoptic-depth pack')
        if version != str(_VERSION):
            raise ConfigError(f'{path}: a pack of version {version}, but this program reads '
                              f'version {_VERSION}; update it, or pack again')
        member = archive.getinfo(_INDEX)
        require_members([member], f'{path}: its index has')
        # Each record in it stands for a member, which is larger.
        if member.file_size > _LEAST_INDEX + archive.start_dir:
            raise ValueError('its index is larger than what it holds')
        data = archive.read(_INDEX)
        end = archive.start_dir
    if hashlib.sha256(data).hexdigest() != digest:
        raise _damaged(path, 'its index')
    index = parse_settings(PackIndex, parse_json(data, path), f'{path}: {_INDEX}')
    for label, packed in index.datasets.items():
        wrong = [n for n in packed.samples if not 0 <= n < len(index.records)]
        unknown = isinstance(packed.class_table, str) and packed.class_table not in CLASS_TABLES
        if wrong or unknown:
            raise ConfigError(f'{path}: data set {label} names sample {wrong[:1]} or class table '
                              f'{packed.class_table!r}, which is not there; pack again')
    for what, records in (('a sample', index.records), ('its weights', (index.weights,))):
        if any(r.start + r.length > end for r in records if r is not None):
            raise _damaged(path, what)
    return index


def read_record(path: Path | str, record: Record) -> bytes:
    """Read the bytes of a member."""
    with reading(path, 'a pack', 'copy it again'), open(path, 'rb') as file:
        file.seek(record.start)
        data = file.read(record.length)
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise _damaged(path, f'what begins at byte {record.start}')
    return data


def read_weights(path: Path | str) -> bytes:
    """Read the bytes of the checkpoint of a pack."""
    record = read_index(path).weights
    if record is None:
        raise ConfigError(f'{path}: a pack without weights; pack a recipe that names '
                          'initial_weights or backbone_weights')
    return read_record(path, record)


def _damaged(path: Path | str, what: str) -> ConfigError:
    return ConfigError(f'{path}: {what} is not what was packed: the file was changed or damaged; '
                       'copy it again')


class Packed:
    """
    One data set of a pack.

    :param root: the file. :param split: name of the data set in it, such as 'kitti_half:train'.
    """

    def __init__(self, root: Path | str, split: str) -> None:
        self._path = Path(root)
        index = read_index(self._path)
        if split not in index.datasets:
            raise ConfigError(f'{root}: no data set {split!r} in this pack; there are: '
                              f'{", ".join(index.datasets)}')
        packed = index.datasets[split]
        self.classes: tuple[ClassInfo, ...] = (
            () if packed.class_table is None else table_classes(packed.class_table))
        self._records = [index.records[number] for number in packed.samples]

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Sample:
        data = read_record(self._path, self._records[index])
        with reading(self._path, 'a sound pack', 'pack again'):
            return decode(from_record(data))
