# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Write small bags of any shape, with rosbags' own writer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, typestore
from panoptic_depth_core.structures import Intrinsics
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
SECOND_NS = 1_000_000_000
CAMERA = Intrinsics(50.0, 51.0, 19.0, 11.0, 40, 24)


@dataclass
class Entry:
    """One message of a bag to write; data instead of message: raw bytes."""

    topic: str
    type: str
    message: Any
    time_ns: int


def pixels(index: int, height: int = 24, width: int = 40) -> np.ndarray:
    """Return random pixels, the same for the same index."""
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)


def image(index: int, topic: str = '/camera/image_raw', delay_ns: int = 0) -> Entry:
    """Return the image of second index + 1, recorded with a delay."""
    stamp = (index + 1) * SECOND_NS
    head = make.header(stamp, 'optical')
    return Entry(topic, IMAGE, make.image(head, pixels(index), 'rgb8'), stamp + delay_ns)


def compressed(index: int, topic: str = '/camera/image_raw/compressed',
               image_format: str = 'rgb8; png compressed bgr8') -> Entry:
    """Return the same image as a PNG."""
    stamp = (index + 1) * SECOND_NS
    data = cv2.imencode('.png', pixels(index)[..., ::-1])[1].ravel()
    message = typestore().types[COMPRESSED_IMAGE](make.header(stamp, 'optical'),
                                                  image_format, data)
    return Entry(topic, COMPRESSED_IMAGE, message, stamp)


def info(index: int, camera: Intrinsics = CAMERA, topic: str = '/camera/camera_info',
         delay_ns: int = 0, **changes: Any) -> Entry:
    """Return the camera info of second index + 1; changes go into k and p: k0=0.0."""
    stamp = (index + 1) * SECOND_NS
    message = make.camera_info(make.header(stamp, 'optical'), camera)
    for position, value in changes.items():
        getattr(message, position[0])[int(position[1:])] = value
    return Entry(topic, CAMERA_INFO, message, stamp + delay_ns)


def map_image(index: int, topic: str, encoding: str, dtype: str) -> Entry:
    """Return an image of depth or ids."""
    stamp = (index + 1) * SECOND_NS
    values = np.full((24, 40), 3, dtype)
    return Entry(topic, IMAGE, make.image(make.header(stamp, ''), values, encoding), stamp)


def text(index: int, topic: str = '/chatter') -> Entry:
    """Return a message of no interest."""
    message = typestore().types['std_msgs/msg/String'](f'message {index}')
    return Entry(topic, 'std_msgs/msg/String', message, (index + 1) * SECOND_NS)


def write_bag(path: Path, entries: Iterable[Entry], storage: str = 'mcap',
              compression: CompressionMode = CompressionMode.NONE) -> Path:
    """Write a bag and return its folder; a message of bytes is written as it is."""
    writer = Writer(path, version=8, storage_plugin=STORAGES[storage])
    if compression != CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    connections: dict[str, Any] = {}
    with writer:
        for entry in entries:
            if entry.topic not in connections:
                if entry.type in typestore().types:
                    extra: dict[str, Any] = {'typestore': typestore()}
                else:
                    extra = {'msgdef': 'no/such/Thing thing\n', 'rihs01': 'RIHS01_0'}
                connections[entry.topic] = writer.add_connection(entry.topic, entry.type, **extra)
            data = entry.message
            if not isinstance(data, bytes):
                data = typestore().serialize_cdr(data, entry.type)
            writer.write(connections[entry.topic], entry.time_ns, data)
    return path


def storage_file(bag: Path) -> Path:
    """Return the only storage file of a bag."""
    (path,) = (p for p in bag.iterdir() if p.name != 'metadata.yaml')
    return path
