# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments of the launch file are named, and nothing is started with the defaults."""

from __future__ import annotations

import runpy

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext
from launch.actions import IncludeLaunchDescription
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.bags.drive_bags import write_drive_bag
from panoptic_depth_core.structures import Frame, GroundTruth, Mounting, Sample
from ros_peer import CAMERA, picture

LAUNCH = Path(get_package_share_directory('panoptic_depth')) / 'launch'


@pytest.mark.ros
@pytest.mark.parametrize(('argument', 'value', 'words'), [
    ('camera_height', 'tall', 'camera_height:=tall is no number'),
    ('ground_offset', '0,3', 'ground_offset:=0,3 is no number'),
    ('params_file', '/nowhere/mounting.yaml', 'params_file:=/nowhere/mounting.yaml is no file')])
def test_wrong_arguments(argument: str, value: str, words: str) -> None:
    launched = runpy.run_path(str(LAUNCH / 'panoptic_depth.launch.py'))
    context = LaunchContext()
    defaults = {name: default for name, (default, _) in launched['ARGUMENTS'].items()}
    context.launch_configurations.update(defaults)
    (node,) = launched['nodes'](context)
    assert node.node_package == 'panoptic_depth'
    context.launch_configurations[argument] = value
    with pytest.raises(ConfigError, match=words):
        launched['nodes'](context)


@pytest.mark.ros
@pytest.mark.parametrize(('parameters', 'frame'), [
    ('/**: {ros__parameters: {depth: {max_m: 50.0}, mounting: {height_m: 0.0}}}',
     'base_footprint'),
    ('/**: {ros__parameters: {mounting: {height_m: 1.2, pitch_deg: 2.0}}}', None),
    ('panoptic_depth: {ros__parameters: {mounting.ground_frame: base_link}}', None)])
def test_a_replay_leaves_the_mounting_to_the_file_of_parameters(
        tmp_path: Path, parameters: str, frame: str | None) -> None:
    """The node would refuse a height and the ground frame of the bag together."""
    write_drive_bag([Sample(Frame(picture(), CAMERA, 10 ** 9, mounting=Mounting(1.3)),
                            GroundTruth())], tmp_path / 'bag')
    (tmp_path / 'parameters.yaml').write_text(parameters)
    launched = runpy.run_path(str(LAUNCH / 'replay.launch.py'))
    context = LaunchContext()
    context.launch_configurations.update({
        **{name: default for name, (default, _) in launched['ARGUMENTS'].items()},
        'bag': str(tmp_path / 'bag'), 'rviz': 'false',
        'params_file': str(tmp_path / 'parameters.yaml')})
    (node,) = (entity for entity in launched['replay'](context)
               if isinstance(entity, IncludeLaunchDescription))
    assert dict(node.launch_arguments).get('ground_frame') == frame
