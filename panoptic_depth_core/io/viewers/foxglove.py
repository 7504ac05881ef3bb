# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results as an MCAP bag for Foxglove: annotated images, boxes in 3-D, points and plots.

It is a bag of results like any other, so ``ros2 bag`` plays it and results are read back from it.
Pictures are JPEG, since it is made to be looked at and sent around: a frame of 1242x375 takes
2.2 MB, most of it the exact depth, and 3.3 MB with the image as it is.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_INSTANCES, NEEDS_LABELS, NEEDS_POSITIONS, lacking
from ...files import WholeFile, disk_errors, require_absent
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, PanopticDepth
from ..bags.result_bags import DEFAULT_IMAGE_TOPIC, NODE, RESULTS, ResultBagWriter
from ..bags.writing import Outgoing
from ..messages.image_encodings import JPEG_QUALITY, encode_jpeg
from ..messages.maker import ROSBAGS_MESSAGES as make
from ..messages.outputs import FrameMessages
from ..messages.point_clouds import point_cloud
from ..messages.types import COMPRESSED_IMAGE, POINT_CLOUD
from ..visualization import Picture, overlay
from .foxglove_messages import image_annotations, scene_update
from .foxglove_types import IMAGE_ANNOTATIONS, SCENE_UPDATE

ANNOTATIONS_TOPIC = f'{NODE}/foxglove/annotations'
SCENE_TOPIC = f'{NODE}/foxglove/scene'
LIDAR_TOPIC = f'{NODE}/foxglove/lidar'
FIGURES = f'{NODE}/figures'
FLOAT = 'std_msgs/msg/Float64'

POINT_STRIDE = 4
"""Of rows and columns; all points would be more than everything else together."""

PART_BYTES = 1 << 30
"""Of a bag in parts, before compression: as many as can be lost, as few as can be opened."""


def figure_topic(name: str) -> str:
    """``labels.pq`` as a topic; what ROS does not allow in names becomes an underscore."""
    words = (re.sub('[^A-Za-z0-9_]', '_', word) or '_' for word in name.split('.'))
    return '/'.join((FIGURES, *(f'_{word}' if word[0].isdigit() else word for word in words)))


class FoxgloveWriter(ResultBagWriter):
    """
    A bag of results with what Foxglove draws beside them; one MCAP file, or parts of one.

    :param path: folder of the bag.
    :param image_topic: where the input image goes, without /compressed.
    :param classes: what class ids mean.
    :param jpeg_quality: of the pictures, 0..100; None: the input image as it is.
    :param overwrite, resume, part_bytes: see BagWriter.
    """

    def __init__(self, path: Path, *, image_topic: str = DEFAULT_IMAGE_TOPIC,
                 classes: Sequence[ClassInfo] = CITYSCAPES,
                 jpeg_quality: int | None = JPEG_QUALITY, overwrite: bool = False,
                 resume: bool = False, part_bytes: int | None = None) -> None:
        super().__init__(path, image_topic=image_topic, classes=classes, overwrite=overwrite,
                         resume=resume, part_bytes=part_bytes, compress=True)
        self._outputs = (*RESULTS, 'points')
        self._quality = jpeg_quality

    def write(self, frame: Frame, result: PanopticDepth, *,
              lidar_depth: NDArray[np.float32] | None = None,
              scalars: Mapping[str, float] | None = None) -> None:
        """
        Add one frame with its result.

        :param lidar_depth: (H, W) float32 metres at pixels of the result, NaN where no point is.
        :param scalars: name -> figure of the frame, for plots; what is not finite is left out.
        :raises ConfigError: disk full ...; parts that are closed stay.
        """
        messages = replace(self._messages(frame, result), point_stride=POINT_STRIDE)
        out = self._outgoing(messages)
        if not lacking(NEEDS_LABELS, result.tasks):
            out.append(self._jpeg(f'{NODE}/debug/overlay', messages,
                                  overlay(messages.picture, result, self._classes)))
        if not lacking(NEEDS_INSTANCES, result.tasks):
            out.append(Outgoing(ANNOTATIONS_TOPIC, IMAGE_ANNOTATIONS,
                                image_annotations(make, frame, result, self._classes)))
        if not lacking(NEEDS_POSITIONS, result.tasks):
            out.append(Outgoing(SCENE_TOPIC, SCENE_UPDATE,
                                scene_update(make, frame, result, self._classes)))
        if lidar_depth is not None:
            measured = replace(result, depth=lidar_depth)
            out.append(Outgoing(LIDAR_TOPIC, POINT_CLOUD,
                                point_cloud(make, messages.head, messages.picture, measured)))
        out += [Outgoing(figure_topic(name), FLOAT, make(FLOAT, data=float(value)))
                for name, value in (scalars or {}).items() if isfinite(value)]
        self.add(result.name or frame.name, frame.stamp_ns, out)

    def _image(self, messages: FrameMessages) -> Outgoing:
        """The input image, as JPEG unless it is wanted as it is."""
        if self._quality is None:
            return super()._image(messages)
        return self._jpeg(self._image_topic, messages, messages.frame.image)

    def _jpeg(self, topic: str, messages: FrameMessages, picture: Picture) -> Outgoing:
        quality = JPEG_QUALITY if self._quality is None else self._quality
        return Outgoing(f'{topic}/compressed', COMPRESSED_IMAGE, make(
            COMPRESSED_IMAGE, header=messages.head, format='jpeg',
            data=make.sequence(encode_jpeg(picture, quality))))


class FoxgloveFile(WholeFile):
    """
    The same as a single .mcap file without metadata.yaml, there in full or not at all.

    :param path: of the file.
    :param overwrite: replace an existing file, when the new one is complete.
    :param options: as of FoxgloveWriter.
    :raises ConfigError: the target exists.
    """

    def __init__(self, path: Path, *, overwrite: bool = False, **options: Any) -> None:
        require_absent(path, overwrite)
        self.path = path
        self._bag = FoxgloveWriter(path.with_name(f'.{path.stem}.bag'), overwrite=True, **options)

    def write(self, frame: Frame, result: PanopticDepth, *,
              lidar_depth: NDArray[np.float32] | None = None,
              scalars: Mapping[str, float] | None = None) -> None:
        """Add one frame, as FoxgloveWriter.write does."""
        self._bag.write(frame, result, lidar_depth=lidar_depth, scalars=scalars)

    def close(self) -> None:
        """
        Finish the file; without any frame none is made.

        :raises ConfigError: disk full ...; nothing is left of the file then.
        """
        self._bag.close()
        try:
            with disk_errors(self.path):
                for file in self._bag.path.glob('*.mcap'):
                    os.replace(file, self.path)
        finally:
            shutil.rmtree(self._bag.path, ignore_errors=True)

    def abort(self) -> None:
        """Drop the file."""
        self._bag.abort()
