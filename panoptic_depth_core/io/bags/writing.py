# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Write a rosbag2 recording that is valid at any time and can be gone on with.

rosbag2 allows a recording of several storage files, with one metadata.yaml. Each part is written
beside the target and moved in when it is closed; replacing metadata.yaml is what makes it count.
So a crash costs the frames of the open part at most, and these are known to be missing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

import yaml
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ...errors import ConfigError
from ...files import disk_errors, make_folder, require_absent, write_atomic
from ..messages.types import typestore

Storage = Literal['mcap', 'sqlite3']
STORAGES: dict[str, tuple[StoragePlugin, str]] = {
    'mcap': (StoragePlugin.MCAP, '.mcap'),
    'sqlite3': (StoragePlugin.SQLITE3, '.db3'),
}
METADATA_VERSION: Literal[8] = 8
"""Read by every distribution from Humble on; version 9 writes QoS in a way that Humble refuses."""

_ROOT = 'rosbag2_bagfile_information'
_FRAMES = 'panoptic_depth_frames'
_METADATA = 'metadata.yaml'


class Outgoing(NamedTuple):
    """One message to write; latched ones are given to readers that come late."""

    topic: str
    type: str
    message: Any
    latched: bool = False


def _qos(latched: bool) -> Qos:
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    unset = QosTime(0, 0)
    return Qos(QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE, durability,
               unset, unset, QosLiveliness.AUTOMATIC, unset, False)


def _merge(whole: dict[str, Any] | None, part: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a recording with one more part."""
    if whole is None:
        return part
    merged = dict(whole)
    for key in ('files', 'relative_file_paths'):
        merged[key] = [*whole[key], *part[key]]
    both = (whole, part)
    starts = [info['starting_time']['nanoseconds_since_epoch'] for info in both]
    ends = [start + info['duration']['nanoseconds']
            for start, info in zip(starts, both, strict=True)]
    merged['starting_time'] = {'nanoseconds_since_epoch': min(starts)}
    merged['duration'] = {'nanoseconds': max(ends) - min(starts)}
    merged['message_count'] = whole['message_count'] + part['message_count']
    topics = {t['topic_metadata']['name']: dict(t) for t in whole['topics_with_message_count']}
    for topic in part['topics_with_message_count']:
        known = topics.setdefault(topic['topic_metadata']['name'], {**topic, 'message_count': 0})
        known['message_count'] += topic['message_count']
    merged['topics_with_message_count'] = list(topics.values())
    return merged


class BagWriter:
    """
    Write frames, each of several messages, all of them or none.

    :param path: folder of the bag.
    :param storage: a key of STORAGES.
    :param overwrite: replace an existing bag, when the first part of the new one is complete.
    :param resume: go on with an existing bag that this class wrote.
    :param part_bytes: size at which a part is closed; None: one part, there at the end or never.
    :param compress: the chunks of MCAP, by zstd, which every reader of MCAP knows.
    :raises ConfigError: unknown storage; an existing target that is neither to be replaced nor
        can be gone on with.
    """

    def __init__(self, path: Path, storage: str = 'mcap', *, overwrite: bool = False,
                 resume: bool = False, part_bytes: int | None = None,
                 compress: bool = False) -> None:
        if storage not in STORAGES:
            raise ConfigError(f'bag storage {storage!r} is not known; '
                              f'give one of {", ".join(STORAGES)}')
        self.path = path
        self.names: set[str] = set()
        self._storage = storage
        self._part_bytes = part_bytes
        self._compress = compress
        self._whole: dict[str, Any] | None = None
        self._frames: list[str] = []
        self._writer: Writer | None = None
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
        """Take over the metadata and the names of the frames of an existing bag."""
        try:
            info = yaml.safe_load((self.path / _METADATA).read_text(encoding='utf-8'))[_ROOT]
            frames = [str(name) for name in json.loads(info['custom_data'][_FRAMES])]
            storage = info['storage_identifier']
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            raise ConfigError(f'{self.path}: exists, but was not written by this program, so it '
                              'cannot be gone on with; choose another path or overwrite '
                              'it') from None
        if storage != self._storage:
            raise ConfigError(f'{self.path}: its storage is {storage}, not {self._storage}; '
                              f'go on with {storage} or overwrite it')
        self._whole, self._frames, self.names = info, frames, set(frames)

    def _open_part(self) -> Writer:
        number = 0 if self._whole is None else len(self._whole['files'])
        make_folder(self._work)
        writer = Writer(self._work / f'{self.path.name}_{number}', version=METADATA_VERSION,
                        storage_plugin=STORAGES[self._storage][0])
        if self._compress:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        writer.open()
        self._writer, self._connections, self._bytes = writer, {}, 0
        return writer

    def done(self, name: str) -> bool:
        """Whether the bag has this frame."""
        return name in self.names

    def add(self, name: str, stamp_ns: int, messages: Sequence[Outgoing]) -> None:
        """
        Write the messages of one frame.

        :param stamp_ns: time of recording of all of them.
        :raises ConfigError: disk full ...; parts that are closed stay.
        """
        store = typestore()
        data = [store.serialize_cdr(out.message, out.type) for out in messages]
        with disk_errors(self.path):
            try:
                writer = self._writer or self._open_part()
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
        self._frames.append(name)
        self.names.add(name)
        if self._part_bytes is not None and self._bytes >= self._part_bytes:
            self.commit()

    def commit(self) -> None:
        """
        Close the open part and make it count.

        :raises ConfigError: disk full ...; parts that are closed stay.
        """
        if self._writer is None:
            return
        with disk_errors(self.path):
            try:
                self._writer.close()
                folder = self._writer.path
                part = yaml.safe_load((folder / _METADATA).read_text(encoding='utf-8'))[_ROOT]
                part['custom_data'] = None
                merged = _merge(self._whole, part)
                merged['custom_data'] = {_FRAMES: json.dumps(self._frames)}
                text = yaml.safe_dump({_ROOT: merged}, sort_keys=False, width=10_000)
                if self._whole is None:
                    write_atomic(folder / _METADATA, text.encode(), sync=True)
                    self._replace_target(folder)
                else:
                    file = part['relative_file_paths'][0]
                    os.replace(folder / file, self.path / file)
                    write_atomic(self.path / _METADATA, text.encode(), sync=True)
                shutil.rmtree(self._work, ignore_errors=True)
            except BaseException:
                self.abort()
                raise
        self._whole = merged
        self._writer = None

    def _replace_target(self, folder: Path) -> None:
        """Move the finished folder in; what was there before is removed only after that."""
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
        """Drop the open part; its frames no longer count as written."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(Exception):
                writer.abort()
        shutil.rmtree(self._work, ignore_errors=True)
        custom = (self._whole or {}).get('custom_data')
        self._frames = [] if custom is None else json.loads(custom[_FRAMES])
        self.names = set(self._frames)

    def close(self) -> None:
        """Close the last part; without any frame no bag is made."""
        self.commit()

    def __enter__(self) -> BagWriter:
        """Be usable in a with statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close; after an error keep whole frames if the bag has parts, else leave nothing."""
        if kind is None:
            self.close()
        elif self._part_bytes is None:
            self.abort()
        else:
            with suppress(ConfigError):
                self.commit()
