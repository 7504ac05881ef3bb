# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth calibrate-mounting``: height and direction of a camera from its frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError, with_count
from ..tables import Table
from . import options
from .console import frame_progress, number, print_table, warn
from .options import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..evaluation.mounting_calibration import Measured
    from ..io.cameras.camera_options import CameraOptions
    from ..labels import ClassInfo
    from ..structures import Frame

    Item = tuple[Frame, list[NDArray[np.float32]]]
    """A frame and what was measured of its pixels."""


def calibrate_mounting(
        source: Annotated[Path, typer.Argument(
            help='rosbag2, video or folder of pictures of one camera; best of a drive straight '
            'ahead on level ground.')],
        out: Annotated[Path, typer.Option(
            '--out', '-o', help='YAML for --mounting, and for the node.')] = Path('mounting.yaml'),
        distance: Annotated[list[str] | None, typer.Option(
            '--distance', metavar='CLASS=METERS@FRAME', show_default=False,
            help='Measured distance from the camera to where the nearest thing of a class stands '
            'on the ground that the robot stands on, as in car=5.4@000012 (name or number of the '
            'frame); or a panoptic id in place of the class; can be repeated.')] = None,
        camera_height: Annotated[float | None, typer.Option(
            '--camera-height', help='Measured height of the camera in meters, instead of '
            '--distance: only the pitch is calibrated.')] = None,
        depth: Annotated[Path | None, typer.Option(
            '--depth', help='For pictures: folder of measured depth, NAME.png (uint16 m * 256).',
        )] = None,
        lidar_topic: Annotated[str | None, typer.Option(
            '--lidar-topic', help='Topic of the point clouds, for bags with several.')] = None,
        depth_topic: Annotated[str | None, typer.Option(
            '--depth-topic', help='Topic of measured depth images, if not /truth/depth.')] = None,
        calibration: Annotated[Path | None, typer.Option(
            '--calibration', help='YAML with transforms between sensors, which override tf.',
        )] = None,
        image_topic: options.ImageTopic = None,
        camera_info_topic: options.CameraInfoTopic = None,
        fx: options.Fx = None,
        fov: options.Fov = None,
        camera: options.Camera = None,
        camera_info_use: options.CameraInfoUse = 'auto',
        bits: options.Bits = 0,
        camera_axes: options.CameraAxes = 'optical',
        model: options.Model = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        limit: options.Limit = None) -> None:
    """
    Work out how high a camera is above the ground, and how far it looks down.

    One thing has to be measured: the distance of something, the depth of the ground by LiDAR in
    the bag or depth images, or the height itself.
    """
    from ..evaluation.mounting_calibration import Distance, MountingCalibration
    from ..io.bags.bag_files import is_bag
    from ..io.cameras.camera_options import CameraOptions
    from ..io.sources.mounting import write_mounting
    from ..model_directory import open_model

    options.check_height(camera_height)
    if camera_height is not None and distance:
        raise ConfigError(f'--camera-height is {camera_height}, and --distance is given too; give '
                          'one of them')
    if not source.exists():
        raise ConfigError(f'{source}: no such file or folder; give a bag, a video or a folder of '
                          'pictures')
    in_bag = is_bag(source)
    if in_bag and depth is not None:
        raise ConfigError(f'--depth is {depth}, but {source} is a bag; give --depth-topic')
    opened = open_model(model)
    classes = opened.info.class_infos()
    found = MountingCalibration(classes, [Distance.parse(d) for d in distance or ()],
                                camera_height)
    by_user = CameraOptions(fx, fov, camera, use=camera_info_use, axes=camera_axes, bits=bits)
    topics = {'image': image_topic, 'camera_info': camera_info_topic, 'lidar': lidar_topic,
              'depth': depth_topic}
    with options.open_pipeline(opened, backend, options.evaluation_settings(None), threads,
                               ) as pipeline, \
            (_bag(source, by_user, topics, calibration, classes) if in_bag
             else _pictures(source, by_user, topics, depth)) as items, \
            frame_progress('calibrate-mounting', limit) as progress:
        for frame, measured in items:
            found.add(frame, pipeline(frame), measured)
            progress.update(progress.task_ids[0], completed=found.frames)
            if found.frames == limit:
                break
    if not found.frames:
        raise ConfigError(f'{source}: no frame could be used')
    result = found.finish()
    rows = [(name, *_row(value, digits)) for name, value, digits in (
        ('height m', result.height_m, 3), ('pitch degrees', result.pitch_deg, 2),
        ('roll degrees', result.roll_deg, 2))]
    print_table(Table(f'Mounting of the camera, from {found.frames} frames',
                      ('', 'value', '68 % of the values', 'error of it', 'from', 'values'), rows))
    for text in result.warnings:
        warn(text)
    write_mounting(out, result.mounting, [
        f'{name} from {value.source}' for name, value in (
            ('height', result.height_m), ('pitch', result.pitch_deg), ('roll', result.roll_deg))])
    say(f'{out}: for --mounting, and for the parameters of the node')


def _row(value: Measured, digits: int) -> tuple[str, ...]:
    def text(amount: float) -> str:
        return '' if math.isnan(amount) else f'+-{number(amount, digits)}'

    return (number(value.value, digits), text(value.spread),
            text(value.error if value.count else math.nan), value.source, str(value.count or ''))


@contextmanager
def _bag(path: Path, camera: CameraOptions, topics: dict[str, str | None],
         calibration: Path | None, classes: tuple[ClassInfo, ...]) -> Iterator[Iterator[Item]]:
    """Frames of a recording with its LiDAR and depth."""
    from ..evaluation.recordings.reading.reader import RecordingReader
    from ..evaluation.settings import RecordingSettings, TopicSettings

    settings = RecordingSettings(topics=TopicSettings(
        **{name: topic for name, topic in topics.items() if topic is not None}))
    with RecordingReader(path, settings, camera=camera, calibration=calibration,
                         classes=classes) as reader:
        yield ((item.frame, [depth for depth in (item.lidar_depth, item.truth.depth)
                             if depth is not None]) for item in reader)
        _report(reader.skipped, reader.notes, reader.ended_early)


@contextmanager
def _pictures(path: Path, camera: CameraOptions, topics: dict[str, str | None],
              depth: Path | None) -> Iterator[Iterator[Item]]:
    """Frames of pictures or a video, with depth of a folder."""
    from ..datasets.label_files import read_depth
    from ..io.sources.open_source import NO_TOPICS, SourceOptions, open_with

    if any(topics.values()):
        raise ConfigError(f'{path}: {NO_TOPICS}')
    if depth is not None and not depth.is_dir():
        raise ConfigError(f'--depth is {depth}, which is no folder; give one with NAME.png')

    def measured(frame: Frame) -> list[NDArray[np.float32]]:
        file = None if depth is None else depth / f'{frame.name}.png'
        if file is None or not file.is_file():
            return []
        return [read_depth(file, frame.image.shape[:2])]

    with closing(open_with(path, SourceOptions(camera))) as frames:
        yield ((frame, measured(frame)) for frame in frames)
        _report(frames.skipped, frames.notes, frames.ended_early)


def _report(skipped: dict[str, int], notes: dict[str, int], ended_early: str) -> None:
    if ended_early:
        warn(f'the source ended early: {ended_early}')
    for text, count in {**skipped, **notes}.items():
        warn(with_count(text, count))
