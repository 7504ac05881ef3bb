# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters are taken and have an effect, or are refused with the reason; at start too."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

import launch_testing
import launch_testing.asserts
from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages.reading import values_of
from panoptic_depth_ros.parameters import FIXED, parameters
from ros_peer import Camera, NodeCase, heard_at

REFUSED_AT_START = {
    'misspelt': ({'depth__max_meters': 50.0}, "parameter 'depth.max_meters' is not known"),
    'wrong': ({'depth__max_m': -1.0}, 'depth.max_m is -1.0'),
    'word': ({'camera_info__policy': 'perhaps'}, "camera_info.policy is 'perhaps'"),
    'kind': ({'score_threshold': 'high'}, 'score_threshold'),
    'useless': ({'engine__workspace_mib': 512}, 'engine.workspace_mib is 512'),
    'unknown_backend': ({'backend': 'abacus'}, "backend 'abacus' is not known"),
}
"""Parameters, and the words on stderr."""


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> tuple[LaunchDescription, dict[str, Any]]:
    refused = {name: controllable_node(name, **values)
               for name, (values, _) in REFUSED_AT_START.items()}
    good = controllable_node('parameters', depth__max_m=100)
    return description(good, *refused.values()), {'good': good, 'refused': refused}


class TestChanges(NodeCase):
    namespace = 'parameters'

    def setUp(self) -> None:
        self.peer.wait_active()

    def test_what_is_refused_is_told_why_and_stays(self) -> None:
        for name, value, words in (
                ('depth.max_m', -5.0, 'greater than 0'),
                ('depth.max_m', 'far', 'number'),
                ('depth.far_value', 'zero', "'inf' or 'nan'"),
                ('score_threshold', 1.5, 'less than or equal to 1'),
                ('overlap_threshold', float('nan'), 'overlap_threshold'),
                ('min_instance_pixels', -1, 'greater than or equal to 0'),
                ('min_instance_pixels', 2.5, 'type'),
                ('camera_info.fallback_k', [1.0, 2.0], '9 finite numbers'),
                ('tracking.max_gap_s', 0.0, 'greater than 0'),
                ('points.stride', 0, 'greater than or equal to 1'),
                ('diagnostics.period_s', 0.0, 'greater than or equal to 0.1'),
                ('publish.depth', 1, 'type')):
            with self.subTest(name=name, value=value):
                before = self.peer.get(name)
                taken, reason = self.peer.set(name, value)
                self.assertFalse(taken)
                self.assertIn(words, reason)
                self.assertEqual(self.peer.get(name), before)

    def test_fixed_ones_are_refused(self) -> None:
        for parameter in parameters():
            if parameter.name in FIXED:
                with self.subTest(parameter.name):
                    taken, reason = self.peer.set(parameter.name, parameter.default)
                    self.assertFalse(taken)
                    self.assertIn('read-only', reason)

    def test_unknown_ones_are_refused(self) -> None:
        taken, reason = self.peer.set('depth.max_meters', 5.0)
        self.assertFalse(taken)
        self.assertIn('declared', reason)

    def test_every_other_one_can_be_set_to_what_it_is(self) -> None:
        for parameter in parameters():
            # An empty array has no type in ROS.
            if parameter.name not in FIXED and parameter.default != []:
                with self.subTest(parameter.name):
                    now = self.peer.get(parameter.name)
                    self.assertEqual(self.peer.set(parameter.name, now), (True, ''))

    def test_changes_have_an_effect_on_the_next_image(self) -> None:
        camera = Camera(self.peer)
        heard, depth = self.peer.hear('instances'), self.peer.hear('depth')
        camera.until_heard(heard, depth)

        def classes(name: str, value: Any, default: Any) -> list[str]:
            self.assertEqual(self.peer.set(name, value), (True, ''))
            try:
                return sorted(i.class_name for i in camera.result(heard).instances)
            finally:
                self.assertEqual(self.peer.set(name, default), (True, ''))

        self.assertEqual(classes('score_threshold', 0.65, -1.0), ['car', 'car'])
        self.assertEqual(classes('score_threshold', 1, -1), [])
        self.assertIn('road', classes('distance.include_stuff', True, False))
        self.assertEqual(classes('min_instance_pixels', 2000, 20), [])
        for name, value, default, wanted in (
                # An integer is what people write for a double.
                ('depth.max_m', 15, 100, [5, 10, np.inf]), ('depth.scale', 2.0, 1.0, [10, 20, 40]),
                ('depth.min_m', 7, 0.1, [-np.inf, 10, 20])):
            with self.subTest(name):
                self.assertEqual(self.peer.set(name, value), (True, ''))
                try:
                    stamp_ns = camera.send()
                    row = values_of(heard_at(depth, stamp_ns))[40]
                    self.assertEqual([row[90], row[58], row[26]], wanted)
                finally:
                    self.assertEqual(self.peer.set(name, default), (True, ''))


class TestRefusedAtStart(unittest.TestCase):
    def test_all_end_by_themselves(self, proc_info: Any, refused: dict[str, Any]) -> None:
        for node in refused.values():
            proc_info.assertWaitForShutdown(node, timeout=60)


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_exit_code_is_0(self, proc_info: Any, good: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info, process=good)

    def test_exit_code_and_words(self, proc_info: Any, proc_output: Any,
                                 refused: dict[str, Any]) -> None:
        for name, (_, words) in REFUSED_AT_START.items():
            with self.subTest(name):
                launch_testing.asserts.assertExitCodes(proc_info, [2], refused[name])
                launch_testing.asserts.assertInStderr(proc_output, words, refused[name])
