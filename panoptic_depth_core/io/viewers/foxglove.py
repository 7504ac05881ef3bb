# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results as an MCAP bag for Foxglove: annotated images, boxes in 3-D, points and plots.

It is a bag of results like any other, so ``ros2 bag`` plays it and results are read back from it.
Pictures are JPEG: a frame of 1242x375 takes 2.2 MB, most of it the exact depth, and 3.3 MB with
the raw image.

Foxglove counts px from the corner of the top-left pixel: a pixel center (u, v) here is
(u + 0.5, v + 0.5) there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...files import disk_errors, require_absent
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, InstanceDistance, PanopticDepth
from ..bags.result_bags import NODE, RESULTS, ResultBagWriter
from ..bags.writing import Outgoing
from ..messages import maker
from ..messages.outputs import FrameMessages, outputs_of
from ..messages.point_clouds import point_cloud
from ..messages.types import COMPRESSED_IMAGE, IMAGE_ANNOTATIONS, POINT_CLOUD, SCENE_UPDATE
from ..visualization import Picture, encode_jpeg, overlay, placement

make = maker.ROSBAGS_MESSAGES

ANNOTATIONS_TOPIC = f'{NODE}/foxglove/annotations'
SCENE_TOPIC = f'{NODE}/foxglove/scene'
LIDAR_TOPIC = f'{NODE}/foxglove/lidar'
METRICS = f'{NODE}/metrics'
FLOAT = 'std_msgs/msg/Float64'

POINT_STRIDE = 4  # of rows and columns; all points would outweigh everything else
PART_BYTES = 1 << 30  # before compression: few files to open, at most as much to lose
OUTLINE_TOLERANCE_PX = 1.0  # from the mask; it saves nine points of ten
MASK_OPACITY = 0.3
BACKGROUND_OPACITY = 0.6
WHITE = (255, 255, 255)


def _color(rgb: Sequence[int], opacity: float = 1.0) -> Any:
    r, g, b = (channel / 255.0 for channel in rgb)
    return make('foxglove_msgs/msg/Color', r=r, g=g, b=b, a=opacity)


def _metadata(**values: object) -> list[Any]:
    # A name of a file may have bytes that are no text.
    texts = {key: str(value).encode('utf-8', 'replace').decode() for key, value in values.items()}
    return [make('foxglove_msgs/msg/KeyValuePair', key=key, value=text)
            for key, text in texts.items()]


def _points(points: Iterable[Iterable[float]]) -> list[Any]:
    return [make('foxglove_msgs/msg/Point2', x=float(x), y=float(y)) for x, y in points]


def outlines(panoptic: NDArray[np.uint16], instance: InstanceDistance
             ) -> list[NDArray[np.float64]]:
    """
    Outer outlines of the parts of an instance, through the centers of the pixels at its border.

    :param panoptic: (H, W) uint16 panoptic ids.
    :returns: (N, 2) float64 px each, N >= 3; lines and dots have none.
    """
    x, y, width, height = instance.roi
    mask = panoptic[y:y + height, x:x + width] == instance.segment.panoptic_id
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE,
                                offset=(x, y))
    simple = (cv2.approxPolyDP(line, OUTLINE_TOLERANCE_PX, True)[:, 0] for line in found)
    return [line.astype(np.float64) for line in simple if len(line) >= 3]


def image_annotations(frame: Frame, result: PanopticDepth,
                      classes: Sequence[ClassInfo] = CITYSCAPES) -> Any:
    """foxglove_msgs/ImageAnnotations: box, outlines and text per thing, in px of the image."""
    time = make.time(frame.stamp_ns)
    scale_x, scale_y, left, top = placement(frame.intrinsics, result.intrinsics)
    scale, corner = np.array([scale_x, scale_y]), np.array([left, top])
    kind = 'foxglove_msgs/msg/PointsAnnotation'
    font_px = max(10.0, min(frame.image.shape[:2]) / 30.0)

    def loop(points: NDArray[np.float64], color: Sequence[int], thickness_px: float,
             opacity: float) -> Any:
        return make(kind, timestamp=time, type=make.message_class(kind).LINE_LOOP,
                    points=_points(points * scale + corner), outline_color=_color(color),
                    outline_colors=[], fill_color=_color(color, opacity), thickness=thickness_px,
                    metadata=[])

    loops, texts = [], []
    for instance in result.distances:
        if not instance.segment.is_thing:
            continue
        color = classes[instance.segment.class_id].color
        x, y, width, height = (float(value) for value in instance.roi)
        box = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
        loops.append(loop(box, color, 2.0, 0.0))
        loops += [loop(line + 0.5, color, 1.0, MASK_OPACITY)
                  for line in outlines(result.panoptic, instance)]
        place = box[0] * scale + corner
        texts.append(make(
            'foxglove_msgs/msg/TextAnnotation', timestamp=time,
            # The text of a box at the top of the image is inside of it.
            position=_points([(place[0], max(place[1], font_px))])[0],
            text=maker.tracked_text(instance, result.tasks), font_size=font_px,
            text_color=_color(WHITE), background_color=_color(color, BACKGROUND_OPACITY),
            metadata=[]))
    return make(IMAGE_ANNOTATIONS, timestamp=time, circles=[], points=loops, texts=texts,
                metadata=_metadata(frame=frame.name, model=result.model_id))


