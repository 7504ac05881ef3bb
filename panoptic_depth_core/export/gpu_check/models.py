# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Models of the check: exported at a size, converted, built; and what PyTorch says of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...contract import output_names
from ...errors import BackendError, ConfigError
from ...evaluation.benchmark import street_image
from ...inference.backends import create_backend
from ...inference.preprocess import graph_inputs
from ...io.sources.open_source import open_source
from ...model_directory import ModelDirectory, save_model_directory
from ...network import create_model
from ...network.base import Model
from ...network.description import ModelDescription, describe
from ...network.layers.deformable import DeformableForm
from ...network.onnx_weights import load_graph
from ...network.panoptic_depth.network import PublishedNetwork
from ...network.torch_backend import TorchBackend
from ...self_test import SelfTest
from ...structures import Frame, Intrinsics
from .. import onnx_export
from ..convert import published_description
from ..low_precision import LowFloat
from ..model_copy import copy_licences
from ..onnx_export import example_inputs, round_to_half, run, self_test_of, to_onnx

_PICTURES = 3


def model_of(name: str, height: int, width: int) -> tuple[Model, ModelDescription]:
    """Model and description by its name in rows.MODELS, for an input size."""
    if name == 'published':
        return random_published(), published_description(
            height, width, model_id='published-random', weight_type='float16',
            weights_licence='CC0-1.0')
    shipped = ModelDirectory.default()
    info = shipped.info
    return load_graph(shipped).network, ModelDescription(
        model_id=info.model_id, height=height, width=width, output_stride=info.output_stride,
        trained_focal_range_px=info.trained_focal_range_px, depth_range_m=info.depth_range_m,
        log_depth_temperature=info.log_depth_temperature, padding_rgb=info.padding_rgb,
        thresholds=info.thresholds, weights_licence=info.weights_licence,
        weights_data=info.weights_data)


def random_published(form: DeformableForm = 'grid_sample', seed: int = 0) -> PublishedNetwork:
    """
    The published network with random weights of a seed, so scaled that float16 can hold them.

    The norms of its backbone measured nothing, so each block would double the variance. Centres
    and regions are biased so that something is found, which random weights do not do.
    """
    torch.manual_seed(seed)
    network = create_model('published', {'deformable': form})
    assert isinstance(network, PublishedNetwork)
    with torch.no_grad():
        for name, value in network.named_buffers():
            if name.endswith('bn3.weight'):
                value.fill_(0.2)
        for conv, bias in ((network.center, -0.5), (network.region, 0.5)):
            assert conv.bias is not None
            conv.bias.fill_(bias)
    return network.eval()


def export_model(name: str, height: int, width: int, out_dir: str) -> dict[str, Any]:
    """Export a model of rows.MODELS, unless it is there."""
    try:
        ModelDirectory.load(out_dir)
    except ConfigError:
        model, description = model_of(name, height, width)
        onnx_export.export_model(model, out_dir, description)
        if name == 'fast':
            copy_licences(ModelDirectory.default(), Path(out_dir))
    return {}


class NetworkAlone(nn.Module):
    """
    The network without its assembly, in the form of the contract.

    Every output of the network goes into one sum, so that no runtime leaves any of it out; maps
    and table hold that sum. A graph of it takes as long as the whole graph less the assembly.
    """

    def __init__(self, network: Model, map_size: tuple[int, int], rows: int) -> None:
        super().__init__()
        self.network = network
        self.map_size, self.rows = map_size, rows
        self.output_names = output_names(network.tasks)

    def forward(self, image: Tensor, intrinsics: Tensor,
                thresholds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the network; see contract.py for the shapes."""
        output = self.network(image, intrinsics)
        lists = (output.centers, output.regions, output.kernels, output.depth_kernels,
                 [output.mask_embedding, output.depth_embedding])
        total = torch.stack([value.float().mean() for part in lists for value in part]).sum()
        total = total + thresholds.sum() + output.metric.sum()
        depth = (total.abs() + 1.0).expand(1, *self.map_size) + 0.0
        return ((depth < 0.0).to(torch.uint8), depth,
                total.expand(1, self.rows, 6) * 0.0)


def export_network_alone(name: str, height: int, width: int, out_dir: str) -> dict[str, Any]:
    """Export NetworkAlone of a model of rows.MODELS, unless it is there."""
    try:
        ModelDirectory.load(out_dir)
    except ConfigError:
        model, description = model_of(name, height, width)
        network: Any = round_to_half(model.deployed())
        info = describe(network, description)
        alone = NetworkAlone(network, info.map_size(),
                             network.rules.max_things + len(network.classes)).eval()
        example = example_inputs(info)
        graph = to_onnx(alone, example, network.onnx_opset, True)
        save_model_directory(out_dir, info, graph.SerializeToString(),
                             self_test_of(info, example, run(alone, example)))
    return {}


def convert(models: dict[LowFloat, str], model: str) -> dict[str, Any]:
    """
    Convert a model to several precisions, unless that is there.

    :param models: precision -> where it is to be.
    :returns: precision -> why it could not be.
    """
    from ..precision import convert_precision

    failed = {}
    for precision, out_dir in models.items():
        try:
            ModelDirectory.load(out_dir)
        except ConfigError:
            try:
                convert_precision(ModelDirectory.load(model), out_dir, precision)
            except (ConfigError, BackendError) as error:
                failed[precision] = str(error)
    return {'failed': failed}


def build_engine(backend: str, model: str) -> dict[str, Any]:
    """Load a model once, so that its engine is in the cache."""
    created = create_backend(backend, ModelDirectory.load(model))
    key = created.engine_key
    created.close()
    return {'engine': key}


def write_references(model: str, out_dir: str, device: str, source: str | None) -> dict[str, Any]:
    """
    Run PyTorch in float32 on pictures, and keep what it says as SelfTest files.

    :param source: as io.sources.open_source reads it; drawn streets where None.
    """
    opened = ModelDirectory.load(model)
    info = opened.info
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    backend = TorchBackend(opened, device=device)
    written = []
    for number, frame in enumerate(_pictures(source, info.input_height, info.input_width)):
        inputs, _ = graph_inputs(frame, info, info.thresholds.as_vector())
        path = Path(out_dir) / f'{number}.npz'
        SelfTest(inputs, backend.run(inputs)).save(path)
        written.append(str(path))
    backend.close()
    return {'tests': written}


def _pictures(source: str | None, height: int, width: int) -> list[Frame]:
    if source is None:
        return [Frame(street_image(height, width, seed), Intrinsics.from_fov(70, width, height))
                for seed in range(_PICTURES)]
    with open_source(source, fov_deg=None) as frames:
        return [frame for frame, _ in zip(frames, range(_PICTURES), strict=False)]
