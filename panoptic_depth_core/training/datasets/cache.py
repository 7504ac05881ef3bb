# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples on disk, so that each is rendered or decoded once and read many times."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...io.atomic import write_atomic
from ...labels import ClassInfo
from ...structures import Frame, GroundTruth, Intrinsics, Sample
from . import Dataset

_DEPTH_UNIT_M = 1.0 / 256.0


class CachedDataset:
    """
    A data set of which each sample is stored when it is first asked for.

    Depth is kept to 1/256 m, up to 255 m; the image and the labels are kept exactly.

    :param folder: one folder per data set and seed; reused by later runs.
    """

    def __init__(self, dataset: Dataset, folder: Path | str) -> None:
        self.dataset = dataset
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Those of the data set that is stored."""
        return self.dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        path = self.folder / f'{index:06d}.npz'
        if not path.exists():
            sample = self.dataset[index]
            self._store(sample, path)
        return _load(path)

    def _store(self, sample: Sample, path: Path) -> None:
        truth = sample.truth
        meta = {'intrinsics': asdict(sample.frame.intrinsics), 'name': sample.frame.name,
                'sequence': sample.sequence, 'has_semantics': truth.has_semantics,
                'instance_classes': list(truth.instance_classes),
                'instance_depth_m': truth.instance_depth_m}
        arrays = {'meta': np.frombuffer(json.dumps(meta).encode(), np.uint8),
                  'image': _png(sample.frame.image[..., ::-1])}
        if truth.panoptic is not None:
            arrays['panoptic'] = _png(truth.panoptic.astype(np.uint16))
        if truth.ignore is not None:
            arrays['ignore'] = _png(truth.ignore.astype(np.uint8))
        if truth.depth is not None:
            depth = np.where(np.isfinite(truth.depth), truth.depth / _DEPTH_UNIT_M, 0)
            arrays['depth'] = _png(np.clip(depth, 0, 65535).astype(np.uint16))
        # Another process may store the same sample: each writes its own file, the last one stays.
        write_atomic(path, lambda part: np.savez(part, allow_pickle=False, **arrays))


def _png(image: NDArray[Any]) -> NDArray[Any]:
    return cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]


def _load(path: Path) -> Sample:
    with np.load(path) as stored:
        meta = json.loads(stored['meta'].tobytes())
        images: dict[str, NDArray[Any]] = {
            name: np.asarray(cv2.imdecode(stored[name], cv2.IMREAD_UNCHANGED))
            for name in stored.files if name != 'meta'}
    frame = Frame(np.ascontiguousarray(images['image'][..., ::-1]),
                  Intrinsics(**meta['intrinsics']), name=meta['name'],
                  intrinsics_source='data set')
    depth = None
    if 'depth' in images:
        depth = images['depth'].astype(np.float32) * np.float32(_DEPTH_UNIT_M)
        depth = np.where(depth > 0, depth, np.nan)
    return Sample(frame, GroundTruth(
        panoptic=images['panoptic'].astype(np.int32) if 'panoptic' in images else None,
        has_semantics=meta['has_semantics'], instance_classes=tuple(meta['instance_classes']),
        ignore=images['ignore'] > 0 if 'ignore' in images else None, depth=depth,
        instance_depth_m={int(k): v for k, v in meta['instance_depth_m'].items()}),
        meta.get('sequence', ''))
