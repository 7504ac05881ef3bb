# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Write a rosbag2 recording that is valid at any time and can be resumed.

A recording may have several storage files with one metadata.yaml. Each part is written beside the
target and moved in when it is complete; the new metadata.yaml then makes it count. So a crash
loses at most the frames of the open part, and they are known to be missing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from rosbags import interfaces
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ...errors import ConfigError
from ...files import OutputFolder, disk_errors, make_folder, require_absent, write_atomic
from ..messages.types import typestore

STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
METADATA_VERSION: Literal[8] = 8  # Humble refuses the QoS of version 9

_ROOT = 'rosbag2_bagfile_information'
_FRAMES = 'panoptic_depth_frames'
_METADATA = 'metadata.yaml'


class Outgoing(NamedTuple):
    """One message to write; late readers get the latched ones too."""

    topic: str
    type: str
    message: Any
    latched: bool = False


def _qos(latched: bool) -> interfaces.Qos:
    kinds, unset = interfaces.QosDurability, interfaces.QosTime(0, 0)
    return interfaces.Qos(
        interfaces.QosHistory.KEEP_LAST, 1 if latched else 10, interfaces.QosReliability.RELIABLE,
        kinds.TRANSIENT_LOCAL if latched else kinds.VOLATILE, unset, unset,
        interfaces.QosLiveliness.AUTOMATIC, unset, False)


