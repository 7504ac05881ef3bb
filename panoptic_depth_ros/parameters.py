# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The parameters of the node as one settings class; needs no ROS.

The name of a parameter is the path to its field, such as depth.max_m. After a change, run this
module with the path of doc/ros_interface.md, whose table of parameters is generated here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, NamedTuple

from panoptic_depth_core import config
from panoptic_depth_core.config import InferenceSettings, Settings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference import backends
from panoptic_depth_core.inference.tracking import assignment_solver
from panoptic_depth_core.io.generated_text import row, with_part
from panoptic_depth_core.io.sixteen_bits import SixteenBits
from panoptic_depth_core.io.sources.measured_depth import MAX_AGE_S
from panoptic_depth_core.io.sources.mounting import MountingSettings
from panoptic_depth_core.streaming.settings import (
    CameraInfoSettings,
    DiagnosticsSettings,
    StreamSettings,
)
from pydantic import BaseModel, ConfigDict, Field


def _of(model: type[BaseModel], name: str) -> Any:
    """Field of a settings class of the core."""
    return deepcopy(model.model_fields[name])


class ModelParameters(Settings):
    path: str = Field('', description='model directory; empty: the shipped model')


class EngineParameters(Settings):
    cache_dir: str = Field('', description='cache of engines; empty: '
                           '~/.cache/panoptic_depth/engines')
    build_policy: Literal['auto', 'never', 'only', 'force'] = Field(
        'auto', description='auto: build if there is none; never: fail if there is none; only: '
        'build and exit; force: always build')
    workspace_mib: int = Field(0, ge=0, description='GPU memory that a layer may use beside its '
                               'inputs and outputs; 0: no limit')
    cuda_graph: bool = Field(True, description='run the engine as one CUDA graph')


class OutputParameters(Settings):
    size: Literal['input', 'network'] = _of(InferenceSettings, 'output_size')
    rectified: bool = _of(InferenceSettings, 'rectified')


class PublishParameters(Settings):
    panoptic: bool = Field(True, description='~/output/panoptic')
    semantic: bool = Field(True, description='~/output/semantic')
    depth: bool = Field(True, description='~/output/depth')
    camera_info: bool = Field(True, description='~/output/camera_info')
    instances: bool = Field(True, description='~/output/instances')
    detections_3d: bool = Field(True, description='~/output/detections_3d')
    points: bool = Field(False, description='~/output/points')
    overlay: bool = Field(True, description='~/debug/overlay')
    depth_color: bool = Field(True, description='~/debug/depth_color')
    markers: bool = Field(True, description='~/debug/markers')


class MeasuredDepthParameters(config.MeasuredDepthSettings):
    topic: str = Field('', description='topic of measured points to blend with the depth of the '
                       'network: PointCloud2, or depth as Image or compressedDepth with its '
                       'camera_info beside it; empty: none')
    max_age_s: float = Field(MAX_AGE_S, ge=0, allow_inf_nan=False, description='farthest stamp of '
                             'measured points from that of the image')

    def blending(self) -> config.MeasuredDepthSettings:
        """Return the settings of the pipeline."""
        return config.MeasuredDepthSettings(**{
            name: getattr(self, name) for name in config.MeasuredDepthSettings.model_fields})


class PointsParameters(Settings):
    stride: int = Field(2, ge=1, le=64, description='step between rows and columns in '
                        '~/output/points')


