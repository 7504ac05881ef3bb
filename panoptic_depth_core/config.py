# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Settings of the inference, with their defaults and limits; unknown keys are errors.

ROS parameters, command line options and tables in the documentation are derived from these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

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
from .untrusted import parse_yaml, read_text, reading

AnySettings = TypeVar('AnySettings', bound='Settings')


class Settings(BaseModel):
    """Base class of all settings: immutable, unknown keys are refused."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class Thresholds(Settings):
    """Thresholds that are inputs of the graph; see contract.THRESHOLDS."""

    score: float = Field(0.3, ge=0, le=1, description='minimum score of a thing instance')
    overlap: float = Field(0.5, ge=0, le=1, description='share of a thing that may be covered by '
                           'things of higher score before it is dropped')
    stuff_area: float = Field(0.001, ge=0, le=1, description='minimum share of the image of a '
                              'stuff region')
    void: float = Field(0.3, ge=0, le=1, description='pixels of lower confidence are void')

    def as_vector(self) -> Any:
        """(T,) float32 in the order of contract.THRESHOLDS."""
        import numpy as np
        return np.array([getattr(self, name) for name in THRESHOLDS], np.float32)


class DepthSettings(Settings):
    """Which depths are reported, and how those out of range are marked (REP 117)."""

    min_m: float = Field(0.1, ge=0, description='nearer is -Inf: too near to measure')
    max_m: float = Field(120.0, gt=0, description='farther is far_value')
    far_value: Literal['inf', 'nan'] = Field('inf', description='mark of depths beyond max_m')
    sky_is_far: bool = Field(True, description='true: sky is far_value; false: NaN')
    scale: float = Field(1.0, gt=0, allow_inf_nan=False, description='factor on every depth, '
                         'for a camera whose scale was measured')

    @field_validator('max_m')
    @classmethod
    def _beyond_min_m(cls, max_m: float, info: ValidationInfo) -> float:
        if max_m <= info.data.get('min_m', 0.0):
            raise ValueError(f'must be greater than min_m, {info.data["min_m"]:g}')
        return max_m


class DistanceSettings(Settings):
    """How the distance of an instance is computed from its depths."""

    near_percentile: float = Field(5.0, ge=0, le=50, description='percentile of the distances '
                                   'that is reported as the near distance')
    erode_px: int = Field(1, ge=0, le=16, description='pixels eroded from the border of an '
                          'instance, where depths of two surfaces mix')
    min_valid_ratio: float = Field(0.2, ge=0, le=1, description='minimum share of pixels with a '
                                   'depth; below it the distance is flagged')
    include_stuff: bool = Field(False, description='also compute distances of stuff regions')


class TrackingSettings(Settings):
    """
    How instances are matched with those of the frames before.

    The similarity of two is the weighted mean of three cues, each 0..1; see
    inference/tracking.py.
    """

    enabled: bool = Field(False, description='give instances ids that persist over frames')
    max_gap_s: float = Field(1.0, gt=0, allow_inf_nan=False, description='a thing that is not '
                             'seen for longer gets a new id')
    mask_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description='weight of the IoU '
                               'of masks')
    position_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description='weight of the '
                                   'distance of positions, relative to their covariance and the '
                                   'expected motion')
    box_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description='weight of the IoU of '
                              'boxes, made twice as wide and high')
    motion_mps: float = Field(10.0, ge=0, allow_inf_nan=False, description='expected speed of '
                              'things relative to the camera, one standard deviation')
    min_similarity: float = Field(0.1, gt=0, le=1, description='less similar instances are not '
                                  'matched')

    @model_validator(mode='after')
    def _has_a_cue(self) -> TrackingSettings:
        if self.mask_weight + self.position_weight + self.box_weight == 0:
            raise ValueError('all weights are 0; give mask_weight, position_weight or box_weight '
                             'a value above 0')
        return self


class GroundSettings(Settings):
    """How depth is scaled by the ground, where the mounting of the camera is known."""

    anchor: bool = Field(True, description='tie the depth to the ground')
    height_error: float = Field(0.02, gt=0, lt=1, description='standard deviation of the height '
                                'of the camera, as a share of it')
    pitch_error_deg: float = Field(0.5, gt=0, le=10, description='standard deviation of the '
                                   'pitch, with the motion of the vehicle')
    smoothing_s: float = Field(1.0, ge=0, allow_inf_nan=False, description='time over which the '
                               'correction is smoothed in a video; 0: each frame by itself')
    check_s: float = Field(2.0, ge=0, allow_inf_nan=False, description='how often a model that '
                           'takes the mounting is also asked without it, in a video: only so it '
                           'shows whether the mounting is right; 0: for every frame')


class MeasuredDepthSettings(Settings):
    """How measured points are blended with the depth of the network."""

    max_m: float = Field(120.0, gt=0, allow_inf_nan=False, description='farther points are left '
                         'out')
    stddev_share: float = Field(0.03, gt=0, le=1, description='standard deviation of a point, as '
                                'a share of its depth')
    reject_mads: float = Field(5.0, ge=1, description='points that are so many standard '
                               'deviations (by the MAD) off from what their neighbors say are '
                               'left out; less rejects more')
    min_points: int = Field(5, ge=1, description='accepted points with which an instance counts '
                            'as measured')
    exact: bool = Field(False, description='the depth of a pixel with an accepted point is that '
                        'of the point, with its noise')


class InferenceSettings(Settings):
    """Settings of everything between a frame and its result."""

    fit: Literal['letterbox', 'crop'] = Field('letterbox', description='letterbox: the whole '
                                              'image, padded; crop: fills the network input, '
                                              'what is cut off has no result')
    thresholds: Thresholds = Thresholds()
    min_instance_pixels: int = Field(20, ge=0, description='instances of fewer pixels of the '
                                     'output become void')
    max_instances: int = Field(255, ge=1, le=255, description='maximum number of instances per '
                               'image; those of lowest score become void')
    label_divisor: int = Field(LABEL_DIVISOR, ge=2, le=3000, description='panoptic id = class id '
                               '* divisor + instance id')
    output_size: Literal['input', 'network'] = Field('input', description='input: results have '
                                                     'the size of the image; network: that of '
                                                     'the maps of the graph, which is faster')
    rectified: bool = Field(False, description='for a lens with distortion; true: results of '
                            'output_size input are those of a pinhole camera of the same size; '
                            'false: of the pixels of the image')
    depth: DepthSettings = DepthSettings()
    distance: DistanceSettings = DistanceSettings()
    tracking: TrackingSettings = TrackingSettings()
    ground: GroundSettings = GroundSettings()
    measured_depth: MeasuredDepthSettings = MeasuredDepthSettings()


def parse_settings(kind: type[AnySettings], values: dict[str, Any], source: str) -> AnySettings:
    """
    Check values against a settings class.

    :param source: origin of the values, for the message.
    :raises ConfigError: for the first wrong value.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        inner = first.get('ctx', {}).get('error')
        if isinstance(inner, ConfigError) and not first['loc']:
            # Raised by a validator that parses nested settings: it names key and value already.
            raise ConfigError(f'{source}: {inner}') from None
        key = '.'.join(str(part) for part in first['loc']) or '(top level)'
        if first['type'] == 'extra_forbidden':
            raise ConfigError(
                f'{source}: unknown key {key!r}; {_known(kind, first["loc"][:-1])}') from None
        shown = '' if first['type'] == 'missing' else f' is {first["input"]!r:.200}'
        raise ConfigError(f'{source}: {key}{shown}: {first["msg"]}') from None


