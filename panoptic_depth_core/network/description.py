# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint does not know of the model that is made from it."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from ..class_tables import Byte, class_rows
from ..config import Settings, Thresholds
from ..contract import PADDING_RGB
from ..errors import ConfigError
from ..model_info import ModelInfo, Positive, Range, WeightsData
from .base import Model


class ModelDescription(Settings):
    """Settings of an export, a YAML file for `panoptic-depth export --config`, or a validation."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str = Field('panoptic-depth', min_length=1)
    height: int = Field(384, gt=0, description='of the network input, px')
    width: int = Field(768, gt=0, description='of the network input, px')
    output_stride: Literal[1, 2, 4] = Field(2, description='of the index and depth maps')
    trained_focal_range_px: Range = (250.0, 1200.0)
    depth_range_m: Range = (0.5, 120.0)
    log_depth_temperature: Positive = 1.0
    padding_rgb: tuple[Byte, Byte, Byte] = Field(
        PADDING_RGB, description='colour where no image is')
    thresholds: Thresholds = Thresholds()
    weight_type: Literal['float16', 'float32'] = Field(
        'float16', description='in which the graph keeps the weights; it computes in float32')
    weights_licence: str = Field('unknown', description='SPDX identifier')
    weights_data: tuple[WeightsData, ...] = Field(
        (), description='name, licence and attribution of each data set')


def describe(model: Model, description: ModelDescription) -> ModelInfo:
    """
    What model.json says of a model, but for the file of its graph.

    :raises ConfigError: for an input size that the network does not take.
    """
    height, width, side = description.height, description.width, model.size_multiple
    if height % side or width % side:
        raise ConfigError(f'input size is {width}x{height}; give multiples of {side} px')
    has_depth = 'depth' in model.tasks
    return ModelInfo(
        model_id=description.model_id, network=model.name,
        network_settings=model.settings.model_dump(), assembly_settings=model.rules.model_dump(),
        tasks=model.tasks, extra_inputs=model.extra_inputs, classes=class_rows(model.classes),
        input_height=height, input_width=width,
        output_stride=model.rules.output_stride, canonical_focal_px=model.canonical_focal_px,
        trained_focal_range_px=description.trained_focal_range_px if has_depth else None,
        depth_range_m=description.depth_range_m if has_depth else None,
        normalisation_mean=model.input_mean, normalisation_std=model.input_std,
        padding_rgb=description.padding_rgb, depth_of=model.depth_of,
        log_depth_temperature=description.log_depth_temperature,
        thresholds=description.thresholds, opset=model.onnx_opset,
        weights_licence=description.weights_licence,
        weights_data=description.weights_data)
