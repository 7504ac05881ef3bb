# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth that was measured beside the images: a folder of pictures, a topic of a bag."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...reasons import Reasons
from ...rotations import Axes, to_optical
from ...structures import Frame, Intrinsics
from ...untrusted import array_of, read_bytes, reading
from ..bags.bag_files import is_bag
from ..bags.storage import BagReader, deserialize
from ..bags.transforms import RecordedMotion, TransformError
from ..cameras.camera_info import camera_of_info, is_calibrated
from ..cameras.shapes import has_shape, scaled_to
from ..cameras.topics import find_info_topic, says_rectified
from ..messages.measured_points import (
    FARTHEST_M,
    HoldOut,
    are_seen,
    is_cloud,
    measured_points,
    moved,
    points_of_depth,
)
from ..messages.reading import stamp_of
from ..messages.truth_images import depth_of
from ..messages.types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, POINT_CLOUD
from ..pictures import decode_stored, read_file

SUFFIXES = ('.png', '.tif', '.tiff', '.npy')
TYPES = (POINT_CLOUD, IMAGE, COMPRESSED_IMAGE)
PER_METER = 1000.0
"""Whole numbers in files are millimeters by default."""

MAX_AGE_S = 0.1
KEPT_NS = 1_000_000_000
"""Older messages are kept so long, for images that come out of order."""

MOST_WAITING = 32
"""Messages that are kept at most, which bounds the memory."""

_NOT_SEEN = (f'no measured point is on the image and nearer than {FARTHEST_M:g} m; check tf, the '
             'units, and that z of the frame_id of the image is ahead, or x with camera axes '
             'body')

Locate = Callable[[Frame, str, int], NDArray[np.float64]]


class MeasuredDepth(AbstractContextManager['MeasuredDepth']):
    """
    Gives frames their measured points.

    :ivar notes: why frames have none, and what else the user should know -> how often.
    """

    def __init__(self) -> None:
        self.notes = Reasons()

    @abstractmethod
    def points(self, frame: Frame) -> NDArray[np.float32] | None:
        """(N, 3) float32 meters in the camera frame; None, with a note, where there are none."""

    def add(self, frame: Frame) -> Frame:
        """The frame with its points, where there are any."""
        points = self.points(frame)
        return frame if points is None else replace(frame, measured_points_m=points)

    def close(self) -> None:
        """Release files."""

    def __exit__(self, *_: object) -> None:
        """Close at the end of a with statement."""
        self.close()


def open_measured_depth(given: str, source: str | Path | None = None,
                        per_meter: float = PER_METER, axes: Axes = 'optical') -> MeasuredDepth:
    """
    Open a topic of the source, where that is a bag that has it, else a folder.

    :param source: of the images; None: no bag.
    :param per_meter: whole numbers of a file per meter, such as 1000 for mm, 256 for KITTI.
    :param axes: of the frame that images name.
    :raises ConfigError: neither a topic nor a folder with depth pictures.
    """
    path = Path(given)
    if source is not None and Path(source).exists() and is_bag(Path(source)) and not path.is_dir():
        return MeasuredTopic(Path(source), given, axes=axes)
    return MeasuredFolder(path, per_meter)


class MeasuredFolder(MeasuredDepth):
    """
    Depth pictures with the names of the frames, of the same view at any resolution.

    Whole numbers are ``per_meter`` to the meter, 0 none; floats (TIFF, .npy) are meters.
    """

    def __init__(self, folder: Path, per_meter: float = PER_METER) -> None:
        super().__init__()
        if not folder.is_dir():
            raise ConfigError(f'measured depth: {folder} is no folder; give a folder with '
                              f'{" ".join(SUFFIXES)} named as the frames, or a topic of the bag')
        self._folder, self._per_meter = folder, per_meter
        self._files = {path.stem: path for path in sorted(folder.iterdir())
                       if path.suffix.lower() in SUFFIXES}
        if not self._files:
            raise ConfigError(f'measured depth: {folder} holds no {" ".join(SUFFIXES)}')

    def points(self, frame: Frame) -> NDArray[np.float32] | None:
        """See MeasuredDepth."""
        path = self._files.get(frame.name)
        if path is None:
            self.notes.add(f'{self._folder}: has no measured depth of some frames')
            return None
        depth = read_depth(path, self._per_meter)
        points = points_of_depth(depth, _same_view(frame.intrinsics, depth.shape, str(path)))
        if not are_seen(points, frame.intrinsics):
            self.notes.add(f'{self._folder}: {_NOT_SEEN}')
        return points


