# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Which CameraInfo topic belongs to an image topic, and whether names say rectified."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

TRANSPORTS = ('compressed', 'compressedDepth', 'theora', 'zstd', 'ffmpeg', 'foxglove', 'h264',
              'h265', 'hevc', 'av1', 'jpegxl', 'avif')
"""Last parts of topics that image_transport and its plugins add to the name of an image topic."""

_RECTIFIED = frozenset(('rect', 'rectified', 'rectify', 'undistort', 'undistorted', 'undist'))
_NOT = frozenset(('not', 'non', 'un'))
_PICTURE = _RECTIFIED | {
    'image', 'images', 'img', 'picture', 'raw', 'color', 'colour', 'rgb', 'bgr', 'rgba', 'bgra',
    'mono', 'gray', 'grey', 'bayer', 'compressed', 'camera', 'cam'}
_INFO = frozenset(('info', 'infos', 'camerainfo', 'calib', 'calibration', 'intrinsics'))
_SIDES = (
    {'left', 'right'}, {'front', 'rear', 'back'},
    {'color', 'colour', 'rgb', 'depth', 'infra', 'ir', 'thermal'})
"""Words that name different cameras where the topics have different ones of a group."""
_WORD = re.compile(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+')
_NUMBERED = re.compile(r'([a-z]*)[_/]*(\d+)')


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(text))


@dataclass(frozen=True)
class _Name:
    """A topic without the part that a transport has added."""

    topic: str

    @cached_property
    def parts(self) -> list[str]:
        return self.topic.split('/')

    @cached_property
    def folder(self) -> str:
        return self.topic.rpartition('/')[0]

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(_words(self.topic))

    @property
    def rectified(self) -> bool:
        words = _words(self.topic)
        return any(word in _RECTIFIED and before not in _NOT
                   for before, word in zip(('', *words), words, strict=False))


def without_transport(topic: str) -> str:
    """/camera/image_raw of /camera/image_raw/compressed."""
    base, _, last = topic.rpartition('/')
    return base if base and last in TRANSPORTS else topic


def says_rectified(*topics: str | None) -> bool:
    """Whether a word of any part of the topics says that the image is rectified."""
    return any(_Name(topic or '').rectified for topic in topics)


def usual_camera_info_topic(image_topic: str) -> str:
    """camera_info beside an image topic, as image_transport names it; a relative one for such."""
    folder, slash, _ = without_transport(image_topic).rpartition('/')
    return f'{folder}{slash}camera_info'


def _camera_words(part: str) -> frozenset[str]:
    """Words of a part that are left to name the camera."""
    return frozenset(_words(part)) - _PICTURE - _INFO


def _are_twins(image: _Name, info: _Name) -> bool:
    """Whether all parts are equal, but for those that speak of the image or of its calibration."""
    return len(image.parts) == len(info.parts) and all(
        one == other or (_INFO & set(_words(other)) and _camera_words(one) == _camera_words(other))
        for one, other in zip(image.parts, info.parts, strict=True))


def _is_above(image: _Name, info: _Name) -> bool:
    above, _, last = image.folder.rpartition('/')
    return (bool(last) and set(_words(last)) <= _RECTIFIED | {'raw', 'image'}
            and info.topic == f'{above}/camera_info')


class Sibling(NamedTuple):
    """
    A rule by which a CameraInfo topic belongs to an image topic.

    :param where: why it was chosen, for people.
    :param example: an image topic and its CameraInfo topic.
    :param drivers: that name their topics so.
    """

    where: str
    example: tuple[str, str]
    drivers: str
    matches: Callable[[_Name, _Name], bool]


SIBLINGS = (
    Sibling('it is below the image topic', ('/arm/color', '/arm/color/camera_info'),
            'Webots, AirSim, some of ZED', lambda image, info: info.folder == image.topic),
    Sibling('the names belong together, both rectified or both not',
            ('/left/image_rect', '/left/camera_info_rect'), 'Isaac ROS, Isaac Sim, ZED',
            lambda image, info: (info.rectified == image.rectified and _are_twins(image, info))),
    Sibling('the names belong together', ('/oak/rgb/image_rect', '/oak/rgb/camera_info'),
            'image_pipeline, RealSense, ZED, depthai, Orbbec',
            lambda image, info: ((image.rectified or not image.words & {'raw'})
                                 and _are_twins(image, info))),
    Sibling('it is beside the image topic', ('/robot/front_eye', '/robot/camera_info'),
            'Gazebo, CARLA, usb_cam, v4l2_camera and all that use image_transport',
            lambda image, info: info.topic == usual_camera_info_topic(image.topic)),
    Sibling('it is above the folder of the rectified image', ('/camera/rect/image',
            '/camera/camera_info'), 'image_proc in a namespace', _is_above),
)
"""The first rule that one CameraInfo topic meets is taken."""

ASKED_FOR = 'it was asked for'
OF_THE_FRAME = 'it alone has the frame_id of the image'


class InfoTopic(NamedTuple):
    """
    The CameraInfo topic of an image topic.

    :param topic: None where none belongs to it.
    :param rule: why it was chosen.
    :param all: CameraInfo topics that are there.
    """

    topic: str | None = None
    rule: str = ''
    all: tuple[str, ...] = ()


def _is_of_another(image: _Name, info: _Name) -> bool:
    """Whether the names speak of different cameras, or of a rectified and a raw image."""
    numbers: tuple[dict[str, set[str]], ...] = ({}, {})
    for name, found in zip((image, info), numbers, strict=True):
        for stem, number in _NUMBERED.findall(name.topic.lower()):
            found.setdefault(stem, set()).add(number)
    return (
        any(numbers[0][stem].isdisjoint(numbers[1][stem])
            for stem in numbers[0].keys() & numbers[1].keys())
        or any(image.words & side and info.words & side
               and not image.words & info.words & side for side in _SIDES)
        or (info.rectified and 'raw' in image.words and not image.rectified))


def find_info_topic(image_topic: str, infos: Iterable[str],
                    of_the_frame: Callable[[], Iterable[str]] = tuple) -> InfoTopic:
    """
    The CameraInfo topic of an image topic.

    :param infos: CameraInfo topics that are there.
    :param of_the_frame: gives those of the frame_id of the image; called where no name fits.
    """
    there = tuple(sorted(infos))
    image = _Name(without_transport(image_topic))
    for rule in SIBLINGS:
        fitting = [info for info in there if rule.matches(image, _Name(info))]
        usual = [info for info in fitting if info.rpartition('/')[2] == 'camera_info']
        for found in (fitting, usual):
            if len(found) == 1:
                return InfoTopic(found[0], rule.where, there)
    of_frame = list(of_the_frame())
    if len(of_frame) == 1 and not _is_of_another(image, _Name(of_frame[0])):
        return InfoTopic(of_frame[0], OF_THE_FRAME, there)
    return InfoTopic(all=there)
