# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Synthetic street scenes with exact panoptic labels and metric depth, and drives through them.

The streets and the ray caster (Embree, the extra ``synthetic``) are in scenery/.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..config import Settings
from ..labels import CITYSCAPES, LABEL_DIVISOR, THING_CLASSES, VOID_ID
from ..structures import Frame, GroundTruth, Intrinsics, Sample, UnknownObjects
from .label_files import instance_depths
from .scenery.city import City, city_lens, city_light
from .scenery.meshes import Rng
from .scenery.render import Lens, Light, Render, render
from .scenery.scene import Camera, Scene, SceneBuilder
from .scenery.street import AHEAD, BEHIND, SECTION_M, Densities, World
from .scenery.unknown_objects import FIRST_NUMBER, put_objects

_THING = np.array([c.is_thing for c in CITYSCAPES])
Range = tuple[float, float]
_HEIGHT_SEED = 7_411_002
_LEARNED_HEIGHTS_SEED = 5_000_011
_CAMERA_SEED = 3
VAL_SEED = 2
_CITY_SEED = 6_200_017


class View(Settings):
    """A kind of camera: the size of its pictures and its range of focal lengths."""

    share: float = Field(gt=0, description='of the scenes, relative to the other views')
    height: int = Field(ge=8)
    width: int = Field(ge=8)
    focal_per_width: Range


class SyntheticSettings(Settings):
    """Cameras, light and contents of synthetic scenes."""

    height: int = Field(256, ge=8, description='rows of the image')
    width: int = Field(512, ge=8, description='columns of the image')
    focal_per_width: Range = Field((0.49, 2.15), description='least and greatest focal length '
                                   'as a share of the image width; drawn evenly in its logarithm')
    camera_height_m: Range = Field((0.4, 2.2), description='of the camera above the road')
    usual_height_m: Range = Field((1.2, 1.8), description='where most cameras are')
    pitch_deg: Range = Field((-6.0, 6.0), description='positive looks down')
    roll_deg: Range = Field((-2.0, 2.0), description='positive is clockwise')
    densities: Densities = Densities()
    city: bool = Field(False, description='streets of scenery/city.py in place of street.py')
    views: tuple[View, ...] = Field((), description='kinds of cameras to draw from, in place of '
                                    'one height, width and focal_per_width')
    intrinsics: Intrinsics | None = Field(None, description='one camera, with its lens, in place '
                                          'of one drawn of these sizes and focal lengths')


_DEFAULTS = SyntheticSettings()


def _draw_light(rng: Rng) -> Light:
    """Time of day and weather by chance."""
    cloud = float(rng.beta(0.7, 1.1))
    overcast = cloud > 0.75
    elevation, azimuth = np.radians(rng.uniform(12, 68)), rng.uniform(0, 2 * np.pi)
    direction = np.array((0.12, 0.05, 0.99) if overcast else (
        np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation)))
    warm = np.clip(0.6 - elevation, 0.0, 0.5)
    strength = 1.15 if overcast else rng.uniform(2.6, 5.0)
    sun = strength * np.array((1.0, 0.96 - 0.2 * warm, 0.9 - 0.55 * warm))
    blue, grey = np.array((0.42, 0.62, 1.0)), np.array((0.88, 0.93, 1.0)) * 1.05
    ambient = (grey if overcast else 0.5 * blue + 0.35 * grey) * rng.uniform(0.55, 0.95)
    ambient = ambient * (1.35 if overcast else 0.9)
    zenith = grey if overcast else blue * rng.uniform(0.55, 0.9)
    horizon = grey * rng.uniform(0.95, 1.35)
    return Light(
        (direction / np.linalg.norm(direction)).astype(np.float32), sun.astype(np.float32),
        ambient.astype(np.float32), zenith.astype(np.float32), horizon.astype(np.float32),
        0.006 * rng.random() ** 3, cloud,
        0.5 if overcast else 0.012, int(rng.integers(2 ** 20)))


def _draw_lens(rng: Rng) -> Lens:
    """A sensor and its processing by chance."""
    balance = np.exp(rng.normal(0, 0.06, 3))
    return Lens(
        exposure=float(0.62 * np.exp(rng.normal(0.0, 0.35))), white_balance=balance,
        gamma=float(rng.uniform(1.9, 2.5)), noise=float(rng.uniform(0, 0.018)),
        blur_px=float(rng.uniform(-0.1, 0.8)), vignette=float(rng.uniform(0, 0.5)),
        contrast=float(rng.uniform(0.95, 1.6)))


