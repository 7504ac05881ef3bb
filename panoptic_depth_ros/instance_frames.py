# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Positions of instances in the frame that was asked for."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from panoptic_depth_core.inference.rigid_transform import (
    not_transformed,
    rotation_matrix,
    transformed,
)
from panoptic_depth_core.structures import PanopticDepth
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener

POLL_S = 0.002


class Transforms:
    """Listens to tf and transforms results."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer = Buffer(node=node)
        self._listener = TransformListener(self._buffer, node)

    def __call__(self, result: PanopticDepth, target_frame: str, timeout_ms: float,
                 ) -> tuple[PanopticDepth, str]:
        """
        Transform to the target frame at the stamp of the image.

        :returns: the result, and the frame that its positions are in: that of the camera, with
            every instance flagged, where the transform did not come in time.
        """
        try:
            found = self._lookup(target_frame, result.frame_id, Time(nanoseconds=result.stamp_ns),
                                 timeout_ms).transform
        except TransformException as error:
            self._node.get_logger().warning(
                f'positions stay in {result.frame_id!r}: {error}', throttle_duration_sec=5.0)
            return replace(result, distances=not_transformed(result.distances)), result.frame_id
        q, t = found.rotation, found.translation
        distances = transformed(result.distances, rotation_matrix(q.x, q.y, q.z, q.w),
                                np.array([t.x, t.y, t.z]))
        return replace(result, distances=distances), target_frame

    def _lookup(self, target: str, source: str, stamp: Time, timeout_ms: float) -> Any:
        # tf2's own waiting goes by the clock of the node, which stands still in a paused replay.
        end_s = time.monotonic() + timeout_ms / 1e3
        while (not self._buffer.can_transform(target, source, stamp)
               and time.monotonic() < end_s):
            time.sleep(POLL_S)
        return self._buffer.lookup_transform(target, source, stamp)
