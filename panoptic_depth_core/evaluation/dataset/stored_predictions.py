# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results in a folder, of ``panoptic-depth predict`` or of any other program, in place of a pipeline.

For the frame NAME of the data set, at the size of its picture:

- ``panoptic/NAME.png``: uint16 class id * 1000 + instance id (0 for stuff), 65535 void; or COCO's
  colors with that number + 1, as predict writes.
- ``depth_npy/NAME.npy``: float32 meters, NaN where not known; or ``depth/NAME.png``: uint16
  meters * 256, 0 where not known. The former is taken where there is such a folder.

With a depth protocol, files may also be of the part of the picture that networks are given there,
such as 1216x352 px of KITTI; the rest is not known. Data sets of depth alone take depth alone.

One of the two folders is enough: results have the tasks of those that are there. A file may also
be called after the picture, NAME_leftImg8bit. Where they are there, these are used too:
``panoptic.json`` for the classes and the expected errors of depth, and ``instances.jsonl`` for the
depths of every instance, which is measured otherwise, and for another label divisor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import DistanceSettings
from ...contract import SEGMENTATION, Task
from ...errors import ConfigError
from ...inference.distances import measure_distances
from ...io.pictures import decode_stored, read_file
from ...io.results import coco_panoptic
from ...io.results.result_folder import DEPTH_PNG_SCALE, INSTANCES_FILE
from ...labels import LABEL_DIVISOR, VOID_ID, ClassInfo
from ...structures import DistanceFlag, Frame, InstanceDistance, PanopticDepth, Segment
from ...untrusted import array_of, read_bytes, reading
from ..protocols import DepthProtocol
from .evaluate import require_same_classes

_ENDINGS = ('', '_leftImg8bit')
_GREY_16 = b'\x10\x00'

_Instances = tuple[int, dict[int, tuple[float, float]]]
"""Label divisor, and panoptic id -> median and mean depth in m, NaN unknown, of one frame."""

_UNKNOWN = math.nan, math.nan


class StoredPredictions:
    """
    A folder of results, called with a frame as a pipeline is.

    :param classes: the table of the data set; empty for depth alone.
    :raises ConfigError: when the folder has no results, or results of other classes.
    """

    def __init__(self, folder: Path, classes: Sequence[ClassInfo],
                 protocol: DepthProtocol | None = None) -> None:
        self.folder = folder
        self._protocol = protocol
        self._classes = tuple(classes)
        self._names = [c.name for c in classes]
        self._depth_folder = folder / 'depth_npy'
        if not self._depth_folder.is_dir():
            self._depth_folder = folder / 'depth'
        self._scales = self._read_scales(folder / coco_panoptic.FILE_NAME)
        self._instances = _read_instances(folder / INSTANCES_FILE)
        self._tasks = self._tasks_there()
        if not self._tasks:
            raise ConfigError(f'{folder / coco_panoptic.FOLDER}: no such folder; give a folder of '
                              'results, with panoptic, depth_npy or depth in it')

    def __call__(self, frame: Frame) -> PanopticDepth:
        """
        Read the results of a frame.

        :raises ConfigError: when a file is missing, or is not what it should be.
        """
        size = frame.image.shape[:2]
        path = self._depth_folder
        panoptic, depth = np.full(size, VOID_ID, np.uint16), np.full(size, np.nan, np.float32)
        if 'depth' in self._tasks:
            path = self._path(self._depth_folder, frame.name,
                              '.npy' if self._depth_folder.name == 'depth_npy' else '.png')
            depth = self._at_size(path, _read_depth(path), frame, np.nan)
        if self._tasks & SEGMENTATION:
            path = self._path(self.folder / coco_panoptic.FOLDER, frame.name, '.png')
            panoptic = self._at_size(path, _read_ids(path), frame, VOID_ID)
        stem = path.stem
        divisor, depths_m = self._instances.get(stem, (LABEL_DIVISOR, None))
        segments = self._segments(path, panoptic, divisor, self._scales.get(stem, {}))
        distances = measure_distances(
            panoptic, depth, segments, frame.intrinsics, self._names, DistanceSettings(),
            ) if depths_m is None else tuple(
                InstanceDistance(s, self._names[s.class_id], (0, 0, 0, 0), 0, DistanceFlag(0),
                                 depth_m=depths_m.get(s.panoptic_id, _UNKNOWN)[0],
                                 depth_mean_m=depths_m.get(s.panoptic_id, _UNKNOWN)[1])
                for s in segments if s.instance_id > 0)
        return PanopticDepth(panoptic, depth, segments, distances, frame.intrinsics, divisor,
                             frame.stamp_ns, frame.frame_id, frame.name, tasks=self._tasks)

    def _tasks_there(self) -> frozenset[Task]:
        """Tasks of the model that made the results, as far as the files show."""
        tasks: set[Task] = set()
        if self._depth_folder.is_dir():
            tasks.add('depth')
        if self._classes and (self.folder / coco_panoptic.FOLDER).is_dir():
            tasks |= SEGMENTATION
            if self._scales and not self._instances and not any(
                    i % LABEL_DIVISOR for ids in self._scales.values() for i in ids):
                tasks.remove('instances')
        return frozenset(tasks)

    def _segments(self, path: Path, panoptic: NDArray[np.uint16], divisor: int,
                  scales: dict[int, float]) -> tuple[Segment, ...]:
        counts = np.bincount(panoptic.ravel(), minlength=VOID_ID + 1)
        found = np.flatnonzero(counts[:VOID_ID]).tolist()
        if found and found[-1] // divisor >= len(self._classes):
            raise ConfigError(
                f'{path}: panoptic id {found[-1]} is of class {found[-1] // divisor}, but there '
                f'are classes 0..{len(self._classes) - 1}; write class id * {divisor} + instance '
                f'id, and {VOID_ID} where there is no class')
        return tuple(Segment(
            i, i // divisor, i % divisor, self._classes[i // divisor].is_thing, 1.0,
            int(counts[i]), scales.get(i, math.nan)) for i in found)

    def _at_size(self, path: Path, array: NDArray[Any], frame: Frame, unknown: Any
                 ) -> NDArray[Any]:
        """The array at the size of the picture."""
        size = frame.image.shape[0], frame.image.shape[1]
        if self._protocol is not None:
            array = self._protocol.pasted(array, size, unknown)
        if array.shape != size:
            raise ConfigError(f'{path}: has shape {array.shape}, but the picture has {size}; '
                              'store results at the size of the picture')
        return array

    def _path(self, folder: Path, name: str, suffix: str) -> Path:
        paths = [folder / f'{name}{ending}{suffix}' for ending in _ENDINGS]
        found = next((path for path in paths if path.is_file()), None)
        if found is None:
            raise ConfigError(f'{paths[0]}: missing; predict every frame of the data set, under '
                              'its name there')
        return found

    def _read_scales(self, path: Path) -> dict[str, dict[int, float]]:
        """Check the classes; return frame -> panoptic id -> expected error of log depth or NaN."""
        if not path.is_file():
            return {}
        with reading(path, 'COCO panoptic JSON', 'mend or remove it'):
            content = json.loads(path.read_text(encoding='utf-8'))
            classes = [ClassInfo(int(c['id']), str(c['name']), (0, 0, 0), bool(c['isthing']))
                       for c in sorted(content['categories'], key=lambda c: c['id'])]
            scales = {str(Path(a['file_name']).stem): {
                int(s['id']) - 1: float(s.get('log_depth_scale', math.nan))
                for s in a['segments_info']} for a in content['annotations']}
        require_same_classes(classes, self._classes, str(path), 'the data set')
        return scales


