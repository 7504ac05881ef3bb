# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Night, fog and rain on finished pictures, from their true depth and labels, which stay as they are.

All of it happens in linear light, (byte / 255) ** 2.2, with real units (candela, lux, meters) and
the exposure of an automatic camera. A frame without a mounting counts as one of a level camera
1.5 m above the ground. Simplified: lamps throw no shadows, wet ground mirrors what is far away.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ConfigError
from ...labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, VOID_ID, class_of
from ...structures import Mounting, Sample
from ...views import rays_of
from .. import Dataset, Wrapped
from .meshes import Array, Rng, cross
from .textures import cloud_tile

Image = NDArray[np.uint8]

_GAMMA = 2.2
_FAR_M = 1000.0
"""Where the sky is, for light on surfaces."""
_LEVEL = Mounting(1.5)
VISIBILITY_M = (50.0, 300.0)
"""Of fog."""
_CONTRAST = 0.05
"""What remains of a contrast at the visibility (CIE, meteorological optical range)."""
_NEAR_M = 40.0
"""Lamps of vehicles farther than this light nothing up."""
_WATER = 0.02
"""Mirror reflection of water at normal incidence, ((n - 1) / (n + 1))^2 with n = 1.33."""
_MOST_LAMPS = 8
_LAMP_LEAST_M = 4.0
"""Poles that reach higher carry a lamp."""
_VEHICLES = [CLASS_ID[name] for name in ('car', 'truck', 'bus', 'train', 'motorcycle')]
_WHITE, _RED = np.array((1.0, 0.95, 0.85)), np.array((1.0, 0.06, 0.03))


def extinction_per_m(visibility_m: float) -> float:
    """Of air in which a contrast has fallen to 5 % at the visibility (Koschmieder, 1924)."""
    return -math.log(_CONTRAST) / visibility_m


def through_air(light: Array, air: ArrayLike, distance_m: Array, per_m: float) -> Array:
    """
    Light after its way through the air: J t + A (1 - t), t = exp(-beta d) (Koschmieder, 1924).

    :param light: (H, W, 3) linear, J. :param air: (3,) linear, A: that of an infinite way.
    :param distance_m: (H, W) from the camera, d; +Inf for sky. :param per_m: extinction, beta.
    """
    passed = np.exp(-per_m * distance_m)[..., None].astype(np.float32)
    return np.asarray(light * passed + np.asarray(air, np.float32) * (1 - passed), np.float32)


def lit(points: Array, normals: Array, source: ArrayLike, candela: Array | float) -> Array:
    """
    Illuminance in lux, I cos(theta) / r^2.

    :param points, normals: (H, W, 3) in the frame of the source's place (3,), meters.
    :param candela: intensity towards each point, (H, W) or one number.
    """
    way = np.asarray(source, np.float32) - points
    square = np.maximum(np.einsum('hwi,hwi->hw', way, way), 0.05)
    cosine = np.clip(np.einsum('hwi,hwi->hw', way, normals) / np.sqrt(square), 0, 1)
    return np.asarray(candela * cosine / square, np.float32)


