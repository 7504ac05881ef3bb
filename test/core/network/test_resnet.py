# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""ResNet-50 with torchvision's weights, in ``accurate`` and in ``published``."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from imagenet_weights import write_classifier  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.backbones import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription  # noqa: E402
from torch.nn.functional import pad  # noqa: E402
from torchvision.transforms.functional import normalize  # noqa: E402

CAMERA = torch.tensor([[200.0, 200.0, 63.5, 31.5]])
IMAGE = torch.randint(0, 256, (1, 64, 128, 3), dtype=torch.uint8,
                      generator=torch.Generator().manual_seed(0))
SMALL = {'pyramid_width': 16, 'head_width': 16, 'encoder_width': 16}


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp('imagenet') / 'resnet50.pth'
    return write_classifier('resnet50', path), path


def _features(network) -> list[torch.Tensor]:
    """Of torchvision's classifier, with its own preparation of the picture."""
    x = normalize(IMAGE.permute(0, 3, 1, 2) / 255.0, [0.485, 0.456, 0.406],
                  [0.229, 0.224, 0.225])
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    features = []
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        features.append(x := stage(x))
    return features


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize('norm', ['frozen', 'batch'])
def test_accurate_sees_what_torchvision_sees(classifier, norm):
    theirs, path = classifier
    network = create_model('accurate', {**SMALL, 'backbone_norm': norm}, path).eval()
    with torch.no_grad():
        found = network.backbone(network.normalised(IMAGE))
        expected = _features(theirs)
        assert [_distance(a, b) for a, b in zip(found, expected, strict=True)] == pytest.approx(
            [0.0] * 4, abs=1e-5)
        deployed = network.deployed()
        assert not any('bn' in name for name in deployed.state_dict())
        merged = deployed.backbone(deployed.normalised(IMAGE))
        assert max(_distance(a, b) for a, b in zip(merged, expected, strict=True)) < 1e-4


@pytest.mark.parametrize('norm', ['frozen', 'batch'])
def test_published_sees_it_too_by_its_own_mean(classifier, norm):
    """
    Its picture is normalised otherwise, and the first convolution makes up for it.

    All that differs is the color of what is outside of the picture: zero in either.
    """
    theirs, path = classifier
    network = create_model('published', {'backbone_norm': norm, 'stride_in': '3x3'}, path).eval()
    outside = [(m - origin) / std for m, origin, std in zip(
        network.input_mean, IMAGENET_MEAN, IMAGENET_STD, strict=True)]

    def surround(conv, inputs):
        border = torch.tensor(outside)[:, None, None]
        return (pad(inputs[0] - border, (3, 3, 3, 3)) + border,)

    with torch.no_grad():
        found = network.backbone(network.normalised(IMAGE))
        plain = _features(theirs)
        hook = theirs.conv1.register_forward_pre_hook(surround)
        theirs.conv1.padding = (0, 0)
        expected = _features(theirs)
        hook.remove()
        theirs.conv1.padding = (3, 3)
    assert max(_distance(a, b) for a, b in zip(found, expected, strict=True)) < 1e-4
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    assert _distance(found[0][inside], plain[0][inside]) < 0.01


def test_the_stride_is_where_the_weights_have_it(classifier):
    _, path = classifier
    for place, strides in (('1x1', ((2, 2), (1, 1))), ('3x3', ((1, 1), (2, 2)))):
        with torch.device('meta'):
            block = create_model('published', {'stride_in': place}).backbone.stages[1][0]
        assert (block.conv1.stride, block.conv2.stride) == strides
    with pytest.raises(ConfigError, match=r'resnet50.pth: torchvision.*set .*stride_in: 3x3'):
        create_model('published', backbone_weights=path)


@pytest.mark.parametrize(('change', 'words'), [
    (lambda w: w.pop('layer4.2.bn3.running_var'), 'missing: layer4.2.bn3.running_var; give'),
    (lambda w: w.update({'layer5.weight': torch.ones(1)}), 'unknown: layer5.weight; give'),
    (lambda w: w.update({'conv1.weight': torch.ones(64, 4, 7, 7)}),
     "of another shape: conv1.weight; give torchvision's state dict of ResNet-50"),
])
def test_weights_that_do_not_fit(classifier, tmp_path, change, words):
    weights = dict(classifier[0].state_dict())
    change(weights)
    torch.save(weights, tmp_path / 'weights.pth')
    with pytest.raises(ConfigError, match=f'weights.pth: weights do not fit: {words}'):
        create_model('accurate', SMALL, tmp_path / 'weights.pth')


@pytest.mark.parametrize('name', ['fast', 'accurate'])
def test_files_that_hold_no_weights_of_the_backbone(tmp_path, name):
    with pytest.raises(ConfigError, match='weights.pth: cannot be read: No such file'):
        create_model(name, SMALL, tmp_path / 'weights.pth')
    (tmp_path / 'weights.pth').write_bytes(b'no weights')
    with pytest.raises(ConfigError, match='not a checkpoint of tensors.*or null for random'):
        create_model(name, SMALL, tmp_path / 'weights.pth')
    torch.save({'features.0.0.weight': torch.ones(3), 'conv1.weight': torch.ones(3)},
               tmp_path / 'weights.pth')
    with pytest.raises(ConfigError, match='weights do not fit: missing: .* more; .*of another'):
        create_model(name, SMALL, tmp_path / 'weights.pth')


def test_accurate_has_the_heads_of_fast():
    with torch.device('meta'):
        fast, accurate = create_model('fast'), create_model('accurate')
    own = ('backbone.',)
    assert [n for n in fast.state_dict() if not n.startswith(own)] == [
        n for n in accurate.state_dict() if not n.startswith(own)]
    assert fast.class_parameters == accurate.class_parameters
    with torch.device('meta'):
        output = accurate(torch.zeros(1, 64, 128, 3, dtype=torch.uint8), torch.zeros(1, 4))
    assert [tuple(c.shape[-2:]) for c in output.centers] == [(8, 16), (4, 8), (2, 4), (1, 2)]
    assert output.mask_embedding.shape == (1, 96, 16, 32)
    assert output.depth_embedding.shape == (1, 24, 16, 32)


@pytest.mark.slow
def test_accurate_is_exported(tmp_path, classifier):
    pytest.importorskip('onnxscript', reason='needs the extra [export]')
    from panoptic_depth_core.export.onnx_export import export_model
    from panoptic_depth_core.inference.backends import create_backend
    network = create_model('accurate', SMALL, classifier[1])
    directory = export_model(network, tmp_path, ModelDescription(height=64, width=128))
    assert directory.info.network_settings['merged_batch_norm']
    assert directory.info.normalisation_mean == IMAGENET_MEAN
    assert directory.self_test(create_backend('torch', directory)).equal_ids >= 0.999
