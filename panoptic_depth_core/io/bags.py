# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera images of a rosbag2 recording as frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ..errors import ConfigError
from ..structures import Frame
from .bag_storage import BagReader, Message, Topic
from .camera import (
    CameraOptions,
    camera_info_problem,
    intrinsics_from_camera_info,
    is_rectified,
)
from .frame_source import FrameSource, Skip
from .image_encodings import ENCODINGS
from .message_reading import pixels_of, stamp_of
from .message_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, typestore
from .output_messages import NODE_TOPICS

IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
_COMPRESSED = '/compressed'
_RESULTS = tuple(f'/{topic}' for topic in NODE_TOPICS)


def deserialize(message: Message) -> Any:
    """
    A message object of rosbags.

    :raises ConfigError: when the bytes are not of the type.
    """
    try:
        return typestore().deserialize_cdr(message.data, message.type)
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


def choose_image_topic(bag: BagReader, wanted: str | None) -> Topic:
    """
    The topic that was asked for, else the only one with pictures.

    Results of this program are no choice, and of a topic and its own ``/compressed`` the raw one
    is taken: they show the same.

    :raises ConfigError: not there, of another type, none or several.
    """
    images = [t for t in bag.topics.values() if t.type in IMAGE_TYPES and t.count]
    if wanted is not None:
        topic = bag.topics.get(wanted)
        if topic is None or topic not in images:
            state = 'is not there' if topic is None else f'has {topic.count} {topic.type}'
            raise ConfigError(f'{bag.path}: image topic {wanted} {state}; image topics are: '
                              f'{_list(images)}')
        return topic
    found = [t for t in images if not t.name.endswith(_RESULTS)] or images
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
        self._rectified = is_rectified(topic.name)
        self._info: Any = None

    def __iter__(self) -> Iterator[Frame]:
        """Decode the images one by one."""
        self._info = self._first_info()
        info_stamp_ns = -1
        # An image waits for the CameraInfo of its stamp, which may be recorded right after it.
        waiting: tuple[Any, str, int] | None = None
        index = 0
        topics = {self.image_topic, *filter(None, [self.camera_info_topic])}
        for message in self._bag.messages(topics):
            if message.topic == self.camera_info_topic:
                if self._take_info(message):
                    info_stamp_ns = stamp_of(self._info)
                if waiting is not None and info_stamp_ns >= waiting[2]:
                    yield from self._frame(*waiting)
                    waiting = None
                continue
            name = f'{index:06d}'
            index += 1
            if waiting is not None:
                yield from self._frame(*waiting)
                waiting = None
            if self.skip(name):
                continue
            try:
                image = deserialize(message)
            except ConfigError as error:
                self._skipped(error)
                continue
            stamp_ns = stamp_of(image) or message.stamp_ns
            if self._info is None or info_stamp_ns >= stamp_ns:
                yield from self._frame(image, name, stamp_ns)
            else:
                waiting = image, name, stamp_ns
        if waiting is not None:
            yield from self._frame(*waiting)
        self.notes.update(self._bag.problems)
        self._bag.problems.clear()

    def _first_info(self) -> Any:
        """First usable CameraInfo of the bag: images recorded before it need it too."""
        if self.camera_info_topic is not None:
            for message in self._bag.messages((self.camera_info_topic,)):
                try:
                    info = deserialize(message)
                except ConfigError:
                    continue
                if camera_info_problem(info) is None:
                    return info
        return None

    def _take_info(self, message: Message) -> bool:
        """Remember a CameraInfo; count it in the notes if it cannot be used."""
        try:
            info = deserialize(message)
            problem = camera_info_problem(info)
        except ConfigError as error:
            problem = str(error)
        if problem is not None:
            self.notes[f'{self.camera_info_topic}: {problem}; it counts as missing'] += 1
            return False
        self._info = info
        return True

    def _frame(self, image: Any, name: str, stamp_ns: int) -> Iterator[Frame]:
        """One frame, or none where it cannot be decoded."""
        try:
            pixels = pixels_of(image)
        except ConfigError as error:
            self._skipped(error)
            return
        height, width = pixels.shape[:2]
        known = None
        if self._info is not None:
            known, note = intrinsics_from_camera_info(self._info, width, height, self._rectified)
            if note is not None:
                self.notes[f'{self.camera_info_topic}: {note}'] += 1
        intrinsics, origin = self._camera.resolve(width, height, known, 'camera_info')
        yield Frame(pixels, intrinsics, stamp_ns, image.header.frame_id or 'camera', name, origin)

    def close(self) -> None:
        """Close the bag."""
        self._bag.close()
