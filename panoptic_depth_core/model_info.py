# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""model.json: the description of a model directory's graph."""

from __future__ import annotations

from math import isfinite, nan
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from .class_tables import Byte, ModelClass, class_infos
from .config import Settings, Thresholds
from .contract import (
    INPUTS,
    MOUNTING,
    NO_SEGMENT,
    OUTPUTS,
    PADDING_RGB,
    SEGMENT_COLUMNS,
    SEGMENTATION,
    TASKS,
    THRESHOLDS,
    Task,
    output_names,
)
from .labels import ClassInfo

FORMAT_VERSION: Final = 1

LowPrecision = Literal['float16', 'bfloat16', 'int8']
Precision = Literal['float32', LowPrecision]
"""Arithmetic of convolutions; meters and ids are computed in float32 always."""
INFO_NAME = 'model.json'

TensorSpec = tuple[str, tuple[int | None, ...]]
"""numpy dtype name and shape of a graph input or output; None is any size."""

_FileName = Annotated[str, Field(pattern=r'^[A-Za-z0-9_][A-Za-z0-9_.-]*$')]


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] < value[1]:
        raise ValueError('the second number must be greater than the first')
    return value


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Range = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class WeightsData(Settings):
    """A data set, or other weights, that the weights were trained from."""

    name: str
    licence: str
    attribution: str = ''


class ExtraInput(Settings):
    """An input that only some models take, such as the mounting of the camera."""

    name: str = Field(pattern='^[a-z][a-z0-9_]*$')
    dtype: Literal['float32', 'uint8'] = 'float32'
    shape: tuple[Annotated[int, Field(gt=0)] | Literal['height', 'width'], ...] = Field(
        description='without the batch axis; height and width are those of the network input')
    unknown: float = Field(nan, validate_default=True, description='value of every element where '
                           'nothing is known')

    def size(self, height: int, width: int) -> tuple[int, ...]:
        """Shape for an input of this height and width, without the batch axis."""
        return tuple({'height': height, 'width': width}[n] if isinstance(n, str) else n
                     for n in self.shape)

    @field_validator('name')
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in INPUTS or name in OUTPUTS:
            raise ValueError('is the name of another input or output; choose a different one')
        return name

    @field_validator('unknown')
    @classmethod
    def _has_a_place(cls, unknown: float, info: ValidationInfo) -> float:
        # numpy would wrap it around, and only warn.
        if info.data.get('dtype') == 'uint8' and unknown not in range(256):
            raise ValueError('uint8 has no such value; give one of 0 to 255, or take float32')
        return unknown

    @field_serializer('unknown', when_used='json')
    def _in_json(self, value: float) -> float | str:
        # JSON has neither NaN nor infinity.
        return value if isfinite(value) else str(value)


class LogDepthCalibration(Settings):
    """How log_depth_temperature was fitted, and how well it calibrates."""

    data: str = Field(min_length=1, description='data set and part of it')
    frames: int = Field(gt=0)
    coverage_68: _Share | None = Field(
        None, description='share of pixels within the 68 % range, in frames that the fit had not '
        'seen; none where it had seen all')
    coverage_95: _Share | None = None


