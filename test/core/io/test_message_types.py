# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The message definitions: where they are found, and that they say what the code says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages import types as message_types
from panoptic_depth_core.status import HealthLevel, StreamState
from panoptic_depth_core.structures import DistanceFlag, ScaleSource


def test_every_message_compiles_and_has_a_hash() -> None:
    store = message_types.typestore()
    for name in message_types.MESSAGES:
        assert store.hash_rihs01(f'panoptic_depth/msg/{name}').startswith('RIHS01_')


def test_flags_and_constants_are_those_of_the_code() -> None:
    types = message_types.typestore().types
    message = types[message_types.INSTANCE_DISTANCE]
    for flag in DistanceFlag:
        assert getattr(message, f'FLAG_{flag.name}') == flag.value
    assert message.TRACK_UNKNOWN == -1
    array = types[message_types.INSTANCE_DISTANCE_ARRAY]
    for source in ScaleSource:
        assert getattr(array, f'SCALE_{source.name}') == source.value
    status = types[message_types.INFERENCE_STATUS]
    for state in StreamState:
        assert getattr(status, f'STATE_{state.name}') == state.value
    diagnostic = types['diagnostic_msgs/msg/DiagnosticStatus']
    for level in HealthLevel:
        assert getattr(diagnostic, level.name) == level.value


def test_vision_msgs_have_the_hashes_of_the_released_package() -> None:
    store = message_types.typestore()
    fields = store.fielddefs['vision_msgs/msg/Detection3D'][1]
    assert [name for name, _ in fields] == ['header', 'results', 'bbox', 'id']
    assert store.hash_rihs01(message_types.LABEL_INFO) == (
        'RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783')


def _hide(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    """Pretend that the module lies in another package folder."""
    (package / 'io' / 'messages').mkdir(parents=True)
    monkeypatch.setattr(message_types, '__file__', str(package / 'io' / 'messages' / 'types.py'))
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)


@pytest.mark.parametrize('place', ['site/panoptic_depth_core/msg', 'site/msg',
                                   'ros/share/panoptic_depth/msg'])
def test_found_in_a_wheel_a_checkout_and_an_ament_workspace(
        place: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, tmp_path / 'site' / 'panoptic_depth_core')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere:{tmp_path / "ros"}')
    shutil.copytree(repository / 'msg', tmp_path / place)
    assert message_types.message_folder() == (tmp_path / place).resolve()


def test_a_broken_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, tmp_path / 'panoptic_depth_core')
    with pytest.raises(ConfigError, match='InstanceDistance.*install the package again'):
        message_types.message_folder()


def test_short_type_names_are_completed() -> None:
    assert message_types.canonical_type('sensor_msgs/Image') == message_types.IMAGE
    assert message_types.canonical_type(message_types.IMAGE) == message_types.IMAGE
