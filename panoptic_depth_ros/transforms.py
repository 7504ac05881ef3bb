# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Transforms between frames at the stamp of an image, from tf."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from panoptic_depth_core.io.bags.transforms import TransformError, pose_matrix
from panoptic_depth_core.reasons import kind_of
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener

_POLL_S = 0.002


class Transforms:
    """Listens to tf from the first use on."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer: Buffer | None = None

    def listen(self) -> None:
        """Begin to listen, in the thread of the executor."""
        if self._buffer is None:
            self._buffer = Buffer(node=self._node)
            self._listener = TransformListener(self._buffer, self._node)

    def matrix(self, target: str, source: str, stamp_ns: int, timeout_ms: float,
               ) -> NDArray[np.float64]:
        """
        Wait for a transform; not in the thread of the executor.

        :returns: (4, 4) from the source to the target.
        :raises TransformError: it is not known within the timeout.
        """
        assert self._buffer is not None, 'call listen() first'
        stamp = Time(nanoseconds=stamp_ns)
        end_s = time.monotonic() + timeout_ms / 1e3
        try:
            # The waiting of tf2 uses the clock of the node, which stands still in a paused replay.
            while (not self._buffer.can_transform(target, source, stamp)
                   and time.monotonic() < end_s):
                time.sleep(_POLL_S)
            found = self._buffer.lookup_transform(target, source, stamp).transform
        except TransformException as error:
            # tf2 names the times, which are others for every image.
            raise TransformError(kind_of(str(error).rstrip('. '))) from None
        q, t = found.rotation, found.translation
        return pose_matrix(np.array([t.x, t.y, t.z, q.x, q.y, q.z, q.w]))
