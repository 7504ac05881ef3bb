# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Instances as annotations of the image and as a scene, in the messages that Foxglove draws.

Foxglove counts px from the corner of the top-left pixel: what has its centre at (u, v) here is at
(u + 0.5, v + 0.5) there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, InstanceDistance, PanopticDepth
from ..messages.maker import MessageMaker, located
from ..messages.markers import (
    BOX_OPACITY,
    LIFETIME_NS,
    TEXT_HEIGHT_M,
    UP_OPTICAL,
    box_size,
    text_place,
    tracked_text,
)
from ..results.instance_lines import flag_names
from ..visualization import placement
from .foxglove_types import IMAGE_ANNOTATIONS, SCENE_UPDATE

OUTLINE_TOLERANCE_PX = 1.0
"""An outline is off its mask by that much at most; it has a tenth of the points then."""

MASK_OPACITY = 0.3
BACKGROUND_OPACITY = 0.6
WHITE = (255, 255, 255)


def _color(make: MessageMaker, rgb: Sequence[int], opacity: float = 1.0) -> Any:
    r, g, b = (channel / 255.0 for channel in rgb)
    return make('foxglove_msgs/msg/Color', r=r, g=g, b=b, a=opacity)


def _metadata(make: MessageMaker, values: dict[str, object]) -> list[Any]:
    return [make('foxglove_msgs/msg/KeyValuePair', key=key, value=str(value))
            for key, value in values.items()]


def _points(make: MessageMaker, points: Iterable[Iterable[float]]) -> list[Any]:
    return [make('foxglove_msgs/msg/Point2', x=float(x), y=float(y)) for x, y in points]


def outlines(panoptic: NDArray[np.uint16], instance: InstanceDistance
             ) -> list[NDArray[np.float64]]:
    """
    Outer outlines of the parts of an instance, through the centres of the pixels at its border.

    :param panoptic: (H, W) uint16 panoptic ids.
    :returns: (N, 2) float64 px each, N >= 3; what is only a line or a dot has none.
    """
    x, y, width, height = instance.roi
    mask = panoptic[y:y + height, x:x + width] == instance.segment.panoptic_id
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE,
                                offset=(x, y))
    simple = (cv2.approxPolyDP(line, OUTLINE_TOLERANCE_PX, True)[:, 0] for line in found)
    return [line.astype(np.float64) for line in simple if len(line) >= 3]


def image_annotations(make: MessageMaker, frame: Frame, result: PanopticDepth,
                      classes: Sequence[ClassInfo] = CITYSCAPES) -> Any:
    """
    foxglove_msgs/ImageAnnotations: box, outlines and text per thing, in px of the frame's image.

    Stuff has none: its box would be most of the image.
    """
    time = make.time(frame.stamp_ns)
    scale_x, scale_y, left, top = placement(frame.intrinsics, result.intrinsics)
    scale, corner = np.array([scale_x, scale_y]), np.array([left, top])
    constants = make.message_class('foxglove_msgs/msg/PointsAnnotation')
    font_px = max(10.0, min(frame.image.shape[:2]) / 30.0)

    def loop(points: NDArray[np.float64], color: Sequence[int], thickness_px: float,
             opacity: float) -> Any:
        return make('foxglove_msgs/msg/PointsAnnotation', timestamp=time,
                    type=constants.LINE_LOOP, points=_points(make, points * scale + corner),
                    outline_color=_color(make, color), outline_colors=[],
                    fill_color=_color(make, color, opacity), thickness=thickness_px, metadata=[])

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
            # Where the box begins at the top of the image, the text is within it.
            position=_points(make, [(place[0], max(place[1], font_px))])[0],
            text=tracked_text(instance, result.tasks), font_size=font_px,
            text_color=_color(make, WHITE),
            background_color=_color(make, color, BACKGROUND_OPACITY), metadata=[]))
    return make(IMAGE_ANNOTATIONS, timestamp=time, circles=[], points=loops, texts=texts,
                metadata=_metadata(make, {'frame': frame.name, 'model': result.model_id}))


def _entity(make: MessageMaker, time: Any, frame_id: str, instance: InstanceDistance,
            color: Sequence[int], up: Sequence[float], lifetime_ns: int) -> Any:
    """A box and a text; as metadata what a click on them shows."""
    segment, track = instance.segment, instance.track_id
    values = {
        'class': instance.class_name, 'score': f'{segment.score:.3f}',
        'distance_m': f'{instance.distance_m:.2f}',
        'distance_stddev_m': f'{instance.distance_stddev_m:.2f}',
        'distance_near_m': f'{instance.distance_near_m:.2f}',
        'panoptic_id': segment.panoptic_id, 'track_id': track,
        'flags': ' '.join(flag_names(instance.flags))}
    cube = make('foxglove_msgs/msg/CubePrimitive', pose=make.pose(instance.position_m),
                size=make.vector('Vector3', box_size(instance)),
                color=_color(make, color, BOX_OPACITY))
    text = make('foxglove_msgs/msg/TextPrimitive', pose=make.pose(text_place(instance, up)),
                billboard=True, font_size=TEXT_HEIGHT_M, scale_invariant=False,
                color=_color(make, WHITE), text=tracked_text(instance))
    return make(
        'foxglove_msgs/msg/SceneEntity', timestamp=time, frame_id=frame_id,
        id=f'track {track}' if track >= 0 else f'segment {segment.panoptic_id}',
        lifetime=make.time(lifetime_ns, 'Duration'), frame_locked=False,
        metadata=_metadata(make, values), arrows=[], cubes=[cube], spheres=[], cylinders=[],
        lines=[], triangles=[], texts=[text], models=[])


def scene_update(make: MessageMaker, frame: Frame, result: PanopticDepth,
                 classes: Sequence[ClassInfo] = CITYSCAPES, up: Sequence[float] = UP_OPTICAL,
                 lifetime_ns: int = LIFETIME_NS) -> Any:
    """
    foxglove_msgs/SceneUpdate: a box and a text per instance whose position is known.

    It deletes what was there before. The boxes are those of markers.marker_array; an entity goes
    by its track id, without one by its panoptic id.

    :param up: (3,) direction in the frame of the camera in which the text stands off the box.
    :param lifetime_ns: after which Foxglove drops them if no others come.
    """
    time = make.time(frame.stamp_ns)
    constants = make.message_class('foxglove_msgs/msg/SceneEntityDeletion')
    return make(
        SCENE_UPDATE,
        deletions=[make('foxglove_msgs/msg/SceneEntityDeletion', timestamp=time,
                        type=constants.ALL, id='')],
        entities=[_entity(make, time, frame.frame_id, instance,
                          classes[instance.segment.class_id].color, up, lifetime_ns)
                  for instance in located(result)])
