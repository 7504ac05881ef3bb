# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Model directories: what is written is read again, and what was tampered with is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core import model_directory
from panoptic_depth_core.contract import OUTPUTS, TASKS, GraphOutput
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.model_directory import (
    ModelDirectory,
    open_model,
    save_model_directory,
    shipped_models,
)


class Replay:
    """Runs nothing: returns the outputs of the reference, changed if asked to."""

    name = 'replay'
    precision = 'float32'

    def __init__(self, test, wrong_ids=0, depth_factor=1.0):
        output = test.output
        index = output.segment_index.copy()
        index.reshape(-1)[:wrong_ids] += 1
        self.output = GraphOutput(index, output.depth * np.float32(depth_factor), output.segments)

    def run(self, inputs):
        return self.output


@pytest.fixture
def saved(tmp_path, make_info):
    """Model directory whose graph is just bytes: nothing here runs it."""
    return save_model_directory(tmp_path / 'model', make_info(), b'no graph at all')


def edit(model, **changes):
    path = model.path / 'model.json'
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))


def test_round_trip(saved):
    again = ModelDirectory.load(saved.path)
    assert again == saved
    assert again.info.onnx_bytes == 15
    assert again.onnx_path.read_bytes() == b'no graph at all'
    assert [c.class_id for c in again.info.class_infos()] == list(range(19))
    assert again.info.class_infos()[13].name == 'car'
    assert open_model(saved) is saved
    assert open_model(str(saved.path)) == saved


def test_saving_again_replaces_all_files_and_leaves_no_others(saved, make_info):
    save_model_directory(saved.path, make_info(model_id='second'), b'other')
    assert ModelDirectory.load(saved.path).info.model_id == 'second'
    assert sorted(os.listdir(saved.path)) == ['model.json', 'model.onnx']


def test_graph_with_wrong_hash(saved):
    saved.onnx_path.write_bytes(b'NO graph at all')
    with pytest.raises(ConfigError, match=r'model\.onnx: sha256 is \w{64}, but model\.json says '
                       r'\w{64}.*copy or export'):
        ModelDirectory.load(saved.path)


def test_graph_cut_off(saved):
    saved.onnx_path.write_bytes(b'no graph')
    with pytest.raises(ConfigError, match='8 bytes, but model.json says 15; it was cut off'):
        ModelDirectory.load(saved.path)


def test_missing_files(saved, tmp_path):
    with pytest.raises(ConfigError, match=r'nowhere.model\.json: cannot be read: No such file'):
        ModelDirectory.load(tmp_path / 'nowhere')
    saved.onnx_path.unlink()
    with pytest.raises(ConfigError, match=r'model\.onnx: cannot be read.*copy the whole'):
        ModelDirectory.load(saved.path)


def test_missing_self_test(saved):
    edit(saved, self_test='self_test.npz')
    with pytest.raises(ConfigError, match=r'self_test\.npz: the self-test .* is missing'):
        ModelDirectory.load(saved.path)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'format_version': 2}, 'format_version is 2, this program reads 1; export'),
    ({'format_version': ...}, 'format_version is None'),
    ({'input_height': ...}, 'input_height: Field required'),
    ({'colour': 1}, "unknown key 'colour'; known keys: .*canonical_focal_px"),
    ({'output_stride': 3}, 'output_stride is 3'),
    ({'input_width': 63}, 'output_stride is 2: .*input_width 63 is no multiple'),
    ({'canonical_focal_px': 0}, 'canonical_focal_px is 0'),
    ({'trained_focal_range_px': [5, 5]}, 'trained_focal_range_px is .*must be greater'),
    ({'onnx_file': '../model.onnx'}, "onnx_file is '../model.onnx'"),
    ({'classes': []}, r'classes is \[\]: .*there are 0 for the tasks depth, instances, semanti'),
    ({'tasks': ['depth']}, 'there are 19 for the tasks depth; semantic and instances need class'),
    ({'tasks': []}, r'tasks is \[\]'), ({'tasks': ['flow']}, 'tasks.0 is .flow.'),
    ({'extra_inputs': [{'name': 'depth', 'shape': [1]}]}, 'is the name of another input or outp'),
    ({'extra_inputs': [{'name': 'a', 'shape': [0]}]}, 'extra_inputs.0.shape.0.* is 0'),
    ({'extra_inputs': [{'name': 'a', 'shape': [1], 'dtype': 'uint8'}]},
     'unknown is nan: .*uint8 has no such value; give one of 0 to 255, or take float32'),
    ({'extra_inputs': 2 * [{'name': 'a', 'shape': [1]}]}, 'two have the same name; choose a'),
    ({'log_depth_temperature': -1}, 'log_depth_temperature is -1'),
])
def test_wrong_model_json(saved, changes, words):
    edit(saved, **changes)
    with pytest.raises(ConfigError, match=words):
        ModelDirectory.load(saved.path)


