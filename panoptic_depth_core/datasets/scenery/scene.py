# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A synthetic scene as one table of triangles, and the camera that looks at it.

World frame: x forward, y left, z up, metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...structures import Intrinsics
from .meshes import Array, Mesh, Shape
from .objects import Look
from .textures import TEXTURE

_LEAST_PX = 0.6
"""Objects whose radius is smaller than this in the picture are left out."""
_CLEAR_M = 0.9
"""Room around the camera that no object may reach into."""
_NEAR_M = 25.0
"""No object reaches farther than this from its origin."""


@dataclass(frozen=True)
class Scene:
    """
    Triangles in the world and what each belongs to.

    :param origin: (2,) float64 world x, y in metres that the corners count from.
    :param part: (T,) int32 row in the tables below.
    :param class_id: (P,) int32.
    :param number: (P,) int64 which thing of the world it is, 0 for stuff.
    :param texture: (P,) int32. :param tint: (P, 3) float32. :param gloss, glow: (P,) float32.
    """

    origin: NDArray[np.float64]
    corners: Array
    normals: Array
    uv: Array
    part: NDArray[np.int32]
    class_id: NDArray[np.int32]
    number: NDArray[np.int64]
    texture: NDArray[np.int32]
    tint: Array
    gloss: Array
    glow: Array

    @classmethod
    def merged(cls, scenes: Sequence[Scene], origin: NDArray[np.float64]) -> Scene:
        """One scene of several, counted from a new origin."""
        start, parts, corners = 0, [], []
        for scene in scenes:
            parts.append(scene.part + np.int32(start))
            start += len(scene.class_id)
            shift = np.append(scene.origin - origin, 0.0).astype(np.float32)
            corners.append(scene.corners + shift)
        columns = {name: np.concatenate([getattr(scene, name) for scene in scenes])
                   for name in _COLUMNS}
        return cls(origin=origin, corners=np.concatenate(corners), part=np.concatenate(parts),
                   **columns)


_COLUMNS = ('normals', 'uv', 'class_id', 'number', 'texture', 'tint', 'gloss', 'glow')


