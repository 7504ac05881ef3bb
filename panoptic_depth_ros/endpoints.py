# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishers and subscriptions whose quality of service can be overridden and is watched over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from panoptic_depth_ros.conversions import message_class
from rclpy.node import Node
from rclpy.qos import (
    QoSCompatibility,
    QoSDurabilityPolicy,
    QoSPolicyKind,
    QoSProfile,
    QoSReliabilityPolicy,
    qos_check_compatible,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy import event_handler
except ImportError:
    # Humble has it under its former name.
    from rclpy import qos_event as event_handler

SETTLING_S = 5.0
"""The middleware may say that two do not fit before it lists them both."""


def profile(depth: int, *, best_effort: bool = False, latched: bool = False) -> QoSProfile:
    """Keep the last messages; reliable and volatile unless said otherwise."""
    return QoSProfile(
        depth=depth,
        reliability=(QoSReliabilityPolicy.BEST_EFFORT if best_effort
                     else QoSReliabilityPolicy.RELIABLE),
        durability=(QoSDurabilityPolicy.TRANSIENT_LOCAL if latched
                    else QoSDurabilityPolicy.VOLATILE))


class Endpoints:
    """
    Makes publishers and subscriptions, and remembers what the middleware says of them.

    :param count_lost: called with the number of messages that were lost.
    """

    def __init__(self, node: Node, count_lost: Callable[[int], None]) -> None:
        self._problems: dict[str, tuple[str, float]] = {}
        self._node = node
        self._count_lost = count_lost

    def problems(self) -> list[str]:
        """What does not fit, one per topic; what has gone meanwhile is left out."""
        for topic, (_, when_s) in list(self._problems.items()):
            if time.monotonic() - when_s > SETTLING_S and self._fits(topic):
                del self._problems[topic]
        return [problem for problem, _ in self._problems.values()]

    def publisher(self, topic: str, type_name: str, qos: QoSProfile, *,
                  managed: bool = False) -> Any:
        """Return a publisher; a managed one sends only while the node is active."""
        create = (self._node.create_lifecycle_publisher if managed
                  else self._node.create_publisher)
        name = self._node.resolve_topic_name(topic)
        return self._with_events(
            lambda **events: create(
                message_class(type_name), topic, qos, qos_overriding_options=_overridable(),
                event_callbacks=event_handler.PublisherEventCallbacks(**events)),
            incompatible_qos=lambda event: self._incompatible(name, 'subscriber', event))

    def subscription(self, topic: str, type_name: str, qos: QoSProfile,
                     callback: Callable[[Any], None]) -> Any:
        """Return a subscription."""
        name = self._node.resolve_topic_name(topic)
        return self._with_events(
            lambda **events: self._node.create_subscription(
                message_class(type_name), topic, callback, qos,
                qos_overriding_options=_overridable(),
                event_callbacks=event_handler.SubscriptionEventCallbacks(**events)),
            incompatible_qos=lambda event: self._incompatible(name, 'publisher', event),
            message_lost=lambda event: self._count_lost(event.total_count_change))

    def _with_events(self, create: Callable[..., Any], **events: Callable[[Any], None]) -> Any:
        """Create with the events that the middleware has."""
        try:
            return create(**events)
        except event_handler.UnsupportedEventTypeError:
            return create()

    def _incompatible(self, topic: str, other: str, event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        problem = (f'{topic}: a {other} does not fit in {policy}; set qos_overrides.{topic} here '
                   'or change it there')
        former, _ = self._problems.get(topic, ('', 0.0))
        self._problems[topic] = problem, time.monotonic()
        if former != problem:
            self._node.get_logger().warning(problem)

    def _fits(self, topic: str) -> bool:
        """Whether nobody on a topic keeps us from being heard, or from hearing."""
        publishers = self._node.get_publishers_info_by_topic(topic)
        subscriptions = self._node.get_subscriptions_info_by_topic(topic)
        me = self._node.get_name(), self._node.get_namespace()
        return not any(
            me in ((p.node_name, p.node_namespace), (s.node_name, s.node_namespace))
            and qos_check_compatible(p.qos_profile, s.qos_profile)[0] == QoSCompatibility.ERROR
            for p in publishers for s in subscriptions)


def _overridable() -> QoSOverridingOptions:
    return QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH,
                                 QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY))
