# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
PyTorch as a runtime: runs the network that the graph was exported from, with the graph's weights.

The other runtimes are in inference/backends/; this one needs the models, which are above that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from ..contract import Arrays
from ..errors import BackendError, ConfigError
from ..inference.backends import Backend, check_threads
from ..model_directory import ModelDirectory
from . import Graph, create_model

Mode = Literal['eager', 'compile', 'cuda_graph']
"""compile: torch.compile, takes a minute; cuda_graph: eager's kernels, launched as one."""

TorchPrecision = Literal['float32', 'float16', 'bfloat16']
"""Precision of the network's convolutions; the assembly runs in float32."""

_WARM_UP = 3
"""Runs before a capture, in which libraries choose their kernels and allocate."""


def load_graph(model: ModelDirectory) -> Graph:
    """
    Rebuild the exported module with the graph's initialisers, which have its parameters' names.

    A model directory has one copy of the weights, so all runtimes agree about them.

    :raises ConfigError: when model.json contradicts the network, or the graph lacks a weight.
    :raises BackendError: when onnx is not installed.
    """
    try:
        # Training imports this module too, and needs no onnx.
        import onnx
    except ImportError as error:
        raise BackendError(f'{model.onnx_path}: to read the weights for PyTorch, onnx is needed '
                           f"({error}); run: pip install 'panoptic-depth[export]'") from None
    info = model.info
    rebuilt = Graph(create_model(info.network, info.network_settings,
                                 rules=info.assembly_settings, source=str(model.path))).eval()
    # Compared as JSON, in which NaN is equal to itself.
    stated, own = ({'tasks': sorted(of.tasks), 'extra_inputs': [
        extra.model_dump(mode='json') for extra in of.extra_inputs]}
        for of in (info, rebuilt.network))
    for name in stated:
        if stated[name] != own[name]:
            raise ConfigError(f'{model.path}: {name} is {stated[name]}, but of network '
                              f'{info.network!r} it is {own[name]}; export the model again')
    graph = onnx.load(str(model.onnx_path)).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    missing = [name for name in rebuilt.state_dict() if name not in stored]
    if missing:
        raise ConfigError(
            f'{model.onnx_path}: the graph has no weights named {", ".join(missing[:3])} '
            f'({len(missing)} missing) for network {info.network!r}; export the model again')
    rebuilt.load_state_dict({
        name: torch.from_numpy(onnx.numpy_helper.to_array(stored[name]).copy()).float()
        for name in rebuilt.state_dict()}, strict=True)
    return rebuilt


class LowerPrecision(nn.Module):
    """
    A network with convolutions in float16 or bfloat16; it returns float32.

    Autocast decides about the rest. The weights of convolutions are cast here, once: autocast
    would cast them for every image.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network: Any = network
        self.dtype = dtype
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.to(self.dtype)

    def forward(self, image: Tensor, *inputs: Tensor, **extra_inputs: Tensor) -> Any:
        with torch.autocast(image.device.type, dtype=self.dtype, cache_enabled=False):
            output = self.network(image, *inputs, **extra_inputs)
        return tree_map(lambda value: value.float() if isinstance(
            value, Tensor) and value.is_floating_point() else value, output)

    def assemble(self, output: Any, thresholds: Tensor) -> dict[str, Tensor]:
        assembled: dict[str, Tensor] = self.network.assemble(output, thresholds)
        return assembled


class KeptConstants(TorchFunctionMode):
    """
    Context in which torch.tensor returns the tensor that it made of the same arguments before.

    A CUDA graph cannot copy Python numbers to the device; after one run they are there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, Tensor] = {}

    def __torch_function__(self, function: Callable[..., Any], types: Any,
                           args: tuple[Any, ...] = (),
                           kwargs: dict[str, Any] | None = None) -> Any:
        """Call a torch function, unless its result is kept."""
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

    :param inputs: CUDA tensors, read in place: their values may change.
    """

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> None:
        # The captured kernels read these by address.
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
    Return a call that runs a function in a Mode on these tensors, whose values may change.

    Compiling and capturing run the function; eager does not.

    :raises RuntimeError: when it cannot be compiled, captured or run.
    """
    if mode == 'cuda_graph':
        return CudaGraph(function, inputs)
    if mode == 'eager':
        return lambda: function(*inputs)
    compiled = torch.compile(function, dynamic=False)
    compiled(*inputs)
    return lambda: compiled(*inputs)


