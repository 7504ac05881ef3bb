# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Panoptic-DepthLab's network against vectors of its original, and its checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from golden import each_golden, golden_file  # noqa: E402
from golden_depthlab import depthlab_shapes, depthlab_weights  # noqa: E402
from panoptic_depth_core.contract import SEGMENTATION, TASKS  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network import create_model, settings_of  # noqa: E402
from panoptic_depth_core.network.depthlab.checkpoint import published_names  # noqa: E402
from panoptic_depth_core.network.depthlab.grouping import (  # noqa: E402
    PUBLISHED_RULES,
    GroupingRules,
)
from panoptic_depth_core.network.depthlab.network import (  # noqa: E402
    FOCAL_PX,
    PUBLISHED_SETTINGS,
    DepthLabNetwork,
)
from panoptic_depth_core.network.segment_table import resize  # noqa: E402

RECIPES = Path(__file__).parents[3] / 'config' / 'training' / 'depthlab'
CAMERA = torch.tensor([[FOCAL_PX, FOCAL_PX, 127.5, 63.5]])
TINY = {'context_width': 16, 'projection_widths': [16, 8], 'decoder_width': 16,
        'instance_width': 16, 'instance_head_width': 8}


def _distance(a: torch.Tensor, b: np.ndarray) -> float:
    b = torch.from_numpy(b).double()
    return float((a.double() - b).norm() / b.norm())


@each_golden('depthlab_network')
def test_equals_the_original(path):
    """Every tensor to 1e-4, and the classes of nearly all pixels."""
    golden = np.load(path)
    network = DepthLabNetwork.from_published(
        depthlab_weights(int(golden['seed'])), 'golden', {'camera': 'unknown'}).eval()
    seen = {}
    for name, module in (('backbone', network.backbone),
                         ('aspp_depth', network.depth_decoder.context),
                         ('decoder_depth', network.depth_decoder)):
        module.register_forward_hook(
            lambda _, __, output, name=name: seen.update({name: output}))
    image = torch.from_numpy(golden['image_rgb'][None])
    with torch.inference_mode():
        out = network(image, CAMERA)
    size = image.shape[1:3]
    assert out.metric.tolist() == [1.0]
    found = {
        'sem_logits': out.semantic[0], 'center': out.center[0], 'offset': out.offset[0],
        'depth': out.depth, 'center_full': resize(out.center, size)[0],
        'offset_full': resize(out.offset, size)[0] * 4,
        'depth_full': resize(out.depth[:, None], size)[0], 'aspp_depth': seen['aspp_depth'][0],
        'decoder_depth_mean': seen['decoder_depth'][0].mean((1, 2)),
        **{f'mean_res{stage}': seen['backbone'][stage - 2][0].mean((1, 2))
           for stage in (2, 3, 5)}}
    assert {*found, 'seed', 'image_rgb', 'sem_argmax_full'} == set(golden.files)
    for name, value in found.items():
        distance = _distance(value, golden[name])
        print(f'{name}: {distance:.1e} from the original')
        assert value.shape == golden[name].shape and distance < 1e-4, name
    classes = resize(out.semantic, size)[0].argmax(0).numpy()
    assert (classes == golden['sem_argmax_full']).mean() > 0.999


def test_names_and_shapes_are_those_of_the_checkpoints():
    keys = json.loads(golden_file('state_dict_keys_panoptic_depthlab.json').read_text())
    counters = {name for name, _, kind in keys if name.endswith('num_batches_tracked')}
    assert {kind for name, _, kind in keys if name not in counters} == {'float32'}
    assert depthlab_shapes() == {
        name: tuple(shape) for name, shape, _ in keys if name not in counters}
    assert len(keys) == 590


def test_size_is_the_published_one():
    with torch.device('meta'):
        network = create_model('depthlab', PUBLISHED_SETTINGS)
    sizes = {}
    for name, value in network.named_parameters():
        part = name.split('_')[0].split('.')[0]
        sizes[part] = sizes.get(part, 0) + value.numel()
    assert sizes.pop('backbone') == 23_631_808
    assert sizes.pop('semantic') == 19_344_083
    assert sizes.pop('depth') == 19_339_457
    assert sum(sizes.values()) == 16_794_275


def test_every_weight_of_the_network_has_a_name():
    for predicts_depth in (True, False):
        with torch.device('meta'):
            network = create_model('depthlab', {**PUBLISHED_SETTINGS,
                                                'predicts_depth': predicts_depth})
        ours = list(published_names(predicts_depth).values())
        assert len(set(ours)) == len(ours)
        assert set(ours) == {name for name in network.state_dict()
                             if not name.endswith('num_batches_tracked')}


@pytest.fixture(scope='module')
def weights() -> dict[str, torch.Tensor]:
    return depthlab_weights(1)


def test_batch_norm_can_be_merged(weights):
    image = torch.randint(0, 256, (1, 64, 128, 3), dtype=torch.uint8)
    network = DepthLabNetwork.from_published(weights, 'test').eval()
    with torch.inference_mode():
        expected = network(image, CAMERA / 2)
        merged = network.deployed()
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in merged.modules())
        found = merged(image, CAMERA / 2)
    assert found.metric.tolist() == [0.5]
    for a, b in zip(found[:4], expected[:4], strict=True):
        assert _distance(a, b.numpy()) < 1e-4
    with torch.device('meta'):
        again = create_model('depthlab', merged.settings.model_dump())
    assert {n: v.shape for n, v in again.state_dict().items()} == {
        n: v.shape for n, v in merged.state_dict().items()}


