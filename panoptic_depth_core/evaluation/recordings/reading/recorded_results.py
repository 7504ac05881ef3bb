# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results in a recording, by the stamps of their images, brought to the size of the image.

Maps of the size of the network become what the pipeline gives with ``output_size: input``, so
that a score does not depend on which of the two was recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ....errors import ConfigError
from ....inference.lens_view import LensGrid, lens_grid
from ....inference.preprocess import MapGrid
from ....io.bags.result_bags import LABEL_INFO_TOPIC, READ, read_classes, read_result
from ....io.bags.storage import BagReader, Message, deserialize
from ....io.cameras.camera_info import camera_of_info
from ....io.messages.outputs import OUTPUTS
from ....io.messages.truth_images import pixel_counts
from ....io.messages.types import CAMERA_INFO, LABEL_INFO
from ....labels import VOID_ID, ClassInfo
from ....structures import Frame, Intrinsics, PanopticDepth, Segment
from ...settings import SyncSettings
from .stamp_window import StampWindow
from .topics import Note

_CAMERA = 'camera_info'
_UNKNOWN = {'panoptic': 'labels', 'depth': 'depths', 'instances': 'distances'}

_ROUNDING = 1.5
"""Pixels of the maps: half a pixel of the network's input, and the end of the last stride."""

_TIE = 1e-6
"""Of a map pixel: the scale comes out of a division, and must not decide at the seam of two."""


class RecordedResults:
    """
    Results of one node.

    :param node: its name, None where the recording has none.
    :param classes: the table to search first, see read_classes.
    :param reads_bag: whether to read the bag as far as each frame needs it; else messages are
        given to ``take``.
    :ivar classes: the table of the recording, or the given one where that has none.
    :ivar model_id: of the latest result.
    :raises ConfigError: there are no results of a node, or its table of classes is none.
    """

    def __init__(self, bag: BagReader, node: str | None, sync: SyncSettings,
                 classes: Sequence[ClassInfo], note: Note, *, reads_bag: bool) -> None:
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
        topic = bag.topics.get(f'{node}/{OUTPUTS["camera_info"].name}')
        cameras = {}
        if topic is not None and topic.type == CAMERA_INFO and topic.count:
            cameras[_CAMERA] = topic.count
            self.topics[topic.name] = _CAMERA
        self._results, self._cameras = (StampWindow(each, 0.0, sync.max_waiting)
                                        for each in (counts, cameras))
        self.classes = self._read_classes(bag, f'{node}/{LABEL_INFO_TOPIC}', tuple(classes))
        self._messages: Iterator[Message] = bag.messages(self.topics) if reads_bag else iter(())

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
        """Read a message of one of ``topics``."""
        name = self.topics[message.topic]
        window = self._cameras if name == _CAMERA else self._results
        window.take(name, message, self._note)

    def settled(self, stamp_ns: int) -> bool:
        """Whether the result of a stamp is there, or not to be expected any more."""
        return self._results.settled(stamp_ns) and self._cameras.settled(stamp_ns)

    def _forget_before(self, stamp_ns: int) -> None:
        """Drop what cannot belong to an image of this stamp or a later one."""
        self._results.forget_before(stamp_ns)
        self._cameras.forget_before(stamp_ns)

    def of(self, frame: Frame) -> PanopticDepth | None:
        """
        Result of a frame.

        :param frame: of a later stamp than all before it.
        :returns: None where there is none.
        :raises ConfigError: it is damaged, or of another image.
        """
        self._forget_before(frame.stamp_ns)
        while not self.settled(frame.stamp_ns):
            message = next(self._messages, None)
            if message is None:
                break
            self.take(message)
            self._forget_before(frame.stamp_ns)
        group = self._results.nearest(frame.stamp_ns)
        if group is None:
            return None
        result = read_result(group.messages, frame, self.classes)
        self.model_id = result.model_id or self.model_id
        (height, width), camera = result.panoptic.shape, frame.intrinsics
        cameras = list(self._recorded_camera(frame, width, height))
        is_rectified = camera.lens is not None and any(c.lens is None for c in cameras[:1])
        if (width, height) == (camera.width, camera.height) and not is_rectified:
            return result
        if camera.lens is None:
            cameras.append(result.intrinsics)
        elif not cameras:
            raise ConfigError(f'recorded results are of {width}x{height} px, and the image of a '
                              'camera with a lens: record output/camera_info with them')
        result = at_image_size(result, frame, cameras)
        self._note(f'recorded results are of {width}x{height} px{" and rectified" * is_rectified}'
                   f': they are brought to the {grid_size(camera)} of the image')
        return result

    def _recorded_camera(self, frame: Frame, width: int, height: int) -> Iterator[Intrinsics]:
        """Camera of the result of a frame, if it is recorded and can be used."""
        group = self._cameras.nearest(frame.stamp_ns)
        for info in () if group is None else group.messages.values():
            if (camera := camera_of_info(info, width, height).camera) is not None:
                yield camera


