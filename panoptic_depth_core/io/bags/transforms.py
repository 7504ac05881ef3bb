# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Transforms between frames at any two times, from tf of a recording or a calibration file."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, model_validator

from ...config import Settings, load_settings
from ...errors import ConfigError
from ...rotations import Axes, rotation_matrix, to_optical
from ..messages.reading import stamp_of
from ..messages.types import TF_MESSAGE
from .storage import BagReader, Message, deserialize

TF, TF_STATIC = '/tf', '/tf_static'

NEAREST_NS = 200_000_000
"""So far before the first and after the last pose, that pose is used as it is."""

LONGEST_GAP_NS = 1_000_000_000
"""Poses farther apart are not interpolated: at 2 m/s^2 that would be off by 0.25 m."""

MAX_STAMPS = 10_000

MAX_FRAMES = 2_000
"""Trackers publish a frame for every object that they ever saw."""

CONTINUOUS = 'odom'
"""REP-105: the frame in which a vehicle moves without jumps; those above it are corrected."""

MIN_NORM = 1e-6

MAX_DELAY_S = 5.0

Pose = NDArray[np.float64]
"""(7,) translation in meters, then quaternion x, y, z, w."""

Matrix = NDArray[np.float64]


class TransformError(ConfigError):
    """Two frames are not connected, or not at that time."""


