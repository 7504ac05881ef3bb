# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engine belongs to."""

from __future__ import annotations

import hashlib
import re

import pytest
from engine_keys import OTHER_PARTS, make_key
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.engines.key import EngineKey, this_system
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.model_directory import ModelDirectory


def test_parts_come_from_the_model(painted_model: ModelDirectory) -> None:
    key = EngineKey.of(painted_model, 'tensorrt', '10.3.0', '8.7', gpu='Orin', driver='540.4',
                       cuda='12.6', workspace_mib=512)
    described = (painted_model.path / 'model.json').read_bytes()
    graph = painted_model.onnx_path.read_bytes()
    assert key.model_json_sha256 == hashlib.sha256(described).hexdigest()
    assert key.onnx_sha256 == hashlib.sha256(graph).hexdigest()
    assert (key.model_id, key.system) == ('painted', this_system())
    assert key.options == {'workspace_mib': '512'}
    assert key.name == f'painted-sm_87-tensorrt10.3.0-{key.digest[:12]}'
    assert key.portable() == EngineKey.of(painted_model, 'tensorrt', '10.3.0', '8.7',
                                          workspace_mib=512)


def test_model_json_that_went_away_is_named(painted_model: ModelDirectory) -> None:
    (painted_model.path / 'model.json').unlink()
    with pytest.raises(ConfigError, match=r'model\.json: cannot be read: No such file'):
        EngineKey.of(painted_model, 'tensorrt', '10.3.0', '8.7')


def test_every_part_is_tried() -> None:
    assert set(OTHER_PARTS) == set(EngineKey.model_fields)
    assert all(getattr(make_key(), part) != value for part, value in OTHER_PARTS.items())


@pytest.mark.parametrize('part', OTHER_PARTS)
def test_each_part_counts_and_is_named(part: str) -> None:
    key, other = make_key(), make_key(**{part: OTHER_PARTS[part]})
    assert key.digest != other.digest
    assert key.name != other.name
    (difference,) = key.differences(other)
    assert difference.startswith('options.workspace_mib: ' if part == 'options' else f'{part}: ')
    stored, wanted = re.fullmatch('[a-z0-9_.]+: stored (.+), wanted (.+)', difference).groups()
    assert (wanted, stored) == re.fullmatch(
        '.+: stored (.+), wanted (.+)', other.differences(key)[0]).groups()


def test_differences_are_named_with_both_values() -> None:
    key = make_key()
    assert key.differences(make_key()) == []
    assert key.differences(make_key(driver='590.1', onnx_sha256='c' * 64)) == [
        'onnx_sha256: stored aaaaaaaaaaaa, wanted cccccccccccc',
        'driver: stored 580.65, wanted 590.1']
    assert key.differences(make_key(options={})) == [
        'options.workspace_mib: stored 0, wanted nothing']


def test_digest_does_not_depend_on_the_order_of_options() -> None:
    assert make_key(options={'a': '1', 'b': '2'}).digest == \
        make_key(options={'b': '2', 'a': '1'}).digest


def test_portable_is_any_gpu_of_one_architecture() -> None:
    portable = make_key().portable()
    assert portable == make_key(gpu='NVIDIA RTX A6000', driver='1', cuda='12.0').portable()
    assert portable != make_key(compute_capability='8.9').portable()
    assert make_key().differences(portable) == [
        'gpu: stored NVIDIA RTX A2000, wanted any', 'driver: stored 580.65, wanted any',
        'cuda: stored 13.0, wanted any']


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_are_names_of_files(model_id: str, version: str) -> None:
    name = make_key(model_id=model_id, library_version=version[:40]).name
    assert re.fullmatch(r'[A-Za-z0-9_-][A-Za-z0-9._-]*', name)
    assert len(name) < 200


@pytest.mark.parametrize(('target', 'capability'), [
    ('sm_75', '7.5'), ('sm_86', '8.6'), ('sm_100', '10.0'), ('sm_120', '12.0')])
def test_targets_are_compute_capabilities(target: str, capability: str) -> None:
    assert make_key(compute_capability=capability).target == target