def test_checkpoint_of_panoptic_deeplab_gives_a_network_without_depth(weights):
    kept = {name: value for name, value in weights.items() if not name.startswith('depth_head.')}
    kept['backbone.stem.conv1.norm.num_batches_tracked'] = torch.tensor(3)
    network = DepthLabNetwork.from_published(kept, 'test').eval()
    assert network.tasks == SEGMENTATION
    with torch.inference_mode():
        output = network(torch.zeros(1, 32, 64, 3, dtype=torch.uint8), CAMERA)
    assert output.depth is None


@pytest.mark.parametrize(('change', 'words'), [
    (lambda w: w.pop('sem_seg_head.predictor.bias'), 'missing: sem_seg_head.predictor.bias;'),
    (lambda w: w.update(extra=torch.zeros(1)), 'unknown: extra;'),
    (lambda w: w.update({'sem_seg_head.predictor.bias': torch.zeros(133)}),
     r'of another shape: sem_seg_head.predictor.bias is \(133,\), not \(19,\)'),
    (lambda w: w.update({'backbone.res2.0.conv1.weight': torch.full((64, 128, 1, 1), torch.nan)}),
     'not finite: backbone.res2.0.conv1.weight'),
    (lambda w: w.pop('depth_head.predictor.weight'), 'missing: depth_head.predictor.weight'),
    (lambda w: (w.clear(), w.update({'kernel_head.out_conv.bias': torch.zeros(256)})),
     'missing: .* and 422 more; unknown: kernel_head.out_conv.bias;'),
])
def test_says_what_does_not_fit(weights, change, words):
    changed = dict(weights)
    change(changed)
    with pytest.raises(ConfigError, match=f'm.pth: no checkpoint of Panoptic-DepthLab.*{words}'):
        DepthLabNetwork.from_published(changed, 'm.pth')


@pytest.mark.parametrize(('settings', 'words'), [
    ({'decoder_width': 50}, 'decoder_width is 50'), ({'projection_widths': [7, 8]}, 'is 7'),
    ({'instance_head_width': 0}, 'instance_head_width is 0')])
def test_widths_are_those_of_group_norm(settings, words):
    with pytest.raises(ConfigError, match=words):
        create_model('depthlab', settings)


def test_rows_of_a_result_are_counted():
    rows = [{'name': f'c{i}', 'color': [i, 0, 0], 'is_thing': i < 2} for i in range(60)]
    with pytest.raises(ConfigError, match='max_things is 200 with 60 classes.*195 or less'):
        create_model('depthlab', {**TINY, 'class_table': rows}, rules={'max_things': 200})


def test_light_one_is_light_and_its_depth_is_positive():
    torch.manual_seed(0)
    network = create_model('depthlab').eval()
    assert sum(p.numel() for p in network.parameters()) < 5e6
    assert network.tasks == TASKS and network.input_mean == (127.5, 127.5, 127.5)
    image = torch.randint(0, 256, (2, 64, 128, 3), dtype=torch.uint8)
    with torch.inference_mode():
        out = network(image, torch.tensor([[250.0, 250, 64, 32], [1000.0, 1000, 64, 32]]))
    assert out.depth.shape == (2, 16, 32) and out.center.shape == (2, 1, 16, 32)
    assert out.metric.tolist() == [0.5, 2.0]
    # From the start it says about 12 m, and no class has an advantage.
    assert (out.depth > 0).all() and 9 < out.depth.median() < 16
    assert out.semantic.abs().max() < 2


@pytest.mark.parametrize('rays', [True, False])
def test_depth_sees_where_the_camera_looks(rays):
    network = create_model('depthlab', {**TINY, 'rays': rays}).eval()
    image = torch.randint(0, 256, (1, 64, 128, 3), dtype=torch.uint8).expand(2, -1, -1, -1)
    with torch.inference_mode():
        out = network(image, torch.tensor([[250.0, 250, 64, 10], [250.0, 250, 64, 90]]))
    assert torch.equal(out.depth[0], out.depth[1]) != rays
    assert torch.equal(out.semantic[0], out.semantic[1])


@pytest.mark.parametrize('backbone', ['resnet50', 'resnet50_deep'])
def test_other_backbones(backbone):
    network = create_model('depthlab', {**TINY, 'backbone': backbone}).eval()
    assert network.input_mean == (123.675, 116.28, 103.53)
    with torch.inference_mode():
        out = network(torch.zeros(1, 48, 80, 3, dtype=torch.uint8), CAMERA)
    assert out.semantic.shape == (1, 19, 12, 20)


def test_recipe_is_the_published_system():
    recipe = yaml.safe_load((RECIPES / 'published.yaml').read_text())
    settings = settings_of('depthlab', recipe['network_settings'])
    assert settings == settings_of('depthlab', PUBLISHED_SETTINGS)
    assert GroupingRules(**recipe['assembly']) == PUBLISHED_RULES
    assert recipe['loss'] == {'published': {}}
    heavy = yaml.safe_load((RECIPES / 'heavy.yaml').read_text())['network_settings']
    assert heavy.items() <= {**PUBLISHED_SETTINGS, 'projection_widths': [64, 32]}.items()
