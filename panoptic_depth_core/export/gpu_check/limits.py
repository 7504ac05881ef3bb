# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the machine can do at most, and what a model asks of it.

No runtime can be faster than the longer of two times: operations over the rate of large matrix
products, and bytes over the rate of large copies, both measured here. The bytes are those of the
operands and results of convolutions and matrix products, each once; what is between them
(norms, activations, resizing) is taken to cost nothing, so the floor is a low one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ...engines.cuda import find_gpu
from ...engines.cuda.bindings import import_package
from ...engines.library import find_library
from ...errors import BackendError
from ...model_directory import ModelDirectory
from ...network.torch_backend import compute_as_asked, load_graph

BYTES = {'float32': 4, 'float16': 2, 'bfloat16': 2}

_REPEATS = 9
_MATRIX_SIDE = {'cuda': 8192, 'cpu': 512}
_COPY_BYTES = {'cuda': 1 << 30, 'cpu': 1 << 24}
_COUNTED = {torch.ops.aten.convolution, torch.ops.aten.mm, torch.ops.aten.addmm,
            torch.ops.aten.bmm, torch.ops.aten.baddbmm}


def device(device: str) -> dict[str, Any]:
    """What PyTorch says of the device, and which runtimes there is no need to try."""
    if torch.device(device).type != 'cuda':
        return {'name': device, 'unavailable': _unavailable(on_gpu=False)}
    about = torch.cuda.get_device_properties(device)
    return {'name': about.name, 'compute_capability': f'{about.major}.{about.minor}',
            'memory_mib': about.total_memory >> 20, 'multiprocessors': about.multi_processor_count,
            'cuda': torch.version.cuda, 'cudnn': torch.backends.cudnn.version(),
            'unavailable': _unavailable(on_gpu=True)}


def _unavailable(on_gpu: bool) -> dict[str, str]:
    """Runtime of rows.RUNTIMES -> why it cannot run here."""
    found = {}
    try:
        # What a library says of its chips is not asked: it is tried.
        find_gpu(-1)
        import_package()
        find_library()
    except BackendError as error:
        found['tensorrt'] = str(error)
    if not on_gpu:
        found['cuda_graph'] = 'there is no GPU'
    else:
        import onnxruntime
        providers = onnxruntime.get_available_providers()
        if 'CUDAExecutionProvider' not in providers:
            found['onnxruntime'] = (f'ONNX Runtime {onnxruntime.__version__} has no '
                                    f'CUDAExecutionProvider, only {", ".join(providers)}')
    return found


def rates(device: str, precisions: list[str]) -> dict[str, Any]:
    """
    Median rates of the machine; float32 is not TF32.

    :returns: flops_per_s by precision, and bytes_per_s of a copy on the device, which reads and
        writes each byte.
    """
    compute_as_asked()
    kind = torch.device(device).type
    side = _MATRIX_SIDE[kind]
    found = {}
    for precision in precisions:
        a, b = (torch.randn(side, side, device=device).to(getattr(torch, precision))
                for _ in range(2))
        out = torch.empty_like(a)
        found[precision] = 2 * side ** 3 / _seconds(partial(torch.mm, a, b, out=out), device)
    source = torch.zeros(_COPY_BYTES[kind], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return {'flops_per_s': found,
            'bytes_per_s': 2 * len(source) / _seconds(lambda: target.copy_(source), device)}


def _seconds(function: Callable[[], Any], device: str) -> float:
    return statistics.median(milliseconds(function, device, _REPEATS)) / 1e3


def milliseconds(function: Callable[[], Any], device: str, repeats: int) -> list[float]:
    """Time of each of several runs, from an idle device to an idle device; one more before."""
    def wait() -> None:
        if torch.device(device).type == 'cuda':
            torch.cuda.synchronize(device)

    found = []
    for _ in range(repeats + 1):
        wait()
        start = time.perf_counter()
        function()
        wait()
        found.append(1e3 * (time.perf_counter() - start))
    return found[1:]


class _Elements(TorchDispatchMode):
    """Elements of operands and results, by whether it is a convolution or a matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = 0
        self.products = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (),
                           kwargs: dict[str, Any] | None = None) -> Any:
        result = function(*args, **(kwargs or {}))
        packet = function.overloadpacket
        if packet in _COUNTED:
            elements = sum(leaf.numel() for leaf in tree_leaves((args, kwargs, result))
                           if isinstance(leaf, torch.Tensor))
            if packet is torch.ops.aten.convolution:
                self.convolutions += elements
            else:
                self.products += elements
        return result


def model_cost(model: Path) -> dict[str, Any]:
    """
    Operations and elements of the convolutions and matrix products of a model, for one image.

    Nothing is computed: tensors without memory are passed through the network and assembly.
    """
    opened = ModelDirectory.load(model)
    network = load_graph(opened)
    state = network.state_dict()
    with FakeTensorMode():
        weights = {name: torch.empty(value.shape, dtype=value.dtype)
                   for name, value in state.items()}
        inputs = [torch.empty([n or 1 for n in shape], dtype=getattr(torch, dtype))
                  for dtype, shape in opened.info.graph_inputs().values()]
        with torch.no_grad(), FlopCounterMode(display=False) as flops, _Elements() as elements:
            torch.func.functional_call(network, weights, tuple(inputs))
    counts = flops.get_flop_counts()['Global']
    convolutions = counts.get(torch.ops.aten.convolution, 0)
    return {'convolution_flops': convolutions,
            'product_flops': sum(counts.values()) - convolutions,
            'convolution_elements': elements.convolutions,
            'product_elements': elements.products}


def floor_ms(cost: dict[str, Any], rates: dict[str, Any], precision: str) -> float:
    """
    Least time of an image in milliseconds; the convolutions alone are in the precision.

    :param cost: of model_cost. :param rates: of rates.
    """
    speed = rates['flops_per_s']
    compute = (cost['convolution_flops'] / speed[precision]
               + cost['product_flops'] / speed['float32'])
    moved = (cost['convolution_elements'] * BYTES[precision]
             + cost['product_elements'] * BYTES['float32'])
    return 1e3 * max(compute, moved / rates['bytes_per_s'])
