# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a recording knows of an image besides its pixels: labels, depth, point clouds, boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ....errors import ConfigError
from ....io.bags.storage import BagReader, Message
from ....io.bags.transforms import RecordedMotion
from ....io.messages.measured_points import HoldOut
from ....io.messages.point_clouds import xyz_of
from ....io.messages.reading import stamp_of
from ....io.messages.truth_images import LabelImage, depth_of, ground_truth, labels_of
from ....labels import ClassInfo
from ....rotations import rotation_matrix, to_optical
from ....structures import Frame, GroundTruth, Intrinsics
from ...metrics.frame import TrueBox, plain_name
from ...settings import BoxSettings, LidarSettings, RecordingSettings
from .stamp_window import StampWindow
from .topics import BagTopics, Note

Roi = tuple[float, float, float, float]
Locate = Callable[[str, int], NDArray[np.float64]]
Found = TypeVar('Found')
Map = TypeVar('Map', LabelImage, NDArray[np.float32])

TITLES = {'labels': 'true labels', 'depth': 'true depth', 'lidar': 'lidar depth',
          'boxes': 'true boxes'}

POSITIONS = frozenset(('lidar', 'boxes'))
"""Kinds that need transforms."""

NEAR_M = 0.1
_EDGE_POINTS = 17
"""A box is cut off where its points are nearer than this in front of the camera."""

HIDDEN_M = 0.5
"""A box is hidden by one that is so much nearer; those of a rider and a bicycle overlap."""

FEW_SEEN = 0.01
"""Share of the points of a cloud; of a LiDAR all around, the usual camera sees a tenth."""

MANY_MORE = 10

_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
_EDGES = np.array([(i, i | bit) for bit in (1, 2, 4) for i in range(8) if not i & bit])


