# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Packs of a few samples, without a recipe that could be trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from panoptic_depth_core.datasets.codec import PACKED, encode, join
from panoptic_depth_core.datasets.packed import PackedSet, PackIndex, PackWriter
from panoptic_depth_core.structures import Sample


def write_pack_file(path: Path, data: dict[str, Sequence[Sample]], **changes: object) -> None:
    """:param changes: of the index."""
    with PackWriter(path) as writer:
        sets = {label: PackedSet(class_table='cityscapes', samples=tuple(
            writer.add(join(encode(sample, PACKED))) for sample in samples))
            for label, samples in data.items()}
        index = PackIndex(recipe={}, datasets=sets, records=tuple(writer.records))
        writer.close(index.model_copy(update=changes))
