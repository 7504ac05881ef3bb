# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Triangle meshes of the synthetic scenes, and the primitives that they are made of.

Object frame: x forward, y left, z up, origin on the ground in the middle; meters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Rng = np.random.Generator


class Look(NamedTuple):
    """What covers a slot of a mesh."""

    texture: str = 'plain'
    tint: ArrayLike = (0.5, 0.5, 0.5)  # Linear RGB reflectance.
    gloss: float = 0.0  # Share of mirror reflection at normal incidence.
    glow: float = 0.0  # Light of its own.


@dataclass(frozen=True)
class Mesh:
    """Triangles that own their corners."""

    corners: Array  # (T, 3, 3) float32 triangle, corner, xyz in meters.
    normals: Array  # (T, 3, 3) float32 unit normals at the corners, outwards.
    uv: Array  # (T, 3, 2) float32 surface coordinates in meters.
    slot: NDArray[np.uint8]  # (T,) which of the object's looks the triangle has.

    def moved(self, offset: ArrayLike, scale: ArrayLike = 1.0) -> Mesh:
        """Scale, then shift."""
        corners = self.corners * np.asarray(scale, np.float32) + np.asarray(offset, np.float32)
        return replace(self, corners=corners)


@dataclass(frozen=True)
class Shape:
    """A mesh, and a plainer one for where it is small in the picture."""

    fine: Mesh
    coarse: Mesh
    coarse_px: float  # Radius in the picture below which the plainer one is used.
    radius_m: float  # Of a cylinder about the origin that holds the mesh.


def shapes(maker: Callable[[Rng, bool], Mesh], count: int, coarse_px: float, *seed: int
           ) -> tuple[Shape, ...]:
    """Objects of one kind, the same in every process; ``maker`` takes whether to be plainer."""
    made = []
    for number in range(count):
        fine, coarse = (maker(np.random.default_rng((*seed, number)), plain)
                        for plain in (False, True))
        radius_m = float(np.sqrt((fine.corners[..., :2] ** 2).sum(-1).max()))
        made.append(Shape(fine, coarse, coarse_px, radius_m))
    return tuple(made)


def join(parts: Sequence[Mesh]) -> Mesh:
    return Mesh(*(np.concatenate([getattr(part, name) for part in parts])
                  for name in ('corners', 'normals', 'uv', 'slot')))


