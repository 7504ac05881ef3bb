# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Xception-65 against the features that timm 1.0.31 computes with the same weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from golden import golden_weight  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network.backbones import (  # noqa: E402
    BackboneSettings,
    LastStage,
    create_backbone,
    merge_batch_norm,
)
from panoptic_depth_core.network.xception import Xception65Backbone  # noqa: E402

PARAMETERS = 37_867_312
"""Of timm's xception65 without its classifier."""

# Mean and standard deviation of each feature: by timm, for the weights and the picture below.
SHARED = [(0.158195, 0.250992), (0.142947, 0.231874), (0.214257, 0.31835), (0.676802, 1.049245)]
BY_STAGE = {'strided': [*SHARED, (0.171347, 0.256634)],
            'dilated': [*SHARED, (0.170373, 0.254467)], 'none': SHARED}

PICTURE = torch.sin(torch.arange(3 * 64 * 96, dtype=torch.float32)).reshape(1, 3, 64, 96)


def _settings(norm: str = 'batch') -> BackboneSettings:
    return parse_settings(BackboneSettings, {'backbone': 'xception65', 'backbone_norm': norm},
                          'test')


def _network(last_stage: LastStage = 'strided') -> Xception65Backbone:
    network = Xception65Backbone(_settings(), None, last_stage).eval()
    network.load_state_dict({
        name: value if name.endswith('tracked') else torch.from_numpy(
            golden_weight(name, tuple(value.shape), 0))
        for name, value in network.state_dict().items()})
    return network


@pytest.mark.parametrize('last_stage', BY_STAGE)
@torch.no_grad()
def test_features_are_those_of_timm(last_stage):
    network = _network(last_stage)
    features = network.with_stem(PICTURE)
    assert tuple(f.shape[1] for f in features) == (network.stem_channels, *network.channels)
    assert [tuple(f.shape[1:]) for f in features] == [
        (128, 32, 48), (256, 16, 24), (728, 8, 12), (1024, 4, 6),
        (2048, 4, 6) if last_stage == 'dilated' else (2048, 2, 3)][:len(features)]
    for feature, (mean, deviation) in zip(features, BY_STAGE[last_stage], strict=True):
        assert float(feature.mean()) == pytest.approx(mean, abs=2e-6)
        assert float(feature.std()) == pytest.approx(deviation, abs=2e-6)


def test_names_and_number_of_parameters():
    network = _network()
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS
    names = set(network.state_dict())
    assert len(names) == 792
    assert {'stem.0.conv.weight', 'stem.1.bn.running_var', 'blocks.0.shortcut.conv.weight',
            'blocks.19.shortcut.bn.weight', 'blocks.20.stack.conv3.conv_pw.weight',
            'blocks.4.stack.conv2.bn_dw.bias'} <= names
    assert not any('blocks.5.shortcut' in name or 'blocks.20.shortcut' in name for name in names)


@pytest.mark.parametrize('norm', ['frozen', 'batch'])
@torch.no_grad()
def test_weights_of_a_file(tmp_path, norm):
    """With the classifier that timm's have; merged norms change nothing."""
    network = _network('dilated')
    for name, buffer in network.named_buffers():
        if name.endswith('running_var'):
            buffer.uniform_(0.5, 2)
    path = tmp_path / 'xception65.ra3_in1k.pth'
    torch.save({**network.state_dict(), 'head.fc.weight': torch.zeros(1000, 2048),
                'head.fc.bias': torch.zeros(1000)}, path)
    backbone = create_backbone(_settings(norm), path, 'dilated').eval()
    assert (backbone.stem_channels, backbone.channels) == (128, (256, 728, 1024, 2048))
    assert backbone.input_mean == backbone.input_std == (127.5, 127.5, 127.5)
    expected = network(PICTURE)
    found = backbone.with_stem(PICTURE)
    merge_batch_norm(backbone)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in backbone.modules())
    assert len(found) == 5
    for feature, ours, merged in zip(expected, found[1:], backbone(PICTURE), strict=True):
        torch.testing.assert_close(ours, feature, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(merged, feature, rtol=1e-3, atol=1e-4)


def test_weights_of_another_network(tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'stem.0.conv.weight': torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(ConfigError, match=r"other.pth: weights do not fit: missing: .*; give "
                       r"timm's state dict of xception65"):
        create_backbone(_settings(), path)
