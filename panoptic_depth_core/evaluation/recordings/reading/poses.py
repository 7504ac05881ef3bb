# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How a frame moves in its parent: poses by time, and what is between them."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ....inference.rigid_transform import rotation_matrix

NEAREST_NS = 200_000_000
"""So far before the first and after the last pose, that one is taken as it is."""

LONGEST_GAP_NS = 1_000_000_000
"""Poses farther apart are not interpolated: at 2 m/s^2 that would be off by 0.25 m."""

MAX_STAMPS = 10_000

Pose = NDArray[np.float64]
Matrix = NDArray[np.float64]


def pose_matrix(pose: Pose) -> Matrix:
    """
    Matrix of a pose.

    :param pose: (7,) translation in metres, then quaternion x, y, z, w of any length but 0.
    :returns: (4, 4) from the frame to its parent.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix(*pose[3:].tolist())
    matrix[:3, 3] = pose[:3]
    return matrix


def interpolated(first: Pose, second: Pose, share: float) -> Pose:
    """
    Pose between two: translation on a line, rotation at constant speed on the shorter way.

    Shoemake 1985, "Animating rotation with quaternion curves".

    :param first, second: (7,) poses with quaternions of length 1.
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
        """Take one pose, drop those that are too old; returns what is wrong with it, if it is."""
        if self.stamps and abs(stamp_ns - self.stamps[-1]) > window_ns:
            # One wrong stamp must not cost what is good; two of them are another time.
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
