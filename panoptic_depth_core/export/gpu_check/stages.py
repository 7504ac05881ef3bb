# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Copies, network and assembly in PyTorch, each alone.

Each is timed from an idle device to an idle device, so their sum is somewhat more than the whole.
Copies are those of the inputs and outputs of a frame between pinned memory and the device; the
assembly reads outputs of the network that lie there.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...inference.backends import batched
from ...model_directory import ModelDirectory
from ...network.execution import LowerPrecision, compute_as_asked, prepared
from ...network.onnx_weights import load_graph
from ...network.torch_backend import Mode, TorchPrecision
from ...self_test import SelfTest
from .limits import milliseconds


def torch_stages(model: str, device: str, test: str, rows: list[tuple[Mode, TorchPrecision]],
                 repeats: int) -> dict[str, Any]:
    """
    Median milliseconds of each stage.

    :param test: npz of a SelfTest, whose input is used.
    :param rows: mode and precision of each.
    :returns: 'MODE PRECISION' -> {'copies': ..., 'network': ..., 'assembly': ...}, less those that
        failed; 'errors' -> the same to why.
    """
    on_gpu = torch.device(device).type == 'cuda'
    if on_gpu:
        compute_as_asked()
    opened = ModelDirectory.load(model)
    host = [torch.from_numpy(array) for array in batched(
        opened.info, SelfTest.read(Path(test)).inputs).values()]
    if on_gpu:
        host = [tensor.pin_memory() for tensor in host]
    found: dict[str, Any] = {'errors': {}}
    for mode, precision in rows:
        try:
            with torch.inference_mode():
                found[f'{mode} {precision}'] = _stages(
                    opened, device, host, mode, precision, repeats)
        except RuntimeError as error:
            found['errors'][f'{mode} {precision}'] = ' '.join(str(error).split())
    return found


def _stages(model: ModelDirectory, device: str, host: list[Tensor], mode: Mode,
            precision: TorchPrecision, repeats: int) -> dict[str, float]:
    loaded: Any = load_graph(model)
    whole = loaded.to(device=device, memory_format=torch.channels_last)
    network: Any = (whole.network if precision == 'float32'
                    else LowerPrecision(whole.network, getattr(torch, precision)))
    inputs = [tensor.to(device) for tensor in host]
    run_network = prepared(network, mode, inputs[:2])
    output = run_network()

    def assembled(thresholds: Tensor) -> tuple[Tensor, ...]:
        return tuple(network.assemble(output, thresholds).values())

    run_assembly = prepared(assembled, mode, inputs[2:])
    copies = _copies(host, inputs, run_assembly())
    stages = {'network': run_network, 'assembly': run_assembly}
    if torch.device(device).type == 'cuda':
        stages['copies'] = copies
    return {'copies': 0.0, **{name: statistics.median(milliseconds(run, device, repeats))
                              for name, run in stages.items()}}


def _copies(host: list[Tensor], inputs: list[Tensor],
            results: tuple[Tensor, ...]) -> Callable[[], None]:
    """What copies inputs to the device and results from it."""
    targets = [torch.empty(result.shape, dtype=result.dtype, pin_memory=result.is_cuda)
               for result in results]

    def copy() -> None:
        for source, target in (*zip(host, inputs, strict=True),
                               *zip(results, targets, strict=True)):
            target.copy_(source, non_blocking=True)

    return copy
