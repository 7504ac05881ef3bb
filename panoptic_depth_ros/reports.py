# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the node says of itself: ~/output/status, /diagnostics and the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from panoptic_depth_core.io.message_types import DIAGNOSTIC_ARRAY, INFERENCE_STATUS
from panoptic_depth_core.status import Health, StreamState, StreamStatus
from panoptic_depth_ros.conversions import ROS_MESSAGES
from panoptic_depth_ros.endpoints import Endpoints, profile
from rclpy.node import Node


class Reports:
    """Publishes status and diagnostics, in every state of the node."""

    def __init__(self, node: Node, endpoints: Endpoints) -> None:
        self._node = node
        self._status = endpoints.publisher('~/output/status', INFERENCE_STATUS,
                                           profile(1, latched=True))
        self._diagnostics = endpoints.publisher('/diagnostics', DIAGNOSTIC_ARRAY, profile(10))
        self._last: tuple[StreamState, str] | None = None

    def send(self, status: StreamStatus, healths: Sequence[Health]) -> None:
        """Send both."""
        self._last = status.state, status.message
        head = ROS_MESSAGES.header(self._node.get_clock().now().nanoseconds, '')
        name = self._node.get_fully_qualified_name().lstrip('/')
        self._status.publish(ROS_MESSAGES.inference_status(head, status))
        self._diagnostics.publish(ROS_MESSAGES.diagnostic_array(
            head, [replace(health, name=f'{name}: {health.name}') for health in healths],
            status.model_id or name))

    def is_news(self, status: StreamStatus) -> bool:
        """Whether the state is another than the one that was sent last."""
        return (status.state, status.message) != self._last


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
