# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Instances as boxes with text, for RViz and Foxglove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import TASKS, Task
from ...labels import CITYSCAPES, ClassInfo
from ...structures import InstanceDistance, PanopticDepth
from ..visualization import label_text
from .maker import MessageMaker, located
from .types import MARKER, MARKER_ARRAY

UP_OPTICAL = (0.0, -1.0, 0.0)
"""Up in an optical frame, as long as the camera is level (REP-103: y down)."""

UP_BODY = (0.0, 0.0, 1.0)
"""Up in the frames of robots and maps (REP-103: z up)."""

LEAST_SIZE_M = 0.1
"""A surface seen head-on has no depth, but viewers complain of boxes without volume."""

BOX_OPACITY = 0.4
TEXT_HEIGHT_M = 0.6
LIFETIME_NS = 1_000_000_000

_NONE = np.zeros(3)
_WHITE = (255, 255, 255)


def _marker(make: MessageMaker, head: Any, namespace: str, number: int, kind: str,
            position: NDArray[np.float64] = _NONE, scale: NDArray[np.float64] = _NONE,
            color: Sequence[int] = _WHITE, opacity: float = 1.0, text: str = '',
            lifetime_ns: int = 0, action: str = 'ADD') -> Any:
    """visualization_msgs/Marker; kind and action are names of its constants."""
    constants = make.message_class(MARKER)
    r, g, b = (channel / 255.0 for channel in color)
    return make(
        MARKER, header=head, ns=namespace, id=number, type=getattr(constants, kind),
        action=getattr(constants, action), pose=make.pose(position),
        scale=make.vector('Vector3', scale),
        color=make('std_msgs/msg/ColorRGBA', r=r, g=g, b=b, a=opacity),
        lifetime=make.time(lifetime_ns, 'Duration'), frame_locked=False, points=[], colors=[],
        texture_resource='', uv_coordinates=[], text=text, mesh_resource='',
        mesh_use_embedded_materials=False,
        texture=make('sensor_msgs/msg/CompressedImage', header=head, format='',
                     data=make.sequence(np.empty(0, np.uint8))),
        mesh_file=make('visualization_msgs/msg/MeshFile', filename='',
                       data=make.sequence(np.empty(0, np.uint8))))


def tracked_text(instance: InstanceDistance, tasks: frozenset[Task] = TASKS) -> str:
    """``car 12.3 m #7``; the number is that of the track, where there is one."""
    track = f' #{instance.track_id}' if instance.track_id >= 0 else ''
    return label_text(instance, tasks) + track


def box_size(instance: InstanceDistance) -> NDArray[np.float64]:
    """(3,) metres: the visible extent, where that is known and enough to be seen."""
    return np.fmax(instance.size_m.astype(np.float64), LEAST_SIZE_M)


def text_place(instance: InstanceDistance, up: Sequence[float]) -> NDArray[np.float64]:
    """(3,) metres: where a text stands clear of the box, in the direction up."""
    upward = np.asarray(up, np.float64)
    above = 0.5 * float(np.abs(upward) @ box_size(instance)) + TEXT_HEIGHT_M
    return instance.position_m.astype(np.float64) + above * upward


def marker_array(make: MessageMaker, head: Any, result: PanopticDepth,
                 classes: Sequence[ClassInfo] = CITYSCAPES,
                 up: Sequence[float] = UP_OPTICAL, lifetime_ns: int = LIFETIME_NS) -> Any:
    """
    visualization_msgs/MarkerArray: a box and a text per instance whose position is known.

    The first marker deletes what was there before. A box has the visible extent along the axes
    of the frame and stands around the median of the visible points, so it is about the surface
    that the camera sees, not the whole object: what is behind that is not known.

    :param head: header in the frame that positions and sizes are in.
    :param up: (3,) direction in that frame, of length 1, in which the text stands off the box.
    :param lifetime_ns: after which a viewer drops them if no others come.
    """
    markers = [_marker(make, head, '', 0, 'CUBE', action='DELETEALL')]
    for instance in located(result):
        number = int(instance.segment.panoptic_id)
        markers += [
            _marker(make, head, 'boxes', number, 'CUBE',
                    instance.position_m.astype(np.float64), box_size(instance),
                    classes[instance.segment.class_id].color, BOX_OPACITY,
                    lifetime_ns=lifetime_ns),
            _marker(make, head, 'texts', number, 'TEXT_VIEW_FACING',
                    text_place(instance, up), np.full(3, TEXT_HEIGHT_M),
                    text=tracked_text(instance), lifetime_ns=lifetime_ns),
        ]
    return make(MARKER_ARRAY, markers=markers)
