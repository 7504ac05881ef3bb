# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Class tables as settings: a name in labels.CLASS_TABLES, or the rows themselves.

A file is a YAML list of ``{name: cow, color: [200, 120, 40], is_thing: true}``; the row number is
the class id. A row without ``color`` gets distinct_color.
"""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from .config import Settings, parse_settings, read_yaml
from .errors import ConfigError
from .labels import CLASS_TABLES, LABEL_DIVISOR, VOID_ID, ClassInfo, table_name

MOST_CLASSES = VOID_ID // LABEL_DIVISOR
"""How many fit the 16 bits of a panoptic id."""

Byte = Annotated[int, Field(ge=0, le=255)]


class ModelClass(Settings):
    """One class of a table; its id is its row."""

    name: str = Field(min_length=1)
    color: tuple[Byte, Byte, Byte]
    is_thing: bool


def _sound(rows: tuple[ModelClass, ...]) -> tuple[ModelClass, ...]:
    if not 0 < len(rows) <= MOST_CLASSES:
        raise ValueError(f'{len(rows)} classes; give 1 to {MOST_CLASSES}, which is what 16-bit '
                         'panoptic ids have room for')
    name, count = Counter(row.name for row in rows).most_common(1)[0]
    if count > 1:
        raise ValueError(f'{name!r} is there {count} times; give every class a name of its own')
    return rows


ClassRows = Annotated[tuple[ModelClass, ...], AfterValidator(_sound)]

ClassTable = Annotated[
    Annotated[str, Tag('name')] | Annotated[ClassRows, Tag('rows')],
    Discriminator(lambda value: 'name' if isinstance(value, str) else 'rows')]


class _File(Settings):
    classes: ClassRows


def parse_class_rows(rows: Any, source: str) -> ClassRows:
    """
    Check the rows of a class table, a list of mappings as in a file.

    :raises ConfigError: for the first wrong row, naming the source.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f'{source}: no list of classes; give rows such as '
                          '{name: cow, color: [200, 120, 40], is_thing: true}')
    return parse_settings(_File, {'classes': [
        {'color': distinct_color(i), **row} for i, row in enumerate(rows)]}, source).classes


def read_class_rows(path: Path | str) -> ClassRows:
    """Read a YAML file of classes; a ConfigError says what is wrong with it."""
    return parse_class_rows(read_yaml(path), str(path))


def distinct_color(row: int) -> tuple[int, int, int]:
    """RGB for a row that names none: hues a golden section apart, starting with red."""
    red, green, blue = colorsys.hsv_to_rgb(row * 0.618034 % 1.0, 0.75, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def class_infos(rows: Sequence[ModelClass]) -> tuple[ClassInfo, ...]:
    """Rows in the form that labels.py uses."""
    return tuple(ClassInfo(i, row.name, row.color, row.is_thing) for i, row in enumerate(rows))


def class_rows(classes: Sequence[ClassInfo]) -> tuple[ModelClass, ...]:
    """Rows of a table, as settings."""
    return tuple(ModelClass(name=c.name, color=c.color, is_thing=c.is_thing) for c in classes)


def table_classes(table: ClassTable) -> tuple[ClassInfo, ...]:
    """Classes of a table that is a setting; a ConfigError for an unknown name."""
    if not isinstance(table, str):
        return class_infos(table)
    if table not in CLASS_TABLES:
        raise ConfigError(f'unknown table {table!r}; known: {", ".join(CLASS_TABLES)}')
    return CLASS_TABLES[table]


def table_of(classes: tuple[ClassInfo, ...]) -> ClassTable:
    """Setting for these classes: the name of their table, if it has one, or its rows."""
    return table_name(classes) or class_rows(classes)


def same_classes(one: Sequence[ClassInfo], other: Sequence[ClassInfo]) -> bool:
    """Whether class ids mean the same in both: names, order, and which are things."""
    return [(c.name, c.is_thing) for c in one] == [(c.name, c.is_thing) for c in other]


def classes_differ(one: Sequence[ClassInfo], other: Sequence[ClassInfo]) -> bool:
    """Whether both have classes (models and data of depth alone have none) that differ."""
    return bool(one and other) and not same_classes(one, other)


def class_names(classes: Sequence[ClassInfo]) -> str:
    """Name what same_classes compares."""
    return ', '.join(f'{c.name} (thing)' if c.is_thing else c.name for c in classes)
