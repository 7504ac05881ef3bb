# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From what the user names, a path or a camera, to a source of frames."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigError
from ..bags.storage import is_bag
from .bag_source import BagSource
from .camera import CameraOptions
from .frame_source import FrameSource, Skip
from .pictures import PICTURE_SUFFIXES, PictureSource, list_pictures
from .videos import VIDEO_SUFFIXES, CameraSource, VideoSource

ACCEPTED = ('a picture, a folder of pictures, a video, a rosbag2 folder, a .db3 or .mcap file, '
            "or 'camera:0'")
NO_TOPICS = ('is no bag, so it has no topics; leave the image topic and the camera info topic out')


@dataclass(frozen=True)
class SourceOptions:
    """
    What may be said about a source.

    :param image_topic, camera_info_topic: for bags; None: found by itself.
    :param skip: name of a frame -> True when it is done already.
    """

    camera: CameraOptions = CameraOptions()
    image_topic: str | None = None
    camera_info_topic: str | None = None
    skip: Skip | None = None


@dataclass(frozen=True)
class SourceKind:
    """One kind of source: how to tell it and how to open it."""

    matches: Callable[[str, Path], bool]
    open: Callable[[str, Path, SourceOptions], FrameSource]


_CAMERA = re.compile(r'camera:(\d+)|/dev/video\d+')


def _open_camera(text: str, _: Path, options: SourceOptions) -> FrameSource:
    match = _CAMERA.fullmatch(text)
    number = match.group(1) if match else None
    return CameraSource(text if number is None else int(number), options.camera, options.skip)


def _open_pictures(_: str, path: Path, options: SourceOptions) -> FrameSource:
    paths = list_pictures(path) if path.is_dir() else [path]
    return PictureSource(paths, options.camera, options.skip)


KINDS: dict[str, SourceKind] = {
    'camera': SourceKind(lambda text, _: bool(_CAMERA.fullmatch(text)), _open_camera),
    'bag': SourceKind(
        lambda _, path: is_bag(path),
        lambda _, path, o: BagSource(path, o.camera, o.image_topic, o.camera_info_topic, o.skip)),
    'pictures': SourceKind(
        lambda _, path: bool(list_pictures(path)) if path.is_dir()
        else path.suffix.lower() in PICTURE_SUFFIXES, _open_pictures),
    'video': SourceKind(
        lambda _, path: path.suffix.lower() in VIDEO_SUFFIXES and path.is_file(),
        lambda _, path, o: VideoSource(path, o.camera, o.skip)),
}
"""Kinds of sources, tried in this order."""


def open_source(source: str | Path, *, fx: float | None = None, fov_deg: float | None = None,
                image_topic: str | None = None, camera_info_topic: str | None = None,
                intrinsics_file: str | Path | None = None,
                skip: Skip | None = None) -> FrameSource:
    """
    Open a picture, a folder of pictures, a video, a bag or a camera.

    :param fx: focal length in px, for sources that do not say, or to overrule them.
    :param fov_deg: horizontal field of view in degrees, likewise.
    :param intrinsics_file: a camera.json, likewise.
    :param image_topic, camera_info_topic: for bags with more than one.
    :param skip: name of a frame -> True when it is done already.
    :raises ConfigError: a path that is missing or holds nothing that can be read, options that
        contradict each other.
    """
    camera = CameraOptions(fx, fov_deg, Path(intrinsics_file) if intrinsics_file else None)
    return open_with(source, SourceOptions(camera, image_topic, camera_info_topic, skip))


def open_with(source: str | Path, options: SourceOptions) -> FrameSource:
    """
    Open a source with options that several share.

    :raises ConfigError: as open_source.
    """
    text, path = str(source), Path(source)
    if not text:
        raise ConfigError(f"the source is ''; give {ACCEPTED}")
    if '://' in text:
        raise ConfigError(f'{text}: is an address; download it and give the path of the file')
    if text.startswith('camera:') and not _CAMERA.fullmatch(text):
        raise ConfigError(f'{text}: no such camera; give a number, as in camera:0')
    is_camera = KINDS['camera'].matches(text, path)
    if not is_camera and not path.exists():
        raise ConfigError(f'{text}: does not exist; give {ACCEPTED}')
    for name, kind in KINDS.items():
        if kind.matches(text, path):
            if name != 'bag' and (options.image_topic or options.camera_info_topic):
                raise ConfigError(f'{text}: {NO_TOPICS}')
            return kind.open(text, path, options)
    if path.suffix == '.bag':
        raise ConfigError(f'{text}: is a ROS 1 bag; convert it with rosbags-convert first')
    if path.is_dir():
        raise ConfigError(f'{text}: holds no pictures ({" ".join(PICTURE_SUFFIXES)}) and no bag; '
                          f'give {ACCEPTED}')
    raise ConfigError(f'{text}: not known by its name; give {ACCEPTED}')
