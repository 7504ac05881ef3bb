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
from panoptic_depth_core.errors import ConfigError

FILE = Path(get_package_share_directory('panoptic_depth')) / 'launch/panoptic_depth.launch.py'


@pytest.mark.ros
@pytest.mark.parametrize(('argument', 'value', 'words'), [
    ('camera_height', 'tall', 'camera_height:=tall is no number'),
    ('ground_offset', '0,3', 'ground_offset:=0,3 is no number'),
    ('params_file', '/nowhere/mounting.yaml', 'params_file:=/nowhere/mounting.yaml is no file')])
def test_wrong_arguments(argument: str, value: str, words: str) -> None:
    launched = runpy.run_path(str(FILE))
    context = LaunchContext()
    defaults = {name: default for name, (default, _) in launched['ARGUMENTS'].items()}
    context.launch_configurations.update(defaults)
    (node,) = launched['nodes'](context)
    assert node.node_package == 'panoptic_depth'
    context.launch_configurations[argument] = value
    with pytest.raises(ConfigError, match=words):
        launched['nodes'](context)
