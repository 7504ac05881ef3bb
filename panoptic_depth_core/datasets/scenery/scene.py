# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A synthetic scene as one table of triangles, and the camera that looks at it.

World frame: x forward, y left, z up, meters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ConfigError
from ...structures import Intrinsics, Mounting
from ...views import rays_of
from .meshes import Array, Look, Mesh, Shape, cross, dot
from .textures import atlas

_LEAST_PX = 0.6
"""Objects whose radius is smaller than this in the picture are left out."""
_SHADOW_M = 7.0
"""Room about an object for its shadow."""
_CLEAR_M = 0.9
"""Room around the camera that no object may reach into."""
_NEAR_M = 25.0
"""No object reaches farther than this from its origin."""
_PART = np.dtype([('class_id', 'i4'), ('number', 'i8'), ('texture', 'i4'), ('tint', 'f4', 3),
                  ('gloss', 'f4'), ('glow', 'f4')])
"""What triangles belong to; number: thing of the world, 0 for stuff."""


class RayCaster:
    """Embree's first hits of rays (N, 3) from points (N, 3) with the triangles of one scene."""

    def __init__(self, corners: Array) -> None:
        try:
            from embreex import mesh_construction, rtcore_scene
        except ImportError:
            raise ConfigError(
                'synthetic scenes need the ray caster embreex, which is not installed; run: '
                "pip install 'panoptic-depth[synthetic]'") from None
        self._scene = rtcore_scene.EmbreeScene()
        self._mesh = mesh_construction.TriangleMesh(self._scene, np.ascontiguousarray(corners))
        exact = corners.astype(np.float64)
        normal = cross(exact[:, 1] - exact[:, 0], exact[:, 2] - exact[:, 0])
        normal /= np.sqrt(dot(normal, normal))[:, None] + 1e-30
        self.planes = np.column_stack([normal, dot(normal, exact[:, 0])])

    def hits(self, points: Array, rays: Array) -> tuple[NDArray[np.int32], Array, Array, Array]:
        """Triangle (-1 none), barycentric u, v and distance."""
        found = self._scene.run(points, rays, output=True)
        triangle = np.where(found['geomID'] < 0, -1, found['primID']).astype(np.int32)
        return triangle, found['u'], found['v'], found['tfar']

    def blocked(self, points: Array, rays: Array) -> NDArray[np.bool_]:
        """Whether anything is hit."""
        return np.asarray(self._scene.run(points, rays, query='OCCLUDED') >= 0)


@dataclass(frozen=True)
class Scene:
    """Triangles in the world, as in Mesh, and what each belongs to."""

    origin: NDArray[np.float64]  # World x, y in meters that the corners count from.
    corners: Array
    normals: Array
    uv: Array
    part: NDArray[np.int32]  # (T,) row of parts.
    parts: NDArray[np.void]  # (P,) of _PART.
    veil: Scene | None = None  # Surfaces that are labeled and not seen: the holes of fences.

    @cached_property
    def caster(self) -> RayCaster:
        return RayCaster(self.corners)

    @classmethod
    def merged(cls, scenes: Sequence[Scene], origin: NDArray[np.float64]) -> Scene:
        """One scene of several, counted from a new origin."""
        veils = [scene.veil for scene in scenes if scene.veil]
        starts = np.cumsum([0, *(len(scene.parts) for scene in scenes[:-1])], dtype=np.int32)
        return cls(
            origin=origin, veil=cls.merged(veils, origin) if veils else None, part=np.concatenate([
                scene.part + start for scene, start in zip(scenes, starts, strict=True)]),
            corners=np.concatenate([
                scene.corners + np.append(scene.origin - origin, 0.0).astype(np.float32)
                for scene in scenes]),
            **{name: np.concatenate([getattr(scene, name) for scene in scenes])
               for name in ('normals', 'uv', 'parts')})


