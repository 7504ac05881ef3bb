# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Models that do not do everything: what they do not do has no topic, and the node says so."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import FOLDER, controllable_node, description, make_model
from panoptic_depth_core.contract import abilities
from panoptic_depth_core.io.messages.outputs import OUTPUTS, outputs_of
from panoptic_depth_core.io.messages.reading import values_of
from panoptic_depth_core.io.messages.types import LABEL_INFO
from panoptic_depth_core.labels import CITYSCAPES
from panoptic_depth_core.status import StreamState
from ros_peer import Camera, NodeCase, eventually
from ros_peer import EndsWell as EndsWell
from std_srvs.srv import Trigger

DEPTH, SEGMENTATION = frozenset({'depth'}), frozenset({'semantic', 'instances'})
REGIONS = frozenset({'semantic', 'depth'})
ALWAYS = {'output/status'}
TABLE = {'output/label_info'}
LATE, CHANGED = FOLDER / 'late', FOLDER / 'changed'


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    models = {name: str(make_model(FOLDER / name, tasks)) for name, tasks in (
        ('depth_only', DEPTH), ('segmentation', SEGMENTATION), ('regions', REGIONS))}
    models['asked'] = models['regions']
    make_model(CHANGED)
    return description(
        *(controllable_node(name, model__path=path, distance__include_stuff=name == 'asked')
          for name, path in models.items()),
        controllable_node('late', model__path=str(LATE)),
        controllable_node('changed', model__path=str(CHANGED)))


class TasksCase(NodeCase):
    """What the node has on the graph."""

    def outputs(self) -> set[str]:
        """Topics that the node publishes below its name; none before it is discovered."""
        namespace, _, name = self.peer.name.rpartition('/')
        graph = self.peer.node
        if (name, namespace or '/') not in graph.get_node_names_and_namespaces():
            return set()
        found = graph.get_publisher_names_and_types_by_node(name, namespace)
        return {topic.removeprefix(f'{self.peer.name}/') for topic, _ in found
                if topic.startswith(f'{self.peer.name}/') and 'transition_event' not in topic}

    def wait_outputs(self, able: frozenset[Any], *others: str) -> None:
        """Wait until these and no others are there."""
        wanted = {topic.name for topic in outputs_of(able).values()} | ALWAYS | {*others}
        eventually(lambda: self.outputs() == wanted, f'{sorted(wanted)} and nothing else')

    def says(self, *tasks: str) -> None:
        """Status and diagnostics name the tasks."""
        status = self.peer.wait_state(StreamState.RUNNING)
        self.assertEqual(list(status.tasks), [*tasks])
        health = self.peer.wait_health('engine', 0)
        values = {value.key: value.value for value in health.values}
        self.assertEqual(values['tasks'], ', '.join(tasks))


class TestDepthOnly(TasksCase):
    namespace = 'depth_only'

    def test_no_labels(self) -> None:
        camera = Camera(self.peer)
        heard = {name: self.peer.hear(name) for name in OUTPUTS}
        table = self.peer.hear('output/label_info', LABEL_INFO, latched=True)
        there = ('depth', 'camera_info', 'depth_color')
        camera.until_heard(*(heard[name] for name in there))
        self.wait_outputs(DEPTH)
        self.assertEqual({topic.name for topic in outputs_of(DEPTH).values()}, {
            'output/depth', 'output/camera_info', 'output/points', 'debug/depth_color'})
        depth = values_of(camera.result(heard['depth']))
        self.assertTrue((np.isfinite(depth) | np.isposinf(depth)).all())
        self.assertEqual({name for name, messages in heard.items() if messages}, {*there})
        self.assertEqual(table, [])
        self.says('depth')