def read_yaml(path: Path | str) -> Any:
    """Read a YAML file, or raise a ConfigError."""
    with reading(path, 'valid YAML', 'mend the file'):
        text = read_text(path)
    return parse_yaml(text, path)


def load_settings(kind: type[AnySettings], path: Path | str) -> AnySettings:
    """Read a YAML file into a settings class; an empty file gives the defaults."""
    values = read_yaml(path)
    if not isinstance(values, (dict, type(None))):
        raise ConfigError(f'{path}: holds a {type(values).__name__}; '
                          'give a mapping of keys to values')
    return parse_settings(kind, values or {}, str(path))


def _known(kind: type[Settings], path: tuple[int | str, ...]) -> str:
    """List the known keys of a settings class, or of one nested in it."""
    for part in path:
        field = kind.model_fields.get(str(part))
        inner = field and field.annotation
        if not (isinstance(inner, type) and issubclass(inner, Settings)):
            return 'see the documentation for the known keys'
        kind = inner
    return 'known keys: ' + ', '.join(sorted(kind.model_fields))


def set_value(values: dict[str, Any], change: str) -> None:
    """
    Set one value of nested settings, in place.

    :param change: KEY=VALUE of an option --set, as in 'data.0.weight=2'; the value is YAML.
    """
    key, has_value, text = change.partition('=')
    parts: list[Any] = key.strip().split('.')
    if not has_value or not all(parts):
        raise ConfigError(f'--set {change!r}: give KEY=VALUE, as in batch_size=32 or '
                          'validation.every=200')
    try:
        value = parse_yaml(text, key)
    except ConfigError:
        raise ConfigError(f'--set {change!r}: {text!r} is not valid YAML') from None
    place: Any = values
    for number, part in enumerate(parts):
        if isinstance(place, list):
            if not part.isdecimal() or int(part) >= len(place):
                raise ConfigError(f'--set {change!r}: {part!r} is none of the rows 0 to '
                                  f'{len(place) - 1}')
            part = int(part)
        elif not isinstance(place, dict):
            raise ConfigError(f'--set {change!r}: there is no {part!r} below {place!r}')
        elif number + 1 < len(parts) and place.get(part) is None:
            place[part] = {}
        if number + 1 == len(parts):
            place[part] = value
        place = place[part]
