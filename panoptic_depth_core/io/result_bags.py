# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results as a bag with the topics of the node, for Foxglove, RViz and ``ros2 bag play``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..labels import CITYSCAPES, ClassInfo, class_of
from ..structures import Frame, PanopticDepth
from . import messages
from .bag_writing import BagWriter, Outgoing
from .message_types import (
    CAMERA_INFO,
    DETECTION_3D_ARRAY,
    IMAGE,
    INSTANCE_DISTANCE_ARRAY,
    LABEL_INFO,
)
from .visualization import depth_color, overlay

OUTPUT = '/panoptic_depth/output'
DEBUG = '/panoptic_depth/debug'
DEFAULT_IMAGE_TOPIC = '/camera/image_raw'
LABEL_INFO_PERIOD_NS = 5_000_000_000
PART_BYTES = 128 << 20


def _bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)


class ResultBagWriter(BagWriter):
    """
    One bag of input images and results; every message has the stamp of its image.

    :param path: folder of the bag.
    :param debug: also the overlay and the coloured depth.
    :param image_topic: where the input image goes; its camera_info goes beside it.
    :param classes: what class ids mean.
    :param storage, overwrite, resume, part_bytes: see BagWriter.
    """

    def __init__(self, path: Path, storage: str = 'mcap', *, debug: bool = True,
                 image_topic: str = DEFAULT_IMAGE_TOPIC,
                 classes: Sequence[ClassInfo] = CITYSCAPES, overwrite: bool = False,
                 resume: bool = False, part_bytes: int | None = PART_BYTES) -> None:
        super().__init__(path, storage, overwrite=overwrite, resume=resume, part_bytes=part_bytes)
        self._debug = debug
        self._image_topic = image_topic.removesuffix('/compressed')
        self._classes = classes
        self._labels_sent_ns: int | None = None

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """
        Add one frame with its result.

        :raises ConfigError: disk full ...; parts that are closed stay.
        """
        head = messages.header(frame.stamp_ns, frame.frame_id)
        info = messages.camera_info(head, frame.intrinsics)
        semantic = class_of(result.panoptic, result.label_divisor)
        depth = result.depth.astype(np.float32, copy=False)
        out = [
            Outgoing(self._image_topic, IMAGE, messages.image(head, frame.image, 'rgb8')),
            Outgoing(self._image_topic.rpartition('/')[0] + '/camera_info', CAMERA_INFO, info),
            Outgoing(f'{OUTPUT}/panoptic', IMAGE, messages.image(head, result.panoptic, '16UC1')),
            Outgoing(f'{OUTPUT}/semantic', IMAGE, messages.image(head, semantic, 'mono8')),
            Outgoing(f'{OUTPUT}/depth', IMAGE, messages.image(head, depth, '32FC1')),
            Outgoing(f'{OUTPUT}/camera_info', CAMERA_INFO, info),
            Outgoing(f'{OUTPUT}/instances', INSTANCE_DISTANCE_ARRAY,
                     messages.instance_distance_array(head, result)),
            Outgoing(f'{OUTPUT}/detections_3d', DETECTION_3D_ARRAY,
                     messages.detection_3d_array(head, result)),
        ]
        if self._labels_due(frame.stamp_ns):
            out.append(Outgoing(f'{OUTPUT}/label_info', LABEL_INFO,
                                messages.label_info(head, self._classes), latched=True))
        if self._debug:
            picture = overlay(frame.image, result, self._classes)
            out += [
                Outgoing(f'{DEBUG}/overlay', IMAGE, messages.image(head, _bgr(picture), 'bgr8')),
                Outgoing(f'{DEBUG}/depth_color', IMAGE,
                         messages.image(head, _bgr(depth_color(depth)), 'bgr8')),
            ]
        self.add(result.name or frame.name, frame.stamp_ns, out)

    def _labels_due(self, stamp_ns: int) -> bool:
        """Whether the class table is due again: in time, or after time went backwards."""
        sent = self._labels_sent_ns
        if sent is not None and 0 <= stamp_ns - sent < LABEL_INFO_PERIOD_NS:
            return False
        self._labels_sent_ns = stamp_ns
        return True
