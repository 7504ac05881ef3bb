# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results of a run in a folder, one sink per format; a run that was interrupted goes on.

A frame is done when every sink has it. Sinks write atomically or append whole lines, so what is
there is right, whenever the run ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_DEPTH, NEEDS_INSTANCES, NEEDS_LABELS, TASKS, Needs, Task, lacking
from ...errors import ConfigError
from ...files import disk_errors, make_folder, write_atomic
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, PanopticDepth
from ..bags.result_bags import DEFAULT_IMAGE_TOPIC, ResultBagWriter
from ..viewers.foxglove import PART_BYTES, FoxgloveWriter
from ..viewers.rerun_file import RerunFolder
from ..visualization import picture_of_result
from .coco_panoptic import PanopticSink
from .instance_lines import InstanceSink

DEPTH_PNG_SCALE = 256.0
"""Pixel values of depth PNGs per metre, as in KITTI."""


class Sink(Protocol):
    """One format of results."""

    def done(self, name: str) -> bool:
        """Whether this frame is written."""

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Write one frame; called once per name."""

    def close(self) -> None:
        """Finish what is written per run; called also after an error."""


@runtime_checkable
class ComparableSink(Sink, Protocol):
    """One whose frames can be told from others of the same name."""

    def holds(self, frame: Frame, result: PanopticDepth) -> bool:
        """Whether what is written of the frame's name is this result."""


