# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Procedural surface textures of the synthetic scenes: made once, sampled with mip levels.

A texture is a tile of RGB reflectance factors and a mask: where the mask is 1 the factors are
multiplied by the tint of the object, where it is 0 they are the color itself (window glass).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SIZE = 256
LEVELS = 8
_FULL_SCALE = 127.0
"""Byte value of a factor of 1, so that factors to 2 can be stored."""


def _noise(rng: np.random.Generator, exponent: float, low: float = 1.0,
           size: int = SIZE) -> Array:
    """Tileable noise with spectrum 1 / f^exponent from ``low`` cycles per tile; sigma 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None] * size
    radius = np.hypot(fx, fy)
    spectrum *= np.where(radius < low, 0.0, 1.0 / np.maximum(radius, 1.0) ** exponent)
    field = np.fft.irfft2(spectrum, (size, size))
    return np.asarray(field / field.std(), np.float32)


def _grid(rows: int, columns: int, joint_px: int, shift: bool,
          rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
    """Stones in rows: a random value per stone, and where the joints are."""
    y, x = np.mgrid[:SIZE, :SIZE]
    height, width = SIZE // rows, SIZE // columns
    row = y // height
    x = x + (row % 2) * (width // 2) * int(shift)
    column = (x // width) % columns
    value = rng.standard_normal((rows, columns)).astype(np.float32)[row, column]
    return value, (y % height < joint_px) | (x % width < joint_px)


def _tile(factors: NDArray[Any]) -> Array:
    """(S, S, 4) of the tint alone, from factors (S, S) or (S, S, 3)."""
    out = np.ones((SIZE, SIZE, 4), np.float32)
    out[..., :3] = factors if factors.ndim == 3 else factors[..., None]
    return out


def _facade(rng: np.random.Generator, wall: Array, bays: int, window: tuple[float, float],
            sill: float, divided: bool) -> Array:
    """
    Two storeys, ``bays`` windows wide; row 0 is the floor.

    :param window: share of a bay's width and of a storey's height. :param sill: share of a storey.
    """
    out = _tile(wall)
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    y = np.mod(2 * y, 1.0)
    bay = np.floor(x * bays).astype(int)
    bx = x * bays - bay - 0.5
    inside = (np.abs(bx) < window[0] / 2) & (y > sill) & (y < sill + window[1])
    edge = 0.06
    glass = ((np.abs(bx) < window[0] / 2 - edge) & (y > sill + edge / 2)
             & (y < sill + window[1] - edge / 2))
    if divided:
        glass &= np.abs(bx) > edge / 3
    frame_color = rng.uniform(0.15, 0.9)
    shade = rng.uniform(0.03, 0.16, bays)[bay]
    curtain = (rng.random(bays) < 0.35)[bay] & (y > sill + window[1] * rng.uniform(0.2, 0.7))
    tone = np.where(curtain, 0.45, shade * (0.6 + 0.9 * (y - sill) / window[1]))
    out[inside] = np.array([frame_color, frame_color, frame_color, 0.0], np.float32)
    out[glass] = np.stack([tone, tone * 1.08, tone * 1.2, 0 * tone], -1)[glass]
    below = (np.abs(bx) < window[0] / 2 + 0.04) & (y <= sill) & (y > sill - 0.03)
    out[below, :3] *= 0.6
    return out


def _shop(rng: np.random.Generator) -> Array:
    """Ground floor of a shop: wide panes, a door, a sign board above."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    out = _tile(0.8 + 0.05 * _noise(rng, 1.0))
    pane = (y > 0.15) & (y < 0.72) & (np.mod(x * 3, 1.0) > 0.08)
    goods = np.clip(0.16 + 0.1 * _noise(rng, 1.3), 0.02, 0.6)
    for channel, gain in enumerate((1.0, 0.95, 0.9)):
        out[..., channel] = np.where(
            pane, goods * gain * (1 + 0.1 * _noise(rng, 1.2)), out[..., channel])
    out[..., 3] = np.where(pane, 0.0, 1.0)
    board = (y > 0.76) & (y < 0.95)
    color = rng.uniform(0.05, 0.7, 3).astype(np.float32)
    letters = board & (y > 0.81) & (y < 0.90) & (_noise(rng, 0.4, 10.0) > 0.6)
    out[board] = np.append(color, 0.0)
    out[letters] = (0.85, 0.85, 0.8, 0.0)
    return np.clip(out, 0.0, 2.0)