class ModelInfo(Settings):
    """Contents of model.json."""

    model_config = ConfigDict(protected_namespaces=())

    format_version: Literal[1] = FORMAT_VERSION
    model_id: str = Field(min_length=1)
    network: str = Field(description='name in the table of networks, to rebuild it in PyTorch')
    network_settings: dict[str, Any] = {}
    assembly_settings: dict[str, Any] = {}
    tasks: frozenset[Task] = Field(TASKS, min_length=1)
    classes: tuple[ModelClass, ...] = Field(
        (), max_length=NO_SEGMENT, validate_default=True, description='by class id; none where '
        'the task is depth alone')
    input_height: int = Field(gt=0)
    input_width: int = Field(gt=0)
    output_stride: Literal[1, 2, 4]
    precision: Precision = Field('float32', description='arithmetic of the convolutions in the '
                                 'graph; the rest is float32')
    extra_inputs: tuple[ExtraInput, ...] = ()
    canonical_focal_px: Positive | None = Field(None, description='none: depth is not predicted, '
                                                 'or without knowledge of the camera')
    trained_focal_range_px: Range | None = Field(
        None, description='none: results do not depend on the focal length')
    depth_range_m: Range | None = None
    normalisation_mean: tuple[float, float, float] = Field(
        description='RGB, 0..255; for readers: the graph normalises')
    normalisation_std: tuple[Positive, Positive, Positive]
    padding_rgb: tuple[Byte, Byte, Byte] = Field(
        PADDING_RGB, description='colour where the image does not fill the input')
    depth_of: Literal['pixels', 'segments'] = Field(
        'pixels', description='what has a depth: every pixel, or those that a segment owns, NaN '
        'elsewhere')
    log_depth_temperature: Positive = Field(
        1.0, description='factor on log_depth_scale that calibrates it')
    log_depth_calibration: LogDepthCalibration | None = Field(
        None, description='how it was fitted; none where it was not')
    unknown_mounting_log_error: float = Field(
        0.0, ge=0, allow_inf_nan=False, description='standard deviation of log depth that is '
        'added where the mounting is not known: the model has learned few heights of cameras')
    thresholds: Thresholds = Thresholds()
    onnx_file: _FileName = 'model.onnx'
    onnx_sha256: str = Field('', pattern='^([0-9a-f]{64})?$')
    onnx_bytes: int = Field(0, ge=0)
    opset: int = Field(gt=0)
    producer: dict[str, str] = Field({}, description='versions of what made the graph')
    weights_licence: str
    weights_data: tuple[WeightsData, ...] = ()
    self_test: _FileName | None = None
    description: str = Field('', description='what the model is and how it was trained, for its '
                             'card; so are the next two')
    intended_use: tuple[str, ...] = ()
    known_limits: tuple[str, ...] = ()
    parameters: int | None = Field(None, gt=0, description='numbers that were learned; none where '
                                   'the exporter did not say')

    @model_validator(mode='before')
    @classmethod
    def _read_first_form(cls, values: Any) -> Any:
        """Before there were tasks, a model without depth said so in depth_of."""
        if isinstance(values, dict) and values.get('depth_of') == 'nothing':
            return {**values, 'depth_of': 'segments', 'tasks': sorted(SEGMENTATION)}
        return values

    @field_serializer('tasks', when_used='json')
    def _in_order(self, tasks: frozenset[Task]) -> list[Task]:
        return sorted(tasks)

    @field_validator('extra_inputs')
    @classmethod
    def _have_own_names(cls, inputs: tuple[ExtraInput, ...]) -> tuple[ExtraInput, ...]:
        if len({extra.name for extra in inputs}) < len(inputs):
            raise ValueError('two have the same name; choose a different one')
        return inputs

    @field_validator('classes')
    @classmethod
    def _fit_tasks(cls, classes: tuple[ModelClass, ...],
                   info: ValidationInfo) -> tuple[ModelClass, ...]:
        tasks = info.data.get('tasks', TASKS)
        if bool(classes) != bool(tasks & SEGMENTATION):
            raise ValueError(f'there are {len(classes)} for the tasks {", ".join(sorted(tasks))}; '
                             'semantic and instances need classes, depth alone has none')
        return classes

    @field_validator('output_stride')
    @classmethod
    def _stride_divides(cls, stride: int, info: ValidationInfo) -> int:
        for name in ('input_height', 'input_width'):
            if name in info.data and info.data[name] % stride:
                raise ValueError(f'{name} {info.data[name]} is no multiple of it')
        return stride

    @property
    def takes_mounting(self) -> bool:
        """Whether the mounting of the camera is an input."""
        return any(extra.name == MOUNTING for extra in self.extra_inputs)

    def class_infos(self) -> tuple[ClassInfo, ...]:
        """Class table as labels.py has it."""
        return class_infos(self.classes)

    def graph_inputs(self) -> dict[str, TensorSpec]:
        """Types and shapes of the inputs of contract.py at this model's size."""
        return {
            'image': ('uint8', (1, self.input_height, self.input_width, 3)),
            'intrinsics': ('float32', (1, 4)), 'thresholds': ('float32', (len(THRESHOLDS),)),
            **{e.name: (e.dtype, (1, *e.size(self.input_height, self.input_width)))
               for e in self.extra_inputs}}

    def unknown_inputs(self) -> dict[str, NDArray[Any]]:
        """Extra inputs that say "unknown", without the batch axis."""
        return {e.name: np.full(e.size(self.input_height, self.input_width), e.unknown, e.dtype)
                for e in self.extra_inputs}

    def graph_outputs(self) -> dict[str, TensorSpec]:
        """Types and shapes of the outputs of contract.py at this model's size."""
        size = self.map_size()
        specs: dict[str, TensorSpec] = {
            'segment_index': ('uint8', (1, *size)), 'depth': ('float32', (1, *size)),
            'segments': ('float32', (1, None, len(SEGMENT_COLUMNS)))}
        return {name: specs[name] for name in output_names(self.tasks)}

    def map_size(self) -> tuple[int, int]:
        """Height and width of the maps that the graph returns."""
        return self.input_height // self.output_stride, self.input_width // self.output_stride
