# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results as a bag with the topics of the node, for Foxglove, RViz and ``ros2 bag play``; and back.

Messages do not hold the score of stuff and the network's expected error of depth, so these are
unknown in a result that is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import SEGMENTATION, Task
from ...errors import ConfigError
from ...labels import CITYSCAPES, CLASS_TABLES, LABEL_DIVISOR, VOID_ID, ClassInfo
from ...structures import (
    UNSTAMPED_PERIOD_NS,
    DistanceFlag,
    Frame,
    InstanceDistance,
    PanopticDepth,
    ScaleSource,
    Segment,
)
from ..cameras.shapes import scaled_to
from ..messages.maker import ROSBAGS_MESSAGES as make
from ..messages.outputs import FrameMessages, outputs_of
from ..messages.reading import values_of
from ..messages.truth_images import pixel_counts
from ..messages.types import CAMERA_INFO, IMAGE, LABEL_INFO
from .writing import BagWriter, Outgoing

NODE = '/panoptic_depth'
DEFAULT_IMAGE_TOPIC = '/camera/image_raw'
LABEL_INFO_TOPIC = 'output/label_info'
LABEL_INFO_PERIOD_NS = 5_000_000_000
PART_BYTES = 128 << 20
RESULTS = ('panoptic', 'semantic', 'depth', 'camera_info', 'instances', 'detections_3d')

READ = ('panoptic', 'depth', 'instances')
"""Short names of the topics that a result is read from; it needs one of the first two."""

TASKS_OF_TOPIC: dict[str, frozenset[Task]] = {
    'panoptic': SEGMENTATION, 'depth': frozenset(('depth',))}
"""Topic -> tasks of a model that fills it; whether it does classes alone cannot be seen."""

LATENCY = 'recorded latency'  # the only step in step_ms of a recorded result


