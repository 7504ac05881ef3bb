# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""True boxes as they look in an image, and which predicted instance answers each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....inference.rigid_transform import rotation_matrix
from ....io.messages.reading import stamp_of
from ....structures import InstanceDistance, Intrinsics
from ..settings import BoxSettings
from ..structures import TrueBox

Roi = tuple[float, float, float, float]
Locate = Callable[[str, int], NDArray[np.float64]]

NEAR_M = 0.1
"""A box is cut off where its points are not so far in front of the camera."""

HIDDEN_M = 0.5
"""A box is hidden by one that is so much nearer; those of a rider and a bicycle overlap."""

_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
_EDGES = np.array([(i, i | bit) for bit in (1, 2, 4) for i in range(8) if not i & bit])


class _Cuboid(NamedTuple):
    """
    A box in the optical frame.

    :param center: (3,) metres; turn: (3, 3) from its axes; half: (3,) half of its size.
    """

    class_name: str
    center: NDArray[np.float64]
    turn: NDArray[np.float64]
    half: NDArray[np.float64]

    def entry(self) -> float:
        """
        Where the ray from the optical centre to that of the box enters it.

        On that ray the coordinates of the box shrink alike, so the first face is that for which
        half / |coordinate| is least.

        :returns: share of the way to the centre; negative when the camera is inside.
        """
        with np.errstate(divide='ignore'):
            return 1.0 - float(np.min(self.half / np.abs(self.center @ self.turn)))


def true_boxes(message: Any, locate: Locate, camera: Intrinsics, settings: BoxSettings
               ) -> tuple[TrueBox, ...]:
    """
    Boxes that are to be seen in an image.

    Of a Detection3DArray those are left out whose centre is not in the picture or is hidden by
    another box, in which the camera is, that look too small, or that are no box: not finite,
    without size, class or direction. The distance is that of the surface of the box, on the ray
    to its centre. The rectangles, distances and depths of an InstanceDistanceArray are taken as
    they are, of things whose distance is known.

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
    """Whether the centre is in the picture and the surface before it in front of the camera."""
    x, y, z = cuboid.center
    if z <= 0 or z * cuboid.entry() < NEAR_M:
        return False
    u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
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
    u = camera.fx * points[:, 0] / points[:, 2] + camera.cx
    v = camera.fy * points[:, 1] / points[:, 2] + camera.cy
    # Pixels are counted from their corner in a rectangle, and from their centre in u and v.
    return (float(u.min()) + 0.5, float(v.min()) + 0.5, float(np.ptp(u)), float(np.ptp(v)))


def _clipped(roi: Roi, camera: Intrinsics) -> Roi:
    """Part of a rectangle that is in the image."""
    left, top = max(roi[0], 0.0), max(roi[1], 0.0)
    right, bottom = min(roi[0] + roi[2], camera.width), min(roi[1] + roi[3], camera.height)
    return left, top, max(right - left, 0.0), max(bottom - top, 0.0)


def _iou(one: Roi, other: Roi) -> float:
    """Intersection over union of two rectangles."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    union = one[2] * one[3] + other[2] * other[3] - both
    return both / union if union > 0 else 0.0


def plain_name(name: str) -> str:
    """Name of a class as it is compared: 'Traffic_Light' is 'traffic light'."""
    return name.lower().replace('_', ' ')


def match_boxes(boxes: Sequence[TrueBox], distances: Sequence[InstanceDistance],
                settings: BoxSettings) -> list[int | None]:
    """
    Instance that answers each box: of its class, with the best IoU, each used once.

    :param distances: of the image of the boxes.
    :returns: per box the index of its instance, None where there is none.
    """
    pairs = sorted((-_iou(box.roi, instance.roi), row, column)
                   for row, box in enumerate(boxes) for column, instance in enumerate(distances)
                   if plain_name(box.class_name) == plain_name(instance.class_name))
    answers: list[int | None] = [None] * len(boxes)
    used: set[int] = set()
    for negative, row, column in pairs:
        if -negative >= settings.min_iou and answers[row] is None and column not in used:
            answers[row] = column
            used.add(column)
    return answers
