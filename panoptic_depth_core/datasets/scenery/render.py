# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Ray casting of a synthetic scene: exact ids and depth, and a picture with light and shadow.

The intersections are Embree's (extra ``synthetic``); depth is then recomputed in double
precision from the plane of the triangle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...labels import SKY
from .meshes import Array, cross
from .optics import Lens, Light, develop, sky_color
from .scene import Camera, Scene
from .textures import sample

_EDGE_OFFSETS = np.array(((-0.28, -0.11), (0.11, -0.28), (0.28, 0.11), (-0.11, 0.28)))
"""Where in a pixel at an edge the colour is sampled besides its centre, in px."""


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


def _embree() -> tuple[ModuleType, ModuleType]:
    try:
        from embreex import mesh_construction, rtcore_scene
    except ImportError:
        raise ConfigError("synthetic scenes need the ray caster embreex, which is not installed; "
                          "run: pip install 'panoptic-depth[synthetic]'") from None
    return rtcore_scene, mesh_construction


class RayCaster:
    """First hits of rays with the triangles of one scene."""

    def __init__(self, corners: Array) -> None:
        scenes, meshes = _embree()
        self._scene = scenes.EmbreeScene()
        self._mesh = meshes.TriangleMesh(self._scene, np.ascontiguousarray(corners))
        exact = corners.astype(np.float64)
        normal = cross(exact[:, 1] - exact[:, 0], exact[:, 2] - exact[:, 0])
        normal /= np.sqrt(np.einsum('ij,ij->i', normal, normal))[:, None] + 1e-30
        self.planes = np.column_stack([normal, np.einsum('ij,ij->i', normal, exact[:, 0])])

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
        slope = np.einsum('ij,ij->i', plane[:, :3], rays[seen])
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
    free[hits.seen] = _visibility(stage, camera, light, rays[hits.seen], hits, rng)
    if light.shadows:
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
    image = develop(radiance.reshape(*shape, 3), lens, rng)
    return Render(image, class_id.reshape(shape), number.reshape(shape), depth.reshape(shape))


def _edges(look: NDArray[np.int32], depth: Array) -> NDArray[np.bool_]:
    """(H, W) bool: pixels next to another material, or to another depth."""
    edge = np.zeros(look.shape, np.bool_)
    near = np.minimum(depth, 1e4)
    for axis in (0, 1):
        step = np.abs(np.diff(near, axis=axis))
        low = (slice(None, -1), slice(None))[::1 if axis == 0 else -1]
        high = (slice(1, None), slice(None))[::1 if axis == 0 else -1]
        jump = (np.diff(look, axis=axis) != 0) | (step > 0.3 * np.minimum(near[low], near[high]))
        edge[low] |= jump
        edge[high] |= jump
    return edge


def _visibility(stage: Stage, camera: Camera, light: Light, rays: NDArray[np.float64],
                hits: _Hits, rng: np.random.Generator) -> Array:
    """(M,) float32: 1 where the sun reaches a hit, 0 in the shadow of something."""
    free = np.ones(len(rays), np.float32)
    if not light.shadows:
        return free
    distance = hits.depth * np.linalg.norm(rays, axis=1)
    start = camera.position - np.append(stage.scene.origin, 0.0)
    point = start + rays * hits.depth[:, None] + hits.plane * (2e-3 + 4e-5 * distance)[:, None]
    to_light = np.broadcast_to(light.sun_direction, point.shape) + light.softness * (
        rng.standard_normal(point.shape, np.float32))
    behind = np.minimum(np.einsum('ij,ij->i', hits.plane, to_light), 0.0)
    if light.softness > 0.1:
        to_light -= 2 * behind[:, None] * hits.plane
        behind[:] = 0.0
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
    norm = np.sqrt(np.einsum('ij,ij->i', rays32, rays32))
    view = rays32 / norm[:, None]
    out = np.empty((len(rays), 3), np.float32)
    missed = np.ones(len(rays), np.bool_)
    missed[hits.seen] = False
    out[missed] = sky_color(view[missed], light)
    view = view[hits.seen]
    distance = hits.depth.astype(np.float32) * norm[hits.seen]
    part = scene.part[tri]
    uv = np.einsum('nk,nkc->nc', hits.weight, scene.uv[tri])
    normal = np.einsum('nk,nkc->nc', hits.weight, scene.normals[tri])
    side = np.einsum('ij,ij->i', hits.plane, normal)
    normal *= (np.where(side < 0, -1, 1) / (np.sqrt(np.einsum('ij,ij->i', normal, normal))
                                            + 1e-9))[:, None].astype(np.float32)
    cosine = np.maximum(-np.einsum('ij,ij->i', hits.plane, view), 0.05)
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
    facing = np.einsum('ij,ij->i', normal, view)[:, None]
    mirror = view - 2 * facing * normal
    share = gloss + (1 - gloss) * (1 - np.abs(facing)) ** 5 * 0.6
    ground = light.ambient * 0.25 + light.sun * 0.06
    blend = np.clip(mirror[:, 2:] * 4 - 0.5, 0.0, 1.0)
    env = ground + (sky_color(mirror, light) - ground) * blend
    env = env + 12 * light.sun * free * np.clip(mirror @ light.sun_direction, 0, 1)[:, None] ** 220
    out: Array = color + share * (env - color)
    return out