class FrameTruth:
    """
    Messages of truth, until the image comes that they belong to.

    :param motion: what positions need; see POSITIONS.
    :param note: counts what the user should know.
    """

    def __init__(self, bag: BagReader, topics: BagTopics, settings: RecordingSettings,
                 motion: RecordedMotion | None, note: Note) -> None:
        sync = settings.sync
        self._topics = topics.truth
        self._settings = settings
        self._note = note
        # Of truth that is blended too, only what is held out is truth.
        self._held_out = {kind: hold_out_of(topic, settings)
                          for kind, topic in topics.truth.items()}
        tolerances = {'labels': sync.map_tolerance_s, 'depth': sync.map_tolerance_s,
                      'lidar': sync.lidar_tolerance_s, 'boxes': sync.box_tolerance_s}
        self._windows = {
            kind: StampWindow({topic: bag.topics[topic].count}, tolerances[kind],
                              sync.max_waiting)
            for kind, topic in topics.truth.items()}
        self._motion = motion

    def takers(self) -> Iterator[tuple[str, Callable[[Message], None]]]:
        """Topics and what takes their messages."""
        for kind, window in self._windows.items():
            topic = self._topics[kind]
            yield topic, partial(window.take, topic, note=self._note)

    def settled(self, stamp_ns: int) -> bool:
        """Whether all that belongs to an image is there, or not to be expected any more."""
        return all(window.settled(stamp_ns) for window in self._windows.values())

    def forget_before(self, stamp_ns: int) -> None:
        """Drop what cannot belong to an image of this stamp or a later one."""
        for window in self._windows.values():
            window.forget_before(stamp_ns)

    def maps(self, frame: Frame, classes: tuple[ClassInfo, ...]) -> GroundTruth:
        """Labels and depth of the pixels of a frame."""
        labels = self._read('labels', frame, partial(_map_of, frame, labels_of))
        depth = self._read('depth', frame, partial(_map_of, frame, self._depth_of))
        try:
            return ground_truth(labels, depth, classes)
        except ConfigError as error:
            self._left_out('labels', error)
            return ground_truth(None, depth, classes)

    def _depth_of(self, message: Any) -> NDArray[np.float32]:
        depth, hold_out = depth_of(message), self._held_out['depth']
        return depth if hold_out is None else np.where(
            hold_out.of_image(message, depth.shape), depth, np.float32(np.nan))

    def lidar(self, frame: Frame) -> NDArray[np.float32] | None:
        """Depth where a point falls on a pixel, see RecordedFrame."""
        settings = self._settings.lidar

        def project(cloud: Any, stamp_ns: int) -> NDArray[np.float32]:
            to_camera = self._locate(frame, cloud.header.frame_id, stamp_ns
                                     if settings.compensate_motion else frame.stamp_ns)
            points, hold_out = xyz_of(cloud), self._held_out['lidar']
            depth = lidar_depth(points, to_camera, frame.intrinsics, settings)
            self._doubt(frame, points, to_camera, int(np.isfinite(depth).sum()))
            if hold_out is None:
                return depth
            # All points hide what is behind them, also those that are no truth.
            truth = points[hold_out.of_cloud(cloud)[0]]
            held_out = lidar_depth(truth, to_camera, frame.intrinsics, settings)
            return np.where(held_out == depth, depth, np.float32(np.nan))

        return self._read('lidar', frame, project)

    def _doubt(self, frame: Frame, points: NDArray[np.float32], to_camera: NDArray[np.float64],
               seen: int) -> None:
        """Say why hardly a point lies on an image, if that is so."""
        if seen > FEW_SEEN * len(points):
            return
        assert self._motion is not None
        topic, named = self._topics['lidar'], frame.frame_id
        if (self._motion.axes == 'optical' and len(points) and MANY_MORE * seen
                < np.count_nonzero(np.isfinite(lidar_depth(
                    points, to_optical('body') @ to_camera, frame.intrinsics,
                    self._settings.lidar)))):
            self._note(f'{topic}: hardly a point lies on the image, but many would if the x axis '
                       f'of {named!r} pointed forward. The header of an image should name its '
                       'optical frame, whose z axis does (REP-103); if this one is a frame of '
                       'the body, give --camera-axes body')
        elif not seen:
            self._note(f'{topic}: no point lies on the image: all are behind the camera, beside '
                       'its view, or nearer or farther than lidar.min_m and lidar.max_m; check '
                       f'tf between {named!r} and the LiDAR, and the camera axes, which are '
                       f'{self._motion.axes}')

    def boxes(self, frame: Frame, classes: tuple[ClassInfo, ...]) -> tuple[TrueBox, ...] | None:
        """Things with a known position, see RecordedFrame; those of other classes are noted."""
        found = self._read('boxes', frame, lambda message, _: true_boxes(
            message, partial(self._locate, frame), frame.intrinsics, self._settings.boxes))
        things = {plain_name(c.name) for c in classes if c.is_thing}
        for name in sorted({box.class_name for box in found or ()}):
            if plain_name(name) not in things:
                self._note(f'{self._topics["boxes"]}: boxes of {name!r} are not judged: the '
                           'results have no thing of that name')
        return found

    def _locate(self, frame: Frame, source: str, stamp_ns: int) -> NDArray[np.float64]:
        """(4, 4) from another frame at a stamp to the optical frame of an image."""
        assert self._motion is not None
        return self._motion.tree.to_camera(frame.frame_id, frame.stamp_ns, source, stamp_ns)

    def _read(self, kind: str, frame: Frame, decode: Callable[[Any, int], Found]) -> Found | None:
        """Decode the message of a frame and its stamp; None, with a note, where that fails."""
        window = self._windows.get(kind)
        if window is None:
            return None
        group = window.nearest(frame.stamp_ns)
        if group is None:
            self._left_out(kind, 'nothing that belongs to the stamp of the image')
            return None
        (message,) = group.messages.values()
        try:
            return decode(message, group.stamp_ns)
        except ConfigError as error:
            self._left_out(kind, error)
            return None

    def _left_out(self, kind: str, reason: object) -> None:
        self._note(f'{self._topics[kind]}: {reason}; no {TITLES[kind]} for this frame')


