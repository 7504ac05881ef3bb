# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From what the user names, a path or a camera, to a source of frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigError
from ...untrusted import is_lfs_pointer, lfs_pointer
from ..bags.bag_files import is_bag, ros1_bag
from ..cameras.camera_info import Use
from ..cameras.camera_options import CameraOptions
from . import opencv_sources as opencv
from .bag_source import BagSource
from .frame_source import FrameSource, Skip
from .mounting import MountingSettings
from .picture_source import PICTURE_SUFFIXES, FoundPictures, PictureSource, find_pictures

ACCEPTED = ('a picture, a folder of pictures, a video, a rosbag2 folder, a .db3 or .mcap file, '
            "or 'camera:0'")
NO_TOPICS = ('is no bag, so it has no topics; leave the image topic and the camera info topic out')
NO_TF = 'is no bag, so it has no tf; leave the ground frame out and give the height of the camera'

_CAMERA = re.compile(r'camera:(\d+)|/dev/video\d+')


@dataclass(frozen=True)
class SourceOptions:
    """
    The options of all sources.

    :param image_topic, camera_info_topic: for bags; None: found automatically.
    :param skip: name of a frame -> True when it is done already.
    :param mounting: of the camera; bags look for it in tf where it has no height.
    :param recursive: also read pictures in folders of the folder.
    """

    camera: CameraOptions = CameraOptions()
    image_topic: str | None = None
    camera_info_topic: str | None = None
    skip: Skip | None = None
    mounting: MountingSettings = MountingSettings()
    recursive: bool = False


def open_source(source: str | Path, *, fx: float | None = None, fov_deg: float | None = None,
                image_topic: str | None = None, camera_info_topic: str | None = None,
                intrinsics_file: str | Path | None = None, camera_info_use: Use = 'auto',
                mounting: MountingSettings | None = None,
                bits: int = 0, recursive: bool = False, skip: Skip | None = None) -> FrameSource:
    """
    Open a picture, a folder of pictures, a video, a bag or a camera.

    :param fx, fov_deg, intrinsics_file, camera_info_use, bits: the camera, see CameraOptions;
        they overrule the source.
    :param image_topic, camera_info_topic, mounting, recursive, skip: see SourceOptions.
    :raises ConfigError: a path that is missing or holds nothing that can be read, options that
        contradict each other.
    """
    camera = CameraOptions(fx, fov_deg, Path(intrinsics_file) if intrinsics_file else None,
                           use=camera_info_use, bits=bits)
    return open_with(source, SourceOptions(
        camera, image_topic, camera_info_topic, skip, mounting or MountingSettings(), recursive))


def open_with(source: str | Path, options: SourceOptions) -> FrameSource:
    """Open a source as open_source does, with options that several share."""
    frames = _open(source, options)
    if options.mounting.ground_frame and frames.kind != 'bag':
        frames.close()
        raise ConfigError(f'{source}: {NO_TF}')
    frames.mounting = options.mounting
    return frames


def _open(source: str | Path, options: SourceOptions) -> FrameSource:
    text, path = str(source), Path(source)
    camera, skip = options.camera, options.skip
    device = _CAMERA.fullmatch(text)
    if not text:
        raise ConfigError(f"the source is ''; give {ACCEPTED}")
    if '://' in text:
        raise ConfigError(f'{text}: is an address; download it and give the path of the file')
    if text.startswith('camera:') and not device:
        raise ConfigError(f'{text}: no such camera; give a number, as in camera:0')
    if not device and not path.exists():
        raise ConfigError(f'{text}: does not exist; give {ACCEPTED}')
    if not device and path.is_file():
        with path.open('rb') as file:
            if is_lfs_pointer(file.read(64)):
                raise lfs_pointer(path)
    if not device and is_bag(path):
        return BagSource(path, camera, options.image_topic, options.camera_info_topic, skip)
    found = FoundPictures([], '') if device else (
        find_pictures(path, options.recursive) if path.is_dir()
        else FoundPictures([path] if path.suffix.lower() in PICTURE_SUFFIXES else [], ''))
    pictures = found.paths
    is_video = path.suffix.lower() in opencv.VIDEO_SUFFIXES and path.is_file()
    if (device or pictures or is_video) and (options.image_topic or options.camera_info_topic):
        raise ConfigError(f'{text}: {NO_TOPICS}')
    if device:
        return opencv.CameraSource(text if device[1] is None else int(device[1]), camera, skip)
    if pictures:
        return PictureSource(pictures, camera, skip, path if path.is_dir() else None,
                             found.left_out)
    if is_video:
        return opencv.VideoSource(path, camera, skip)
    if old := ros1_bag(path):
        raise ConfigError(old)
    if path.is_dir():
        there = f', but {found.left_out}' if found.left_out else ''
        raise ConfigError(f'{text}: holds no pictures ({" ".join(PICTURE_SUFFIXES)}) and no bag'
                          f'{there}; give {ACCEPTED}')
    raise ConfigError(f'{text}: not known by its name; give {ACCEPTED}')
