# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the node says of itself: ~/output/status, /diagnostics and the log."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import Any

from panoptic_depth_core.io.messages.types import DIAGNOSTIC_ARRAY, INFERENCE_STATUS
from panoptic_depth_core.status import StreamState, StreamStatus
from panoptic_depth_core.streaming import health
from panoptic_depth_core.streaming.settings import DiagnosticsSettings
from panoptic_depth_ros.conversions import ROS_MESSAGES
from panoptic_depth_ros.endpoints import Endpoints, profile
from panoptic_depth_ros.inputs import Inputs
from rclpy.node import Node


class Reports:
    """Publishes status and diagnostics, in every state of the node."""

    def __init__(self, node: Node, endpoints: Endpoints) -> None:
        self._node = node
        self._endpoints = endpoints
        self._sent_s = -math.inf
        self._status = endpoints.publisher('~/output/status', INFERENCE_STATUS,
                                           profile(1, latched=True))
        self._diagnostics = endpoints.publisher('/diagnostics', DIAGNOSTIC_ARRAY, profile(10))
        self._last: tuple[StreamState, str] | None = None

    def due(self, state: tuple[StreamState, str], period_s: float) -> bool:
        """Whether the last report is so long ago, or state and message are others since."""
        return (state != self._last
                or time.monotonic() - self._sent_s >= period_s)

    def send(self, status: StreamStatus, limits: DiagnosticsSettings, inputs: Inputs | None,
             bad_frame: str) -> None:
        """
        Send both.

        :param inputs: None while the node is not active.
        :param bad_frame: why an image was skipped a short time ago; empty where none was.
        """
        self._last, self._sent_s = (status.state, status.message), time.monotonic()
        healths = [
            health.engine_health(status),
            health.input_health(status, bad_frame, inputs.age_s if inputs else math.nan),
            health.camera_health(*(inputs.camera_problem() if inputs else ('', False))),
            health.latency_health(status, limits),
            health.gpu_health(status),
            health.qos_health(self._endpoints.problems(), status.messages_lost)]
        head = ROS_MESSAGES.header(self._node.get_clock().now().nanoseconds, '')
        name = self._node.get_fully_qualified_name().lstrip('/')
        self._status.publish(ROS_MESSAGES.inference_status(head, status))
        self._diagnostics.publish(ROS_MESSAGES.diagnostic_array(
            head, [replace(item, name=f'{name}: {item.name}') for item in healths],
            status.model_id or name))


class RosLogHandler(logging.Handler):
    """What the core logs, to the log of the node."""

    def __init__(self, node: Node) -> None:
        super().__init__(logging.INFO)
        self._logger: Any = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on; rclpy wants one line of code per severity."""
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)
