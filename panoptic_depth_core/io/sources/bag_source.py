# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera images of a rosbag2 recording as frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ...errors import ConfigError
from ...structures import Frame
from ..bags.storage import BagReader, Message, Topic
from ..messages.image_encodings import ENCODINGS
from ..messages.outputs import NODE_TOPICS
from ..messages.reading import pixels_of, stamp_of
from ..messages.types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, typestore
from .camera import (
    CameraOptions,
    camera_info_problem,
    intrinsics_from_camera_info,
    is_rectified,
)
from .frame_source import FrameSource, Skip, count_reason

IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
NO_STAMP = 'has no stamps; the time of recording is taken for them'

_COMPRESSED = '/compressed'
_RESULTS = tuple(f'/{topic}' for topic in NODE_TOPICS)


def deserialize(message: Message) -> Any:
    """
    A message object of rosbags; long arrays in it are read-only views on the message's bytes.

    :raises ConfigError: when the bytes are not of the type.
    """
    store = typestore()
    try:
        # Of bytes, all behind the first four would be copied.
        return store.deserialize_cdr(memoryview(message.data), message.type)
    # Damaged CDR makes the generated code raise nearly anything.
    except Exception as error:
        raise ConfigError(f'{message.topic}: a message is damaged '
                          f'({type(error).__name__})') from None


def _is_picture(bag: BagReader, topic: Topic) -> bool:
    """Whether the first readable message holds a picture rather than depth or ids."""
    for message in bag.messages((topic.name,)):
        try:
            image = deserialize(message)
        except ConfigError:
            continue
        if topic.type == COMPRESSED_IMAGE:
            return 'compresseddepth' not in image.format.lower()
        # 16UC1 can be decoded, but by convention it is depth in millimetres, or ids.
        return image.encoding in ENCODINGS and image.encoding != '16UC1'
    return False


def _list(topics: list[Topic]) -> str:
    return ', '.join(f'{t.name} ({t.count} {t.type.split("/")[-1]})'
                     for t in sorted(topics, key=lambda t: t.name)) or 'none'


def choose_image_topic(bag: BagReader, wanted: str | None,
                       other: Collection[str] = ()) -> Topic:
    """
    The topic that was asked for, else the only one with pictures.

    Results of this program are no choice, and of a topic and its own ``/compressed`` the raw one
    is taken: they show the same.

    :param other: topics that are known to be no pictures.
    :raises ConfigError: not there, of another type, none or several.
    """
    images = [t for t in bag.topics.values()
              if t.type in IMAGE_TYPES and t.count and t.name not in other]
    if wanted is not None:
        topic = bag.topics.get(wanted)
        if topic is None or topic not in images:
            state = 'is not there' if topic is None else f'has {topic.count} {topic.type}'
            raise ConfigError(f'{bag.path}: image topic {wanted} {state}; image topics are: '
                              f'{_list(images)}')
        return topic
    found = [t for t in images
             if not t.name.removesuffix(_COMPRESSED).endswith(_RESULTS)] or images
    if len(found) > 1:
        found = [topic for topic in found if _is_picture(bag, topic)]
        names = {topic.name for topic in found}
        found = [t for t in found if t.name.removesuffix(_COMPRESSED) not in names - {t.name}]
    if len(found) == 1:
        return found[0]
    if not images:
        others = sorted(bag.topics)
        raise ConfigError(f'{bag.path}: has no image topic; topics are: '
                          f'{", ".join(others[:20]) or "none"}{", ..." if others[20:] else ""}')
    raise ConfigError(f'{bag.path}: has {len(images)} image topics; choose one with '
                      f'--image-topic: {_list(images)}')


def choose_camera_info_topic(bag: BagReader, image_topic: str, wanted: str | None) -> str | None:
    """
    The topic asked for, else the one beside the images, else the only one; None without any.

    :raises ConfigError: the topic asked for is not there or of another type.
    """
    infos = [t for t in bag.topics.values() if t.type == CAMERA_INFO and t.count]
    names = [topic.name for topic in infos]
    if wanted is not None:
        if wanted not in names:
            raise ConfigError(f'{bag.path}: camera info topic {wanted} is not there; '
                              f'camera info topics are: {_list(infos)}')
        return wanted
    beside = image_topic.removesuffix(_COMPRESSED).rpartition('/')[0] + '/camera_info'
    if beside in names:
        return beside
    return names[0] if len(names) == 1 else None


class BagImages(NamedTuple):
    """
    What a replay needs to know of a bag.

    :param camera_info_topic: None where there is none.
    :param frame_id: of the first readable image; may be empty.
    :param topics: of everything in the bag.
    """

    image_topic: str
    camera_info_topic: str | None
    is_compressed: bool
    frame_id: str
    topics: tuple[str, ...]


def describe_images(path: Path | str, image_topic: str | None = None,
                    camera_info_topic: str | None = None) -> BagImages:
    """
    Find the images of a bag and what belongs to them.

    :param image_topic, camera_info_topic: None: found by themselves.
    :raises ConfigError: no bag, nothing readable in it, or the topics are not clear.
    """
    bag = BagReader(Path(path))
    try:
        topic = choose_image_topic(bag, image_topic)
        info_topic = choose_camera_info_topic(bag, topic.name, camera_info_topic)
        frame_id = ''
        for message in bag.messages((topic.name,)):
            try:
                frame_id = deserialize(message).header.frame_id
            except ConfigError:
                continue
            break
        return BagImages(topic.name, info_topic, topic.type == COMPRESSED_IMAGE, frame_id,
                         tuple(bag.topics))
    finally:
        bag.close()


