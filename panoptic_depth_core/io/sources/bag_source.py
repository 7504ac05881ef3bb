# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera images of a rosbag2 recording as frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ConfigError
from ...files import InputFiles
from ...reasons import Reasons
from ...structures import Frame
from ..bags.storage import BagReader, Message, Topic, deserialize
from ..bags.transforms import MAX_DELAY_S, RecordedMotion
from ..cameras.camera_info import (
    InfoCamera,
    camera_of_info,
    is_calibrated,
    is_of_frame,
)
from ..cameras.camera_options import CameraOptions
from ..cameras.topics import (
    ASKED_FOR,
    OF_THE_FRAME,
    InfoTopic,
    find_info_topic,
    says_rectified,
    without_transport,
)
from ..messages.outputs import NODE_TOPICS
from ..messages.reading import ENCODINGS, frame_id_of, look_at, pixels_of, stamp_of
from ..messages.types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, IMAGE_TRANSPORTS
from ..messages.video_packets import (
    PACKET_TYPES,
    Decoded,
    PacketDecoder,
    is_video,
    packet_of,
)
from ..sixteen_bits import FIRST_PICTURES, SixteenBits
from .frame_source import FrameSource, Skip, count_reason
from .mounting import USUAL_GROUND, TransformedMounting

IMAGE_TYPES = tuple(IMAGE_TRANSPORTS.values())
NO_STAMP = 'has no stamps; the time of recording is taken for them'

_VALUES = '16UC1', '32FC1'
"""By convention, these are depth or ids, though the former can be decoded."""

_FIRST_TRANSFORMS = 1000
"""Messages of tf by whose end all frames have been named."""

_FIRST_INFOS = 20
"""CameraInfo messages by whose end all cameras of a topic have come."""

MOST_WAITING = 64
"""Images that wait for tf at most, which bounds the memory."""

_RESULTS = tuple(f'/{topic}' for topic in NODE_TOPICS)


def _readable(bag: BagReader, topic: str) -> Iterator[Any]:
    """Message objects of a topic, without damaged ones."""
    for message in bag.messages((topic,)):
        with suppress(ConfigError):
            yield deserialize(message)


def _is_picture(bag: BagReader, topic: Topic) -> bool:
    """Whether the first readable message holds a picture rather than depth or ids."""
    image = next(_readable(bag, topic.name), None)
    if topic.type in PACKET_TYPES:
        return image is not None
    if topic.type == COMPRESSED_IMAGE:
        return image is not None and 'compresseddepth' not in image.format.lower() and (
            image.format.partition(';')[0].strip() not in _VALUES)
    return image is not None and image.encoding in ENCODINGS and image.encoding not in _VALUES


def _list(topics: list[Topic]) -> str:
    return ', '.join(f'{t.name} ({t.count} {t.type.split("/")[-1]})'
                     for t in sorted(topics, key=lambda t: t.name)) or 'none'


def picture_topics(bag: BagReader, other: Collection[str] = ()) -> list[Topic]:
    """
    Topics with pictures.

    Results of this program do not count. Of the transports of one topic, the raw one wins, then
    pictures over video, each of which needs those before it.

    :param other: topics known to hold no pictures.
    """
    images = _image_topics(bag, other)
    found = [t for t in images if not without_transport(t.name).endswith(_RESULTS)] or images
    if len(found) > 1:
        found = [topic for topic in found if _is_picture(bag, topic)]
        best: dict[str, int] = {}
        for topic in found:
            base = without_transport(topic.name)
            best[base] = min(_effort(topic), best.get(base, _effort(topic)))
        found = [t for t in found if _effort(t) == best[without_transport(t.name)]]
    return found


def _effort(topic: Topic) -> int:
    return 0 if topic.name == without_transport(topic.name) else (
        2 if topic.type in PACKET_TYPES else 1)


def _image_topics(bag: BagReader, other: Collection[str]) -> list[Topic]:
    return [t for t in bag.topics.values()
            if t.type in IMAGE_TYPES and t.count and t.name not in other]


def choose_image_topic(bag: BagReader, wanted: str | None,
                       other: Collection[str] = ()) -> Topic:
    """
    The wanted topic, else the only one with pictures, see picture_topics.

    :raises ConfigError: missing, of another type, none or several.
    """
    images = _image_topics(bag, other)
    if wanted is not None:
        topic = bag.topics.get(wanted)
        if topic is None or topic not in images:
            state = 'is not there' if topic is None else f'has {topic.count} {topic.type}'
            raise ConfigError(f'{bag.path}: image topic {wanted} {state}; image topics are: '
                              f'{_list(images)}')
        return topic
    found = picture_topics(bag, other)
    if len(found) == 1:
        return found[0]
    if not images:
        others = sorted(bag.topics)
        empty = [t.name for t in bag.topics.values() if t.type in IMAGE_TYPES and not t.count]
        what = f'no message of {", ".join(empty)} can be read' if empty else 'has no image topic'
        raise ConfigError('; '.join((
            f'{bag.path}: {what}', f'topics are: {", ".join(others[:20]) or "none"}'
            f'{", ..." if others[20:] else ""}', *bag.problems)))
    raise ConfigError(f'{bag.path}: has {len(images)} image topics; choose one with '
                      f'--image-topic: {_list(images)}')