def cross(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Cross product along the last axis; numpy's own is slow for short arrays."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, b))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return out


def dot(a: NDArray[Any], b: NDArray[Any]) -> Any:
    """(N,) dot products of the rows of two (N, 3)."""
    return np.einsum('ij,ij->i', a, b)


_UV_AXES = np.array([[1, 2], [0, 2], [0, 1]])


def flat(corners: ArrayLike, slot: ArrayLike = 0, uv: Array | None = None) -> Mesh:
    """Triangles (T, 3, 3) with one normal each; ``uv`` by default by the most facing plane."""
    points = np.asarray(corners, np.float32)
    normal = cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    normal /= np.maximum(np.sqrt((normal * normal).sum(1, keepdims=True)), 1e-12)
    if uv is None:
        axes = _UV_AXES[np.abs(normal).argmax(1)]
        uv = np.take_along_axis(points, np.repeat(axes[:, None], 3, 1), 2)
    return Mesh(points, np.repeat(normal[:, None], 3, 1), np.asarray(uv, np.float32),
                np.broadcast_to(np.asarray(slot, np.uint8), len(points)))


_SPLIT = np.array([[0, 1, 2], [0, 2, 3]])


def quads(corners: ArrayLike, slot: ArrayLike = 0, uv: NDArray[Any] | None = None) -> Mesh:
    """
    Quadrangles, each as two triangles.

    :param corners: (Q, 4, 3) meters, in order around. :param uv: (Q, 4, 2) meters.
    :param slot: one for all, or (Q,).
    """
    points = np.asarray(corners, np.float32)
    return flat(points[:, _SPLIT].reshape(-1, 3, 3),
                np.repeat(np.asarray(slot), 2) if np.ndim(slot) else slot,
                None if uv is None else uv[:, _SPLIT].reshape(-1, 3, 2))


def _unit_box() -> Mesh:
    """A box of half size 1."""
    faces = np.empty((3, 2, 4, 3), np.float32)
    for axis in range(3):
        faces[axis, ..., axis] = ((-1,), (1,))
        faces[axis, ..., (axis + 1) % 3] = (-1, 1, 1, -1)
        faces[axis, ..., (axis + 2) % 3] = (-1, -1, 1, 1)
    mesh = quads(faces.reshape(-1, 4, 3))
    outwards = np.tile((-1, -1, 1, 1), 3)[:, None, None]
    return replace(mesh, normals=(mesh.normals * outwards).astype(np.float32))


_BOX = _unit_box()
_BOX_AXES = np.repeat(np.repeat(_UV_AXES, 4, 0)[:, None], 3, 1)


def box(size: ArrayLike, center: ArrayLike = (0, 0, 0), slot: int = 0) -> Mesh:
    """An axis-parallel box about its center."""
    mesh = _BOX.moved(center, np.asarray(size, np.float32) / np.float32(2))
    return replace(mesh, uv=np.take_along_axis(mesh.corners, _BOX_AXES, 2),
                   slot=np.full(12, slot, np.uint8))


def loft(rings: ArrayLike, slot: int = 0, smooth: bool = False, caps: bool = True) -> Mesh:
    """Skin over rings (S, K, 3), counter-clockwise seen from the outside of the last one."""
    points = np.asarray(rings, np.float32)
    skin = quads(_between(points), slot)
    if smooth:
        center = points.mean(1, keepdims=True)
        radial = points - center
        slope = np.gradient(np.linalg.norm(radial, axis=2).mean(1))
        along = np.gradient(center[:, 0], axis=0)
        step = np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
        normal = radial / (np.linalg.norm(radial, axis=2, keepdims=True) + 1e-6)
        normal = normal - (along / step * (slope[:, None] / step))[:, None]
        normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-6
        skin = replace(skin, normals=_between(normal)[:, _SPLIT].reshape(-1, 3, 3).astype(
            np.float32))
    if not caps:
        return skin
    return join([skin, flat(np.concatenate([_fan(points[0])[:, (0, 2, 1)],
                                            _fan(points[-1])]), slot)])


def _between(rings: NDArray[Any]) -> NDArray[Any]:
    """(Q, 4, ...) the values of rings at the corners of the quadrangles between them."""
    following = np.roll(rings, -1, 1)
    return np.stack([rings[:-1], following[:-1], following[1:], rings[1:]], 2).reshape(-1, 4, 3)


def _fan(ring: NDArray[Any]) -> NDArray[Any]:
    """(K - 2, 3, 3) triangles of a convex polygon."""
    return np.stack([np.repeat(ring[:1], len(ring) - 2, 0), ring[1:-1], ring[2:]], 1)


def limb(start: ArrayLike, end: ArrayLike, radii: Sequence[float], slot: int = 0,
         sides: int = 6) -> Mesh:
    """A tube between two points with the given radii along it, in meters."""
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
    side = np.cross(axis, (1.0, 0, 0) if abs(axis[0]) < 0.8 else (0, 1.0, 0))
    side /= np.linalg.norm(side)
    angle = np.arange(sides) * (2 * np.pi / sides)
    circle = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * np.cross(axis, side)
    along = np.linspace(0, 1, len(radii))[:, None, None]
    return loft(a + along * (b - a) + np.asarray(radii)[:, None, None] * circle, slot, smooth=True)


def ellipsoid(radii: ArrayLike, center: ArrayLike = (0, 0, 0), slot: int = 0, around: int = 8,
              levels: int = 6, rough: float = 0.0, rng: Rng | None = None) -> Mesh:
    """An ellipsoid; ``rough`` is the relative standard deviation of its radius."""
    polar = np.linspace(0, np.pi, levels + 1)[:, None]
    angle = np.arange(around) * (2 * np.pi / around)
    unit = np.stack([np.sin(polar) * np.cos(angle), np.sin(polar) * np.sin(angle),
                     -np.cos(polar) + 0 * angle], -1)
    bump = np.ones(unit.shape[:2])
    if rng is not None:
        bump = 1 + rough * rng.standard_normal(bump.shape)
        bump[0], bump[-1] = bump[0, 0], bump[-1, 0]
    size = np.asarray(radii, np.float64)
    skin = loft(unit * bump[..., None] * size + np.asarray(center), slot, caps=False)
    middle = (skin.corners - np.asarray(center, np.float32)) / np.square(size).astype(np.float32)
    normals = middle / (np.linalg.norm(middle, axis=2, keepdims=True) + 1e-9)
    a, b, c = skin.corners.transpose(1, 0, 2)
    solid = np.linalg.norm(cross(b - a, c - a), axis=1) > 1e-9
    return Mesh(skin.corners[solid], normals[solid].astype(np.float32), skin.uv[solid],
                skin.slot[solid])


def disc(radius: float, center: ArrayLike, axis: int, sign: float, slot: int,
         sides: int = 12, start: float = 0.0) -> Mesh:
    """A flat regular polygon that faces along one axis."""
    angle = start + np.arange(sides) * (2 * np.pi / sides) * sign
    ring = np.zeros((sides, 3))
    ring[:, (axis + 1) % 3], ring[:, (axis + 2) % 3] = np.cos(angle), np.sin(angle)
    return flat(_fan(ring * radius + np.asarray(center)), slot)


def wheel(radius: float, width: float, center: Sequence[float], tyre: int, hub: int,
          sides: int = 14) -> Mesh:
    """A wheel that rolls along x."""
    x, y, z = center
    side = np.sign(y) or 1.0
    return join([limb((x, y - width / 2, z), (x, y + width / 2, z), (radius, radius), tyre, sides),
                 disc(radius * 0.58, (x, y + side * (width / 2 + 0.004), z), 1, side, hub, 10)])


def leaves(rng: Rng, count: int, center: NDArray[Any], radii: NDArray[Any], size: float,
           slot: int) -> Mesh:
    """Loose leaves: triangles of about ``size`` meters scattered over an ellipsoid's surface."""
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    middle = center + direction * radii * rng.uniform(0.9, 1.14, (count, 1))
    mesh = flat(middle[:, None] + rng.normal(0, size, (count, 3, 3)), slot)
    return replace(mesh, normals=np.repeat(direction[:, None], 3, 1).astype(np.float32))
