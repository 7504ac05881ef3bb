# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
PyTorch as a runtime: runs the network that the graph was exported from, with the graph's weights.

The other runtimes are in inference/backends/; this one needs the models, which are above that.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..contract import Arrays
from ..errors import BackendError, ConfigError
from ..inference.backends import Backend, check_threads
from ..model_directory import ModelDirectory
from .execution import LowerPrecision, compute_as_asked, prepared
from .onnx_weights import load_graph

Mode = Literal['eager', 'compile', 'cuda_graph']
"""compile: torch.compile, takes a minute; cuda_graph: what eager launches, launched as one."""

TorchPrecision = Literal['float32', 'float16', 'bfloat16']
"""Of the convolutions of the network; the assembly is in float32."""


class TorchBackend(Backend):
    """
    The network in PyTorch.

    On a GPU, switches of the *whole process* are set, so that float32 is not TF32 and cuDNN
    chooses convolutions by trying.

    :param threads: threads of PyTorch in the *whole process* (torch.set_num_threads).
    :param device: 'cpu', 'cuda', 'cuda:1' ...
    :raises ConfigError: for a CUDA graph on something else than a GPU.
    :raises BackendError: when PyTorch or onnx is not installed or the device cannot be used, or
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
            compute_as_asked()
        self._prepare(network, model, device, mode)

    def _prepare(self, network: Any, model: ModelDirectory, device: str, mode: Mode) -> None:
        """Take a network that is on the device, and allocate what every run needs."""
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
        """Wait for the outputs; arrays that no later run writes to."""
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
        """Make the GPU the one that PyTorch means when it is not told which."""
        return torch.cuda.device(self._device) if self._on_gpu else nullcontext()

    def _failed(self, what: str, error: RuntimeError) -> BackendError:
        return BackendError(f'torch: {self._model.info.model_id} {what}: '
                            f'{" ".join(str(error).split())}; run the self-test of the model')
