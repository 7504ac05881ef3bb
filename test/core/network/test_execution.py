# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Modes and precisions of PyTorch, as far as they show without a GPU."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from panoptic_depth_core.network import Graph, create_model  # noqa: E402
from panoptic_depth_core.network.torch_backend import KeptConstants, LowerPrecision, prepared  # noqa: E402
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

SMALL = {'pyramid_width': 16, 'head_width': 16, 'encoder_width': 16}


class HostTensors(TorchDispatchMode):
    """Names of the operators that see a tensor in the host's memory."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.names += [str(function) for leaf in tree_leaves((args, kwargs, result))
                       if isinstance(leaf, torch.Tensor) and leaf.device.type == 'cpu']
        return result


@pytest.mark.parametrize(('name', 'settings'), [
    ('fast', SMALL), ('sosd', {}), ('depthlab', {}), ('lapdepth', {'width': 64}),
    ('published', {'deformable': 'grid_sample'}),
    ('published', {'deformable': 'operator'})])
def test_nothing_comes_from_the_host_once_constants_are_kept(name, settings):
    """
    What a CUDA graph asks for, on tensors that only say that they are on a GPU.

    They have no values either, so nothing can depend on one.
    """
    model = Graph(create_model(name, settings)).eval()
    state = model.state_dict()
    with FakeTensorMode():
        weights = {key: torch.empty(value.shape, dtype=value.dtype, device='cuda')
                   for key, value in state.items()}
        inputs = (torch.empty(1, 128, 256, 3, dtype=torch.uint8, device='cuda'),
                  torch.empty(1, 4, device='cuda'), torch.empty(4, device='cuda'))

        def names(mode) -> list[str]:
            with torch.no_grad(), HostTensors() as found, mode:
                torch.func.functional_call(model, weights, inputs)
            return found.names

        constants = KeptConstants()
        assert any('_to_copy' in function for function in names(constants)), 'made once'
        assert not names(constants)
        assert names(KeptConstants()), 'the test can fail'


def test_kept_constants_differ_by_value():
    with KeptConstants():
        first, same, other = (torch.tensor(v) for v in ([1.0, 2.0], [1.0, 2.0], [1.0, 3.0]))
        assert torch.tensor([1, 2], dtype=torch.int64).dtype == torch.int64
    assert first is same
    assert other.tolist() == [1.0, 3.0]
    assert torch.tensor([1.0, 2.0]) is not first


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_lower_precision_is_near_and_returns_float32(precision):
    torch.manual_seed(0)
    network = create_model('fast', SMALL).eval()
    image = torch.randint(0, 255, (1, 64, 128, 3), dtype=torch.uint8)
    camera = torch.tensor([[100.0, 100.0, 64.0, 32.0]])
    with torch.inference_mode():
        expected = network(image, camera)
        lower = LowerPrecision(network, getattr(torch, precision))
        found = lower(image, camera)
    dtypes = {m.weight.dtype for m in network.modules() if isinstance(m, torch.nn.Conv2d)}
    assert dtypes == {getattr(torch, precision)}
    for got, wanted in ((found.mask_embedding, expected.mask_embedding),
                        (found.kernels[0], expected.kernels[0]),
                        (found.centers[1], expected.centers[1])):
        assert got.dtype == torch.float32
        error = float((got - wanted).norm() / wanted.norm())
        assert 0 < error < 0.15
    assert found.thing_classes == expected.thing_classes
    assert found.class_kernels is not None and found.class_kernels.dtype == torch.float32


@pytest.mark.parametrize('mode', ['eager', 'compile'])
def test_prepared_reads_the_values_of_now(mode):
    if mode == 'compile':
        _skip_without_compiler()
    value = torch.tensor([1.0, 2.0])
    run = prepared(lambda x: x * 2 + 1, mode, [value])
    assert run().tolist() == [3.0, 5.0]
    value.copy_(torch.tensor([5.0, 6.0]))
    assert run().tolist() == [11.0, 13.0]


def _skip_without_compiler() -> None:
    import shutil
    if shutil.which('g++') is None:
        pytest.skip('torch.compile needs a C++ compiler: there is no g++')