def read_depth(path: Path, per_meter: float = PER_METER) -> NDArray[np.float32]:
    """
    Read a depth picture.

    :returns: (H, W) float32 meters, NaN or not above 0 where there are none.
    :raises ConfigError: not (H, W), empty, 8 bits, or no picture.
    """
    with reading(path, 'depth', 'write it again'):
        if path.suffix.lower() == '.npy':
            values: Any = array_of(read_bytes(path))
        else:
            values = decode_stored(read_file(path), str(path))
    if values.ndim != 2 or not values.size or (
            values.dtype.kind not in 'uif' or values.dtype.itemsize == 1):
        raise ConfigError(f'{path}: is {values.dtype} {values.shape}; give depth as (H, W) of 16 '
                          'bits or floats')
    if values.dtype.kind == 'f':
        return np.asarray(values, np.float32)
    return np.asarray(values / np.float32(per_meter), np.float32)


def _same_view(camera: Intrinsics, shape: tuple[int, ...], what: str) -> Intrinsics:
    """
    Camera of a picture of the same view in another size.

    :raises ConfigError: the shapes differ.
    """
    height, width = shape
    if not has_shape(camera, width, height):
        raise ConfigError(f'{what}: depth of {width}x{height} px is no view of an image of '
                          f'{camera.width}x{camera.height} px; give depth that is aligned with '
                          'the image, or a topic with its camera_info')
    return scaled_to(camera, width, height)


class MeasuredMessages:
    """
    The last messages of a topic of measured depth, and from them the points of an image.

    One thread adds messages, another one may ask for points.

    :ivar info: CameraInfo of depth images; None where there is none.
    :ivar rectified: the names of the topics say so.
    :ivar max_age_s: farthest stamp from that of an image.
    :param topic: for messages.
    :param locate: image, other frame, stamp in ns -> (4, 4) from there to the optical axes of the
        frame of the image.
    :param hold_out: what is kept back as truth.
    :param axes: of the frame that images name.
    """

    def __init__(self, topic: str, max_age_s: float, locate: Locate,
                 hold_out: HoldOut | None = None, axes: Axes = 'optical') -> None:
        self.info: Any = None
        self.rectified = says_rectified(topic)
        self.max_age_s = max_age_s
        self._topic, self._locate, self._hold_out = topic, locate, hold_out
        self._turn = to_optical(axes)
        # Replaced, not changed: another thread reads it.
        self._kept: tuple[tuple[int, Any], ...] = ()

    def remember(self, message: Any, stamp_ns: int) -> None:
        """Add a message; the oldest of many is dropped."""
        self._kept = (*self._kept[1 - MOST_WAITING:], (stamp_ns, message))

    def forget_before(self, stamp_ns: int) -> None:
        """Drop what is older."""
        self._kept = tuple(item for item in self._kept if item[0] >= stamp_ns)

    @property
    def newest_ns(self) -> int | None:
        """Greatest stamp; None before the first message."""
        return max((stamp_ns for stamp_ns, _ in self._kept), default=None)

    def points(self, frame: Frame) -> tuple[NDArray[np.float32], int, Any]:
        """
        (N, 3) float32 points in the camera frame, their stamp and their message.

        :raises ConfigError: there are none that belong to the image and lie in front of the
            camera, with the reason.
        """
        stamp_ns, message = min(self._kept, key=lambda item: abs(item[0] - frame.stamp_ns),
                                default=(0, None))
        if message is None or abs(stamp_ns - frame.stamp_ns) > self.max_age_s * 1e9:
            raise ConfigError(f'{self._topic}: nothing within {self.max_age_s:g} s of the image')
        try:
            motion = self._locate(frame, message.header.frame_id, stamp_ns)
            camera = None if is_cloud(message) else depth_camera(
                message, self.info, self.rectified, frame)
            points = measured_points(message, camera, self._hold_out)
            if camera is not None and _plain(message.header.frame_id) == _plain(frame.frame_id):
                # Pixels of depth have optical axes, whatever their frame is called.
                motion = motion @ self._turn.T
        except ConfigError as error:
            raise ConfigError(f'{self._topic}: {error}') from None
        points = moved(points, motion)
        if not are_seen(points, frame.intrinsics):
            raise ConfigError(f'{self._topic}: {_NOT_SEEN}')
        return points, stamp_ns, message


