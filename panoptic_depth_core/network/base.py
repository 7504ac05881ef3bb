# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The interface of a model: network, targets and losses, assembly of its output.

Training, export and evaluation know models by this interface only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.utils.data import default_collate

from ..class_tables import Byte, ClassTable, class_rows, table_classes
from ..config import Settings, Thresholds, parse_settings
from ..contract import NO_SEGMENT, PADDING_RGB, TASKS, Task
from ..errors import ConfigError
from ..labels import ClassInfo
from ..model_info import ExtraInput, ModelInfo, Positive, Range, WeightsData
from ..structures import Frame, Sample


class NetworkSettings(Settings):
    """Settings of models with classes and depth."""

    canonical_focal_px: float = Field(500.0, gt=0, description='focal length of the camera in '
                                      'which depth is predicted')
    class_table: ClassTable = Field('cityscapes', description='classes that are learned: a name '
                                    'in labels.CLASS_TABLES, or their rows')

    @field_validator('class_table')
    @classmethod
    def _is_known(cls, value: ClassTable) -> ClassTable:
        table_classes(value)
        return value

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Rows of class_table."""
        return table_classes(self.class_table)


class AssemblyRules(Settings):
    """Rules of the assembly that every model has."""

    output_stride: Literal[1, 2, 4] = Field(2, description='of the index and depth maps')


@dataclass
class Batch:
    """
    Samples of one size, stacked.

    A model adds its targets: tensors, or lists with a tensor per image.

    :param image: (B, H, W, 3) uint8. :param intrinsics: (B, 4) float32.
    :param extra_inputs: (B, ...) each, by their names in Model.extra_inputs.
    """

    image: Tensor
    intrinsics: Tensor
    extra_inputs: dict[str, Tensor]

    def inputs(self) -> dict[str, Tensor]:
        """Arguments of the network."""
        return {'image': self.image, 'intrinsics': self.intrinsics, **self.extra_inputs}

    def to(self, device: torch.device) -> Batch:
        """Move every tensor to a device; asynchronously from pinned memory."""
        return self._changed(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Move every tensor to pinned memory; for DataLoader."""
        return self._changed(Tensor.pin_memory)

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Batch:
        changed = type(self).__new__(type(self))
        changed.__setstate__({
            name: {key: change(value) for key, value in part.items()} if isinstance(part, dict)
            else (change(part[0]), part[1]) if isinstance(part, tuple) else change(part)
            for name, part in self.__getstate__().items()})
        return changed

    def __getstate__(self) -> dict[str, Any]:
        """Lists as one tensor and lengths: between processes every tensor takes a file."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: (torch.cat(part), [len(item) for item in part])
                if isinstance(part, list) else part for name, part in parts.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({
            name: list(part[0].split(part[1])) if isinstance(part, tuple) else part
            for name, part in state.items()})


def stack_inputs(samples: Sequence[Sample], extra: Sequence[ExtraInput] = ()) -> dict[str, Any]:
    """
    Fields of Batch of samples of one size.

    :param extra: inputs of the model; a sample without one gets its value for "unknown".
    :raises ConfigError: for an extra input of another type or shape.
    """
    # Unlike torch.stack, it writes into shared memory at once where a worker calls it.
    frames = [sample.frame for sample in samples]
    size = frames[0].image.shape[:2]
    return {
        'image': default_collate([torch.from_numpy(f.image) for f in frames]),
        'intrinsics': default_collate([torch.from_numpy(f.intrinsics.as_vector())
                                       for f in frames]),
        'extra_inputs': {e.name: default_collate([torch.from_numpy(
            _extra_input(f, e, np.full(e.size(*size), e.unknown, e.dtype)))
            for f in frames]) for e in extra}}


def _extra_input(frame: Frame, extra: ExtraInput, unknown: NDArray[Any]) -> NDArray[Any]:
    given = frame.given_inputs.get(extra.name, unknown)
    if (given.dtype, given.shape) != (unknown.dtype, unknown.shape):
        raise ConfigError(f'frame {frame.name!r}: {extra.name} is {given.dtype} {given.shape}, '
                          f'but the model takes {unknown.dtype} {unknown.shape}; give fitting '
                          'Frame.extra_inputs')
    return given


class Model(nn.Module):
    """
    A model; see network.MODELS.

    ``forward`` takes image (B, H, W, 3) uint8 RGB with sides that are multiples of size_multiple,
    intrinsics (B, 4) float32, fx, fy, cx, cy in px of this image, and the extra inputs by name. It
    returns what ``assemble`` and ``losses`` take: tensors, and lists, tuples, dicts of them.

    :param settings: stored in model directories, to rebuild the network.
    :param backbone_weights: state dict file to train from; None: random weights.
    """

    name: ClassVar[str]
    """In network.MODELS, recipes and model.json."""

    tasks: frozenset[Task] = TASKS
    extra_inputs: tuple[ExtraInput, ...] = ()
    """Inputs beside the image and its camera."""

    settings_type: ClassVar[type[Settings]]
    loss_type: ClassVar[type[Settings]]
    rules: AssemblyRules
    """Rules of ``assemble``: defaults of the class, which a recipe may change."""

    settings: Any
    loss: Any
    """Settings of ``targets`` and ``losses``, an instance of loss_type."""

    class_parameters: ClassVar[tuple[str, ...]] = ()
    """Name prefixes of parameters with a row per class or thing class."""

    input_mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    """Subtracted from R, G and B in 0..255; input_std divides the difference."""
    input_std: tuple[float, float, float] = (127.5, 127.5, 127.5)

    size_multiple: int = 64
    """Height and width of the input are multiples of this."""

    published_files: ClassVar[str] = ''
    """Checkpoints that ``from_published`` takes, in words."""
    published_size: tuple[int, int] = (1024, 2048)
    """Height and width of the input that they are for."""

    depth_of: ClassVar[Literal['pixels', 'segments']] = 'pixels'
    """See ModelInfo.depth_of."""

    def __init__(self, settings: Settings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__()
        self.settings = settings or self.settings_type()
        self.loss = self.loss_type()

    def configure(self, rules: dict[str, Any], loss: dict[str, Any], source: str) -> None:
        """
        Change ``rules`` and ``loss`` as a recipe asks, in place.

        :raises ConfigError: for an unknown or wrong value, naming the source.
        """
        self.rules = parse_settings(type(self.rules), {**self.rules.model_dump(), **rules},
                                    f'{source}: assembly')
        self.loss = parse_settings(self.loss_type, loss, f'{source}: loss')
        things, classes = getattr(self.rules, 'max_things', 0), len(self.classes)
        if things + classes > NO_SEGMENT:
            raise ConfigError(f'{source}: max_things is {things} with {classes} classes, '
                              f'but a result has {NO_SEGMENT} rows for both; set max_things to '
                              f'{NO_SEGMENT - classes} or less')

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Classes that it learns; empty for depth alone."""
        return getattr(self.settings, 'classes', ())

    @property
    def canonical_focal_px(self) -> float | None:
        """Focal length of the canonical camera of its depth, if it has one."""
        return getattr(self.settings, 'canonical_focal_px', None)

    @property
    def onnx_opset(self) -> int:
        """Lowest opset with all its operators."""
        return 18

    def normalised(self, image: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float32, less input_mean, over input_std."""
        scale, shift = (torch.tensor(values, device=image.device)[:, None, None] for values in (
            [1.0 / std for std in self.input_std],
            [mean / std for mean, std in zip(self.input_mean, self.input_std, strict=True)]))
        # Cast first: some parsers accept uint8 in a Cast only. Scale last: whole planes.
        return image.float().permute(0, 3, 1, 2) * scale - shift

    def deployed(self) -> Model:
        """Fold weights that only training needs into others, in place."""
        return self

    def assemble(self, output: Any, thresholds: Tensor) -> dict[str, Tensor]:
        """
        Make the maps and tables of contract.py for the tasks of this model, by ``rules``.

        :param output: of ``forward``.
        :param thresholds: (T,) float32 in the order of contract.THRESHOLDS.
        :returns: the graph's outputs by name, of fixed shapes.
        """
        raise RuntimeError(f'{type(self).__name__} has no assemble method')

    def targets(self) -> Callable[[Sequence[Sample]], Batch]:
        """
        Return the function that makes training batches, by ``loss``.

        It is pickled for the loader processes: it may hold settings, but no weights.
        """
        raise RuntimeError(f'{type(self).__name__} has no targets method')

    def prepare_losses(self, samples: Iterable[Sample]) -> None:
        """
        Look at the training data before the first iteration, for instance to balance classes.

        :param samples: some draws, made one by one on demand.
        """

    def losses(self, output: Any, batch: Any, seeds: Sequence[int] | None = None,
               ) -> dict[str, Tensor]:
        """
        All losses, weighted; training minimises their sum.

        :param output: of ``forward``. :param batch: of ``targets``.
        :param seeds: one per image, for its random choices; None: the global generator.
        :returns: () float32 each, the same names for every batch.
        """
        raise RuntimeError(f'{type(self).__name__} has no losses method')

    @classmethod
    def reads_published(cls, names: Collection[str]) -> bool:
        """Whether a checkpoint with these weights is from the authors of the paper."""
        return False

    @classmethod
    def from_published(cls, weights: Mapping[str, Tensor], source: str,
                       settings: Mapping[str, Any] | None = None) -> Model:
        """
        Model with the weights of a checkpoint from the authors of its paper.

        :param source: of the weights, for messages.
        :param settings: network settings in place of those that the weights were trained with.
        :raises ConfigError: when a weight or a setting does not fit, naming it.
        """
        raise ConfigError(f'{source}: model {cls.name!r} reads no checkpoints of others')

    @classmethod
    def published_description(cls, height: int, width: int, **values: Any) -> ModelDescription:
        """
        Describe a model of ``from_published``, with other values as given.

        :raises ConfigError: for an unknown or wrong value.
        """
        return parse_settings(ModelDescription, {'height': height, 'width': width, **values},
                              'convert')


class ModelDescription(Settings):
    """Settings of `panoptic-depth export --config`, a YAML file, and of a validation."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str = Field('panoptic-depth', min_length=1)
    height: int = Field(384, gt=0, description='of the network input, px')
    width: int = Field(768, gt=0, description='of the network input, px')
    output_stride: Literal[1, 2, 4] = Field(2, description='of the index and depth maps')
    trained_focal_range_px: Range = (250.0, 1200.0)
    depth_range_m: Range = (0.5, 120.0)
    log_depth_temperature: Positive = 1.0
    unknown_mounting_log_error: float = Field(0.0, ge=0, allow_inf_nan=False)
    padding_rgb: tuple[Byte, Byte, Byte] = Field(
        PADDING_RGB, description='colour where no image is')
    thresholds: Thresholds = Thresholds()
    weight_type: Literal['float16', 'float32'] = Field(
        'float16', description='in which the graph keeps the weights; it computes in float32')
    weights_licence: str = Field('unknown', description='SPDX identifier')
    weights_data: tuple[WeightsData, ...] = Field(
        (), description='name, licence and attribution of each data set')
    description: str = Field('', description='what the model is and how it was trained')
    intended_use: tuple[str, ...] = Field((), description='what it is for; lines of its card')
    known_limits: tuple[str, ...] = Field((), description='what it is known to do badly')


def describe(model: Model, description: ModelDescription) -> ModelInfo:
    """
    Make the contents of model.json, except for the file of the graph.

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
        unknown_mounting_log_error=description.unknown_mounting_log_error,
        thresholds=description.thresholds, opset=model.onnx_opset,
        weights_licence=description.weights_licence,
        weights_data=description.weights_data, description=description.description,
        intended_use=description.intended_use, known_limits=description.known_limits,
        parameters=sum(value.numel() for value in model.parameters()))
