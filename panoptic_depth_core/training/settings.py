# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A training recipe: config/training/*.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ..config import Settings, parse_settings
from ..network import model_type, settings_of
from ..network.description import ModelDescription
from .augmentation import AugmentSettings


class DataSettings(Settings):
    """One data set of the mix."""

    name: str
    root: str
    split: str = 'train'
    weight: float = Field(1.0, gt=0, description='share of the samples, relative to the others')
    scale: tuple[float, float] | None = Field(None, description='resize range in place of the '
                                              'general one')
    cache: str | None = Field(None, description='folder that keeps rendered samples')


class ValidationData(Settings):
    """One data set to measure on."""

    name: str
    root: str
    split: str = 'val'
    limit: int | None = Field(None, ge=1, description='frames, spread over the data set')


class ValidationSettings(Settings):
    """Figures of the averaged weights while they are trained."""

    data: tuple[ValidationData, ...] = Field(min_length=1)
    every: int = Field(1000, ge=1, description='iterations')
    model: ModelDescription = Field(ModelDescription(), description='size and thresholds, as in '
                                    'config/export')


class TrainSettings(Settings):
    """A recipe."""

    network: str = 'fast'
    network_settings: dict[str, Any] = {}
    backbone_weights: str | None = Field(None, description='state dict file of the backbone')
    initial_weights: str | None = Field(None, description='checkpoint to start the weights from: '
                                        'of this program, or a published PanopticDepth')
    initial_gaps: tuple[str, ...] = Field((), description='beginnings of the names of weights '
                                          'that initial_weights lacks, has too much, or has in '
                                          'another shape')
    freeze: tuple[str, ...] = Field((), description='beginnings of the names of parameters that '
                                    'are not learned, as in backbone.stages.0')
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
    optimizer: Literal['adamw', 'adam'] = Field('adamw', description='adam: weight decay as L2 '
                                                'in the gradient, as the published recipe')
    schedule: Literal['cosine', 'poly'] = Field('cosine', description='cosine: down to 1 %; '
                                                'poly: (1 - progress)^0.9')
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
        parse_settings(model_type(self.network).loss_type, self.loss, 'loss')
        return self

    @field_validator('accumulate')
    @classmethod
    def _divides(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get('batch_size', value) % value:
            raise ValueError(f'batch_size {info.data["batch_size"]} is no multiple of it')
        return value
