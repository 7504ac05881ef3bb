# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Shapes of the synthetic scenes: triangle meshes of cars, people, trees and street furniture.

Object frame: x forward, y left, z up, origin on the ground in the middle; metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Mesh:
    """
    Triangles that own their corners.

    :param corners: (T, 3, 3) float32 triangle, corner, xyz in metres.
    :param normals: (T, 3, 3) float32 unit normals at the corners, outwards.
    :param uv: (T, 3, 2) float32 surface coordinates in metres.
    :param slot: (T,) uint8 which of the object's looks the triangle has.
    """

    corners: Array
    normals: Array
    uv: Array
    slot: NDArray[np.uint8]

    def with_slot(self, slot: int) -> Mesh:
        """The same shape with another look."""
        return replace(self, slot=np.full(len(self.slot), slot, np.uint8))

    def moved(self, offset: ArrayLike = (0, 0, 0), yaw: float = 0.0,
              scale: ArrayLike = 1.0) -> Mesh:
        """Scaled, then turned about z, then shifted."""
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
        factor: Array = np.asarray(scale, np.float32)
        shift: Array = np.asarray(offset, np.float32)
        corners = np.asarray((self.corners * factor) @ turn + shift, np.float32)
        return replace(self, corners=corners, normals=self.normals @ turn)


@dataclass(frozen=True)
class Shape:
    """
    A mesh of a stock, and a plainer one for where it is small in the picture.

    :param radius_m: of a cylinder about the origin that holds the mesh.
    :param coarse_px: radius in the picture below which the plainer one is used.
    """

    fine: Mesh
    coarse: Mesh
    radius_m: float
    coarse_px: float

    @classmethod
    def of(cls, fine: Mesh, coarse: Mesh, coarse_px: float) -> Shape:
        """A shape whose radius is measured."""
        radius = float(np.sqrt((fine.corners[..., :2] ** 2).sum(-1).max()))
        return cls(fine, coarse, radius, coarse_px)


def join(parts: Sequence[Mesh]) -> Mesh:
    """One mesh of several."""
    return Mesh(*(np.concatenate([getattr(part, name) for part in parts])
                  for name in ('corners', 'normals', 'uv', 'slot')))


