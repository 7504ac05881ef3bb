# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks that take the mounting of the camera."""

import math

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='networks need the extra [train]')

from panoptic_depth_core.contract import MOUNTING  # noqa: E402
from panoptic_depth_core.export.onnx_export import export_model  # noqa: E402
from panoptic_depth_core.inference.backends import create_backend  # noqa: E402
from panoptic_depth_core.inference.preprocess import graph_inputs  # noqa: E402
from panoptic_depth_core.labels import CLASS_ID  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.kernels import metric_depth  # noqa: E402
from panoptic_depth_core.network.layers import ground_features, ground_plane  # noqa: E402
from panoptic_depth_core.structures import Frame, Intrinsics, Mounting  # noqa: E402

CAMERA = Intrinsics(90.0, 95.0, 66.0, 25.0, 128, 64)
TRUE = Mounting(0.9, 4.0, 2.0)


def tensors(*values):
    return [torch.tensor(np.asarray(value, np.float32))[None] for value in values]


@pytest.fixture
def network():
    torch.manual_seed(3)
    network = create_model('fast', {'mounting': True}).eval()
    with torch.no_grad():
        # Trained weights, in all of the branch.
        for parameter in network.ground.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def test_plane_of_the_ground():
    """As Mounting has it, in canonical meters; nothing above the horizon."""
    intrinsics, plane = tensors(CAMERA.as_vector(), TRUE.plane)
    inverse, log_depth = ground_plane(plane, intrinsics, 8, 16, 8, 500.0)
    v, u = np.mgrid[:8, :16] * 8 + 3.5
    rays = CAMERA.rays(np.stack([u.ravel(), v.ravel()], 1))
    true = np.column_stack([rays, np.ones(len(rays))]) @ TRUE.plane * 95.0 / 500.0
    np.testing.assert_allclose(inverse.numpy().ravel(), true, atol=1e-6)
    there = log_depth[0, 1].numpy().ravel() > 0
    assert np.array_equal(there, true > 1 / 150.0) and 0.3 < there.mean() < 0.9
    np.testing.assert_allclose(log_depth[0, 0].numpy().ravel()[there], -np.log(true[there]),
                               atol=1e-5)
    assert not log_depth[0, 0].numpy().ravel()[~there].any()


def test_an_unknown_mounting_is_no_ground():
    intrinsics, unknown = tensors(CAMERA.as_vector(), np.zeros(3))
    assert not ground_features(unknown, intrinsics, 8, 16, 8, 500.0).any()
    assert not ground_plane(unknown, intrinsics, 8, 16, 8, 500.0)[1].any()


def test_attention_takes_the_depth_of_the_ground():
    """Kernels: center, range, scale; bias and offset for the ground; its weights; weights."""
    kernel = torch.zeros(1, 2, 3 + 2 + 2 + 2)
    kernel[..., 0], kernel[..., 1] = 1.0, -20.0
    kernel[0, :, 3] = torch.tensor([20.0, -20.0])
    kernel[..., 4] = 0.1
    ground = torch.zeros(1, 2, 4)
    ground[..., 0], ground[..., 1] = 2.0, 1.0
    embedding, metric = torch.zeros(1, 2, 2), torch.tensor([2.0])
    known = metric_depth(kernel, embedding, metric, ground=ground)
    np.testing.assert_allclose(known.log()[0].numpy(), np.array([2.1, 1.0]) + math.log(2),
                               atol=1e-5)
    # The look of the pixel moves the attention.
    kernel[0, 1, 5], ground[0, 1, 2] = 1.0, 40.0
    assert metric_depth(kernel, embedding, metric, ground=ground).log()[0, 1] == pytest.approx(
        2.1 + math.log(2), abs=1e-5)
    ground[..., :2] = 0.0
    without = metric_depth(kernel, embedding, metric, ground=ground)
    np.testing.assert_allclose(without.log()[0].numpy(), 1.0 + math.log(2), atol=1e-5)


def test_without_a_mounting_it_is_the_network_without_the_branch(network):
    """Bit for bit; and labels never depend on the mounting."""
    plain = create_model('fast').eval()
    plain.load_state_dict({name: value for name, value in network.state_dict().items()
                           if not name.startswith('ground.')})
    rng = np.random.default_rng(0)
    image, intrinsics, limits, unknown, known = tensors(
        rng.integers(0, 256, (64, 128, 3)), CAMERA.as_vector(), [0.0, 1.0, 0.0, 0.0], np.zeros(3),
        TRUE.plane)
    image = image.to(torch.uint8)
    with torch.inference_mode():
        results = [network.assemble(network(image, intrinsics, plane), limits[0])
                   for plane in (unknown, known)]
        expected = plain.assemble(plain(image, intrinsics), limits[0])
    for name, value in expected.items():
        assert torch.equal(value, results[0][name]), name
    assert torch.equal(expected['segment_index'], results[1]['segment_index'])
    assert not torch.allclose(expected['depth'], results[1]['depth'], rtol=0.01)


def test_at_first_the_road_is_on_the_plane():
    """A new branch needs no training for that: its attention starts at the classes of ground."""
    torch.manual_seed(3)
    network = create_model('fast', {'mounting': True}).eval()
    image, intrinsics, plane = tensors(np.full((64, 128, 3), 90), CAMERA.as_vector(), TRUE.plane)
    with torch.inference_mode():
        output = network(image.to(torch.uint8), intrinsics, plane)
        assert output.class_depth_kernels is not None and output.ground is not None
        kernel = output.class_depth_kernels[0, CLASS_ID['road']]
        ground = output.ground.flatten(2).transpose(1, 2)
        embedding = output.depth_embedding.flatten(2).transpose(1, 2)
        depth = metric_depth(kernel.expand(1, ground.shape[1], -1), embedding, output.metric,
                             ground=ground)
    there = ground[0, :, 1] > 0
    off = (depth[0].log() - output.metric.log() - ground[0, :, 0])[there]
    without = 2.5 - ground[0, :, 0][there]
    assert off.abs().mean() < 0.05 * without.abs().mean()


def test_export(network, tmp_path):
    """The graph has the input, zeros where it is not known, and gives what PyTorch gives."""
    model = export_model(network, tmp_path / 'model', ModelDescription(
        height=64, width=128, weights_licence='CC0-1.0'))
    extra, = model.info.extra_inputs
    assert (extra.name, extra.shape, extra.unknown) == (MOUNTING, (3,), 0.0)
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    frame = Frame(image, CAMERA, mounting=TRUE)
    inputs, _ = graph_inputs(frame, model.info, np.array([0.3, 0.5, 0.001, 0.3], np.float32))
    np.testing.assert_allclose(inputs[MOUNTING], TRUE.plane, rtol=1e-6)
    depths = []
    for name in ('onnxruntime', 'torch'):
        backend = create_backend(name, model)
        depths.append(backend.run(inputs).depth)
        backend.close()
    np.testing.assert_allclose(depths[0], depths[1], rtol=1e-3)
