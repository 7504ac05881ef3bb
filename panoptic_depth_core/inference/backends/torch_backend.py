# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch: runs the network that the graph was exported from, with the weights of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import GraphOutput
from ...errors import BackendError
from ...model_directory import ModelDirectory
from . import check_inputs, check_threads


class TorchBackend:
    """
    The network in PyTorch, in eager mode.

    :param threads: threads of PyTorch in the *whole process* (torch.set_num_threads).
    :param device: 'cpu', 'cuda', 'cuda:1' ...
    :raises BackendError: when PyTorch or onnx is not installed or the device cannot be used.
    """

    name = 'torch'

    def __init__(self, model: ModelDirectory, *, threads: int | None = None,
                 device: str = 'cpu') -> None:
        check_threads(threads)
        try:
            import torch

            # Which reads the weights with onnx.
            from ...network.onnx_weights import load_network
        except ImportError as error:
            raise BackendError(f'the backend torch cannot be imported: {error}; run: '
                               "pip install 'panoptic-depth[export]', "
                               'or choose the backend onnxruntime') from None
        if threads is not None:
            torch.set_num_threads(threads)
        network: Any = load_network(model).eval()
        try:
            # Convolutions on a CPU are faster with the channels last.
            self._network = network.to(device=device, memory_format=torch.channels_last)
        except (RuntimeError, AssertionError) as error:
            raise BackendError(f'torch: device {device!r} cannot be used: {error}; '
                               "choose another, for instance 'cpu'") from None
        self._device = device
        self._model = model

    def run(self, image: NDArray[np.uint8], intrinsics: NDArray[np.float32],
            thresholds: NDArray[np.float32]) -> GraphOutput:
        """Run the network; see backends.Backend."""
        import torch
        if self._network is None:
            raise BackendError('torch: the backend is closed; make a new one')
        check_inputs(self._model.info, image, intrinsics, thresholds)
        arrays = (image[None], intrinsics[None], thresholds)
        try:
            with torch.inference_mode():
                # A copy, because PyTorch does not take read-only arrays.
                inputs = [torch.from_numpy(a.copy()).to(self._device) for a in arrays]
                index, depth, segments = self._network(*inputs)
                return GraphOutput(index[0].cpu().numpy(), depth[0].cpu().numpy(),
                                   segments[0].cpu().numpy())
        except RuntimeError as error:
            raise BackendError(f'torch: {self._model.info.model_id} failed on {self._device}: '
                               f'{" ".join(str(error).split())}; '
                               'run the self-test of the model') from error

    def close(self) -> None:
        """Free the network."""
        self._network = None
