# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Backbone, camera and kernels by their formulas."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

import torchvision  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.backbones import MobileNetV2Backbone  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.kernels import (  # noqa: E402
    LOCATION,
    locate_kernels,
    mask_logits,
)
from panoptic_depth_core.network.layers import camera_rays, metric_factor  # noqa: E402


def test_merged_backbone_equals_torchvision(tmp_path):
    torch.manual_seed(0)
    whole = torchvision.models.mobilenet_v2()
    for module in whole.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.02, 0.2)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    torch.save(whole.state_dict(), tmp_path / 'weights.pth')
    ours = MobileNetV2Backbone(weights=tmp_path / 'weights.pth').eval()
    features = whole.features.eval()
    for conv in features.modules():
        if isinstance(conv, torch.nn.Conv2d) and conv.stride == (2, 2):
            conv.padding = (0, 0)
            conv.register_forward_pre_hook(
                lambda _, x: (torch.nn.functional.pad(x[0], (0, 1, 0, 1)),))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        taps = ours(image)
        expected = features[:18](image)
    assert [t.shape[1] for t in taps] == [24, 32, 96, 320]
    assert [t.shape[-1] for t in taps] == [24, 12, 6, 3]
    assert (taps[-1] - expected).norm() < 1e-3 * expected.norm()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in ours.modules())
    assert all(p.requires_grad for p in ours.parameters())


def test_rays_are_those_of_the_pinhole_camera():
    camera = torch.tensor([[400.0, 410.0, 150.0, 60.0]])
    rays = camera_rays(camera, 8, 16, 16, 500.0)
    u, v = 5 * 16 + 7.5, 2 * 16 + 7.5
    assert rays[0, :, 2, 5].tolist() == pytest.approx(
        [(u - 150) / 400, (u - 150) / 500, (v - 60) / 410, (v - 60) / 500])


def test_depth_of_a_ground_plane_is_a_function_of_the_canonical_ray():
    """D f_c / f on a plane h below the camera is h over the fourth ray channel, for any f."""
    for focal in (300.0, 800.0):
        camera = torch.tensor([[focal, focal, 100.0, 20.0]])
        rays = camera_rays(camera, 4, 4, 32, 500.0)
        depth = 1.5 / rays[0, 2]
        canonical = depth / metric_factor(camera, 500.0)
        assert torch.allclose(canonical, 1.5 / rays[0, 3], rtol=1e-5)


def test_mask_is_dot_product_less_distance():
    torch.manual_seed(0)
    raw = torch.randn(1, 4 + 3, 3, 5)
    kernel = locate_kernels(raw, 16)[0, :, 1, 2]
    assert kernel.shape == (4 + LOCATION,)
    assert kernel[-2:].tolist() == [2 * 16 + 7.5, 1 * 16 + 7.5]
    embedding = torch.randn(1, 4, 12, 20)
    logits = mask_logits(kernel[None, None], embedding)
    row, column = 7, 11
    weights, (bias, px, py, u, v) = kernel[:4], kernel[4:].tolist()
    expected = float(weights @ embedding[0, :, row, column]) + bias \
        - px * (column * 4 + 1.5 - u) ** 2 - py * (row * 4 + 1.5 - v) ** 2
    assert float(logits[0, 0, row, column]) == pytest.approx(expected, rel=1e-5)
    assert px > 0 and py > 0


def test_network_gives_every_level_its_shape():
    network = create_model('fast').eval()
    with torch.no_grad():
        out = network(torch.zeros(2, 64, 128, 3, dtype=torch.uint8),
                      torch.tensor([[100.0, 100, 64, 32]] * 2))
    assert [tuple(k.shape) for k in out.kernels] == [
        (2, 69, 8, 16), (2, 69, 4, 8), (2, 69, 2, 4), (2, 69, 1, 2)]
    assert out.mask_embedding.shape == (2, 64, 16, 32)
    assert out.depth_embedding.shape == (2, 16, 16, 32)
    assert torch.allclose(out.metric, torch.tensor(0.2))


@pytest.mark.parametrize('camera', ['canonical', 'rays', 'unknown'])
def test_what_a_network_knows_of_its_camera(camera):
    torch.manual_seed(0)
    network = create_model('fast', {'camera': camera, 'pyramid_width': 16, 'head_width': 16,
                                      'encoder_width': 16}).eval()
    image = torch.randint(0, 255, (1, 64, 128, 3), dtype=torch.uint8)
    near, far = (network(image, torch.tensor([[f, f, 63.5, 31.5]])) for f in (100.0, 300.0))
    same_kernels = torch.equal(near.depth_kernels[0], far.depth_kernels[0])
    assert same_kernels == (camera == 'unknown')
    ratio = float(far.metric / near.metric)
    assert ratio == pytest.approx(3.0 if camera == 'canonical' else 1.0)
