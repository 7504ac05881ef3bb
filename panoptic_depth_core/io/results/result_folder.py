# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results of a run in a folder, one sink per format; an interrupted run can be resumed.

A frame is done when every sink has it. Sinks write atomically or append complete lines, so the
folder is valid whenever the run ends. run.json says what made the results: those of two models or
two cameras in one folder would look like one run's.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...contract import (
    NEEDS_DEPTH,
    NEEDS_LABELS,
    NEEDS_LIST,
    TASKS,
    Ability,
    Needs,
    lacking,
)
from ...errors import ConfigError
from ...files import (
    JsonLines,
    OutputFolder,
    disk_errors,
    longest_name,
    make_folder,
    natural,
    write_atomic,
)
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, GroundScale, InstanceDistance, Mounting, PanopticDepth
from ..bags.result_bags import DEFAULT_IMAGE_TOPIC, ResultBagWriter
from ..pictures import decode_rgb, read_file
from ..viewers.foxglove import PART_BYTES, FoxgloveWriter
from ..viewers.rerun import RerunFolder
from ..visualization import encode_png, frame_of, picture_of_result
from . import coco_panoptic

INSTANCES_FILE = 'instances.jsonl'
PANOPTIC_JOURNAL = 'panoptic_segments.jsonl'
RUN_FILE = 'run.json'
RESULTS = (coco_panoptic.FOLDER, coco_panoptic.FILE_NAME, PANOPTIC_JOURNAL, 'depth', 'depth_npy',
           INSTANCES_FILE, 'overlay', 'overlay.mp4', 'bag', '.bag.tmp', 'foxglove',
           '.foxglove.tmp', 'rerun')
"""Everything that the formats write into a folder: a fresh start removes it."""

_SUFFIX_BYTES = len('.png')

DEPTH_PNG_SCALE = 256.0  # pixel values per meter, as in KITTI
VIDEO_FPS = 10.0


