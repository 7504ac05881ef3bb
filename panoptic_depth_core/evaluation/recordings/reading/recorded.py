# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results that a recording holds, by the stamps of the images that they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ....errors import ConfigError
from ....io.bags.result_bags import LABEL_INFO_TOPIC, READ, read_classes, read_result
from ....io.bags.storage import BagReader, Message, deserialize
from ....io.messages.outputs import OUTPUTS
from ....io.messages.reading import stamp_of
from ....io.messages.types import CAMERA_INFO, LABEL_INFO
from ....io.sources.bag_source import NO_STAMP
from ....io.sources.camera import camera_info_problem, intrinsics_from_camera_info
from ....labels import ClassInfo
from ....structures import Frame, Intrinsics, PanopticDepth
from ..settings import SyncSettings, TopicSettings
from .image_size import at_image_size, grid_size
from .stamp_window import StampWindow
from .topics import find_topics

Note = Callable[[str], None]

_CAMERA = 'camera_info'
_UNKNOWN = {'panoptic': 'labels', 'depth': 'depths', 'instances': 'distances'}


def take_into(window: StampWindow, message: Message, key: str, note: Note) -> None:
    """Read a message into a window; a damaged one is counted."""
    window.took(key)
    try:
        value = deserialize(message)
    except ConfigError as error:
        note(str(error))
        return
    stamp_ns = stamp_of(value)
    if not stamp_ns:
        note(f'{message.topic}: {NO_STAMP}')
    window.add(key, stamp_ns or message.stamp_ns, value)


class RecordedResults:
    """
    Results of one node.

    :param node: its name, None where the recording has none.
    :param classes: the table to look into first, see read_classes.
    :param note: counts what the user should know.
    :ivar classes: the table of the recording, or the given one where that has none.
    :ivar model_id: of the latest result.
    :raises ConfigError: there are no results of a node, or its table of classes is none.
    """

    def __init__(self, bag: BagReader, node: str | None, sync: SyncSettings,
                 classes: Sequence[ClassInfo], note: Note) -> None:
        if node is None:
            raise ConfigError(
                f'{bag.path}: holds no results of a node, or of several and topics.node is not '
                'set (--node); give a model to make them, or a recording of them with --results')
        self.model_id = ''
        self._note = note
        self.topics: dict[str, str] = {}
        for name, output in ((name, OUTPUTS[name]) for name in READ):
            topic = bag.topics.get(f'{node}/{output.name}')
            # Instances are segments of the panoptic image.
            fits = name != 'instances' or 'panoptic' in self.topics.values()
            if fits and topic is not None and topic.type == output.type and topic.count:
                self.topics[topic.name] = name
                continue
            problem = ('is not recorded' if topic is None or not topic.count
                       else f'has {topic.type}, not {output.type}' if fits
                       else 'is of no use without output/panoptic')
            note(f'{node}/{output.name} {problem}: {_UNKNOWN[name]} are not known')
        counts = {name: bag.topics[topic].count for topic, name in self.topics.items()}
        self._window = StampWindow(counts, 0.0, sync.max_waiting)
        self._cameras: StampWindow | None = None
        topic = bag.topics.get(f'{node}/{OUTPUTS["camera_info"].name}')
        if topic is not None and topic.type == CAMERA_INFO and topic.count:
            self._cameras = StampWindow({_CAMERA: topic.count}, 0.0, sync.max_waiting)
            self.topics[topic.name] = _CAMERA
        self.classes = self._read_classes(bag, f'{node}/{LABEL_INFO_TOPIC}', tuple(classes))

    def _read_classes(self, bag: BagReader, topic: str, known: tuple[ClassInfo, ...],
                      ) -> tuple[ClassInfo, ...]:
        if 'panoptic' not in self.topics.values():
            return known
        found = bag.topics.get(topic)
        if found is None or found.type != LABEL_INFO:
            self._note(f'{topic} is not recorded: classes are taken to be the usual ones')
            return known
        for message in bag.messages((topic,)):
            try:
                table, unknown = read_classes(deserialize(message), known)
            except ConfigError as error:
                self._note(str(error))
                continue
            if unknown:
                self._note(f'{topic}: {", ".join(unknown)}: no known classes; they count as stuff')
            return table
        return known

    def take(self, message: Message) -> None:
        """Take a message of one of ``topics``."""
        name = self.topics[message.topic]
        cameras = self._cameras if name == _CAMERA else None
        take_into(self._window if cameras is None else cameras, message, name, self._note)

    def settled(self, stamp_ns: int) -> bool:
        """Whether the result of a stamp is there, or not to be expected any more."""
        return self._window.settled(stamp_ns) and (
            self._cameras is None or self._cameras.settled(stamp_ns))

    def _forget_before(self, stamp_ns: int) -> None:
        """Drop what cannot belong to an image of this stamp or a later one."""
        self._window.forget_before(stamp_ns)
        if self._cameras is not None:
            self._cameras.forget_before(stamp_ns)

    def of(self, frame: Frame) -> PanopticDepth | None:
        """
        Result of a frame.

        :param frame: of a later stamp than all before it.
        :returns: None where there is none.
        :raises ConfigError: it is damaged, or of another image.
        """
        self._forget_before(frame.stamp_ns)
        group = self._window.nearest(frame.stamp_ns)
        if group is None:
            return None
        result = read_result(group.messages, frame, self.classes)
        self.model_id = result.model_id or self.model_id
        (height, width), camera = result.panoptic.shape, frame.intrinsics
        if (width, height) == (camera.width, camera.height):
            return result
        cameras = [*self._recorded_camera(frame, width, height), result.intrinsics]
        result = at_image_size(result, frame, cameras)
        self._note(f'recorded results are of {width}x{height} px: they are brought to the '
                   f'{grid_size(camera)} of the image')
        return result

    def _recorded_camera(self, frame: Frame, width: int, height: int) -> Iterator[Intrinsics]:
        """Camera of the result of a frame, if it is recorded and can be used."""
        group = None if self._cameras is None else self._cameras.nearest(frame.stamp_ns)
        for info in () if group is None else group.messages.values():
            if camera_info_problem(info) is None:
                yield intrinsics_from_camera_info(info, width, height)[0]


class OtherRecording(RecordedResults):
    """
    Results out of a recording of their own, which is read as far as each frame needs it.

    :param path: bag folder or storage file.
    :param node: name of the node; empty: the only one.
    """

    def __init__(self, path: Path, node: str, sync: SyncSettings, classes: Sequence[ClassInfo],
                 note: Note) -> None:
        self._bag = BagReader(path)
        try:
            found = find_topics(self._bag, TopicSettings(node=node), needs_images=False)
            for line in found.notes:
                note(line)
            super().__init__(self._bag, found.node, sync, classes, note)
        except BaseException:
            self._bag.close()
            raise
        self._messages: Iterator[Message] = self._bag.messages(self.topics)

    def of(self, frame: Frame) -> PanopticDepth | None:
        self._forget_before(frame.stamp_ns)
        while not self.settled(frame.stamp_ns):
            message = next(self._messages, None)
            if message is None:
                break
            self.take(message)
            self._forget_before(frame.stamp_ns)
        return super().of(frame)

    def problems(self) -> dict[str, int]:
        """What is wrong with the recording -> how often."""
        return dict(self._bag.problems)

    def close(self) -> None:
        """Close the recording."""
        self._bag.close()


def same_recording(one: Path, other: Path) -> bool:
    """Whether two paths are one recording."""
    return one.resolve() == other.resolve()