class TorchBackend(Backend):
    """
    The network in PyTorch.

    On a GPU it turns off TF32 and turns on cuDNN's benchmark mode in the *whole process*.

    :param threads: of PyTorch in the *whole process* (torch.set_num_threads).
    :param device: 'cpu', 'cuda', 'cuda:1' ...
    :raises ConfigError: for a CUDA graph without a GPU.
    :raises BackendError: when PyTorch or onnx is not installed, or the device cannot be used, or
        the network cannot be compiled or captured.
    """

    name = 'torch'

    def __init__(self, model: ModelDirectory, *, threads: int | None = None,
                 device: str = 'cpu', mode: Mode = 'eager',
                 precision: TorchPrecision = 'float32') -> None:
        check_threads(threads)
        if model.info.precision != 'float32':
            raise BackendError(f'torch: {model.path}: its graph was converted to '
                               f'{model.info.precision} and has no weights for PyTorch; give the '
                               'float32 model')
        if mode == 'cuda_graph' and not device.startswith('cuda'):
            raise ConfigError(f"torch: mode 'cuda_graph' needs a GPU, but device is {device!r}; "
                              "set device to 'cuda', or mode to 'eager' or 'compile'")
        if threads is not None:
            torch.set_num_threads(threads)
        network: Any = load_graph(model).eval()
        try:
            torch.empty(1, device=device)
            # Convolutions on a CPU are faster with the channels last.
            network = network.to(device=device, memory_format=torch.channels_last)
        except (RuntimeError, AssertionError) as error:
            raise BackendError(f'torch: device {device!r} cannot be used: {error}; '
                               "choose another, for instance 'cpu'") from None
        self.precision = precision
        if precision != 'float32':
            network.network = LowerPrecision(network.network, getattr(torch, precision))
        if device.startswith('cuda'):
            # PyTorch otherwise rounds the inputs of float32 convolutions to TF32.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.benchmark = True
        self._prepare(network, model, device, mode)

    def _prepare(self, network: Any, model: ModelDirectory, device: str, mode: Mode) -> None:
        """Take a network on the device, and allocate the memory of every run."""
        self._model = model
        self._device = torch.device(device)
        self._on_gpu = self._device.type == 'cuda'
        self._results: list[Any] = []
        with torch.inference_mode(), self._current():
            self._host: list[Any] = [
                torch.from_numpy(np.zeros([n or 1 for n in shape], dtype))
                for dtype, shape in model.info.graph_inputs().values()]
            if self._on_gpu:
                self._host = [tensor.pin_memory() for tensor in self._host]
            self._inputs = [tensor.to(self._device) for tensor in self._host]
            try:
                self._forward: Any = prepared(network, mode, self._inputs)
            except RuntimeError as error:
                raise self._failed(f'cannot be run in mode {mode!r}', error) from error

    def _run(self, inputs: Arrays) -> Arrays:
        try:
            with torch.inference_mode(), self._current():
                for array, host, tensor in zip(inputs.values(), self._host, self._inputs,
                                               strict=True):
                    np.copyto(host.numpy(), array)
                    if self._on_gpu:
                        tensor.copy_(host, non_blocking=True)
                return dict(zip(self._model.info.graph_outputs(),
                                self._to_host(self._forward()), strict=True))
        except RuntimeError as error:
            raise self._failed(f'failed on {self._device}', error) from error

    def _release(self) -> None:
        self._forward, self._host, self._inputs, self._results = None, [], [], []

    def _to_host(self, outputs: Any) -> list[NDArray[Any]]:
        """Wait for the outputs; later runs do not write to these arrays."""
        if not self._on_gpu:
            return [tensor.numpy() for tensor in outputs]
        if not self._results:
            self._results = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                             for tensor in outputs]
            self.gpu_memory_bytes = torch.cuda.memory_reserved(self._device)
        for host, tensor in zip(self._results, outputs, strict=True):
            host.copy_(tensor, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return [host.numpy().copy() for host in self._results]

    def _current(self) -> AbstractContextManager[Any]:
        """Make the GPU PyTorch's current one."""
        return torch.cuda.device(self._device) if self._on_gpu else nullcontext()

    def _failed(self, what: str, error: RuntimeError) -> BackendError:
        return BackendError(f'torch: {self._model.info.model_id} {what}: '
                            f'{" ".join(str(error).split())}; run the self-test of the model')
