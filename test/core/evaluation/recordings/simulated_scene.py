# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A street of plane surfaces whose pictures, ids and depths are exact: every ray is intersected.

World frame: x along the street, y left, z up, meters; the ground is z = 0 (REP-103).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, SKY
from panoptic_depth_core.structures import Intrinsics

FAR_M = 150.0
"""Range at which the ground ends and the sky begins."""

PERIOD_M = 100.0
"""What is passed comes again so much farther on, so that the street never ends."""

ROAD_HALF_WIDTH_M = 4.0
BLUR_PX = 0.6
"""Standard deviation of the blur of the camera, which keeps fine texture from aliasing."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Solid:
    """
    A box on the street.

    :param center: at time 0.
    :param size: length, width, height before it is turned.
    :param yaw: counterclockwise from above, radians.
    :param speed: m/s along x.
    """

    class_name: str
    instance: int
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float = 0.0
    speed: float = 0.0

    @property
    def panoptic_id(self) -> int:
        """Class and instance."""
        return CLASS_ID[self.class_name] * LABEL_DIVISOR + self.instance

    @property
    def rotation(self) -> Array:
        """(3, 3) from its own axes to the world's."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])

    def at(self, time_s: float, viewer_x: float) -> Solid:
        """
        Where it is: when it is 10 m behind the viewer it goes to the other end of the street.

        There it is another thing, of another number.
        """
        x = self.center[0] + self.speed * time_s
        lap = int(np.ceil((viewer_x - 10.0 - self.size[0] / 2 - x) / PERIOD_M))
        instance = self.instance and (self.instance - 1 + 10 * lap) % 990 + 1
        return replace(self, center=(x + lap * PERIOD_M, *self.center[1:]), instance=instance)


STREET = (
    Solid('car', 1, (14.0, -1.7, 0.75), (4.2, 1.8, 1.5), 0.05, 6.0),
    Solid('car', 2, (34.0, 2.4, 0.8), (4.5, 1.9, 1.6), 3.0, -5.0),
    Solid('car', 3, (22.0, -6.2, 0.75), (4.0, 1.7, 1.5), 0.4),
    Solid('truck', 1, (52.0, -2.5, 1.7), (7.0, 2.4, 3.4), -0.1, 4.0),
    Solid('person', 1, (13.0, 3.6, 0.85), (0.5, 0.6, 1.7), 0.3, 1.0),
    Solid('person', 2, (19.0, 4.4, 0.9), (0.4, 0.5, 1.8)),
    Solid('pole', 0, (17.0, 5.2, 2.0), (0.25, 0.25, 4.0)),
    Solid('building', 0, (32.0, 12.0, 4.0), (34.0, 5.0, 8.0), 0.03),
    Solid('wall', 0, (62.0, -12.0, 1.5), (34.0, 0.5, 3.0), -0.15),
)


class Hits(NamedTuple):
    """
    What (N,) rays meet.

    :param along: (N,) in lengths of the direction; +Inf sky.
    :param surface: (N,) row of the solids, -1 ground, -2 sky.
    :param normal: (N, 3) of the surface, world axes; 0 for the sky.
    """

    along: Array
    surface: NDArray[np.int64]
    normal: Array


def cast(solids: tuple[Solid, ...], origin: Array, directions: Array) -> Hits:
    """
    First surface that each ray meets.

    :param origin: (3,) in the world, outside of all solids; directions: (N, 3).
    """
    count = len(directions)
    surface, normal = np.full(count, -2), np.zeros((count, 3))
    with np.errstate(divide='ignore', invalid='ignore'):
        along = np.where(directions[:, 2] < 0, -origin[2] / directions[:, 2], np.inf)
        along[along * np.linalg.norm(directions, axis=1) > FAR_M] = np.inf
        on_ground = np.isfinite(along)
        surface[on_ground], normal[on_ground, 2] = -1, 1.0
        for row, solid in enumerate(solids):
            local = directions @ solid.rotation
            start = (origin - solid.center) @ solid.rotation
            half = np.array(solid.size) / 2
            faces = np.stack([(-half - start) / local, (half - start) / local])
            enter, leave = np.nanmin(faces, axis=0), np.nanmax(faces, axis=0).min(axis=1)
            axis = enter.argmax(axis=1)
            at = enter.max(axis=1)
            hit = np.flatnonzero((at < leave) & (at > 0) & (at < along))
            along[hit], surface[hit] = at[hit], row
            sign = -np.sign(np.take_along_axis(local, axis[:, None], axis=1)[:, 0])
            normal[hit] = (sign[:, None] * solid.rotation.T[axis])[hit]
    return Hits(along, surface, normal)


