# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How a module of fixed shapes is run: eager, compiled or as a CUDA graph; its precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_WARM_UP = 3
"""Runs before a capture, in which libraries choose their kernels and allocate."""


class LowerPrecision(nn.Module):
    """
    A network whose convolutions are in float16 or bfloat16; it returns float32.

    Autocast decides what else is; the assembly that follows gets what it gets of any network. The
    weights of convolutions are cast here, once: autocast casts them for every image.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network: Any = network
        self.dtype = dtype
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.to(self.dtype)

    def forward(self, image: Tensor, *inputs: Tensor, **extra_inputs: Tensor) -> Any:
        """Run the network; see Model."""
        with torch.autocast(image.device.type, dtype=self.dtype, cache_enabled=False):
            return _in_float32(self.network(image, *inputs, **extra_inputs))

    def assemble(self, output: Any, thresholds: Tensor) -> dict[str, Tensor]:
        """See Model."""
        assembled: dict[str, Tensor] = self.network.assemble(output, thresholds)
        return assembled


def _in_float32(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_float32(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = map(_in_float32, value)
        return type(value)(*items) if hasattr(value, '_fields') else type(value)(items)
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


class KeptConstants(TorchFunctionMode):
    """
    Within it, torch.tensor of arguments that were given before returns the tensor made then.

    A CUDA graph cannot copy numbers of Python to the device: after one run they are there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, Tensor] = {}

    def __torch_function__(self, function: Callable[..., Any], types: Any,
                           args: tuple[Any, ...] = (),
                           kwargs: dict[str, Any] | None = None) -> Any:
        """Call a function of torch, unless its result is kept."""
        kwargs = kwargs or {}
        if function is not torch.tensor:
            return function(*args, **kwargs)
        key = repr((args, kwargs))
        if key not in self._made:
            self._made[key] = function(*args, **kwargs)
        return self._made[key]


class CudaGraph:
    """
    The kernels that a function launches, captured once and launched as one.

    :param inputs: CUDA tensors, which are read wherever they are: their values may change.
    """

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> None:
        # What was captured reads these by their addresses.
        self._inputs, self._constants = inputs, KeptConstants()
        stream = torch.cuda.Stream(inputs[0].device)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), self._constants:
            for _ in range(_WARM_UP):
                function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode='thread_local'), \
                self._constants:
            self._outputs = function(*inputs)

    def __call__(self) -> Any:
        """Run it; the outputs are the same tensors every time."""
        self._graph.replay()
        return self._outputs


def prepared(function: Callable[..., Any], mode: str,
             inputs: Sequence[Tensor]) -> Callable[[], Any]:
    """
    Return how to run a function of the same tensors, whose values may change, again and again.

    It was compiled or captured, by running it; eager, it has not run yet.

    :param mode: one of torch_backend.Mode.
    :raises RuntimeError: when it cannot be compiled, captured or run.
    """
    if mode == 'cuda_graph':
        return CudaGraph(function, inputs)
    if mode == 'eager':
        return lambda: function(*inputs)
    compiled = torch.compile(function, dynamic=False)
    compiled(*inputs)
    return lambda: compiled(*inputs)


def compute_as_asked() -> None:
    """
    Let float32 be float32, and the library choose convolutions by trying; in the whole process.

    PyTorch otherwise rounds the inputs of float32 convolutions to TF32 on a GPU.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
