# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Packs of a few samples, without a recipe that could be trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from panoptic_depth_core.datasets.storage import (
    PACKED,
    PackedSet,
    PackIndex,
    PackWriter,
    encode,
    to_record,
)
from panoptic_depth_core.structures import Sample


def write_pack_file(path: Path, data: dict[str, Sequence[Sample]], **changes: object) -> None:
    """:param changes: of the index."""
    with PackWriter(path) as writer:
        sets = {label: PackedSet(class_table='cityscapes', samples=tuple(
            writer.add(to_record(encode(sample, PACKED))) for sample in samples))
            for label, samples in data.items()}
        index = PackIndex(recipe={}, datasets=sets, records=tuple(writer.records))
        writer.finish(index.model_copy(update=changes))
