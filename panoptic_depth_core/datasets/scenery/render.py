# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Ray casting of a synthetic scene: exact ids and depth, and a picture with light, air and shadow.

The intersections are Embree's (extra ``synthetic``); depth is then recomputed in double
precision from the plane of the triangle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ConfigError
from ...labels import SKY
from .meshes import Array, cross
from .scene import Camera, Scene
from .textures import cloud_tile, sample

_EDGE_OFFSETS = np.array(((-0.28, -0.11), (0.11, -0.28), (0.28, 0.11), (-0.11, 0.28)))
"""Where in a pixel at an edge the colour is sampled besides its centre, in px."""


@dataclass(frozen=True)
class Light:
    """
    Sun, sky and air; all colours linear RGB.

    :param sun_direction: (3,) unit vector towards the sun.
    :param softness: 0 hard shadows; else the spread of the direction to the light.
    :param haze_per_m: extinction of the air.
    :param cloud: 0 clear .. 1 overcast.
    """

    sun_direction: Array
    sun: Array
    ambient: Array
    zenith: Array
    horizon: Array
    haze_per_m: float
    cloud: float
    softness: float
    seed: int
    shadows: bool = True


@dataclass(frozen=True)
class Lens:
    """
    From radiance to the bytes of a picture.

    :param noise: standard deviation of the sensor's noise, of full scale.
    :param contrast: slope of the tone curve about mid grey.
    :param blur_px: standard deviation of the blur.
    """

    exposure: float
    white_balance: ArrayLike
    gamma: float
    noise: float
    blur_px: float
    vignette: float
    contrast: float = 1.0


@dataclass(frozen=True)
class Render:
    """
    A picture and what is on it.

    :param image: (H, W, 3) uint8.
    :param class_id: (H, W) int32.
    :param number: (H, W) int64 thing of the world, 0 for stuff.
    :param depth: (H, W) float32 metres, +Inf for sky.
    """

    image: NDArray[np.uint8]
    class_id: NDArray[np.int32]
    number: NDArray[np.int64]
    depth: Array


def _dot(a: NDArray[Any], b: NDArray[Any]) -> Any:
    """(N,) dot products of rows."""
    return np.einsum('ij,ij->i', a, b)


class RayCaster:
    """First hits of rays with the triangles of one scene."""

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
        normal /= np.sqrt(_dot(normal, normal))[:, None] + 1e-30
        self.planes = np.column_stack([normal, _dot(normal, exact[:, 0])])

    def hits(self, origins: Array, directions: Array
             ) -> tuple[NDArray[np.int32], Array, Array, Array]:
        """Triangle (-1 none), barycentric u, v and distance of the first hit of each ray."""
        found = self._scene.run(origins, directions, output=True)
        triangle = np.where(found['geomID'] < 0, -1, found['primID']).astype(np.int32)
        return triangle, found['u'], found['v'], found['tfar']

    def blocked(self, origins: Array, directions: Array) -> NDArray[np.bool_]:
        """Whether anything is hit."""
        found: NDArray[np.int32] = self._scene.run(origins, directions, query='OCCLUDED')
        return found >= 0


@dataclass(frozen=True)
class _Hits:
    """
    What rays met.

    :param seen: (M,) which rays met something. :param triangle: (M,) row of the scene.
    :param weight: (M, 3) barycentric. :param plane: (M, 3) unit normal towards the camera.
    :param depth: (M,) float64 in units of the ray's direction.
    """

    seen: NDArray[np.int64]
    triangle: NDArray[np.int32]
    weight: Array
    plane: Array
    depth: NDArray[np.float64]


class Stage:
    """
    Scenes that are looked at together, with a ray caster each, so that one can be kept.

    :param fixed: a scene and its ray caster that stay from picture to picture.
    """

    def __init__(self, scenes: Sequence[Scene], casters: Sequence[RayCaster] = ()) -> None:
        self.casters = [*casters, *(RayCaster(s.corners) for s in scenes[len(casters):])]
        self.starts = np.cumsum([0] + [len(s.part) for s in scenes[:-1]])
        self.planes = np.concatenate([caster.planes for caster in self.casters])
        self.scene = scenes[0] if len(scenes) == 1 else Scene.merged(scenes, scenes[0].origin)

    def look(self, eye: NDArray[np.float64], rays: NDArray[np.float64]) -> _Hits:
        """
        First hits of rays from one point.

        :param eye: (3,) world. :param rays: (N, 3).
        """
        start = eye - np.append(self.scene.origin, 0.0)
        directions = rays.astype(np.float32)
        origins = np.broadcast_to(start.astype(np.float32), rays.shape).copy()
        triangle, u, v, far = self.casters[0].hits(origins, directions)
        for caster, first in zip(self.casters[1:], self.starts[1:], strict=True):
            other = caster.hits(origins, directions)
            nearer = np.flatnonzero((other[0] >= 0) & ((other[3] < far) | (triangle < 0)))
            triangle[nearer] = other[0][nearer] + np.int32(first)
            for mine, its in zip((u, v, far), other[1:], strict=True):
                mine[nearer] = its[nearer]
        seen = np.flatnonzero(triangle >= 0)
        triangle, u, v = triangle[seen], u[seen], v[seen]
        plane = self.planes[triangle]
        slope = _dot(plane[:, :3], rays[seen])
        depth = (plane[:, 3] - plane[:, :3] @ start) / slope
        facing = (plane[:, :3] * -np.sign(slope)[:, None]).astype(np.float32)
        return _Hits(seen, triangle, np.stack([1 - u - v, u, v], 1), facing, depth)

    def blocked(self, points: Array, directions: Array) -> NDArray[np.bool_]:
        """Whether anything is in the way; points count from the scene's origin."""
        found = np.zeros(len(points), np.bool_)
        for caster in self.casters:
            found |= caster.blocked(points, directions)
        return found