@dataclass(frozen=True)
class Camera:
    """Where the camera is and how it looks."""

    intrinsics: Intrinsics
    position: NDArray[np.float64]  # (3,) world, meters.
    rotation: NDArray[np.float64]  # (3, 3), columns are the camera's axes in the world.

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

    @property
    def mounting(self) -> Mounting:
        """Place above the road, which is at z = 0."""
        return Mounting.from_normal(-self.rotation[2], float(self.position[2]))

    def sees(self, x: float, y: float, radius_m: float) -> bool:
        """Whether something about x, y may be in the picture or throw its shadow into it."""
        dx, dy = x - self.position[0], y - self.position[1]
        forward = self.rotation[:2, 2]
        norm = math.hypot(*forward)
        ahead = (dx * forward[0] + dy * forward[1]) / norm
        right = (dx * forward[1] - dy * forward[0]) / norm
        reach = radius_m + _SHADOW_M
        left_slope, right_slope = _slopes(self.intrinsics)
        return bool(ahead > -reach
                    and right < right_slope * ahead + reach * math.hypot(1.0, right_slope)
                    and -right < left_slope * ahead + reach * math.hypot(1.0, left_slope))

    def rays(self, pixels: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """
        (N, 3) directions in the world of pixels (N, 2) u, v, or of all, with Z = 1.

        NaN where the lens has none.
        """
        k = self.intrinsics
        if pixels is None:
            v, u = np.mgrid[:k.height, :k.width]
            pixels = np.stack([u.ravel(), v.ravel()], 1)
        return k.directions(pixels) @ self.rotation.T


@lru_cache(maxsize=16)
def _slopes(camera: Intrinsics) -> tuple[float, float]:
    """How far to the left and right the picture reaches at z = 1."""
    # Roll and pitch widen what the columns see on the ground; 1.15 covers both.
    if camera.lens is None:
        return (1.15 * (camera.cx + 1) / camera.fx,
                1.15 * (camera.width - camera.cx) / camera.fx)
    x = rays_of(camera, 8)[..., 0]
    return 1.15 * max(-float(np.nanmin(x)), 0.0) + 0.1, 1.15 * max(float(np.nanmax(x)), 0.0) + 0.1


class SceneBuilder:
    """
    Collects meshes, then makes a Scene of them, whose corners count from an origin (x, y).

    :param camera: what it cannot see or what would hide everything from it is left out, what is
        small to it is plainer.
    """

    def __init__(self, origin: tuple[float, float], camera: Camera | None = None) -> None:
        self.origin = np.asarray(origin, np.float64)
        self._camera = camera
        self._meshes: list[Mesh] = []
        self._places: list[tuple[float, ...]] = []
        self._starts: list[int] = []
        self._rows: list[tuple[int, int, int, ArrayLike, float, float]] = []
        self._veil: SceneBuilder | None = None

    def sees(self, x: float, y: float, radius_m: float) -> bool:
        """Whether it is worthwhile to put something there."""
        return self._camera is None or self._camera.sees(x, y, radius_m)

    def put(self, shape: Shape | Mesh, place: tuple[float, float, float], yaw: float,
            class_id: int, looks: Sequence[Look], number: int = 0,
            scale: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        """
        Put an object into the scene: scaled, then turned about z, then shifted to a world place.

        :param looks: by slot of the mesh. :param number: which thing of the world, 0 for stuff.
        """
        x, y, z = place
        mesh = shape if isinstance(shape, Mesh) else shape.fine
        if self._camera is not None and isinstance(shape, Shape):
            radius = shape.radius_m * max(scale)
            away = math.hypot(x - self._camera.position[0], y - self._camera.position[1])
            size_px = self._camera.intrinsics.fx * radius / max(away, 0.1)
            if size_px < _LEAST_PX or not self._camera.sees(x, y, radius):
                return
            if size_px < shape.coarse_px:
                mesh = shape.coarse
        cosine, sine = math.cos(yaw), math.sin(yaw)
        if self._camera is not None:
            dx, dy = self._camera.position[0] - x, self._camera.position[1] - y
            eye = np.array((cosine * dx + sine * dy, cosine * dy - sine * dx))
            if dx * dx + dy * dy <= _NEAR_M ** 2 and _holds(mesh, scale, eye):
                return
        self._add(mesh, (x - self.origin[0], y - self.origin[1], z, cosine, sine, *scale),
                  class_id, looks, number)

    def put_veil(self, mesh: Mesh, place: tuple[float, float, float], yaw: float, class_id: int
                 ) -> None:
        """Put what is labeled as a class and not seen; it hides no thing from the labels."""
        self._veil = self._veil or SceneBuilder((self.origin[0], self.origin[1]), self._camera)
        self._veil.put(mesh, place, yaw, class_id, [Look()])

    @property
    def _empty(self) -> bool:
        return not self._meshes

    def add_ground(self, mesh: Mesh, class_id: int, look: Look) -> None:
        """Put ground into the scene, whose corners count from the origin already."""
        self._add(mesh, (0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0), class_id, [look], 0)

    def _add(self, mesh: Mesh, place: tuple[float, ...], class_id: int, looks: Sequence[Look],
             number: int) -> None:
        self._meshes.append(mesh)
        self._places.append(place)
        self._starts.append(len(self._rows))
        self._rows += [(class_id, number, atlas().rows[look.texture], *look[1:]) for look in looks]

    def build(self) -> Scene:
        """Everything added so far; at least one mesh."""
        sizes = [len(m.slot) for m in self._meshes]
        place = np.repeat(np.array(self._places, np.float32), sizes, axis=0)
        corners, normals, uv, slot = (np.concatenate([getattr(m, name) for m in self._meshes])
                                      for name in ('corners', 'normals', 'uv', 'slot'))
        return Scene(
            origin=self.origin, corners=_turned(corners * place[:, None, 5:], place)
            + place[:, None, :3], normals=_turned(normals, place), uv=uv,
            part=slot.astype(np.int32) + np.repeat(np.array(self._starts, np.int32), sizes),
            parts=np.array(self._rows, _PART),
            veil=None if self._veil is None or self._veil._empty else self._veil.build())


def _holds(mesh: Mesh, scale: Sequence[float], eye: NDArray[np.float64]) -> bool:
    """Whether a point (2,) of the object's frame is inside of the mesh, or nearly."""
    points = mesh.corners[..., :2].reshape(-1, 2) * np.asarray(scale[:2], np.float32)
    low, high = points.min(0) - _CLEAR_M, points.max(0) + _CLEAR_M
    return bool(np.all((low < eye) & (eye < high)))


def _turned(points: Array, place: Array) -> Array:
    """(T, 3, 3) points turned about z by the cosine and sine in columns 3 and 4."""
    cosine, sine = place[:, None, 3], place[:, None, 4]
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], -1)