def pose_matrix(pose: Pose) -> Matrix:
    """(4, 4) from the frame to its parent, of a pose with a quaternion of any length but 0."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix(*pose[3:].tolist())
    matrix[:3, 3] = pose[:3]
    return matrix


def interpolated(first: Pose, second: Pose, share: float) -> Pose:
    """
    Pose between two: translation on a line, rotation at constant speed on the shorter way.

    Shoemake 1985, "Animating rotation with quaternion curves".

    :param first, second: with quaternions of length 1.
    :param share: 0 first, 1 second.
    """
    cosine = float(first[3:] @ second[3:])
    target = second[3:] if cosine >= 0 else -second[3:]
    angle = math.acos(min(abs(cosine), 1.0))
    weights = (1.0 - share, share)
    # Below, the sines are as small as their rounding, and the arc is as good as straight.
    if angle > 1e-6:
        weights = math.sin(weights[0] * angle), math.sin(weights[1] * angle)
    pose = (1.0 - share) * first + share * second
    pose[3:] = weights[0] * first[3:] + weights[1] * target
    pose[3:] /= np.linalg.norm(pose[3:])
    return pose


@dataclass
class PoseTrack:
    """Poses of a moving frame in its parent, in the order of their stamps."""

    stamps: list[int] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)
    far: tuple[int, Pose] | None = None

    def add(self, stamp_ns: int, pose: Pose, window_ns: int) -> str | None:
        """Add one pose, drop those that are too old; returns what is wrong with it, if it is."""
        if self.stamps and abs(stamp_ns - self.stamps[-1]) > window_ns:
            # One wrong stamp must not drop good poses; two of them are another time.
            far, self.far = self.far, (stamp_ns, pose)
            if far is None or abs(stamp_ns - far[0]) > window_ns:
                return 'a stamp is far from the one before'
            self.stamps, self.poses = [far[0]], [far[1]]
        self.far = None
        at = bisect_left(self.stamps, stamp_ns)
        if at < len(self.stamps) and self.stamps[at] == stamp_ns:
            same = np.allclose(self.poses[at], pose, rtol=0, atol=1e-9)
            return None if same else 'two transforms have one stamp; the first is used'
        self.stamps.insert(at, stamp_ns)
        self.poses.insert(at, pose)
        old = max(bisect_left(self.stamps, self.stamps[-1] - window_ns),
                  len(self.stamps) - MAX_STAMPS)
        del self.stamps[:max(old, 0)], self.poses[:max(old, 0)]
        return None

    def at(self, stamp_ns: int) -> Pose | None:
        """Pose at a time; None where nothing near enough is known."""
        after = bisect_left(self.stamps, stamp_ns)
        if 0 < after < len(self.stamps):
            begin, end = self.stamps[after - 1], self.stamps[after]
            if end - begin <= LONGEST_GAP_NS:
                return interpolated(self.poses[after - 1], self.poses[after],
                                    (stamp_ns - begin) / (end - begin))
        nearest = min(range(max(after - 1, 0), min(after + 1, len(self.stamps))),
                      key=lambda i: abs(self.stamps[i] - stamp_ns))
        if abs(self.stamps[nearest] - stamp_ns) <= NEAREST_NS:
            return self.poses[nearest]
        return None


class TransformTree:
    """
    Frames and their motion over the last seconds.

    :param window_s: how long moving transforms are remembered.
    :ivar turn: (4, 4) from the frame that images name to the optical axes.
    """

    def __init__(self, window_s: float = 10.0, axes: Axes = 'optical') -> None:
        self.problems: Counter[str] = Counter()
        self.turn = to_optical(axes)
        self._window_ns = round(window_s * 1e9)
        self._parents: dict[str, str] = {}
        self._static: dict[str, Matrix] = {}
        self._tracks: dict[str, PoseTrack] = {}
        self._given: set[str] = set()

    def __contains__(self, frame: str) -> bool:
        """Whether a frame is in the tree."""
        return frame in self._parents or frame in self._parents.values()

    @property
    def newest_ns(self) -> int | None:
        """
        Stamp up to which the motion of all frames is known; None where nothing moves.

        Frames without recent transforms do not count: they moved no more, or ended.
        """
        ends = [track.stamps[-1] for track in self._tracks.values()]
        recent = max(ends, default=0) - LONGEST_GAP_NS
        return min((end for end in ends if end >= recent), default=None)

    def add(self, message: Any, is_static: bool) -> None:
        """
        Add a tf2_msgs/TFMessage; wrong transforms are left out and counted in problems.

        :param is_static: from /tf_static, so valid at any time.
        """
        for stamped in message.transforms:
            problem = self._add(stamped, is_static)
            if problem is not None:
                edge = f'{stamped.header.frame_id} -> {stamped.child_frame_id}'
                self.problems[f'tf {edge}: {problem}'] += 1

    def _add(self, stamped: Any, is_static: bool) -> str | None:
        """Add one transform; returns why it is left out, if it is."""
        parent, child = (name.lstrip('/') for name in (stamped.header.frame_id,
                                                       stamped.child_frame_id))
        if child in self._given:
            return 'left out, as the calibration file has this frame'
        move, turn = stamped.transform.translation, stamped.transform.rotation
        pose = np.array([move.x, move.y, move.z, turn.x, turn.y, turn.z, turn.w], np.float64)
        norm = float(np.linalg.norm(pose[3:]))
        if not np.isfinite(pose).all():
            return 'left out, it is not finite'
        if norm < MIN_NORM:
            return 'left out, its quaternion is zero'
        pose[3:] /= norm
        problem = self._new_edge(parent, child)
        if problem is not None:
            return problem
        if child in (self._tracks if is_static else self._static):
            return 'left out, the frame is both on tf and on tf_static'
        self._parents[child] = parent
        if is_static:
            self._static[child] = pose_matrix(pose)
            return None
        track = self._tracks.setdefault(child, PoseTrack())
        return track.add(stamp_of(stamped), pose, self._window_ns)

    def _new_edge(self, parent: str, child: str) -> str | None:
        """Say why an edge cannot be in the tree; None when it can."""
        if not parent or not child:
            return 'left out, a frame has no name'
        known = self._parents.get(child)
        if known == parent:
            return None
        if known is not None:
            return f'left out, its parent is {known}'
        if child in self._chain(parent):
            return 'left out, it closes a circle'
        if len(self._parents) >= MAX_FRAMES:
            if not self._tracks:
                return f'left out, there are {MAX_FRAMES} frames already'
            oldest = min(self._tracks, key=lambda name: self._tracks[name].stamps[-1])
            del self._tracks[oldest], self._parents[oldest]
        return None

    def add_given(self, parent: str, child: str, matrix: Matrix) -> None:
        """
        Add a fixed transform that wins over those of the recording, before any of these.

        :param matrix: (4, 4) from the child to the parent.
        :raises ConfigError: when the frames so given are in a circle, or one has two parents.
        """
        parent, child = parent.lstrip('/'), child.lstrip('/')
        if child in self._given:
            raise ConfigError(f'transform {parent} -> {child}: {child} has the parent '
                              f'{self._parents[child]} already; give one of them')
        if child in self._chain(parent):
            raise ConfigError(f'transform {parent} -> {child} closes a circle of frames; '
                              'leave one of them out')
        self._parents[child], self._static[child] = parent, matrix
        self._given.add(child)

    def _chain(self, frame: str) -> list[str]:
        """A frame and all above it, up to the root."""
        chain = [frame]
        while chain[-1] in self._parents:
            chain.append(self._parents[chain[-1]])
        return chain

    def root(self, frame: str) -> str:
        """The frame at the top of the tree of a frame, which may be that frame itself."""
        return self._chain(frame.lstrip('/'))[-1]

    def between(self, target: str, target_ns: int, source: str, source_ns: int) -> Matrix:
        """
        Motion from a frame at one time to another frame at another time.

        Between two times the way goes through the frame `odom` (REP-105) where it is above both,
        else through the root. At one time it goes the shortest way, which needs no odometry.

        :returns: (4, 4) float64 M: a point p of the source is M p in the target.
        :raises TransformError: naming both frames and what is missing.
        """
        target, source = target.lstrip('/'), source.lstrip('/')
        if target == source and (target_ns == source_ns or target not in self._parents):
            return np.eye(4)
        up, down = self._chain(target), self._chain(source)
        title = f'no transform from {source!r} to {target!r}'
        if up[-1] != down[-1]:
            known = {*self._parents, *self._parents.values()}
            lost = [repr(name) for name in (source, target) if name not in known]
            reason = (f'{" and ".join(lost)} not in tf, which has '
                      f'{", ".join(sorted(known)[:12]) or "no frames"}' if lost else
                      f'they are in two trees, below {down[-1]!r} and {up[-1]!r}')
            raise TransformError(f'{title}: {reason}; record /tf and /tf_static, or give a '
                                 'calibration file')
        common = [frame for frame in up if frame in down]
        fixed = common[0] if target_ns == source_ns else next(
            (frame for frame in common if frame.rpartition('/')[2] == CONTINUOUS), common[-1])
        return np.asarray(np.linalg.inv(self._up_to(fixed, up, target_ns, title))
                          @ self._up_to(fixed, down, source_ns, title))

    def to_camera(self, camera: str, camera_ns: int, source: str, source_ns: int) -> Matrix:
        """(4, 4) from a frame to the optical axes of the frame that an image names."""
        return np.asarray(self.turn @ self.between(camera, camera_ns, source, source_ns))

    def _up_to(self, fixed: str, chain: list[str], stamp_ns: int, title: str) -> Matrix:
        """(4, 4) from the first frame of a chain to one above it."""
        matrix = np.eye(4)
        for frame in chain[:chain.index(fixed)]:
            step = self._static.get(frame)
            if step is None:
                track = self._tracks[frame]
                pose = track.at(stamp_ns)
                if pose is None:
                    nearest = min(track.stamps, key=lambda stamp: abs(stamp - stamp_ns))
                    raise TransformError(
                        f'{title}: {self._parents[frame]} -> {frame} is not known at '
                        f'{stamp_ns / 1e9:.3f} s, but {abs(nearest - stamp_ns) / 1e9:.3f} s '
                        f'{"before" if nearest < stamp_ns else "after"} it; record /tf without '
                        'gaps')
                step = pose_matrix(pose)
            matrix = step @ matrix
        return matrix


class _Mount(Settings):
    """One entry of a calibration file."""

    parent: str = Field(min_length=1)
    child: str = Field(min_length=1)
    translation: Annotated[list[FiniteFloat], Field(min_length=3, max_length=3)] | None = None
    rotation: Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)] | None = None
    matrix: Annotated[list[FiniteFloat], Field(min_length=16, max_length=16)] | None = None

    @model_validator(mode='after')
    def _check(self) -> _Mount:
        given = [part is not None for part in (self.translation, self.rotation, self.matrix)]
        if given not in ([True, True, False], [False, False, True]):
            raise ValueError('give translation: [x, y, z] in meters and rotation: [qx, qy, qz, '
                             'qw], or matrix: 16 numbers row by row')
        if self.rotation is not None and np.linalg.norm(self.rotation) < MIN_NORM:
            raise ValueError('rotation is a quaternion of length 0; give [qx, qy, qz, qw], '
                             '[0, 0, 0, 1] for none')
        matrix = self.to_parent()
        turn = matrix[:3, :3]
        if (np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0
                or np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-6):
            raise ValueError('matrix is no rigid motion: give a rotation and a translation '
                             'in meters row by row, the last row 0, 0, 0, 1')
        return self

    def to_parent(self) -> Matrix:
        """(4, 4) from the child to the parent."""
        if self.matrix is not None:
            return np.array(self.matrix).reshape(4, 4)
        return pose_matrix(np.array([*(self.translation or ()), *(self.rotation or ())]))


class _Calibration(Settings):
    """A calibration file."""

    transforms: list[_Mount] = []


def add_calibration(tree: TransformTree, path: Path | str) -> None:
    """
    Add the transforms of a YAML file, which win over those of the recording.

    `transforms: [{parent: base_link, child: velodyne, translation: [x, y, z], rotation: [qx, qy,
    qz, qw]}]`, or `matrix:` of 16 numbers row by row instead of the last two; meters.

    :raises ConfigError: naming the file, the key and the remedy.
    """
    mounts = load_settings(_Calibration, path).transforms
    if not mounts:
        raise ConfigError(f'{path}: transforms is empty; give transforms: [{{parent: base_link, '
                          'child: lidar, translation: [x, y, z], rotation: [qx, qy, qz, qw]}, '
                          '...]')
    for number, mount in enumerate(mounts):
        try:
            tree.add_given(mount.parent, mount.child, mount.to_parent())
        except ConfigError as error:
            raise ConfigError(f'{path}: transforms.{number}: {error}') from None


class RecordedMotion:
    """
    Fixed transforms of the whole bag, moving ones as they come.

    :param max_delay_s: an image waits for its transforms so long at most, in time of recording.
    :param reach_s: farthest stamp of what belongs to an image.
    :param calibration: YAML of transforms that win over those of the bag.
    :param axes: of the frame that images name.
    :raises ConfigError: a calibration that cannot be read.
    """

    def __init__(self, bag: BagReader, max_delay_s: float = MAX_DELAY_S, reach_s: float = 0.0,
                 calibration: Path | None = None, axes: Axes = 'optical') -> None:
        # What belongs to an image that still waits is older than the delay.
        self.tree = TransformTree(2.0 * max_delay_s, axes)
        self.axes = axes
        self._reach_ns = round(1e9 * reach_s)
        if calibration is not None:
            add_calibration(self.tree, calibration)
        counts = {name: topic.count for name, topic in bag.topics.items()
                  if topic.type == TF_MESSAGE}
        self._left = counts.get(TF, 0)
        self.topics = (TF,) if self._left else ()
        # They mostly are at the start of a recording, which is read up to the last of them.
        for message in islice(bag.messages((TF_STATIC,)), counts.get(TF_STATIC, 0)):
            self._take(message, is_static=True)

    def take(self, message: Message) -> None:
        """Read a message of one of ``topics``."""
        self._left -= 1
        self._take(message, is_static=False)

    def _take(self, message: Message, is_static: bool) -> None:
        try:
            self.tree.add(deserialize(message), is_static)
        except ConfigError as error:
            self.tree.problems[str(error)] += 1

    def settled(self, stamp_ns: int) -> bool:
        """Whether the motion around a stamp is known, or nothing more will be."""
        newest_ns = self.tree.newest_ns
        return self._left <= 0 or (newest_ns is not None
                                   and newest_ns >= stamp_ns + self._reach_ns)
