# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The topics of one frame's results: names, types, and how each message is made.

Bags and the node both use this table, so their recordings look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import contract
from ...labels import CITYSCAPES, ClassInfo, class_of
from ...structures import Frame, PanopticDepth
from ..visualization import depth_color, overlay, picture_of
from . import types as msg
from .maker import UP_OPTICAL, MessageMaker, marker_array
from .point_clouds import point_cloud


@dataclass(frozen=True)
class FrameMessages:
    """
    One frame with its result, as OUTPUTS makes messages of it.

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
    point_stride: int = 2

    @cached_property
    def head(self) -> Any:
        """Header in the camera's frame."""
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

    def image(self, array: NDArray[Any], encoding: str) -> Any:
        """Image of values."""
        return self.make.image(self.head, array, encoding)

    def bgr(self, picture: NDArray[np.uint8]) -> Any:
        """Image bgr8 of an (H, W, 3) uint8 RGB picture."""
        return self.image(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)), 'bgr8')


class OutputTopic(NamedTuple):
    """
    A topic of results.

    :param name: relative to the node; its last word is the topic's short name.
    :param make: makes a message of that type.
    :param needs: tasks that the model must do.
    """

    name: str
    type: str
    make: Callable[[FrameMessages], Any]
    needs: contract.Needs = ()


_NEEDS_POSITIONS = (*contract.NEEDS_LIST, *contract.NEEDS_DEPTH)

OUTPUTS = {topic.name.rpartition('/')[2]: topic for topic in (
    # 16UC1: panoptic ids
    OutputTopic('output/panoptic', msg.IMAGE, lambda of: of.image(
        of.result.panoptic, '16UC1'), contract.NEEDS_LABELS),
    # mono8: class ids
    OutputTopic('output/semantic', msg.IMAGE, lambda of: of.image(
        class_of(of.result.panoptic, of.result.label_divisor), 'mono8'), contract.NEEDS_LABELS),
    # 32FC1: meters along the optical axis (REP-118)
    OutputTopic('output/depth', msg.IMAGE, lambda of: of.image(
        of.result.depth.astype(np.float32, copy=False), '32FC1'), contract.NEEDS_DEPTH),
    # of the three images above
    OutputTopic('output/camera_info', msg.CAMERA_INFO, lambda of: of.make.camera_info(
        of.head, of.result.intrinsics)),
    OutputTopic('output/instances', msg.INSTANCE_DISTANCE_ARRAY,
                lambda of: of.make.instance_distance_array(
                    of.position_head, of.result, of.latency_ns),
                contract.NEEDS_LIST),
    OutputTopic('output/detections_3d', msg.DETECTION_3D_ARRAY,
                lambda of: of.make.detection_3d_array(of.position_head, of.result),
                _NEEDS_POSITIONS),
    OutputTopic('output/points', msg.POINT_CLOUD, lambda of: point_cloud(
        of.make, of.head, of.picture, of.result, of.point_stride), contract.NEEDS_DEPTH),
    OutputTopic('debug/overlay', msg.IMAGE, lambda of: of.bgr(
        overlay(of.picture, of.result, of.classes)), contract.NEEDS_LABELS),
    OutputTopic('debug/depth_color', msg.IMAGE, lambda of: of.bgr(
        depth_color(of.result.depth)), contract.NEEDS_DEPTH),
    OutputTopic('debug/markers', msg.MARKER_ARRAY, lambda of: marker_array(
        of.make, of.position_head, of.result, of.classes, of.up), _NEEDS_POSITIONS),
)}
"""Short name -> topic."""

NODE_TOPICS = (*(topic.name for topic in OUTPUTS.values()), 'output/label_info', 'output/status')
"""All topics below the node's own name."""


def outputs_of(able: frozenset[contract.Ability]) -> dict[str, OutputTopic]:
    """Those of OUTPUTS that a model can fill that is able to do this; see contract.abilities."""
    return {name: topic for name, topic in OUTPUTS.items()
            if not contract.lacking(topic.needs, able)}