def _viewed(rng: Rng, settings: SyntheticSettings) -> SyntheticSettings:
    """The settings with one of their views in place of size and focal lengths."""
    if not settings.views:
        return settings
    shares = np.array([view.share for view in settings.views])
    view = settings.views[int(rng.choice(len(shares), p=shares / shares.sum()))]
    return settings.model_copy(update=view.model_dump(exclude={'share'}))


def _draw_intrinsics(rng: Rng, settings: SyntheticSettings) -> Intrinsics:
    """
    A pinhole camera by chance, square pixels.

    The draws are the same for a given camera, so that it sees the same scenes.
    """
    width, height = settings.width, settings.height
    focal = float(np.exp(rng.uniform(*np.log(settings.focal_per_width)))) * width
    shift = 0.03 * rng.uniform(-1, 1, 2) * (width, height)
    return settings.intrinsics or Intrinsics(
        focal, focal, (width - 1) / 2 + float(shift[0]), (height - 1) / 2 + float(shift[1]),
        width, height)


def _draw_height(rng: Rng, settings: SyntheticSettings, usual: float) -> float:
    """Meters above the road; ``usual`` is the share of cameras at a usual height."""
    return float(rng.uniform(*(settings.usual_height_m if rng.random() < usual
                               else settings.camera_height_m)))


def _built(world: World | City, eye: tuple[float, float, float], heading: float, s_eye: float,
           settings: SyntheticSettings, rng: Rng) -> tuple[SceneBuilder, Camera]:
    """A camera by chance in a street with all that stands and drives there."""
    camera = Camera.looking(
        _draw_intrinsics(rng, settings), eye, heading,
        float(np.radians(rng.uniform(*settings.pitch_deg))),
        float(np.radians(rng.uniform(*settings.roll_deg))))
    x, y, _ = eye
    builder = SceneBuilder((x, y), camera)
    world.ground(builder, x, y)
    for number in range(-BEHIND + 1, AHEAD):
        world.furnish(builder, number, keep_clear=False)
    world.traffic(builder, s_eye, float(rng.uniform(0, 100)), 8.0)
    return builder, camera


def _sample(picture: Render, camera: Camera, ids: InstanceIds, name: str,
            stamp_ns: int = 0, sequence: str = '') -> Sample:
    """Everything is known of a synthetic picture."""
    panoptic = ids.panoptic(picture)
    panoptic[picture.blank] = VOID_ID
    frame = Frame(picture.image, camera.intrinsics, stamp_ns=stamp_ns, name=name,
                  intrinsics_source='camera_info', mounting=camera.mounting)
    return Sample(frame, GroundTruth(
        panoptic=panoptic, has_semantics=True, instance_classes=THING_CLASSES,
        depth=picture.depth, instance_depth_m=instance_depths(panoptic, picture.depth)), sequence)


