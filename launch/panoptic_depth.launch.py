# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Start the node for a camera; with rviz:=true also RViz.

ros2 launch panoptic_depth panoptic_depth.launch.py image_topic:=/camera/image_raw
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import LifecycleNode, Node
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.cameras.topics import usual_camera_info_topic, without_transport
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_core.io.messages.types import IMAGE_TRANSPORTS
from panoptic_depth_ros.environment import environment

SHARE = Path(get_package_share_directory('panoptic_depth'))

ARGUMENTS = {
    'image_topic': ('/camera/image_raw', 'image topic, without its transport at the end; a '
                    'relative one is below the namespace'),
    'camera_info_topic': ('', 'CameraInfo; empty: camera_info beside the images'),
    'params_file': (str(SHARE / 'config/ros/panoptic_depth.yaml'), 'parameters of the node'),
    'backend': ('', 'overrides the parameter backend'),
    'model': ('', 'model directory, overrides the parameter model.path'),
    'image_transport': ('', f'{", ".join(IMAGE_TRANSPORTS)}; overrides the parameter'),
    'target_frame': ('', 'overrides the parameter target_frame'),
    'camera_info_policy': ('', 'overrides the parameter camera_info.policy'),
    'ground_frame': ('', 'overrides the parameter mounting.ground_frame'),
    'ground_offset': ('', 'overrides the parameter mounting.ground_offset_m'),
    'camera_height': ('', 'overrides the parameter mounting.height_m'),
    'camera_pitch': ('', 'overrides the parameter mounting.pitch_deg'),
    'camera_roll': ('', 'overrides the parameter mounting.roll_deg'),
    'use_sim_time': ('false', 'true: use the time of /clock, as when a bag is played'),
    'autostart': ('true', 'false: wait for lifecycle transitions'),
    'namespace': ('', 'of the node'),
    'lossless': ('false', 'true: queue images and results instead of dropping older ones, for '
                 'recordings'),
    'rviz': ('false', 'true: show the results in RViz'),
    'fixed_frame': ('', 'fixed frame of RViz; empty: that of its configuration'),
    'log_level': ('info', 'of the node'),
}
"""Name -> default and description."""

SWITCH = ['true', 'false']


def lossless(prefix: str) -> dict[str, object]:
    """Parameters of queues for 10 images and 100 results per topic."""
    qos = {f'qos_overrides.{prefix}/{topic.name}.publisher.{policy}': value
           for topic in OUTPUTS.values()
           for policy, value in (('reliability', 'reliable'), ('depth', 100))}
    return {'queue_policy': 'fifo', **qos}


def number(argument: str, value: str) -> float:
    """
    Read the number of an argument.

    :raises ConfigError: it is none.
    """
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f'{argument}:={value} is no number') from None


def end_all(_: ProcessExited, context: LaunchContext) -> EmitEvent | None:
    """Shut down when the node ends."""
    if context.is_shutdown:
        return None
    return EmitEvent(event=Shutdown(reason='the node has ended'))


def nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the node and, with rviz:=true, RViz."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    # Without this, the node would start with the defaults.
    if not Path(given['params_file']).is_file():
        raise ConfigError(f'params_file:={given["params_file"]} is no file')
    image = without_transport(given['image_topic'])
    info = given['camera_info_topic'] or usual_camera_info_topic(image)
    overrides: dict[str, object] = {
        'use_sim_time': given['use_sim_time'] == 'true',
        'autostart': given['autostart'] == 'true'}
    for argument, parameter in (
            ('backend', 'backend'), ('model', 'model.path'), ('target_frame', 'target_frame'),
            ('image_transport', 'image_transport'),
            ('camera_info_policy', 'camera_info.policy'),
            ('ground_frame', 'mounting.ground_frame')):
        if given[argument]:
            overrides[parameter] = given[argument]
    for argument, parameter in (
            ('ground_offset', 'ground_offset_m'), ('camera_height', 'height_m'),
            ('camera_pitch', 'pitch_deg'), ('camera_roll', 'roll_deg')):
        if given[argument]:
            overrides[f'mounting.{parameter}'] = number(argument, given[argument])
    if given['lossless'] == 'true':
        namespace = given['namespace'].strip('/')
        overrides |= lossless(f'/{namespace}/panoptic_depth' if namespace else '/panoptic_depth')
    shows = given['rviz'] == 'true'
    if shows:
        overrides['publish.points'] = True
    found: list[LaunchDescriptionEntity] = [LifecycleNode(
        package='panoptic_depth', executable='panoptic_depth_node', name='panoptic_depth',
        namespace=given['namespace'], output='both',
        parameters=[given['params_file'], overrides],
        remappings=[('~/input/image', image),
                    *((f'~/input/image/{transport}', f'{image}/{transport}')
                      for transport in IMAGE_TRANSPORTS if transport != 'raw'),
                    ('~/input/camera_info', info)],
        arguments=['--ros-args', '--log-level', given['log_level']],
        additional_env=environment(SHARE),
        on_exit=end_all)]
    if shows:
        fixed_frame = ['-f', given['fixed_frame']] if given['fixed_frame'] else []
        found.append(Node(
            package='rviz2', executable='rviz2', output='log',
            arguments=['-d', str(SHARE / 'config/rviz/panoptic_depth.rviz'), *fixed_frame],
            parameters=[{'use_sim_time': overrides['use_sim_time']}]))
    return found


def generate_launch_description() -> LaunchDescription:
    """All arguments have a default."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description,
                                choices=SWITCH if default in SWITCH else None)
          for name, (default, description) in ARGUMENTS.items()),
        OpaqueFunction(function=nodes)])
