# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A training recipe (config/training/*.yaml): its keys, and where it is read from.

That is a YAML file or a pack, with changes from the command line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ..class_tables import ClassTable, read_class_rows
from ..config import Settings, load_settings, parse_settings, set_value
from ..datasets.storage import PACKED_NAME, is_pack, read_index
from ..errors import ConfigError
from ..labels import CLASS_TABLES
from ..model_info import Positive
from ..network import model_type, settings_of
from ..network.base import ModelDescription
from ..untrusted import reading
from .augmentation import AugmentSettings
from .pasting import PasteSettings

_FovDeg = Annotated[float, Field(ge=1, le=175)]


class DataSettings(Settings):
    """One data set of the mix."""

    name: str
    root: str
    split: str = 'train'
    weight: float = Field(1.0, gt=0, description='share of the samples, relative to the others')
    scale: tuple[float, float] | None = Field(None, description='resize range in place of the '
                                              'general one')
    cache: str | None = Field(None, description='folder that keeps rendered samples')
    mounting: Literal['data', 'road'] = Field(
        'data', description='of the camera. data: as the data set knows it; road: of each frame, '
        'from its depth and its labels of the road')
    enlarge: tuple[Positive, Positive] | None = Field(
        None, description='range of a factor on all meters of half of the frames of known '
        'mounting, also on the height of the camera; the network is then told it')
    pseudo_labels: str | None = Field(None, description='folder of panoptic-depth pseudo-label: '
                                      'labels where the data set has none')
    fov_deg: tuple[_FovDeg, _FovDeg] | None = Field(
        None, description='range of the horizontal field of view that is drawn for each frame '
        'whose camera is not known, which then has no depth')
    paste: PasteSettings | None = Field(None, description='things of another row in its frames')

    @field_validator('scale', 'enlarge', 'fov_deg')
    @classmethod
    def _rises(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError('the first number is greater than the second; swap them')
        return value

    @model_validator(mode='after')
    def _keeps_no_pseudo_labels(self) -> DataSettings:
        if self.cache and self.pseudo_labels:
            raise ConfigError(f'data set {self.name}: cache is {self.cache}, which would keep '
                              'pseudo_labels that change; leave one of them out')
        return self


class ValidationData(Settings):
    """One data set to measure on."""

    name: str
    root: str
    split: str = 'val'
    limit: int | None = Field(None, ge=1, description='frames, spread over the data set')


class ValidationSettings(Settings):
    """Metrics of the averaged weights while they are trained."""

    data: tuple[ValidationData, ...] = Field(min_length=1)
    every: int = Field(1000, ge=1, description='iterations')
    model: ModelDescription = Field(ModelDescription(), description='size and thresholds, as in '
                                    'config/export')


class PhaseSettings(Settings):
    """One of several phases that take turns."""

    iterations: int = Field(100, ge=1, description='of one turn')
    freeze: tuple[str, ...] = Field((), description='beginnings of the names of parameters that '
                                    'rest')
    losses: tuple[str, ...] = Field((), description='that count; empty: all')


class TrainSettings(Settings):
    """A recipe."""

    network: str = 'fast'
    network_settings: dict[str, Any] = {}
    backbone_weights: str | None = Field(None, description='state dict file of the backbone')
    initial_weights: str | None = Field(None, description='checkpoint to start the weights from: '
                                        'of this program, or a published PanopticDepth; a model '
                                        'directory; or default, fast-open')
    initial_gaps: tuple[str, ...] = Field((), description='beginnings of the names of weights '
                                          'that initial_weights lacks, has too much, or has in '
                                          'another shape')
    freeze: tuple[str, ...] = Field((), description='beginnings of the names of parameters that '
                                    'are not learned, as in backbone.stages.0')
    phases: tuple[PhaseSettings, ...] = Field((), description='take turns, for instance to learn '
                                              'two tasks by turns; empty: everything learns')
    phases_after: float = Field(0.0, ge=0, le=1, description='share of the run before the first '
                                'turn, in which everything learns')
    assembly: dict[str, Any] = Field({}, description='rules of the panoptic assembly that are '
                                     'other than those of the network')
    data: tuple[DataSettings, ...]
    augment: AugmentSettings = AugmentSettings()
    crop_sizes: tuple[tuple[int, int], ...] = Field((), description='height and width; each batch '
                                                    'draws one. Empty: the one of augment')
    loss: dict[str, Any] = Field({}, description='losses and targets that are other than those '
                                 'of the network')
    batch_size: int = Field(8, ge=1, description='samples of one iteration, of all processes '
                            'together')
    accumulate: int = Field(1, ge=1, description='parts that a batch is worked through in, for '
                            'less memory; each is the mean over its own labels')
    iterations: int = Field(20000, ge=1)
    minutes: float | None = Field(None, gt=0, description='end after this time: the schedule '
                                  'follows the clock where it is ahead of the iterations')
    learning_rate: float = Field(1e-3, gt=0)
    backbone_factor: float = Field(0.3, ge=0, description='learning rate of the backbone, '
                                   'relative')
    weight_decay: float = Field(0.01, ge=0)
    backbone_weight_decay: float | None = Field(None, ge=0, description='of the backbone; none: '
                                                'the same')
    epsilon: float = Field(1e-8, gt=0, description="Adam's")
    optimizer: Literal['adamw', 'adam'] = Field('adamw', description='adam: weight decay as L2 '
                                                'in the gradient, as the published recipe')
    schedule: Literal['cosine', 'poly'] = Field('cosine', description='half a cosine, or '
                                                '(1 - progress)^poly_power')
    poly_power: float = Field(0.9, gt=0)
    end_factor: float | None = Field(None, ge=0, le=1, description='learning rate at the end, '
                                     'relative; none: 0.01 of cosine, 0 of poly')
    hold: float = Field(0.0, ge=0, lt=1, description='share of the run at its end that keeps '
                        'this rate')
    warmup: int = Field(200, ge=0, description='iterations of linear warm-up')
    warmup_factor: float = Field(0.0, ge=0, le=1, description='where the warm-up starts')
    clip: float = Field(5.0, gt=0, description='largest gradient norm')
    average: float = Field(0.999, ge=0, lt=1, description='decay of the averaged weights')
    precision: Literal['32-true', 'bf16-mixed', '16-mixed'] = Field(
        'bf16-mixed', description='as in Lightning Fabric')
    accelerator: str = 'auto'
    workers: int = Field(1, ge=0, description='that load data, for each process')
    validation: ValidationSettings | None = None
    tensorboard: bool = Field(True, description='scalars and pictures in RUN/tensorboard')
    save_every: int = Field(250, ge=1, description='iterations')
    log_every: int = Field(20, ge=1, description='iterations')
    seed: int = 1

    @model_validator(mode='after')
    def _fits_network(self) -> TrainSettings:
        """Find a wrong name or loss now, not when the data is open."""
        settings_of(self.network, self.network_settings)
        model = model_type(self.network)
        parse_settings(model.loss_type, self.loss, 'loss')
        for number, data in enumerate(self.data):
            if data.paste is not None and (
                    data.paste.row >= len(self.data) or data.paste.row == number):
                raise ConfigError(f'data.{number}.paste.row is {data.paste.row}, but data has '
                                  f'{len(self.data)} rows, from 0, and this is row {number}; give '
                                  'the number of another one')
        side = model.size_multiple
        for height, width in self.crop_sizes or ((self.augment.height, self.augment.width),):
            if height % side or width % side or not height * width:
                raise ConfigError(f'the crop is {width}x{height}; network {self.network} takes '
                                  f'multiples of {side} px')
        return self

    @field_validator('accumulate')
    @classmethod
    def _divides(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get('batch_size', value) % value:
            raise ValueError(f'batch_size {info.data["batch_size"]} is no multiple of it')
        return value


def begins(name: str, prefix: str) -> bool:
    """Whether a dotted name is a prefix or below it."""
    return f'{name}.'.startswith(f'{prefix.rstrip(".")}.')


def expand(path: str) -> str:
    """
    Fill in environment variables, so that a recipe names no folder of one machine.

    :raises ConfigError: when a variable is not set.
    """
    expanded = os.path.expandvars(path)
    if '$' in expanded:
        raise ConfigError(f'{path}: holds an environment variable that is not set; set it, or '
                          'write the path')
    return expanded


class RecipeFile(TrainSettings):
    """A recipe as its author writes it: the classes may be in a file of their own."""

    classes: ClassTable | None = Field(None, description='that are learned: a YAML file of them, '
                                       'relative to the recipe; a name in labels.CLASS_TABLES; or '
                                       'their rows. Becomes network_settings.class_table')


def load_recipe(path: Path, changes: Sequence[str] = ()) -> TrainSettings:
    """
    Read the recipe in a YAML file or in a pack; a file of classes is read, and becomes part of it.

    :param changes: KEY=VALUE, as in 'batch_size=32', 'validation.every=200', 'data.0.weight=2';
        values are YAML.
    :raises ConfigError: when it cannot be read, or a key or a value is wrong.
    """
    settings = packed_recipe(path) if is_pack(path) else load_settings(RecipeFile, path)
    source = ' --set '.join([f'{path} with', *changes]) if changes else str(path)
    values = settings.model_dump(mode='json', exclude_unset=True)
    for change in changes:
        set_value(values, change)
    written = parse_settings(RecipeFile, values, source)
    values = written.model_dump(mode='json', exclude_unset=True, exclude={'classes'})
    if written.classes is not None:
        if 'class_table' in written.network_settings:
            raise ConfigError(f'{source}: classes and network_settings.class_table both say which '
                              'classes are learned; leave one of them out')
        table = written.classes
        if isinstance(table, str) and table not in CLASS_TABLES:
            table = read_class_rows(path.parent / expand(table))
        values.setdefault('network_settings', {})['class_table'] = (
            table if isinstance(table, str) else [row.model_dump(mode='json') for row in table])
    return parse_settings(TrainSettings, values, source)


def packed_recipe(path: Path) -> TrainSettings:
    """
    Read the recipe of a pack; its data and weights are those of the file.

    :raises ConfigError: when it is no sound pack, or its recipe reads other files.
    """
    index = read_index(path)
    values = dict(index.recipe)
    with reading(path, 'a pack', 'make one with panoptic-depth pack'):
        data = [*values.get('data', ()), *(values.get('validation') or {}).get('data', ())]
        # A pack comes from elsewhere: it has no say in what is read or written on this machine.
        if {'initial_weights', 'backbone_weights'} & set(values) or any(
                row.get('name') != PACKED_NAME or row.get('cache') or row.get('pseudo_labels')
                for row in data):
            raise ConfigError(f'{path}: its recipe names files that are not in it; make a pack '
                              'with panoptic-depth pack')
        for row in data:
            row['root'] = str(path)
    if index.weights is not None:
        values['initial_weights'] = str(path)
    return parse_settings(TrainSettings, values, f'{path}: recipe')