def choose_camera_info_topic(bag: BagReader, image_topic: str, wanted: str | None) -> InfoTopic:
    """The wanted topic, else the one that belongs to the images, see io.cameras.topics."""
    infos = [t for t in bag.topics.values() if t.type == CAMERA_INFO and t.count]
    if wanted is not None:
        if wanted not in {topic.name for topic in infos}:
            raise ConfigError(f'{bag.path}: camera info topic {wanted} is not there; '
                              f'camera info topics are: {_list(infos)}')
        return InfoTopic(wanted, ASKED_FOR, tuple(sorted(topic.name for topic in infos)))
    names = [t.name for t in infos if not t.name.endswith(_RESULTS)]

    def of_the_frame() -> Iterator[str]:
        frame_id = _frame_id(bag, image_topic)
        return (name for name in names if frame_id and _frame_id(bag, name) == frame_id)

    return find_info_topic(image_topic, names, of_the_frame)


def _frame_id(bag: BagReader, topic: str) -> str:
    """Of the first readable message; empty where there is none."""
    return next((frame_id_of(message) for message in _readable(bag, topic)), '')


def _shared_by(bag: BagReader, image_topic: str, info_topic: str | None) -> str:
    """The frame_id of the images, where the CameraInfo topic has that and others; else empty."""
    infos = [] if info_topic is None else list(islice(_readable(bag, info_topic), _FIRST_INFOS))
    if len({info.header.frame_id for info in infos}) < 2:
        return ''
    frame_id = _frame_id(bag, image_topic)
    return frame_id if any(is_of_frame(info, frame_id) for info in infos) else ''


class BagImages(NamedTuple):
    """
    The images of a bag.

    :param transport: one of IMAGE_TRANSPORTS.
    :param frame_id: of the first readable one.
    :param topics: all of the bag.
    :param root_frame: at the top of tf, above frame_id; that itself where it is not in tf.
    :param ground_frame: USUAL_GROUND where tf has it, else empty.
    """

    image_topic: str
    camera_info_topic: str | None
    transport: str
    frame_id: str
    topics: tuple[str, ...]
    root_frame: str
    ground_frame: str


def describe_images(path: Path | str, image_topic: str | None = None,
                    camera_info_topic: str | None = None) -> BagImages:
    """Find the images of a bag and their camera info, as BagSource does."""
    with closing(BagReader(Path(path))) as bag:
        topic = choose_image_topic(bag, image_topic)
        info = choose_camera_info_topic(bag, topic.name, camera_info_topic)
        frame_id = _frame_id(bag, topic.name)
        motion = RecordedMotion(bag)
        if motion.topics:
            for message in islice(bag.messages(motion.topics), _FIRST_TRANSFORMS):
                motion.take(message)
        transport = next(name for name, kind in IMAGE_TRANSPORTS.items() if kind == topic.type)
        return BagImages(topic.name, info.topic, transport, frame_id,
                         tuple(bag.topics), motion.tree.root(frame_id),
                         USUAL_GROUND if USUAL_GROUND in motion.tree else '')


class PairedImage(NamedTuple):
    """
    An undecoded image with its CameraInfo; without a stamp, stamp_ns is recorded_ns.

    :param is_done: it is decoded as others need it, but it is no frame.
    :param picture: of a packet of a video; None of other images, which are not decoded yet.
    """

    name: str
    stamp_ns: int
    recorded_ns: int
    image: Any
    info: Any
    is_done: bool = False
    picture: Decoded[Any] | None = None


