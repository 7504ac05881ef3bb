# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the node, without ROS."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from panoptic_depth_core.config import (
    DepthSettings,
    DistanceSettings,
    GroundSettings,
    InferenceSettings,
    MeasuredDepthSettings,
    Thresholds,
    TrackingSettings,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference import backends
from panoptic_depth_core.inference.pipeline import merged_thresholds
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_core.streaming.settings import (
    CameraInfoSettings,
    DiagnosticsSettings,
    StreamSettings,
)
from panoptic_depth_core.structures import Mounting
from panoptic_depth_ros import parameters as ros_parameters
from panoptic_depth_ros.parameters import (
    FIXED,
    NodeSettings,
    PublishParameters,
    parameter_table,
    parameters,
    settings_from,
    with_table,
)

BY_NAME = {parameter.name: parameter for parameter in parameters()}
NOT_OF_THE_NODE = {
    # The model's, but for these two by names of their own; the rest of them is for experts.
    'thresholds',
    # A crop has no result at the border, which is nothing for a robot.
    'fit',
    # By other names.
    'output_size', 'rectified'}


def test_without_anything_it_is_as_the_core_would_have_it() -> None:
    settings = settings_from({})
    assert settings == NodeSettings()
    assert settings.inference() == InferenceSettings()
    assert settings.stream() == StreamSettings()
    assert settings.camera_info == CameraInfoSettings()
    assert settings.diagnostics == DiagnosticsSettings()
    assert settings.backend_options() == {}


def test_defaults_lead_back_to_the_settings() -> None:
    defaults = {name: parameter.default for name, parameter in BY_NAME.items()}
    assert settings_from(defaults) == NodeSettings()


CORE = [('', StreamSettings), ('', InferenceSettings), ('camera_info.', CameraInfoSettings),
        ('depth.', DepthSettings), ('distance.', DistanceSettings),
        ('tracking.', TrackingSettings), ('ground.', GroundSettings),
        ('measured_depth.', MeasuredDepthSettings), ('diagnostics.', DiagnosticsSettings)]


@pytest.mark.parametrize(('prefix', 'model'), CORE, ids=lambda v: getattr(v, '__name__', v))
def test_every_setting_of_the_core_is_a_parameter(prefix: str, model: type) -> None:
    for name, field in model.model_fields.items():
        if name in NOT_OF_THE_NODE or f'{name}.' in dict(CORE):
            continue
        found = BY_NAME[prefix + name]
        assert found.default == (list(field.default) if field.default == () else field.default)
        assert found.description == field.description


NEEDED = {'mounting.pitch_deg': {'mounting.height_m': 1.2},
          'mounting.roll_deg': {'mounting.height_m': 1.2},
          'mounting.ground_offset_m': {'mounting.ground_frame': 'base_link'}}
"""What gives a parameter its meaning."""


def other_values(name: str) -> list[Any]:
    """Values that are not the default, one of which is allowed."""
    default, kind = BY_NAME[name].default, BY_NAME[name].kind
    if name == 'backend':
        return ['torch']
    if name == 'input_bits':
        return [12]
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, list):
        return [[60.0, 0.0, 20.0, 0.0, 61.0, 12.0, 0.0, 0.0, 1.0]]
    if isinstance(default, str):
        return [choice for choice in kind.split(' | ') if choice != default]
    return [default + 1, default - 1] if isinstance(default, int) else [default + 1, default / 2]


def flat(values: Any, prefix: str = '') -> dict[str, Any]:
    """Values of nested settings by dotted names."""
    if not isinstance(values, dict):
        return {prefix[:-1]: values}
    return {name: value for key, inner in values.items()
            for name, value in flat(inner, f'{prefix}{key}.').items()}


@pytest.mark.parametrize('name', BY_NAME)
def test_each_parameter_changes_one_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Here only the way of the value matters, not whether a backend or scipy is there for it.
    monkeypatch.setattr(NodeSettings, 'backend_options', lambda self: {})
    monkeypatch.setattr(ros_parameters, 'assignment_solver', lambda: None)
    needed = NEEDED.get(name, {})
    before = flat(settings_from(needed).model_dump(mode='json'))
    allowed = []
    for value in other_values(name):
        with suppress(ConfigError):
            allowed.append((value, settings_from({**needed, name: value})))
    value, settings = allowed[0]
    after = flat(settings.model_dump(mode='json'))
    assert {key for key in after if after[key] != before[key]} == {name}
    assert after[name] == value


def test_parts_for_the_core_take_what_was_set() -> None:
    settings = settings_from({
        'min_instance_pixels': 7, 'max_instances': 8, 'label_divisor': 500,
        'output.size': 'network', 'depth.max_m': 50.0, 'distance.erode_px': 3,
        'queue_policy': 'fifo', 'max_rate_hz': 5.0, 'watchdog_timeout_s': 3.0,
        'max_input_age_ms': 100.0})
    assert settings.inference() == InferenceSettings(
        min_instance_pixels=7, max_instances=8, label_divisor=500, output_size='network',
        depth=DepthSettings(max_m=50.0), distance=DistanceSettings(erode_px=3))
    assert settings.stream() == StreamSettings(
        queue_policy='fifo', max_rate_hz=5.0, watchdog_timeout_s=3.0, max_input_age_ms=100.0)
    assert settings.stream().capacity == 10