@pytest.mark.parametrize(('text', 'words'), [
    ('{', 'not valid JSON'), ('[1]', 'holds a list, not an object'), ('\udcff', 'not valid')])
def test_model_json_that_is_none(saved, text, words):
    (saved.path / 'model.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(ConfigError, match=words):
        ModelDirectory.load(saved.path)


def test_directories_from_before_there_were_tasks(saved):
    """Models without depth said so in depth_of."""
    edit(saved, tasks=..., extra_inputs=..., precision='int8', depth_of='pixels')
    info = ModelDirectory.load(saved.path).info
    assert (info.tasks, info.precision, info.extra_inputs) == (TASKS, 'int8', ())
    edit(saved, depth_of='nothing')
    info = ModelDirectory.load(saved.path).info
    assert info.tasks == {'semantic', 'instances'}
    assert list(info.graph_outputs()) == ['segment_index', 'segments']


def test_tasks_and_extra_inputs_come_back(tmp_path, make_info):
    extra = [{'name': 'mounting', 'shape': [3]},
             {'name': 'measured_depth', 'shape': ['height', 'width'], 'unknown': -1.0},
             {'name': 'limit', 'shape': [1], 'unknown': float('inf')},
             {'name': 'weather', 'dtype': 'uint8', 'shape': [1], 'unknown': 255}]
    info = make_info(tasks=['depth'], classes=[], extra_inputs=extra)
    model = save_model_directory(tmp_path, info, b'')
    assert model.info.tasks == {'depth'} and not model.info.class_infos()
    assert model.info.graph_inputs() | {'image': 0} == {
        'image': 0, 'intrinsics': ('float32', (1, 4)), 'thresholds': ('float32', (4,)),
        'mounting': ('float32', (1, 3)), 'measured_depth': ('float32', (1, 32, 64)),
        'limit': ('float32', (1, 1)), 'weather': ('uint8', (1, 1))}
    unknown = model.info.unknown_inputs()
    assert np.isnan(unknown['mounting']).all() and (unknown['measured_depth'] == -1.0).all()
    assert unknown['limit'] == np.inf and unknown['weather'] == 255
    text = (tmp_path / 'model.json').read_text()
    assert json.loads(text, parse_constant=pytest.fail)['tasks'] == ['depth']


def test_default_model_missing_from_installation(monkeypatch, tmp_path):
    monkeypatch.setattr(model_directory.importlib.resources, 'files', lambda _: tmp_path)
    with pytest.raises(ConfigError, match='weights of the default model are not in this'):
        ModelDirectory.default()


def test_default_model_is_found_in_the_package(monkeypatch, tmp_path, make_info):
    save_model_directory(tmp_path / 'models' / 'fast', make_info(model_id='shipped'), b'x')
    monkeypatch.setattr(model_directory.importlib.resources, 'files', lambda _: tmp_path)
    assert open_model(None).info.model_id == 'shipped'


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch, make_info, saved):
    def full(*_):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(ConfigError, match=r'model\.onnx: cannot be written: No space.*free some'):
        save_model_directory(saved.path, make_info(model_id='second'), b'other')
    assert ModelDirectory.load(saved.path) == saved
    assert sorted(os.listdir(saved.path)) == ['model.json', 'model.onnx']


def test_a_model_is_readable_by_all(saved):
    assert {path.stat().st_mode & 0o777 for path in saved.path.iterdir()} == {0o644}