def _sign(rng: np.random.Generator, kind: int) -> Array:
    """Plate 1 m wide around the origin: the rim has the tint, the rest is white with a glyph."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    x, y = x - np.round(x), y - np.round(y)
    radius = np.hypot(x, y) if kind != 1 else np.maximum(np.abs(x), np.abs(y))
    out = np.ones((SIZE, SIZE, 4), np.float32)
    inner = radius < (0.36 if kind != 2 else 0.0)
    out[inner] = (0.85, 0.85, 0.85, 0.0)
    glyph = (_noise(rng, 1.8) > 0.7) & (radius < 0.27)
    out[glyph] = (0.03, 0.03, 0.03, 0.0) if kind != 2 else (0.9, 0.9, 0.9, 0.0)
    return out


def _draw() -> dict[str, tuple[float, Array]]:
    """All textures: name -> size of a tile in meters, (S, S, 4)."""
    rng = np.random.default_rng(19)
    fine, coarse = _noise(rng, 0.6, 12), _noise(rng, 1.6)
    crack = np.exp(-(_noise(rng, 1.7) / 0.025) ** 2)
    patch = (_noise(rng, 2.2) > 1.1) * 0.14
    factors: dict[str, tuple[float, NDArray[Any]]] = {
        'plain': (1.0, np.ones((SIZE, SIZE))),
        'asphalt': (9.0, 1 + 0.09 * fine + 0.07 * coarse - 0.3 * crack - patch)}
    for name, rows, columns, size, spread, joint_px, gap in (
            ('paving', 8, 8, 4.0, 0.07, 2, 0.62), ('cobble', 32, 32, 4.0, 0.12, 1, 0.62),
            ('brick', 32, 8, 2.2, 0.13, 1, 1.25)):
        value, joint = _grid(rows, columns, joint_px, rows != 8, rng)
        stones = 1 + spread * value + 0.06 * fine + 0.05 * coarse
        factors[name] = (size, np.where(joint, gap, stones))
    blades, dry = _noise(rng, 0.5, 6), _noise(rng, 1.5)
    clump, gaps = _noise(rng, 0.9, 5), _noise(rng, 0.7, 10)
    leaf = np.clip(0.95 + 0.38 * clump + 0.2 * gaps, 0.12, 2.0)
    stripes = np.where((np.arange(SIZE) // 16 % 2)[:, None] > 0, 1.0, 0.45)
    factors |= {
        'grass': (7.0, np.stack([1 + 0.2 * blades + share * dry for share in (0.18, 0.05, 0.1)],
                                -1)),
        'leaves': (3.2, np.stack([leaf * (1 + 0.06 * dry), leaf, leaf * (1 - 0.1 * dry)], -1)),
        'plaster': (6.0, 1 + 0.03 * fine + 0.06 * coarse),
        'concrete': (5.0, 1 + 0.06 * fine + 0.12 * coarse),
        'soil': (5.0, 1 + 0.16 * fine + 0.15 * coarse),
        'cloth': (0.9, 1 + 0.06 * fine + 0.16 * _noise(rng, 1.8, 2)),
        'stripes': (0.9, stripes + 0.05 * fine)}
    bark = np.broadcast_to(_noise(rng, 0.8, 6)[:1], (SIZE, SIZE))
    factors['bark'] = (0.8, 1 + 0.22 * bark + 0.1 * fine)
    value, joint = _grid(1, 16, 2, False, rng)
    factors['planks'] = (2.0, np.where(joint, 0.4, 1 + 0.1 * value + 0.07 * bark))
    value, joint = _grid(16, 16, 3, True, rng)
    factors['tiles'] = (4.0, np.where(joint, 0.6, 1 + 0.1 * value))
    textures = {name: (size, _tile(rgb)) for name, (size, rgb) in factors.items()}
    plaster, bricks = 1 + 0.03 * fine + 0.05 * coarse, textures['brick'][1][..., 0]
    for number, (wall, bays, window, sill, divided) in enumerate((
            (plaster, 2, (0.42, 0.52), 0.3, True), (plaster, 3, (0.5, 0.6), 0.25, True),
            (bricks, 2, (0.45, 0.5), 0.32, True), (plaster, 3, (0.86, 0.62), 0.25, False),
            (plaster, 1, (0.24, 0.42), 0.34, True), (bricks, 3, (0.4, 0.58), 0.28, False))):
        textures[f'facade{number}'] = 6.0, _facade(rng, wall, bays, window, sill, divided)
    for number in range(3):
        textures[f'shop{number}'] = 4.2, _shop(rng)
        textures[f'sign{number}'] = 1.0, _sign(rng, number)
    return textures | _draw_city(textures['brick'][1][..., 0])


CITY_FRONTS = tuple((f'front{number}', number % 4 == 1) for number in range(14))
"""Names of the facades of city streets, and whether they are of brick."""
CITY_SHOPS = tuple(f'store{number}' for number in range(5))
CITY_HALLS = 'front12', 'front13', 'corrugated', 'panels'
POSTERS = tuple(f'poster{number}' for number in range(4))


def _front(rng: np.random.Generator, wall: Array, bays: int, ribbon: bool) -> Array:
    """Two storeys of windows in reveals, each pane with a reflection of its own."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    storey = np.floor(2 * y).astype(int)
    y = np.mod(2 * y, 1.0)
    bay = np.floor(x * bays).astype(int)
    bx = (x * bays - bay - 0.5) / bays * 6.0  # Meters from the middle of a window.
    pitch = 6.0 / bays
    half = pitch / 2 * (0.97 if ribbon else rng.uniform(0.36, 0.62))
    low = rng.uniform(0.2, 0.36)
    high = min(low + rng.uniform(0.36, 0.58), 0.92)
    rise = 0.1 * (rng.random() < 0.25) * (1 - np.clip(bx / half, -1, 1) ** 2)
    stain = np.exp(-np.abs(bx) / half) * np.clip((low - y) / low, 0, 1) * _noise(rng, 0.8, 3)
    out = _tile(wall * (1 - 0.09 * np.abs(stain)))
    inside = (np.abs(bx) < half) & (y > low) & (y < high + rise)
    around = (np.abs(bx) < half + 0.12) & (y > low - 0.03) & (y < high + rise + 0.04)
    if rng.random() < 0.5:
        out[around, :3] *= rng.uniform(0.75, 1.5)
    if rng.random() < 0.3:  # Shutters.
        leaf = ~inside & (np.abs(bx) < min(half + 0.4, pitch / 2)) & (y > low) & (y < high)
        out[leaf] = (*(rng.uniform(0.03, 0.4) * rng.uniform(0.6, 1.0, 3)), 0.0)
    if rng.random() < 0.5:  # A ledge, and its shadow.
        out[y > 0.95, :3] *= 1.15
        out[(y > 0.91) & (y < 0.95), :3] *= 0.7
    out[inside] = (*np.full(3, rng.uniform(0.04, 0.8)), 0.0)
    bar = rng.uniform(0.03, 0.08)
    glass = (np.abs(bx) < half - bar) & (y > low + bar / 3) & (y < high + rise - bar / 3)
    if rng.random() < 0.7:
        glass &= np.abs(bx) > bar / 2
    if rng.random() < 0.4:
        glass &= np.abs(y - (low + 0.66 * (high - low))) > bar / 5
    cell = storey, bay
    base = rng.uniform(0.015, 0.07, (2, bays))[cell]
    sky = (rng.random((2, bays)) ** 2 * 0.45)[cell] * np.clip((y - low) / (high - low), 0, 1)
    tone = base + sky * np.clip(0.6 + 0.3 * _noise(rng, 1.6, 3), 0, 1.5)
    drawn = (rng.random((2, bays)) < 0.4)[cell] & (
        y > low + (high - low) * rng.uniform(0.1, 0.9, (2, bays))[cell])
    tone = np.where(drawn, rng.uniform(0.15, 0.6, (2, bays))[cell], tone)
    lintel = y > high + rise - 0.06
    tone = np.where(lintel, tone * 0.45, tone)
    out[glass] = np.stack([tone, tone * 1.03, tone * 1.1, 0 * tone], -1)[glass]
    return np.clip(out, 0.0, 2.0)


