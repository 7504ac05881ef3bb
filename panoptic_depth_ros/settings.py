# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The parameters of the node, as one settings class; no ROS needed.

Defaults, limits and descriptions of what the core knows are the core's. The name of a parameter is
the path to its field, such as depth.max_m. The table in doc/ros_interface.md is made from this.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Literal, NamedTuple

from panoptic_depth_core.config import (
    DepthSettings,
    DistanceSettings,
    InferenceSettings,
    Settings,
    Thresholds,
    TrackingSettings,
    parse_settings,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference.backends import (
    BACKENDS,
    WITHOUT_GPU,
    backend_options,
    parse_backend,
)
from panoptic_depth_core.inference.tracking import assignment_solver
from panoptic_depth_core.streaming.settings import (
    CameraInfoSettings,
    DiagnosticsSettings,
    StreamSettings,
)
from panoptic_depth_core.structures import ScaleSource
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticUndefined


def _of(model: type[BaseModel], name: str) -> Any:
    """Field of a settings class of the core."""
    return deepcopy(model.model_fields[name])


class ModelParameters(Settings):
    """Which network."""

    path: str = Field('', description='model directory; empty: the one that is shipped')


class EngineParameters(Settings):
    """For backends that build an engine."""

    cache_dir: str = Field('', description='where engines are kept; empty: '
                           '~/.cache/panoptic_depth/engines')
    build_policy: Literal['auto', 'never', 'only', 'force'] = Field(
        'auto', description='auto: build when there is none; never: fail then; only: build and '
        'end; force: build anew')
    workspace_mib: int = Field(0, ge=0, description='GPU memory that a layer may use beside its '
                               'inputs and outputs; 0: no limit')
    cuda_graph: bool = Field(True, description='replay the engine as one CUDA graph')


class OutputParameters(Settings):
    """How big."""

    size: Literal['input', 'network'] = _of(InferenceSettings, 'output_size')


class PublishParameters(Settings):
    """Which topics are published."""

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


class PointsParameters(Settings):
    """How dense."""

    stride: int = Field(2, ge=1, le=64, description='of rows and columns of ~/output/points')


class NodeSettings(Settings):
    """Every parameter of the node."""

    model_config = ConfigDict(protected_namespaces=())

    autostart: bool = Field(True, description='configure and activate without being told to, and '
                            'again after a failure')
    backend: str = Field('auto', description=f'runtime: auto (tensorrt where it can run, else '
                         f'{WITHOUT_GPU}), {", ".join(BACKENDS)}; with options as in '
                         'openvino:precision=bfloat16')
    model: ModelParameters = ModelParameters()
    device_id: int = Field(-1, ge=-1, description='GPU, for backends that use one; -1: the '
                           "backend's own choice")
    threads: int = Field(0, ge=0, description='of the backend on a CPU; 0: its own choice')
    engine: EngineParameters = EngineParameters()
    image_transport: Literal['raw', 'compressed'] = Field(
        'raw', description='raw: ~/input/image; compressed: ~/input/image/compressed')
    queue_policy: Literal['latest', 'fifo'] = _of(StreamSettings, 'queue_policy')
    max_input_age_ms: float = _of(StreamSettings, 'max_input_age_ms')
    max_rate_hz: float = _of(StreamSettings, 'max_rate_hz')
    watchdog_timeout_s: float = _of(StreamSettings, 'watchdog_timeout_s')
    camera_info: CameraInfoSettings = CameraInfoSettings()
    score_threshold: float = Field(-1.0, ge=-1, le=1, description='least score of a thing '
                                   'instance; below 0: what the model says')
    overlap_threshold: float = Field(-1.0, ge=-1, le=1, description='share of a thing that better '
                                     'ones may cover before it is dropped; below 0: what the '
                                     'model says')
    min_instance_pixels: int = _of(InferenceSettings, 'min_instance_pixels')
    max_instances: int = _of(InferenceSettings, 'max_instances')
    label_divisor: int = _of(InferenceSettings, 'label_divisor')
    depth: DepthSettings = DepthSettings()
    distance: DistanceSettings = DistanceSettings()
    tracking: TrackingSettings = TrackingSettings()
    target_frame: str = Field('', description='frame in which positions are given; empty: that '
                              'of the camera')
    tf_timeout_ms: float = Field(20.0, ge=0, le=10_000, description='how long a transform to '
                                 'target_frame is waited for')
    output: OutputParameters = OutputParameters()
    publish: PublishParameters = PublishParameters()
    publish_only_if_subscribed: bool = Field(
        True, description='work out only what somebody listens to; without any listener images '
        'are not even run')
    label_info_period_s: float = Field(5.0, ge=0.1, le=3600, description='how often the table of '
                                       'classes is sent again, for recordings that began late')
    points: PointsParameters = PointsParameters()
    diagnostics: DiagnosticsSettings = DiagnosticsSettings()

    def stream(self) -> StreamSettings:
        """Return the part for the queue and the watchdog."""
        return StreamSettings(**{name: getattr(self, name)
                                 for name in StreamSettings.model_fields})

    def inference(self) -> InferenceSettings:
        """Return the part for the pipeline."""
        set_here = {'score': self.score_threshold, 'overlap': self.overlap_threshold}
        return InferenceSettings(
            thresholds=Thresholds(**{k: v for k, v in set_here.items() if v >= 0}),
            min_instance_pixels=self.min_instance_pixels, max_instances=self.max_instances,
            label_divisor=self.label_divisor, output_size=self.output.size, depth=self.depth,
            distance=self.distance, tracking=self.tracking)

    def backend_options(self) -> dict[str, Any]:
        """
        Options of the backend that were set.

        :raises ConfigError: for an unknown backend, or an option that this one does not take.
        """
        backend, written = parse_backend(self.backend)
        known = backend_options(backend)
        wanted = [
            ('threads', 'threads', self.threads, 0),
            ('device_id', 'device_id', self.device_id, -1),
            *((f'engine.{name}', name, getattr(self.engine, name), field.default)
              for name, field in EngineParameters.model_fields.items())]
        options = {}
        for parameter, option, value, default in wanted:
            if value == default:
                continue
            if option not in known:
                raise ConfigError(f'{parameter} is {value!r}, but the backend '
                                  f'{backend} has no use for it; leave it out or choose another '
                                  'backend')
            if option in written:
                raise ConfigError(f'{parameter} is {value!r}, but the backend is given as '
                                  f'{self.backend!r}; say it once')
            options[option] = value
        return options

    @property
    def builds_engine(self) -> bool:
        """Whether the backend is one that builds an engine."""
        return 'build_policy' in backend_options(parse_backend(self.backend)[0])

    def scale_source(self, intrinsics_source: str) -> ScaleSource:
        """Where the metres come from, by where the camera is from (Frame.intrinsics_source)."""
        if self.depth.scale != 1.0:
            return ScaleSource.EXTERNAL
        known = intrinsics_source != 'default'
        return ScaleSource.METRIC_MODEL if known else ScaleSource.RELATIVE


FIXED = frozenset({
    'autostart', 'backend', 'model.path', 'device_id', 'threads', 'image_transport',
    'queue_policy', 'max_instances', 'label_divisor', 'output.size',
    *(f'engine.{name}' for name in EngineParameters.model_fields)})
"""Parameters that do not change while the node runs."""


class Parameter(NamedTuple):
    """One parameter: its name, its default and what it is."""

    name: str
    default: Any
    description: str
    kind: str
    fixed: bool


def parameters() -> Iterator[Parameter]:
    """Every parameter of the node, in order."""
    yield from _leaves(NodeSettings, '')


def _leaves(model: type[BaseModel], prefix: str) -> Iterator[Parameter]:
    for name, field in model.model_fields.items():
        full = prefix + name
        if isinstance(field.default, BaseModel):
            yield from _leaves(type(field.default), f'{full}.')
            continue
        assert field.default is not PydanticUndefined and field.description, full
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        yield Parameter(full, default, field.description, _kind(field, default), full in FIXED)


def _kind(field: Any, default: Any) -> str:
    """Type and limits of a field in words."""
    choices = getattr(field.annotation, '__args__', ())
    if isinstance(default, str) and choices:
        return ' | '.join(choices)
    kind = {bool: 'bool', int: 'integer', float: 'double', str: 'string', list: 'double array'}[
        type(default)]
    limits = [f'{sign} {value:g}' for name, sign in (('ge', '>='), ('gt', '>'), ('le', '<='),
                                                     ('lt', '<'))
              for limit in field.metadata if (value := getattr(limit, name, None)) is not None]
    return ' '.join([kind, *limits])


def settings_from(values: dict[str, Any]) -> NodeSettings:
    """
    Settings of parameter values.

    :param values: by the names of parameters(); what is missing has its default.
    :raises ConfigError: for a wrong value, named with the remedy.
    """
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, leaf = name.split('.')
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = value
    settings = parse_settings(NodeSettings, tree, 'parameters')
    settings.backend_options()
    if settings.tracking.enabled:
        assignment_solver()
    return settings