@dataclass(frozen=True)
class _View:
    """A picture as light, and where its pixels are."""

    sample: Sample

    @cached_property
    def light(self) -> Array:
        """(H, W, 3) float32 linear, 0..1."""
        return np.asarray((self.sample.frame.image / np.float32(255)) ** _GAMMA, np.float32)

    @cached_property
    def depth(self) -> Array:
        truth = self.sample.truth
        if truth.depth is None or truth.panoptic is None:
            raise ConfigError(f'weather: frame {self.sample.frame.name!r} has no true depth or no '
                              'labels; give synthetic scenes')
        return truth.depth

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        assert self.sample.truth.panoptic is not None
        return class_of(self.sample.truth.panoptic)

    @cached_property
    def rays(self) -> Array:
        """(H, W, 3) with Z = 1."""
        rays = rays_of(self.sample.frame.intrinsics)
        return np.concatenate([rays, np.ones_like(rays[..., :1])], 2).astype(np.float32)

    @cached_property
    def distance(self) -> Array:
        """(H, W) from the camera in meters; +Inf for sky, NaN where not known."""
        return np.asarray(self.depth * np.linalg.norm(self.rays, axis=2), np.float32)

    @cached_property
    def points(self) -> Array:
        """(H, W, 3) meters in the camera frame; the sky is far away."""
        known = np.where(np.isfinite(self.depth), np.minimum(self.depth, _FAR_M), _FAR_M)
        return np.asarray(np.nan_to_num(self.rays) * known[..., None], np.float32)

    @cached_property
    def normals(self) -> Array:
        """(H, W, 3) unit vectors of the surfaces, towards the camera."""
        padded = np.pad(self.points, ((1, 1), (1, 1), (0, 0)), 'reflect' if min(
            self.depth.shape) > 1 else 'edge')
        normal = cross(padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1]
                       - padded[:-2, 1:-1])
        normal *= -np.sign(np.einsum('hwi,hwi->hw', normal, self.points))[..., None]
        return np.asarray(normal / (np.linalg.norm(normal, axis=2, keepdims=True) + 1e-12),
                          np.float32)

    @property
    def mounting(self) -> Mounting:
        return self.sample.frame.mounting or _LEVEL

    @cached_property
    def height(self) -> Array:
        """(H, W) meters above the ground."""
        return np.asarray(self.mounting.height_m - self.points @ self.mounting.normal, np.float32)

    @property
    def sky(self) -> NDArray[np.bool_]:
        return np.isposinf(self.depth)

    def picture(self, light: Array) -> Image:
        """Bytes of light; what has no ray stays."""
        out = np.asarray(np.rint(np.clip(light, 0, 1) ** (1 / _GAMMA) * 255), np.uint8)
        blank = np.isnan(self.rays[..., 0])
        out[blank] = self.sample.frame.image[blank]
        return out

    def overcast(self, rng: Rng) -> NDArray[np.float64]:
        """(3,) light of a gray sky, as bright as that of the picture, within limits."""
        shown = self.light[self.sky]
        bright = float(np.median(shown)) if len(shown) > 50 else rng.uniform(0.4, 0.7)
        return min(max(bright, 0.3), 0.75) * rng.uniform((0.93, 0.96, 1.0), (1.0, 1.0, 1.04))


def fog(sample: Sample, rng: Rng) -> Image:
    """Even fog of a visibility that is drawn from VISIBILITY_M, in its logarithm."""
    view = _View(sample)
    visibility = float(np.exp(rng.uniform(*np.log(VISIBILITY_M))))
    return view.picture(through_air(view.light, view.overcast(rng), np.nan_to_num(
        view.distance, posinf=np.inf), extinction_per_m(visibility)))


def rain(sample: Sample, rng: Rng) -> Image:
    """
    Rain of 5 to 50 mm/h: darker and mirroring ground, veiled distance, streaks, drops on the lens.

    Extinction of rain is 0.312 R^0.67 per km (Halder, Lalonde and de Charette, ICCV 2019).
    """
    view = _View(sample)
    millimeters = float(np.exp(rng.uniform(np.log(5.0), np.log(50.0))))
    air = view.overcast(rng) * rng.uniform(0.6, 0.9)
    light = view.light * np.float32(rng.uniform(0.55, 0.8))
    gray = light.mean(2, keepdims=True)
    light = gray + (light - gray) * np.float32(0.75)
    light[view.sky] = air
    light = _wet(view, light)
    light = through_air(light, air, np.nan_to_num(view.distance, posinf=np.inf),
                        0.312e-3 * millimeters ** 0.67)
    light = _streaks(view, light, air, millimeters, rng)
    return view.picture(_drops(light, int(rng.integers(0, 14)), rng))