class TestSegmentation(TasksCase):
    namespace = 'segmentation'

    def test_no_depth(self) -> None:
        camera = Camera(self.peer)
        heard = {name: self.peer.hear(name) for name in OUTPUTS}
        table = self.peer.hear('output/label_info', LABEL_INFO, latched=True)
        there = ('panoptic', 'semantic', 'camera_info', 'instances', 'overlay')
        camera.until_heard(*(heard[name] for name in there))
        self.wait_outputs(SEGMENTATION, *TABLE)
        found = camera.result(heard['instances'])
        self.assertEqual(sorted(i.class_name for i in found.instances), ['car', 'car', 'person'])
        for instance in found.instances:
            self.assertTrue(np.isnan([instance.distance, instance.depth]).all())
            self.assertTrue(np.isnan(instance.position.z))
            self.assertGreater(instance.pixel_count, 0)
        self.assertEqual({name for name, messages in heard.items() if messages}, {*there})
        eventually(lambda: table, 'the table of classes')
        self.assertEqual(len(table[0].class_map), len(CITYSCAPES))
        self.says('instances', 'semantic')


class TestRegions(TasksCase):
    namespace = 'regions'

    def test_unasked_nothing_is_listed(self) -> None:
        heard = self.peer.hear('semantic')
        Camera(self.peer).until_heard(heard)
        self.wait_outputs(REGIONS, *TABLE)
        self.assertNotIn('output/instances', self.outputs())


class TestAsked(TasksCase):
    namespace = 'asked'

    def test_distances_of_regions(self) -> None:
        camera, heard = Camera(self.peer), self.peer.hear('instances')
        camera.until_heard(heard)
        self.wait_outputs(abilities(REGIONS, include_stuff=True), *TABLE)
        self.assertIn('output/instances', self.outputs())
        found = camera.result(heard).instances
        road, = (region for region in found if region.class_name == 'road')
        self.assertEqual((road.instance_id, road.is_thing), (0, False))
        self.assertGreater(road.depth_mean, 0.0)
        self.says('depth', 'semantic')


class TestLate(TasksCase):
    namespace = 'late'

    def test_topics_follow_the_model_when_it_can_be_read(self) -> None:
        """Meanwhile the node says what is wrong, as of any model that cannot be loaded."""
        status = self.peer.wait_state(StreamState.ERROR, 'the model cannot be loaded')
        self.assertEqual(list(status.tasks), [])
        eventually(lambda: self.outputs() == ALWAYS, 'the status and nothing else')
        made = make_model(FOLDER / 'made late', DEPTH)
        made.rename(LATE)
        heard = self.peer.hear('depth')
        Camera(self.peer).until_heard(heard)
        self.wait_outputs(DEPTH)


class TestChanged(TasksCase):
    namespace = 'changed'

    def test_topics_follow_a_model_that_was_replaced(self) -> None:
        camera, heard = Camera(self.peer), self.peer.hear('depth')
        camera.until_heard(heard)
        self.wait_outputs(frozenset({'semantic', 'instances', 'depth'}), *TABLE)
        for tasks, told, others in ((DEPTH, ['depth'], set()),
                                    (SEGMENTATION, ['instances', 'semantic'], TABLE)):
            self.assertTrue(self.peer.transition('deactivate'))
            shutil.rmtree(CHANGED)
            make_model(CHANGED, tasks)
            self.assertTrue(self.peer.call('rebuild_engine', Trigger).success)
            eventually(lambda told=told: list(self.peer.status().tasks) == told, 'the other model')
            self.peer.wait_state(StreamState.READY)
            self.assertTrue(self.peer.transition('activate'))
            self.wait_outputs(tasks, *others)
            name = 'depth' if tasks == DEPTH else 'panoptic'
            camera.until_heard(self.peer.hear(name))
        self.assertTrue(self.peer.transition('deactivate'))
        self.assertTrue(self.peer.transition('cleanup'))
        self.assertTrue(self.peer.transition('configure'))
        self.peer.wait_state(StreamState.READY)
        self.assertTrue(self.peer.transition('activate'))
        camera.until_heard(self.peer.hear('panoptic'))
        self.wait_outputs(SEGMENTATION, *TABLE)
