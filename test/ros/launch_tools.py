# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What launch tests start: the node with the controllable backend, its model, its orders."""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from controllable_node import CANONICAL_FOCAL_PX, CONTROL, NAME
from launch import LaunchDescription
from launch_ros.actions import Node
from launch_testing.actions import ReadyToTest
from panoptic_depth_core.contract import SEGMENTATION, TASKS, Task
from panoptic_depth_core.labels import CITYSCAPES
from panoptic_depth_core.model_directory import ModelInfo, save_model_directory

# Tests must not meet the nodes of the robot, or of another run, that happen to be up.
os.environ['ROS_DOMAIN_ID'] = str(40 + os.getpid() % 60)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'

HERE = Path(__file__).resolve().parent
_TEMPORARY = tempfile.TemporaryDirectory(prefix='panoptic_depth_launch_')
FOLDER = Path(_TEMPORARY.name)
"""For whatever a test writes; gone with the process."""
atexit.register(_TEMPORARY.cleanup)

NETWORK_SIZE = 64, 32
"""Width and height of the input of the model."""


def make_model(path: Path, tasks: Collection[Task] = TASKS) -> Path:
    """Write the model directory of the controllable backend, whose graph nobody reads."""
    width, height = NETWORK_SIZE
    info = ModelInfo.model_validate({
        'model_id': 'controllable-1', 'network': 'none', 'input_height': height,
        'input_width': width, 'tasks': tasks, 'classes': [
            {'name': c.name, 'color': c.color, 'is_thing': c.is_thing} for c in CITYSCAPES
            if SEGMENTATION.intersection(tasks)],
        'output_stride': 2, 'canonical_focal_px': CANONICAL_FOCAL_PX,
        'trained_focal_range_px': (10, 1000), 'depth_range_m': (0.5, 200),
        'normalisation_mean': (0, 0, 0), 'normalisation_std': (255, 255, 255),
        # Where no image is there is no segment either.
        'padding_rgb': (255, 0, 0), 'opset': 18, 'weights_licence': 'CC0-1.0'})
    save_model_directory(path, info, b'a graph')
    return path


class Control:
    """
    The orders of one node under test.

    :param name: of the file.
    :param order: the first one, see controllable_node.
    """

    def __init__(self, name: str, order: str = 'ok') -> None:
        self.path = FOLDER / f'{name}.control'
        self(order)

    def __call__(self, order: str) -> None:
        """Give an order; no reader sees half of it."""
        new = self.path.with_suffix('.new')
        new.write_text(order, 'utf-8')
        new.replace(self.path)


def controllable_node(namespace: str, order: str = 'ok', *, control: Control | None = None,
                      remappings: Sequence[tuple[str, str]] = (), end_s: float = 5.0,
                      **parameters: Any) -> Node:
    """
    Return the action that starts the node; its full name is /<namespace>/panoptic_depth.

    :param order: what the backend does at first.
    :param remappings: topics of the node -> others.
    :param end_s: time to end in, before the process is ended; more where many end at once.
    :param parameters: with __ for a dot.
    """
    model = FOLDER / 'model'
    if not model.is_dir():
        make_model(model)
    control = control or Control(namespace, order)
    # Often told, soon known.
    values = {'backend': NAME, 'model.path': str(model), 'diagnostics.period_s': 0.1, **{
        name.replace('__', '.'): value for name, value in parameters.items()}}
    return Node(executable=sys.executable, arguments=[str(HERE / 'controllable_node.py')],
                namespace=namespace, parameters=[values], output='screen',
                remappings=remappings or None, sigterm_timeout=str(end_s),
                additional_env={CONTROL: str(control.path)})


def description(*actions: Any) -> LaunchDescription:
    """Start these, then run the tests."""
    return LaunchDescription([*actions, ReadyToTest()])
