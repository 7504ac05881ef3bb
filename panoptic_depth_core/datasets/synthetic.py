# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Synthetic street scenes with exact panoptic labels and metric depth, and drives through them.

The streets and the ray caster (Embree, the extra ``synthetic``) are in scenery/.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..config import Settings
from ..labels import CITYSCAPES, LABEL_DIVISOR, THING_CLASSES
from ..structures import Frame, GroundTruth, Intrinsics, Sample
from .label_files import instance_depths
from .scenery.layout import AHEAD, BEHIND, SECTION_M, Densities
from .scenery.meshes import Rng
from .scenery.optics import Lens, Light
from .scenery.render import RayCaster, Render, Stage, render
from .scenery.scene import Camera, Scene, SceneBuilder
from .scenery.world import World

_THING = np.array([c.is_thing for c in CITYSCAPES])
Range = tuple[float, float]
_REMEMBERED = 1000
"""Pictures after which a thing that was not seen again is forgotten."""
_CAMERA_SCENES = {'width': 1024, 'height': 512}
_CAMERA_SEED = 3


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
    principal_point: float = Field(0.03, ge=0, le=0.3, description='greatest shift of the '
                                   'principal point as a share of the image size')
    haze_per_m: Range = Field((0.0, 0.006), description='extinction of the air')
    shadows: bool = Field(True, description='cast shadows')
    lens_effects: bool = Field(True, description='noise, blur, exposure and colour by chance')
    edge_samples: int = Field(2, ge=0, le=4, description='further rays for pixels at edges')
    densities: Densities = Densities()


DEFAULTS = SyntheticSettings()


def draw_light(rng: Rng, settings: SyntheticSettings) -> Light:
    """Time of day and weather by chance."""
    cloud = float(rng.beta(0.7, 1.1))
    overcast = cloud > 0.75
    elevation = np.radians(rng.uniform(12, 68))
    azimuth = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation)
                          * np.sin(azimuth), np.sin(elevation)])
    if overcast:
        direction = np.array([0.12, 0.05, 0.99])
    warm = np.clip(0.6 - elevation, 0.0, 0.5)
    strength = 1.15 if overcast else rng.uniform(2.6, 5.0)
    sun = strength * np.array((1.0, 0.96 - 0.2 * warm, 0.9 - 0.55 * warm))
    blue = np.array((0.42, 0.62, 1.0))
    grey = np.array((0.88, 0.93, 1.0)) * 1.05
    ambient = (grey if overcast else 0.5 * blue + 0.35 * grey) * rng.uniform(0.55, 0.95)
    ambient = ambient * (1.35 if overcast else 0.9)
    zenith = (grey if overcast else blue * rng.uniform(0.55, 0.9))
    horizon = grey * rng.uniform(0.95, 1.35)
    haze = settings.haze_per_m
    return Light(
        sun_direction=(direction / np.linalg.norm(direction)).astype(np.float32),
        sun=sun.astype(np.float32), ambient=ambient.astype(np.float32),
        zenith=zenith.astype(np.float32), horizon=horizon.astype(np.float32),
        haze_per_m=float(haze[0] + (haze[1] - haze[0]) * rng.random() ** 3),
        cloud=cloud, softness=0.5 if overcast else 0.012, seed=int(rng.integers(2 ** 20)),
        shadows=settings.shadows)


def draw_lens(rng: Rng, settings: SyntheticSettings) -> Lens:
    """A sensor and its processing by chance."""
    if not settings.lens_effects:
        return Lens(0.55, (1.0, 1.0, 1.0), 2.2, 0.0, 0.0, 0.0)
    balance = np.exp(rng.normal(0, 0.06, 3))
    return Lens(
        exposure=float(0.62 * np.exp(rng.normal(0.0, 0.35))),
        white_balance=(float(balance[0]), float(balance[1]), float(balance[2])),
        gamma=float(rng.uniform(1.9, 2.5)), noise=float(rng.uniform(0, 0.018)),
        blur_px=float(max(0.0, rng.uniform(-0.1, 0.8))), vignette=float(rng.uniform(0, 0.5)),
        contrast=float(rng.uniform(0.95, 1.6)))


