# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The other side of the node under test: a camera, listeners, and whoever calls services."""

from __future__ import annotations

import threading
import time
import unittest
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import launch_testing
import launch_testing.asserts
import numpy as np
import rclpy
from controllable_node import RED_STEP
from lifecycle_msgs.srv import ChangeState, GetState
from numpy.typing import NDArray
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_core.io.messages.reading import stamp_of
from panoptic_depth_core.io.messages.types import (
    CAMERA_INFO,
    DIAGNOSTIC_ARRAY,
    IMAGE,
    INFERENCE_STATUS,
)
from panoptic_depth_core.status import StreamState
from panoptic_depth_core.structures import Intrinsics
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class, profile
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter

PATIENCE_S = 60.0
"""Machines that run tests are slow at times; nothing is waited for that long when all is well."""

WIDTH, HEIGHT = 128, 64
CAMERA = Intrinsics(100.0, 100.0, 63.5, 31.5, WIDTH, HEIGHT)
"""At half the size, that of the controllable model, green is meters."""
FRAME_ID = 'camera_optical_frame'
_FOR_VIEWERS = ('points', 'overlay', 'depth_color')


def eventually(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Return what the condition gives as soon as that is true; AssertionError with what."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f'not within {timeout_s:g} s: {what}')


def color_of(row: int, depth_m: int) -> tuple[int, int, int]:
    """Color in which the controllable backend sees a row of its table at a depth."""
    return RED_STEP * row + RED_STEP // 2, depth_m, 0


def picture(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: sky over road at 30 m; cars at 20 m and 10 m, a person at 5 m."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = color_of(0, 30)
    image[:height // 2] = color_of(1, 200)
    for row, depth_m, x in ((2, 20, 0.125), (3, 10, 0.375), (4, 5, 0.625)):
        image[height // 4:height * 7 // 8,
              int(x * width):int((x + 0.1875) * width)] = color_of(row, depth_m)
    return image


class Peer:
    """
    A node of the test, spun in a thread of its own.

    :param namespace: that of the node under test; / for none.
    """

    def __init__(self, namespace: str) -> None:
        self.name = f'/{namespace.strip("/")}/panoptic_depth'.replace('//', '/')
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node('peer', namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.statuses = self.hear('output/status', INFERENCE_STATUS, latched=True)
        self._diagnostics: list[Any] = self.hear('/diagnostics', DIAGNOSTIC_ARRAY)

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        """End the thread and the node."""
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def resolved(self, topic: str) -> str:
        """Return the full name of a topic, a service or an output of the node under test."""
        topic = OUTPUTS[topic].name if topic in OUTPUTS else topic
        return topic if topic.startswith('/') else f'{self.name}/{topic}'

    def hear(self, topic: str, type_name: str = '', *, best_effort: bool = False,
             latched: bool = False, also: Callable[[Any], None] | None = None) -> list[Any]:
        """Return a list to which the messages of a topic are added; of outputs by short name."""
        heard: list[Any] = []

        def take(message: Any) -> None:
            heard.append(message)
            if also is not None:
                also(message)

        self.node.create_subscription(
            message_class(type_name or OUTPUTS[topic].type), self.resolved(topic), take,
            profile(1 if latched else 100, best_effort=best_effort or topic in _FOR_VIEWERS,
                    latched=latched))
        return heard

    def call(self, service: str, kind: Any, **fields: Any) -> Any:
        """Return the answer of a service of the node under test."""
        client = self.node.create_client(kind, self.resolved(service))
        try:
            assert client.wait_for_service(PATIENCE_S), f'{service} is not there'
            future = client.call_async(kind.Request(**fields))
            eventually(future.done, f'{service} answers')
            return future.result()
        finally:
            self.node.destroy_client(client)

    def transition(self, name: str) -> bool:
        """Ask for a transition by its name; whether it was made is returned."""
        request = ChangeState.Request()
        request.transition.label = name
        return bool(self.call('change_state', ChangeState, transition=request.transition).success)

    def lifecycle_state(self) -> str:
        """Name of the state that the node is in."""
        return str(self.call('get_state', GetState).current_state.label)

    def wait_active(self) -> None:
        """Wait for the node to be active."""
        eventually(lambda: self.lifecycle_state() == 'active', 'the node is active')

    def set(self, name: str, value: Any) -> tuple[bool, str]:
        """Set a parameter; returns whether it was taken, and the reason where not."""
        message = Parameter(name, value=value).to_parameter_msg()
        result = self.call('set_parameters', SetParameters, parameters=[message]).results[0]
        return result.successful, result.reason

    def get(self, name: str) -> Any:
        """Value of a parameter."""
        value = self.call('get_parameters', GetParameters, names=[name]).values[0]
        return Parameter.from_parameter_msg(_named(name, value)).value

    def status(self) -> Any:
        """Wait for a status that is sent from now on."""
        sent = len(self.statuses)
        eventually(lambda: len(self.statuses) > sent, 'a new status')
        return self.statuses[-1]

    def wait_state(self, state: StreamState, words: str = '') -> Any:
        """Wait for a status in that state, with these words in its message."""
        return eventually(
            lambda: self.statuses and self.statuses[-1].state == state
            and words in self.statuses[-1].message and self.statuses[-1],
            f'{self.name} is {state.name} {words}')

    def health(self, name: str) -> Any:
        """Return the latest diagnostics of a name, None before the first."""
        for array in reversed(self._diagnostics[-100:]):
            for health in array.status:
                if health.name == f'{self.name[1:]}: {name}':
                    return health
        return None

    def wait_health(self, name: str, level: int, words: str = '') -> Any:
        """Wait for the latest diagnostics of a name to have that level and these words."""
        def fits() -> Any:
            health = self.health(name)
            return (health is not None and health.level == bytes([level])
                    and words in health.message and health)

        try:
            return eventually(fits, f'{name} has level {level} {words!r}')
        except AssertionError as error:
            raise AssertionError(f'{error}; it is {self.health(name)}') from None


def _named(name: str, value: Any) -> Any:
    message = Parameter(name).to_parameter_msg()
    message.value = value
    return message


def stamps(heard: Iterable[Any]) -> list[int]:
    """Stamps of messages, in ns."""
    return [stamp_of(message.markers[0] if hasattr(message, 'markers') else message)
            for message in heard]


class Camera:
    """
    Publishes images and their camera_info.

    :param image_topic, info_topic: names; relative ones are inputs of the node under test.
    """

    def __init__(self, peer: Peer, image_topic: str = 'input/image',
                 info_topic: str = 'input/camera_info', *, best_effort: bool = False,
                 image_type: str = IMAGE) -> None:
        create = peer.node.create_publisher
        qos = profile(10, best_effort=best_effort)
        self.images = create(message_class(image_type), peer.resolved(image_topic), qos)
        self.infos = create(message_class(CAMERA_INFO), peer.resolved(info_topic), qos)
        self.camera = CAMERA

    def send_info(self, stamp_ns: int, camera: Intrinsics | None = None) -> None:
        """Publish a camera_info."""
        self.infos.publish(ROS_MESSAGES.camera_info(
            ROS_MESSAGES.header(stamp_ns, FRAME_ID), camera or self.camera))

    def send(self, image: NDArray[np.uint8] | None = None, stamp_ns: int | None = None, *,
             info: bool = True) -> int:
        """Publish an image, and its camera_info before; its stamp is returned."""
        stamp_ns = time.time_ns() if stamp_ns is None else stamp_ns
        if info:
            self.send_info(stamp_ns)
        self.images.publish(ROS_MESSAGES.image(
            ROS_MESSAGES.header(stamp_ns, FRAME_ID), picture() if image is None else image,
            'rgb8'))
        return stamp_ns

    def wait_matched(self) -> None:
        """Wait for the node to take images."""
        eventually(self.images.get_subscription_count, 'the node takes images')

    def until_heard(self, *heard: list[Any], send: Callable[[], int] | None = None) -> int:
        """
        Publish until the results of one image are in all lists, then empty them.

        After that all sides know each other; the stamp of that image is returned.
        """
        self.wait_matched()

        def is_heard() -> int:
            stamp_ns = (send or self.send)()
            end_s = time.monotonic() + 1.0
            while time.monotonic() < end_s:
                if all(stamp_ns in stamps(messages) for messages in heard):
                    return stamp_ns
                time.sleep(0.01)
            return 0

        stamp_ns = int(eventually(is_heard, 'results are heard'))
        for messages in heard:
            messages.clear()
        return stamp_ns

    def result(self, heard: list[Any], image: NDArray[np.uint8] | None = None) -> Any:
        """Publish an image; the message for it is returned."""
        stamp_ns = self.send(image)
        return heard_at(heard, stamp_ns)


def heard_at(heard: list[Any], stamp_ns: int) -> Any:
    """Wait for the message with a stamp."""
    return eventually(lambda: next((m for m in list(heard) if stamps([m])[0] == stamp_ns), None),
                      f'a message with the stamp {stamp_ns}')


class NodeCase(unittest.TestCase):
    """Tests of one node, by one peer."""

    namespace = ''
    peer: Peer

    @classmethod
    def setUpClass(cls) -> None:
        """Make the peer."""
        if cls.namespace:
            cls.peer = Peer(cls.namespace)

    @classmethod
    def tearDownClass(cls) -> None:
        """End the peer."""
        if cls.namespace:
            cls.peer.close()


@launch_testing.post_shutdown_test()
class EndsWell(unittest.TestCase):
    """Imported by every launch test: whatever was done to it, the node ends as it should."""

    def test_exit_code_is_0(self, proc_info: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
