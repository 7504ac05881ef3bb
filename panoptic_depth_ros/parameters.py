# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the node as ROS parameters: declared, read, and changed while it runs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from panoptic_depth_core.errors import ConfigError
from panoptic_depth_ros.settings import NodeSettings, parameters, settings_from
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

_OF_RCLPY = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


def declare_parameters(node: Node) -> NodeSettings:
    """
    Declare every parameter and read what was given.

    :raises ConfigError: for a wrong value or an unknown name.
    """
    _refuse_unknown(node)
    for parameter in parameters():
        # 100 for 100.0 is what people write; the settings check types themselves. Of an empty
        # list rclpy could not tell the type.
        loose = isinstance(parameter.default, (float, list))
        node.declare_parameter(parameter.name, parameter.default, ParameterDescriptor(
            description=parameter.description, additional_constraints=parameter.kind,
            read_only=parameter.fixed, dynamic_typing=loose))
    return settings_from(_values(node))


def on_change(node: Node, apply: Callable[[NodeSettings], None]) -> None:
    """Call apply with the new settings whenever parameters change; refuse wrong ones."""
    known = {parameter.name for parameter in parameters()}

    def callback(changes: Iterable[Parameter]) -> SetParametersResult:
        new = {change.name: change.value for change in changes if change.name in known}
        if new:
            try:
                apply(settings_from({**_values(node), **new}))
            except ConfigError as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(callback)


def _values(node: Node) -> dict[str, Any]:
    return {p.name: node.get_parameter(p.name).value for p in parameters()}


def _refuse_unknown(node: Node) -> None:
    """Say what nobody will read: rclpy takes misspelt parameters in silence."""
    known = [parameter.name for parameter in parameters()]
    # rclpy has no public way to ask for overrides that were never declared.
    for name in getattr(node, '_parameter_overrides', {}):
        if name not in known and not name.startswith(_OF_RCLPY):
            close = difflib.get_close_matches(name, known, 1)
            hint = f'did you mean {close[0]}?' if close else 'see doc/ros_interface.md'
            raise ConfigError(f'parameter {name!r} is not known; {hint}')
