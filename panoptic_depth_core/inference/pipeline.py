# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
From a frame to its result: Pipeline.__call__ runs the steps in order.

Segments and distances are computed at the resolution of the graph's maps, where each depth
belongs to the ray of its own pixel centre: as exact as at image size, in a fraction of the time.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import InferenceSettings, Thresholds
from ..contract import MOUNTING, NO_SEGMENT, Arrays, GraphOutput
from ..errors import ConfigError
from ..labels import VOID_ID
from ..model_directory import ModelDirectory, open_model
from ..status import Watch
from ..structures import Frame, GroundScale, Intrinsics, PanopticDepth, ScaleSource, Segment
from .backends import Backend, check_output, create_backend
from .distances import far_as_set, mark_depth, measure_distances
from .ground_scale import GroundView, ScaleFilter
from .lens_view import LensGrid
from .measured_depth import flagged, with_measured
from .preprocess import MapGrid, graph_inputs
from .segments import assemble_segments, less_certain

STEPS = ('preprocess', 'graph', 'segments', 'distances', 'restore')
"""Keys of PanopticDepth.step_ms."""

_log = logging.getLogger(__name__)


class Pipeline:
    """
    A model, ready to run frames.

    :param model: as model_directory.open_model reads it; None is the default one.
    :param backend: as backends.create_backend reads it, or a Backend of one's own.
    :param settings: thresholds that were not set explicitly are those of the model.
    :param watch: follows the build of an engine, and may cancel it.
    :param options: of the backend, for instance threads.
    :raises ConfigError: for a wrong model directory, setting, backend or option.
    :raises BackendError: when the runtime is missing or cannot load the model.
    """

    def __init__(self, model: ModelDirectory | Path | str | None = None,
                 backend: str | Backend = 'auto', settings: InferenceSettings | None = None,
                 watch: Watch | None = None, **options: Any) -> None:
        _refuse_settings(options)
        self.model = open_model(model)
        self._info = self.model.info
        self._classes = self._info.class_infos()
        self._focal_warned = False
        self.configure(settings or InferenceSettings())
        self.backend = (create_backend(backend, self.model, watch, **options)
                        if isinstance(backend, str) else backend)

    def configure(self, settings: InferenceSettings) -> None:
        """
        Take other settings from the next frame on; the runtime stays as it is.

        :raises ConfigError: when they do not fit the model; the former ones stay.
        """
        class_count = len(self._classes)
        if class_count * settings.label_divisor > VOID_ID:
            raise ConfigError(
                f'label_divisor is {settings.label_divisor}, too much for {class_count} classes '
                f'in 16-bit panoptic ids; give at most {VOID_ID // class_count}')
        self.settings = settings
        self._thresholds = merged_thresholds(
            self._info.thresholds, settings.thresholds).as_vector()
        # Where nothing has a depth, the sky is no exception.
        self._sky_ids = [c.class_id * settings.label_divisor for c in self._classes
                         if c.name == 'sky' and 'depth' in self._info.tasks]

    def __call__(self, frame: Frame, scale: ScaleFilter | None = None) -> PanopticDepth:
        """
        Panoptic segmentation, depth and distances of one frame.

        :param scale: that of the former frames of the same camera; see Video.
        :raises ConfigError: for anything but a Frame.
        :raises BackendError: when the runtime fails or returns impossible values.
        """
        if not isinstance(frame, Frame):
            raise ConfigError(f'a pipeline takes a Frame, not {type(frame).__name__}; give '
                              'Frame(image, Intrinsics...), or let panoptic_depth_core.load() '
                              'make it of paths, arrays and PIL images')
        info, settings, step_ms = self._info, self.settings, dict.fromkeys(STEPS, 0.0)

        with _timed(step_ms, 'preprocess'):
            inputs, geometry = graph_inputs(frame, info, self._thresholds, settings.fit,
                                            settings.rectified)
            grid = geometry.grid(info.output_stride)
            map_camera = grid.intrinsics(frame.intrinsics)
            at_input = settings.output_size == 'input'
        self._check_focal(float(inputs['intrinsics'][0]))

        ground: GroundScale | None = None
        output: GraphOutput | None = None
        with _timed(step_ms, 'graph'):
            if self._is_told(frame) and settings.ground.anchor:
                ground = None if scale is None else scale.look(
                    frame.stamp_ns, settings.ground.check_s)
                if ground is None:
                    output = self._graph({**inputs, MOUNTING: info.unknown_inputs()[MOUNTING]})
                    view = self._ground_view(output, grid, map_camera, frame)
                    ground = view.scale()
                    if scale is not None:
                        ground = scale.remember(ground, frame.stamp_ns)
            if output is None or (ground is not None and not ground.refuses):
                output = self._graph(inputs)

        with _timed(step_ms, 'segments'):
            panoptic, segments = self._assembled(output, grid)

        with _timed(step_ms, 'distances'):
            sky = np.isin(panoptic, self._sky_ids)
            depth = self._meters(output, grid)
            if (frame.mounting is not None and settings.ground.anchor and 'depth' in info.tasks
                    and not (ground is not None and ground.refuses)):
                view = self._ground_view(output, grid, map_camera, frame, panoptic)
                ground = ground or view.scale()
                if not ground.refuses and view.enough:
                    depth, segments = view.anchor(segments, scale, frame.stamp_ns)
            if frame.mounting is None or (ground is not None and (
                    ground.refuses if self._is_told(frame) else ground.problem)):
                segments = less_certain(segments, info.unknown_mounting_log_error)
            depth, segments, measured = with_measured(
                depth, segments, frame.measured_points_m, map_camera, panoptic, sky,
                settings.measured_depth)
            depth = mark_depth(depth, sky, settings.depth)
            distances = measure_distances(
                panoptic, depth, segments, map_camera,
                [c.name for c in self._classes], settings.distance, grid.border)
            distances = flagged(distances, measured)
            depth = far_as_set(depth, settings.depth)

        if at_input:
            with _timed(step_ms, 'restore'):
                distances = grid.restore_rois(distances, panoptic)
                depth = grid.restore_depth(depth, panoptic)
                panoptic = grid.restore_labels(panoptic, VOID_ID)

        return PanopticDepth(
            panoptic, depth, segments, distances,
            geometry.result_camera(frame.intrinsics) if at_input else map_camera,
            settings.label_divisor, frame.stamp_ns, frame.frame_id, frame.name, info.model_id,
            step_ms, info.tasks, settings.distance.include_stuff, frame.mounting, ground,
            self._scale_source(frame, ground))

    def _is_told(self, frame: Frame) -> bool:
        """Whether the network is told the mounting of the frame."""
        return (frame.mounting is not None and MOUNTING not in frame.extra_inputs
                and self._info.takes_mounting)

    def _graph(self, inputs: Arrays) -> GraphOutput:
        output = self.backend.run(inputs)
        check_output(output, self._info, self.backend.name)
        return output

    def _assembled(self, output: GraphOutput, grid: MapGrid | LensGrid,
                   ) -> tuple[NDArray[np.uint16], tuple[Segment, ...]]:
        settings = self.settings
        return assemble_segments(
            grid.crop(output.segment_index, NO_SEGMENT), output.segments, self._classes,
            label_divisor=settings.label_divisor,
            min_instance_pixels=settings.min_instance_pixels,
            max_instances=settings.max_instances,
            pixel_counts=grid.pixel_counts if settings.output_size == 'input' else None,
            log_depth_temperature=self._info.log_depth_temperature)

    def _meters(self, output: GraphOutput, grid: MapGrid | LensGrid) -> NDArray[np.float32]:
        """(h, w) depth of the region."""
        return grid.crop(output.depth, math.nan) * np.float32(self.settings.depth.scale)

    def _ground_view(self, output: GraphOutput, grid: MapGrid | LensGrid, camera: Intrinsics,
                     frame: Frame, panoptic: NDArray[np.uint16] | None = None) -> GroundView:
        assert frame.mounting is not None
        return GroundView(
            self._meters(output, grid),
            self._assembled(output, grid)[0] if panoptic is None else panoptic, camera,
            frame.mounting, self._classes, self.settings.label_divisor, self.settings.ground)

    def _scale_source(self, frame: Frame, ground: GroundScale | None) -> ScaleSource:
        """
        Where the meters of a result come from.

        :param ground: scale by the ground, None where it was not asked for.
        """
        if ground is not None and not ground.problem:
            return ScaleSource.CAMERA_HEIGHT
        if self.settings.depth.scale != 1.0:
            return ScaleSource.EXTERNAL
        if self._is_told(frame) and not (ground is not None and ground.refuses):
            return ScaleSource.CAMERA_HEIGHT
        return (ScaleSource.RELATIVE if frame.intrinsics_source == 'default'
                else ScaleSource.METRIC_MODEL)

    def close(self) -> None:
        """Give back what the backend holds."""
        self.backend.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _check_focal(self, focal_px: float) -> None:
        """Warn once when the network sees through a longer or wider lens than in training."""
        low, high = self._info.trained_focal_range_px or (0.0, math.inf)
        if not self._focal_warned and not low <= focal_px <= high:
            self._focal_warned = True
            _log.warning(
                'the focal length at network size is %.0f px, but %s was trained on %.0f to '
                '%.0f px: distances may be off; check the intrinsics, or use another camera, '
                'fit or model', focal_px, self._info.model_id, low, high)


def merged_thresholds(of_model: Thresholds, of_user: Thresholds) -> Thresholds:
    """Thresholds of the model, overridden by those that the user set explicitly."""
    return of_model.model_copy(update={
        name: getattr(of_user, name) for name in of_user.model_fields_set})


def _refuse_settings(options: Collection[str]) -> None:
    """Say where a setting belongs that was given as an option of the backend."""
    for name in options:
        for kind, place in ((InferenceSettings, '{}'), (Thresholds, 'thresholds=Thresholds({})')):
            if name in kind.model_fields:
                raise ConfigError(f'{name} is no option of a backend, but a setting; give '
                                  f'settings=InferenceSettings({place.format(name + "=...")}), '
                                  f'or {name}=... to panoptic_depth_core.load()')


@contextmanager
def _timed(step_ms: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    step_ms[step] = 1e3 * (time.perf_counter() - start)
