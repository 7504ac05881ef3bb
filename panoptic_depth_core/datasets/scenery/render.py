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

from ...labels import SKY
from .meshes import Array, dot
from .scene import Camera, Scene
from .textures import cloud_tile, sample

_UP = np.array((0.0, 0.0, 1.0))
_EDGE_OFFSETS = np.array(((-0.28, -0.11), (0.11, -0.28)))
"""Where in a pixel at an edge the color is sampled besides its center, in px."""


@dataclass(frozen=True)
class Light:
    """Sun, sky and air; all colors linear RGB."""

    sun_direction: Array  # Unit vector towards the sun.
    sun: Array
    ambient: Array
    zenith: Array
    horizon: Array
    haze_per_m: float  # Extinction of the air.
    cloud: float  # 0 clear .. 1 overcast.
    softness: float  # 0 hard shadows; else the spread of the direction to the light.
    seed: int

    @property
    def diffuse(self) -> bool:
        """Whether light comes from the whole sky."""
        return self.softness > 0.1

    def sky(self, direction: Array) -> Array:
        """(N, 3) radiance of the sky along unit vectors."""
        up = np.clip(direction[:, 2:], 0.0, 1.0)
        color = self.horizon + (self.zenith - self.horizon) * up ** 0.55
        sunward = np.clip(direction @ self.sun_direction, 0.0, 1.0)[:, None]
        color = color + (1 - self.cloud) * self.sun * (0.12 * sunward ** 24 + 0.05 * sunward ** 4)
        plane = direction[:, :2] / (np.abs(direction[:, 2:]) + 0.18)
        field = cloud_tile()
        size = len(field)
        index = np.minimum((np.mod(plane * 0.11, 1.0) * size).astype(np.int32), size - 1)
        # The seed shifts the tile.
        index = (index - (self.seed * 104729 % size, self.seed * 7919 % size)) % size
        density = field[index[:, 1], index[:, 0]][:, None]
        cover = np.clip((density - 1.3 + 2.4 * self.cloud) * 0.6, 0, 1) * np.clip(up * 6, 0, 1)
        bright = self.sun * 0.32 + self.ambient * 0.75
        shaded = bright * np.clip(1.1 - 0.16 * (density + 1), 0.5, 1.1)
        return np.asarray(color + cover * 0.9 * (shaded - color), np.float32)