def _wet(view: _View, light: Array) -> Array:
    """
    Ground under a film of water, which swallows light and mirrors (Schlick's Fresnel).

    Porous ground is darker when wet, as light is reflected back into it below the film (Lekner and
    Dorf, 1988): about half the albedo for asphalt.
    """
    kept = np.ones(len(CITYSCAPES), np.float32)
    mirrors = np.zeros(len(CITYSCAPES), np.float32)
    for name, albedo, mirror in (('road', 0.5, 1.0), ('sidewalk', 0.6, 0.7),
                                 ('terrain', 0.75, 0.1)):
        kept[CLASS_ID[name]], mirrors[CLASS_ID[name]] = albedo, mirror
    known = np.minimum(view.classes, len(CITYSCAPES) - 1)
    void = view.classes >= len(CITYSCAPES)
    down = view.mounting.normal.astype(np.float32)
    slope = view.rays @ down
    mirrored = view.rays - 2 * slope[..., None] * down
    ahead = mirrored[..., 2] > 0.05
    ray = mirrored[..., :2] / np.where(ahead, mirrored[..., 2], 1)[..., None]
    at = view.sample.frame.intrinsics.pixels(np.nan_to_num(ray.reshape(-1, 2))).reshape(ray.shape)
    rows, columns = light.shape[:2]
    rough = cv2.GaussianBlur(light, (0, 0), 0.006 * columns + 0.1, sigmaY=0.05 * rows + 0.1)
    image = cv2.remap(rough.reshape(light.shape), at[..., 0].astype(np.float32),
                      at[..., 1].astype(np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)
    cosine = np.clip(slope / np.linalg.norm(view.rays, axis=2), 0, 1)
    fresnel = _WATER + (1 - _WATER) * (1 - cosine) ** 5
    tile = cloud_tile()
    ground = view.points @ view.mounting.to_ground.T.astype(np.float32)
    index = (np.mod(ground[..., :2] / 12.0, 1.0) * len(tile)).astype(int) % len(tile)
    puddle = np.clip(0.5 + 0.6 * tile[index[..., 1], index[..., 0]], 0.15, 1.0)
    share = np.where(ahead & ~void, fresnel * mirrors[known] * puddle, 0)[..., None]
    share = np.nan_to_num(share).astype(np.float32)
    dry = light * np.where(void, 1, kept[known])[..., None]
    return np.asarray(dry + share * (image.reshape(light.shape) - dry), np.float32)


def _streaks(view: _View, light: Array, air: NDArray[np.float64], millimeters: float, rng: Rng
             ) -> Array:
    """
    Drops that fall during the exposure, from 0.4 to 8 m, in front of what is behind them.

    Sizes as Marshall and Palmer (1948), exp(-4.1 R^-0.21 D) with D in mm; speed 9.65 - 10.3
    exp(-0.6 D) m/s (Atlas et al., 1973). A pixel is hidden for the share D / (v T) of the time,
    and a drop is as bright as the sky (Garg and Nayar, 2007).
    """
    camera = view.sample.frame.intrinsics
    rows, columns = light.shape[:2]
    count = int(60 * millimeters)
    size = 1.0 + rng.exponential(1 / (4.1 * millimeters ** -0.21), count)
    fall = 9.65 - 10.3 * np.exp(-0.6 * size)
    z = 0.4 + 7.6 * rng.random(count) ** 0.5
    pixel = rng.uniform((-0.1, -0.4), (1.1, 1.1), (count, 2)) * (columns, rows)
    start = camera.points(pixel, z).astype(np.float64)
    exposure = rng.uniform(0.004, 0.015)
    wind, speed = rng.normal(0, 1.5), rng.uniform(0, 15)
    ahead = np.array((0.0, 0.0, 1.0))
    motion = (fall[:, None] * view.mounting.normal + wind * np.array((1.0, 0, 0))
              - speed * ahead) * exposure
    end = start + motion
    end[:, 2] = np.maximum(end[:, 2], 0.1)
    ends = np.stack([camera.pixels(point[:, :2] / point[:, 2:]) for point in (start, end)], 1)
    width = camera.fx * size * 1e-3 / z
    hidden = size * 1e-3 / np.maximum(np.linalg.norm(motion, axis=1), 1e-3)
    opacity = np.clip(6 * hidden * np.minimum(width, 1.0), 0.02, 0.6)
    u, v = np.clip(np.rint(np.nan_to_num(ends.mean(1))), 0, (columns - 1, rows - 1)).astype(int).T
    visible = np.isfinite(ends).all((1, 2)) & ~(view.depth[v, u] <= z)
    veil = np.zeros((rows, columns), np.float32)
    fixed, levels = 4, 6
    level = np.clip(opacity / 0.6 * levels, 0, levels - 1).astype(int)
    for i in range(levels):
        for wide in (1, 2):
            chosen = visible & (level == i) & ((width >= 2.0) == (wide == 2))
            drawn = np.zeros((rows, columns), np.uint8)
            lines = list(np.rint(ends[chosen] * 2 ** fixed).astype(np.int32))
            cv2.polylines(drawn, lines, False, 255, wide, cv2.LINE_AA, fixed)
            veil = 1 - (1 - veil) * (1 - drawn * np.float32((i + 0.5) / levels * 0.6 / 255))
    return np.asarray(light + veil[..., None] * (1.1 * air.astype(np.float32) - light),
                      np.float32)


def _drops(light: Array, count: int, rng: Rng) -> Array:
    """Drops on the lens: blurred, each with a small picture of the scene, upside down."""
    rows, columns = light.shape[:2]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    from_x, from_y, share = x.copy(), y.copy(), np.zeros((rows, columns), np.float32)
    for _ in range(count):
        radius = columns * rng.uniform(0.008, 0.03)
        u, v = rng.uniform(0, columns), rng.uniform(0, rows)
        distance = np.hypot(x - u, (y - v) / rng.uniform(1.0, 1.4)) / radius
        inside = distance < 1
        from_x[inside] = (u - 3 * (x - u))[inside]
        from_y[inside] = (v - 3 * (y - v))[inside]
        share = np.maximum(share, np.clip((1 - distance) * 3, 0, 0.85))
    blurred = cv2.GaussianBlur(light, (0, 0), 0.006 * columns + 0.1).reshape(light.shape)
    seen = cv2.remap(blurred, from_x, from_y, cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REFLECT_101).reshape(light.shape)
    return np.asarray(light + share[..., None] * (seen - light), np.float32)


def night(sample: Sample, rng: Rng) -> Image:
    """
    A clear night: sky glow, lamps on high poles, headlights of the camera's own car, others'.

    What the day shows counts as reflectance, so its shadows stay. Lamps have 1500 to 4000 cd
    downwards; low beams 10000 cd below their cut-off, and 3 % of it above. The sensor has photon
    noise, whose variance is proportional to the light, and read-out noise.
    """
    view = _View(sample)
    reflectance = np.minimum(view.light / max(float(np.percentile(
        view.light[~view.sky], 90)) if (~view.sky).any() else 1.0, 0.05) * 0.5, 0.9)
    lux = np.full(view.light.shape, 1, np.float32) * (
        rng.uniform(0.1, 0.8) * np.array((0.8, 0.9, 1.1), np.float32))
    glow = np.zeros_like(view.light)
    for place, candela, color in (*_street_lamps(view, glow, rng), *_vehicle_lamps(
            view, glow, rng)):
        lux += lit(view.points, view.normals, place, candela)[..., None] * np.asarray(
            color, np.float32)
    lux += _headlights(view, rng)[..., None] * _WHITE.astype(np.float32)
    luminance = reflectance * lux / np.float32(np.pi)
    sky = rng.uniform(0.01, 0.08) * np.array((0.9, 0.9, 1.0), np.float32)
    luminance[view.sky] = sky
    # Automatic exposure, up to a greatest gain.
    white = max(float(np.percentile(luminance, 97)) * rng.uniform(1.2, 2.2), 0.8)
    exposed = luminance / np.float32(white)
    lights = (view.classes == CLASS_ID['traffic light']) & (view.light.max(2) > 0.35)
    glow[lights] += 2 * view.light[lights]
    exposed = exposed + glow + _glare(glow)
    noise = np.sqrt(rng.uniform(0.0005, 0.004) * np.clip(exposed, 0, 1)
                    + rng.uniform(0.002, 0.01) ** 2)
    exposed = exposed + noise * rng.standard_normal(exposed.shape, np.float32)
    return view.picture(exposed)


Lamp = tuple[NDArray[np.float64], Array | float, NDArray[np.float64]]
"""Place (3,) in the camera frame, candela (towards each pixel), color."""


def _spot(view: _View, glow: Array, pixel: tuple[int, int], depth: float, radius_m: float,
          color: NDArray[np.float64]) -> None:
    """Add a lamp that is seen to the glow."""
    radius = view.sample.frame.intrinsics.fx * radius_m / max(depth, 0.5)
    reach = math.ceil(radius) + 2
    left, top = max(pixel[0] - reach, 0), max(pixel[1] - reach, 0)
    part = glow[top:pixel[1] + reach, left:pixel[0] + reach]
    shape = np.zeros(part.shape[:2], np.uint8)
    cv2.circle(shape, (16 * (pixel[0] - left), 16 * (pixel[1] - top)),
               round(16 * max(radius, 0.6)), 255, -1, cv2.LINE_AA, 4)
    # What is smaller than a pixel is as much less bright.
    bright = 8.0 * min(1.0, (radius / 0.6) ** 2)
    part += shape[..., None] / np.float32(255) * (bright * color).astype(np.float32)


def _street_lamps(view: _View, glow: Array, rng: Rng) -> list[Lamp]:
    """Lamps at the tops of poles, and those that follow on behind the camera."""
    high = (view.classes == CLASS_ID['pole']) & np.isfinite(view.depth)
    _, parts = cv2.connectedComponents(high.astype(np.uint8))
    color = (np.array((1.0, 0.62, 0.25)) if rng.random() < 0.4 else np.array((1.0, 0.9, 0.75)))
    downwards = float(rng.uniform(1500, 4000))
    places = []
    for part in range(1, int(parts.max()) + 1):
        inside = np.flatnonzero(parts == part)
        top = inside[view.height.ravel()[inside].argmax()]
        if view.height.ravel()[top] > _LAMP_LEAST_M and rng.random() < 0.9:
            place = view.points.reshape(-1, 3)[top].astype(np.float64)
            places.append(place)
            v, u = np.divmod(int(top), high.shape[1])
            _spot(view, glow, (int(u), int(v)), float(place[2]), 0.15, color)
    ahead = view.mounting.to_ground[0]
    places = sorted(places, key=lambda place: float(place[2]))[:_MOST_LAMPS]
    if places:
        places += [places[0] - step * ahead for step in (24.0, 48.0)]
    lamps: list[Lamp] = []
    for place in places:
        way = view.points - place.astype(np.float32)
        cosine = way @ view.mounting.normal.astype(np.float32) / (np.sqrt(
            np.einsum('hwi,hwi->hw', way, way)) + np.float32(1e-6))
        lamps.append((place, downwards * np.clip(cosine, 0, 1), color))
    return lamps


def _vehicle_lamps(view: _View, glow: Array, rng: Rng) -> list[Lamp]:
    """A pair of lamps at both sides of vehicles that are on the move: white, or red behind."""
    assert view.sample.truth.panoptic is not None
    ids = view.sample.truth.panoptic
    hand = 1 if rng.random() < 0.85 else -1
    lamps: list[Lamp] = []
    for number in np.unique(ids[np.isin(view.classes, _VEHICLES)]).tolist():
        mask = (ids == number) & (np.abs(view.height - 0.75) < 0.25)
        if number == VOID_ID or number % LABEL_DIVISOR == 0 or mask.sum() < 4:
            continue
        place = np.median(view.points[mask], axis=0).astype(np.float64)
        oncoming = rng.random() < (0.8 if place[0] * hand < 0 else 0.05)
        if rng.random() < 0.4:
            continue
        rows, columns = np.nonzero(mask)
        color = _WHITE if oncoming else _RED
        for column in (columns.min(), columns.max()):
            row = float(rows[columns == column].mean())
            _spot(view, glow, (int(column), int(row)), float(place[2]),
                  0.09 if oncoming else 0.06, color * (1.0 if oncoming else 0.4))
        if place[2] < _NEAR_M:
            lamps.append((place - 0.5 * view.mounting.to_ground[0],
                          250.0 if oncoming else 15.0, color))
    return lamps


def _headlights(view: _View, rng: Rng) -> Array:
    """(H, W) lux of two low beams below the camera, with their cut-off at the horizon."""
    normal, ahead, left = (view.mounting.normal, *view.mounting.to_ground[:2])
    drop = view.mounting.height_m - min(0.65, view.mounting.height_m)
    strength = float(rng.uniform(0.6, 1.3))
    total = np.zeros(view.depth.shape, np.float32)
    for side in (-0.6, 0.6):
        place = drop * normal + side * left + 0.5 * ahead
        way = view.points - place.astype(np.float32)
        forward, aside, below = (way @ axis.astype(np.float32) for axis in (ahead, left, normal))
        angle = np.degrees(np.arctan2(below, np.maximum(forward, 1e-3)))
        turn = np.degrees(np.arctan2(aside, np.maximum(forward, 1e-3)))
        below_cut = 0.5 + 0.5 * np.tanh(2 * (angle - 0.5))
        beam = 0.03 + 0.97 * below_cut * np.exp(-np.maximum(angle - 1.5, 0) / 5)
        beam = beam * np.exp(-(turn / 18) ** 2) * (forward > 0)
        total += lit(view.points, view.normals, place, 10000 * strength * beam)
    return total


def _glare(glow: Array) -> Array:
    """Light that lens and sensor spread around lamps."""
    rows, columns = glow.shape[:2]
    out = np.zeros_like(glow)
    for share, scale, coarser in ((0.3, 0.004, 1), (0.25, 0.02, 2), (0.15, 0.08, 8)):
        small = cv2.resize(glow, (max(columns // coarser, 1), max(rows // coarser, 1)),
                           interpolation=cv2.INTER_AREA)
        wide = cv2.GaussianBlur(small, (0, 0), scale * columns / coarser + 0.3)
        out += np.float32(share) * cv2.resize(wide, (columns, rows)).reshape(glow.shape)
    return out


Effect = Callable[[Sample, Rng], Image]

WEATHER: dict[str, Effect] = {'night': night, 'fog': fog, 'rain': rain}
"""Name -> the picture of a sample with true depth and labels; (H, W, 3) uint8 RGB."""


class Weathered(Wrapped):
    """The samples of a data set in other weather, the same each time, with their own truth."""

    def __init__(self, dataset: Dataset, name: str) -> None:
        super().__init__(dataset)
        self._name = name

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        rng = np.random.default_rng(zlib.crc32(f'{self._name}:{sample.frame.name}'.encode()))
        image = WEATHER[self._name](sample, rng)
        return replace(sample, frame=replace(sample.frame, image=image))
