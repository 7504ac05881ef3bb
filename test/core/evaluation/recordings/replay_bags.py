# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Small recordings whose messages come when and as a test wants them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.outputs import OUTPUTS, FrameMessages
from panoptic_depth_core.io.messages.types import CAMERA_INFO, IMAGE, typestore
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.structures import (
    DistanceFlag,
    Frame,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
    Segment,
)
from rosbags.rosbag2 import StoragePlugin, Writer

STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
CAMERA = Intrinsics(40.0, 41.0, 15.0, 9.0, 32, 20)
IMAGE_TOPIC, INFO_TOPIC = '/camera/image_raw', '/camera/camera_info'
LABELS, DEPTH, NODE = '/truth/panoptic', '/truth/depth', '/panoptic_depth'
CAR = CLASS_ID['car'] * 1000


class Item(NamedTuple):
    """One message; bytes in place of a message are written as they are."""

    topic: str
    type: str
    message: Any
    recorded_ns: int


def header(ms: float) -> Any:
    """Stamp in milliseconds after the start; frame of the camera."""
    return make.header(START_NS + round(ms * MS), 'optical')


def values_item(topic: str, values: np.ndarray, encoding: str, ms: float, delay_ms: float = 0,
                ) -> Item:
    """Return an image of any encoding, recorded with a delay."""
    return Item(topic, IMAGE, make.image(header(ms), values, encoding),
                START_NS + round((ms + delay_ms) * MS))


def picture(ms: float, delay_ms: float = 0) -> Item:
    """Return an image whose every pixel tells its stamp."""
    pixels = np.full((CAMERA.height, CAMERA.width, 3), round(ms) // 10 % 256, np.uint8)
    return values_item(IMAGE_TOPIC, pixels, 'rgb8', ms, delay_ms)


def info(ms: float, camera: Intrinsics = CAMERA, delay_ms: float = 0) -> Item:
    """Return a CameraInfo."""
    return Item(INFO_TOPIC, CAMERA_INFO, make.camera_info(header(ms), camera),
                START_NS + round((ms + delay_ms) * MS))


def true_ids() -> np.ndarray:
    """Return road, two cars and void."""
    ids = np.zeros((CAMERA.height, CAMERA.width), np.uint16)
    ids[:3] = VOID_ID
    ids[5:10, 2:8], ids[6:14, 20:30] = CAR + 1, CAR + 2
    return ids


def true_depth() -> np.ndarray:
    """Return depths that grow to the right; sky and a hole."""
    depth = np.tile(np.linspace(5, 20, CAMERA.width, dtype=np.float32), (CAMERA.height, 1))
    depth[:3], depth[19] = np.inf, np.nan
    return depth


def labels(ms: float, delay_ms: float = 0) -> Item:
    """Return the true ids."""
    return values_item(LABELS, true_ids(), '16UC1', ms, delay_ms)


def depth(ms: float, delay_ms: float = 0) -> Item:
    """Return the true depth."""
    return values_item(DEPTH, true_depth(), '32FC1', ms, delay_ms)


def moments(count: int, period_ms: int = 100) -> range:
    """Return stamps in milliseconds."""
    return range(0, count * period_ms, period_ms)


def drive(count: int, *makers: Any) -> list[Item]:
    """Return images with their CameraInfo, and what else is asked for, of each stamp."""
    return [make_one(ms) for ms in moments(count) for make_one in (info, picture, *makers)]


def frame_at(ms: float, name: str = '') -> Frame:
    """Return the frame that picture(ms) is read as."""
    pixels = np.full((CAMERA.height, CAMERA.width, 3), round(ms) // 10 % 256, np.uint8)
    return Frame(pixels, CAMERA, START_NS + round(ms * MS), 'optical', name, 'camera_info')


def result_at(ms: float, factor: float = 1.0) -> PanopticDepth:
    """Return a result with every kind of value in it; the factor is of its finite depths."""
    panoptic, meters = true_ids(), true_depth() * np.float32(factor)
    meters[5, 5], meters[18, 0] = np.nan, -np.inf
    one, two = (Segment(CAR + i, CLASS_ID['car'], i, True, 0.5 + i / 8, int(
        (panoptic == CAR + i).sum())) for i in (1, 2))
    road = Segment(0, 0, 0, False, float('nan'), int((panoptic == 0).sum()))
    near = InstanceDistance(
        one, 'car', (2, 5, 6, 5), 29, DistanceFlag.TRUNCATED, 7.5 * factor, 0.25, 7.0, 7.25,
        np.array([-1.5, 0.25, 7.25], np.float32), np.diag([0.5, 0.25, 1]).astype(np.float32),
        np.array([-1.25, 0.5, 6.75], np.float32), np.array([1.5, 1.25, 0.5], np.float32), 7)
    far = InstanceDistance(two, 'car', (20, 6, 10, 8), 0, DistanceFlag.LOW_DEPTH_SUPPORT)
    return PanopticDepth(panoptic, meters, (one, two, road), (near, far), CAMERA, 1000,
                         START_NS + round(ms * MS), 'optical', '', 'some-model',
                         {'recorded latency': 62.5})


def results(ms: float, factor: float = 1.0, names: Sequence[str] = ('panoptic', 'depth',
            'instances'), node: str = NODE, **fields: Any) -> list[Item]:
    """Return the messages of that result, as the node records them."""
    messages = FrameMessages(make, frame_at(ms), result_at(ms, factor), latency_ns=62_500_000,
                             **fields)
    return [Item(f'{node}/{OUTPUTS[n].name}', OUTPUTS[n].type, OUTPUTS[n].make(messages),
                 START_NS + round((ms + 62.5) * MS)) for n in names]


def write_items(path: Path, items: Iterable[Item], storage: str = 'mcap') -> Path:
    """Write a bag and return its folder."""
    store = typestore()
    connections: dict[str, Any] = {}
    with Writer(path, version=8, storage_plugin=STORAGES[storage]) as writer:
        for item in items:
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(item.topic, item.type,
                                                                typestore=store)
            data = item.message
            if not isinstance(data, bytes):
                data = store.serialize_cdr(data, item.type)
            writer.write(connections[item.topic], item.recorded_ns, data)
    return path


def only_file(bag: Path) -> Path:
    """Return the storage file of a bag."""
    (path,) = (p for p in bag.iterdir() if p.name != 'metadata.yaml')
    return path