def _entity(time: Any, frame_id: str, instance: InstanceDistance, color: Sequence[int]) -> Any:
    """A box and a text; a click on them shows the metadata."""
    segment, track = instance.segment, instance.track_id
    cube = make('foxglove_msgs/msg/CubePrimitive', pose=make.pose(instance.position_m),
                size=make.vector('Vector3', maker.box_size(instance)),
                color=_color(color, maker.BOX_OPACITY))
    place = maker.text_place(instance, maker.UP_OPTICAL)
    text = make('foxglove_msgs/msg/TextPrimitive', pose=make.pose(place), billboard=True,
                font_size=maker.TEXT_HEIGHT_M, scale_invariant=False, color=_color(WHITE),
                text=maker.tracked_text(instance))
    return make(
        'foxglove_msgs/msg/SceneEntity', timestamp=time, frame_id=frame_id,
        id=f'track {track}' if track >= 0 else f'segment {segment.panoptic_id}',
        lifetime=make.time(maker.LIFETIME_NS, 'Duration'), frame_locked=False,
        metadata=_metadata(**{'class': instance.class_name}, score=f'{segment.score:.3f}',
                           **{name: f'{getattr(instance, name):.2f}' for name in (
                               'distance_m', 'distance_stddev_m', 'distance_near_m')},
                           panoptic_id=segment.panoptic_id, track_id=track,
                           flags=' '.join(instance.flags.names)),
        arrows=[], cubes=[cube], spheres=[], cylinders=[], lines=[], triangles=[], texts=[text],
        models=[])


def scene_update(frame: Frame, result: PanopticDepth,
                 classes: Sequence[ClassInfo] = CITYSCAPES) -> Any:
    """foxglove_msgs/SceneUpdate: the boxes and texts of marker_array; it deletes earlier ones."""
    time = make.time(frame.stamp_ns)
    kind = 'foxglove_msgs/msg/SceneEntityDeletion'
    return make(
        SCENE_UPDATE,
        deletions=[make(kind, timestamp=time, type=make.message_class(kind).ALL, id='')],
        entities=[_entity(time, frame.frame_id, instance, classes[instance.segment.class_id].color)
                  for instance in maker.located(result)])


def metric_topic(name: str) -> str:
    """``labels.pq`` as a topic; characters that ROS does not allow become underscores."""
    words = (re.sub('[^A-Za-z0-9_]', '_', word) or '_' for word in name.split('.'))
    return '/'.join((METRICS, *(f'_{word}' if word[0].isdigit() else word for word in words)))


class FoxgloveWriter(ResultBagWriter):
    """A bag of results with what Foxglove draws."""

    compress = True
    outputs = (*RESULTS, 'points')

    def write(self, frame: Frame, result: PanopticDepth, *,
              lidar_depth: NDArray[np.float32] | None = None,
              scalars: Mapping[str, float] | None = None) -> None:
        """Add one frame with its result; for the options see rerun.RerunFile.write."""
        frame, result = self._stamped(frame, result)
        messages = replace(self._messages(frame, result), point_stride=POINT_STRIDE)
        out = self._outgoing(messages)
        fills = outputs_of(result.abilities)
        if 'overlay' in fills:
            out.append(self._jpeg(f'{NODE}/debug/overlay', messages,
                                  overlay(messages.picture, result, self._classes)))
        if 'instances' in fills:
            out.append(Outgoing(ANNOTATIONS_TOPIC, IMAGE_ANNOTATIONS,
                                image_annotations(frame, result, self._classes)))
        if 'detections_3d' in fills:
            out.append(Outgoing(SCENE_TOPIC, SCENE_UPDATE,
                                scene_update(frame, result, self._classes)))
        if lidar_depth is not None:
            measured = replace(result, depth=lidar_depth)
            out.append(Outgoing(LIDAR_TOPIC, POINT_CLOUD,
                                point_cloud(make, messages.head, messages.picture, measured)))
        out += [Outgoing(metric_topic(name), FLOAT, make(FLOAT, data=float(value)))
                for name, value in (scalars or {}).items() if isfinite(value)]
        self.add(result.name or frame.name, frame.stamp_ns, out)

    def _image(self, messages: FrameMessages) -> Outgoing:
        return self._jpeg(self._image_topic, messages, messages.frame.image)

    def _jpeg(self, topic: str, messages: FrameMessages, picture: Picture) -> Outgoing:
        return Outgoing(f'{topic}/compressed', COMPRESSED_IMAGE, make(
            COMPRESSED_IMAGE, header=messages.head, format='jpeg',
            data=make.sequence(encode_jpeg(picture))))


class FoxgloveFile(FoxgloveWriter):
    """The same as a single .mcap file without metadata.yaml, complete or absent."""

    def __init__(self, path: Path, *, overwrite: bool = False, **options: Any) -> None:
        require_absent(path, overwrite)
        self._file = path
        super().__init__(path.with_name(f'.{path.stem}.bag'), overwrite=True, part_bytes=None,
                         **options)

    def close(self) -> None:
        """Finish the file; without any frame none is made."""
        super().close()
        try:
            with disk_errors(self._file):
                for file in self.path.glob('*.mcap'):
                    os.replace(file, self._file)
        finally:
            shutil.rmtree(self.path, ignore_errors=True)