def _waves() -> tuple[Array, Array, Array]:
    """Wave vectors (K, 3) in rad/m, phases and amplitudes (K,) of a solid texture."""
    rng = np.random.default_rng(7)
    lengths = np.repeat([3.2, 1.3, 0.55, 0.22], 4)
    axes = rng.normal(size=(lengths.size, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return (2 * np.pi / lengths[:, None] * axes, rng.uniform(0, 2 * np.pi, lengths.size),
            np.repeat([0.10, 0.09, 0.08, 0.07], 4))


WAVES = _waves()


def _brightness(points: Array, per_u: Array, per_v: Array) -> Array:
    """
    (N,) around 1: the texture at points, blurred by the camera.

    A wave that turns by r rad per pixel loses exp(-(BLUR_PX r)^2 / 2) under a Gaussian blur.

    :param points: (N, 3) on the axes of the surface; per_u, per_v: (N, 3) their change by pixel.
    """
    value = np.ones(len(points))
    for vector, phase, amplitude in zip(*WAVES, strict=True):
        turn = (per_u @ vector) ** 2 + (per_v @ vector) ** 2
        value += amplitude * np.exp(-0.5 * BLUR_PX ** 2 * turn) * np.sin(points @ vector + phase)
    return value


def pixel_rays(camera: Intrinsics) -> Array:
    """(H * W, 3) rays of the pixels in the optical frame, Z = 1."""
    v, u = np.mgrid[:camera.height, :camera.width]
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy,
                     np.ones_like(u, float)], axis=-1).reshape(-1, 3)


def render(solids: tuple[Solid, ...], camera: Intrinsics, pose: Array
           ) -> tuple[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.float32]]:
    """
    Picture (H, W, 3) RGB, panoptic ids (H, W) and depth (H, W) along Z, +Inf in the sky.

    :param pose: (4, 4) from the optical frame to the world.
    """
    rotation, origin = pose[:3, :3], pose[:3, 3]
    rays = pixel_rays(camera) @ rotation.T
    hits = cast(solids, origin, rays)
    depth = np.where(np.isfinite(hits.along), hits.along, 1e4)[:, None]
    points = origin + depth * rays
    facing = np.einsum('ij,ij->i', hits.normal, rays)[:, None]
    facing[facing == 0] = np.inf
    ids = np.full(len(rays), SKY * LABEL_DIVISOR)
    ground = hits.surface == -1
    is_road = np.abs(points[:, 1]) < ROAD_HALF_WIDTH_M
    ids[ground] = np.where(is_road[ground], CLASS_ID['road'],
                           CLASS_ID['terrain']) * LABEL_DIVISOR
    shade = np.ones(len(rays))
    for row in range(-1, len(solids)):
        here = hits.surface == row
        turn, place = np.eye(3), np.zeros(3)
        if row >= 0:
            solid = solids[row]
            ids[here] = solid.panoptic_id
            # Laps and neighbors do not look the same.
            turn, place = solid.rotation, np.array(solid.center) - solid.panoptic_id
        steps = [depth[here] * (axis - rays[here] * (hits.normal[here] @ axis)[:, None]
                                / facing[here]) @ turn
                 for axis in (rotation[:, 0] / camera.fx, rotation[:, 1] / camera.fy)]
        # Faces of a solid differ a little, so that its edges can be seen.
        faces = hits.normal[here] @ turn @ np.array([0.15, -0.1, 0.1])
        shade[here] = _brightness((points[here] - place) @ turn, *steps) + faces
    colors = np.array([c.color for c in CITYSCAPES])[ids // LABEL_DIVISOR] * 0.6 + 50
    picture = np.clip(colors * shade[:, None], 0, 255).astype(np.uint8)
    shape = camera.height, camera.width
    return (picture.reshape(*shape, 3), ids.reshape(shape).astype(np.uint16),
            hits.along.reshape(shape).astype(np.float32))