def encode_png(array: NDArray[np.generic]) -> bytes:
    """(H, W) uint8 or uint16, or (H, W, 3) uint8 RGB, as a PNG file."""
    if array.ndim == 3:
        array = cv2.cvtColor(np.asarray(array), cv2.COLOR_RGB2BGR)
    # Level 1 is several times faster than the default and hardly larger here.
    good, data = cv2.imencode('.png', np.asarray(array), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not good:
        raise ValueError(f'{array.dtype} {array.shape} cannot be a PNG')
    return data.tobytes()


def depth_to_png16(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """
    Depth as 16 bits: metres * 256, 0 where there is none.

    NaN, +Inf (sky, beyond range) and -Inf (too near) are 0: the format cannot tell them apart.
    Depths that do not fit are clipped to 65535 / 256 = 255.996 m, and a depth that would round to
    0 becomes 1, so that it is not taken for none.

    :param depth: (H, W) float32 metres.
    """
    finite = np.isfinite(depth)
    values = np.where(finite, depth, 0.0) * np.float32(DEPTH_PNG_SCALE)
    return np.where(finite, np.clip(np.rint(values), 1, 65535), 0).astype(np.uint16)


class FileSink:
    """One file per frame; the file being there is what makes the frame done."""

    def __init__(self, folder: Path, suffix: str,
                 encode: Callable[[Frame, PanopticDepth], bytes]) -> None:
        self.folder = make_folder(folder)
        self._suffix = suffix
        self._encode = encode

    def path(self, name: str) -> Path:
        """Where a frame's file is."""
        return self.folder / f'{name}{self._suffix}'

    def done(self, name: str) -> bool:
        """Whether the file is there."""
        return self.path(name).is_file()

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Write the file."""
        write_atomic(self.path(frame.name), self._encode(frame, result))

    def holds(self, frame: Frame, result: PanopticDepth) -> bool:
        """Whether the file is that of this result."""
        return self.path(frame.name).read_bytes() == self._encode(frame, result)

    def close(self) -> None:
        """Nothing is left open."""


def encode_npy(array: NDArray[np.generic]) -> bytes:
    """An array as a file of numpy's."""
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


class VideoSink:
    """
    overlay.mp4, put together at the end from the overlay pictures, of earlier runs too.

    :param fps: frames per second of the video.
    """

    def __init__(self, pictures: FileSink, path: Path, fps: float) -> None:
        self._pictures = pictures
        self._path = path
        self._fps = fps

    def done(self, name: str) -> bool:
        """Whether the picture is there."""
        return self._pictures.done(name)

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Write nothing yet: the pictures are written by their own sink."""

    def close(self) -> None:
        """Make the video."""
        paths = sorted(self._pictures.folder.glob('[!.]*.png'))
        if paths:
            write_atomic(self._path, lambda path: write_video(paths, path, self._fps))


def write_video(pictures: Sequence[Path], path: Path, fps: float) -> None:
    """
    Make an mp4 (MPEG-4 part 2) of picture files; those of another size than the first are scaled.

    :raises ConfigError: when OpenCV cannot encode it.
    """
    writer: cv2.VideoWriter | None = None
    try:
        for picture in pictures:
            bgr = cv2.imdecode(np.fromfile(picture, np.uint8), cv2.IMREAD_COLOR)
            if bgr is None:
                continue
            if writer is None:
                # The codec wants even sizes.
                size = (bgr.shape[1] // 2 * 2, bgr.shape[0] // 2 * 2)
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), fps, size)
                if not writer.isOpened():
                    raise ConfigError(f'{path}: this OpenCV cannot write mp4 videos; '
                                      'leave the format video out')
            if (bgr.shape[1], bgr.shape[0]) != size:
                bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
            writer.write(bgr)
    finally:
        if writer is not None:
            writer.release()


@dataclass(frozen=True)
class ResultOptions:
    """
    How results are written.

    :param tasks: of the model.
    :param fps: of the video.
    :param storage: of the bag, mcap or sqlite3.
    :param image_topic: of the input image in the bag.
    """

    classes: tuple[ClassInfo, ...] = CITYSCAPES
    tasks: frozenset[Task] = TASKS
    fps: float = 10.0
    storage: str = 'mcap'
    image_topic: str = DEFAULT_IMAGE_TOPIC


def _overlay_sink(out: Path, options: ResultOptions) -> FileSink:
    return FileSink(out / 'overlay', '.png', lambda frame, result: encode_png(
        picture_of_result(frame, result, options.classes)))


class Format(NamedTuple):
    """
    A format of results.

    :param make: makes what writes it.
    :param needs: what a model has to do for it.
    """

    make: Callable[[Path, ResultOptions], Sink]
    needs: Needs = ()


FORMATS = {
    'panoptic': Format(lambda out, options: PanopticSink(out, options.classes), NEEDS_LABELS),
    'depth': Format(lambda out, _: FileSink(
        out / 'depth', '.png', lambda _, result: encode_png(depth_to_png16(result.depth))),
        NEEDS_DEPTH),
    'depth_npy': Format(lambda out, _: FileSink(
        out / 'depth_npy', '.npy',
        lambda _, result: encode_npy(result.depth.astype(np.float32, copy=False))), NEEDS_DEPTH),
    'instances': Format(lambda out, _: InstanceSink(out), NEEDS_INSTANCES),
    'overlay': Format(_overlay_sink),
    'video': Format(lambda out, options: VideoSink(
        _overlay_sink(out, options), out / 'overlay.mp4', options.fps)),
    'bag': Format(lambda out, options: ResultBagWriter(
        out / 'bag', options.storage, image_topic=options.image_topic, classes=options.classes,
        resume=True)),
    'foxglove': Format(lambda out, options: FoxgloveWriter(
        out / 'foxglove', image_topic=options.image_topic, classes=options.classes, resume=True,
        part_bytes=PART_BYTES)),
    'rrd': Format(lambda out, options: RerunFolder(out / 'rerun', options.classes)),
}
"""Formats of results. 'video' is made of the overlay pictures and brings them along."""

DEFAULT_FORMATS = ('panoptic', 'depth', 'instances', 'overlay')


def formats_for(tasks: frozenset[Task], wanted: Collection[str] | None = None) -> tuple[str, ...]:
    """
    Formats to write of a model that does these tasks.

    :param wanted: keys of FORMATS; None: DEFAULT_FORMATS but those that the model cannot fill.
    :raises ConfigError: one is not known, or the model cannot fill it.
    """
    if wanted is None:
        return tuple(name for name in DEFAULT_FORMATS if not lacking(FORMATS[name].needs, tasks))
    if isinstance(wanted, str):
        raise ConfigError(f'formats: {wanted!r} is a text; give a list of {", ".join(FORMATS)}')
    unknown = sorted(set(wanted) - set(FORMATS))
    if unknown or not wanted:
        raise ConfigError(f'formats: {", ".join(unknown) or "none given"}; '
                          f'known are {", ".join(FORMATS)}')
    for name in wanted:
        if missing := lacking(FORMATS[name].needs, tasks):
            raise ConfigError(f'formats: {name} needs a model with the task {missing}, but this '
                              f'one has {", ".join(sorted(tasks))}; leave {name} out or choose '
                              'another model')
    return tuple(wanted)


class ResultWriter:
    """
    Write results into a folder, going on with what is there.

    :param out_dir: made if it is not there.
    :param formats: see formats_for.
    :raises ConfigError: as formats_for; no permission, files there that cannot be gone on with.
    """

    def __init__(self, out_dir: Path | str, formats: Collection[str] | None = None,
                 options: ResultOptions | None = None) -> None:
        options = options or ResultOptions()
        formats = formats_for(options.tasks, formats)
        self.out_dir = make_folder(Path(out_dir))
        wanted = {*formats, *(['overlay'] if 'video' in formats else [])}
        self._sinks: dict[str, Sink] = {}
        try:
            for name, kind in FORMATS.items():
                if name in wanted:
                    self._sinks[name] = kind.make(self.out_dir, options)
        except BaseException:
            for sink in self._sinks.values():
                with suppress(Exception):
                    sink.close()
            raise

    def done(self, name: str) -> bool:
        """Whether every format has this frame."""
        return all(sink.done(name) for sink in self._sinks.values())

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """
        Write one frame in every format that does not have it yet.

        :raises ConfigError: disk full, no permission; nothing that was written before is lost.
        """
        if not frame.name or '/' in frame.name or frame.name.startswith('.'):
            raise ConfigError(f'frame name {frame.name!r} cannot name files; give a plain name')
        for sink in self._sinks.values():
            if not sink.done(frame.name):
                with disk_errors(self.out_dir):
                    sink.write(frame, result)

    def differs(self, frame: Frame, result: PanopticDepth) -> bool:
        """Whether a format has another result under the frame's name, as far as that shows."""
        return any(sink.done(frame.name) and not sink.holds(frame, result)
                   for sink in self._sinks.values() if isinstance(sink, ComparableSink))

    def close(self) -> None:
        """
        Finish every format, even if one fails.

        :raises ConfigError: the first failure.
        """
        first: Exception | None = None
        sinks, self._sinks = self._sinks, {}
        for sink in sinks.values():
            try:
                sink.close()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    def __enter__(self) -> ResultWriter:
        """Be usable in a with statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close; an error on the way out does not hide the one that led here."""
        if kind is None:
            self.close()
        else:
            with suppress(Exception):
                self.close()
