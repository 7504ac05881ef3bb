# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Load a model and call it with pictures."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, overload

from ..config import InferenceSettings, Settings, Thresholds, load_settings, parse_settings
from ..errors import ConfigError
from ..inference.backends import Backend, backend_options
from ..inference.pipeline import Pipeline
from ..inference.video import Video
from ..io.cameras.camera_info import Use
from ..io.cameras.camera_options import DEFAULT_CAMERA_WARNING, CameraOptions
from ..io.sources.mounting import MountingSettings, read_mounting
from ..io.sources.open_source import SourceOptions
from ..io.visualization import frame_of
from ..labels import ClassInfo
from ..model_directory import ModelDirectory
from ..status import Watch
from ..structures import Frame, Intrinsics, Mounting, PanopticDepth
from .result import Result, Results
from .sources import frames_of, is_one_picture

if TYPE_CHECKING:
    from typing_extensions import Unpack

AnySettings = TypeVar('AnySettings', bound=Settings)

_log = logging.getLogger(__name__)


class _StreamOptions(TypedDict, total=False):
    """Keyword arguments of Model.stream."""

    fx: float | None
    fov: float | None
    camera: Intrinsics | str | os.PathLike[str] | None
    image_topic: str | None
    camera_info_topic: str | None
    mounting: Mounting | str | os.PathLike[str] | None
    ground_frame: str | None
    ground_offset_m: float
    camera_info_use: Use
    bits: int
    recursive: bool


def load(model: ModelDirectory | str | os.PathLike[str] | None = None,
         backend: str | Backend = 'auto',
         settings: InferenceSettings | str | os.PathLike[str] | None = None,
         watch: Watch | None = None, **options: Any) -> Model:
    """
    Load a model.

    :param model: the name of a shipped model or a model directory; by default 'fast'.
    :param backend: 'auto', 'onnxruntime', 'openvino', 'tensorrt' or 'torch'.
    :param settings: InferenceSettings or a YAML file of them.
    :param watch: receives the progress of an engine build, and may cancel it.
    :param options: settings by name (score=0.5, output_size='network'; fields of InferenceSettings
        and Thresholds), which override ``settings``; all others are options of the backend, such
        as threads=2.
    :raises ConfigError: a model, setting, backend or option is wrong or unknown.
    :raises BackendError: the runtime is missing or cannot load the model.
    """
    if not isinstance(settings, InferenceSettings):
        settings = InferenceSettings() if settings is None else load_settings(
            InferenceSettings, _path('settings', settings, 'InferenceSettings, or the path of a '
                                     'YAML file'))
    thresholds = _changed(settings.thresholds, options)
    settings = _changed(settings.model_copy(update={'thresholds': thresholds}), options)
    known = backend_options(backend.partition(':')[0]) if isinstance(backend, str) else ()
    for name in options:
        if name not in known:
            raise ConfigError(f'load: option {name!r} is not known; known are ' + ', '.join(
                [*known, *Thresholds.model_fields, *InferenceSettings.model_fields]))
    return Model(Pipeline(
        model if model is None or isinstance(model, ModelDirectory) else str(_path(
            'model', model, 'the name of a shipped model, or the path of a model directory')),
        backend, settings, watch, **options))