class MeasuredTopic(MeasuredDepth):
    """
    The point clouds or depth images of a bag, moved to the camera through its tf.

    It reads the bag by itself, as far as the frames have come, which are in the order of time.

    :param max_age_s: farthest stamp from that of an image.
    :param calibration: YAML of transforms that win over those of the bag.
    :param hold_out: what is kept back as truth.
    :param axes: of the frame that images name.
    :ivar blended, held_out: points so far.
    :ivar way: in which points are held out, see HoldOut.
    :raises ConfigError: no such topic, or one of another type.
    """

    def __init__(self, path: Path, topic: str, *, max_age_s: float = MAX_AGE_S,
                 calibration: Path | None = None, hold_out: HoldOut | None = None,
                 axes: Axes = 'optical') -> None:
        super().__init__()
        self._topic, self.hold_out = topic, hold_out
        self.blended = self.held_out = 0
        self.way = 'at random'
        self._last = MeasuredMessages(topic, max_age_s, self._to_camera, hold_out, axes)
        self._bag = BagReader(path)
        try:
            found = self._bag.topics.get(topic)
            if found is None or found.type not in TYPES or not found.count:
                fitting = sorted(t.name for t in self._bag.topics.values()
                                 if t.type in TYPES and t.count)
                state = 'is not there' if found is None else f'has {found.count} {found.type}'
                raise ConfigError(f'{path}: topic {topic} of measured depth {state}; point clouds '
                                  f'and images are: {", ".join(fitting) or "none"}')
            self._last.info = self._first_info()
            self._motion = RecordedMotion(self._bag, reach_s=max_age_s, calibration=calibration,
                                          axes=axes)
        except BaseException:
            self._bag.close()
            raise
        self._left = found.count
        self._messages = self._bag.messages({topic, *self._motion.topics})

    def points(self, frame: Frame) -> NDArray[np.float32] | None:
        """See MeasuredDepth."""
        self._read_to(frame.stamp_ns)
        try:
            points, _, message = self._last.points(frame)
        except ConfigError as error:
            self._note(str(error))
            return None
        self.blended += len(points)
        if self.hold_out is not None and is_cloud(message):
            held_out, self.way = self.hold_out.of_cloud(message)
            self.held_out += int(held_out.sum())
        elif self.hold_out is not None:
            depth = depth_of(message)
            self.held_out += int(self.hold_out.of_image(message, depth.shape)[depth > 0].sum())
        return points

    def _read_to(self, stamp_ns: int) -> None:
        """Read on until all that belongs to an image is there, or not to be expected."""
        reach_ns = round(1e9 * self._last.max_age_s)
        self._last.forget_before(stamp_ns - reach_ns - KEPT_NS)
        while not (self._motion.settled(stamp_ns) and (
                self._left <= 0 or (self._last.newest_ns or 0) > stamp_ns + reach_ns)):
            recorded = next(self._messages, None)
            if recorded is None:
                return
            if recorded.topic != self._topic:
                self._motion.take(recorded)
                continue
            self._left -= 1
            try:
                message = deserialize(recorded)
            except ConfigError as error:
                self._note(str(error))
                continue
            self._last.remember(message, stamp_of(message) or recorded.stamp_ns)

    def _to_camera(self, frame: Frame, source: str, stamp_ns: int) -> NDArray[np.float64]:
        """(4, 4) to the frame of an image at its stamp, with the motion since where known."""
        tree = self._motion.tree
        with suppress(TransformError):
            return tree.to_camera(frame.frame_id, frame.stamp_ns, source, stamp_ns)
        return tree.to_camera(frame.frame_id, frame.stamp_ns, source, frame.stamp_ns)

    def _first_info(self) -> Any:
        """The first usable CameraInfo of the topic; None without one."""
        infos = [topic.name for topic in self._bag.topics.values() if topic.type == CAMERA_INFO]
        topic = find_info_topic(self._topic, infos).topic
        if topic is None:
            return None
        self._last.rectified = says_rectified(self._topic, topic)
        for message in self._bag.messages((topic,)):
            with suppress(ConfigError):
                info = deserialize(message)
                if is_calibrated(info):
                    return info
        return None

    def _note(self, reason: str) -> None:
        self.notes.add(f'{reason}; no measured depth for this frame')

    def close(self) -> None:
        """Close the bag."""
        self._bag.close()


def _plain(frame_id: str) -> str:
    return frame_id.lstrip('/')


def depth_camera(message: Any, info: Any, rectified: bool, frame: Frame) -> Intrinsics:
    """
    Camera of a depth image: by its CameraInfo, else that of the frame, if it is the same view.

    :param info: None where there is none; rectified: see camera_of_info.
    :raises ConfigError: it has another frame and no CameraInfo, or another shape.
    """
    height, width = depth_of(message).shape
    if info is not None:
        found = camera_of_info(info, width, height, rectified=rectified)
        if found.camera is None:
            raise ConfigError(found.reason)
        return found.camera
    if _plain(message.header.frame_id) != _plain(frame.frame_id):
        raise ConfigError(f'depth of the frame {message.header.frame_id!r} has no camera_info '
                          'beside it; record or publish it, or give depth that is aligned with '
                          'the image')
    return _same_view(frame.intrinsics, (height, width), 'measured depth')