def at_image_size(result: PanopticDepth, frame: Frame,
                  cameras: Sequence[Intrinsics]) -> PanopticDepth:
    """
    Enlarge a result, or reduce one of maps that are finer than the image.

    :param cameras: of the result's pixels, the most trusted first; the first one is taken whose
        pixels are those of the image.
    :raises ConfigError: for a result of another image.
    """
    grids = (_grid(frame.intrinsics, camera) for camera in cameras)
    grid = next((grid for grid in grids if grid is not None), None)
    height, width = result.panoptic.shape
    if grid is None:
        raise ConfigError(f'recorded results are of {width}x{height} px and show another part '
                          f'than the image of {grid_size(frame.intrinsics)}')
    region = grid.crop(result.panoptic, VOID_ID)
    panoptic = grid.restore_labels(region, VOID_ID)
    depth = grid.restore_depth(grid.crop(result.depth, math.nan), region)
    counts = pixel_counts(panoptic)

    def counted(segment: Segment) -> Segment:
        return replace(segment, pixel_count=counts.get(segment.panoptic_id, 0))

    return replace(
        result, panoptic=panoptic, depth=depth, intrinsics=frame.intrinsics,
        segments=tuple(map(counted, result.segments)),
        distances=tuple(replace(d, segment=counted(d.segment))
                        for d in grid.restore_rois(result.distances, region)))


def grid_size(camera: Intrinsics) -> str:
    """Size of an image in words."""
    return f'{camera.width}x{camera.height} px'


@lru_cache(maxsize=8)
def _grid(image: Intrinsics, camera: Intrinsics) -> MapGrid | LensGrid | None:
    """How maps of a camera lie in the image; None where they are not of it."""
    if image.lens is not None and camera.lens is None:
        return lens_grid(image, image, camera)
    scale = camera.fx / image.fx, camera.fy / image.fy
    # Sides are rounded to whole pixels, the shorter one by the greater share.
    if abs(scale[0] - scale[1]) * min(image.width, image.height) > _ROUNDING:
        return None
    # The principal points are one point; pixel centers are at integers.
    offset = (camera.cx + 0.5 - (image.cx + 0.5) * scale[0],
              camera.cy + 0.5 - (image.cy + 0.5) * scale[1])
    across = _axis(image.width, camera.width, scale[0], offset[0])
    down = _axis(image.height, camera.height, scale[1], offset[1])
    if across is None or down is None:
        return None
    (columns, first_column), (rows, first_row) = across, down
    counts = np.outer(np.bincount(rows, minlength=camera.height),
                      np.bincount(columns, minlength=camera.width)).astype(np.float64)
    return MapGrid(
        image.width, image.height, (0, camera.height, 0, camera.width), rows, columns,
        first_row, first_column, scale, (offset[0] - 0.5, offset[1] - 0.5), counts)


def _axis(size: int, maps: int, scale: float, offset: float,
          ) -> tuple[NDArray[np.intp], int] | None:
    """Map pixel of every shown image pixel, and the first of these; None: others are shown."""
    at = np.floor(scale * (np.arange(size) + 0.5) + offset + _TIE).astype(np.intp)
    shown = np.flatnonzero((at >= 0) & (at < maps))
    if not shown.size or at[shown[0]] > scale or maps - 1 - at[shown[-1]] > scale:
        return None
    return at[shown], int(shown[0])