class ImagePairing:
    """
    Gives each image the CameraInfo of its stamp, else the latest one.

    It takes messages as they come, so other topics can be read in the same pass.

    :param bag: for the first CameraInfo that tells a camera, which images before it need too.
    :param skip: see FrameSource; images are named by their place in the bag.
    :param skipped, notes: see FrameSource.
    :param sixteen: how pictures of 16 bits become 8.
    :ivar info, camera: the CameraInfo of the latest frame, and what it told.
    :ivar index: number of images so far.
    """

    def __init__(self, bag: BagReader, image_topic: str, info_topic: InfoTopic,
                 skip: Skip, skipped: Reasons, notes: Reasons,
                 sixteen: SixteenBits | None = None) -> None:
        self._bag, self._image_topic = bag, image_topic
        self._sixteen = sixteen or SixteenBits()
        self._sixteen.first = self._look_first
        # Of the topic, as the first image says; None: not known yet.
        self._is_deep: bool | None = None
        self._info_topic, self._rule, self._others = info_topic
        self.rectified = says_rectified(image_topic, info_topic.topic)
        self._skip, self._skipped, self._notes = skip, skipped, notes
        self.info: Any = None
        self.camera: InfoCamera | None = None
        # Where several cameras share the topic, only that of the images counts.
        self._frame_id = _shared_by(bag, image_topic, info_topic.topic)
        self._info = None if info_topic.topic is None else next(
            (info for info in _readable(bag, info_topic.topic)
             if is_calibrated(info) and self._counts(info)), None)
        self._info_stamp_ns = -1
        # Until the first one that tells a camera has come, none of them counts.
        self._begun = self._info is None
        self.index = 0
        # An image waits for the CameraInfo of its stamp, which may be recorded right after it.
        self._waiting: PairedImage | None = None
        self._decoder: PacketDecoder[PairedImage] | None = None

    @property
    def topics(self) -> set[str]:
        """The topics to read."""
        return {self._image_topic, *filter(None, [self._info_topic])}

    def take(self, message: Message) -> Iterator[PairedImage]:
        """Take the next message of ``topics``; give the images that are complete."""
        if message.topic == self._info_topic:
            try:
                info = deserialize(message)
            except ConfigError as error:
                count_reason(self._notes, f'{self._info_topic}: {error}; it counts as missing')
                return
            if not self._counts(info):
                return
            stamp_ns = stamp_of(info)
            if self._waiting is not None and stamp_ns > self._waiting.stamp_ns:
                yield from self._release()
            self._remember(info, stamp_ns)
            if self._waiting is not None and stamp_ns == self._waiting.stamp_ns:
                yield from self._release()
            return
        name = f'{self.index:06d}'
        self.index += 1
        yield from self._release()
        is_done = self._skip(name)
        if is_done and self._decoder is None and message.type == IMAGE:
            self._look_at(message)
            return
        try:
            image = deserialize(message)
        except ConfigError as error:
            if self._decoder is not None:
                self._decoder.lost()
            if not is_done:
                count_reason(self._skipped, str(error))
            return
        if is_done and not is_video(image):
            self._look_at(message)
            return
        stamp_ns = stamp_of(image)
        if not stamp_ns:
            self._notes.add(f'{self._image_topic}: {NO_STAMP}')
            stamp_ns = message.stamp_ns
        self._waiting = PairedImage(name, stamp_ns, message.stamp_ns, image, None, is_done)
        if self._info is None or self._info_stamp_ns >= stamp_ns:
            yield from self._release()

    def _look_at(self, message: Message) -> None:
        """Let the window of 16 bits hold an image that is not used now, so that runs agree."""
        if not self._sixteen.bits and self._is_deep is not False:
            with suppress(ConfigError):
                self._is_deep = look_at(deserialize(message), self._sixteen)

    def _look_first(self, sixteen: SixteenBits) -> None:
        for image in islice(_readable(self._bag, self._image_topic), FIRST_PICTURES):
            with suppress(ConfigError):
                look_at(image, sixteen)

    def _counts(self, info: Any) -> bool:
        return not self._frame_id or is_of_frame(info, self._frame_id)

    def _remember(self, info: Any, stamp_ns: int) -> None:
        """What the latest one says counts, once the first one that tells a camera has come."""
        self._info_stamp_ns = stamp_ns
        self._begun = self._begun or is_calibrated(info)
        if self._begun:
            self._info = info
        else:
            self._notes.add(f'{self._info_topic}: is not calibrated at its begin; the first '
                            'calibrated one is used')

    def _release(self) -> Iterator[PairedImage]:
        """Give the image that waits, if any; of a video, those that it completes."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        waiting = waiting._replace(info=self._info)
        if not is_video(waiting.image):
            yield waiting
            return
        if self._decoder is None:
            self._decoder = PacketDecoder(self._image_topic, self._lose)
        try:
            yield from self._pictures(self._decoder.take(packet_of(waiting.image), waiting))
        except ConfigError as error:
            self._lose(str(error), waiting)

    def _pictures(self, found: list[Decoded[PairedImage]]) -> Iterator[PairedImage]:
        for picture in found:
            if not picture.tag.is_done:
                # The packet is not needed any more.
                yield picture.tag._replace(picture=picture)

    def _lose(self, reason: str, paired: PairedImage) -> None:
        if not paired.is_done:
            count_reason(self._skipped, f'{self._image_topic}: {reason}')

    def finish(self) -> Iterator[PairedImage]:
        """Give the images that are still waiting, at the end."""
        yield from self._release()
        if self._decoder is not None:
            yield from self._pictures(self._decoder.finish())

    def _note(self, text: str) -> None:
        self._notes.add(f'{self._image_topic}: {text}')

    def frame(self, paired: PairedImage, camera: CameraOptions) -> Frame:
        """Decode an image; the user's camera wins over the bag's. Raises ConfigError."""
        pixels = (pixels_of(paired.image, self._sixteen, self._note) if paired.picture is None
                  else paired.picture.rgb())
        height, width = pixels.shape[:2]
        frame_id = frame_id_of(paired.image)
        self.info = paired.info
        found = self.camera = None if paired.info is None else camera_of_info(
            paired.info, width, height, rectified=self.rectified, use=camera.use,
            frame_id=frame_id)
        intrinsics, origin = camera.resolve(
            width, height, None if found is None else found.camera, 'camera_info', self.rectified)
        if found is not None and origin != 'user':
            for note in (found.notes if found.camera is not None else
                         [f'{found.reason}; it counts as missing']):
                count_reason(self._notes, f'{self._info_topic}: {note}')
        if origin == 'camera_info' and self._rule == OF_THE_FRAME:
            self._notes.add(f'{self._image_topic}: {self._info_topic} is used, since '
                            f'{OF_THE_FRAME}; choose another one with --camera-info-topic if it '
                            'is of another camera')
        if origin == 'default' and self._info_topic is None and self._others:
            self._notes.add(f'{self._image_topic}: no CameraInfo belongs to it by name or '
                            'frame_id; choose with --camera-info-topic if one does: '
                            f'{", ".join(self._others)}')
        return Frame(pixels, intrinsics, paired.stamp_ns,
                     frame_id or 'camera', paired.name, origin)


class BagSource(FrameSource):
    """
    Images of one topic of a bag, each with the CameraInfo of its stamp, else the latest one.

    Where neither the user nor tf says how the camera is mounted, frames have no mounting.

    :param path: bag folder or storage file.
    :param image_topic, camera_info_topic: None: found automatically.
    :ivar pairing: what is known of the latest frame's camera, once one was given.
    :raises ConfigError: no bag, nothing readable in it, or several topics to choose from.
    """

    kind = 'bag'

    def __init__(self, path: Path, camera: CameraOptions, image_topic: str | None = None,
                 camera_info_topic: str | None = None, skip: Skip | None = None) -> None:
        super().__init__(camera, skip)
        self._bag = BagReader(path)
        self._input = InputFiles(path)
        try:
            topic = choose_image_topic(self._bag, image_topic)
            self.info_topic = choose_camera_info_topic(self._bag, topic.name, camera_info_topic)
        except BaseException:
            self._bag.close()
            raise
        self.image_topic = topic.name
        self.pairing: ImagePairing | None = None
        self.len_hint = topic.count

    def __iter__(self) -> Iterator[Frame]:
        """Decode the images one by one."""
        pairing = ImagePairing(self._bag, self.image_topic, self.info_topic, self.skip,
                               self.skipped, self.notes, self.sixteen)
        motion = None if self.mounting.fixed else RecordedMotion(
            self._bag, axes=self.camera.axes)
        mounting = TransformedMounting(self.mounting, motion, self.notes.add)
        self.pairing = pairing
        for paired in self._complete(pairing, motion):
            try:
                frame = pairing.frame(paired, self.camera)
            except ConfigError as error:
                count_reason(self.skipped, str(error))
                continue
            known = mounting.of(frame.frame_id, frame.stamp_ns)
            self._note_problems(motion)
            yield frame if known is None else replace(frame, mounting=known)
        self._note_problems(motion)
        if pairing.index < (self.len_hint or 0):
            self.ended_early = self._input.lost()

    def _note_problems(self, motion: RecordedMotion | None) -> None:
        """Before every frame, as not every user reads on to the last one."""
        for problems in (self._bag.problems, {} if motion is None else motion.tree.problems):
            self.notes.update(problems)
            problems.clear()

    def _complete(self, pairing: ImagePairing, motion: RecordedMotion | None,
                  ) -> Iterator[PairedImage]:
        """Give the images; as long as tf goes on, each when its motion is known."""
        waiting: deque[PairedImage] = deque()
        topics = () if motion is None else motion.topics
        for message in self._bag.messages({*pairing.topics, *topics}):
            if motion is not None and message.topic in topics:
                motion.take(message)
            else:
                waiting.extend(pairing.take(message))
            while waiting and (motion is None or motion.settled(waiting[0].stamp_ns)
                               or len(waiting) > MOST_WAITING or message.stamp_ns
                               - waiting[0].recorded_ns > MAX_DELAY_S * 1e9):
                yield waiting.popleft()
        yield from waiting
        # It looks for what is left when the others are through.
        yield from pairing.finish()

    def close(self) -> None:
        """Close the bag."""
        self._bag.close()
