# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Models of one task each, from training to a result: nobody needs to know what they are."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from miniature import make_sample  # noqa: E402
from panoptic_depth_core.config import Thresholds, parse_settings  # noqa: E402
from panoptic_depth_core.errors import BackendError, ConfigError  # noqa: E402
from panoptic_depth_core.export.onnx_export import export_checkpoint, export_model  # noqa: E402
from panoptic_depth_core.inference.backends import create_backend  # noqa: E402
from panoptic_depth_core.inference.pipeline import Pipeline  # noqa: E402
from panoptic_depth_core.labels import VOID_ID  # noqa: E402
from panoptic_depth_core.model_directory import ModelDirectory  # noqa: E402
from panoptic_depth_core.network import MODELS, create_model  # noqa: E402
from panoptic_depth_core.network.base import Model, ModelDescription  # noqa: E402
from panoptic_depth_core.training.checkpoint import load_initial_weights  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.trainer import train  # noqa: E402
from tiny_models import TinyDepth, TinySemantic  # noqa: E402

TINY = {'tiny_depth': TinyDepth, 'tiny_semantic': TinySemantic}
SIZE = {'height': 64, 'width': 128, 'thresholds': {'void': 0.0}}


@pytest.fixture(params=TINY)
def name(request, monkeypatch):
    """One line each in the table of models."""
    for name, model in TINY.items():
        monkeypatch.setitem(MODELS, name, f'tiny_models:{model.__name__}')
    return request.param


@pytest.fixture
def settings(name, recipe):
    """Recipe of one of them, with a validation."""
    changes = {'network': name, 'network_settings': {'width': 4}, 'learning_rate': 0.02,
               'validation': {'every': 3, 'model': SIZE, 'data': [
                   {'name': 'miniature', 'root': '-'}]}}
    return parse_settings(TrainSettings, {**recipe, **changes}, 'test')


@pytest.fixture
def exported(settings, tmp_path):
    """Model directory of trained weights."""
    best = train(settings, tmp_path / 'run')
    assert best.name == 'best.pt'
    description = parse_settings(ModelDescription, {**SIZE, 'weights_licence': 'CC0-1.0'}, 'test')
    return export_checkpoint(best, tmp_path / 'model', description)


def _validations(run):
    rows = [json.loads(line) for line in (run / 'train.jsonl').read_text().splitlines()]
    return [row['validation'] for row in rows if 'validation' in row], rows


def test_training_knows_their_losses_and_metrics_alone(name, settings, tmp_path):
    train(settings, tmp_path)
    validations, rows = _validations(tmp_path)
    loss = 'depth' if name == 'tiny_depth' else 'semantic'
    assert {key for key in rows[0] if key in ('depth', 'semantic', 'mask', 'center')} == {loss}
    assert rows[-2][loss] < rows[0][loss]
    metric_values = validations[-1]
    if name == 'tiny_depth':
        assert set(metric_values) == {'abs_rel', 'delta1', 'score'}
        assert metric_values['score'] == metric_values['delta1']
    else:
        assert set(metric_values) == {'miou', 'score'}
        assert metric_values['score'] == metric_values['miou'] > 0


def test_the_exported_graph_has_their_outputs_alone(name, exported):
    info = ModelDirectory.load(exported.path).info
    if name == 'tiny_depth':
        assert info.tasks == {'depth'} and not info.classes and info.depth_range_m
        assert list(info.graph_outputs()) == ['depth']
        assert list(info.graph_inputs())[-1] == 'camera_height'
    else:
        assert info.tasks == {'semantic'} and len(info.classes) == 19
        assert (info.canonical_focal_px, info.depth_range_m) == (None, None)
        assert list(info.graph_outputs()) == ['segment_index', 'segments']
    for backend in ('onnxruntime', 'torch'):
        assert exported.self_test(create_backend(backend, exported)).equal_ids == 1.0


def test_an_input_may_be_small(name, tmp_path):
    model = create_model(name, {'width': 4})
    description = parse_settings(ModelDescription, {'height': 28, 'width': 64}, 'test')
    assert export_model(model, tmp_path, description).info.input_height == 28


