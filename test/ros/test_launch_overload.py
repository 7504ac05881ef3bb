# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""More images than the machine can do: the newest one wins, and what is dropped is counted."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages.reading import stamp_of
from ros_peer import Camera, NodeCase, eventually, heard_at
from ros_peer import EndsWell as EndsWell

INFERENCE_S = 0.2
PER_INFERENCE = 3
IMAGES = 60


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    order = f'slow {INFERENCE_S}'
    return description(
        controllable_node('latest', order),
        controllable_node('fifo', order, queue_policy='fifo'),
        controllable_node('aged', order, queue_policy='fifo', max_input_age_ms=500))


class Overload(NodeCase):
    """Sends more than can be done; behind is how many newer images there are with each result."""

    def overload(self) -> None:
        camera = Camera(self.peer)
        self.sent: list[int] = []
        self.behind: list[int] = []

        def measure(message: object) -> None:
            if stamp_of(message) in self.sent:
                self.behind.append(len(self.sent) - 1 - self.sent.index(stamp_of(message)))

        self.heard = self.peer.hear('instances', also=measure)
        camera.until_heard(self.heard)
        self.before = self.peer.status()
        for _ in range(IMAGES):
            stamp_ns = time.time_ns()
            self.sent.append(stamp_ns)
            camera.send(stamp_ns=stamp_ns)
            time.sleep(INFERENCE_S / PER_INFERENCE)

    def counts(self) -> dict[str, int]:
        """What was counted since the beginning, once nothing is under way any more."""
        names = ['received', 'processed', *(f'dropped_{why}' for why in ('queue', 'age', 'error'))]

        def settled() -> dict[str, int] | None:
            status = self.peer.status()
            now = {name: getattr(status, f'frames_{name}') - getattr(self.before, f'frames_{name}')
                   for name in names}
            return now if now['received'] == sum(now.values()) - now['received'] else None

        counted = eventually(settled, 'every image is accounted for')
        self.assertIsInstance(counted, dict)
        return dict(counted)


class TestLatest(Overload):
    namespace = 'latest'

    def test_newest_image_wins(self) -> None:
        self.overload()
        heard_at(self.heard, self.sent[-1])
        order = [stamp_of(message) for message in self.heard]
        self.assertEqual(order, sorted(set(order)))
        # Two inference times, as a number of images: half of one is waited for and one is done.
        self.assertLessEqual(np.median(self.behind), 2 * PER_INFERENCE)
        counted = self.counts()
        self.assertGreater(counted['dropped_queue'], IMAGES // 4)
        self.assertEqual((counted['dropped_age'], counted['dropped_error']), (0, 0))
        self.assertEqual(counted['processed'], len(self.heard))
        # A best effort subscription may lose some, and then nobody has received them.
        self.assertGreater(counted['received'], IMAGES // 2)
        status = self.peer.status()
        self.assertGreater(status.inference_ms[0], 1e3 * INFERENCE_S * 0.9)
        self.assertGreaterEqual(status.latency_ms[0], status.inference_ms[0])


class TestFifo(Overload):
    namespace = 'fifo'

    def test_images_wait_in_order(self) -> None:
        self.overload()
        heard_at(self.heard, self.sent[-1])
        order = [stamp_of(message) for message in self.heard]
        self.assertEqual(order, sorted(set(order)))
        self.assertGreater(np.median(self.behind), 2 * PER_INFERENCE)
        self.assertGreater(self.counts()['dropped_queue'], 0)


class TestAged(Overload):
    namespace = 'aged'

    def test_images_that_are_too_old_are_dropped_and_counted(self) -> None:
        self.overload()
        counted = self.counts()
        self.assertGreater(counted['dropped_age'], 0)
        self.assertGreater(counted['processed'], 0)
