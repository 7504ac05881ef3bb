# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A folder of results remembers what made them, so that only the same run goes on in it.

Results of two models or two cameras in one folder would look like those of one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...files import disk_errors, make_folder, write_atomic

FILE_NAME = 'run.json'
RESULTS = ('panoptic', 'panoptic.json', 'panoptic_segments.jsonl', 'depth', 'depth_npy',
           'instances.jsonl', 'overlay', 'overlay.mp4', 'bag', '.bag.tmp',
           'foxglove', '.foxglove.tmp', 'rerun')
"""Everything that io.results writes into a folder: what starting again removes."""


def prepare_run_folder(folder: Path, run: dict[str, Any], *, overwrite: bool = False,
                       remedy: str = 'give --overwrite') -> None:
    """
    Start or go on with a run.

    :param run: what the results depend on, plain data.
    :param overwrite: remove the results of an earlier run first.
    :param remedy: what gets rid of them, for the message.
    :raises ConfigError: the folder has results of another run, or of something else.
    """
    make_folder(folder)
    path = folder / FILE_NAME
    before = _read(path)
    found = [name for name in RESULTS if (folder / name).exists()]
    if before is None and found:
        raise ConfigError(f'{folder}: has {found[0]}, but no {FILE_NAME} that says where it is '
                          'from; remove it or choose another folder')
    if overwrite:
        _remove_results(folder)
    elif before is not None:
        old, new = _flat(before), _flat(run)
        changed = [key for key in {**new, **old} if new.get(key) != old.get(key)]
        if changed:
            key = changed[0]
            raise ConfigError(
                f'{folder}: has results with {key} = {json.dumps(old.get(key))}, this run has '
                f'{json.dumps(new.get(key))}; {remedy} or choose another folder')
        return
    write_atomic(path, json.dumps(run, indent=1).encode() + b'\n', sync=True)


def _read(path: Path) -> dict[str, Any] | None:
    """What an earlier run noted, None where there was none."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise ConfigError(f'{path}: is not what this program writes; remove it or choose '
                          'another folder')
    return content


def _flat(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested settings as one level: {'depth.max_m': 120.0}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {
            f'{prefix}{key}': value}
    return flat


def _remove_results(folder: Path) -> None:
    for name in RESULTS:
        path = folder / name
        with disk_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
