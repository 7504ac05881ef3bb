# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The topics of one frame's results: names, types, and how each message is made.

Bags and the node both go by this table, so a recording looks the same whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...contract import (
    NEEDS_DEPTH,
    NEEDS_INSTANCES,
    NEEDS_LABELS,
    NEEDS_POSITIONS,
    Needs,
    Task,
    lacking,
)
from ...labels import CITYSCAPES, ClassInfo, class_of
from ...structures import Frame, PanopticDepth, ScaleSource
from ..visualization import depth_color, overlay, picture_of
from .maker import MessageMaker
from .markers import UP_OPTICAL, marker_array
from .point_clouds import point_cloud
from .types import (
    CAMERA_INFO,
    DETECTION_3D_ARRAY,
    IMAGE,
    INSTANCE_DISTANCE_ARRAY,
    MARKER_ARRAY,
    POINT_CLOUD,
)


@dataclass(frozen=True)
class FrameMessages:
    """
    The messages of one frame and its result, each made when it is asked for.

    :param position_frame_id: frame of the positions of the instances; empty: the camera's.
    :param up: (3,) unit vector, up in that frame.
    :param latency_ns: live: from the stamp to sending; offline: time of processing.
    """

    make: MessageMaker
    frame: Frame
    result: PanopticDepth
    classes: Sequence[ClassInfo] = CITYSCAPES
    position_frame_id: str = ''
    up: Sequence[float] = UP_OPTICAL
    latency_ns: int = 0
    scale_source: ScaleSource = ScaleSource.METRIC_MODEL
    point_stride: int = 2

    @cached_property
    def head(self) -> Any:
        """Header of what is in the camera's frame."""
        return self.make.header(self.frame.stamp_ns, self.frame.frame_id)

    @cached_property
    def position_head(self) -> Any:
        """Header of positions."""
        return self.make.header(self.frame.stamp_ns,
                                self.position_frame_id or self.frame.frame_id)

    @cached_property
    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB image at the size of the result."""
        return picture_of(self.frame, self.result)

    def _image(self, array: NDArray[Any], encoding: str) -> Any:
        return self.make.image(self.head, array, encoding)

    def _bgr(self, picture: NDArray[np.uint8]) -> Any:
        return self._image(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)), 'bgr8')

    def panoptic(self) -> Any:
        """Image 16UC1: panoptic ids."""
        return self._image(self.result.panoptic, '16UC1')

    def semantic(self) -> Any:
        """Image mono8: class ids."""
        return self._image(class_of(self.result.panoptic, self.result.label_divisor), 'mono8')

    def depth(self) -> Any:
        """Image 32FC1: metres along the optical axis (REP-118)."""
        return self._image(self.result.depth.astype(np.float32, copy=False), '32FC1')

    def camera_info(self) -> Any:
        """CameraInfo of the images above."""
        return self.make.camera_info(self.head, self.result.intrinsics)

    def instances(self) -> Any:
        """InstanceDistanceArray."""
        return self.make.instance_distance_array(self.position_head, self.result,
                                                 self.latency_ns, self.scale_source)

    def detections_3d(self) -> Any:
        """Detection3DArray of the same."""
        return self.make.detection_3d_array(self.position_head, self.result)

    def points(self) -> Any:
        """PointCloud2 in the camera's frame."""
        return point_cloud(self.make, self.head, self.picture, self.result, self.point_stride)

    def overlay(self) -> Any:
        """Image bgr8 for people."""
        return self._bgr(overlay(self.picture, self.result, self.classes))

    def depth_color(self) -> Any:
        """Image bgr8 for people."""
        return self._bgr(depth_color(self.result.depth))

    def markers(self) -> Any:
        """MarkerArray: boxes and texts."""
        return marker_array(self.make, self.position_head, self.result, self.classes, self.up)


class OutputTopic(NamedTuple):
    """
    A topic of results.

    :param name: relative to the node.
    :param type: of its messages.
    :param make: makes one.
    :param needs: what a model has to do for it.
    """

    name: str
    type: str
    make: Callable[[FrameMessages], Any]
    needs: Needs = ()


OUTPUTS = {
    'panoptic': OutputTopic('output/panoptic', IMAGE, FrameMessages.panoptic, NEEDS_LABELS),
    'semantic': OutputTopic('output/semantic', IMAGE, FrameMessages.semantic, NEEDS_LABELS),
    'depth': OutputTopic('output/depth', IMAGE, FrameMessages.depth, NEEDS_DEPTH),
    'camera_info': OutputTopic('output/camera_info', CAMERA_INFO, FrameMessages.camera_info),
    'instances': OutputTopic('output/instances', INSTANCE_DISTANCE_ARRAY, FrameMessages.instances,
                             NEEDS_INSTANCES),
    'detections_3d': OutputTopic('output/detections_3d', DETECTION_3D_ARRAY,
                                 FrameMessages.detections_3d, NEEDS_POSITIONS),
    'points': OutputTopic('output/points', POINT_CLOUD, FrameMessages.points, NEEDS_DEPTH),
    'overlay': OutputTopic('debug/overlay', IMAGE, FrameMessages.overlay, NEEDS_LABELS),
    'depth_color': OutputTopic('debug/depth_color', IMAGE, FrameMessages.depth_color, NEEDS_DEPTH),
    'markers': OutputTopic('debug/markers', MARKER_ARRAY, FrameMessages.markers, NEEDS_POSITIONS),
}
"""Short name -> topic."""

NODE_TOPICS = (*(topic.name for topic in OUTPUTS.values()), 'output/label_info', 'output/status')
"""Everything that the node publishes under its own name."""


def outputs_of(tasks: frozenset[Task]) -> dict[str, OutputTopic]:
    """Those of OUTPUTS that a model with these tasks can fill."""
    return {name: topic for name, topic in OUTPUTS.items() if not lacking(topic.needs, tasks)}