@dataclass(frozen=True)
class Lens:
    """From radiance to the bytes of a picture."""

    exposure: float
    white_balance: ArrayLike
    gamma: float
    noise: float  # Standard deviation, of full scale.
    blur_px: float  # Standard deviation.
    vignette: float
    contrast: float = 1.0  # Slope of the tone curve about mid gray.
    bloom: float = 0.0  # Share of light that the glass scatters widely.
    saturation: float = 1.0  # Of colors, 0 gray.
    jpeg: int = 0  # Quality of compression, 0 for none.

    def develop(self, radiance: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Bytes of a picture; ``radiance`` is (H, W, 3) float32 linear."""
        h, w = radiance.shape[:2]
        light = radiance * (np.asarray(self.white_balance, np.float32) * np.float32(self.exposure))
        y, x = np.ogrid[-1:1:h * 1j, -1:1:w * 1j]
        light *= (1 - self.vignette * 0.5 * (x * x + y * y)).astype(np.float32)[..., None]
        if self.blur_px > 0.2:
            light = cv2.GaussianBlur(light, (0, 0), self.blur_px)
        if self.bloom:
            small = cv2.resize(np.minimum(light, 4.0), (w // 8 + 1, h // 8 + 1),
                               interpolation=cv2.INTER_AREA)
            small = cv2.GaussianBlur(small, (0, 0), w / 200)
            light += self.bloom * (cv2.resize(small, (w, h)) - light)
        light = np.maximum(light, 0.0)
        if self.saturation != 1.0:
            light = cv2.addWeighted(light, self.saturation, np.repeat(
                light.mean(2, keepdims=True), 3, 2), 1 - self.saturation, 0)
            light = np.maximum(light, 0.0)
        value = (cv2.pow(light, 1.0 / self.gamma) - 0.42) * self.contrast + 0.42
        value += self.noise * rng.standard_normal(value.shape, np.float32)
        image = np.asarray(np.clip(value * 255 + 0.5, 0, 255), np.uint8)
        if self.jpeg:
            # Both ways take the channels in the same order, whatever they are.
            _, coded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])
            image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return image


@dataclass(frozen=True)
class Render:
    """A picture (H, W, 3) and what is on it (H, W)."""

    image: NDArray[np.uint8]
    class_id: NDArray[np.int32]
    number: NDArray[np.int64]  # Thing of the world, 0 for stuff.
    depth: Array  # Meters, +Inf for sky, NaN where blank.
    blank: NDArray[np.bool_]  # No ray of the lens; black, and the class means nothing.


@dataclass(frozen=True)
class _Hits:
    """What rays met."""

    rays: NDArray[np.float64]  # (N, 3)
    seen: NDArray[np.int64]  # (M,) which of them met something.
    triangle: NDArray[np.int32]  # (M,) row of the scene.
    weight: Array  # (M, 3) barycentric.
    plane: Array  # (M, 3) unit normal towards the camera.
    depth: NDArray[np.float64]  # (M,) in units of the ray's direction.


class _Stage:
    """Scenes of one origin that are looked at together; each keeps its ray caster."""

    def __init__(self, scenes: Sequence[Scene], camera: Camera, light: Light) -> None:
        self._casters = [scene.caster for scene in scenes]
        self._firsts = np.cumsum([0, *(len(scene.part) for scene in scenes)], dtype=np.int32)
        self._planes = np.concatenate([caster.planes for caster in self._casters])
        self.scene = scenes[0] if len(scenes) == 1 else Scene.merged(scenes, scenes[0].origin)
        self._camera, self._light = camera, light
        self._eye = camera.position - np.append(self.scene.origin, 0.0)

    def look(self, rays: NDArray[np.float64]) -> _Hits:
        """First hits of rays (N, 3) from the camera; those that are NaN go up and hit nothing."""
        blank = np.isnan(rays[:, 0])
        rays = np.where(blank[:, None], _UP, rays)
        directions = rays.astype(np.float32)
        points = np.broadcast_to(self._eye.astype(np.float32), rays.shape).copy()
        triangle, u, v, far = self._casters[0].hits(points, directions)
        for caster, first in zip(self._casters[1:], self._firsts[1:-1], strict=True):
            other = caster.hits(points, directions)
            nearer = np.flatnonzero((other[0] >= 0) & ((other[3] < far) | (triangle < 0)))
            triangle[nearer] = other[0][nearer] + first
            for mine, its in zip((u, v, far), other[1:], strict=True):
                mine[nearer] = its[nearer]
        seen = np.flatnonzero((triangle >= 0) & ~blank)
        triangle, u, v = triangle[seen], u[seen], v[seen]
        normal, offset = self._planes[triangle, :3], self._planes[triangle, 3]
        slope = dot(normal, rays[seen])
        facing = (normal * -np.sign(slope)[:, None]).astype(np.float32)
        return _Hits(rays, seen, triangle, np.stack([1 - u - v, u, v], 1), facing,
                     (offset - normal @ self._eye) / slope)

    def sunlit(self, hits: _Hits, rng: np.random.Generator) -> Array:
        """(M,) float32: 1 where the sun reaches a hit, 0 in the shadow of something."""
        light, rays = self._light, hits.rays[hits.seen]
        distance = hits.depth * np.linalg.norm(rays, axis=1)
        point = self._eye + rays * hits.depth[:, None] + (
            hits.plane * (2e-3 + 4e-5 * distance)[:, None])
        to_light = np.broadcast_to(light.sun_direction, point.shape) + light.softness * (
            rng.standard_normal(point.shape, np.float32))
        behind = np.minimum(dot(hits.plane, to_light), 0.0)
        if light.diffuse:
            to_light -= 2 * behind[:, None] * hits.plane
            behind[:] = 0.0
        lit = np.flatnonzero(behind == 0.0)
        start, directions = point[lit].astype(np.float32), to_light[lit].astype(np.float32)
        free = np.ones(len(rays), np.float32)
        free[lit] = ~np.any([c.blocked(start, directions) for c in self._casters], axis=0)
        return free

    def radiance(self, hits: _Hits, free: Array) -> Array:
        """(N, 3) float32 linear light along rays; ``free`` (M,) is each hit's share of the sun."""
        scene, light, triangle = self.scene, self._light, hits.triangle
        rays = hits.rays.astype(np.float32)
        norm = np.sqrt(dot(rays, rays))
        view = rays / norm[:, None]
        out = np.empty((len(rays), 3), np.float32)
        missed = np.ones(len(rays), np.bool_)
        missed[hits.seen] = False
        out[missed] = light.sky(view[missed])
        view = view[hits.seen]
        distance = hits.depth.astype(np.float32) * norm[hits.seen]
        look = scene.parts[scene.part[triangle]]
        uv = np.einsum('nk,nkc->nc', hits.weight, scene.uv[triangle])
        normal = np.einsum('nk,nkc->nc', hits.weight, scene.normals[triangle])
        side = np.where(dot(hits.plane, normal) < 0, -1, 1)
        normal *= (side / (np.sqrt(dot(normal, normal)) + 1e-9))[:, None].astype(np.float32)
        cosine = np.maximum(-dot(hits.plane, view), 0.05)
        footprint = distance / np.float32(self._camera.intrinsics.fx) / np.sqrt(cosine)
        albedo = sample(look['texture'], uv, footprint, look['tint'])
        lambert = np.clip(normal @ light.sun_direction, 0.0, 1.0) * free
        up = 0.62 + 0.38 * normal[:, 2:]
        if light.diffuse:
            up *= (0.45 + 0.55 * free)[:, None]
        ground = np.array([0.16, 0.14, 0.12], np.float32)
        bounce = ground * light.sun.mean() * (1 - normal[:, 2:]) / 2
        color = albedo * (light.sun * lambert[:, None] + light.ambient * up + bounce
                          + look['glow'][:, None])
        shiny = np.flatnonzero(look['gloss'] > 0)
        if len(shiny):
            color[shiny] = _mirrored(color[shiny], normal[shiny], view[shiny],
                                     look['gloss'][shiny, None], free[shiny, None], light)
        air = light.horizon * np.float32(0.9)
        out[hits.seen] = air + (color - air) * np.exp(-light.haze_per_m * distance)[:, None]
        return out


def _mirrored(color: Array, normal: Array, view: Array, gloss: Array, free: Array,
              light: Light) -> Array:
    """Add the mirror image of sky, ground and sun (Schlick's approximation of Fresnel)."""
    facing = dot(normal, view)[:, None]
    mirror = view - 2 * facing * normal
    share = gloss + (1 - gloss) * (1 - np.abs(facing)) ** 5 * 0.6
    ground = light.ambient * 0.25 + light.sun * 0.06
    blend = np.clip(mirror[:, 2:] * 4 - 0.5, 0.0, 1.0)
    env = ground + (light.sky(mirror) - ground) * blend
    env = env + 12 * light.sun * free * np.clip(mirror @ light.sun_direction, 0, 1)[:, None] ** 220
    return np.asarray(color + share * (env - color))


def render(scenes: Sequence[Scene], camera: Camera, light: Light, lens: Lens,
           rng: np.random.Generator) -> Render:
    """Take a picture of scenes of one origin, with its truth; ``rng``: noise and soft shadows."""
    k, stage = camera.intrinsics, _Stage(scenes, camera, light)
    shape = k.height, k.width
    rays = camera.rays()
    hits = stage.look(rays)

    def picture(beyond: float, values: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
        """(H, W) of the values at hits."""
        out = np.full(shape, beyond, dtype)
        out.ravel()[hits.seen] = values
        return out

    part = stage.scene.part[hits.triangle]
    depth = picture(np.inf, hits.depth, np.float32)
    free = picture(1.0, stage.sunlit(hits, rng), np.float32)
    size = 5 if light.diffuse else 3
    free = np.asarray(cv2.blur(free, (size, size)), np.float32).ravel()
    radiance = stage.radiance(hits, free[hits.seen])
    at = np.flatnonzero(_edges(picture(-1, part, np.int32), depth))
    pixels = np.stack([at % k.width, at // k.width], 1)
    for offset in _EDGE_OFFSETS:
        more = stage.look(camera.rays(pixels + offset))
        radiance[at] += stage.radiance(more, free[at][more.seen])
    radiance[at] /= len(_EDGE_OFFSETS) + 1
    class_id = picture(SKY, stage.scene.parts['class_id'][part], np.int32)
    number = picture(0, stage.scene.parts['number'][part], np.int64)
    if stage.scene.veil is not None:
        stage = _Stage([stage.scene.veil], camera, light)
        hits = stage.look(rays)
        nearer = (number.ravel()[hits.seen] == 0) & (hits.depth < depth.ravel()[hits.seen])
        at = hits.seen[nearer]
        class_id.ravel()[at] = stage.scene.parts['class_id'][
            stage.scene.part[hits.triangle[nearer]]]
        depth.ravel()[at] = hits.depth[nearer]
    image = lens.develop(radiance.reshape(*shape, 3), rng)
    blank = np.isnan(rays[:, 0]).reshape(shape)
    image[blank], depth[blank] = 0, np.nan
    return Render(image, class_id, number, depth, blank)


def _edges(look: NDArray[np.int32], depth: Array) -> NDArray[np.bool_]:
    """(H, W) bool: pixels next to another material, or to another depth."""
    edge = np.zeros(look.shape, np.bool_)
    near = np.minimum(depth, 1e4)
    for out, row, z in ((edge, look, near), (edge.T, look.T, near.T)):
        jump = (row[1:] != row[:-1]) | (np.abs(z[1:] - z[:-1]) > 0.3 * np.minimum(z[1:], z[:-1]))
        out[:-1] |= jump
        out[1:] |= jump
    return edge
