# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The published network against vectors of its original, and its checkpoints' names."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from golden import each_golden, golden_file  # noqa: E402
from golden_published import golden_weights, published_shapes  # noqa: E402
from panoptic_depth_core.contract import SEGMENTATION  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.panoptic_depth.checkpoint import published_names  # noqa: E402
from panoptic_depth_core.network.panoptic_depth.network import (  # noqa: E402
    FOCAL_PX,
    PublishedNetwork,
)
from torchvision.ops import FrozenBatchNorm2d  # noqa: E402

CAMERA = torch.tensor([[FOCAL_PX, FOCAL_PX, 127.5, 63.5]])


@pytest.fixture(scope='module')
def weights() -> dict[str, torch.Tensor]:
    return golden_weights(0)


def _outputs(network: PublishedNetwork, path, dtype=torch.float32) -> dict[str, torch.Tensor]:
    """Outputs for the image of a golden file, by the names that it has."""
    image = torch.from_numpy(np.load(path)['image_bgr'][None, ..., ::-1].copy())
    with torch.inference_mode():
        out = network(image.to(dtype), CAMERA.to(dtype))
    maps = {'center': out.centers, 'region': out.regions, 'kernel': out.kernels,
            'depth_kernel': out.depth_kernels}
    named = {f'{name}_{level}': value[0] for name, levels in maps.items()
             for level, value in enumerate(levels)}
    return named | {'encode_feat': out.mask_embedding[0], 'encode_depth': out.depth_embedding[0]}


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@each_golden('network')
def test_equals_the_original(path):
    """
    Every tensor to 1e-4, or as near as float32 can tell.

    With random weights the offsets of the deformable heads are hundreds of cells on the finest
    levels, so that rounding moves samples visibly: float32 and float64 of one network differ by
    1e-3 there, and so does the original from itself on another machine. A wrong channel order,
    stride or coordinate is off by more than 0.1.
    """
    weights = golden_weights(int(np.load(path)['seed']))
    network = PublishedNetwork.from_published(weights, 'golden').eval()
    found = _outputs(network, path)
    exact = _outputs(_in_float64(network), path, torch.float64)
    golden = np.load(path)
    assert len(found) == 22
    rounding = {name: _distance(value, exact[name]) for name, value in found.items()}
    for name, value in found.items():
        distance = _distance(value, torch.from_numpy(golden[name]))
        print(f'{name}: {distance:.1e} from the original, {rounding[name]:.1e} from float64')
        # Levels of one head share its weights, and so its sensitivity.
        of_head = max(r for other, r in rounding.items()
                      if other.rstrip('01234') == name.rstrip('01234'))
        assert distance < max(1e-4, min(10 * of_head, 0.03)), name
    # The rest is not sensitive, so that it holds without any allowance.
    for name in ('encode_feat', 'encode_depth', *(f'kernel_{i}' for i in range(5))):
        assert _distance(found[name], torch.from_numpy(golden[name])) < 1e-5, name


def _in_float64(network: PublishedNetwork) -> PublishedNetwork:
    """
    Compute in float64 from here on.

    The network casts the image to float32, which holds 0..255 exactly; what is made of it then
    follows the image, so only that cast has to go.
    """
    doubled = network.double()
    doubled.backbone.register_forward_pre_hook(lambda _, x: (x[0].double(),))
    doubled.semantic_pyramid.register_forward_hook(lambda _, __, y: y.double())
    return doubled


@pytest.mark.parametrize('merged', [False, True])
def test_forms_of_one_network_are_equal(weights, merged):
    """Samplings in place of the operator, batch norm merged: the same numbers."""
    torch.manual_seed(0)
    calm = {name: value * 0.02 if 'offset_mask' in name else value
            for name, value in weights.items()}
    plain = PublishedNetwork.from_published(calm, 'test').eval()
    other = PublishedNetwork.from_published(
        calm, 'test', {'deformable': 'grid_sample'}).eval()
    if merged:
        other = other.deployed()
        assert not any(isinstance(m, FrozenBatchNorm2d) for m in other.modules())
        assert other.settings.merged_batch_norm
    image = torch.randint(0, 256, (1, 64, 128, 3), dtype=torch.uint8)
    with torch.inference_mode():
        for a, b in zip(_tensors(plain(image, CAMERA)), _tensors(other(image, CAMERA)),
                        strict=True):
            assert _distance(a, b) < 1e-4


def _tensors(output) -> list[torch.Tensor]:
    return [*output.centers, *output.regions, *output.kernels, *output.depth_kernels,
            output.mask_embedding, output.depth_embedding]


def test_names_and_shapes_are_those_of_the_checkpoints():
    path = golden_file('state_dict_keys.json')
    published = {name: tuple(shape) for name, shape in json.loads(path.read_text()).items()}
    assert published_shapes() == published
    assert len(published) == 383


def test_every_weight_of_the_network_has_a_name():
    for predicts_depth in (True, False):
        network = create_model('published', {'predicts_depth': predicts_depth})
        ours = list(published_names(predicts_depth).values())
        assert len(set(ours)) == len(ours)
        assert set(ours) == set(network.state_dict())


def test_segmentation_checkpoint_gives_a_network_without_depth(weights):
    kept = {name: value for name, value in weights.items()
            if not name.startswith(('depth_kernel_head.', 'depth_encode_head.'))}
    # What batch norm in training and old versions of detectron2 leave in a checkpoint.
    kept |= {'backbone.bottom_up.stem.conv1.norm.num_batches_tracked': torch.tensor(3),
             'pixel_mean': torch.zeros(3, 1, 1)}
    network = PublishedNetwork.from_published(kept, 'test').eval()
    assert network.tasks == SEGMENTATION
    with torch.inference_mode():
        output = network(torch.zeros(1, 64, 64, 3, dtype=torch.uint8), CAMERA)
    assert output.depth_embedding is None and output.depth_kernels == []


def test_meters_follow_the_focal_length(weights):
    network = PublishedNetwork.from_published(weights, 'test').eval()
    with torch.inference_mode():
        output = network(torch.zeros(1, 64, 64, 3, dtype=torch.uint8), CAMERA / 2)
    assert output.metric.tolist() == [0.5]


@pytest.mark.parametrize(('change', 'words'), [
    (lambda w: w.pop('kernel_head.out_conv.bias'), 'missing: kernel_head.out_conv.bias;'),
    (lambda w: w.update(extra=torch.zeros(1)), 'unknown: extra;'),
    (lambda w: w.update({'position_head.out_sem.bias': torch.zeros(133)}),
     r'of another shape: position_head.out_sem.bias is \(133,\), not \(19,\)'),
    (lambda w: w.update({'position_head.out_sem.bias': torch.full((19,), torch.nan)}),
     'not finite: position_head.out_sem.bias'),
    (lambda w: [w.pop(name) for name in list(w) if 'res5' in name],
     r'missing: backbone.bottom_up.res5[^;]+ and \d+ more;'),
])
def test_says_what_does_not_fit(weights, change, words):
    changed = dict(weights)
    change(changed)
    with pytest.raises(ConfigError, match=f'model.pth: no checkpoint of PanopticDepth.*{words}'):
        PublishedNetwork.from_published(changed, 'model.pth')
