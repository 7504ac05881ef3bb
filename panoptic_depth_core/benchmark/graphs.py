# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the processes of runtimes.py do: export, convert and time the graph of a model."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..export.model_copy import copy_licences
from ..export.onnx_export import export_model
from ..export.precision import LEAST_FRAMES, convert_precision
from ..inference.preprocess import graph_inputs
from ..model_directory import ModelDirectory
from ..network.description import ModelDescription
from ..network.execution import prepared
from ..network.onnx_weights import load_graph
from ..network.torch_backend import TorchBackend
from ..self_test import SelfTest
from ..structures import Frame
from .pipeline import pictures
from .published import milliseconds

_STAGE_RUNS = 10


def describe_device(device: str) -> tuple[str, str]:
    """Return device and name; 'auto' is a GPU where PyTorch finds one."""
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.empty(1, device=device)
    return device, device if device == 'cpu' else torch.cuda.get_device_name(device)


def export_at(model: Path, height: int, width: int, out_dir: Path) -> None:
    """Export a float32 model for another input size."""
    opened = ModelDirectory.load(model)
    kept = {name: value for name in ModelDescription.model_fields
            if (value := getattr(opened.info, name, None)) is not None}
    export_model(load_graph(opened).network, out_dir,
                 ModelDescription(**{**kept, 'height': height, 'width': width}))
    copy_licences(opened, out_dir)


def convert(model: Path, out_dir: Path, precision: Any, source: str | None) -> None:
    """Convert a float32 model to a precision of model_info, or 'int8_symmetric' for TensorRT."""
    opened = ModelDirectory.load(model)
    if not precision.startswith('int8'):
        convert_precision(opened, out_dir, precision)
        return
    size = opened.info.input_height, opened.info.input_width
    convert_precision(opened, out_dir, 'int8', pictures(source, size, LEAST_FRAMES),
                      symmetric=precision == 'int8_symmetric')


def references(model: Path, device: str,
               source: str | None) -> tuple[list[Frame], list[SelfTest]]:
    """Return the first frames of a source, and what PyTorch in float32 makes of them."""
    opened = ModelDirectory.load(model)
    info = opened.info
    frames = pictures(source, (info.input_height, info.input_width))
    backend = TorchBackend(opened, device=device)
    inputs = [graph_inputs(frame, info, info.thresholds.as_vector())[0] for frame in frames]
    return frames, [SelfTest(arrays, backend.run(arrays)) for arrays in inputs]


class StagedTorch(TorchBackend):
    """PyTorch, whose network and assembly can be timed apart."""

    def _prepare(self, network: Any, *others: Any) -> None:
        super()._prepare(network, *others)
        self._network: Any = network.network

    def stages_ms(self, mode: str) -> dict[str, float]:
        """
        Median times of network and assembly, each from an idle device to an idle device.

        So their sum is somewhat more than the whole without the copies.
        """
        image, camera, thresholds, *extra = self._inputs
        names = [item.name for item in self._model.info.extra_inputs]

        def network(image: Tensor, camera: Tensor, *extra: Tensor) -> Any:
            return self._network(image, camera, **dict(zip(names, extra, strict=True)))

        def assembly(thresholds: Tensor) -> tuple[Tensor, ...]:
            return tuple(self._network.assemble(output, thresholds).values())

        with torch.inference_mode(), self._current():
            run_network = prepared(network, mode, [image, camera, *extra])
            output = run_network()
            runs = {'network_ms': run_network,
                    'assembly_ms': prepared(assembly, mode, [thresholds])}
            return {name: statistics.median(milliseconds(run, str(self._device), _STAGE_RUNS))
                    for name, run in runs.items()}
