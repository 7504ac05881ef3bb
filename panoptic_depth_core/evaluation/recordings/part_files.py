# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Finished parts of a report on the disk, from which an interrupted run continues.

A file is one line of JSON, which says whose part it is, and then the pickled part. Unpickling can
run anything; here it makes only values and the accumulators of this package.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import logging
import pickle
import re
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...files import disk_errors, make_folder, write_atomic

SUFFIX = '.part'

_log = logging.getLogger(__name__)

_MOST_OF_NAME = 60
_FILES = f'*-{"[0-9a-f]" * 16}{SUFFIX}'

_PACKAGE = __name__.partition('.')[0]
# Not io or inference: merely constructing one of their objects may write a file or load a model.
_OWN = tuple(f'{_PACKAGE}.{part}' for part in (
    'config', 'evaluation', 'inference.tracking', 'labels', 'structures'))
_OTHERS = {
    'builtins': {'bytearray', 'complex', 'frozenset', 'range', 'set', 'slice'},
    'collections': {'Counter', 'OrderedDict', 'defaultdict', 'deque'},
    'array': {'array', '_array_reconstructor'},
    'numpy': {'dtype', 'ndarray'},
    # numpy 1 and numpy 2 name their own modules differently.
    **{f'numpy.{core}.{module}': names for core in ('core', '_core') for module, names in (
        ('multiarray', {'_reconstruct', 'scalar'}), ('numeric', {'_frombuffer'}))},
}


def save_part(folder: Path, name: str, part: object, key: str = '') -> Path:
    """
    Write a finished part, in full or not at all.

    :param folder: created if missing.
    :param name: of the recording; any text.
    :param key: stands for all that the part depends on.
    :raises ConfigError: disk full, no permission ...
    """
    data = pickle.dumps(part, pickle.HIGHEST_PROTOCOL)
    path = make_folder(folder) / file_name(name)
    write_atomic(path, json.dumps(_header(name, key, data)).encode() + b'\n' + data)
    return path


def load_part(folder: Path, name: str, key: str = '') -> Any:
    """
    Read the part of a recording that was written with the same key.

    :returns: the part; None if there is none, it has another key, or the file is damaged.
    :raises ConfigError: for a file that holds what this program does not write.
    """
    path = folder / file_name(name)
    try:
        line, _, data = path.read_bytes().partition(b'\n')
        wanted = _header(name, key, data)
        header = json.loads(line)
        if [header[member] for member in ('format', 'sha256')] != [
                wanted['format'], wanted['sha256']]:
            raise ValueError('damaged')
        return _Unpickler(io.BytesIO(data), path).load() if header == wanted else None
    except FileNotFoundError:
        return None
    except ConfigError:
        raise
    except Exception as error:
        _log.warning('%s: cannot be read (%s: %s); its recording is run again', path,
                     type(error).__name__, error)
        return None


def remove_parts(folder: Path) -> None:
    """
    Remove the files of parts, and the folder if it is empty then.

    :raises ConfigError: no permission ...
    """
    with disk_errors(folder):
        for path in folder.glob(_FILES):
            path.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def has_parts(folder: Path) -> bool:
    """Whether there are files of parts of any recordings."""
    return any(folder.glob(_FILES))


def file_name(name: str) -> str:
    """
    Name of the file for a recording of any name.

    Different names have different files, also on disks that ignore case.
    """
    readable = re.sub(r'[^A-Za-z0-9-]+', '_', name).strip('_')[:_MOST_OF_NAME]
    digest = hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()
    return f'{readable}-{digest[:16]}{SUFFIX}'


def _header(name: str, key: str, data: bytes) -> dict[str, Any]:
    return {'format': f'{_PACKAGE} part', 'name': name, 'key': key,
            'sha256': hashlib.sha256(data).hexdigest()}


class _Unpickler(pickle.Unpickler):
    """Makes values and the accumulators of this package, and nothing else."""

    def __init__(self, file: io.BytesIO, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle asks for by name, if a part may have it."""
        if name in _OTHERS.get(module, ()):
            return super().find_class(module, name)
        if f'{module}.'.startswith(tuple(f'{own}.' for own in _OWN)):
            # Not by the base class, which would follow dots out of the module.
            found = vars(importlib.import_module(module)).get(name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise ConfigError(f'{self._path}: holds {module}.{name}, which is not what this program '
                          'writes; remove the file')
