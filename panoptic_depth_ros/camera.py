#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
``ros2 run panoptic_depth camera TOPIC``: panoptic-depth camera for a topic that is published now.

It listens as the node would, writes what comes into a bag, and shows the camera of that.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rclpy
from panoptic_depth_core.cli import EXIT_USER
from panoptic_depth_core.cli import main as command_line
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.bags.storage import Message, deserialize
from panoptic_depth_core.io.bags.writing import BagWriter, Outgoing
from panoptic_depth_core.io.messages.types import CAMERA_INFO
from panoptic_depth_core.io.sources.bag_source import IMAGE_TYPES
from panoptic_depth_ros.endpoints import message_class, profile
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

LOOK_S = 5.0
"""Time for the image topic to be found, and again for its first images to come."""
LISTEN_S = 1.0
"""Time to listen after the first image, for every CameraInfo to come."""


def record(node: Node, executor: SingleThreadedExecutor, topic: str, bag: Path) -> None:
    """
    Write a second of images and of every CameraInfo into a bag.

    :raises ConfigError: the topic is not there, has no images, or none come.
    """
    def kinds() -> dict[str, list[str]]:
        return dict(node.get_topic_names_and_types())

    def until(done: Callable[[], object], seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while not done() and time.monotonic() < end_s:
            executor.spin_once(0.05)

    until(lambda: topic in kinds(), LOOK_S)
    # Those of one process are found one after the other.
    until(lambda: False, LISTEN_S)
    there = kinds()
    if (kind := next((k for k in there.get(topic, []) if k in IMAGE_TYPES), None)) is None:
        images = sorted(name for name, found in there.items() if {*found} & {*IMAGE_TYPES})
        raise ConfigError(f'{topic}: {f"is {there[topic][0]}" if topic in there else "no such"} '
                          f'topic; image topics are: {", ".join(images) or "none"}')
    heard: list[Message] = []

    def listen(name: str, of: str) -> None:
        def hear(data: bytes) -> None:
            heard.append(Message(name, of, time.time_ns(), data))
        node.create_subscription(message_class(of), name, hear, profile(10, best_effort=True),
                                 raw=True)

    for name, found in there.items():
        if CAMERA_INFO in found:
            listen(name, CAMERA_INFO)
    listen(topic, kind)
    until(lambda: any(message.topic == topic for message in heard), LOOK_S)
    until(lambda: False, LISTEN_S)
    if not any(message.topic == topic for message in heard):
        raise ConfigError(f'{topic}: no image came within {LOOK_S:g} s; look at ros2 topic hz')
    with BagWriter(bag) as writer:
        for index, message in enumerate(heard):
            writer.add(f'{index:06d}', message.stamp_ns, [
                Outgoing(message.topic, message.type, deserialize(message))])


def main(args: list[str] | None = None) -> int:
    """
    Listen, then show.

    :param args: the topic, then options of panoptic-depth camera.
    :returns: its exit code.
    """
    given = rclpy.utilities.remove_ros_args([sys.argv[0], *args] if args else sys.argv)[1:]
    if not given or given[0].startswith('-'):
        print('camera: give an image topic, then options as of panoptic-depth camera',
              file=sys.stderr)
        return EXIT_USER
    rclpy.init(args=args)
    node = rclpy.create_node('panoptic_depth_camera')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        with tempfile.TemporaryDirectory() as folder:
            bag, topic = Path(folder) / 'live', node.resolve_topic_name(given[0])
            record(node, executor, topic, bag)
            return command_line(['camera', str(bag), '--image-topic', topic, *given[1:]])
    except ConfigError as error:
        print(f'camera: {error}', file=sys.stderr)
        return EXIT_USER
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
