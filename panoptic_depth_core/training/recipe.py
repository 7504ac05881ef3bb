# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a recipe comes from: a YAML file or a pack, with changes from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from ..class_tables import ClassTable, read_class_rows
from ..config import load_settings, parse_settings
from ..datasets.storage import NAME, is_pack, read_index
from ..errors import ConfigError
from ..labels import CLASS_TABLES
from .samples import expand
from .settings import TrainSettings


class RecipeFile(TrainSettings):
    """A recipe as it is written: its classes may be in a file of their own."""

    classes: ClassTable | None = Field(None, description='that are learned: a YAML file of them, '
                                       'relative to the recipe; a name in labels.CLASS_TABLES; or '
                                       'their rows. Becomes network_settings.class_table')


def load_recipe(path: Path, changes: Sequence[str] = ()) -> TrainSettings:
    """
    Read the recipe in a YAML file or in a pack; a file of classes is read, and becomes part of it.

    :param changes: KEY=VALUE, as in 'batch_size=32', 'validation.every=200', 'data.0.weight=2';
        values are YAML.
    :raises ConfigError: when it cannot be read, or a key or a value is wrong.
    """
    settings = packed_recipe(path) if is_pack(path) else load_settings(RecipeFile, path)
    source = ' --set '.join([f'{path} with', *changes]) if changes else str(path)
    values = settings.model_dump(mode='json', exclude_unset=True)
    for change in changes:
        _change(values, change)
    written = parse_settings(RecipeFile, values, source)
    values = written.model_dump(mode='json', exclude_unset=True, exclude={'classes'})
    if written.classes is not None:
        if 'class_table' in written.network_settings:
            raise ConfigError(f'{source}: classes and network_settings.class_table both say which '
                              'classes are learned; leave one of them out')
        values.setdefault('network_settings', {})['class_table'] = _class_table(
            written.classes, path.parent)
    return parse_settings(TrainSettings, values, source)


def packed_recipe(path: Path) -> TrainSettings:
    """
    Read the recipe of a pack; its data and weights are those of the file.

    :raises ConfigError: when it is no sound pack, or its recipe reads other files.
    """
    index = read_index(path)
    values = dict(index.recipe)
    data = [*values.get('data', ()), *(values.get('validation') or {}).get('data', ())]
    # A pack comes from elsewhere: it has no say in what is read or written on this machine.
    if {'initial_weights', 'backbone_weights'} & set(values) or any(
            row.get('name') != NAME or row.get('cache') for row in data):
        raise ConfigError(f'{path}: its recipe names files that are not in it; make a pack with '
                          'panoptic-depth pack')
    for row in data:
        row['root'] = str(path)
    if index.weights is not None:
        values['initial_weights'] = str(path)
    return parse_settings(TrainSettings, values, f'{path}: recipe')


def _class_table(classes: ClassTable, folder: Path) -> Any:
    """:param folder: that a file of them is relative to."""
    if isinstance(classes, str):
        if classes in CLASS_TABLES:
            return classes
        classes = read_class_rows(folder / expand(classes))
    return [row.model_dump(mode='json') for row in classes]


def _change(values: dict[str, Any], change: str) -> None:
    """Set one value, in place."""
    key, has_value, text = change.partition('=')
    parts = key.strip().split('.')
    if not has_value or not all(parts):
        raise ConfigError(f'--set {change!r}: give KEY=VALUE, as in batch_size=32 or '
                          'validation.every=200')
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f'--set {change!r}: {text!r} is not valid YAML') from None
    _put(values, parts, value, change)


def _put(place: Any, parts: Sequence[str], value: Any, change: str) -> None:
    key: str | int = parts[0]
    if isinstance(place, list):
        if not parts[0].isdecimal() or int(parts[0]) >= len(place):
            raise ConfigError(f'--set {change!r}: {parts[0]!r} is none of the rows 0 to '
                              f'{len(place) - 1}')
        key = int(parts[0])
    elif not isinstance(place, dict):
        raise ConfigError(f'--set {change!r}: there is no {parts[0]!r} below {place!r}')
    if len(parts) == 1:
        place[key] = value
        return
    if isinstance(place, dict) and place.get(key) is None:
        place[key] = {}
    _put(place[key], parts[1:], value, change)