class InstanceIds:
    """Instance ids 1.. per class; a thing keeps its id through all pictures of a world."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}
        self._next = dict.fromkeys(THING_CLASSES, 0)

    def panoptic(self, picture: Render) -> NDArray[np.int32]:
        """Panoptic ids of a picture; ids wrap after LABEL_DIVISOR - 1 things of a class."""
        out: NDArray[np.int32] = picture.class_id * LABEL_DIVISOR
        thing = _THING[picture.class_id]
        count = len(CITYSCAPES)
        keys, inverse = np.unique(picture.number[thing] * count + picture.class_id[thing],
                                  return_inverse=True)
        numbers = []
        for key in keys.tolist():
            if key not in self._ids:
                class_id = key % count
                self._ids[key] = self._next[class_id] % (LABEL_DIVISOR - 1) + 1
                self._next[class_id] += 1
            numbers.append(self._ids[key])
        out[thing] += np.array(numbers, np.int32)[inverse]
        return out


class SyntheticScenes:
    """Independent scenes; scene i depends on (seed, i) only."""

    classes = CITYSCAPES

    def __init__(self, length: int, seed: int = 0,
                 settings: SyntheticSettings = _DEFAULTS) -> None:
        self._length, self._seed, self._settings = length, seed, settings

    def __len__(self) -> int:
        return self._length

    def _city(self, index: int, rng: Rng) -> Sample:
        """A scene of a city."""
        settings = _viewed(rng, self._settings)
        height = _draw_height(rng, settings, usual=0.6)
        world = City((self._seed, index), settings.densities)
        s_eye, t_eye, yaw = world.viewpoint(rng, height)
        x, y, heading = world.pose(s_eye, t_eye)
        builder, camera = _built(world, (x, y, height), heading + yaw, s_eye, settings, rng)
        world.horizon(builder, x, y)
        world.near(builder, camera, t_eye, rng)
        return self._taken(builder, camera, city_light(_draw_light(rng), rng),
                           city_lens(_draw_lens(rng), rng), rng,
                           f'synthetic_{self._seed}_{index:06d}')

    def __getitem__(self, index: int) -> Sample:
        """
        Render one scene.

        :raises IndexError: outside of 0..length - 1.
        :raises ConfigError: when the ray caster is not installed.
        """
        if not 0 <= index < self._length:
            raise IndexError(f'scene {index} of {self._length}; give 0..{self._length - 1}')
        rng = np.random.default_rng([self._seed, index])
        if self._settings.city:
            return self._city(index, rng)
        settings = _viewed(rng, self._settings)
        world = World((self._seed, index), settings.densities)
        s_eye = float(rng.uniform(0, SECTION_M))
        t_eye = world.layout.own_lane() + float(rng.normal(0, 0.4))
        if rng.random() < 0.18:  # On foot.
            side = 1 if rng.random() < 0.5 else -1
            t_eye = side * (world.layout.road_edge(side) + float(rng.uniform(0.2, 2.0)))
        height = _draw_height(rng, settings, usual=0.75)
        x, y, heading = world.pose(s_eye, t_eye)
        yaw = float(rng.normal(0, 0.06 if rng.random() < 0.7 else 0.6))
        builder, camera = _built(world, (x, y, height), heading + yaw, s_eye, settings, rng)
        return self._taken(builder, camera, _draw_light(rng), _draw_lens(rng), rng,
                           f'synthetic_{self._seed}_{index:06d}')

    def _taken(self, builder: SceneBuilder, camera: Camera, light: Light, lens: Lens, rng: Rng,
               name: str) -> Sample:
        """The picture of a scene."""
        picture = render([builder.build()], camera, light, lens, rng)
        return _sample(picture, camera, InstanceIds(), name)


class UnknownObjectScenes(SyntheticScenes):
    """The same scenes with objects of no class on the road, which the truth marks."""

    def _taken(self, builder: SceneBuilder, camera: Camera, light: Light, lens: Lens, rng: Rng,
               name: str) -> Sample:
        before = render([builder.build()], camera, light, lens, copy.deepcopy(rng))
        kinds = put_objects(builder, camera, before, np.random.default_rng(
            zlib.crc32(name.encode())))
        picture = render([builder.build()], camera, light, lens, rng) if kinds else before
        number = np.maximum(picture.number - (FIRST_NUMBER - 1), 0).astype(np.uint8)
        sample = _sample(picture, camera, InstanceIds(), name)
        assert sample.truth.panoptic is not None
        return replace(sample, truth=replace(
            sample.truth, panoptic=np.where(number, VOID_ID, sample.truth.panoptic),
            unknown_objects=UnknownObjects(number, kinds, before.depth)))


def camera_scenes(length: int, focal_px: float) -> SyntheticScenes:
    """
    The scenes that show how a model takes other cameras: 1024x512, one focal length.

    Each index is the same place at every focal length, seen narrower or wider. No training
    recipe has them.
    """
    share = focal_px / 1024
    return SyntheticScenes(length, _CAMERA_SEED, SyntheticSettings(
        width=1024, height=512, focal_per_width=(share, share)))


def height_scenes(length: int, height_m: float) -> SyntheticScenes:
    """
    The scenes that show how a model takes other heights of the camera: 640x320, one height.

    Each index is the same place, lens and light at every height. No training recipe has them.
    """
    height = height_m, height_m * 1.0001
    return SyntheticScenes(length, _HEIGHT_SEED, SyntheticSettings(
        width=640, height=320, focal_per_width=(0.8, 1.2), camera_height_m=height,
        usual_height_m=height))


def low_and_high_scenes(length: int) -> SyntheticScenes:
    """Scenes of cameras at 0.3 to 2.5 m, to learn what the height of the camera means."""
    return SyntheticScenes(length, _LEARNED_HEIGHTS_SEED, SyntheticSettings(
        camera_height_m=(0.3, 2.5), usual_height_m=(0.6, 2.0)))


def city_scenes(length: int) -> SyntheticScenes:
    """
    Streets as in real recordings, seen from 0.3 to 2.5 m, to learn from.

    A third of the cameras are wide ones like those of KITTI, a quarter are of 4:3.
    """
    return SyntheticScenes(length, _CITY_SEED, SyntheticSettings(
        city=True, camera_height_m=(0.3, 2.5), usual_height_m=(1.1, 1.9), roll_deg=(-3.0, 3.0),
        views=(View(share=0.35, height=208, width=640, focal_per_width=(0.53, 0.64)),
               View(share=0.25, height=312, width=416, focal_per_width=(0.75, 1.3)),
               View(share=0.4, height=256, width=512, focal_per_width=(0.49, 1.6)))))


def unknown_object_scenes(length: int) -> UnknownObjectScenes:
    """The scenes of the split val, with objects of no class on the road."""
    return UnknownObjectScenes(length, VAL_SEED)


def scenes_of(length: int, camera: Intrinsics) -> SyntheticScenes:
    """The places of camera_scenes, seen by a camera, which may have a lens."""
    return SyntheticScenes(length, _CAMERA_SEED, SyntheticSettings(intrinsics=camera))


class SyntheticDrive:
    """A number of frames of one camera that drives along a street; may be iterated again."""

    classes = CITYSCAPES

    def __init__(self, frames: int, seed: int = 0, rate_hz: float = 10.0,
                 settings: SyntheticSettings = _DEFAULTS, speed_mps: float = 8.0) -> None:
        self._frames, self._seed, self._rate_hz = frames, seed, rate_hz
        self._settings, self._speed = settings, speed_mps
        rng = np.random.default_rng([seed, 77])
        self._light, self._lens = _draw_light(rng), _draw_lens(rng)
        if settings.city:
            self._light, self._lens = city_light(self._light, rng), city_lens(self._lens, rng)
        self._intrinsics = _draw_intrinsics(rng, _viewed(rng, settings))
        self._height = float(rng.uniform(*settings.usual_height_m))
        self._pitch = float(np.radians(rng.uniform(*settings.pitch_deg)) / 3)

    def __len__(self) -> int:
        return self._frames

    def world(self) -> World:
        """A new copy of the street that is driven along."""
        kind = City if self._settings.city else World
        return kind((self._seed, 2 ** 31), self._settings.densities)

    def camera(self, world: World, index: int) -> Camera:
        """Pose of the camera in a frame; ask for frames in order."""
        time_s = index / self._rate_hz
        sway, turn = float(np.sin(0.35 * time_s + self._seed)), float(np.sin(0.23 * time_s))
        x, y, heading = world.pose(self._speed * time_s, world.layout.own_lane() + 0.15 * sway)
        return Camera.looking(
            self._intrinsics, (x, y, self._height), heading + 0.02 * turn,
            self._pitch + 0.004 * float(np.sin(7.0 * time_s)), 0.004 * float(np.sin(4.1 * time_s)))

    def __iter__(self) -> Iterator[Sample]:
        world, ids = self.world(), InstanceIds()
        still: Scene | None = None
        for index in range(self._frames):
            time_s = index / self._rate_hz
            s_eye = self._speed * time_s
            camera = self.camera(world, index)
            if world.advance(int(s_eye // SECTION_M)) or still is None:
                still = world.still(camera.position[:2].round())
            x, y = still.origin.tolist()
            builder = SceneBuilder((x, y))
            world.ground(builder, x, y)
            world.traffic(builder, s_eye, time_s, self._speed)
            picture = render([still, builder.build()], camera, self._light, self._lens,
                             np.random.default_rng([self._seed, 78, index]))
            yield _sample(picture, camera, ids, f'drive_{self._seed}_{index:06d}',
                          round(1e9 + index * 1e9 / self._rate_hz), f'drive_{self._seed}')
