# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results as a bag with the topics of the node, for Foxglove, RViz and ``ros2 bag play``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...contract import SEGMENTATION
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, PanopticDepth
from ..messages.maker import ROSBAGS_MESSAGES as make
from ..messages.outputs import FrameMessages, outputs_of
from ..messages.types import CAMERA_INFO, IMAGE, LABEL_INFO
from .writing import BagWriter, Outgoing

NODE = '/panoptic_depth'
DEFAULT_IMAGE_TOPIC = '/camera/image_raw'
LABEL_INFO_PERIOD_NS = 5_000_000_000
PART_BYTES = 128 << 20

RESULTS = ('panoptic', 'semantic', 'depth', 'camera_info', 'instances', 'detections_3d')
FOR_PEOPLE = ('overlay', 'depth_color', 'markers')


class ResultBagWriter(BagWriter):
    """
    One bag of input images and results; every message has the stamp of its image.

    What the model of a result does not do has no topic.

    :param path: folder of the bag.
    :param debug: also what is for people: overlay, coloured depth and markers.
    :param image_topic: where the input image goes; its camera_info goes beside it.
    :param classes: what class ids mean.
    :param storage, overwrite, resume, part_bytes, compress: see BagWriter.
    """

    def __init__(self, path: Path, storage: str = 'mcap', *, debug: bool = True,
                 image_topic: str = DEFAULT_IMAGE_TOPIC,
                 classes: Sequence[ClassInfo] = CITYSCAPES, overwrite: bool = False,
                 resume: bool = False, part_bytes: int | None = PART_BYTES,
                 compress: bool = False) -> None:
        super().__init__(path, storage, overwrite=overwrite, resume=resume, part_bytes=part_bytes,
                         compress=compress)
        self._outputs = RESULTS + (FOR_PEOPLE if debug else ())
        self._image_topic = image_topic.removesuffix('/compressed')
        self._classes = classes
        self._labels_sent_ns: int | None = None

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """
        Add one frame with its result.

        :raises ConfigError: disk full ...; parts that are closed stay.
        """
        messages = self._messages(frame, result)
        self.add(result.name or frame.name, frame.stamp_ns, self._outgoing(messages))

    def _messages(self, frame: Frame, result: PanopticDepth) -> FrameMessages:
        return FrameMessages(make, frame, result, self._classes,
                             latency_ns=round(1e6 * sum(result.step_ms.values())))

    def _image(self, messages: FrameMessages) -> Outgoing:
        """The input image."""
        return Outgoing(self._image_topic, IMAGE,
                        make.image(messages.head, messages.frame.image, 'rgb8'))

    def _outgoing(self, messages: FrameMessages) -> list[Outgoing]:
        """All messages of a frame."""
        head, frame = messages.head, messages.frame
        out = [
            self._image(messages),
            Outgoing(self._image_topic.rpartition('/')[0] + '/camera_info', CAMERA_INFO,
                     make.camera_info(head, frame.intrinsics)),
        ]
        tasks = messages.result.tasks
        out += [Outgoing(f'{NODE}/{topic.name}', topic.type, topic.make(messages))
                for name, topic in outputs_of(tasks).items() if name in self._outputs]
        if tasks & SEGMENTATION and self._labels_due(frame.stamp_ns):
            out.append(Outgoing(f'{NODE}/output/label_info', LABEL_INFO,
                                make.label_info(head, self._classes), latched=True))
        return out

    def _labels_due(self, stamp_ns: int) -> bool:
        """Whether the class table is due again: in time, or after time went backwards."""
        sent = self._labels_sent_ns
        if sent is not None and 0 <= stamp_ns - sent < LABEL_INFO_PERIOD_NS:
            return False
        self._labels_sent_ns = stamp_ns
        return True