def depth_to_png16(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """
    Depth as 16 bits: meters * 256, 0 where there is none.

    NaN, +Inf (sky, beyond range) and -Inf (too near) are 0: the format cannot tell them apart.
    Other depths are clipped to 1..65535, i.e. at most 255.996 m, so none becomes 0.

    :param depth: (H, W) float32 meters.
    """
    finite = np.isfinite(depth)
    values = np.where(finite, depth, 0.0) * np.float32(DEPTH_PNG_SCALE)
    return np.where(finite, np.clip(np.rint(values), 1, 65535), 0).astype(np.uint16)


def _encode_npy(array: NDArray[np.generic]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _number(value: float) -> float | None:
    """A JSON number of seven digits, as many as a float32 holds; null where it is unknown."""
    return float(f'{value:.7g}') if math.isfinite(value) else None


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(float(value)) for value in values]


def _instance_record(instance: InstanceDistance) -> dict[str, Any]:
    """One instance; meters, camera's optical frame, names as in msg/InstanceDistance.msg."""
    segment = instance.segment
    return {
        'panoptic_id': segment.panoptic_id, 'class_id': segment.class_id,
        'class_name': instance.class_name, 'instance_id': segment.instance_id,
        'track_id': instance.track_id, 'is_thing': segment.is_thing,
        'score': _number(segment.score), 'flags': instance.flags.names,
        'roi': [int(value) for value in instance.roi],
        'pixel_count': segment.pixel_count, 'valid_depth_count': instance.valid_depth_count,
        'distance': _number(instance.distance_m),
        'distance_stddev': _number(instance.distance_stddev_m),
        'distance_near': _number(instance.distance_near_m),
        'depth': _number(instance.depth_m),
        'position': _numbers(instance.position_m),
        'position_covariance': _numbers(np.ravel(instance.position_covariance)),
        'nearest_point': _numbers(instance.nearest_point_m),
        'size': _numbers(instance.size_m),
        'depth_mean': _number(instance.depth_mean_m),
    }


def _known(name: str, record: GroundScale | Mounting | None) -> dict[str, Any]:
    """The fields of a record under its name; nothing where there is none."""
    return {} if record is None else {name: {
        field: value if isinstance(value, str) else _number(value)
        for field, value in vars(record).items()}}


def frame_record(frame: Frame, result: PanopticDepth) -> dict[str, Any]:
    """A line of instances.jsonl: nearest first; no list of what is not measured."""
    camera = frame.intrinsics
    return {
        'name': frame.name, 'stamp_ns': frame.stamp_ns, 'frame_id': frame.frame_id,
        'width': camera.width, 'height': camera.height,
        'intrinsics': {**{name: float(getattr(camera, name)) for name in ('fx', 'fy', 'cx', 'cy')},
                       'source': frame.intrinsics_source,
                       **({'lens': asdict(camera.lens)} if camera.lens else {})},
        'label_divisor': result.label_divisor, 'model_id': result.model_id,
        'scale_source': result.scale_source.name.lower(),
        **_known('ground', result.ground), **_known('mounting', result.mounting),
        **({'instances': [_instance_record(instance) for instance in result.distances]}
           if not lacking(NEEDS_LIST, result.abilities) else {}),
    }


def greatest_track_id(out: Path) -> int:
    """Greatest track id in the folder of an InstanceSink, -1 without any."""
    with (out / INSTANCES_FILE).open('rb') as file:
        return max((instance['track_id'] for line in file
                    for instance in json.loads(line)['instances']), default=-1)


class Sink(Protocol):
    """One format of results."""

    def done(self, name: str) -> bool:
        """Whether this frame is written."""

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Write one frame; called once per name."""

    def close(self) -> None:
        """Finish the files of the run; called also after an error."""


class InstanceSink:
    """instances.jsonl: one line per frame."""

    def __init__(self, out: Path) -> None:
        self._lines = JsonLines(out / INSTANCES_FILE)

    def done(self, name: str) -> bool:
        """Whether the frame has its line."""
        return name in self._lines.names

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Append the frame's line."""
        self._lines.append(frame_record(frame, result))

    def holds(self, frame: Frame, result: PanopticDepth) -> bool:
        """Whether the frame's line is of this result."""
        return frame_record(frame, result) in self._lines

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class FileSink:
    """One file per frame; a frame is done when its file exists."""

    def __init__(self, folder: Path, suffix: str,
                 encode: Callable[[Frame, PanopticDepth], bytes]) -> None:
        self._folder = make_folder(folder)
        self._suffix = suffix
        self._encode = encode
        self._output = OutputFolder(self._folder)

    def _path(self, name: str) -> Path:
        return self._folder / f'{name}{self._suffix}'

    def done(self, name: str) -> bool:
        """Whether the file exists."""
        return self._path(name).is_file()

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Write the file."""
        write_atomic(self._path(frame.name), self._encode(frame, result))

    def holds(self, frame: Frame, result: PanopticDepth) -> bool:
        """Whether the file is of this result."""
        return self._path(frame.name).read_bytes() == self._encode(frame, result)

    def close(self) -> None:
        """Check that the files are still there; nothing is left open."""
        self._output.check()


class PanopticSink(FileSink):
    """panoptic/NAME.png; at the end of each run panoptic.json, from a journal of all runs."""

    def __init__(self, out: Path, classes: Sequence[ClassInfo]) -> None:
        super().__init__(out / coco_panoptic.FOLDER, '.png',
                         lambda _, result: coco_panoptic.encode_ids(result.panoptic))
        self._json = out / coco_panoptic.FILE_NAME
        self._classes = classes
        self._journal = JsonLines(out / PANOPTIC_JOURNAL)

    def done(self, name: str) -> bool:
        """Whether the frame has its picture and its line in the journal."""
        return name in self._journal.names and super().done(name)

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Write the picture, then the line that makes it count."""
        super().write(frame, result)
        height, width = result.panoptic.shape
        self._journal.append({'name': frame.name, 'width': width, 'height': height,
                              'segments_info': coco_panoptic.segments_info(result)})

    def close(self) -> None:
        """Write the JSON of all frames."""
        super().close()
        self._journal.close()
        # A picture that was removed and written again has two lines: the later one is right.
        frames = {record['name']: record for record in self._journal}
        content = coco_panoptic.dataset_json(frames.values(), self._classes)
        write_atomic(self._json, json.dumps(content, separators=(',', ':')).encode(), sync=True)


class OverlaySink(FileSink):
    """overlay/NAME.png and, if asked for, overlay.mp4 of all pictures there at the end."""

    def __init__(self, out: Path, options: ResultOptions, with_video: bool = False) -> None:
        super().__init__(out / 'overlay', '.png', lambda frame, result: encode_png(
            picture_of_result(frame, result, options.classes)))
        self._video = out / 'overlay.mp4' if with_video else None

    def close(self) -> None:
        """Make the video."""
        super().close()
        paths = sorted(self._folder.glob('[!.]*.png'), key=lambda path: natural(path.name))
        if self._video is not None and paths:
            write_atomic(self._video, lambda path: _write_video(paths, path))


def _write_video(pictures: Sequence[Path], path: Path) -> None:
    """Make an mp4 (MPEG-4 part 2) of pictures; all are scaled to the size of the first."""
    writer, code = cv2.VideoWriter(), cv2.VideoWriter.fourcc(*'mp4v')
    try:
        for picture in pictures:
            try:
                rgb = decode_rgb(read_file(picture), str(picture))
            except ConfigError:
                continue
            bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
            if not writer.isOpened():
                # The codec needs even sizes.
                size = (bgr.shape[1] // 2 * 2, bgr.shape[0] // 2 * 2)
                if not writer.open(str(path), code, VIDEO_FPS, size):
                    raise ConfigError(f'{path}: this OpenCV cannot write mp4 videos; '
                                      'leave the format video out')
            if bgr.shape[1::-1] != size:
                bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
            writer.write(bgr)
    finally:
        writer.release()


@dataclass(frozen=True)
class ResultOptions:
    """How results are written: classes of the model, what it does, topic of images in a bag."""

    classes: tuple[ClassInfo, ...] = CITYSCAPES
    tasks: frozenset[Ability] = TASKS
    image_topic: str = DEFAULT_IMAGE_TOPIC


class Format(NamedTuple):
    """A format of results, and the tasks that a model must do for it."""

    make: Callable[[Path, ResultOptions], Sink]
    needs: Needs = ()


FORMATS = {
    'panoptic': Format(lambda out, options: PanopticSink(out, options.classes), NEEDS_LABELS),
    'depth': Format(lambda out, _: FileSink(
        out / 'depth', '.png', lambda _, result: encode_png(depth_to_png16(result.depth))),
        NEEDS_DEPTH),
    'depth_npy': Format(lambda out, _: FileSink(
        out / 'depth_npy', '.npy',
        lambda _, result: _encode_npy(result.depth.astype(np.float32, copy=False))), NEEDS_DEPTH),
    'instances': Format(lambda out, _: InstanceSink(out), NEEDS_LIST),
    'overlay': Format(OverlaySink),
    'video': Format(lambda out, options: OverlaySink(out, options, with_video=True)),
    'bag': Format(lambda out, options: ResultBagWriter(
        out / 'bag', image_topic=options.image_topic, classes=options.classes, resume=True)),
    'foxglove': Format(lambda out, options: FoxgloveWriter(
        out / 'foxglove', image_topic=options.image_topic, classes=options.classes, resume=True,
        part_bytes=PART_BYTES)),
    'rrd': Format(lambda out, options: RerunFolder(out / 'rerun', options.classes)),
}

DEFAULT_FORMATS = ('panoptic', 'depth', 'instances', 'overlay')


def formats_for(able: frozenset[Ability], wanted: Collection[str] | None = None,
                ) -> tuple[str, ...]:
    """
    Formats to write for a model that is able to do this; ConfigError where it cannot fill one.

    :param able: see contract.abilities.
    :param wanted: keys of FORMATS; None: those of DEFAULT_FORMATS that the model can fill.
    """
    if wanted is None:
        return tuple(name for name in DEFAULT_FORMATS if not lacking(FORMATS[name].needs, able))
    if isinstance(wanted, str):
        raise ConfigError(f'formats: {wanted!r} is a text; give a list of {", ".join(FORMATS)}')
    unknown = sorted(set(wanted) - set(FORMATS))
    if unknown or not wanted:
        raise ConfigError(f'formats: {", ".join(unknown) or "none given"}; '
                          f'known are {", ".join(FORMATS)}')
    for name in wanted:
        if missing := lacking(FORMATS[name].needs, able):
            asked = (', or set distance.include_stuff to list regions'
                     if not lacking(FORMATS[name].needs, able | {'regions'})
                     and {'semantic', 'depth'} <= able else '')
            raise ConfigError(f'formats: {name} needs a model with the task {missing}, but this '
                              f'one has {", ".join(sorted(able))}; leave {name} out or choose '
                              f'another model{asked}')
    return tuple(wanted)


class ResultWriter(AbstractContextManager['ResultWriter']):
    """
    Write results into a folder, adding to what is there.

    :param formats: see formats_for.
    :raises ConfigError: as formats_for; no permission, files that cannot be added to.
    """

    def __init__(self, out_dir: Path | str, formats: Collection[str] | None = None,
                 options: ResultOptions | None = None) -> None:
        options = options or ResultOptions()
        wanted = formats_for(options.tasks, formats)
        self.out_dir = make_folder(Path(out_dir))
        self._output = OutputFolder(self.out_dir)
        self._longest_name = longest_name(self.out_dir)
        self._folded: dict[str, str] = {}
        self._folds = _folds_case(self.out_dir)
        self._sinks: list[Sink] = []
        self._stack = ExitStack()
        try:
            for sink in (FORMATS[name].make(self.out_dir, options) for name in FORMATS
                         if name in wanted):
                self._sinks.append(sink)
                self._stack.callback(sink.close)
        except BaseException:
            with suppress(Exception):
                self.close()
            raise

    def done(self, name: str) -> bool:
        """Whether every format has this frame."""
        return all(sink.done(name) for sink in self._sinks)

    def refuses(self, name: str) -> str:
        """Why there can be no files of this name; empty where there can."""
        if not name or '/' in name or '\0' in name or name.startswith('.'):
            return 'the name cannot name files; give a plain name'
        if len(os.fsencode(name)) > self._longest_name - _SUFFIX_BYTES:
            return 'the name is too long for the files of its results; shorten it'
        if self._folds and self._folded.setdefault(name.casefold(), name) != name:
            return 'the disk takes the name for that of another frame; rename one of them'
        return ''

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Write one frame in every format that lacks it; a full disk loses nothing older."""
        if problem := self.refuses(frame.name):
            raise ConfigError(f'frame {frame.name!r}: {problem}')
        self._output.check()
        frame = frame_of(frame, result)
        for sink in self._sinks:
            if not sink.done(frame.name):
                with disk_errors(self.out_dir):
                    sink.write(frame, result)

    def differs(self, frame: Frame, result: PanopticDepth) -> bool:
        """Whether files or lines have another result under the frame's name."""
        return any(sink.done(frame.name) and not sink.holds(frame, result)
                   for sink in self._sinks if isinstance(sink, (FileSink, InstanceSink)))

    def close(self) -> None:
        """Finish every format, even if one fails; then raise the failure."""
        with self._stack:
            self._output.check()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close; an error here does not hide the one that led here."""
        with suppress(*([] if kind is None else [Exception])):
            self.close()


def _folds_case(folder: Path) -> bool:
    """Whether the disk takes names for equal that differ in case alone."""
    with suppress(OSError):
        return (folder / RUN_FILE).samefile(folder / RUN_FILE.upper())
    return False


def prepare_run_folder(folder: Path, run: dict[str, Any], *, overwrite: bool = False,
                       remedy: str = 'give --overwrite') -> None:
    """
    Start or resume a run; ConfigError where the folder has results of another one.

    :param run: what the results depend on, plain data.
    :param overwrite: remove the results of an earlier run first.
    :param remedy: how to remove them, for the message.
    """
    make_folder(folder)
    path = folder / RUN_FILE
    try:
        before = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        before = None
    except (OSError, ValueError):
        before = ''
    if before is not None and not isinstance(before, dict):
        raise ConfigError(f'{path}: is not what this program writes; remove it or choose '
                          'another folder')
    found = [name for name in RESULTS if (folder / name).exists()]
    if before is None and found:
        raise ConfigError(f'{folder}: has {found[0]}, but no {RUN_FILE} that says where it is '
                          'from; remove it or choose another folder')
    if overwrite:
        for name in RESULTS:
            with disk_errors(folder / name):
                if (folder / name).is_dir() and not (folder / name).is_symlink():
                    shutil.rmtree(folder / name)
                else:
                    (folder / name).unlink(missing_ok=True)
    elif before is not None:
        old, new = _flat(before), _flat(run)
        for key in {**new, **old}:
            if new.get(key) != old.get(key):
                raise ConfigError(
                    f'{folder}: has results with {key} = {json.dumps(old.get(key))}, this run has '
                    f'{json.dumps(new.get(key))}; {remedy} or choose another folder')
        return
    write_atomic(path, json.dumps(run, indent=1).encode() + b'\n', sync=True)


def _flat(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested settings as one level: {'depth.max_m': 120.0}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {
            f'{prefix}{key}': value}
    return flat
