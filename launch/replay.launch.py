# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Play a bag through the node, show the results in RViz, and record them with record:=FOLDER.

ros2 launch panoptic_depth replay.launch.py bag:=DRIVE [record:=RESULTS]
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch_ros.actions import Node
from launch_ros.event_handlers import OnStateTransition
from panoptic_depth_core.config import read_yaml
from panoptic_depth_core.io.messages.outputs import NODE_TOPICS
from panoptic_depth_core.io.sources.bag_source import describe_images

LAUNCH = Path(get_package_share_directory('panoptic_depth')) / 'launch'

ARGUMENTS = {
    'bag': (None, 'rosbag2 folder or file'),
    'image_topic': ('', 'empty: found in the bag'),
    'camera_info_topic': ('', 'empty: found in the bag'),
    'record': ('', 'folder for a bag of the results; it must not exist yet'),
    'rate': ('1.0', 'speed of the replay'),
    'rviz': ('auto', 'true, false, or auto: where RViz is installed and there is a display'),
    'namespace': ('', 'of the node'),
}
"""Name -> default and description; panoptic_depth.launch.py takes the others."""

DRAIN_S = 3.0
"""Time from the end of the bag to the shutdown, to process the last images."""

NOT_PLAYED = ('/clock', '/diagnostics', '/parameter_events', '/rosout')
"""Topics that the running system publishes itself."""

VIEW_FRAME = 'map'
"""Fixed frame for bags without tf: that of the camera, rotated so that z is up."""


def replay(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return node, recorder, RViz, and the player, which starts once the node is active."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    images = describe_images(given['bag'], given['image_topic'] or None,
                             given['camera_info_topic'] or None)
    shows = given['rviz'] == 'true' or (given['rviz'] == 'auto' and rviz_can_be_shown())
    included = {
        'image_topic': images.image_topic,
        'camera_info_topic': images.camera_info_topic or '',
        'image_transport': images.transport,
        'use_sim_time': 'true', 'rviz': str(shows).lower(), 'namespace': given['namespace']}
    if images.camera_info_topic is None:
        included['camera_info_policy'] = 'fallback'
    # Arguments of the user go to the other launch file by themselves.
    asked = {name for name, value in context.launch_configurations.items() if value}
    if images.ground_frame and not {'ground_frame', 'camera_height'} & asked and not (
            'params_file' in asked
            and gives_mounting(read_yaml(context.launch_configurations['params_file']))):
        included['ground_frame'] = images.ground_frame
    found: list[LaunchDescriptionEntity] = []
    prefix = f'/{given["namespace"].strip("/")}'.rstrip('/') + '/panoptic_depth'
    if shows and not {'/tf', '/tf_static'} & {*images.topics}:
        included['fixed_frame'] = VIEW_FRAME
        found.append(Node(
            package='tf2_ros', executable='static_transform_publisher', output='log',
            arguments=['--roll', '-1.5707963', '--yaw', '-1.5707963', '--frame-id', VIEW_FRAME,
                       '--child-frame-id', images.frame_id or 'camera']))
    elif shows and 'fixed_frame' not in asked:
        included['fixed_frame'] = images.root_frame
    player = ExecuteProcess(
        cmd=['ros2', 'bag', 'play', given['bag'], '--clock', '100', '--rate', given['rate'],
             '--delay', '1.0', '--disable-keyboard-controls', '--topics',
             # Results in the bag must not mix with the new ones.
             *(topic for topic in images.topics
               if topic not in NOT_PLAYED and not topic.startswith(f'{prefix}/'))],
        output='screen')
    if given['record']:
        included['lossless'] = 'true'
        found.append(ExecuteProcess(
            cmd=['ros2', 'bag', 'record', '--use-sim-time', '--output', given['record'],
                 # Required by all releases but Humble, which does not have it.
                 *([] if os.environ.get('ROS_DISTRO') == 'humble' else ['--topics']),
                 images.image_topic, *filter(None, [images.camera_info_topic]),
                 '/tf', '/tf_static', '/diagnostics',
                 *(f'{prefix}/{topic}' for topic in NODE_TOPICS)], output='screen'))
    node = IncludeLaunchDescription(str(LAUNCH / 'panoptic_depth.launch.py'),
                                    launch_arguments=included.items())
    return [
        *found, node,
        RegisterEventHandler(OnStateTransition(goal_state='active', entities=[player])),
        RegisterEventHandler(OnProcessExit(target_action=player, on_exit=[
            TimerAction(period=DRAIN_S, actions=[
                EmitEvent(event=Shutdown(reason='the bag is at its end'))])]))]


def gives_mounting(parameters: Any) -> bool:
    """Whether a file of parameters has a height or a ground frame, in nested or dotted names."""
    return isinstance(parameters, dict) and any(
        gives_mounting(value) or (value and str(name).rpartition('.')[2] in (
            'height_m', 'ground_frame')) for name, value in parameters.items())


def rviz_can_be_shown() -> bool:
    """Whether RViz is installed and there is a display."""
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        return False
    return bool(os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY'))


def generate_launch_description() -> LaunchDescription:
    """Only the bag has no default."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description,
                                choices=['auto', 'true', 'false'] if name == 'rviz' else None)
          for name, (default, description) in ARGUMENTS.items()),
        OpaqueFunction(function=replay)])
