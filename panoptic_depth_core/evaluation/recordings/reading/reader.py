# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A recording as frames, each with all that the recording knows of it, in one pass.

Messages come in the order of recording, which is not that of their stamps: what belongs to an
image may come before or after it. So images wait, undecoded, until it is there or not to be
expected; those that come a little out of order are sorted meanwhile. The order and the moment of a
frame depend on the recording alone, not on clocks.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from ....errors import ConfigError
from ....files import InputFiles
from ....io.bags.storage import BagReader, Message
from ....io.bags.transforms import RecordedMotion
from ....io.cameras.camera_options import DEFAULT_CAMERA_WARNING, CameraOptions
from ....io.sixteen_bits import SixteenBits
from ....io.sources.bag_source import ImagePairing, PairedImage
from ....io.sources.frame_source import skip_none
from ....io.sources.mounting import MountingSettings, TransformedMounting
from ....labels import CITYSCAPES, ClassInfo
from ....reasons import Reasons
from ....structures import Frame, PanopticDepth
from ...metrics.frame import RecordedFrame
from ...settings import RecordingSettings
from .frame_truth import POSITIONS, FrameTruth
from .recorded_results import RecordedResults
from .stamp_window import LATER
from .topics import find_node, find_topics

NO_RESULT = 'no recorded result for this stamp: the node dropped or never saw the image'
DUPLICATE = 'an image of the same stamp came before'
LATE = ('came after images of later stamps: the clock ran backwards, or the drive was played more '
        'than once')

NO_LOSS = {NO_RESULT, DUPLICATE, LATE}
"""Reasons of images that are left out rightly."""

_REMEMBERED_STAMPS = 256
_NO_CAMERA = CameraOptions()


