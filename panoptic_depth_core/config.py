# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Settings: typed, with their defaults and limits in this one place; unknown keys are errors.

ROS parameters, command line options and tables in the documentation are derived from these.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

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
    scale: float = Field(1.0, gt=0, allow_inf_nan=False, description='factor on every depth, '
                         'for a camera whose scale was measured')

    @field_validator('max_m')
    @classmethod
    def _beyond_min_m(cls, max_m: float, info: ValidationInfo) -> float:
        if max_m <= info.data.get('min_m', 0.0):
            raise ValueError(f'must be greater than min_m, {info.data["min_m"]:g}')
        return max_m


class DistanceSettings(Settings):
    """How one distance is taken from the depths of one instance."""

    near_percentile: float = Field(5.0, ge=0, le=50, description='percentile of the distances '
                                   'that is reported as the near distance')
    erode_px: int = Field(1, ge=0, le=16, description='pixels taken off the border of an '
                          'instance, where depths of two surfaces mix')
    min_valid_ratio: float = Field(0.2, ge=0, le=1, description='least share of pixels with a '
                                   'depth; below it the distance is flagged')
    include_stuff: bool = Field(False, description='also give stuff regions a distance')


class TrackingSettings(Settings):
    """
    When an instance of one frame is the same thing as one of the frames before.

    The similarity of two is the mean of three cues, each 0..1, by their weights; see
    inference/tracking.py.
    """

    enabled: bool = Field(False, description='give instances ids that last over frames')
    max_gap_s: float = Field(1.0, gt=0, allow_inf_nan=False, description='a thing that is not '
                             'seen for longer gets a new id')
    mask_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description='weight of the overlap '
                               'of masks')
    position_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description='weight of how '
                                   'near positions are, in their spread and the motion to expect')
    box_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description='weight of the overlap '
                              'of boxes, made twice as wide and high')
    motion_mps: float = Field(10.0, ge=0, allow_inf_nan=False, description='speed at which things '
                              'commonly move past the camera, one standard deviation')
    min_similarity: float = Field(0.1, gt=0, le=1, description='less similar instances are not '
                                  'the same thing')

    @model_validator(mode='after')
    def _has_a_cue(self) -> TrackingSettings:
        if self.mask_weight + self.position_weight + self.box_weight == 0:
            raise ValueError('all weights are 0; give mask_weight, position_weight or box_weight '
                             'a value above 0')
        return self


class InferenceSettings(Settings):
    """Everything between a frame and its result."""

    fit: Literal['letterbox', 'crop'] = Field('letterbox', description='letterbox: the whole '
                                              'image, padded; crop: fills the network input, '
                                              'what is cut off has no result')
    thresholds: Thresholds = Thresholds()
    min_instance_pixels: int = Field(20, ge=0, description='instances of fewer pixels of the '
                                     'output become void')
    max_instances: int = Field(255, ge=1, le=255, description='most instances in one image; '
                               'those of least score become void')
    label_divisor: int = Field(LABEL_DIVISOR, ge=2, le=3000, description='panoptic id = class id '
                               '* divisor + instance id')
    output_size: Literal['input', 'network'] = Field('input', description='input: results have '
                                                     'the size of the image; network: that of '
                                                     'the maps of the graph, which is faster')
    depth: DepthSettings = DepthSettings()
    distance: DistanceSettings = DistanceSettings()
    tracking: TrackingSettings = TrackingSettings()


class StreamSettings(Settings):
    """How frames that come in by themselves are queued and watched over."""

    queue_policy: Literal['latest', 'fifo'] = Field('latest', description='latest: the newest '
                                                    'frame wins; fifo: up to 10 frames wait')
    max_input_age_ms: float = Field(0.0, ge=0, description='frames that are older when their turn '
                                    'comes are dropped; 0: none is')
    max_rate_hz: float = Field(0.0, ge=0, description='most frames per second that are worked on; '
                               '0: as many as there are')
    watchdog_timeout_s: float = Field(10.0, gt=0, description='an inference that takes longer is '
                                      'given up, and the runtime is loaded anew')

    @property
    def capacity(self) -> int:
        """Frames that may wait."""
        return 1 if self.queue_policy == 'latest' else 10


class CameraInfoSettings(Settings):
    """Where the camera of an image is taken from."""

    policy: Literal['require', 'fallback', 'ignore'] = Field(
        'require', description='require: images without a camera_info are skipped; fallback: '
        'they get fallback_k; ignore: all get fallback_k')
    fallback_k: tuple[float, ...] = Field(
        (), description='K of the camera as in CameraInfo, 9 numbers row by row, in px of the '
        'image; empty: a field of view of 70 degrees is assumed, and distances are relative')
    max_age_s: float = Field(0.0, ge=0, description='a camera_info whose stamp is farther from '
                             'that of the image counts as missing; 0: any will do')

    @field_validator('fallback_k')
    @classmethod
    def _is_k(cls, k: tuple[float, ...]) -> tuple[float, ...]:
        if k and not (len(k) == 9 and all(map(math.isfinite, k)) and k[0] > 0 and k[4] > 0):
            raise ValueError('give 9 finite numbers, row by row: fx 0 cx 0 fy cy 0 0 1, with '
                             'fx and fy > 0, or none')
        return k


class DiagnosticsSettings(Settings):
    """When the diagnostics warn."""

    period_s: float = Field(1.0, ge=0.1, le=3600, description='between two reports, as for '
                            '~/output/status')
    input_timeout_s: float = Field(2.0, gt=0, description='without an image for so long, the '
                                   'state is STALLED')
    max_latency_ms: float = Field(0.0, ge=0, description='warn when the 95th percentile from '
                                  'stamp to sending is above; 0: never')
    min_output_rate_hz: float = Field(0.0, ge=0, description='warn when fewer results per second '
                                      'are sent; 0: never')


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
        inner = first.get('ctx', {}).get('error')
        if isinstance(inner, ConfigError) and not first['loc']:
            # Of settings within, whose kind these choose: it says already what is wrong with what.
            raise ConfigError(f'{source}: {inner}') from None
        key = '.'.join(str(part) for part in first['loc']) or '(top level)'
        if first['type'] == 'extra_forbidden':
            raise ConfigError(
                f'{source}: unknown key {key!r}; {_known(kind, first["loc"][:-1])}') from None
        shown = '' if first['type'] == 'missing' else f' is {first["input"]!r:.200}'
        raise ConfigError(f'{source}: {key}{shown}: {first["msg"]}') from None


def read_yaml(path: Path | str) -> Any:
    """
    Read a YAML file.

    :raises ConfigError: when it cannot be read.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = str(error).replace('\n', ' ')
        raise ConfigError(f'{path}: not valid YAML: {text}') from None


def load_settings(kind: type[Model], path: Path | str) -> Model:
    """
    Read a YAML file into a settings class.

    :raises ConfigError: when it cannot be read, is no mapping, or a value is wrong.
    """
    values = read_yaml(path)
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