class NodeSettings(Settings):
    """All parameters of the node."""

    model_config = ConfigDict(protected_namespaces=())

    autostart: bool = Field(True, description='configure and activate at startup, and again '
                            'after a failure')
    backend: str = Field('auto', description=f'runtime: auto (tensorrt if available, else '
                         f'{backends.WITHOUT_GPU}), {", ".join(backends.BACKENDS)}; with options '
                         'as in openvino:precision=bfloat16')
    model: ModelParameters = ModelParameters()
    device_id: int = Field(-1, ge=-1, description='GPU number; -1: the backend chooses')
    threads: int = Field(0, ge=0, description='CPU threads of the backend; 0: the backend chooses')
    engine: EngineParameters = EngineParameters()
    image_transport: Literal['raw', 'compressed'] = Field(
        'raw', description='raw: ~/input/image; compressed: ~/input/image/compressed')
    input_bits: int = Field(0, ge=0, le=16, description='bits that images of 16 bits use, such as '
                            '12; 0: those in use since the node became active')
    queue_policy: Literal['latest', 'fifo'] = _of(StreamSettings, 'queue_policy')
    max_input_age_ms: float = _of(StreamSettings, 'max_input_age_ms')
    max_rate_hz: float = _of(StreamSettings, 'max_rate_hz')
    watchdog_timeout_s: float = _of(StreamSettings, 'watchdog_timeout_s')
    camera_info: CameraInfoSettings = CameraInfoSettings()
    mounting: MountingSettings = MountingSettings()
    score_threshold: float = Field(-1.0, ge=-1, le=1, description='minimum score of a thing '
                                   'instance; below 0: the value of the model')
    overlap_threshold: float = Field(-1.0, ge=-1, le=1, description='share of a thing that may be '
                                     'covered by things of higher score before it is dropped; '
                                     'below 0: the value of the model')
    min_instance_pixels: int = _of(InferenceSettings, 'min_instance_pixels')
    max_instances: int = _of(InferenceSettings, 'max_instances')
    label_divisor: int = _of(InferenceSettings, 'label_divisor')
    depth: config.DepthSettings = config.DepthSettings()
    distance: config.DistanceSettings = config.DistanceSettings()
    tracking: config.TrackingSettings = config.TrackingSettings()
    ground: config.GroundSettings = config.GroundSettings()
    measured_depth: MeasuredDepthParameters = MeasuredDepthParameters()
    target_frame: str = Field('', description='frame of the positions; empty: that of the camera')
    tf_timeout_ms: float = Field(20.0, ge=0, le=10_000, description='how long to wait for a '
                                 'transform to target_frame, and from mounting.ground_frame')
    output: OutputParameters = OutputParameters()
    publish: PublishParameters = PublishParameters()
    publish_only_if_subscribed: bool = Field(
        True, description='compute only what has a subscriber; without any subscriber, images '
        'are not processed')
    label_info_period_s: float = Field(5.0, ge=0.1, le=3600, description='period at which the '
                                       'table of classes is sent again, for recordings that '
                                       'start late')
    points: PointsParameters = PointsParameters()
    diagnostics: DiagnosticsSettings = DiagnosticsSettings()

    def stream(self) -> StreamSettings:
        """Return the settings of queue and watchdog."""
        return StreamSettings.model_validate(self, from_attributes=True)

    def inference(self) -> InferenceSettings:
        """Return the settings of the pipeline."""
        given = {'score': self.score_threshold, 'overlap': self.overlap_threshold}
        thresholds = config.Thresholds(**{k: v for k, v in given.items() if v >= 0})
        return InferenceSettings.model_validate(self, from_attributes=True).model_copy(
            update={'thresholds': thresholds, 'output_size': self.output.size,
                    'rectified': self.output.rectified,
                    'measured_depth': self.measured_depth.blending()})

    def backend_options(self) -> dict[str, Any]:
        """
        Options of the backend that differ from their default.

        :raises ConfigError: the backend is unknown or does not have one of the options.
        """
        backend, written = backends.parse_backend(self.backend)
        known = backends.backend_options(backend)
        options = {}
        for parameter in ('threads', 'device_id',
                          *(f'engine.{name}' for name in EngineParameters.model_fields)):
            group, _, option = parameter.rpartition('.')
            owner: Settings = self.engine if group else self
            value = getattr(owner, option)
            if value == type(owner).model_fields[option].default:
                continue
            if option not in known:
                raise ConfigError(f'{parameter} is {value!r}, but the backend {backend} does not '
                                  'have it; leave it out or choose another backend')
            if option in written:
                raise ConfigError(f'{parameter} is {value!r}, but the backend is '
                                  f'{self.backend!r}; give it once')
            options[option] = value
        return options

    @property
    def builds_engine(self) -> bool:
        """Whether the backend builds an engine."""
        return 'build_policy' in backends.backend_options(self.backend.partition(':')[0])


FIXED = frozenset({
    'autostart', 'backend', 'model.path', 'device_id', 'threads', 'image_transport',
    'queue_policy', 'measured_depth.topic', 'max_instances', 'label_divisor', 'output.size',
    'output.rectified',
    *(f'engine.{name}' for name in EngineParameters.model_fields)})
"""Parameters that cannot be changed while the node runs."""


class Parameter(NamedTuple):
    """A parameter; its kind is type and limits in words, such as 'double > 0'."""

    name: str
    default: Any
    description: str
    kind: str
    fixed: bool


def parameters(model: type[BaseModel] = NodeSettings, prefix: str = '') -> Iterator[Parameter]:
    """All parameters of the node, in order."""
    for name, field in model.model_fields.items():
        full, default = prefix + name, field.default
        if isinstance(default, BaseModel):
            yield from parameters(type(default), f'{full}.')
            continue
        default = list(default) if isinstance(default, tuple) else default
        yield Parameter(full, default, field.description or '', _kind(field, default),
                        full in FIXED)


def _kind(field: Any, default: Any) -> str:
    """Type and limits of a field in words."""
    choices = getattr(field.annotation, '__args__', ())
    if isinstance(default, str) and choices:
        return ' | '.join(choices)
    kind = {bool: 'bool', int: 'integer', float: 'double', str: 'string', list: 'double array'}[
        type(default)]
    limits = [f'{sign} {getattr(limit, name):g}'
              for name, sign in (('ge', '>='), ('gt', '>'), ('le', '<='))
              for limit in field.metadata if hasattr(limit, name)]
    return ' '.join([kind, *limits])


def settings_from(values: dict[str, Any]) -> NodeSettings:
    """
    Settings from values by parameter name; missing ones have their default.

    :raises ConfigError: a value is wrong.
    """
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, leaf = name.split('.')
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = value
    settings = config.parse_settings(NodeSettings, tree, 'parameters')
    settings.backend_options()
    SixteenBits(settings.input_bits)
    if settings.tracking.enabled:
        assignment_solver()
    return settings


def parameter_table() -> str:
    """Markdown table of all parameters."""
    rows = [('parameter', 'type', 'default', 'changes', 'meaning'), ('---',) * 5]
    rows += [(f'`{p.name}`', p.kind, f'`{json.dumps(p.default)}`',
              'fixed' if p.fixed else 'dynamic', p.description) for p in parameters()]
    return '\n'.join(row(*cells) for cells in rows)


def with_table(document: str) -> str:
    """Put the table into the text of a document, between its markers."""
    return with_part(document, 'parameters', parameter_table())


if __name__ == '__main__':
    if len(sys.argv) == 1:
        print(parameter_table())
    for path in map(Path, sys.argv[1:]):
        path.write_text(with_table(path.read_text(encoding='utf-8')), encoding='utf-8')