def hold_out_of(topic: str, settings: RecordingSettings) -> HoldOut | None:
    """
    What of a topic of truth is held out from the blend; None where it is not blended.

    :raises ConfigError: it is blended whole.
    """
    if topic != settings.topics.measured_depth:
        return None
    measured = settings.measured_depth
    if not measured.hold_out:
        raise ConfigError(f'{topic} is both truth and measured_depth, and measured_depth.hold_out '
                          'is 0: the result would be scored by what was blended into it; give a '
                          'share above 0')
    return HoldOut(measured.hold_out, measured.seed)


def _map_of(frame: Frame, decode: Callable[[Any], Map], message: Any, _: int) -> Map:
    """
    Decode an image of truth.

    :raises ConfigError: when it has not the size of the frame.
    """
    height, width = frame.image.shape[:2]
    found = None if hasattr(message, 'width') else decode(message)
    rows, columns = (message.height, message.width) if found is None else (
        found.ids if isinstance(found, LabelImage) else found).shape
    if (rows, columns) != (height, width):
        raise ConfigError(f'is of {columns}x{rows} px, the image of {width}x{height} px')
    return decode(message) if found is None else found


def lidar_depth(points: NDArray[np.float32], to_camera: NDArray[np.float64], camera: Intrinsics,
                settings: LidarSettings) -> NDArray[np.float32]:
    """
    Depth of the pixels that points fall on, without what the camera cannot see.

    :param points: (N, 3) float32 meters in the frame of the LiDAR.
    :param to_camera: (4, 4) from there to the optical frame at the time of the image.
    :returns: (H, W) float32 meters along Z of the nearest point of each pixel, NaN elsewhere.
    """
    nearest = _nearest(points, to_camera, camera, settings.min_m, settings.max_m)
    pixels = np.flatnonzero(np.isfinite(nearest))
    z = nearest.take(pixels)
    gap = z - _before(nearest, settings.occlusion_window_px).take(pixels)
    seen = gap <= settings.occlusion_ratio * z
    depth = np.full(nearest.size, np.nan, np.float32)
    depth[pixels[seen]] = z[seen]
    return depth.reshape(nearest.shape)


def _nearest(points: NDArray[np.float32], to_camera: NDArray[np.float64], camera: Intrinsics,
             min_m: float, max_m: float) -> NDArray[np.float32]:
    """(H, W) float32 least Z of the points in a pixel, +Inf where there is none."""
    turn, move = to_camera[:3, :3].astype(np.float32), to_camera[:3, 3].astype(np.float32)
    z = points @ turn[2] + move[2]
    kept = np.flatnonzero((z >= max(min_m, 1e-3)) & (z <= max_m))
    z, points = z[kept], points[kept]
    x, y = ((points @ turn[axis] + move[axis]) / z for axis in (0, 1))
    # Half a pixel more, so that cutting off the fraction rounds.
    if camera.lens is None:
        u = x * np.float32(camera.fx) + np.float32(camera.cx + 0.5)
        v = y * np.float32(camera.fy) + np.float32(camera.cy + 0.5)
    else:
        u, v = camera.pixels(np.stack([x, y], axis=1)).T + 0.5
    inside = np.flatnonzero((u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height))
    pixels = v[inside].astype(np.int64) * camera.width + u[inside].astype(np.int64)
    depth = np.full(camera.height * camera.width, np.inf, np.float32)
    np.minimum.at(depth, pixels, z[inside])
    return depth.reshape(camera.height, camera.width)