class PairedImage(NamedTuple):
    """
    An image that is not decoded yet, and the CameraInfo that belongs to it.

    :param stamp_ns: of its header; of the recording where that has none.
    :param recorded_ns: time of recording.
    :param info: sensor_msgs/CameraInfo; None where there is none.
    """

    name: str
    stamp_ns: int
    recorded_ns: int
    image: Any
    info: Any


class ImagePairing:
    """
    Gives each image the CameraInfo of its stamp, else the latest one.

    It takes messages as they come, so that others can be read in the same pass.

    :param bag: where images find a CameraInfo that comes after them.
    :param skip: see FrameSource; images are named by their place in the bag.
    :param skipped, notes: count what is passed over and what the user should know.
    """

    def __init__(self, bag: BagReader, image_topic: str, camera_info_topic: str | None,
                 skip: Skip, skipped: Counter[str], notes: Counter[str]) -> None:
        self._image_topic = image_topic
        self._info_topic = camera_info_topic
        self._rectified = is_rectified(image_topic)
        self._skip, self._skipped, self._notes = skip, skipped, notes
        self._info = self._first_info(bag)
        self._info_stamp_ns = -1
        self._index = 0
        # An image waits for the CameraInfo of its stamp, which may be recorded right after it.
        self._waiting: PairedImage | None = None

    @property
    def topics(self) -> set[str]:
        """What it takes."""
        return {self._image_topic, *filter(None, [self._info_topic])}

    def _first_info(self, bag: BagReader) -> Any:
        """First usable CameraInfo of the bag: images recorded before it need it too."""
        if self._info_topic is not None:
            for message in bag.messages((self._info_topic,)):
                try:
                    info = deserialize(message)
                except ConfigError:
                    continue
                if camera_info_problem(info) is None:
                    return info
        return None

    def take(self, message: Message) -> Iterator[PairedImage]:
        """Take the next message of ``topics``; give the images that have all they need."""
        if message.topic == self._info_topic:
            if self._take_info(message):
                self._info_stamp_ns = stamp_of(self._info)
            if self._waiting is not None and self._info_stamp_ns >= self._waiting.stamp_ns:
                yield from self.finish()
            return
        name = f'{self._index:06d}'
        self._index += 1
        yield from self.finish()
        if self._skip(name):
            return
        try:
            image = deserialize(message)
        except ConfigError as error:
            count_reason(self._skipped, str(error))
            return
        stamp_ns = stamp_of(image)
        if not stamp_ns:
            self._notes[f'{self._image_topic}: {NO_STAMP}'] += 1
            stamp_ns = message.stamp_ns
        self._waiting = PairedImage(name, stamp_ns, message.stamp_ns, image, None)
        if self._info is None or self._info_stamp_ns >= stamp_ns:
            yield from self.finish()

    def finish(self) -> Iterator[PairedImage]:
        """Give the image that still waits, if any."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            yield waiting._replace(info=self._info)

    def _take_info(self, message: Message) -> bool:
        """Remember a CameraInfo; count it in the notes if it cannot be used."""
        try:
            info = deserialize(message)
            problem = camera_info_problem(info)
        except ConfigError as error:
            problem = str(error)
        if problem is not None:
            self._notes[f'{self._info_topic}: {problem}; it counts as missing'] += 1
            return False
        self._info = info
        return True

    def frame(self, paired: PairedImage, camera: CameraOptions) -> Frame:
        """
        Decode an image.

        :param camera: what the user says of the camera; it wins over the bag.
        :raises ConfigError: it cannot be decoded.
        """
        pixels = pixels_of(paired.image)
        height, width = pixels.shape[:2]
        known = None
        if paired.info is not None:
            known, note = intrinsics_from_camera_info(paired.info, width, height, self._rectified)
            if note is not None:
                self._notes[f'{self._info_topic}: {note}'] += 1
        intrinsics, origin = camera.resolve(width, height, known, 'camera_info')
        return Frame(pixels, intrinsics, paired.stamp_ns,
                     paired.image.header.frame_id or 'camera', paired.name, origin)


class BagSource(FrameSource):
    """
    Images of one topic of a bag, each with the CameraInfo of its stamp, else the latest one.

    :param path: bag folder or storage file.
    :param camera: what the user says of the camera; it wins over the bag.
    :param image_topic, camera_info_topic: None: found by themselves.
    :raises ConfigError: no bag, nothing readable in it, or the topics are not clear.
    """

    kind: ClassVar[str] = 'bag'

    def __init__(self, path: Path, camera: CameraOptions, image_topic: str | None = None,
                 camera_info_topic: str | None = None, skip: Skip | None = None) -> None:
        super().__init__(skip)
        self._camera = camera
        self._bag = BagReader(path)
        try:
            topic = choose_image_topic(self._bag, image_topic)
            self.camera_info_topic = choose_camera_info_topic(self._bag, topic.name,
                                                              camera_info_topic)
        except BaseException:
            self._bag.close()
            raise
        self.image_topic = topic.name
        self.len_hint = topic.count

    def __iter__(self) -> Iterator[Frame]:
        """Decode the images one by one."""
        pairing = ImagePairing(self._bag, self.image_topic, self.camera_info_topic, self.skip,
                               self.skipped, self.notes)
        for message in self._bag.messages(pairing.topics):
            for paired in pairing.take(message):
                yield from self._frame(pairing, paired)
        for paired in pairing.finish():
            yield from self._frame(pairing, paired)
        self.notes.update(self._bag.problems)
        self._bag.problems.clear()

    def _frame(self, pairing: ImagePairing, paired: PairedImage) -> Iterator[Frame]:
        """One frame, or none where it cannot be decoded."""
        try:
            yield pairing.frame(paired, self._camera)
        except ConfigError as error:
            self._skipped(error)

    def close(self) -> None:
        """Close the bag."""
        self._bag.close()
