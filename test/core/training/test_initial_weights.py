# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Initial weights fit, or the recipe names the gaps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from golden_published import golden_weights  # noqa: E402
from panoptic_depth_core.errors import BackendError, ConfigError  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.training.checkpoint import load_initial_weights  # noqa: E402

SMALL = {'pyramid_width': 16, 'head_width': 16, 'encoder_width': 16}


@pytest.fixture
def checkpoint(tmp_path):
    network = create_model('fast', SMALL)
    path = tmp_path / 'model.pt'
    torch.save({'recipe': {}, 'network': network.state_dict()}, path)
    return network, path


def test_all_of_it_fits(checkpoint):
    source, path = checkpoint
    network = create_model('fast', SMALL)
    load_initial_weights(network, path)
    for name, value in network.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_gaps_that_are_named_are_left(checkpoint):
    source, path = checkpoint
    network = create_model('fast', {**SMALL, 'depth_channels': 8})
    before = network.depth_head[-1].weight.clone()
    gaps = ['depth_head.2', 'depth_embedding', 'class_depth_kernels', 'fallback']
    load_initial_weights(network, path, gaps)
    assert torch.equal(network.depth_head[-1].weight, before)
    assert torch.equal(network.mask_embedding.weight, source.mask_embedding.weight)
    with pytest.raises(ConfigError, match='another network: of another shape: class_depth_kernel'
                                          '.* and 2 more.*initial_gaps'):
        load_initial_weights(network, path, gaps[:1])
    with pytest.raises(ConfigError, match="'mask_embedding' is no gap.*leave it out"):
        load_initial_weights(network, path, [*gaps, 'mask_embedding'])


def test_rows_of_other_classes_are_no_fit(checkpoint, tmp_path):
    """Cityscapes and SemanticKITTI have as many things and classes, in another order."""
    source, path = checkpoint
    network = create_model('fast', {**SMALL, 'class_table': 'semkitti'})
    with pytest.raises(ConfigError, match='of other classes: .*class_kernels.*initial_gaps'):
        load_initial_weights(network, path)
    before = network.position_head[2].weight.clone()
    load_initial_weights(network, path, ['position_head.2', 'class_kernels',
                                         'class_depth_kernels'])
    assert torch.equal(network.position_head[2].weight, before)
    assert torch.equal(network.mask_embedding.weight, source.mask_embedding.weight)
    torch.save({'recipe': {'network_settings': {'class_table': 'semkitti'}},
                'network': network.state_dict()}, tmp_path / 'own.pt')
    load_initial_weights(network, tmp_path / 'own.pt')


def test_missing_and_unknown_weights_are_named(checkpoint):
    _, path = checkpoint
    stored = torch.load(path, weights_only=True)
    stored['network']['extra.weight'] = stored['network'].pop('fallback.weight')
    torch.save(stored, path)
    with pytest.raises(ConfigError, match='missing: fallback.weight; unknown: extra.weight'):
        load_initial_weights(create_model('fast', SMALL), path)
    load_initial_weights(create_model('fast', SMALL), path, ['fallback', 'extra'])


def test_a_published_checkpoint(tmp_path):
    weights = {n: v for n, v in golden_weights(0).items() if not n.startswith('depth_')}
    path = tmp_path / 'model_final.pth'
    torch.save({'model': weights}, path)
    network = create_model('published', {'backbone_norm': 'batch'})
    depth = ['depth_kernel_head', 'depth_kernel', 'depth_encoder', 'depth_embedding']
    load_initial_weights(network, path, depth)
    theirs = weights['backbone.bottom_up.stem.conv1.weight']
    assert torch.equal(network.backbone.stem.conv1.weight, torch.as_tensor(theirs).flip(1))
    with pytest.raises(ConfigError, match='missing: depth_kernel_head.*initial_gaps'):
        load_initial_weights(network, path)
    network.settings = network.settings.model_copy(update={'class_table': 'semkitti'})
    with pytest.raises(ConfigError, match='of other classes: center.weight, center.bias, region'):
        load_initial_weights(network, path, depth)
    with pytest.raises(ConfigError, match='not a checkpoint of this'):
        load_initial_weights(create_model('fast', SMALL), path)


@pytest.mark.parametrize('name', ['default', 'fast', 'fast-open'])
def test_shipped_models_are_a_start(name):
    pytest.importorskip('onnx', reason='needs the extra [export]')
    from panoptic_depth_core.model_directory import open_model
    from panoptic_depth_core.network.torch_backend import load_graph
    network = create_model('fast', {'mounting': True})
    load_initial_weights(network, Path(name))
    shipped = load_graph(open_model(None if name == 'default' else name)).network.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, shipped[name]), name
    with pytest.raises(ConfigError, match='another network'):
        load_initial_weights(create_model('fast', SMALL), open_model(None).path)


def test_a_model_directory_needs_onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(BackendError, match=r'onnx is needed .* pip install .*\[export'):
        load_initial_weights(create_model('fast', SMALL), Path('default'))
