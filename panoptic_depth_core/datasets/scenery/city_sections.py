# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What does not move in the sections of a city street."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ...labels import CLASS_ID
from . import city_objects, objects
from .city_layout import CityLayout, Side, grey, toned
from .meshes import Look, Mesh, Rng, disc, quads
from .street import CROSS_S, SECTION_M, Furnisher, Places, Span, put_vehicle

_LAYER_M = 0.0002
"""Between layers of what is painted on the road; flat within a millimeter."""
_TRACKS, _PATCHES, _LINES = range(1, 4)
_ARROW = np.array([[(0, -0.09), (2.6, -0.09), (2.6, 0.09), (0, 0.09)],
                   [(2.6, -0.32), (4.0, 0), (4.0, 0), (2.6, 0.32)]])
_BEND = np.array([[(0, -0.09), (1.8, -0.09), (1.8, 0.09), (0, 0.09)],
                  [(1.5, 0.09), (1.8, 0.09), (1.8, 0.5), (1.5, 0.5)],
                  [(1.2, 0.5), (2.1, 0.5), (1.65, 1.1), (1.65, 1.1)]])
"""Quadrangles of arrows on the road: s, t in meters."""


class CityFurnisher(Furnisher):
    """Puts what does not move in one section of a city street."""

    _layout: CityLayout

    # Road.

    def _paint(self, s: Span, t: Span, look: Look, layer: int) -> None:
        self._strip(s, t, layer * _LAYER_M, 'road', look)

    def _glyph(self, shape: Places, s: float, t: float, along: float) -> None:
        """Quadrangles (Q, 4, 2) on the road, at a place, in the direction of traffic."""
        rim = np.full((len(shape), 4, 3), _LINES * _LAYER_M)
        rim[..., 0], rim[..., 1] = s + along * shape[..., 0], t + along * shape[..., 1]
        self._ground.setdefault(('road', self._layout.paint), []).append(rim)

    def _line(self, s: Span, t: float, kind: str) -> None:
        layout, half = self._layout, self._layout.line_m / 2
        if kind == 'double':
            for shift in (-0.14, 0.14):
                self._paint(s, (t + shift - 0.06, t + shift + 0.06), layout.paint, _LINES)
        elif kind == 'solid':
            self._paint(s, (t - half, t + half), layout.paint, _LINES)
        else:
            dash, step = layout.dash_m
            first = -(self._section.index * SECTION_M % step)
            begin = np.arange(first, SECTION_M, step)
            begin, end = np.maximum(begin, s[0]), np.minimum(begin + dash, s[1])
            seen = end > begin + 0.05
            self._cells(begin[seen], end[seen], t - half, t + half, _LINES * _LAYER_M, 'road',
                        layout.paint)

    def _road(self) -> None:
        layout, rng = self._layout, self._rng
        left, right = layout.road_edge(1), -layout.road_edge(-1)
        asphalt, wide = layout.asphalt, layout.carriageway()
        if self._crossing:
            self._strip(CROSS_S, (-90, 90), 0.0, 'road', asphalt)
        track = toned(asphalt, layout.tracks)
        for s in self._pieces:
            self._strip(s, (right, left), 0.0, 'road', asphalt)
            for lane in range(layout.lanes):
                for t in (layout.lane(lane), -layout.lane(lane)):
                    for shift in (-0.8, 0.8):
                        self._paint(s, (t + shift - 0.3, t + shift + 0.3), track, _TRACKS)
            if layout.bay is not asphalt:
                for side, edge in ((1, left), (-1, -right)):
                    if edge > wide:
                        self._paint(s, (side * wide, side * edge), layout.bay, _TRACKS)
            if layout.gutter:
                for side, edge in ((1, left), (-1, -right)):
                    self._paint(s, (side * (edge - 0.32), side * edge), layout.gutter, _PATCHES)
            for t, kind in layout.lines:
                self._line(s, t, kind)
            if layout.rails:
                for t in (layout.lane(0), -layout.lane(0)):
                    for shift in (-0.72, 0.72):
                        self._paint(s, (t + shift - 0.05, t + shift + 0.05),
                                    Look('plain', (0.05, 0.05, 0.05), 0.1), _LINES)
            self._median(s)
        self._wear(right, left)
        if layout.lines and self._chance(0.3):
            at = self._free_s()
            for lane in range(layout.lanes):
                shape = _ARROW if self._chance(0.6) else _BEND * (
                    1, 1 if self._chance(0.5) else -1)
                along = layout.hand
                self._glyph(shape, min(at, 19.0), -along * layout.lane(lane), 1.0)
                if self._chance(0.5):
                    self._glyph(shape, max(at, 5.0), along * layout.lane(lane), -1.0)
        if layout.lines and self._chance(0.06):  # A hatched area.
            t, length = rng.uniform(-1, 1) * wide, rng.uniform(4, 12)
            bars = np.array([[(x, -0.9), (x + 0.35, -0.9), (x + 1.6, 0.9), (x + 1.25, 0.9)]
                             for x in np.arange(0, length, 1.1)])
            self._glyph(bars, rng.uniform(0, SECTION_M - length), float(t), 1.0)
        if self._crossing:
            self._crosswalks(right, left)

    def _crosswalks(self, right: float, left: float) -> None:
        """Zebras, dotted or plain lines, and the lines to stop at."""
        layout = self._layout
        kind = self._rng.random()
        for at, stop, side in ((4.8, 3.9, 1), (16.4, 19.9, -1)):
            if kind < 0.35:
                bar = np.arange(right + 0.4, left - 0.6, 1.0)
                self._cells(np.full_like(bar, at), np.full_like(bar, at + 2.6), bar, bar + 0.5,
                            _LINES * _LAYER_M, 'road', layout.paint)
            elif kind < 0.75:
                for s in (at, at + 2.5):
                    step = 0.6 if kind < 0.6 else 50.0
                    bar = np.arange(right + 0.3, left - 0.3, step)
                    self._cells(np.full_like(bar, s), np.full_like(bar, s + 0.15), bar,
                                np.minimum(bar + 0.7 * step, left - 0.3), _LINES * _LAYER_M,
                                'road', layout.paint)
            if kind < 0.85 and layout.lines:
                near = -side * layout.hand * layout.median_m / 2
                far = -side * layout.hand * layout.carriageway()
                self._paint((stop, stop + 0.4), (near, far), layout.paint, _LINES)

    def _wear(self, right: float, left: float) -> None:
        """Patches, seams of tar, manholes and drains."""
        rng, asphalt = self._rng, self._layout.asphalt
        for _ in range(rng.poisson(1.0)):
            size = rng.uniform((0.5, 0.4), (7, 2.5))
            s, t = rng.uniform(0, SECTION_M - size[0]), rng.uniform(right, left - size[1])
            look = toned(asphalt._replace(texture='worn'), float(rng.uniform(0.6, 1.35)))
            self._paint((s, s + size[0]), (t, t + size[1]), look, _PATCHES)
        for _ in range(rng.poisson(0.8)):
            s, t = rng.uniform(0, SECTION_M), rng.uniform(right + 0.2, left - 0.2)
            look = toned(asphalt._replace(texture='plain'), float(rng.uniform(0.35, 0.8)))
            if self._chance(0.5):
                self._paint((s, min(s + rng.uniform(3, 20), SECTION_M)), (t, t + 0.06), look,
                            _PATCHES)
            else:
                self._paint((s, s + 0.06), (t, min(t + rng.uniform(1, 8), left)), look, _PATCHES)
        iron = Look('cobble', grey(rng, 0.03, 0.16))
        for _ in range(rng.poisson(0.7)):
            s, t = rng.uniform(0, SECTION_M), rng.uniform(right + 0.6, left - 0.6)
            x, y, _ = self._section.pose(s, t)
            x, y = x - self._builder.origin[0], y - self._builder.origin[1]
            self._builder.add_ground(disc(0.33, (x, y, _PATCHES * _LAYER_M), 2, 1.0, 0), CLASS_ID[
                'road'], iron)
        for edge in (right + 0.05, left - 0.4):
            if self._chance(0.4):
                s = rng.uniform(0, SECTION_M - 0.5)
                self._paint((s, s + 0.45), (edge, edge + 0.35), iron, _LINES)

    def _median(self, s: Span) -> None:
        layout, half = self._layout, self._layout.median_m / 2
        if not half:
            return
        if layout.median == 'paint':
            bars = np.array([[(x, -half), (x + 0.4, -half), (x + 0.4 + half, half),
                              (x + half, half)]
                             for x in np.arange(s[0], s[1] - 0.4 - half, 1.8)])
            if len(bars):
                self._glyph(bars * (1, 0.8), 0.0, 0.0, 1.0)
            return
        look = ('terrain', layout.terrain) if layout.median == 'grass' else (
            'sidewalk', layout.paving)
        self._island(s, -half, half, *look)
        rng = self._rng
        for _ in range(rng.poisson(1.2 if layout.median == 'grass' and half > 0.7 else 0.0)):
            kind = str(rng.choice(('crown', 'column', 'shrub', 'shrub')))
            self._put(city_objects.plant(rng, kind), 'vegetation', rng.uniform(*s), 0.0, 0.0,
                      float(rng.uniform(0, 6.3)), rng.uniform(0.5, 1.0))
        style = self._world.rng(21)
        if style.random() < 0.25:
            self._fence(city_objects.fence(style, s[1] - s[0]), (s[0] + s[1]) / 2, 0.0,
                        layout.curb_m)
        if self._chance(0.35):
            self._put(city_objects.bollard(rng), 'pole', s[0] + 0.6, 0.0, layout.curb_m)
        if self._chance(0.3):
            self._signs(rng.uniform(s[0] + 0.4, s[1] - 0.4), 0.0, layout.curb_m, True)

    def _island(self, s: Span, right: float, left: float, class_name: str, look: Look) -> None:
        """A raised strip between curbs."""
        layout = self._layout
        z, wide = layout.curb_m, layout.curb_wide_m
        face = (-0.04, -0.04, z, z)
        self._strip(s, (right, right), face, 'sidewalk', layout.curb)
        self._strip(s, (left, left), face, 'sidewalk', layout.curb)
        self._strip(s, (right, right + wide), z, 'sidewalk', layout.curb)
        self._strip(s, (left - wide, left), z, 'sidewalk', layout.curb)
        self._strip(s, (right + wide, left - wide), z, class_name, look)
        if self._crossing:
            self._cap(right, left)

    def _cap(self, inner: float, outer: float) -> None:
        """Close the ends of what is raised at a crossing."""
        z = self._layout.curb_m
        rim = np.zeros((2, 4, 3))
        rim[..., 0] = np.array(CROSS_S)[:, None]
        rim[..., 1] = (inner, outer, outer, inner)
        rim[..., 2] = (-0.04, -0.04, z, z)
        self._ground.setdefault(('sidewalk', self._layout.curb), []).append(rim)

    # Beside the road.

    def _side(self, side: int) -> None:
        layout, rng, town = self._layout, self._rng, self._layout.town
        part, edge, z = layout.sides[side < 0], layout.road_edge(side), layout.curb_m
        looks = {'grass': ('terrain', layout.terrain), 'paving': ('sidewalk', layout.bay),
                 'soil': ('terrain', Look('soil', (0.12, 0.09, 0.06)))}
        bands = [(layout.curb_wide_m, 'sidewalk', layout.curb),
                 (part.strip_m, *looks[part.strip]), (part.cycle_m, 'sidewalk', layout.cycle),
                 (part.walk_m, 'sidewalk', layout.paving)] if part.curbed else []
        face = (-0.04, -0.04, z, z)
        back = edge + sum(band[0] for band in bands)
        front = back + part.verge_m
        for s in self._pieces:
            at = edge
            for wide, class_name, look in bands:
                if wide:
                    self._strip(s, (side * at, side * (at + wide)), z, class_name, look)
                at += wide
            if bands:
                for t in (edge, back):
                    self._strip(s, (side * t, side * t), face, 'sidewalk', layout.curb)
            else:
                self._shoulder(s, side, edge)
            if part.verge_m:
                self._strip(s, (side * back, side * front), z - 0.02 if bands else -0.015,
                            'terrain', layout.terrain)
        if self._crossing and bands:
            self._cap(side * edge, side * back)
        self._parked(side, edge)
        self._stand(side, edge, part, z)
        self._front(side, front)
        middle = side * (back - part.walk_m / 2)
        if part.walk_m and self._chance((0.04 + 0.14 * town) * self._density.people):
            self._crowd(rng.uniform(2, SECTION_M - 2), middle, z,
                        (rng.uniform(0.8, 2.5), min(part.walk_m / 4, 0.9)))
        if part.walk_m > 1.4 and self._chance(0.25 * town * self._density.people):
            self._parked_bikes(side * (back - part.walk_m * 0.3))
        if self._chance(0.9):
            self._put(city_objects.plant(rng, 'wood'), 'vegetation', rng.uniform(0, SECTION_M),
                      side * rng.uniform(35, 85), 0.0, float(rng.normal(0, 0.5)),
                      rng.uniform(0.9, 1.6))

    def _shoulder(self, s: Span, side: int, edge: float) -> None:
        """Gravel with a ragged edge, where there is no curb."""
        begin = np.arange(s[0], s[1] - 1e-6, 1.0)
        out = edge + np.abs(self._rng.normal(0.25, 0.2, len(begin)))
        near, far = np.full_like(out, side * edge), side * out
        self._cells(begin, np.minimum(begin + 1.0, s[1]), np.minimum(near, far),
                    np.maximum(near, far), -0.005, 'terrain', self._layout.shoulder)

    def _fence(self, prop: objects.Prop, s: float, t: float, z: float, turn: float = 0.0) -> None:
        """A fence whose holes are labeled as well, as in Cityscapes; not those of guard rails."""
        self._put(prop, 'fence', s, t, z, turn)
        assert isinstance(prop[0], Mesh)
        (x0, y0, _), (x1, y1, height) = (f(prop[0].corners, axis=(0, 1)) for f in (np.min, np.max))
        if height > 0.78:
            y = float(y0 + y1) / 2
            face = quads([[(x0, y, 0), (x1, y, 0), (x1, y, height), (x0, y, height)]])
            x, y, heading = self._section.pose(s, t)
            self._builder.put_veil(face, (x, y, z), heading + turn, CLASS_ID['fence'])

    def _stand(self, side: int, edge: float, part: Side, z: float) -> None:
        """Lamps, signs, lights, bollards, masts and trees, close to the curb."""
        rng, town, layout = self._rng, self._layout.town, self._layout
        share = self._density.furniture
        z = z if part.curbed else -0.03
        t = side * (edge + 0.45)
        style = self._world.rng(22, side + 1)
        inwards = np.pi if side > 0 else 0.0
        if style.random() < 0.35 + 0.4 * town and self._chance(0.8 * share):
            self._put(city_objects.lamp(style), 'pole', 2.0, t, z, inwards)
        elif style.random() < 0.25:
            self._put(city_objects.mast(style, 8.5, 1.0, True), 'pole', 3.0,
                      side * (edge + part.strip_m + 1.0), z)
        for _ in range(rng.poisson(0.55 * share)):
            self._signs(self._free_s(), t, z, side * layout.hand < 0)
        if style.random() < 0.22:
            kind, step = int(style.integers(2 ** 31)), float(style.choice((1.5, 2.5, 6.0, 12.0)))
            for s in np.arange(step / 2, SECTION_M, step):
                if not self._crossing or not CROSS_S[0] - 0.5 < s < CROSS_S[1] + 0.5:
                    self._put(city_objects.bollard(np.random.default_rng(kind)), 'pole', float(s),
                              side * (edge + 0.3), z)
        elif part.walk_m and style.random() < 0.2:
            for low, high in self._pieces:
                self._fence(city_objects.fence(self._world.rng(23, side + 1), high - low),
                            (low + high) / 2, side * (edge + 0.3), z)
        if self._crossing and self._chance((0.4 + 0.45 * town) * share):
            self._lights(side, t, z)
        trees = self._world.rng(24, side + 1)
        if trees.random() < 0.5 * self._density.plants:
            spacing = float(trees.choice((6.0, 8.0, 12.0, 24.0)))
            inset = max(part.strip_m / 2 + layout.curb_wide_m, 0.8)
            if part.walk_m < 2 and not part.strip_m:
                inset = part.walk_m + 1.0
            tree = str(trees.choice(('crown', 'column', 'bare'), p=(0.66, 0.17, 0.17)))
            for s in np.arange(spacing / 2, SECTION_M, spacing):
                if self._crossing and CROSS_S[0] - 2 < s < CROSS_S[1] + 2 or self._chance(0.12):
                    continue
                self._put(city_objects.plant(trees, tree), 'vegetation', float(s) + 0.8,
                          side * (edge + inset), z, float(rng.uniform(0, 6.3)),
                          rng.uniform(0.55, 1.1))

    def _signs(self, s: float, t: float, z: float, onwards: bool) -> None:
        """A post with one to three signs, or a board on two; onwards: for who drives along s."""
        rng = self._rng
        facing, before = (0.0, -0.06) if onwards else (np.pi, 0.06)
        facing += float(rng.normal(0, 0.15))
        if self._chance(0.2):
            height, apart = rng.uniform(1.2, 3.2), rng.uniform(0.2, 0.6)
            for shift in (-apart, apart):
                self._put(objects.pole(rng, height + 0.4, 0.0, 0.04), 'pole', s, t + shift, z)
            self._put(city_objects.board(rng), 'traffic sign', s + before, t, z + height, facing)
            return
        height, count = rng.uniform(1.6, 2.9), int(rng.choice((1, 2, 3), p=(0.6, 0.3, 0.1)))
        self._put(objects.pole(rng, height + 0.35 + 0.7 * (count - 1), 0.0,
                               float(rng.uniform(0.025, 0.05))), 'pole', s, t, z)
        for i in range(count):
            self._put(objects.sign(rng), 'traffic sign', s + before, t, z + height + 0.72 * i,
                      facing, rng.uniform(0.7, 1.15))

    def _lights(self, side: int, t: float, z: float) -> None:
        """Traffic lights on posts, or on arms above the road."""
        rng = self._rng
        over = rng.uniform(3, 6) if self._chance(0.35) else 0.0
        inwards = np.pi if side > 0 else 0.0
        for s, facing, before in ((CROSS_S[0] - 1.2, 0.0, -0.2), (CROSS_S[1] + 1.2, np.pi, 0.2)):
            low = rng.uniform(2.3, 3.0)
            prop = city_objects.mast(rng, 5.8, over) if over else objects.pole(rng, low + 0.5)
            self._put(prop, 'pole', s, t, z, inwards)
            self._put(objects.traffic_light(rng), 'traffic light', s + before, t, z + low, facing,
                      rng.uniform(0.8, 1.1))
            if over:
                self._put(objects.traffic_light(rng), 'traffic light', s + before,
                          t - side * (over - 0.3), z + 5.3, facing)

    def _parked(self, side: int, edge: float) -> None:
        out = self._layout.parked_out_m
        if out and not self._layout.parking_turned:
            edge += min(out, self._layout.sides[side < 0].walk_m)
        super()._parked(side, edge)

    # Fronts.

    def _front(self, side: int, front: float) -> None:
        """What is along one side: one kind for a few sections in a row."""
        block = self._section.index // 3 + 1000
        style, town = self._world.rng(26, side + 1, block), self._layout.town
        kinds = {self._row: 0.05 + 0.6 * town ** 2, self._gardens: 0.28, self._trees: 0.32 *
                 (1.2 - town), self._halls: 0.1, self._meadow: 0.16 * (1.1 - town),
                 self._lot: 0.05}
        share = np.array(list(kinds.values()))
        make = list(kinds)[int(style.choice(len(kinds), p=share / share.sum()))]
        for piece in self._pieces:
            make(piece, side, front, style)

    def _along(self, piece: Span, low: float, high: float, gap: Span) -> Iterable[Span]:
        """Middle and width of lots in a row."""
        s = piece[0]
        while piece[1] - s > 3.5:
            width = float(min(self._rng.uniform(low, high), piece[1] - s))
            yield s + width / 2, width
            s += width + float(self._rng.uniform(*gap))

    def _house(self, make: Callable[..., objects.Prop], s: float, width: float, side: int,
               t: float, *more: int) -> None:
        if not self._seen(s, side * t, width / 2 + 9):
            return
        own = np.random.default_rng(int(self._rng.integers(2 ** 31)))
        turn = 0.0 if side > 0 else np.pi
        self._put(make(own, width, *more), 'building', s, side * t, 0.0, turn)

    def _border(self, piece: Span, side: int, t: float, style: Rng) -> None:
        """A wall, a fence or a hedge along a lot."""
        low, high = piece
        kind = str(style.choice(('wall', 'fence', 'hedge'), p=(0.27, 0.4, 0.33)))
        seed = int(style.integers(2 ** 31))
        parts = max(1, round((high - low) / 8))
        length = (high - low) / parts
        if not self._seen((low + high) / 2, side * t, (high - low) / 2):
            return
        maker, class_name = city_objects.BORDERS[kind]
        prop = maker(np.random.default_rng(seed), length + 0.02)
        for i in range(parts):
            if not self._chance(0.08):
                place = low + (i + 0.5) * length, side * t, 0.0, 0.0 if side > 0 else np.pi
                if kind == 'fence':
                    self._fence(prop, *place)
                else:
                    self._put(prop, class_name, *place)

    def _plants(self, piece: Span, side: int, near: float, far: float, mean: float,
                kinds: tuple[str, ...] = ('crown', 'shrub', 'shrub', 'column', 'pine', 'bare')
                ) -> None:
        rng = self._rng
        for _ in range(rng.poisson(mean * self._density.plants * (piece[1] - piece[0]) / 24)):
            self._put(city_objects.plant(rng, str(rng.choice(kinds))), 'vegetation',
                      rng.uniform(*piece), side * rng.uniform(near, far), -0.03,
                      float(rng.uniform(0, 6.3)), rng.uniform(0.6, 1.3))

    def _row(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """Houses without gaps at the sidewalk, or behind a forecourt."""
        setback = float(style.uniform(0, 0.5) if style.random() < 0.7 else style.uniform(1, 5))
        storeys = int(style.integers(2, 6))
        z = self._layout.curb_m if self._layout.sides[side < 0].curbed else -0.01
        self._strip(piece, (side * front, side * (front + setback + 0.5)), z, 'sidewalk',
                    self._layout.paving)
        for s, width in self._along(piece, 6, 15, (0, 0)):
            if not self._chance(0.06):
                self._house(city_objects.house, s, width, side, front + setback,
                            max(1, storeys + int(self._rng.integers(-1, 2))))
        if setback > 2:
            self._plants(piece, side, front + 0.5, front + setback, 0.8, ('column', 'shrub'))

    def _gardens(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """Houses behind gardens, with drives and garages."""
        rng, setback = self._rng, float(style.uniform(2, 11))
        storeys = int(style.integers(1, 3))
        if style.random() < 0.75:
            self._border(piece, side, front + 0.4, style)
        drive = self._layout.bay
        for s, width in self._along(piece, 7, 13, (0.5, 6)):
            self._house(city_objects.house, s, width, side, front + setback,
                        max(1, storeys + int(rng.integers(-1, 2))))
            if self._chance(0.4):
                at = s + width / 2 + 1.8
                if at + 1.6 < piece[1]:
                    self._strip((at - 1.6, at + 1.6), (side * (front - 0.2), side * (
                        front + setback + 1)), self._layout.curb_m + 0.001, 'sidewalk', drive)
                    self._house(city_objects.garage, at, 3.2, side, front + setback + 1)
        self._plants(piece, side, front + 1.2, front + setback + 0.5, 3.0)

    def _trees(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """The edge of a wood or a park."""
        near, dense = front + float(style.uniform(1.5, 6)), style.random() < 0.6
        if style.random() < 0.3:
            self._border(piece, side, front + 0.5, style)
        if dense:
            for s in np.arange(piece[0] + 5, piece[1], 10.0):
                self._put(city_objects.plant(self._rng, 'wood'), 'vegetation', float(s),
                          side * (near + 2), -0.1, float(self._rng.normal(0, 0.15)),
                          float(style.uniform(0.7, 1.4)))
        self._plants(piece, side, near, near + 9, 4.0 if dense else 5.0)

    def _halls(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """Industry or a supermarket behind a yard."""
        setback = float(style.uniform(0.5, 18))
        if setback > 3:
            self._strip(piece, (side * (front + 0.3), side * (front + setback + 1)), -0.01, 'road',
                        self._layout.bay)
            if style.random() < 0.6:
                self._border(piece, side, front + 0.3, style)
        for s, width in self._along(piece, 14, 24, (0, 3)):
            self._house(city_objects.hall, s, width, side, front + setback)
        if setback > 8:
            self._row_of_cars(piece, side, front + setback - 3, 0.35)

    def _lot(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """A parking lot."""
        deep = float(style.uniform(10, 22))
        self._strip(piece, (side * front, side * (front + deep)), -0.01, 'road',
                    self._layout.asphalt)
        for t in np.arange(front + 3, front + deep, 6.5):
            self._row_of_cars(piece, side, float(t), 0.7)
        if style.random() < 0.4:
            self._border(piece, side, front + 0.2, style)
        self._plants(piece, side, front + deep, front + deep + 5, 4.0)

    def _row_of_cars(self, piece: Span, side: int, t: float, share: float) -> None:
        rng = self._rng
        for s in np.arange(piece[0] + 1.5, piece[1] - 1, 2.7):
            if self._chance(share * self._density.vehicles):
                x, y, heading = self._section.pose(float(s), side * t)
                put_vehicle(self._world, self._builder, rng, x, y, 0.0, heading + np.pi / 2
                            + float(rng.normal(0, 0.04)), self._number(2),
                            'truck' if self._chance(0.05) else 'car')

    def _meadow(self, piece: Span, side: int, front: float, style: Rng) -> None:
        if style.random() < 0.5:
            self._border(piece, side, front + float(style.uniform(0.3, 3)), style)
        self._plants(piece, side, front + 1, front + 25, 1.5)