def test_names_and_descriptions() -> None:
    assert len(BY_NAME) == len(list(parameters()))
    for parameter in BY_NAME.values():
        assert parameter.description and '\n' not in parameter.description
        assert parameter.kind.partition(' ')[0] in (
            'bool', 'integer', 'double', 'string') or ' | ' in parameter.kind or (
            parameter.kind == 'double array')
        # What ROS can store.
        assert isinstance(parameter.default, (bool, int, float, str, list))


def test_what_is_fixed() -> None:
    assert set(BY_NAME) >= FIXED
    assert {name for name, parameter in BY_NAME.items() if parameter.fixed} == FIXED
    assert {'autostart', 'backend', 'model.path', 'device_id', 'image_transport', 'queue_policy',
            'max_instances', 'label_divisor', 'output.size'} < FIXED
    assert {name for name in BY_NAME if name.startswith('engine.')} < FIXED
    assert not {name for name in FIXED if name.startswith(('publish', 'depth', 'diagnostics'))}


def test_a_switch_for_every_topic() -> None:
    assert list(PublishParameters.model_fields) == list(OUTPUTS)
    for name, topic in OUTPUTS.items():
        assert BY_NAME[f'publish.{name}'].description == f'~/{topic.name}'
    assert [name for name in OUTPUTS if not BY_NAME[f'publish.{name}'].default] == ['points']


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('depth.max', 1.0, r"parameters: unknown key 'depth.max'; known keys: .*max_m"),
    ('depht', 1.0, r"parameters: unknown key 'depht'; known keys: autostart, .*depth"),
    ('depth.max_m', -1.0, r'parameters: depth.max_m is -1.0: Input should be greater than 0'),
    ('depth.max_m', 'far', r"parameters: depth.max_m is 'far': Input should be a valid number"),
    ('depth.scale', float('inf'), r'parameters: depth.scale is inf: .*finite number'),
    ('depth.far_value', 'zero', r"parameters: depth.far_value is 'zero': .*'inf' or 'nan'"),
    ('max_instances', 0, r'parameters: max_instances is 0: .*greater than or equal to 1'),
    ('max_instances', 2.5, r'parameters: max_instances is 2.5: .*valid integer'),
    ('label_info_period_s', 0.0, r'label_info_period_s is 0.0: .*equal to 0.1'),
    ('diagnostics.period_s', float('inf'), r'diagnostics.period_s is inf: .*equal to 3600'),
    ('max_rate_hz', float('nan'), r'parameters: max_rate_hz is nan'),
    ('score_threshold', 1.5, r'parameters: score_threshold is 1.5: .*less than or equal to 1'),
    ('camera_info.policy', 'maybe', r"camera_info.policy is 'maybe': .*'require', 'fallback'"),
    ('camera_info.fallback_k', [1.0] * 8, r'camera_info.fallback_k is .*give 9 finite numbers'),
    ('points.stride', 0, r'parameters: points.stride is 0'),
    ('backend', 'cuda', r"backend 'cuda' is not known; choose auto, onnxruntime"),
    ('tf_timeout_ms', 1e9, r'parameters: tf_timeout_ms is 1000000000.0: .*equal to 10000'),
])
def test_wrong_values_are_refused_with_words(name: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings_from({name: value})


@pytest.mark.parametrize(('values', 'words'), [
    ({'device_id': 0}, 'device_id is 0, but the backend onnxruntime does not have it; leave it'),
    ({'engine.workspace_mib': 512}, 'engine.workspace_mib is 512, but the backend onnxruntime'),
    ({'backend': 'torch', 'engine.build_policy': 'never'},
     "engine.build_policy is 'never', but the backend torch does not have it"),
    ({'engine.cuda_graph': False}, 'engine.cuda_graph is False, but the backend onnxruntime'),
])
def test_nothing_is_taken_and_ignored(values: dict[str, Any], words: str) -> None:
    if values.get('backend') == 'torch':
        pytest.importorskip('torch')
    with pytest.raises(ConfigError, match=words):
        settings_from(values)


def test_what_a_backend_takes_gets_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_from({'threads': 3}).backend_options() == {'threads': 3}

    def engine(model, *, device_id=None, cache_dir='', build_policy='auto', workspace_mib=0,
               cuda_graph=True):
        """Take all but threads."""

    monkeypatch.setattr(backends, '_factory', lambda name: engine)
    values = {'device_id': 0, 'engine.cache_dir': '/cache', 'engine.build_policy': 'never',
              'engine.workspace_mib': 256, 'engine.cuda_graph': False}
    assert settings_from(values).backend_options() == {
        name.removeprefix('engine.'): value for name, value in values.items()}
    with pytest.raises(ConfigError, match='threads is 2, but the backend onnxruntime does not'):
        settings_from({'threads': 2})


def test_tracking_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is asked for, not with the first frame."""
    monkeypatch.setitem(sys.modules, 'scipy.optimize', None)
    assert not settings_from({}).tracking.enabled
    with pytest.raises(ConfigError, match='tracking needs scipy, which is not installed'):
        settings_from({'tracking.enabled': True})


def test_thresholds_below_0_are_those_of_the_model() -> None:
    of_model = Thresholds(score=0.6, overlap=0.7, void=0.1)

    def used(**values: float) -> Thresholds:
        return merged_thresholds(of_model, settings_from(values).inference().thresholds)

    assert used() == of_model
    assert used(score_threshold=-0.5, overlap_threshold=-1.0) == of_model
    assert used(score_threshold=0.0) == of_model.model_copy(update={'score': 0.0})
    assert used(overlap_threshold=0.9) == of_model.model_copy(update={'overlap': 0.9})


@pytest.mark.parametrize(('values', 'message'), [
    ({'mounting.pitch_deg': 2.0}, 'mounting is .*pitch and roll are given without a height'),
    ({'mounting.height_m': -1.0}, 'mounting.height_m is -1.0'),
    ({'mounting.height_m': 1.0, 'mounting.ground_frame': 'base_link'}, 'give one of them'),
    ({'mounting.ground_offset_m': 0.1}, 'ground_frame is not given'),
    ({'mounting.height_m': 1.0, 'mounting.pitch_deg': 95.0}, 'mounting.pitch_deg is 95.0'),
])
def test_mountings_are_checked(values: dict[str, object], message: str) -> None:
    assert settings_from({'mounting.height_m': 1.2}).mounting.fixed == Mounting(1.2)
    with pytest.raises(ConfigError, match=message):
        settings_from(values)


def test_the_shipped_file_has_known_values(repository: Path) -> None:
    """And says what the defaults are: who copies it changes nothing by that."""
    for path in sorted((repository / 'config' / 'ros').glob('*.yaml')):
        content, = yaml.safe_load(path.read_text(encoding='utf-8')).values()
        values = content['ros__parameters']
        assert settings_from(values) == NodeSettings(), path
        assert all(BY_NAME[name].default == value for name, value in values.items()), path


def test_choices_are_all_named() -> None:
    for prefix, model in CORE:
        for name, field in model.model_fields.items():
            if get_origin(field.annotation) is Literal and name not in NOT_OF_THE_NODE:
                assert BY_NAME[prefix + name].kind == ' | '.join(get_args(field.annotation))


def test_the_table_of_the_document_is_made_from_the_code(repository: Path) -> None:
    path = repository / 'doc' / 'ros_interface.md'
    text = path.read_text(encoding='utf-8')
    assert text == with_table(text), (
        f'run python -m panoptic_depth_ros.parameters {path.relative_to(repository)}')


def test_the_table() -> None:
    head, line, *rows = parameter_table().splitlines()
    assert (head, line) == ('| parameter | type | default | changes | meaning |',
                            '| --- | --- | --- | --- | --- |')
    assert len(rows) == len(BY_NAME)
    assert '| `depth.max_m` | double > 0 | `120.0` | dynamic | farther is far_value |' in rows
    assert [row for row in rows if row.startswith(r'| `queue_policy` | latest \| fifo | `"latest')]
    assert [row for row in rows if row.startswith('| `autostart` | bool | `true` | fixed |')]
    # A | that is no border would shift the columns.
    assert all(row.replace(r'\|', '').count('|') == 6 for row in rows)


def test_the_table_is_put_between_the_markers(repository: Path, tmp_path: Path) -> None:
    begin, end = '<!-- parameters: begin -->', '<!-- parameters: end -->'
    path = tmp_path / 'doc.md'
    path.write_text(f'# Title\n{begin}\nold\n{end}\nmore\n')
    subprocess.run([sys.executable, '-m', 'panoptic_depth_ros.parameters', path], cwd=repository,
                   check=True, timeout=120)
    assert path.read_text() == f'# Title\n{begin}\n{parameter_table()}\n{end}\nmore\n'
    for text in ('', begin, end + begin, begin + begin + end, begin + end + end):
        with pytest.raises(ValueError, match='must have <!-- parameters: begin -->'):
            with_table(text)


def test_no_ros_is_needed(repository: Path) -> None:
    code = ("import sys; sys.modules['rclpy'] = None; "
            'from panoptic_depth_ros.parameters import parameter_table; parameter_table(); '
            "assert 'torch' not in sys.modules")
    done = subprocess.run([sys.executable, '-c', code], cwd=repository, capture_output=True,
                          text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