def render(stage: Stage, camera: Camera, light: Light, lens: Lens, rng: np.random.Generator,
           edge_samples: int = 2) -> Render:
    """
    Take a picture with its truth.

    :param rng: noise of the sensor and soft shadows.
    :param edge_samples: further rays for the colour of pixels at edges, 0..4.
    :raises ConfigError: when the ray caster is not installed.
    """
    k, scene = camera.intrinsics, stage.scene
    shape = (k.height, k.width)
    count = k.height * k.width
    rays = camera.rays()
    hits = stage.look(camera.position, rays)
    part = scene.part[hits.triangle]
    depth = np.full(count, np.inf, np.float32)
    depth[hits.seen] = hits.depth
    class_id = np.full(count, SKY, np.int32)
    class_id[hits.seen] = scene.class_id[part]
    number = np.zeros(count, np.int64)
    number[hits.seen] = scene.number[part]
    free = np.ones(count, np.float32)
    if light.shadows:
        free[hits.seen] = _visibility(stage, camera, light, rays[hits.seen], hits, rng)
        size = 5 if light.softness > 0.1 else 3
        free = np.asarray(cv2.blur(free.reshape(shape), (size, size)), np.float32).ravel()
    radiance = _radiance(stage, camera, light, rays, hits, free[hits.seen])
    if edge_samples:
        look = np.full(count, -1, np.int32)
        look[hits.seen] = part
        at = np.flatnonzero(_edges(look.reshape(shape), depth.reshape(shape)).ravel())
        pixels = np.stack([at % k.width, at // k.width], 1)
        for offset in _EDGE_OFFSETS[:edge_samples]:
            more = camera.rays(pixels + offset)
            met = stage.look(camera.position, more)
            radiance[at] += _radiance(stage, camera, light, more, met, free[at][met.seen])
        radiance[at] /= edge_samples + 1
    image = _develop(radiance.reshape(*shape, 3), lens, rng)
    return Render(image, class_id.reshape(shape), number.reshape(shape), depth.reshape(shape))


def _edges(look: NDArray[np.int32], depth: Array) -> NDArray[np.bool_]:
    """(H, W) bool: pixels next to another material, or to another depth."""
    edge = np.zeros(look.shape, np.bool_)
    near = np.minimum(depth, 1e4)
    for out, row, z in ((edge, look, near), (edge.T, look.T, near.T)):
        jump = (row[1:] != row[:-1]) | (np.abs(z[1:] - z[:-1]) > 0.3 * np.minimum(z[1:], z[:-1]))
        out[:-1] |= jump
        out[1:] |= jump
    return edge


def _visibility(stage: Stage, camera: Camera, light: Light, rays: NDArray[np.float64],
                hits: _Hits, rng: np.random.Generator) -> Array:
    """(M,) float32: 1 where the sun reaches a hit, 0 in the shadow of something."""
    distance = hits.depth * np.linalg.norm(rays, axis=1)
    start = camera.position - np.append(stage.scene.origin, 0.0)
    point = start + rays * hits.depth[:, None] + hits.plane * (2e-3 + 4e-5 * distance)[:, None]
    to_light = np.broadcast_to(light.sun_direction, point.shape) + light.softness * (
        rng.standard_normal(point.shape, np.float32))
    behind = np.minimum(_dot(hits.plane, to_light), 0.0)
    if light.softness > 0.1:
        to_light -= 2 * behind[:, None] * hits.plane
        behind[:] = 0.0
    free = np.ones(len(rays), np.float32)
    lit = np.flatnonzero(behind == 0.0)
    free[lit] = ~stage.blocked(point[lit].astype(np.float32), to_light[lit].astype(np.float32))
    return free


def _radiance(stage: Stage, camera: Camera, light: Light, rays: NDArray[np.float64], hits: _Hits,
              free: Array) -> Array:
    """
    (N, 3) float32 linear light that comes along rays.

    :param free: (M,) share of the sun that reaches each hit.
    """
    scene, tri = stage.scene, hits.triangle
    rays32 = rays.astype(np.float32)
    norm = np.sqrt(_dot(rays32, rays32))
    view = rays32 / norm[:, None]
    out = np.empty((len(rays), 3), np.float32)
    missed = np.ones(len(rays), np.bool_)
    missed[hits.seen] = False
    out[missed] = _sky_color(view[missed], light)
    view = view[hits.seen]
    distance = hits.depth.astype(np.float32) * norm[hits.seen]
    part = scene.part[tri]
    uv = np.einsum('nk,nkc->nc', hits.weight, scene.uv[tri])
    normal = np.einsum('nk,nkc->nc', hits.weight, scene.normals[tri])
    side = _dot(hits.plane, normal)
    normal *= (np.where(side < 0, -1, 1) / (np.sqrt(_dot(normal, normal))
                                            + 1e-9))[:, None].astype(np.float32)
    cosine = np.maximum(-_dot(hits.plane, view), 0.05)
    footprint = distance / np.float32(camera.intrinsics.fx) / np.sqrt(cosine)
    albedo = sample(scene.texture[part], uv, footprint, scene.tint[part])
    lambert = np.clip(normal @ light.sun_direction, 0.0, 1.0) * free
    up = 0.62 + 0.38 * normal[:, 2:]
    if light.softness > 0.1:
        up *= (0.45 + 0.55 * free)[:, None]
    bounce = np.array([0.16, 0.14, 0.12], np.float32) * light.sun.mean() * (1 - normal[:, 2:]) / 2
    glow = scene.glow[part][:, None]
    color = albedo * (light.sun * lambert[:, None] + light.ambient * up + bounce + glow)
    gloss = scene.gloss[part]
    shiny = np.flatnonzero(gloss > 0)
    if len(shiny):
        color[shiny] = _mirrored(color[shiny], normal[shiny], view[shiny], gloss[shiny, None],
                                 free[shiny, None], light)
    air = light.horizon * np.float32(0.9)
    clear = np.exp(-light.haze_per_m * distance)[:, None]
    out[hits.seen] = air + (color - air) * clear
    return out


def _mirrored(color: Array, normal: Array, view: Array, gloss: Array, free: Array,
              light: Light) -> Array:
    """Add the mirror image of sky, ground and sun (Schlick's approximation of Fresnel)."""
    facing = _dot(normal, view)[:, None]
    mirror = view - 2 * facing * normal
    share = gloss + (1 - gloss) * (1 - np.abs(facing)) ** 5 * 0.6
    ground = light.ambient * 0.25 + light.sun * 0.06
    blend = np.clip(mirror[:, 2:] * 4 - 0.5, 0.0, 1.0)
    env = ground + (_sky_color(mirror, light) - ground) * blend
    env = env + 12 * light.sun * free * np.clip(mirror @ light.sun_direction, 0, 1)[:, None] ** 220
    out: Array = color + share * (env - color)
    return out


def _sky_color(direction: Array, light: Light) -> Array:
    """(N, 3) radiance of the sky along unit vectors."""
    up = np.clip(direction[:, 2:], 0.0, 1.0)
    color = light.horizon + (light.zenith - light.horizon) * up ** 0.55
    sunward = np.clip(direction @ light.sun_direction, 0.0, 1.0)[:, None]
    color = color + (1 - light.cloud) * light.sun * (0.12 * sunward ** 24 + 0.05 * sunward ** 4)
    plane = direction[:, :2] / (np.abs(direction[:, 2:]) + 0.18)
    field = cloud_tile()
    size = len(field)
    index = np.minimum((np.mod(plane * 0.11, 1.0) * size).astype(np.int32), size - 1)
    # The seed shifts the tile.
    index = (index - (light.seed * 104729 % size, light.seed * 7919 % size)) % size
    density = field[index[:, 1], index[:, 0]][:, None]
    cover = np.clip((density - 1.3 + 2.4 * light.cloud) * 0.6, 0.0, 1.0) * np.clip(up * 6, 0, 1)
    bright = light.sun * 0.32 + light.ambient * 0.75
    shaded = bright * np.clip(1.1 - 0.16 * (density + 1), 0.5, 1.1)
    out: Array = (color + cover * 0.9 * (shaded - color)).astype(np.float32)
    return out


def _develop(radiance: Array, lens: Lens, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Bytes of a picture; ``radiance`` is (H, W, 3) float32 linear."""
    h, w = radiance.shape[:2]
    light = radiance * (np.asarray(lens.white_balance, np.float32) * np.float32(lens.exposure))
    if lens.vignette:
        y, x = np.ogrid[-1:1:h * 1j, -1:1:w * 1j]
        light *= (1 - lens.vignette * 0.5 * (x * x + y * y)).astype(np.float32)[..., None]
    if lens.blur_px > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), lens.blur_px)
    light = np.maximum(light, 0.0)
    value = (cv2.pow(light, 1.0 / lens.gamma) - 0.42) * lens.contrast + 0.42
    value += lens.noise * rng.standard_normal(value.shape, np.float32)
    return np.asarray(np.clip(value * 255 + 0.5, 0, 255), np.uint8)