def cross(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Cross product along the last axis; numpy's own is slow for short arrays."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, b))
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


_UV_AXES = np.array([[1, 2], [0, 2], [0, 1]])


def flat(corners: ArrayLike, slot: ArrayLike = 0, uv: Array | None = None) -> Mesh:
    """
    Triangles with one normal each; without ``uv`` that of the most facing coordinate plane.

    :param corners: (T, 3, 3) metres.
    """
    points = np.asarray(corners, np.float32)
    normal = cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    normal /= np.maximum(np.sqrt((normal * normal).sum(1, keepdims=True)), 1e-12)
    if uv is None:
        pair = _UV_AXES[np.abs(normal).argmax(1)]
        uv = points[np.arange(len(points))[:, None, None], np.arange(3)[:, None], pair[:, None]]
    return Mesh(points, np.repeat(normal[:, None], 3, 1), np.asarray(uv, np.float32),
                np.broadcast_to(np.asarray(slot, np.uint8), len(points)))


_SPLIT = np.array([[0, 1, 2], [0, 2, 3]])


def quads(corners: ArrayLike, slot: ArrayLike = 0, uv: NDArray[Any] | None = None) -> Mesh:
    """
    Quadrangles, each as two triangles.

    :param corners: (Q, 4, 3) metres, in order around.
    :param slot: one for all, or (Q,).
    :param uv: (Q, 4, 2) metres.
    """
    points = np.asarray(corners, np.float32)
    return flat(points[:, _SPLIT].reshape(-1, 3, 3),
                np.repeat(np.asarray(slot), 2) if np.ndim(slot) else slot,
                None if uv is None else uv[:, _SPLIT].reshape(-1, 3, 2))


def _unit_box() -> tuple[Array, Array, NDArray[np.int64]]:
    """Corners of the triangles of a box of half size 1, their normals and axes of uv."""
    faces = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            face = np.zeros((4, 3), np.float32)
            face[:, axis] = sign
            face[:, (axis + 1) % 3] = (-1, 1, 1, -1)
            face[:, (axis + 2) % 3] = (-1, -1, 1, 1)
            faces.append(face)
    corners = np.array(faces)[:, _SPLIT].reshape(-1, 3, 3)
    facing = np.repeat(np.arange(3), 4)
    normals = np.zeros((12, 3, 3), np.float32)
    normals[np.arange(12), :, facing] = np.tile((-1.0, -1.0, 1.0, 1.0), 3)[:, None]
    return corners, normals, np.repeat(_UV_AXES[facing][:, None], 3, 1)


_BOX, _BOX_NORMALS, _BOX_AXES = _unit_box()


def box(size: ArrayLike, center: ArrayLike = (0, 0, 0), slot: int = 0) -> Mesh:
    """An axis-parallel box; ``center`` is its middle."""
    half: Array = np.asarray(size, np.float32) / np.float32(2)
    middle: Array = np.asarray(center, np.float32)
    corners = _BOX * half + middle
    return Mesh(corners, _BOX_NORMALS, np.take_along_axis(corners, _BOX_AXES, 2),
                np.full(12, slot, np.uint8))


def loft(rings: ArrayLike, slot: int = 0, smooth: bool = False, caps: bool = True) -> Mesh:
    """
    Skin over a row of rings.

    :param rings: (S, K, 3); counter-clockwise seen from the last ring's outside.
    """
    points = np.asarray(rings, np.float32)
    following = np.roll(points, -1, 1)
    faces = np.stack([points[:-1], following[:-1], following[1:], points[1:]], 2)
    skin = quads(faces.reshape(-1, 4, 3), slot)
    if smooth:
        center = points.mean(1, keepdims=True)
        radial = points - center
        slope = np.gradient(np.linalg.norm(radial, axis=2).mean(1)) if len(points) > 1 else [0.0]
        along = np.gradient(center[:, 0], axis=0)
        step = np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
        normal = radial / (np.linalg.norm(radial, axis=2, keepdims=True) + 1e-6)
        normal = normal - (along / step * (np.asarray(slope)[:, None] / step))[:, None]
        normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-6
        ahead = np.roll(normal, -1, 1)
        four = np.stack([normal[:-1], ahead[:-1], ahead[1:], normal[1:]], 2).reshape(-1, 4, 3)
        skin = replace(skin, normals=np.ascontiguousarray(
            four[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3), np.float32))
    if not caps:
        return skin
    fans = []
    for ring, order in ((points[0], (0, 2, 1)), (points[-1], (0, 1, 2))):
        fan = np.stack([np.repeat(ring[:1], len(ring) - 2, 0), ring[1:-1], ring[2:]], 1)
        fans.append(fan[:, order])
    return join([skin, flat(np.concatenate(fans), slot)])


def limb(start: ArrayLike, end: ArrayLike, radii: Sequence[float], slot: int = 0,
         sides: int = 6) -> Mesh:
    """A tube between two points with the given radii along it, in metres."""
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
    side = np.cross(axis, (1.0, 0, 0) if abs(axis[0]) < 0.8 else (0, 1.0, 0))
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    angle = np.arange(sides) * (2 * np.pi / sides)
    circle = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other
    along = np.linspace(0, 1, len(radii))[:, None, None]
    rings = a + along * (b - a) + np.asarray(radii)[:, None, None] * circle
    return loft(rings, slot, smooth=True)


def ellipsoid(radii: ArrayLike, center: ArrayLike = (0, 0, 0), slot: int = 0, around: int = 8,
              levels: int = 6, rough: float = 0.0, rng: Rng | None = None) -> Mesh:
    """An ellipsoid; ``rough`` is the relative standard deviation of its radius."""
    polar = np.linspace(0, np.pi, levels + 1)
    angle = np.arange(around) * (2 * np.pi / around)
    unit = np.stack([np.sin(polar)[:, None] * np.cos(angle), np.sin(polar)[:, None]
                     * np.sin(angle), -np.cos(polar)[:, None] + 0 * angle], -1)
    bump = np.ones(unit.shape[:2])
    if rng is not None and rough:
        bump = 1 + rough * rng.standard_normal(bump.shape)
        bump[0], bump[-1] = bump[0, 0], bump[-1, 0]
    size = np.asarray(radii, np.float64)
    rings = unit * bump[..., None] * size + np.asarray(center)
    skin = loft(rings, slot, caps=False)
    middle = (skin.corners - np.asarray(center, np.float32)) / np.square(size).astype(np.float32)
    normals = middle / (np.linalg.norm(middle, axis=2, keepdims=True) + 1e-9)
    solid = np.linalg.norm(cross(skin.corners[:, 1] - skin.corners[:, 0],
                                 skin.corners[:, 2] - skin.corners[:, 0]), axis=1) > 1e-9
    return Mesh(skin.corners[solid], normals[solid].astype(np.float32), skin.uv[solid],
                skin.slot[solid])


def disc(radius: float, center: ArrayLike, axis: int, sign: float, slot: int,
         sides: int = 12, start: float = 0.0) -> Mesh:
    """A flat regular polygon that faces along one axis."""
    angle = start + np.arange(sides) * (2 * np.pi / sides) * sign
    ring = np.zeros((sides, 3))
    ring[:, (axis + 1) % 3], ring[:, (axis + 2) % 3] = np.cos(angle), np.sin(angle)
    ring = ring * radius + np.asarray(center)
    fan = np.stack([np.repeat(ring[:1], sides - 2, 0), ring[1:-1], ring[2:]], 1)
    return flat(fan, slot)


def wheel(radius: float, width: float, center: Sequence[float], tyre: int, hub: int,
          sides: int = 14) -> Mesh:
    """A wheel that rolls along x."""
    x, y, z = center
    out = limb((x, y - width / 2, z), (x, y + width / 2, z), (radius, radius), tyre, sides)
    side = np.sign(y) or 1.0
    hubs = disc(radius * 0.58, (x, y + side * (width / 2 + 0.004), z), 1, side, hub, 10)
    return join([out, hubs])


def leaves(rng: Rng, count: int, center: Array, radii: Array, size: float, slot: int) -> Mesh:
    """Loose leaves: triangles of about ``size`` metres scattered over an ellipsoid's surface."""
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    middle = center + direction * radii * rng.uniform(0.9, 1.14, (count, 1))
    mesh = flat(middle[:, None] + rng.normal(0, size, (count, 3, 3)), slot)
    return replace(mesh, normals=np.repeat(direction[:, None], 3, 1).astype(np.float32))
