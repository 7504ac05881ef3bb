# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A drive with its exact truth as a bag: images, calibration, panoptic ids and depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError
from ...labels import CITYSCAPES, VOID_ID
from ...rotations import quaternion
from ...structures import Frame, Sample
from ..cameras.camera_info import camera_of_info
from ..messages.maker import ROSBAGS_MESSAGES as make
from ..messages.reading import pixels_of, stamp_of
from ..messages.truth_images import depth_of, ground_truth, labels_of
from ..messages.types import CAMERA_INFO, IMAGE, TF_MESSAGE
from ..sources.mounting import USUAL_GROUND
from .storage import BagReader, deserialize
from .transforms import TF
from .writing import BagWriter, Outgoing

IMAGE_TOPIC = '/camera/image_raw'
CAMERA_INFO_TOPIC = '/camera/camera_info'
PANOPTIC_TOPIC = '/truth/panoptic'
DEPTH_TOPIC = '/truth/depth'
TOPICS = (IMAGE_TOPIC, CAMERA_INFO_TOPIC, PANOPTIC_TOPIC, DEPTH_TOPIC)


def _outgoing(sample: Sample) -> list[Outgoing]:
    frame, truth = sample.frame, sample.truth
    head = make.header(frame.stamp_ns, frame.frame_id)
    out = [
        Outgoing(IMAGE_TOPIC, IMAGE, make.image(head, frame.image, 'rgb8')),
        Outgoing(CAMERA_INFO_TOPIC, CAMERA_INFO, make.camera_info(head, frame.intrinsics)),
    ]
    if frame.mounting is not None:
        out.append(Outgoing(TF, TF_MESSAGE, make.tf_message(
            make.header(frame.stamp_ns, USUAL_GROUND), frame.frame_id,
            (0.0, 0.0, frame.mounting.height_m), quaternion(frame.mounting.to_ground))))
    if truth.panoptic is not None:
        if truth.panoptic.min() < 0 or truth.panoptic.max() > VOID_ID:
            raise ConfigError(f'frame {frame.name!r}: panoptic ids do not fit uint16; '
                              f'give 0..{VOID_ID}')
        out.append(Outgoing(PANOPTIC_TOPIC, IMAGE,
                            make.image(head, truth.panoptic.astype(np.uint16), '16UC1')))
    if truth.depth is not None:
        out.append(Outgoing(DEPTH_TOPIC, IMAGE, make.image(head, truth.depth, '32FC1')))
    return out


def write_drive_bag(samples: Iterable[Sample], path: Path | str, storage: str = 'mcap', *,
                    overwrite: bool = False) -> int:
    """
    Write frames with their truth; the bag is complete or absent.

    Topics: /camera/image_raw (rgb8), /camera/camera_info, and as far as the sample has them
    /truth/panoptic (16UC1, class id * 1000 + instance id, 65535 void), /truth/depth (32FC1,
    meters along Z) and /tf from base_footprint to the camera.

    :param storage: mcap or sqlite3.
    :returns: number of frames.
    :raises ConfigError: the target exists, no sample, ids beyond uint16, disk full ...
    """
    count = 0
    with BagWriter(Path(path), storage, overwrite=overwrite) as writer:
        for count, sample in enumerate(samples, 1):
            name = sample.frame.name or f'{count - 1:06d}'
            writer.add(name, sample.frame.stamp_ns, _outgoing(sample))
        if not count:
            raise ConfigError(f'{path}: no frames to write; ask for a drive of at least one')
    return count


def _sample(group: dict[str, Any], index: int) -> Sample:
    if missing := {IMAGE_TOPIC, CAMERA_INFO_TOPIC} - set(group):
        raise ConfigError(f'frame {index:06d} of the bag has no {min(missing)}; '
                          'write the drive again')
    image, info = group[IMAGE_TOPIC], group[CAMERA_INFO_TOPIC]
    pixels = pixels_of(image)
    found = camera_of_info(info, pixels.shape[1], pixels.shape[0])
    if found.camera is None:
        raise ConfigError(f'frame {index:06d} of the bag: {found.reason}; write the drive again')
    frame = Frame(pixels, found.camera, stamp_of(image), image.header.frame_id, f'{index:06d}',
                  'camera_info')
    labels = labels_of(group[PANOPTIC_TOPIC]) if PANOPTIC_TOPIC in group else None
    depth = depth_of(group[DEPTH_TOPIC]) if DEPTH_TOPIC in group else None
    return Sample(frame, ground_truth(labels, depth, CITYSCAPES))


def read_drive_bag(path: Path | str) -> Iterator[Sample]:
    """Read a bag of write_drive_bag; a frame has the name that it has as a source."""
    with closing(BagReader(Path(path))) as reader:
        missing = {IMAGE_TOPIC, CAMERA_INFO_TOPIC} - set(reader.topics)
        if missing:
            raise ConfigError(f'{path}: has no {" and no ".join(sorted(missing))}; '
                              'give a bag with a synthetic drive')
        group: dict[str, Any] = {}
        index = stamp_ns = 0
        for message in reader.messages(TOPICS):
            value = deserialize(message)
            if group and (message.topic in group or stamp_of(value) != stamp_ns):
                yield _sample(group, index)
                index, group = index + 1, {}
            stamp_ns = stamp_of(value)
            group[message.topic] = value
        if group:
            yield _sample(group, index)