class Model:
    """
    A Pipeline that accepts pictures in any form; made by ``load``.

    It may be called from several threads, which take turns; with TensorRT only from the thread
    that loaded it. It is a context manager.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._lock = Lock()
        self._camera_warned = False

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Classes by class id: name, color, thing or stuff."""
        return self.pipeline.model.info.class_infos()

    @overload
    def __call__(self, source: Frame, **options: Unpack[_StreamOptions]) -> Result: ...

    @overload
    def __call__(self, source: list[Any] | tuple[Any, ...] | Iterator[Any],
                 **options: Unpack[_StreamOptions]) -> Results: ...

    @overload
    def __call__(self, source: Any, **options: Unpack[_StreamOptions]) -> Result | Any: ...

    def __call__(self, source: Any, **options: Unpack[_StreamOptions]) -> Result | Results:
        """
        Panoptic labels, depth and distances of a picture, or of a stream of pictures.

        :param source: one picture: a path, an (H, W, 3) uint8 RGB array, a PIL image or a Frame;
            or a stream: a folder of pictures, a video, a bag, 'camera:0', an (N, H, W, 3) array,
            a list or a generator of any of these.
        :param options: see ``stream``: fx, fov, camera, image_topic, camera_info_topic, mounting,
            ground_frame, ground_offset_m, camera_info_use, bits, recursive.
        :returns: a Result for a picture, an iterator of Results for a stream. A type checker
            cannot tell them apart by a path: call ``stream`` where it matters.
        :raises ConfigError, BackendError: see ``stream``.
        """
        results = self.stream(source, **options)
        return next(results) if is_one_picture(source) else results

    def stream(self, source: Any, *, fx: float | None = None, fov: float | None = None,
               camera: Intrinsics | str | os.PathLike[str] | None = None,
               image_topic: str | None = None,
               camera_info_topic: str | None = None,
               mounting: Mounting | str | os.PathLike[str] | None = None,
               ground_frame: str | None = None, ground_offset_m: float = 0.0,
               camera_info_use: Use = 'auto', bits: int = 0,
               recursive: bool = False) -> Results:
        """
        Results of all pictures of a source, each computed on demand.

        Without fx, fov and camera, the camera is that of the source, its CameraInfo or the
        camera file beside it; else 70 degrees are assumed, with a warning, and distances are
        relative. Pictures without a name are numbered, 000000, 000001, ... With
        settings.tracking.enabled, instances have a track_id that persists over the stream.

        :param fx: focal length in px of the pictures.
        :param fov: horizontal field of view in degrees.
        :param camera: Intrinsics, or a camera file (camera.json, the YAML of camera_calibration,
            Kalibr's camchain.yaml#cam0); scaled to the size of the picture.
        :param image_topic, camera_info_topic: for bags with more than one.
        :param mounting: of the camera above the ground, or a YAML file of calibrate-mounting. By
            default it is that of base_footprint in the tf of a bag, else it is not known.
        :param ground_frame, ground_offset_m: frame of the tf of a bag, z up, and the height of its
            origin above the ground, such as base_link and the radius of the wheels.
        :param camera_info_use: 'k' or 'p', where the names of topics do not tell right whether
            images are rectified.
        :param bits: that pictures of 16 bits use; 0: those in use over the source.
        :param recursive: also read the pictures in folders of a folder.
        :raises ConfigError: a source cannot be read, options contradict each other.
        :raises BackendError: the runtime fails.
        """
        file = None if camera is None or isinstance(camera, Intrinsics) else _path(
            'camera', camera, 'Intrinsics(fx, fy, cx, cy, width, height), or the path of a camera '
            'file')
        given = CameraOptions(fx, fov, file, camera if isinstance(camera, Intrinsics) else None,
                              camera_info_use, bits)
        frames: Iterable[Frame] = frames_of(source, SourceOptions(
            given, image_topic, camera_info_topic,
            mounting=_mounting(mounting, ground_frame, ground_offset_m), recursive=recursive))
        run: Callable[[Frame], PanopticDepth] = self.pipeline
        if not is_one_picture(source):
            frames = (frame if frame.name else replace(frame, name=f'{index:06d}')
                      for index, frame in enumerate(frames))
            run = Video(self.pipeline)
        return Results(self._result(frame, run) for frame in frames)

    def _result(self, frame: Frame, run: Callable[[Frame], PanopticDepth]) -> Result:
        if frame.intrinsics_source == 'default' and not self._camera_warned:
            self._camera_warned = True
            _log.warning(DEFAULT_CAMERA_WARNING)
        info = self.pipeline.model.info
        with self._lock:
            result = run(frame)
            return Result(
                **vars(result), frame=frame_of(frame, result), classes=self.classes, run={
                    'source': 'Python', 'model': info.model_id, 'model_sha256': info.onnx_sha256,
                    'settings': self.pipeline.settings.model_dump(mode='json')})

    def close(self) -> None:
        """Release the backend."""
        self.pipeline.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<Model {self.pipeline.model.info.model_id} on {self.pipeline.backend.name}>'


def _mounting(mounting: Mounting | str | os.PathLike[str] | None, ground_frame: str | None,
              ground_offset_m: float) -> MountingSettings:
    """Settings of the sources."""
    ground = {'ground_frame': ground_frame or '', 'ground_offset_m': ground_offset_m}
    if mounting is None:
        return parse_settings(MountingSettings, ground, 'mounting')
    if isinstance(mounting, Mounting):
        return parse_settings(MountingSettings, {**vars(mounting), **ground}, 'mounting')
    if ground_frame or ground_offset_m:
        raise ConfigError(f'mounting is {mounting} and ground_frame is {ground_frame!r}; give one '
                          'of them')
    return read_mounting(_path('mounting', mounting, 'Mounting(height_m, pitch_deg, roll_deg), '
                               'or the path of a YAML file'))


def _path(name: str, value: object, accepted: str) -> Path:
    if not isinstance(value, (str, os.PathLike)):
        raise ConfigError(f'{name} is of type {type(value).__name__}; give {accepted}')
    return Path(value)


def _changed(settings: AnySettings, options: dict[str, Any]) -> AnySettings:
    """Move the fields of settings out of options; which fields were set explicitly is kept."""
    changes = {name: options.pop(name) for name in type(settings).model_fields if name in options}
    return parse_settings(type(settings), {
        **settings.model_dump(exclude_unset=True), **changes}, 'load') if changes else settings