def _read_instances(path: Path) -> dict[str, _Instances]:
    """Read instances.jsonl: frame -> its instances."""
    found: dict[str, _Instances] = {}
    if not path.is_file():
        return found
    with reading(path, 'what predict writes', 'mend or remove it'), \
            path.open(encoding='utf-8') as file:
        # A run that was cut short may have left the last line unfinished.
        for line in (whole for whole in file if whole.endswith('\n')):
            record: dict[str, Any] = json.loads(line)
            found[record['name']] = (_divisor(record['label_divisor']), {
                # Results of earlier versions have no mean.
                int(i['panoptic_id']): (_meters(i['depth']), _meters(i.get('depth_mean')))
                for i in record['instances']})
    return found


def _divisor(number: Any) -> int:
    if not isinstance(number, int) or not 0 < number <= VOID_ID:
        raise ValueError(f'label_divisor is {number!r}')
    return number


def _meters(number: float | None) -> float:
    return math.nan if number is None else float(number)


def _read_ids(path: Path) -> NDArray[np.uint16]:
    with path.open('rb') as file:
        # Bytes 24 and 25 of a PNG are the bits per channel and the kind of colors.
        is_grey_16 = file.read(26)[24:] == _GREY_16
    if not is_grey_16:
        return coco_panoptic.decode_ids(path)
    return _read_uint16(path)


def _read_depth(path: Path) -> NDArray[np.float32]:
    """(H, W) float32 meters, NaN where not known."""
    if path.suffix == '.npy':
        with reading(path, 'an array of numbers', 'predict the frame again'):
            return np.asarray(array_of(read_bytes(path)), np.float32)
    stored = _read_uint16(path)
    # Before the division: 16 bits are too few for it.
    depth = stored.astype(np.float32)
    depth /= DEPTH_PNG_SCALE
    depth[stored == 0] = np.nan
    return depth


def _read_uint16(path: Path) -> NDArray[np.uint16]:
    image = decode_stored(read_file(path), str(path))
    if image.ndim != 2 or image.dtype != np.uint16:
        raise ConfigError(f'{path}: is {image.dtype} {image.shape}; write a PNG of one channel of '
                          '16 bits')
    return np.asarray(image, np.uint16)
