# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A temperature in model.json: what is written, what is refused, and what stays as it was."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset import model_calibration
from panoptic_depth_core.evaluation.dataset.model_calibration import (
    require_writable,
    store_temperature,
    uncalibrated,
)
from panoptic_depth_core.evaluation.metrics.calibration import TemperatureFit
from panoptic_depth_core.model_directory import ModelDirectory, save_model_directory
from panoptic_depth_core.model_info import LogDepthCalibration

FIT = TemperatureFit(1.23456, 7, 1000, 7, (1.2, 1.3), {0.68: 0.66666, 0.95: 0.94},
                     {0.68: (0.5, 0.8), 0.95: (0.9, 1.0)})


@pytest.fixture
def model(tmp_path, make_info) -> ModelDirectory:
    return save_model_directory(tmp_path / 'model', make_info(
        log_depth_temperature=3.0, network_settings={'channels': 96}), b'no graph at all')


def contents(model: ModelDirectory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in model.path.iterdir()}


def test_what_is_written(model) -> None:
    before = contents(model)
    stored = store_temperature(model, FIT, 'kitti_half, val')
    assert stored == ModelDirectory.load(model.path)
    assert stored.info == model.info.model_copy(update={
        'log_depth_temperature': 1.235, 'log_depth_calibration': LogDepthCalibration(
            data='kitti_half, val', frames=7, coverage_68=0.6667, coverage_95=0.94)})
    after = contents(model)
    old, new = (json.loads(files.pop('model.json')) for files in (before, after))
    assert after == before
    assert {name for name in new if new[name] != old[name]} == {
        'log_depth_temperature', 'log_depth_calibration'}


def test_the_temperature_replaces_that_of_before(model) -> None:
    first = store_temperature(model, FIT, 'a')
    again = store_temperature(first, FIT, 'a')
    assert again == first
    assert uncalibrated(again).info == again.info.model_copy(
        update={'log_depth_temperature': 1.0})
    assert ModelDirectory.load(model.path) == again


def test_one_frame_has_no_left_out_metrics(model) -> None:
    fit = replace(FIT, frames=1, groups=1, left_out={0.68: math.nan, 0.95: math.nan})
    stored = store_temperature(model, fit, 'a').info.log_depth_calibration
    assert stored is not None and stored.coverage_68 is None and stored.coverage_95 is None


def test_models_from_before_have_none(model) -> None:
    path = model.path / 'model.json'
    values = json.loads(path.read_text())
    del values['log_depth_calibration']
    path.write_text(json.dumps(values))
    assert ModelDirectory.load(model.path).info.log_depth_calibration is None


@pytest.mark.parametrize(('changes', 'words'), [
    ({'coverage': 0.5}, "unknown key 'log_depth_calibration.coverage'"),
    ({'frames': 0}, 'log_depth_calibration.frames is 0'),
    ({'coverage_68': 68}, 'log_depth_calibration.coverage_68 is 68'),
    ({'data': ''}, 'log_depth_calibration.data is')])
def test_a_wrong_block_is_named(model, changes, words) -> None:
    path = model.path / 'model.json'
    values = json.loads(path.read_text())
    values['log_depth_calibration'] = {'data': 'a', 'frames': 7, **changes}
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=words):
        ModelDirectory.load(model.path)


@pytest.mark.parametrize('step', ['fsync', 'replace'])
def test_an_interrupted_write_leaves_the_old_file(model, monkeypatch, step) -> None:
    def full(*_):
        raise OSError(28, 'No space left on device')

    before = contents(model)
    if step == 'fsync':
        monkeypatch.setattr(os, 'fsync', full)
    else:
        monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(ConfigError, match=r'model\.json: cannot be written: No space left'):
        store_temperature(model, FIT, 'a')
    assert contents(model) == before


def test_ctrl_c_leaves_the_old_file(model, monkeypatch) -> None:
    def interrupted(*_):
        raise KeyboardInterrupt

    before = contents(model)
    monkeypatch.setattr(os, 'fsync', interrupted)
    with pytest.raises(KeyboardInterrupt):
        store_temperature(model, FIT, 'a')
    assert contents(model) == before


def test_a_folder_that_is_read_only(model, monkeypatch) -> None:
    def read_only(**_):
        raise OSError(30, 'Read-only file system')

    monkeypatch.setattr(model_calibration.tempfile, 'TemporaryFile', read_only)
    with pytest.raises(ConfigError, match='model: cannot be written: Read-only file system; '
                       'choose a folder on a disk'):
        require_writable(model)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_a_folder_of_someone_else(model) -> None:
    model.path.chmod(0o555)
    with pytest.raises(ConfigError, match='Permission denied; change its permissions'):
        require_writable(model)
    model.path.chmod(0o755)


@pytest.mark.parametrize('name', ['model.json.asc', 'model.sig', 'model.sigstore.json'])
def test_a_signed_model(model, name) -> None:
    require_writable(model)
    (model.path / name).write_bytes(b'signature')
    before = contents(model)
    with pytest.raises(ConfigError, match=f'{name} is a signature.*calibrate a copy without it'):
        store_temperature(model, FIT, 'a')
    assert contents(model) == before


def test_a_model_that_was_exported_anew_meanwhile(model, make_info) -> None:
    save_model_directory(model.path, make_info(model_id='second'), b'other graph')
    with pytest.raises(ConfigError, match=r'model\.json has changed since.*calibrate the new'):
        store_temperature(model, FIT, 'a')
    assert ModelDirectory.load(model.path).info.model_id == 'second'


@pytest.mark.parametrize(('temperature', 'words'), [
    (math.nan, 'painted: no pixel with a true depth and an expected error; give frames'),
    (150.0, 'painted: errors of depth are 150 times what .*check units and intrinsics'),
    (0.001, 'painted: errors of depth are 0.001 times')])
def test_fits_that_say_nothing(model, temperature, words) -> None:
    before = contents(model)
    with pytest.raises(ConfigError, match=words):
        store_temperature(model, replace(FIT, temperature=temperature), 'a')
    assert contents(model) == before