class ResultBagWriter(BagWriter):
    """
    One bag of input images and results; every message has the stamp of its image.

    Frames without stamps are UNSTAMPED_PERIOD_NS apart.

    :param image_topic: of the input image; its camera_info is beside it.
    :param others: see BagWriter.
    """

    outputs: tuple[str, ...] = (*RESULTS, 'overlay', 'depth_color', 'markers')

    def __init__(self, path: Path, storage: str = 'mcap', *,
                 image_topic: str = DEFAULT_IMAGE_TOPIC,
                 classes: Sequence[ClassInfo] = CITYSCAPES, part_bytes: int | None = PART_BYTES,
                 **others: bool) -> None:
        super().__init__(path, storage, part_bytes=part_bytes, **others)
        self._image_topic = image_topic.removesuffix('/compressed')
        self._classes = classes
        self._labels_sent_ns: int | None = None

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Add one frame; after a ConfigError, as of a full disk, complete parts stay."""
        frame, result = self._stamped(frame, result)
        self.add(result.name or frame.name, frame.stamp_ns,
                 self._outgoing(self._messages(frame, result)))

    def _stamped(self, frame: Frame, result: PanopticDepth) -> tuple[Frame, PanopticDepth]:
        """Give them a stamp if they have none: a recording needs an order."""
        if frame.stamp_ns:
            return frame, result
        # Of a video, only the first one has none, and the second a few milliseconds.
        stamp_ns = max(len(self.names) * UNSTAMPED_PERIOD_NS, 1)
        return replace(frame, stamp_ns=stamp_ns), replace(result, stamp_ns=stamp_ns)

    def _messages(self, frame: Frame, result: PanopticDepth) -> FrameMessages:
        return FrameMessages(make, frame, result, self._classes,
                             latency_ns=round(1e6 * sum(result.step_ms.values())))

    def _image(self, messages: FrameMessages) -> Outgoing:
        """The input image."""
        return Outgoing(self._image_topic, IMAGE, messages.image(messages.frame.image, 'rgb8'))

    def _outgoing(self, messages: FrameMessages) -> list[Outgoing]:
        """All messages of a frame that the model can fill."""
        head, frame, result = messages.head, messages.frame, messages.result
        out = [
            self._image(messages),
            Outgoing(self._image_topic.rpartition('/')[0] + '/camera_info', CAMERA_INFO,
                     make.camera_info(head, frame.intrinsics)),
            *(Outgoing(f'{NODE}/{topic.name}', topic.type, topic.make(messages))
              for name, topic in outputs_of(result.abilities).items() if name in self.outputs)]
        # The class table is due again after a while, or after time went backwards.
        sent = self._labels_sent_ns
        due = sent is None or not 0 <= frame.stamp_ns - sent < LABEL_INFO_PERIOD_NS
        if result.tasks & SEGMENTATION and due:
            self._labels_sent_ns = frame.stamp_ns
            out.append(Outgoing(f'{NODE}/{LABEL_INFO_TOPIC}', LABEL_INFO,
                                make.label_info(head, self._classes), latched=True))
        return out


def _map(message: Any, dtype: type[np.generic], what: str) -> NDArray[Any]:
    """(H, W) view on the values of an image."""
    values = values_of(message)
    if values.dtype != dtype or values.ndim != 2:
        raise ConfigError(f'recorded {what} is {message.encoding!r}; it is no result of this '
                          'program')
    return values


def _vector(message: Any) -> NDArray[np.float32]:
    return np.array([message.x, message.y, message.z], np.float32)


def _scale_source(number: int) -> ScaleSource:
    try:
        return ScaleSource(number)
    except ValueError:
        raise ConfigError(f'recorded instances have scale_source {number}; they are no result of '
                          'this program') from None


def _instance(message: Any, in_camera_frame: bool) -> InstanceDistance:
    """One panoptic_depth/InstanceDistance; a position in another frame is unknown."""
    segment = Segment(message.panoptic_id, message.class_id, message.instance_id,
                      bool(message.is_thing), float(message.score), message.pixel_count)
    roi = message.roi
    places = {} if not in_camera_frame else {
        'position_m': _vector(message.position),
        'position_covariance': np.array(message.position_covariance, np.float32).reshape(3, 3),
        'nearest_point_m': _vector(message.nearest_point), 'size_m': _vector(message.size)}
    return InstanceDistance(
        segment, message.class_name, (roi.x_offset, roi.y_offset, roi.width, roi.height),
        message.valid_depth_count, DistanceFlag(message.flags), float(message.distance),
        float(message.distance_stddev), float(message.distance_near), float(message.depth),
        track_id=message.track_id,
        # Not in recordings of earlier versions.
        depth_mean_m=float(getattr(message, 'depth_mean', math.nan)), **places)


def _require_possible(distances: Sequence[InstanceDistance], label_divisor: int,
                      shape: tuple[int, int], classes: Sequence[ClassInfo]) -> None:
    """Refuse instances that no result can have: the code after this relies on it."""
    def is_length(meters: float) -> bool:
        return math.isnan(meters) or 0 < meters < math.inf

    height, width = shape
    ids = [d.segment.panoptic_id for d in distances]
    for distance in distances:
        segment, (x, y, columns, rows) = distance.segment, distance.roi
        number = segment.class_id * label_divisor + segment.instance_id
        problem = (
            f'of class {segment.class_id}, but there are {len(classes)} classes'
            if segment.class_id >= len(classes)
            else f'with instance id {segment.instance_id} of class {segment.class_id}'
            if number != segment.panoptic_id
            else 'there twice' if ids.count(segment.panoptic_id) > 1
            else f'outside of the {width}x{height} px' if x + columns > width or y + rows > height
            else f'at a distance of {distance.distance_m:g} m, depth {distance.depth_m:g} m, mean '
                 f'{distance.depth_mean_m:g} m'
            if not all(map(is_length, (distance.distance_m, distance.depth_m,
                                       distance.depth_mean_m))) else '')
        if problem:
            raise ConfigError(f'recorded instances are damaged: {segment.panoptic_id} is '
                              f'{problem}')


def read_result(messages: Mapping[str, Any], frame: Frame,
                classes: Sequence[ClassInfo]) -> PanopticDepth:
    """
    A recorded result.

    :param messages: by the short names of READ. Without panoptic or depth the model is assumed
        not to do that task; without instances there are no distances.
    :param frame: the image of the same stamp.
    :param classes: by class id.
    :returns: segments are those of the instances, then the rest by id, whose score is NaN.
        Positions are NaN where they were recorded in another frame than the camera's. Maps are
        views on the messages.
    :raises ConfigError: damaged, of another size or other classes, or no result of this program.
    """
    tasks = frozenset[Task]().union(*(
        of for name, of in TASKS_OF_TOPIC.items() if name in messages))
    recorded = {name: _map(messages[name], dtype, what) for name, dtype, what in (
        ('panoptic', np.uint16, 'panoptic image'), ('depth', np.float32, 'depth'))
        if name in messages}
    shape = height, width = next(iter(recorded.values())).shape
    panoptic = recorded.get('panoptic', np.full(shape, VOID_ID, np.uint16))
    depth = recorded.get('depth', np.full(shape, np.nan, np.float32))
    if depth.shape != panoptic.shape:
        raise ConfigError(f'recorded depth is {depth.shape[1]}x{depth.shape[0]} px, but the '
                          f'panoptic image {width}x{height} px; record them with one setting')
    counts = pixel_counts(panoptic)
    result = PanopticDepth(
        panoptic, depth, (), (), scaled_to(frame.intrinsics, width, height), LABEL_DIVISOR,
        frame.stamp_ns, frame.frame_id, frame.name, tasks=tasks)
    array = messages.get('instances')
    if array is not None:
        if not array.label_divisor:
            raise ConfigError('recorded instances have label_divisor 0; they are no result of '
                              'this program')
        in_camera_frame = array.header.frame_id == (array.camera_frame_id or array.header.frame_id)
        result = replace(
            result, distances=tuple(_instance(i, in_camera_frame) for i in array.instances),
            label_divisor=int(array.label_divisor),
            frame_id=array.camera_frame_id or frame.frame_id, model_id=array.model_id,
            scale_source=_scale_source(array.scale_source),
            step_ms={LATENCY: 1e3 * array.latency.sec + 1e-6 * array.latency.nanosec})
    divisor = result.label_divisor
    for number in counts:
        if number != VOID_ID and number // divisor >= len(classes):
            raise ConfigError(
                f'recorded panoptic image holds the id {number}, of class {number // divisor}, '
                f'but there are {len(classes)} classes; record {LABEL_INFO_TOPIC} and '
                'output/instances with it')
    _require_possible(result.distances, divisor, (height, width), classes)
    known = {d.segment.panoptic_id: d.segment for d in result.distances}
    things = {c.class_id for c in classes if c.is_thing}
    rest = (Segment(number, *divmod(number, divisor), number // divisor in things, math.nan, count)
            for number, count in counts.items() if number != VOID_ID and number not in known)
    return replace(result, segments=(*known.values(), *rest))


def read_classes(message: Any, known: Sequence[ClassInfo],
                 ) -> tuple[tuple[ClassInfo, ...], list[str]]:
    """
    Class table of a vision_msgs/LabelInfo, which has names only.

    :param known: table to look into first; labels.CLASS_TABLES come next.
    :returns: the table, and the names that no known table has, which count as stuff.
    :raises ConfigError: there are no classes, or their ids have gaps.
    """
    names = {int(c.class_id): str(c.class_name) for c in message.class_map}
    tables = [tuple(known), *CLASS_TABLES.values()]
    for table in tables:
        if names == {c.class_id: c.name for c in table}:
            return table, []
    if not names or sorted(names) != list(range(len(names))):
        raise ConfigError(f'{LABEL_INFO_TOPIC}: class ids are {sorted(names)}; they must be 0, 1, '
                          '2 ... without a gap')
    infos = {c.name: c for c in chain(*reversed(tables))}
    colors = [c.color for c in CITYSCAPES]
    return tuple(
        replace(infos[names[i]], class_id=i) if names[i] in infos
        else ClassInfo(i, names[i], colors[i % len(colors)], False)
        for i in sorted(names)), [name for name in names.values() if name not in infos]
