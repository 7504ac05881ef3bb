# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Every image that comes at a low rate becomes one message per topic, all with its stamp."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from message_filters import Subscriber, TimeSynchronizer
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_core.io.messages.reading import stamp_of, values_of
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.structures import DistanceFlag
from panoptic_depth_ros.endpoints import message_class
from ros_peer import (
    FRAME_ID,
    HEIGHT,
    WIDTH,
    Camera,
    NodeCase,
    Peer,
    eventually,
    heard_at,
    stamps,
)
from ros_peer import EndsWell as EndsWell

SYNCHRONOUS = ('panoptic', 'semantic', 'depth', 'camera_info', 'instances', 'detections_3d')
CAR = CLASS_ID['car'] * 1000


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(
        controllable_node('frames', publish__points=True, points__stride=1),
        controllable_node('lazy'),
        controllable_node('small', output__size='network'))


class TestFrames(NodeCase):
    namespace = 'frames'

    def setUp(self) -> None:
        self.camera = Camera(self.peer)

    def test_n_images_are_n_results_in_order(self) -> None:
        heard = {name: self.peer.hear(name) for name in (*SYNCHRONOUS, 'markers')}
        self.camera.until_heard(*heard.values())
        before = self.peer.status()
        sent = []
        for _ in range(20):
            sent.append(self.camera.send())
            heard_at(heard['instances'], sent[-1])
        for name, messages in heard.items():
            heard_at(messages, sent[-1])
            self.assertEqual(stamps(messages), sent, name)
        after = self.peer.status()
        self.assertEqual(after.frames_processed - before.frames_processed, 20)
        for name in ('queue', 'age', 'error'):
            self.assertEqual(getattr(after, f'frames_dropped_{name}'),
                             getattr(before, f'frames_dropped_{name}'))

    def test_all_topics_have_exactly_the_stamp_of_the_image(self) -> None:
        together = []
        topics = [Subscriber(self.peer.node, message_class(OUTPUTS[name].type),
                             self.peer.resolved(name)) for name in SYNCHRONOUS]
        synchronizer = TimeSynchronizer(topics, 10)
        synchronizer.registerCallback(lambda *messages: together.append(messages))
        # What no clock of this machine says, and what no float holds.
        stamp_ns = 1_234_567_890_123_456_789

        def send() -> int:
            nonlocal stamp_ns
            stamp_ns += 1
            return self.camera.send(stamp_ns=stamp_ns)

        heard = self.peer.hear('instances')
        self.camera.until_heard(heard, send=send)
        sent = [send(), ]
        heard_at(heard, sent[0])
        found = eventually(lambda: [messages for messages in together
                                    if stamp_of(messages[0]) == sent[0]], 'all six together')
        self.assertEqual(len(found), 1)
        for name, message in zip(SYNCHRONOUS, found[0], strict=True):
            self.assertEqual(stamp_of(message), sent[0], name)
            self.assertEqual(message.header.frame_id, FRAME_ID, name)

    def test_topics_agree_with_each_other_and_with_the_picture(self) -> None:
        heard = {name: self.peer.hear(name) for name in (*SYNCHRONOUS, 'markers', 'points')}
        self.camera.until_heard(*heard.values())
        stamp_ns = self.camera.send()
        found = {name: heard_at(messages, stamp_ns) for name, messages in heard.items()}
        panoptic, depth = values_of(found['panoptic']), values_of(found['depth'])
        self.assertEqual(panoptic.shape, (HEIGHT, WIDTH))
        self.assertFalse((panoptic == VOID_ID).any())
        np.testing.assert_array_equal(values_of(found['semantic']), panoptic // 1000)
        instances = {i.panoptic_id: i for i in found['instances'].instances}
        self.assertEqual([round(i.depth) for i in found['instances'].instances], [5, 10, 20])
        things = {int(i) for i in np.unique(panoptic) if i % 1000}
        self.assertEqual(set(instances), things)
        for number, instance in instances.items():
            mask = panoptic == number
            v, u = np.nonzero(mask)
            roi = instance.roi
            self.assertEqual((roi.x_offset, roi.y_offset, roi.width, roi.height),
                             (u.min(), v.min(), np.ptp(u) + 1, np.ptp(v) + 1))
            self.assertEqual(instance.pixel_count, mask.sum())
            self.assertEqual((instance.class_id, instance.instance_id), divmod(number, 1000))
            self.assertAlmostEqual(instance.depth, float(np.median(depth[mask])), 3)
            # Truth: the box stands that far from the image center, at a focal length of 100 px.
            x = (0.5 * (u.min() + u.max()) - 63.5) / 100.0 * instance.depth
            self.assertAlmostEqual(instance.position.x, x, delta=0.05 * instance.depth)
            self.assertEqual(instance.track_id, -1)
        self.assertTrue(np.isposinf(depth[panoptic // 1000 == CLASS_ID['sky']]).all())
        detections = found['detections_3d'].detections
        self.assertEqual([d.results[0].hypothesis.class_id for d in detections],
                         [i.class_name for i in found['instances'].instances])
        self.assertEqual(found['points'].width * found['points'].height,
                         np.isfinite(depth).sum())
        self.assertEqual({m.ns for m in found['markers'].markers[1:]}, {'boxes', 'texts'})
        self.assertEqual(len(found['markers'].markers), 1 + 2 * len(instances))

    def test_a_switched_off_topic_is_silent(self) -> None:
        depth, panoptic = self.peer.hear('depth'), self.peer.hear('panoptic')
        self.camera.until_heard(depth, panoptic)
        self.assertEqual(self.peer.set('publish.depth', False), (True, ''))
        try:
            heard_at(panoptic, self.camera.send())
            heard_at(panoptic, self.camera.send())
            self.assertEqual(depth, [])
        finally:
            self.peer.set('publish.depth', True)
        heard_at(depth, self.camera.send())

    def test_tracks_last_over_frames(self) -> None:
        heard = self.peer.hear('instances')
        self.camera.until_heard(heard)
        self.assertEqual(self.peer.set('tracking.enabled', True), (True, ''))
        try:
            self.camera.result(heard)
            tracks = [[i.track_id for i in self.camera.result(heard).instances]
                      for _ in range(3)]
        finally:
            self.peer.set('tracking.enabled', False)
        self.assertEqual(len(set(tracks[0])), 3)
        self.assertGreater(min(tracks[0]), -1)
        self.assertEqual(tracks[0], tracks[1])
        self.assertEqual(tracks[0], tracks[2])

    def test_no_more_results_than_max_rate_hz(self) -> None:
        heard = self.peer.hear('instances')
        self.camera.until_heard(heard)
        self.assertEqual(self.peer.set('max_rate_hz', 2.0), (True, ''))
        try:
            start_s = time.monotonic()
            for _ in range(30):
                self.camera.send()
                time.sleep(0.05)
            most = 2 * (time.monotonic() - start_s) + 2
            self.assertLessEqual(len(heard), most)
            self.assertGreater(len(heard), 0)
        finally:
            self.peer.set('max_rate_hz', 0.0)

    def test_an_image_without_things_has_an_empty_list(self) -> None:
        heard = self.peer.hear('instances')
        self.camera.until_heard(heard)
        empty = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        empty[..., 1] = 10
        self.assertEqual(list(self.camera.result(heard, empty).instances), [])

    def test_a_thing_at_the_border_is_flagged(self) -> None:
        heard = self.peer.hear('instances')
        self.camera.until_heard(heard)
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[20:50, :30] = 100, 10, 0
        (car,) = self.camera.result(heard, image).instances
        self.assertTrue(car.flags & DistanceFlag.TRUNCATED)
        self.assertEqual(car.panoptic_id, CAR + 1)


class TestLazy(NodeCase):
    namespace = 'lazy'

    def test_nothing_is_worked_out_that_nobody_hears(self) -> None:
        camera = Camera(self.peer)
        camera.wait_matched()
        for _ in range(10):
            camera.send()
            time.sleep(0.1)
        eventually(lambda: self.peer.status().input_rate_hz > 0, 'images are seen')
        status = self.peer.statuses[-1]
        self.assertEqual((status.frames_received, status.frames_processed), (0, 0))
        depth = self.peer.hear('depth')
        camera.until_heard(depth)
        self.assertGreater(self.peer.status().frames_processed, 0)


class TestNetworkSize(NodeCase):
    namespace = 'small'

    def test_results_have_the_size_of_the_network_and_its_camera(self) -> None:
        peer: Peer = self.peer
        camera = Camera(peer)
        heard = {name: peer.hear(name) for name in ('panoptic', 'camera_info', 'instances')}
        camera.until_heard(*heard.values())
        stamp_ns = camera.send()
        found = {name: heard_at(messages, stamp_ns) for name, messages in heard.items()}
        panoptic, info = found['panoptic'], found['camera_info']
        # The model sees 64x32 px and answers at half of that.
        self.assertEqual((panoptic.width, panoptic.height), (32, 16))
        self.assertEqual((info.width, info.height), (32, 16))
        self.assertAlmostEqual(info.k[0], 25.0)
        self.assertEqual([round(i.depth) for i in found['instances'].instances], [5, 10, 20])
