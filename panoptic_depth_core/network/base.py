# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What a model is: its network, what it learns from, and what becomes of its output.

Nobody else knows: training, export and evaluation ask the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from ..contract import PADDING_RGB, TASKS, Task
from ..errors import ConfigError
from ..labels import ClassInfo
from ..model_info import ExtraInput, ModelInfo, Positive, Range, WeightsData
from ..structures import Frame, Sample


class NetworkSettings(Settings):
    """What models with classes and depth can be asked for."""

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
        """Those of class_table."""
        return table_classes(self.class_table)


class AssemblyRules(Settings):
    """What every model can be asked for on the way from its output to the maps."""

    output_stride: Literal[1, 2, 4] = Field(2, description='of the index and depth maps')


@dataclass
class Batch:
    """
    Samples of one size, stacked.

    A model adds what it learns from: tensors, or lists of tensors with one per image.

    :param image: (B, H, W, 3) uint8.
    :param intrinsics: (B, 4) float32.
    :param extra_inputs: (B, ...) each, by their names in Model.extra_inputs.
    """

    image: Tensor
    intrinsics: Tensor
    extra_inputs: dict[str, Tensor]

    def inputs(self) -> dict[str, Tensor]:
        """Arguments of the network."""
        return {'image': self.image, 'intrinsics': self.intrinsics, **self.extra_inputs}

    def to(self, device: torch.device) -> Batch:
        """Move every tensor to a device; from pinned memory without waiting for it."""
        return self._changed(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Move every tensor to memory that a GPU can copy from by itself; for DataLoader."""
        return self._changed(Tensor.pin_memory)

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Batch:
        changed = type(self).__new__(type(self))
        changed.__setstate__({
            name: {key: change(value) for key, value in part.items()} if isinstance(part, dict)
            else (change(part[0]), part[1]) if isinstance(part, tuple) else change(part)
            for name, part in self.__getstate__().items()})
        return changed

    def __getstate__(self) -> dict[str, Any]:
        """Lists as one tensor and their lengths: on the way between processes each is a file."""
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

    :param extra: what the model takes beside the image and its camera; what a sample lacks of it
        is unknown.
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
    given = frame.extra_inputs.get(extra.name, unknown)
    if (given.dtype, given.shape) != (unknown.dtype, unknown.shape):
        raise ConfigError(f'frame {frame.name!r}: {extra.name} is {given.dtype} {given.shape}, '
                          f'but the model takes {unknown.dtype} {unknown.shape}; give fitting '
                          'Frame.extra_inputs')
    return given


class Model(nn.Module):
    """
    A model: one file and one line in network.MODELS.

    Its ``forward`` takes image (B, H, W, 3) uint8 RGB, whose sides are multiples of size_multiple,
    intrinsics (B, 4) float32, fx, fy, cx, cy in px of this image, and the extra inputs by name. It
    returns whatever ``assemble`` and ``losses`` take: tensors, and lists, tuples, dicts of them.

    :param settings: stored in model directories, so that the network can be rebuilt.
    :param backbone_weights: state dict file to train from; random weights where None.
    """

    name: ClassVar[str]
    """In network.MODELS, recipes and model.json."""

    tasks: frozenset[Task] = TASKS
    extra_inputs: ClassVar[tuple[ExtraInput, ...]] = ()
    """What the network takes beside the image and its camera."""

    settings_type: ClassVar[type[Settings]]
    loss_type: ClassVar[type[Settings]]
    rules: AssemblyRules
    """Rules of ``assemble``; the class has its own, a recipe may change them."""

    settings: Any
    loss: Any
    """Settings of ``targets`` and ``losses``, an instance of loss_type."""

    class_parameters: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of parameters that hold a row for each class or thing class."""

    input_mean: ClassVar[tuple[float, float, float]] = (127.5, 127.5, 127.5)
    """What the network subtracts from R, G and B of 0..255, before it divides by input_std."""
    input_std: ClassVar[tuple[float, float, float]] = (127.5, 127.5, 127.5)

    size_multiple: ClassVar[int] = 64
    """Height and width of the input are multiples of it."""

    depth_of: ClassVar[Literal['pixels', 'segments']] = 'pixels'
    """What has a depth; see model_info.ModelInfo."""

    def __init__(self, settings: Settings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__()
        self.settings = settings or self.settings_type()
        self.loss = self.loss_type()

    def configure(self, rules: dict[str, Any], loss: dict[str, Any], source: str) -> None:
        """
        Take what a recipe sets, in place.

        :param rules: changes of ``rules``. :param loss: of ``loss``.
        :raises ConfigError: for an unknown or wrong value, naming the source.
        """
        self.rules = parse_settings(type(self.rules), {**self.rules.model_dump(), **rules},
                                    f'{source}: assembly')
        self.loss = parse_settings(self.loss_type, loss, f'{source}: loss')

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Table of the classes that it learns; empty for depth alone."""
        return getattr(self.settings, 'classes', ())

    @property
    def canonical_focal_px(self) -> float | None:
        """Focal length of the camera in which depth is predicted, if it is."""
        return getattr(self.settings, 'canonical_focal_px', None)

    @property
    def onnx_opset(self) -> int:
        """Least opset with all of its operators."""
        return 18

    def normalised(self, image: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float32, less input_mean, over input_std."""
        scale, shift = (torch.tensor(values, device=image.device)[:, None, None] for values in (
            [1.0 / std for std in self.input_std],
            [mean / std for mean, std in zip(self.input_mean, self.input_std, strict=True)]))
        # Cast first: some parsers take uint8 into a Cast only. Scaled last: by whole planes.
        return image.float().permute(0, 3, 1, 2) * scale - shift

    def deployed(self) -> Model:
        """Fold what only training needs into other weights, in place."""
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
        Return what makes batches to learn from, by ``loss``.

        It is pickled for the processes that load: it may hold settings, but no weights.
        """
        raise RuntimeError(f'{type(self).__name__} has no targets method')

    def prepare_losses(self, samples: Iterable[Sample]) -> None:
        """
        Look at the mix of data before the first iteration, for instance to balance classes.

        :param samples: some draws of it, made one by one as they are asked for.
        """

    def losses(self, output: Any, batch: Any, seeds: Sequence[int] | None = None,
               ) -> dict[str, Tensor]:
        """
        All losses, weighted; their sum is what to minimise.

        :param output: of ``forward``. :param batch: of ``targets``.
        :param seeds: one per image, of its random choices; None draws from the global generator.
        :returns: () float32 each, the same names for every batch.
        """
        raise RuntimeError(f'{type(self).__name__} has no losses method')

    @classmethod
    def read_published(cls, path: Path) -> Model:
        """
        Model of a checkpoint that the authors of its paper published.

        :raises ConfigError: when the file is none that this model reads.
        """
        raise ConfigError(f'{path}: model {cls.name!r} reads no checkpoints of others')


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