def _before(depth: NDArray[np.float32], width_px: int) -> NDArray[np.float32]:
    """
    Least depth near each pixel.

    A LiDAR sees past edges that hide things from the camera, so things behind show through the
    gaps between the points in front. The rings of a LiDAR are farther apart than the points on a
    ring, hence the window is high. It is high upwards: towards the bottom of the picture the
    ground itself comes nearer, and would hide its farther parts.
    """
    side = width_px // 2
    up, down = 3 * side, side // 2
    window = np.ones((up + 1 + down, 2 * side + 1), np.uint8)
    return np.asarray(cv2.erode(depth, window, anchor=(side, up), borderType=cv2.BORDER_CONSTANT,
                                borderValue=np.inf), np.float32)


class _Cuboid(NamedTuple):
    """
    A box in the optical frame.

    :param center: (3,) meters; turn: (3, 3) from its axes; half: (3,) half of its size.
    """

    class_name: str
    center: NDArray[np.float64]
    turn: NDArray[np.float64]
    half: NDArray[np.float64]

    def entry(self) -> float:
        """
        Where the ray from the optical center to that of the box enters it.

        On that ray the coordinates of the box shrink alike, so the first face is that for which
        half / |coordinate| is least.

        :returns: share of the way to the center; negative when the camera is inside.
        """
        with np.errstate(divide='ignore'):
            return 1.0 - float(np.min(self.half / np.abs(self.center @ self.turn)))


def true_boxes(message: Any, locate: Locate, camera: Intrinsics, settings: BoxSettings
               ) -> tuple[TrueBox, ...]:
    """
    Boxes that can be seen in an image.

    Of a Detection3DArray those are left out whose center is not in the picture or is hidden by
    another box, that contain the camera, that look too small, or that are no box: not finite,
    without size, class or direction. The distance is that of the surface of the box, on the ray
    to its center. Things of an InstanceDistanceArray with a known distance are taken as they are.

    :param message: vision_msgs/Detection3DArray or panoptic_depth/InstanceDistanceArray.
    :param locate: frame and stamp in ns -> (4, 4) from there to the optical frame of the image.
    :raises TransformError: of locate.
    """
    if not hasattr(message, 'detections'):
        return _instances(message, camera, settings)
    cuboids = [cuboid for cuboid in _cuboids(message, locate) if _is_shown(cuboid, camera)]
    entries = np.array([c.center * c.entry() for c in cuboids]).reshape(-1, 3)
    hidden = _hidden(entries, cuboids)
    found = []
    for cuboid, entry, is_hidden in zip(cuboids, entries, hidden, strict=True):
        roi = _clipped(_outline(cuboid, camera), camera)
        if not is_hidden and roi[3] >= settings.min_height_px and roi[2] > 0:
            found.append(TrueBox(cuboid.class_name, roi, float(np.linalg.norm(entry)),
                                 float(entry[2])))
    return tuple(found)


def _instances(message: Any, camera: Intrinsics, settings: BoxSettings) -> tuple[TrueBox, ...]:
    """Boxes of an InstanceDistanceArray; its image may have another size."""
    across = camera.width / (message.image_width or camera.width)
    down = camera.height / (message.image_height or camera.height)
    found = []
    for instance in message.instances:
        roi = instance.roi
        box = TrueBox(instance.class_name, _clipped(
            (roi.x_offset * across, roi.y_offset * down, roi.width * across, roi.height * down),
            camera), float(instance.distance), float(instance.depth))
        if (instance.is_thing and 0 < box.distance_m < math.inf and box.roi[2] > 0
                and box.roi[3] >= settings.min_height_px):
            found.append(box)
    return tuple(found)


def _cuboids(message: Any, locate: Locate) -> Iterator[_Cuboid]:
    """Boxes of a Detection3DArray that are boxes; places are asked for once per frame."""
    places: dict[tuple[str, int], NDArray[np.float64]] = {}
    for detection in message.detections:
        center, size = detection.bbox.center, detection.bbox.size
        turn = center.orientation
        quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
        place = np.array([center.position.x, center.position.y, center.position.z])
        half = np.array([size.x, size.y, size.z]) / 2
        numbers = np.concatenate([place, quaternion, half])
        if not (detection.results and np.isfinite(numbers).all() and half.min() > 0
                and np.linalg.norm(quaternion) > 1e-6):
            continue
        best = max(detection.results, key=lambda result: float(result.hypothesis.score))
        head = detection if detection.header.frame_id else message
        key = head.header.frame_id, stamp_of(head) or stamp_of(message)
        matrix = places[key] if key in places else places.setdefault(key, locate(*key))
        yield _Cuboid(best.hypothesis.class_id, matrix[:3, :3] @ place + matrix[:3, 3],
                      matrix[:3, :3] @ rotation_matrix(*quaternion.tolist()), half)


