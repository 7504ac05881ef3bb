# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Message classes of rclpy; publishers and subscriptions with QoS overrides and QoS events."""

from __future__ import annotations

import importlib
import time
from array import array
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages import types
from panoptic_depth_core.io.messages.maker import MessageMaker
from panoptic_depth_core.io.messages.video_packets import PACKET_TYPES
from panoptic_depth_core.io.video_decoding import pyav
from rclpy import qos
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy import event_handler
except ImportError:
    # Its name in Humble.
    from rclpy import qos_event as event_handler

SETTLING_S = 5.0
"""The middleware may report an incompatible endpoint before it lists it."""


@cache
def message_class(name: str) -> Any:
    """
    Class of a message.

    :param name: such as 'sensor_msgs/msg/Image'.
    :raises ImportError: its package is not installed or not sourced.
    """
    package, kind, name = name.split('/')
    return getattr(importlib.import_module(f'{package}.{kind}'), name)


def require_transport(transport: str) -> None:
    """
    Check that images of a transport can be received.

    :raises ConfigError: the package of its messages, or PyAV, is missing.
    """
    kind = types.IMAGE_TRANSPORTS[transport]
    package = kind.partition('/')[0]
    try:
        message_class(kind)
    except ImportError:
        raise ConfigError(
            f'image_transport is {transport!r}, which needs the package {package}; install '
            f'ros-$ROS_DISTRO-{package.replace("_", "-")} and source it') from None
    if kind in PACKET_TYPES:
        pyav(f'image_transport {transport!r}')


def _sequence(values: NDArray[Any]) -> array[Any]:
    """
    Numbers as stored in the message classes.

    They also accept a numpy array, but check and copy it number by number: 2.8 MB of pixels take
    234 ms that way and 0.1 ms this way.

    :param values: (N,) contiguous uint8, float32 or float64.
    """
    stored = array(values.dtype.char)
    stored.frombytes(values.view(np.uint8).data)
    return stored


ROS_MESSAGES = MessageMaker(message_class, _sequence, lambda value: bytes((value,)))
"""Makes messages that rclpy publishes."""


_OVERRIDABLE = QoSOverridingOptions((qos.QoSPolicyKind.HISTORY, qos.QoSPolicyKind.DEPTH,
                                     qos.QoSPolicyKind.RELIABILITY, qos.QoSPolicyKind.DURABILITY))


def profile(depth: int, *, best_effort: bool = False, latched: bool = False) -> qos.QoSProfile:
    """Keep-last QoS; reliable and volatile by default."""
    reliability, durability = qos.QoSReliabilityPolicy, qos.QoSDurabilityPolicy
    return qos.QoSProfile(
        depth=depth,
        reliability=reliability.BEST_EFFORT if best_effort else reliability.RELIABLE,
        durability=durability.TRANSIENT_LOCAL if latched else durability.VOLATILE)


class Endpoints:
    """
    Creates publishers and subscriptions, and collects their QoS events.

    :param count_lost: called with the number of lost messages.
    """

    def __init__(self, node: Node, count_lost: Callable[[int], None]) -> None:
        self._problems: dict[str, tuple[str, float]] = {}
        self._node = node
        self._count_lost = count_lost

    def problems(self) -> list[str]:
        """Incompatible QoS, one message per topic; problems that are gone are dropped."""
        for topic, (_, when_s) in list(self._problems.items()):
            if time.monotonic() - when_s > SETTLING_S and self._compatible(topic):
                del self._problems[topic]
        return [problem for problem, _ in self._problems.values()]

    def publisher(self, topic: str, type_name: str, quality: qos.QoSProfile, *,
                  managed: bool = False) -> Any:
        """Create a publisher; a managed one sends only while the node is active."""
        create = (self._node.create_lifecycle_publisher if managed
                  else self._node.create_publisher)
        name = self._node.resolve_topic_name(topic)
        return _with_events(
            lambda **events: create(
                message_class(type_name), topic, quality, qos_overriding_options=_OVERRIDABLE,
                event_callbacks=event_handler.PublisherEventCallbacks(**events)),
            incompatible_qos=lambda event: self._incompatible(name, 'subscriber', event))

    def subscription(self, topic: str, type_name: str, quality: qos.QoSProfile,
                     callback: Callable[[Any], None]) -> Any:
        """Create a subscription."""
        name = self._node.resolve_topic_name(topic)
        return _with_events(
            lambda **events: self._node.create_subscription(
                message_class(type_name), topic, callback, quality,
                qos_overriding_options=_OVERRIDABLE,
                event_callbacks=event_handler.SubscriptionEventCallbacks(**events)),
            incompatible_qos=lambda event: self._incompatible(name, 'publisher', event),
            message_lost=lambda event: self._count_lost(event.total_count_change))

    def _incompatible(self, topic: str, other: str, event: Any) -> None:
        policy = qos.qos_policy_name_from_kind(event.last_policy_kind)
        problem = (f'{topic}: the {policy} of a {other} is incompatible; set '
                   f'qos_overrides.{topic} here or change it there')
        former, _ = self._problems.get(topic, ('', 0.0))
        self._problems[topic] = problem, time.monotonic()
        if former != problem:
            self._node.get_logger().warning(problem)

    def _compatible(self, topic: str) -> bool:
        """Whether our QoS on a topic is compatible with that of all other nodes."""
        publishers = self._node.get_publishers_info_by_topic(topic)
        subscriptions = self._node.get_subscriptions_info_by_topic(topic)
        me = self._node.get_name(), self._node.get_namespace()
        return not any(
            me in ((p.node_name, p.node_namespace), (s.node_name, s.node_namespace))
            and qos.qos_check_compatible(p.qos_profile, s.qos_profile)[0]
            == qos.QoSCompatibility.ERROR
            for p in publishers for s in subscriptions)


def _with_events(create: Callable[..., Any], **events: Callable[[Any], None]) -> Any:
    """Create an endpoint, with events if the middleware supports them."""
    try:
        return create(**events)
    except event_handler.UnsupportedEventTypeError:
        return create()
