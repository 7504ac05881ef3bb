# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What camera the images of a source get, and why: the rules of io.cameras, shown at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...structures import Intrinsics
from ...views import view_of
from ..bags.bag_files import is_bag
from ..bags.storage import BagReader
from ..cameras.camera_options import DEFAULT_FOV_DEG
from ..cameras.shapes import field_of_view_deg
from .bag_source import BagSource, picture_topics
from .frame_source import FrameSource
from .open_source import SourceOptions, open_with

_FRAMES = 20


@dataclass(frozen=True)
class CameraReport:
    """
    The camera of one image topic, or of another source.

    :param images: topic, or path.
    :param frames: number of images that were looked at.
    :param camera: of the first image; None where no image could be used.
    :param origin: 'camera_info', 'user', 'sidecar' or 'default'.
    :param why: the rule or the file that chose it.
    :param matrix, why_matrix: K or P of a CameraInfo, and the reason.
    :param info_topic, info: the CameraInfo that was found, used or not.
    :param info_topics: all that are there.
    :param notes: problems, and what was assumed.
    """

    images: str
    frames: int
    camera: Intrinsics | None
    origin: str
    why: str
    frame_id: str = ''
    matrix: str = ''
    why_matrix: str = ''
    info_topic: str = ''
    info: Any = None
    info_topics: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether distances are metric."""
        return self.camera is not None and self.origin != 'default'

    @property
    def field_of_view_deg(self) -> tuple[float, float] | None:
        """Horizontal, vertical."""
        return None if self.camera is None else field_of_view_deg(self.camera)


def camera_reports(source: str, options: SourceOptions) -> Iterator[CameraReport]:
    """
    What the first images of a source get.

    :param options: without an image topic, every topic with pictures is reported.
    :raises ConfigError: the source cannot be opened.
    """
    topics: list[str | None] = [options.image_topic]
    if options.image_topic is None and Path(source).exists() and is_bag(Path(source)):
        with closing(BagReader(Path(source))) as bag:
            # None of them: opening the bag says what is there.
            topics = [topic.name for topic in picture_topics(bag)] or [None]
    for topic in topics:
        with open_with(source, replace(options, image_topic=topic)) as frames:
            yield _report(source, frames, options)


def _left_out(cameras: Iterable[Intrinsics]) -> list[str]:
    """What lenses keep from the network."""
    found = set()
    for camera in cameras:
        if camera.lens is not None:
            try:
                found.add(view_of(camera).left_out)
            except ConfigError as error:
                found.add(str(error))
    return sorted(found - {''})


def _report(source: str, source_frames: FrameSource, options: SourceOptions) -> CameraReport:
    frames = list(islice(source_frames, _FRAMES))
    notes = [*source_frames.skipped, *source_frames.notes]
    cameras = {frame.intrinsics: None for frame in frames}
    if len(cameras) > 1:
        notes.append('the camera is not the same for all images')
    notes += _left_out(cameras)
    first = frames[0] if frames else None
    origin = '' if first is None else first.intrinsics_source
    given = options.camera
    why = {
        'user': 'camera file' if given.file else 'focal length' if given.fx else 'field of view',
        'sidecar': f'{source_frames.sidecar} beside the images',
        'default': f'not known: a horizontal field of view of {DEFAULT_FOV_DEG:g} degrees is '
                   'assumed'}.get(origin, '')
    report = CameraReport(
        source, len(frames), None if first is None else first.intrinsics, origin, why,
        '' if first is None else first.frame_id, notes=tuple(notes))
    if not isinstance(source_frames, BagSource):
        return report
    topic, rule, there = source_frames.info_topic
    report = replace(report, images=source_frames.image_topic, info_topic=topic or '',
                     info_topics=there)
    pairing = source_frames.pairing
    if pairing is None or pairing.info is None:
        return report
    report = replace(report, info=pairing.info)
    if origin == 'camera_info' and pairing.camera is not None:
        report = replace(report, why=rule, matrix=pairing.camera.matrix or '',
                         why_matrix=pairing.camera.reason)
    return report
