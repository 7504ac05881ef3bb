# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Settings: typed, with their defaults and limits in this one place; unknown keys are errors.

ROS parameters, command line options and tables in the documentation are derived from these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .contract import THRESHOLDS
from .errors import ConfigError
from .labels import LABEL_DIVISOR

Model = TypeVar('Model', bound='Settings')


class Settings(BaseModel):
    """Base of all settings: immutable, unknown keys refused."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class Thresholds(Settings):
    """Thresholds that are inputs of the graph; see contract.THRESHOLDS."""

    score: float = Field(0.3, ge=0, le=1, description='least score of a thing instance')
    overlap: float = Field(0.5, ge=0, le=1, description='share of a thing that better ones may '
                           'cover before it is dropped')
    stuff_area: float = Field(0.001, ge=0, le=1, description='least share of the image for a '
                              'stuff region')
    void: float = Field(0.3, ge=0, le=1, description='least confidence of a pixel; below it is '
                        'void')

    def as_vector(self) -> Any:
        """(T,) float32 in the order of contract.THRESHOLDS."""
        import numpy as np
        return np.array([getattr(self, name) for name in THRESHOLDS], np.float32)


class DepthSettings(Settings):
    """Which depths are reported, and how those outside of the range are marked (REP-117)."""

    min_m: float = Field(0.1, ge=0, description='nearer is -Inf: too near to measure')
    max_m: float = Field(120.0, gt=0, description='farther is far_value')
    far_value: Literal['inf', 'nan'] = Field('inf', description='mark of depths beyond max_m')
    sky_is_far: bool = Field(True, description='sky is far_value; otherwise NaN')
    scale: float = Field(1.0, gt=0, description='factor on every depth, for a camera whose '
                         'scale was measured')


class DistanceSettings(Settings):
    """How one distance is taken from the depths of one instance."""

    near_percentile: float = Field(5.0, ge=0, le=50, description='percentile of the distances '
                                   'that is reported as the near distance')
    erode_px: int = Field(1, ge=0, le=16, description='pixels taken off the border of an '
                          'instance, where depths of two surfaces mix')
    min_valid_ratio: float = Field(0.2, ge=0, le=1, description='least share of pixels with a '
                                   'depth; below it the distance is flagged')
    include_stuff: bool = Field(False, description='also give stuff regions a distance')


class InferenceSettings(Settings):
    """Everything between a frame and its result."""

    fit: Literal['letterbox', 'crop'] = Field('letterbox', description='letterbox: the whole '
                                              'image, padded; crop: fills the network input, '
                                              'what is cut off has no result')
    thresholds: Thresholds = Thresholds()
    min_instance_pixels: int = Field(20, ge=0, description='smaller instances become void')
    label_divisor: int = Field(LABEL_DIVISOR, ge=2, le=3000, description='panoptic id = class id '
                               '* divisor + instance id')
    depth: DepthSettings = DepthSettings()
    distance: DistanceSettings = DistanceSettings()


def parse_settings(kind: type[Model], values: dict[str, Any], source: str) -> Model:
    """
    Check values against a settings class.

    :param source: where the values came from, for the message.
    :raises ConfigError: for the first wrong value, named with the remedy.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = '.'.join(str(part) for part in first['loc']) or '(top level)'
        if first['type'] == 'extra_forbidden':
            raise ConfigError(
                f'{source}: unknown key {key!r}; {_known(kind, first["loc"][:-1])}') from None
        shown = '' if first['type'] == 'missing' else f' is {first["input"]!r}'
        raise ConfigError(f'{source}: {key}{shown}: {first["msg"]}') from None


def load_settings(kind: type[Model], path: Path | str) -> Model:
    """
    Read a YAML file into a settings class.

    :raises ConfigError: when it cannot be read, is no mapping, or a value is wrong.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = str(error).replace('\n', ' ')
        raise ConfigError(f'{path}: not valid YAML: {text}') from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f'{path}: holds a {type(values).__name__}; '
                          'give a mapping of keys to values')
    return parse_settings(kind, values, str(path))


def _known(kind: type[Settings], path: tuple[int | str, ...]) -> str:
    """Name the keys that a (nested) settings class takes."""
    fields = kind.model_fields
    for part in path:
        inner = fields[str(part)].annotation if str(part) in fields else None
        if not (isinstance(inner, type) and issubclass(inner, Settings)):
            return 'see the documentation for the known keys'
        fields = inner.model_fields
    return 'known keys: ' + ', '.join(sorted(fields))