@pytest.mark.parametrize(('told', 'words'), [
    ({'tasks': ['depth', 'semantic']}, r"tasks is \['depth', 'semantic'\], but of network 't"),
    ({'extra_inputs': [{'name': 'x', 'shape': [1]}]}, r"extra_inputs is \[.*'x'.*; export the"),
])
@pytest.mark.parametrize('name', ['tiny_semantic'], indirect=True)
def test_torch_refuses_what_is_told_of_another_network(exported, told, words):
    path = exported.path / 'model.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **told}))
    with pytest.raises(ConfigError, match=words):
        create_backend('torch', ModelDirectory.load(exported.path))


def test_results_say_what_the_model_does(name, exported):
    frame = make_sample().frame
    results = []
    for backend in ('onnxruntime', 'torch'):
        with Pipeline(exported, backend) as pipeline:
            results.append(pipeline(frame))
    result, other = results
    np.testing.assert_array_equal(result.panoptic, other.panoptic)
    np.testing.assert_allclose(result.depth, other.depth, rtol=1e-5)
    assert result.tasks == TINY[name].tasks and not result.distances
    if name == 'tiny_depth':
        assert (result.panoptic == VOID_ID).all() and not result.segments
        assert np.isfinite(result.depth).all()
    else:
        assert np.isnan(result.depth).all(), 'of the sky as well'
        assert {s.instance_id for s in result.segments} == {0}
        assert (result.panoptic != VOID_ID).all()


@pytest.mark.parametrize('name', ['tiny_depth'], indirect=True)
def test_an_extra_input_reaches_the_graph_and_unknown_is_filled_in(exported):
    frame = make_sample().frame
    known = {height: replace(frame, extra_inputs={
        'camera_height': np.array([height], np.float32)}) for height in (1.5, 3.0)}
    with Pipeline(exported) as pipeline:
        usual = pipeline(frame).depth
        np.testing.assert_array_equal(pipeline(known[1.5]).depth, usual)
        np.testing.assert_allclose(pipeline(known[3.0]).depth, 2 * usual, rtol=1e-5)
        wrong = replace(frame, extra_inputs={'camera_height': np.zeros(2, np.float32)})
        with pytest.raises(BackendError, match=r'_height is float32 \(1, 2\) .*Frame.extra_inp'):
            pipeline(wrong)
    with pytest.raises(ConfigError, match=r"frame '0': camera_height is float32 \(2,\), but the "
                       r'model takes float32 \(1,\); give fitting Frame.extra_inputs'):
        TinyDepth().targets()([replace(make_sample(), frame=wrong)])
    batch = TinyDepth().targets()([replace(make_sample(), frame=known[3.0]), make_sample()])
    assert torch.isnan(batch.inputs()['camera_height']).tolist() == [[False], [True]]
    again = pickle.loads(pickle.dumps(batch))
    assert again.inputs()['camera_height'][0] == 3.0
    assert again.to(torch.device('cpu')).truth.shape == (2, 64, 128)


def test_they_go_on_from_their_own_weights(name, exported, tmp_path):
    model = create_model(name, {'width': 4})
    load_initial_weights(model, tmp_path / 'run' / 'best.pt')
    other = create_model(name, {'width': 4})
    load_initial_weights(other, exported.path)
    for key, value in model.state_dict().items():
        assert torch.allclose(value, other.state_dict()[key], rtol=1e-3, atol=1e-5), key


@pytest.mark.usefixtures('name')
def test_what_a_recipe_may_set_is_the_models(recipe):
    with pytest.raises(ConfigError, match="test: loss: unknown key 'mask'; known keys: weight"):
        parse_settings(TrainSettings, {**recipe, 'network': 'tiny_depth', 'network_settings': {},
                                       'loss': {'mask': 1.0}}, 'test')
    with pytest.raises(ConfigError, match="test: assembly: unknown key 'max_things'; known keys: "
                       'output_stride'):
        create_model('tiny_depth', rules={'max_things': 3}, source='test')
    with pytest.raises(ConfigError, match=r"x.pth: model 'tiny_depth' reads no checkpoints of"):
        TinyDepth.from_published({}, 'x.pth')


def test_what_a_model_leaves_out_is_named():
    class Nothing(Model):
        name = 'nothing'
        settings_type = loss_type = Thresholds

    model = Nothing()
    for call in (lambda: model.targets(), lambda: model.losses(None, None),
                 lambda: model.assemble(None, None)):
        with pytest.raises(RuntimeError, match='Nothing has no (targets|losses|assemble) method'):
            call()