def _store(rng: np.random.Generator) -> Array:
    """Ground floor of a shop: dark panes with goods, pillars, a door, a sign board."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    out = _tile(0.9 + 0.06 * _noise(rng, 1.0))
    base, top = rng.uniform(0.03, 0.25), rng.uniform(0.64, 0.76)
    panes = int(rng.integers(2, 5))
    across = np.mod(x * panes, 1.0)
    frame = rng.uniform(0.02, 0.4, 3)
    front = (y > base) & (y < top)
    out[front] = (*frame, 0.0)
    pane = front & (across > 0.06) & (across < 0.94) & (y < top - 0.02)
    goods = np.clip(0.1 + 0.1 * _noise(rng, 1.0, 4), 0.01, 0.7) * np.where(y < 0.4, 1.0, 0.5)
    hue = rng.uniform(0.6, 1.2, 3)
    glare = 0.12 * rng.random() * np.clip(y / top, 0, 1)
    for channel in range(3):
        tone = goods * hue[channel] * (1 + 0.15 * _noise(rng, 1.1, 4)) + glare
        out[..., channel] = np.where(pane, np.clip(tone, 0.008, 0.8), out[..., channel])
    door = (np.abs(x - (rng.integers(panes) + 0.5) / panes) < 0.1) & (y < top - 0.06)
    out[door] = (0.03, 0.035, 0.04, 0.0)
    color = rng.uniform(0.02, 0.5, 3) * rng.uniform(0.3, 1.2)
    board = (y > top + 0.03) & (y < 0.93)
    out[board] = (*color, 0.0)
    letters = board & (np.abs(y - (top + 0.98) / 2) < 0.055) & (_noise(rng, 0.5, 8) > 0.35) & (
        np.abs(x - 0.5) < rng.uniform(0.2, 0.45))
    out[letters] = (*(rng.uniform(0.6, 0.9) * np.ones(3) if color.mean() < 0.3
                      else np.full(3, 0.03)), 0.0)
    return np.clip(out, 0.0, 2.0)


def _poster(rng: np.random.Generator) -> Array:
    """Print in a few colors, as on trucks and advertisements."""
    out = np.zeros((SIZE, SIZE, 4), np.float32)
    out[..., :3] = rng.uniform(0.05, 0.75, 3)
    for _ in range(6):
        blob = _noise(rng, 2.2, 1) > rng.uniform(0.3, 1.6)
        out[blob, :3] = rng.uniform(0.02, 0.8, 3)
    y = (np.arange(SIZE)[:, None] + 0.5) / SIZE
    text = (np.abs(np.mod(y * 3, 1.0) - 0.5) < 0.13) & (_noise(rng, 0.6, 6) > 0.7)
    out[text, :3] = rng.choice((0.03, 0.8))
    return out


def _draw_city(brick: Array) -> dict[str, tuple[float, Array]]:
    """The textures of city streets; ``brick`` are factors (S, S) of a wall of bricks."""
    rng = np.random.default_rng(31)
    fine, coarse, dirt = _noise(rng, 0.5, 14), _noise(rng, 1.6), _noise(rng, 1.2, 3)
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    factors: dict[str, tuple[float, NDArray[Any]]] = {
        'worn': (11.0, 1 + 0.07 * fine + 0.06 * coarse + 0.03 * dirt),
        'gravel': (3.0, 1 + 0.2 * fine + 0.12 * dirt),
        'rubbed': (1.7, np.where(dirt + 0.5 * fine > 1.4, 0.4, 0.95 + 0.06 * fine))}
    for name, rows, columns, size, spread, joint_px, gap in (
            ('slabs', 4, 8, 4.0, 0.05, 1, 0.8), ('pavers', 32, 16, 3.2, 0.09, 1, 0.82),
            ('setts', 32, 32, 3.6, 0.1, 1, 0.75), ('stone', 8, 4, 5.0, 0.08, 2, 0.75)):
        value, joint = _grid(rows, columns, joint_px, True, rng)
        stones = 1 + spread * value + 0.05 * fine + 0.06 * coarse
        factors[name] = (size, np.where(joint, gap, stones))
    folds = 1 + 0.22 * np.sin(2 * np.pi * 20 * x)
    joint = (np.mod(y * 2, 1.0) < 0.03) | (np.mod(x * 2, 1.0) < 0.015)
    factors |= {
        'corrugated': (4.0, folds + 0.05 * coarse),
        'panels': (8.0, np.where(joint, 0.65, 1 + 0.03 * fine + 0.07 * coarse)),
        'fern': (2.6, np.clip(0.9 + 0.5 * _noise(rng, 0.7, 4) + 0.2 * dirt, 0.08, 2.0))}
    textures = {name: (size, _tile(np.asarray(rgb, np.float32)))
                for name, (size, rgb) in factors.items()}
    plaster, concrete = 1 + 0.03 * fine + 0.05 * coarse, 1 + 0.05 * fine + 0.1 * coarse
    walls = plaster, brick, textures['stone'][1][..., 0], concrete
    for number, (name, _) in enumerate(CITY_FRONTS):
        bays, ribbon = int(rng.integers(1, 5)), number % 4 == 3 and bool(rng.random() < 0.6)
        textures[name] = 6.0, _front(rng, walls[number % 4], bays, ribbon)
    for name in CITY_SHOPS:
        textures[name] = 5.0, _store(rng)
    for name in POSTERS:
        textures[name] = 4.0, _poster(rng)
    return textures


class Atlas(NamedTuple):
    """All textures and levels in one table."""

    rows: dict[str, int]  # Texture name -> its number.
    table: NDArray[np.uint8]  # (texels, 4)
    starts: NDArray[np.int64]  # Row of the table where each level starts.
    sizes: Array  # Of tiles, meters.


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    drawn = _draw()
    images = [np.stack([image for _, image in drawn.values()])]
    while len(images) < LEVELS:
        n, size = len(drawn), images[-1].shape[1] // 2
        images.append(images[-1].reshape(n, size, 2, size, 2, 4).mean((2, 4)))
    table = [np.clip(np.rint(image * _FULL_SCALE), 0, 255).astype(np.uint8).reshape(-1, 4)
             for image in images]
    return Atlas({name: i for i, name in enumerate(drawn)}, np.concatenate(table),
                  np.cumsum([0, *map(len, table[:-1])]),
                  np.array([size for size, _ in drawn.values()], np.float32))


def sample(texture: NDArray[np.int32], uv: Array, footprint_m: Array, tint: Array) -> Array:
    """
    Linear reflectance (N, 3) of surface points.

    :param texture: (N,) as in Atlas.rows. :param uv: (N, 2) surface coordinates in meters.
    :param footprint_m: (N,) width of a pixel on the surface. :param tint: (N, 3) of the object.
    """
    _, table, starts, sizes = atlas()
    size_m = sizes[texture]
    texels = footprint_m * (SIZE / size_m)
    level = np.clip(np.log2(np.maximum(texels, 1.0)) + 0.3, 0, LEVELS - 1).astype(np.int32)
    width = (SIZE >> level).astype(np.int32)
    st = (uv / size_m[:, None])
    st -= np.floor(st)
    cell = np.minimum((st * width[:, None]).astype(np.int32), width[:, None] - 1)
    row = starts[level] + (texture * width + cell[:, 1]) * width + cell[:, 0]
    texel = table[row].astype(np.float32) * np.float32(1.0 / _FULL_SCALE)
    mask = texel[:, 3:]
    color: Array = texel[:, :3] * (tint * mask + (1 - mask))
    return color


@lru_cache(maxsize=1)
def cloud_tile() -> Array:
    """(512, 512) float32 tile of noise like clouds, standard deviation 1."""
    return _noise(np.random.default_rng(23), 1.7, 2.0, 512)