def _merge(whole: dict[str, Any] | None, part: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a recording with one more part."""
    if whole is None:
        return part
    starts = [info['starting_time']['nanoseconds_since_epoch'] for info in (whole, part)]
    end = max(start + info['duration']['nanoseconds']
              for start, info in zip(starts, (whole, part), strict=True))
    topics = {t['topic_metadata']['name']: dict(t) for t in whole['topics_with_message_count']}
    for topic in part['topics_with_message_count']:
        known = topics.setdefault(topic['topic_metadata']['name'], {**topic, 'message_count': 0})
        known['message_count'] += topic['message_count']
    return {**whole, 'starting_time': {'nanoseconds_since_epoch': min(starts)},
            'duration': {'nanoseconds': end - min(starts)},
            'topics_with_message_count': list(topics.values()),
            **{key: whole[key] + part[key]
               for key in ('files', 'relative_file_paths', 'message_count')}}


def _names_in(whole: dict[str, Any]) -> dict[str, None]:
    """Names of the frames of a recording, in order."""
    return dict.fromkeys(map(str, json.loads(whole['custom_data'][_FRAMES])))


class BagWriter(AbstractContextManager['BagWriter']):
    """
    Write frames of several messages each; a frame is written in full or not at all.

    :param path: folder of the bag.
    :param storage: a key of STORAGES.
    :param overwrite: replace an existing bag when the first part of the new one is complete.
    :param resume: append to an existing bag that this class wrote.
    :param part_bytes: size at which a part is closed; None: a single part, complete or absent.
    :cvar compress: the chunks of MCAP, by zstd.
    :ivar names: of the written frames.
    :raises ConfigError: unknown storage; a target that may not be replaced or cannot be resumed.
    """

    compress = False

    def __init__(self, path: Path, storage: str = 'mcap', *, overwrite: bool = False,
                 resume: bool = False, part_bytes: int | None = None) -> None:
        if storage not in STORAGES:
            raise ConfigError(f'bag storage {storage!r} is not known; '
                              f'give one of {", ".join(STORAGES)}')
        self.path = path
        self.names: dict[str, None] = {}
        self._storage = storage
        self._part_bytes = part_bytes
        self._whole: dict[str, Any] | None = None
        self._writer: Writer | None = None
        self._output: OutputFolder | None = None
        self._connections: dict[str, Any] = {}
        self._bytes = 0
        self._work = path.with_name(f'.{path.name}.tmp')
        if path.exists() and resume:
            self._read_existing()
        else:
            require_absent(path, overwrite)
        make_folder(path.parent)
        with disk_errors(self._work):
            if self._work.exists():
                shutil.rmtree(self._work)

    def _read_existing(self) -> None:
        """Load the metadata and the frame names of an existing bag."""
        try:
            info = yaml.safe_load((self.path / _METADATA).read_text(encoding='utf-8'))[_ROOT]
            names, storage = _names_in(info), info['storage_identifier']
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            raise ConfigError(f'{self.path}: exists, but was not written by this program, so it '
                              'cannot be gone on with; choose another path or overwrite '
                              'it') from None
        if storage != self._storage:
            raise ConfigError(f'{self.path}: its storage is {storage}, not {self._storage}; '
                              f'go on with {storage} or overwrite it')
        self._whole, self.names = info, names

    def _open_part(self) -> Writer:
        number = 0 if self._whole is None else len(self._whole['files'])
        self._output = OutputFolder(make_folder(self._work))
        writer = Writer(self._work / f'{self.path.name}_{number}', version=METADATA_VERSION,
                        storage_plugin=STORAGES[self._storage])
        if self.compress:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        writer.open()
        self._writer, self._connections, self._bytes = writer, {}, 0
        return writer

    def done(self, name: str) -> bool:
        """Whether the bag has this frame."""
        return name in self.names

    def add(self, name: str, stamp_ns: int, messages: Sequence[Outgoing]) -> None:
        """Write the messages of a frame; after a ConfigError complete parts of the bag stay."""
        store = typestore()
        data = [store.serialize_cdr(out.message, out.type) for out in messages]
        with disk_errors(self.path):
            try:
                writer = self._writer or self._open_part()
                self._check()
                for out, payload in zip(messages, data, strict=True):
                    if out.topic not in self._connections:
                        self._connections[out.topic] = writer.add_connection(
                            out.topic, out.type, typestore=store,
                            offered_qos_profiles=[_qos(out.latched)])
                    writer.write(self._connections[out.topic], max(stamp_ns, 0), payload)
                    self._bytes += len(payload)
            except BaseException:
                self.abort()
                raise
        self.names[name] = None
        if self._part_bytes is not None and self._bytes >= self._part_bytes:
            self.close()

    def _check(self) -> None:
        """Raise ConfigError where the open part is gone: it would be written to no end."""
        if self._output is not None:
            self._output.check()

    def close(self) -> None:
        """Complete the open part, if any, and make it count; add() then begins another one."""
        if self._writer is None:
            return
        with disk_errors(self.path):
            try:
                self._check()
                self._writer.close()
                folder = self._writer.path
                part = yaml.safe_load((folder / _METADATA).read_text(encoding='utf-8'))[_ROOT]
                merged = _merge(self._whole, part)
                merged['custom_data'] = {_FRAMES: json.dumps([*self.names])}
                text = yaml.safe_dump({_ROOT: merged}, sort_keys=False, width=10_000)
                if self._whole is not None:
                    file = part['relative_file_paths'][0]
                    os.replace(folder / file, self.path / file)
                    folder = self.path
                write_atomic(folder / _METADATA, text.encode(), sync=True)
                if self._whole is None:
                    self._replace_target(folder)
                shutil.rmtree(self._work, ignore_errors=True)
            except BaseException:
                self.abort()
                raise
        self._whole = merged
        self._writer = None

    def _replace_target(self, folder: Path) -> None:
        """Move the complete folder in; an earlier bag is removed only after that."""
        old = self._work / 'old'
        if self.path.exists():
            os.replace(self.path, old)
        try:
            os.replace(folder, self.path)
        except OSError:
            if old.exists():
                os.replace(old, self.path)
            raise

    def abort(self) -> None:
        """Drop the open part and its frames."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(Exception):
                writer.abort()
        shutil.rmtree(self._work, ignore_errors=True)
        self.names = {} if self._whole is None else _names_in(self._whole)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close; after an error keep complete frames if the bag has parts, else leave nothing."""
        if kind is None:
            self.close()
        elif self._part_bytes is None:
            self.abort()
        else:
            with suppress(ConfigError):
                self.close()