def _is_shown(cuboid: _Cuboid, camera: Intrinsics) -> bool:
    """Whether the center is in the picture and the surface before it in front of the camera."""
    x, y, z = cuboid.center
    if z <= 0 or z * cuboid.entry() < NEAR_M:
        return False
    u, v = camera.pixels(np.array([[x / z, y / z]]))[0]
    return bool(-0.5 <= u < camera.width - 0.5 and -0.5 <= v < camera.height - 0.5)


def _hidden(points: NDArray[np.float64], cuboids: Sequence[_Cuboid]) -> NDArray[np.bool_]:
    """
    Which points have a box before them.

    :param points: (N, 3) on the surface of the box of their row.
    :returns: (N,) bool.
    """
    hidden = np.zeros(len(points), np.bool_)
    ranges = np.linalg.norm(points, axis=1)
    for row, cuboid in enumerate(cuboids):
        with np.errstate(divide='ignore', invalid='ignore'):
            # Shares of the way at which the ray passes the two planes of each pair of faces.
            along, middle = points @ cuboid.turn, cuboid.center @ cuboid.turn
            ends = np.stack([(middle - cuboid.half) / along, (middle + cuboid.half) / along])
            enter, leave = np.fmin(*ends).max(axis=1), np.fmax(*ends).min(axis=1)
            blocks = (enter < leave) & (enter > 0) & (ranges * (1 - enter) > HIDDEN_M)
        blocks[row] = False
        hidden |= blocks
    return hidden


def _outline(cuboid: _Cuboid, camera: Intrinsics) -> Roi:
    """Rectangle around the part of a box that is in front of the camera; px, maybe outside."""
    corners = cuboid.center + (_CORNERS * cuboid.half) @ cuboid.turn.T
    begin, end = corners[_EDGES[:, 0]], corners[_EDGES[:, 1]]
    cut = (begin[:, 2] < NEAR_M) != (end[:, 2] < NEAR_M)
    begin, end = begin[cut], end[cut]
    share = (NEAR_M - begin[:, 2:]) / (end[:, 2:] - begin[:, 2:])
    points = np.vstack([corners[corners[:, 2] >= NEAR_M], begin + share * (end - begin)])
    if camera.lens is not None:
        # Edges are bent; of a box that reaches out of what the lens shows, the rest counts.
        share = np.linspace(0.0, 1.0, _EDGE_POINTS)[:, None, None]
        begin, end = corners[_EDGES.T]
        points = np.vstack([(begin + share * (end - begin)).reshape(-1, 3), cuboid.center])
        points = points[points[:, 2] >= NEAR_M]
    pixels = camera.pixels(points[:, :2] / points[:, 2:])
    u, v = pixels[np.isfinite(pixels).all(axis=1)].T
    # Pixels are counted from their corner in a rectangle, and from their center in u and v.
    return (float(u.min()) + 0.5, float(v.min()) + 0.5, float(np.ptp(u)), float(np.ptp(v)))


def _clipped(roi: Roi, camera: Intrinsics) -> Roi:
    """Part of a rectangle that is in the image."""
    left, top = max(roi[0], 0.0), max(roi[1], 0.0)
    right, bottom = min(roi[0] + roi[2], camera.width), min(roi[1] + roi[3], camera.height)
    return left, top, max(right - left, 0.0), max(bottom - top, 0.0)