class TestGraphCheck:
    """What a runtime reports against the contract."""

    def test_fitting(self, saved):
        outputs = saved.info.graph_outputs()
        outputs['segments'] = ('float32', (1, 119, 6))
        saved.check_graph(saved.info.graph_inputs(), outputs)

    @pytest.mark.parametrize('name', OUTPUTS)
    def test_missing_output(self, saved, name):
        outputs = saved.info.graph_outputs()
        del outputs[name]
        with pytest.raises(ConfigError, match=f"output '{name}' is missing, the graph has"):
            saved.check_graph(saved.info.graph_inputs(), outputs)

    @pytest.mark.parametrize('spec', [
        ('float32', (1, 16, 31)), ('float64', (1, 16, 32)), ('float32', (16, 32)),
        ('float32', (None, 16, 32))])
    def test_wrong_output(self, saved, spec):
        outputs = {**saved.info.graph_outputs(), 'depth': spec}
        with pytest.raises(ConfigError, match=r"output 'depth' is .* ask for float32 "
                           r'\(1, 16, 32\)'):
            saved.check_graph(saved.info.graph_inputs(), outputs)

    def test_input_that_nobody_feeds(self, saved):
        inputs = {**saved.info.graph_inputs(), 'mask': ('float32', (1,))}
        with pytest.raises(ConfigError, match="input 'mask' is not in the contract"):
            saved.check_graph(inputs, saved.info.graph_outputs())


class TestSelfTest:
    """The reference against a runtime."""

    def test_equal(self, painted_model):
        report = painted_model.self_test(Replay(painted_model.load_self_test()))
        assert (report.backend, report.equal_ids, report.depth_error) == ('replay', 1.0, 0.0)

    def test_what_is_stored_is_read(self, painted_model):
        test = painted_model.load_self_test()
        assert sorted(test.inputs) == ['image', 'intrinsics', 'thresholds']
        assert (test.min_equal_ids, test.max_depth_error) == (0.999, 1e-3)

    def test_wrong_ids(self, painted_model):
        backend = Replay(painted_model.load_self_test(), wrong_ids=2)
        with pytest.raises(BackendError, match=r'painted on replay: 99\.609% of the ids'):
            painted_model.self_test(backend)

    @pytest.mark.parametrize('factor', [1.01, np.nan])
    def test_wrong_depth(self, painted_model, factor):
        backend = Replay(painted_model.load_self_test(), depth_factor=factor)
        with pytest.raises(BackendError, match=r'relative depth error (0\.01|nan) \(most 0\.001'):
            painted_model.self_test(backend)

    def test_wrong_shape(self, painted_model):
        backend = Replay(painted_model.load_self_test())
        backend.output = replace(backend.output, segment_index=np.zeros((4, 4), np.uint8))
        with pytest.raises(BackendError, match=r'maps are \(4, 4\), not \(16, 32\)'):
            painted_model.self_test(backend)

    def test_none(self, saved):
        with pytest.raises(ConfigError, match='has no self-test; export it with one'):
            saved.load_self_test()

    def test_damaged(self, painted_model):
        (painted_model.path / 'self_test.npz').write_bytes(b'PK\x03\x04 nonsense')
        with pytest.raises(ConfigError, match=r'self_test\.npz: is damaged or is not'):
            painted_model.load_self_test()


class TestOpenedByName:
    """Names, directories and files that mean a model."""

    @pytest.fixture(autouse=True)
    def _here(self, monkeypatch, tmp_path, make_info):
        """One shipped model; the current directory is empty."""
        save_model_directory(tmp_path / 'models' / 'fast', make_info(model_id='shipped'), b'x')
        (tmp_path / 'models' / 'unfinished').mkdir()
        monkeypatch.setattr(model_directory.importlib.resources, 'files', lambda _: tmp_path)
        (tmp_path / 'here').mkdir()
        monkeypatch.chdir(tmp_path / 'here')

    @pytest.mark.parametrize('name', [None, 'fast', Path('fast')])
    def test_shipped(self, name):
        assert list(shipped_models()) == ['fast']
        assert open_model(name).info.model_id == 'shipped'

    def test_a_directory_of_that_name_goes_first_where_it_is_a_model(self, make_info):
        os.mkdir('fast')
        assert open_model('fast').info.model_id == 'shipped'
        save_model_directory('fast', make_info(model_id='mine'), b'x')
        assert open_model('fast').info.model_id == 'mine'
        assert open_model(None).info.model_id == 'shipped'

    @pytest.mark.parametrize('name', ['model.json', 'model.onnx'])
    def test_a_file_of_the_directory(self, saved, name):
        assert open_model(saved.path / name) == saved

    @pytest.mark.parametrize('name', ['slow', './fast', 'unfinished'])
    def test_unknown(self, name):
        with pytest.raises(ConfigError, match='cannot be read.*export` wrote, or a shipped model: '
                           'fast$'):
            open_model(name)
