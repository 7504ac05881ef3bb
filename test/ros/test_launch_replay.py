# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A bag through the replay's launch file and the shipped network, into a bag of results."""

from __future__ import annotations

import json
import os
import subprocess
import unittest
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

import launch_testing
import launch_testing.asserts
from launch import LaunchDescription
from launch.actions import ExecuteProcess
from launch_testing.util import KeepAliveProc
from launch_tools import FOLDER, description
from panoptic_depth_core.config import InferenceSettings
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob, ModelChoice
from panoptic_depth_core.evaluation.recordings.evaluate_bags import evaluate_bags
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.bags.drive_bags import CAMERA_INFO_TOPIC, IMAGE_TOPIC, write_drive_bag
from panoptic_depth_core.io.bags.storage import BagReader, deserialize
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_core.structures import Frame, GroundTruth, Sample
from ros_peer import CAMERA, FRAME_ID, picture

START_NS = 1_500_000_000_000_000_000
PERIOD_NS = 250_000_000
IMAGES = 12
RESULTS = FOLDER / 'results'


def make_bag(path: Path, storage: str) -> Path:
    """A drive of a few seconds, years ago."""
    frames = [Frame(picture(), CAMERA, START_NS + i * PERIOD_NS, FRAME_ID, str(i))
              for i in range(IMAGES)]
    write_drive_bag([Sample(frame, GroundTruth()) for frame in frames], path, storage)
    return path


def replay(domain: int, bag: Path, *arguments: str) -> ExecuteProcess:
    """The replay as from a shell, in a domain of its own: its topics are the usual ones."""
    return ExecuteProcess(
        cmd=['ros2', 'launch', 'panoptic_depth', 'replay.launch.py', f'bag:={bag}', 'rviz:=false',
             *arguments], additional_env={'ROS_DOMAIN_ID': str(domain)}, output='screen')


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> tuple[LaunchDescription, dict[str, Any]]:
    domain = int(os.environ['ROS_DOMAIN_ID'])
    processes = {
        'recorded': replay(domain, make_bag(FOLDER / 'drive', 'mcap'), f'record:={RESULTS}'),
        'missing': replay(domain - 39, FOLDER / 'no_bag')}
    return description(*processes.values(), KeepAliveProc()), {'processes': processes}


class TestReplay(unittest.TestCase):
    def test_ends_by_itself(self, proc_info: Any, processes: dict[str, Any]) -> None:
        for process in processes.values():
            proc_info.assertWaitForShutdown(process, timeout=120)


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_exit_code_is_0(self, proc_info: Any, processes: dict[str, Any]) -> None:
        launch_testing.asserts.assertExitCodes(proc_info, process=processes['recorded'])

    def test_a_missing_bag_is_named(self, proc_info: Any, proc_output: Any,
                                    processes: dict[str, Any]) -> None:
        launch_testing.asserts.assertExitCodes(proc_info, [1], processes['missing'])
        launch_testing.asserts.assertInStdout(proc_output, 'no_bag', processes['missing'])

    def test_recording_is_read_by_rosbag2(self) -> None:
        done = subprocess.run(['ros2', 'bag', 'info', str(RESULTS)], capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('/panoptic_depth/output/instances', done.stdout)
        self.assertIn('panoptic_depth/msg/InstanceDistanceArray', done.stdout)

    def test_recording_is_read_by_rosbags_and_has_the_stamps_of_the_drive(self) -> None:
        reader = BagReader(RESULTS)
        try:
            self.assertEqual(dict(reader.problems), {})
            names = {name: f'/panoptic_depth/{topic.name}' for name, topic in OUTPUTS.items()}
            found = defaultdict(list)
            for message in reader.messages([*names.values(), IMAGE_TOPIC, CAMERA_INFO_TOPIC]):
                content = deserialize(message)
                content = content.markers[0] if hasattr(content, 'markers') else content
                found[message.topic].append(content.header)
        finally:
            reader.close()
        sent = [START_NS + i * PERIOD_NS for i in range(IMAGES)]
        for name in (IMAGE_TOPIC, CAMERA_INFO_TOPIC):
            self.assertEqual(self.stamps(found[name]), sent, name)
        stamps = self.stamps(found[names['instances']])
        # A slow machine drops some, but never all.
        self.assertGreater(len(stamps), 2)
        self.assertLessEqual(set(stamps), set(sent))
        for name, topic in names.items():
            if name != 'points':
                with self.subTest(name):
                    self.assertEqual(self.stamps(found[topic]), stamps)
                    self.assertEqual({header.frame_id for header in found[topic]}, {FRAME_ID})

    def test_the_live_node_and_the_offline_run_agree(self) -> None:
        """Frame by frame, by stamp; the drive holds no truth, so nothing else is known."""
        drive, name = FOLDER / 'drive', 'agreement.'
        offline = BagJob('drive', drive, RecordingSettings(), reference=RESULTS, model=ModelChoice(
            None, 'onnxruntime', InferenceSettings()))
        live = BagJob('drive', drive, RecordingSettings(), results=RESULTS)
        for job in (offline, live):
            evaluate_bags([job], FOLDER / 'report')
            metric_values = json.loads((FOLDER / 'report/report.json').read_text())['figures']
            if job is offline:
                self.assertEqual(metric_values['frames.scored']['value'], IMAGES)
                compared = int(metric_values[f'{name}identical_frames']['on'].split()[0])
                self.assertEqual(metric_values[f'{name}identical_frames']['value'], compared)
                self.assertEqual(metric_values[f'{name}depth_max_log']['value'], 0.0)
            else:
                self.assertEqual(metric_values['frames.scored']['value'], compared)
                self.assertEqual(metric_values['frames.skipped']['value'], IMAGES - compared)

    @staticmethod
    def stamps(headers: list[Any]) -> list[int]:
        return sorted(header.stamp.sec * 10**9 + header.stamp.nanosec for header in headers)