@dataclass(frozen=True)
class Camera:
    """
    Where the camera is and how it looks.

    :param position: (3,) float64 world, metres.
    :param rotation: (3, 3) float64, columns are the camera's x, y, z axes in the world.
    """

    intrinsics: Intrinsics
    position: NDArray[np.float64]
    rotation: NDArray[np.float64]

    @classmethod
    def looking(cls, intrinsics: Intrinsics, position: Sequence[float], yaw: float,
                pitch: float = 0.0, roll: float = 0.0) -> Camera:
        """Angles in radians: yaw to the left, pitch downwards, roll clockwise."""
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        forward = np.array([cy * cp, sy * cp, -sp])
        right = np.array([sy, -cy, 0.0])
        down = np.cross(forward, right)
        cr, sr = np.cos(roll), np.sin(roll)
        axes = np.stack([cr * right + sr * down, cr * down - sr * right, forward], 1)
        return cls(intrinsics, np.asarray(position, np.float64), axes)

    def sees(self, x: float, y: float, radius_m: float, margin_m: float = 7.0) -> bool:
        """Whether something about x, y may be in the picture or throw its shadow into it."""
        k = self.intrinsics
        dx, dy = x - self.position[0], y - self.position[1]
        forward = self.rotation[:2, 2]
        norm = math.hypot(*forward)
        ahead = (dx * forward[0] + dy * forward[1]) / norm
        right = (dx * forward[1] - dy * forward[0]) / norm
        reach = radius_m + margin_m
        # Roll and pitch widen what the columns see on the ground; 1.15 covers both.
        left_slope = 1.15 * (k.cx + 1) / k.fx
        right_slope = 1.15 * (k.width - k.cx) / k.fx
        return bool(ahead > -reach
                    and right < right_slope * ahead + reach * math.hypot(1.0, right_slope)
                    and -right < left_slope * ahead + reach * math.hypot(1.0, left_slope))

    def size_px(self, x: float, y: float, size_m: float) -> float:
        """How large something at x, y appears, in px."""
        return self.intrinsics.fx * size_m / max(
            math.hypot(x - self.position[0], y - self.position[1]), 0.1)

    def rays(self, pixels: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """
        (N, 3) directions in the world of all pixels, row by row, with 1 along the optical axis.

        :param pixels: (N, 2) u, v in px; all pixel centres when None.
        """
        k = self.intrinsics
        if pixels is None:
            v, u = np.mgrid[:k.height, :k.width]
            pixels = np.stack([u.ravel(), v.ravel()], 1)
        local = np.stack([(pixels[:, 0] - k.cx) / k.fx, (pixels[:, 1] - k.cy) / k.fy,
                          np.ones(len(pixels))], 1)
        return local @ self.rotation.T


class SceneBuilder:
    """Collects meshes, then makes a Scene of them."""

    def __init__(self, origin: tuple[float, float], camera: Camera | None = None) -> None:
        """
        Begin with nothing.

        :param origin: world x, y in metres that the corners count from.
        :param camera: what it cannot see or what would hide everything from it is left out, what
            is small to it is plainer.
        """
        self.origin = np.asarray(origin, np.float64)
        self._camera = camera
        self._meshes: list[Mesh] = []
        self._places: list[tuple[float, ...]] = []
        self._starts: list[int] = []
        self._rows: list[tuple[int, int, Look]] = []

    def sees(self, x: float, y: float, radius_m: float, margin_m: float = 7.0) -> bool:
        """Whether it is worth while to put something there."""
        return self._camera is None or self._camera.sees(x, y, radius_m, margin_m)

    def put(self, shape: Shape | Mesh, place: tuple[float, float, float], yaw: float,
            class_id: int, looks: Sequence[Look], number: int = 0,
            scale: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        """
        Put an object into the scene: scaled, then turned about z, then shifted.

        :param place: world x, y, z in metres of its origin. :param yaw: radians.
        :param looks: by slot of the mesh. :param number: which thing of the world, 0 for stuff.
        """
        x, y, z = place
        mesh = shape if isinstance(shape, Mesh) else shape.fine
        if self._camera is not None and isinstance(shape, Shape):
            radius = shape.radius_m * max(scale)
            size_px = self._camera.size_px(x, y, radius)
            if size_px < _LEAST_PX or not self._camera.sees(x, y, radius):
                return
            if size_px < shape.coarse_px:
                mesh = shape.coarse
        if self._camera is not None and self._hides(mesh, x, y, yaw, scale, self._camera):
            return
        self._meshes.append(mesh)
        self._places.append((x - self.origin[0], y - self.origin[1], z, math.cos(yaw),
                             math.sin(yaw), *scale))
        self._note(class_id, looks, number)

    def add_ground(self, mesh: Mesh, class_id: int, looks: Sequence[Look]) -> None:
        """Put ground into the scene, whose corners count from the origin already."""
        self._meshes.append(mesh)
        self._places.append((0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0))
        self._note(class_id, looks, 0)

    def _note(self, class_id: int, looks: Sequence[Look], number: int) -> None:
        self._starts.append(len(self._rows))
        self._rows += [(class_id, number, look) for look in looks]

    @staticmethod
    def _hides(mesh: Mesh, x: float, y: float, yaw: float, scale: Sequence[float], camera: Camera
               ) -> bool:
        """Whether the camera would be inside of the mesh, or nearly."""
        dx, dy = camera.position[0] - x, camera.position[1] - y
        if dx * dx + dy * dy > _NEAR_M ** 2:
            return False
        cosine, sine = math.cos(yaw), math.sin(yaw)
        eye = np.array((cosine * dx + sine * dy, cosine * dy - sine * dx))
        points = mesh.corners[..., :2].reshape(-1, 2) * np.asarray(scale[:2], np.float32)
        low, high = points.min(0) - _CLEAR_M, points.max(0) + _CLEAR_M
        return bool(np.all((low < eye) & (eye < high)))

    def build(self) -> Scene:
        """Everything added so far; at least one mesh."""
        looks = [row[2] for row in self._rows]
        sizes = [len(m.slot) for m in self._meshes]
        place = np.repeat(np.array(self._places, np.float32), sizes, axis=0)
        return Scene(
            origin=self.origin,
            corners=_turned(np.concatenate([m.corners for m in self._meshes]) * place[:, None, 5:],
                            place) + place[:, None, :3],
            normals=_turned(np.concatenate([m.normals for m in self._meshes]), place),
            uv=np.concatenate([m.uv for m in self._meshes]),
            part=np.concatenate([m.slot for m in self._meshes]).astype(np.int32) + np.repeat(
                np.array(self._starts, np.int32), sizes),
            class_id=np.array([row[0] for row in self._rows], np.int32),
            number=np.array([row[1] for row in self._rows], np.int64),
            texture=np.array([TEXTURE[look.texture] for look in looks], np.int32),
            tint=np.array([look.tint for look in looks], np.float32),
            gloss=np.array([look.gloss for look in looks], np.float32),
            glow=np.array([look.glow for look in looks], np.float32))


def _turned(points: Array, place: Array) -> Array:
    """(T, 3, 3) points turned about z by the cosine and sine in columns 3 and 4."""
    cosine, sine = place[:, None, 3], place[:, None, 4]
    out = np.empty(points.shape, np.float32)
    out[..., 0] = cosine * points[..., 0] - sine * points[..., 1]
    out[..., 1] = sine * points[..., 0] + cosine * points[..., 1]
    out[..., 2] = points[..., 2]
    return out