def draw_intrinsics(rng: Rng, settings: SyntheticSettings) -> Intrinsics:
    """A pinhole camera by chance, square pixels."""
    width, height = settings.width, settings.height
    low, high = np.log(settings.focal_per_width)
    focal = float(np.exp(rng.uniform(low, high))) * width
    shift = settings.principal_point * rng.uniform(-1, 1, 2) * (width, height)
    return Intrinsics(focal, focal, (width - 1) / 2 + float(shift[0]),
                      (height - 1) / 2 + float(shift[1]), width, height)


def _truth(picture: Render, panoptic: NDArray[np.int32]) -> GroundTruth:
    """Everything is known of a synthetic picture."""
    return GroundTruth(
        panoptic=panoptic, has_semantics=True, instance_classes=THING_CLASSES,
        depth=picture.depth, instance_depth_m=instance_depths(panoptic, picture.depth))


class InstanceIds:
    """Instance ids 1.. per class of the things of a world, the same as long as it is used."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int], int] = {}
        self._next = dict.fromkeys(THING_CLASSES, 0)
        self._seen: dict[tuple[int, int], int] = {}
        self._pictures = 0

    def panoptic(self, picture: Render) -> NDArray[np.int32]:
        """Panoptic ids of a picture; ids wrap after LABEL_DIVISOR - 1 things of a class."""
        out: NDArray[np.int32] = picture.class_id * LABEL_DIVISOR
        thing = _THING[picture.class_id]
        count = len(CITYSCAPES)
        keys, inverse = np.unique(picture.number[thing] * count + picture.class_id[thing],
                                  return_inverse=True)
        pairs = [(int(key % count), int(key // count)) for key in keys]
        for class_id, number in pairs:
            if (class_id, number) not in self._ids:
                self._ids[class_id, number] = self._next[class_id] % (LABEL_DIVISOR - 1) + 1
                self._next[class_id] += 1
            self._seen[class_id, number] = self._pictures
        self._pictures += 1
        if self._pictures % _REMEMBERED == 0:
            oldest = self._pictures - _REMEMBERED
            self._seen = {pair: last for pair, last in self._seen.items() if last >= oldest}
            self._ids = {pair: self._ids[pair] for pair in self._seen}
        out[thing] += np.array([self._ids[pair] for pair in pairs], np.int32)[inverse]
        return out


class SyntheticScenes:
    """
    Independent scenes; scene i depends on (seed, i) only.

    :param length: number of scenes.
    """

    classes = CITYSCAPES

    def __init__(self, length: int, seed: int = 0,
                 settings: SyntheticSettings = DEFAULTS) -> None:
        self._length = length
        self._seed = seed
        self._settings = settings

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(self._length))

    def __getitem__(self, index: int) -> Sample:
        """
        Render one scene.

        :raises IndexError: outside of 0..length - 1.
        :raises ConfigError: when the ray caster is not installed.
        """
        if not 0 <= index < self._length:
            raise IndexError(f'scene {index} of {self._length}; give 0..{self._length - 1}')
        settings = self._settings
        rng = np.random.default_rng([self._seed, index])
        world = World((self._seed, index), settings.densities)
        layout = world.layout
        s_eye = float(rng.uniform(0, SECTION_M))
        lane = -layout.hand * layout.lane_m * (layout.lanes - 0.5)
        t_eye = lane + float(rng.normal(0, 0.4))
        walking = rng.random() < 0.18
        if walking:
            side = 1 if rng.random() < 0.5 else -1
            t_eye = side * (layout.road_edge(side) + float(rng.uniform(0.2, 2.0)))
        usual = rng.random() < 0.75
        height = float(rng.uniform(*(settings.usual_height_m if usual
                                     else settings.camera_height_m)))
        x, y, heading = world.pose(s_eye, t_eye)
        yaw = float(rng.normal(0, 0.06)) if rng.random() < 0.7 else float(rng.normal(0, 0.6))
        camera = Camera.looking(
            draw_intrinsics(rng, settings), (x, y, height), heading + yaw,
            float(np.radians(rng.uniform(*settings.pitch_deg))),
            float(np.radians(rng.uniform(*settings.roll_deg))))
        builder = SceneBuilder((x, y), camera)
        world.ground(builder, x, y)
        for number in range(-BEHIND + 1, AHEAD):
            world.furnish(builder, number, keep_clear=False)
        world.traffic(builder, s_eye, float(rng.uniform(0, 100)), 8.0)
        picture = render(Stage([builder.build()]), camera, draw_light(rng, settings),
                         draw_lens(rng, settings), rng, settings.edge_samples)
        frame = Frame(picture.image, camera.intrinsics, name=f'synthetic_{self._seed}_{index:06d}',
                      intrinsics_source='camera_info')
        return Sample(frame, _truth(picture, InstanceIds().panoptic(picture)))


def camera_scenes(length: int, focal_px: float) -> SyntheticScenes:
    """
    The scenes that show how a model takes other cameras: 1024x512, one focal length.

    Each index is the same place at every focal length, seen narrower or wider. No training
    recipe has them.
    """
    share = focal_px / _CAMERA_SCENES['width']
    return SyntheticScenes(length, _CAMERA_SEED, SyntheticSettings(
        **_CAMERA_SCENES, focal_per_width=(share, share)))


class SyntheticDrive:
    """
    Frames of one camera that drives along a street; iterate as often as you like.

    :param frames: number of frames. :param rate_hz: frames per second.
    """

    classes = CITYSCAPES

    def __init__(self, frames: int, seed: int = 0, rate_hz: float = 10.0,
                 settings: SyntheticSettings = DEFAULTS, speed_mps: float = 8.0) -> None:
        self._frames = frames
        self._seed = seed
        self._rate_hz = rate_hz
        self._settings = settings
        self._speed = speed_mps
        rng = np.random.default_rng([seed, 77])
        self._light = draw_light(rng, settings)
        self._lens = draw_lens(rng, settings)
        self._intrinsics = draw_intrinsics(rng, settings)
        self._height = float(rng.uniform(*settings.usual_height_m))
        self._pitch = float(np.radians(rng.uniform(*settings.pitch_deg)) / 3)

    def __len__(self) -> int:
        return self._frames

    def world(self) -> World:
        """A new copy of the street that is driven along."""
        return World((self._seed, 2 ** 31), self._settings.densities)

    def camera(self, world: World, index: int) -> Camera:
        """Pose of the camera in a frame; frames must be asked for in order."""
        time = index / self._rate_hz
        layout = world.layout
        lane = -layout.hand * layout.lane_m * (layout.lanes - 0.5)
        sway = np.sin(0.35 * time + self._seed), np.sin(0.23 * time)
        x, y, heading = world.pose(self._speed * time, lane + 0.15 * float(sway[0]))
        return Camera.looking(
            self._intrinsics, (x, y, self._height), heading + 0.02 * float(sway[1]),
            self._pitch + 0.004 * float(np.sin(7.0 * time)), 0.004 * float(np.sin(4.1 * time)))

    def __iter__(self) -> Iterator[Sample]:
        world = self.world()
        fixed: tuple[Scene, RayCaster] | None = None
        ids = InstanceIds()
        for index in range(self._frames):
            time_s = index / self._rate_hz
            s_eye = self._speed * time_s
            camera = self.camera(world, index)
            if world.advance(int(s_eye // SECTION_M)) or fixed is None:
                still = world.still(camera.position[:2].round())
                fixed = still, RayCaster(still.corners)
            origin = fixed[0].origin
            builder = SceneBuilder((float(origin[0]), float(origin[1])))
            world.ground(builder, float(origin[0]), float(origin[1]))
            world.traffic(builder, s_eye, time_s, self._speed)
            stage = Stage([fixed[0], builder.build()], [fixed[1]])
            picture = render(stage, camera, self._light, self._lens,
                             np.random.default_rng([self._seed, 78, index]),
                             self._settings.edge_samples)
            frame = Frame(picture.image, camera.intrinsics,
                          stamp_ns=round(1e9 + index * 1e9 / self._rate_hz),
                          name=f'drive_{self._seed}_{index:06d}', intrinsics_source='camera_info')
            yield Sample(frame, _truth(picture, ids.panoptic(picture)), f'drive_{self._seed}')
