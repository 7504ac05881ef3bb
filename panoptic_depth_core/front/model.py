# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Two statements to a first result: load a model, call it with a picture."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, overload

from ..config import InferenceSettings, Settings, Thresholds, load_settings, parse_settings
from ..errors import ConfigError
from ..inference.backends import Backend, backend_options
from ..inference.pipeline import Pipeline
from ..inference.tracking import Tracker
from ..io.sources.camera import DEFAULT_CAMERA_WARNING, CameraOptions, read_camera_file
from ..io.sources.open_source import SourceOptions
from ..labels import ClassInfo
from ..model_directory import ModelDirectory
from ..status import Watch
from ..structures import Frame, Intrinsics, PanopticDepth
from .inputs import Source, frames_of, is_one_picture
from .result import Origin, Result, Results

if TYPE_CHECKING:
    from typing_extensions import Unpack

Kind = TypeVar('Kind', bound=Settings)

_log = logging.getLogger(__name__)


class About(TypedDict, total=False):
    """What may be said about a source; see Model.stream."""

    fx: float | None
    fov: float | None
    camera: Intrinsics | str | os.PathLike[str] | None
    image_topic: str | None
    camera_info_topic: str | None


def load(model: ModelDirectory | str | os.PathLike[str] | None = None,
         backend: str | Backend = 'auto',
         settings: InferenceSettings | str | os.PathLike[str] | None = None,
         watch: Watch | None = None, **options: Any) -> Model:
    """
    Load a model, ready to be called with pictures.

    :param model: the name of a shipped model or a model directory; by default 'fast'.
    :param backend: 'auto', 'onnxruntime', 'openvino', 'tensorrt' or 'torch'.
    :param settings: InferenceSettings or a YAML file of them.
    :param watch: is told of an engine that is being built, and may cancel it.
    :param options: settings by name (score=0.5, output_size='network'; fields of InferenceSettings
        and Thresholds), which win over those in ``settings``; all others are for the backend, as
        threads=2.
    :raises ConfigError: for a model, setting, backend or option that is wrong or not known.
    :raises BackendError: when the runtime is missing or cannot load the model.
    """
    if not isinstance(settings, InferenceSettings):
        settings = InferenceSettings() if settings is None else load_settings(
            InferenceSettings, _path('settings', settings, 'InferenceSettings, or the path of a '
                                     'YAML file'))
    limits = _taken(options, Thresholds)
    settings = _changed(settings, _taken(options, InferenceSettings))
    settings = _changed(settings, {'thresholds': _changed(settings.thresholds, limits)})
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
    A Pipeline that takes pictures as a person has them; made by ``load``.

    It may be called from several threads, which take turns; with TensorRT from the one that loaded
    it. It can be used in a with statement.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._lock = Lock()
        self._camera_warned = False

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Classes by class id: name, colour, thing or stuff."""
        return self.pipeline.model.info.class_infos()

    @overload
    def __call__(self, source: Frame, **about: Unpack[About]) -> Result: ...

    @overload
    def __call__(self, source: list[Any] | tuple[Any, ...] | Iterator[Any], **about: Unpack[About]
                 ) -> Results: ...

    @overload
    def __call__(self, source: Source | Iterable[Any], **about: Unpack[About]) -> Result | Any: ...

    def __call__(self, source: Source | Iterable[Any], **about: Unpack[About]) -> Result | Results:
        """
        Panoptic labels, depth and distances of a picture, or of a stream of them.

        :param source: one picture: a path, an (H, W, 3) uint8 RGB array, a PIL image or a Frame;
            or a stream: a folder of pictures, a video, a bag, 'camera:0', an (N, H, W, 3) array,
            a list or a generator of any of these.
        :param about: what ``stream`` takes: fx, fov, camera, image_topic, camera_info_topic.
        :returns: a Result for a picture, Results, an iterator, for a stream. A type checker cannot
            tell them apart by a path: call ``stream`` where it matters.
        :raises ConfigError, BackendError: as ``stream``.
        """
        results = self.stream(source, **about)
        if not is_one_picture(source):
            return results
        return next(results)

    def stream(self, source: Source | Iterable[Any], *, fx: float | None = None,
               fov: float | None = None,
               camera: Intrinsics | str | os.PathLike[str] | None = None,
               image_topic: str | None = None,
               camera_info_topic: str | None = None) -> Results:
        """
        Results of all pictures of a source, each worked out when it is asked for.

        Metres are as good as the camera: without fx, fov and camera that of the source holds, its
        CameraInfo or the camera.json beside it, else 70 degrees are assumed, with a warning.
        Pictures without a name are called by their place, 000000, 000001, ... With
        settings.tracking.enabled, instances have a track_id that lasts over the stream.

        :param fx: focal length in px of the pictures.
        :param fov: horizontal field of view in degrees.
        :param camera: Intrinsics, or a camera.json; scaled to the size of the picture.
        :param image_topic, camera_info_topic: for bags with more than one.
        :raises ConfigError: a source that cannot be read, options that contradict each other.
        :raises BackendError: when the runtime fails.
        """
        if not (camera is None or isinstance(camera, Intrinsics)):
            camera = read_camera_file(_path('camera', camera, 'Intrinsics(fx, fy, cx, cy, width, '
                                            'height), or the path of a camera.json'))
        frames = frames_of(source, SourceOptions(
            CameraOptions(fx, fov, camera=camera), image_topic, camera_info_topic))
        update: Callable[[PanopticDepth], PanopticDepth] = _unchanged
        if not is_one_picture(source):
            frames = (frame if frame.name else replace(frame, name=f'{index:06d}')
                      for index, frame in enumerate(frames))
            if self.pipeline.settings.tracking.enabled:
                update = Tracker(self.pipeline.settings.tracking).update
        return Results(self._result(frame, update) for frame in frames)

    def _result(self, frame: Frame, update: Callable[[PanopticDepth], PanopticDepth]) -> Result:
        if frame.intrinsics_source == 'default' and not self._camera_warned:
            self._camera_warned = True
            _log.warning(DEFAULT_CAMERA_WARNING)
        info = self.pipeline.model.info
        with self._lock:
            result = update(self.pipeline(frame))
            run = {'source': 'Python', 'model': info.model_id, 'model_sha256': info.onnx_sha256,
                   'settings': self.pipeline.settings.model_dump(mode='json')}
        return Result(**vars(result), frame=frame, origin=Origin(self.classes, run))

    def close(self) -> None:
        """Give back what the backend holds."""
        self.pipeline.close()

    def __enter__(self) -> Model:
        """Be usable in a with statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name model and runtime."""
        return f'<Model {self.pipeline.model.info.model_id} on {self.pipeline.backend.name}>'


def _path(name: str, value: object, accepted: str) -> Path:
    if not isinstance(value, (str, os.PathLike)):
        raise ConfigError(f'{name} is of type {type(value).__name__}; give {accepted}')
    return Path(value)


def _unchanged(result: PanopticDepth) -> PanopticDepth:
    return result


def _taken(options: dict[str, Any], kind: type[Settings]) -> dict[str, Any]:
    """Take the fields of a settings class out of options."""
    return {name: options.pop(name) for name in kind.model_fields if name in options}


def _changed(settings: Kind, changes: dict[str, Any]) -> Kind:
    """
    Settings with changes; what was set stays told from what is a default.

    :raises ConfigError: for a value that is not allowed.
    """
    if not changes:
        return settings
    return parse_settings(type(settings), {
        **settings.model_dump(exclude_unset=True), **changes}, 'load')