class RecordingReader:
    """
    Frames of a recording in order of their stamps; can be iterated once.

    :param path: bag folder or storage file.
    :param camera: given by the user; it wins over the bag.
    :param mounting: given by the user; where it has no height, tf is looked at. None: no frame
        has a mounting.
    :param calibration: YAML of transforms that win over those of the bag, see add_calibration.
    :param recorded: give the results that this bag holds, and only frames that have one.
    :param results: the same, of another bag.
    :param reference: bag of results to compare with; may be this one.
    :param classes: what class ids mean, where no table is recorded.
    :ivar classes: that of the results where they are recorded, else the given one.
    :ivar topics: those that are read.
    :ivar len_hint: images in the bag.
    :ivar skipped: reason -> images that are no frames because of it.
    :ivar notes: what the user should know -> how often it was seen.
    :ivar ended_early: see FrameSource.
    :raises ConfigError: no bag, nothing readable in it, topics that are not clear, no results
        though asked for, a calibration that cannot be read.
    """

    def __init__(self, path: Path, settings: RecordingSettings, *,
                 camera: CameraOptions = _NO_CAMERA, mounting: MountingSettings | None = None,
                 calibration: Path | None = None, recorded: bool = False,
                 reference: Path | None = None, results: Path | None = None,
                 classes: Sequence[ClassInfo] = CITYSCAPES) -> None:
        if recorded and results is not None:
            raise ConfigError(f'{path}: results of the bag itself and of {results} are both asked '
                              'for; give one of them')
        self.settings = settings
        self.skipped = Reasons()
        self.notes = Reasons()
        self.ended_early = ''
        self._input = InputFiles(path)
        self._path = path
        self._camera = camera
        self._others: list[BagReader] = []
        self._own: RecordedResults | None = None
        self._waiting: list[tuple[int, PairedImage]] = []
        self._given: deque[int] = deque(maxlen=_REMEMBERED_STAMPS)
        self._stack = ExitStack()
        try:
            self._bag = self._stack.enter_context(closing(BagReader(path)))
            self.topics = find_topics(self._bag, settings.topics, self.notes.add)
            self.len_hint = self._bag.topics[self.topics.image].count
            given = path if recorded else results
            self._results = None if given is None else self._open_results(given, classes)
            self.classes = tuple(classes) if self._results is None else self._results.classes
            self._reference = None if reference is None else self._open_results(reference,
                                                                                self.classes)
            self._motion = self._open_motion(mounting, calibration)
            self._truth = FrameTruth(self._bag, self.topics, settings, self._motion,
                                     self.notes.add)
            self._mounting = None if mounting is None else TransformedMounting(
                mounting, self._motion, self.notes.add)
            self._pairing = ImagePairing(self._bag, self.topics.image, self.topics.camera_info,
                                         skip_none, self.skipped, self.notes,
                                         SixteenBits(camera.bits))
        except BaseException:
            self.close()
            raise

    def _open_motion(self, mounting: MountingSettings | None,
                     calibration: Path | None) -> RecordedMotion | None:
        """Transforms, if they are needed: looking for them may cost a pass."""
        sync = self.settings.sync
        if not (mounting and not mounting.fixed) and not POSITIONS & set(self.topics.truth):
            if calibration is not None:
                self.notes.add(f'{calibration} is not used: neither point clouds nor boxes are '
                               'read')
            return None
        return RecordedMotion(self._bag, sync.max_delay_s, max(
            sync.lidar_tolerance_s, sync.box_tolerance_s), calibration)

    def _open_results(self, path: Path, classes: Sequence[ClassInfo]) -> RecordedResults:
        """Results of this bag, read in the same pass, or of another one."""
        sync = self.settings.sync
        if path.resolve() != self._path.resolve():
            bag = self._stack.enter_context(closing(BagReader(path)))
            self._others.append(bag)
            node = find_node(bag, self.settings.topics.node, self.notes.add)
            return RecordedResults(bag, node, sync, classes, self.notes.add, reads_bag=True)
        if self._own is None:
            self._own = RecordedResults(self._bag, self.topics.node, sync, classes, self.notes.add,
                                        reads_bag=False)
        return self._own

    @property
    def model_id(self) -> str:
        """Of the recorded results; empty where there are none, or as long as none was read."""
        return '' if self._results is None else self._results.model_id

    def __iter__(self) -> Iterator[RecordedFrame]:
        """Give the frames; what belongs to one is decoded when it is given out."""
        takers: defaultdict[str, list[Callable[[Message], None]]] = defaultdict(list)
        for topic, take in self._takers():
            takers[topic].append(take)
        for message in self._bag.messages(takers):
            for take in takers[message.topic]:
                take(message)
            while self._waiting and self._is_due(message.stamp_ns):
                yield from self._give(heapq.heappop(self._waiting)[1])
        for paired in self._pairing.finish():
            self._wait(paired)
        while self._waiting:
            yield from self._give(heapq.heappop(self._waiting)[1])
        for problems in (self._bag.problems, self._motion.tree.problems if self._motion else {},
                         *(bag.problems for bag in self._others)):
            self.notes.update(problems)
        if self._pairing.index < self.len_hint:
            self.ended_early = self._input.lost()

    def _takers(self) -> Iterator[tuple[str, Callable[[Message], None]]]:
        """Topics and what takes their messages, images last."""
        yield from self._truth.takers()
        if self._motion is not None:
            yield from ((topic, self._motion.take) for topic in self._motion.topics)
        if self._own is not None:
            yield from ((topic, self._own.take) for topic in self._own.topics)
        yield from ((topic, self._take_image) for topic in self._pairing.topics)

    def _take_image(self, message: Message) -> None:
        for paired in self._pairing.take(message):
            self._wait(paired)

    def _wait(self, paired: PairedImage) -> None:
        """Add an image to those that wait, if its stamp is a new one."""
        stamp_ns = paired.stamp_ns
        if stamp_ns in self._given or any(stamp == stamp_ns for stamp, _ in self._waiting):
            self.skipped.add(DUPLICATE)
        elif self._given and stamp_ns < self._given[-1]:
            self.skipped.add(LATE)
        else:
            heapq.heappush(self._waiting, (stamp_ns, paired))

    def _is_due(self, now_ns: int) -> bool:
        """Whether the earliest image has waited long enough."""
        sync = self.settings.sync
        stamp_ns, paired = self._waiting[0]
        if (len(self._waiting) >= sync.max_waiting
                or now_ns - paired.recorded_ns > sync.max_delay_s * 1e9):
            return True
        # Later ones have come before it: it is not out of order itself.
        return (len(self._waiting) > LATER and self._truth.settled(stamp_ns)
                and (self._motion is None or self._motion.settled(stamp_ns))
                and (self._own is None or self._own.settled(stamp_ns)))

    def _give(self, paired: PairedImage) -> Iterator[RecordedFrame]:
        """Decode an image and what belongs to it; nothing where it cannot be a frame."""
        self._given.append(paired.stamp_ns)
        self._truth.forget_before(paired.stamp_ns)
        try:
            frame = self._pairing.frame(paired, self._camera)
            if self._mounting is not None:
                frame = replace(frame, mounting=self._mounting.of(frame.frame_id, frame.stamp_ns))
            recorded = None if self._results is None else self._results.of(frame)
        except ConfigError as error:
            self.skipped.add(str(error))
            return
        if frame.intrinsics_source == 'default':
            self.notes.add(DEFAULT_CAMERA_WARNING)
        if self._results is not None and recorded is None:
            self.skipped.add(NO_RESULT)
            return
        yield RecordedFrame(frame, self._truth.maps(frame, self.classes),
                            self._truth.lidar(frame), self._truth.boxes(frame, self.classes),
                            recorded, self._reference_of(frame, recorded))

    def _reference_of(self, frame: Frame, recorded: PanopticDepth | None) -> PanopticDepth | None:
        """Result to compare with; one that is missing is no reason to leave a frame out."""
        if self._reference is None or self._reference is self._results:
            return None if self._reference is None else recorded
        try:
            found = self._reference.of(frame)
        except ConfigError as error:
            self.notes.add(f'{error}; no reference for this frame')
            return None
        if found is None:
            self.notes.add('the reference has no result of this stamp; the frame is not compared')
        return found

    def close(self) -> None:
        """Close the bags."""
        self._stack.close()

    def __enter__(self) -> RecordingReader:
        """Be usable in a with statement."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close at the end of a with statement."""
        self.close()
