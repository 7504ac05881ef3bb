# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Finished parts of a report on the disk, from which an interrupted run goes on.

A file is one line of JSON, which says whose part it is, and then the pickled part. Pickles can run
anything; from these only values and the accumulators of this package are made.
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

from ....errors import ConfigError
from ....files import disk_errors, make_folder, write_atomic

VERSION = 1
SUFFIX = '.part'

_log = logging.getLogger(__name__)

_MOST_OF_NAME = 60
_FILES = f'*-{"[0-9a-f]" * 16}{SUFFIX}'

_PACKAGE = __name__.partition('.')[0]
# Not io or inference: the mere making of one of their objects may write a file or load a model.
_OWN = tuple(f'{_PACKAGE}.{part}' for part in (
    'config', 'evaluation', 'inference.tracking', 'labels', 'replay', 'structures'))
_OTHERS = {
    'builtins': {'bytearray', 'complex', 'frozenset', 'range', 'set', 'slice'},
    'collections': {'Counter', 'OrderedDict', 'defaultdict', 'deque'},
    'array': {'array', '_array_reconstructor'},
    'numpy': {'dtype', 'ndarray'},
    # numpy 1 calls its own modules by other names than numpy 2.
    **{f'numpy.{core}.{module}': names for core in ('core', '_core') for module, names in (
        ('multiarray', {'_reconstruct', 'scalar'}), ('numeric', {'_frombuffer'}))},
}


def save_part(folder: Path, name: str, part: object, key: str = '') -> Path:
    """
    Write a finished part, in full or not at all.

    :param folder: made if it is not there.
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
    Read the part of a recording, if there is one that was written with the same key.

    What is damaged, of another version, or of another key is not there.

    :returns: the part, or None.
    :raises ConfigError: for a file that holds what this program does not write.
    """
    path = folder / file_name(name)
    try:
        line, _, data = path.read_bytes().partition(b'\n')
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning('%s: cannot be read (%s); its recording is run again', path, error.strerror)
        return None
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    wanted = _header(name, key, data)
    if not isinstance(header, dict) or header.get('format') != wanted['format']:
        _log.warning('%s: damaged; its recording is run again', path)
        return None
    if any(header.get(member) != wanted[member] for member in ('version', 'name', 'key')):
        return None
    if header.get('sha256') != wanted['sha256']:
        _log.warning('%s: damaged; its recording is run again', path)
        return None
    try:
        return _Unpickler(io.BytesIO(data), path).load()
    except ConfigError:
        raise
    except Exception as error:
        _log.warning('%s: cannot be read (%s: %s); its recording is run again', path,
                     type(error).__name__, error)
        return None


def remove_parts(folder: Path) -> None:
    """
    Remove the files of parts, and the folder if nothing else is in it.

    :raises ConfigError: no permission ...
    """
    with disk_errors(folder):
        for path in folder.glob(_FILES):
            path.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def has_parts(folder: Path) -> bool:
    """Whether there are files of parts, of whatever recordings."""
    return any(folder.glob(_FILES))


def file_name(name: str) -> str:
    """
    Name of a file for a recording of any name.

    Different names have different files, also where the disk does not tell cases apart.
    """
    readable = re.sub(r'[^A-Za-z0-9-]+', '_', name).strip('_')[:_MOST_OF_NAME]
    digest = hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()
    return f'{readable}-{digest[:16]}{SUFFIX}'


def _header(name: str, key: str, data: bytes) -> dict[str, Any]:
    return {'format': f'{_PACKAGE} part', 'version': VERSION, 'name': name, 'key': key,
            'sha256': hashlib.sha256(data).hexdigest()}


class _Unpickler(pickle.Unpickler):
    """
    Makes values and the accumulators of this package, and nothing else.

    :param path: of the file, for messages.
    """

    def __init__(self, file: io.BytesIO, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        """
        Return what a pickle asks for by name.

        :raises ConfigError: when no part has it.
        """
        if name in _OTHERS.get(module, ()):
            return super().find_class(module, name)
        if any(module == own or module.startswith(f'{own}.') for own in _OWN):
            # Not by the base class, which would follow dots out of the module.
            found = vars(importlib.import_module(module)).get(name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise ConfigError(f'{self._path}: holds {module}.{name}, which is not what this program '
                          'writes; remove the file')
