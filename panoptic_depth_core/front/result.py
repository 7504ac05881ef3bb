# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A result that knows its picture: it draws and saves itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.results.result_folder import (
    ResultOptions,
    ResultWriter,
    formats_for,
    frame_record,
    prepare_run_folder,
)
from ..io.visualization import depth_color, encode_png, label_text, picture_of_result
from ..labels import ClassInfo, class_of
from ..structures import Frame, InstanceDistance, PanopticDepth

_SAVING = Lock()


@dataclass(frozen=True)
class Origin:
    """
    What made a result.

    :param classes: of the model, by class id.
    :param run: model and settings, as run.json says it.
    """

    classes: tuple[ClassInfo, ...]
    run: dict[str, Any]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Result(PanopticDepth):
    """
    Panoptic labels, metric depth and distances of one picture, which draws and saves itself.

    ``panoptic`` (H, W) uint16, ``depth`` (H, W) float32 metres, ``segments``, ``tasks``, ... are
    those of PanopticDepth; of a task that the model does not do there is nothing.

    :param frame: the picture with its camera, name and stamp.
    """

    frame: Frame
    origin: Origin

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, the whole picture; of an array it was called with, no copy."""
        return self.frame.image

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Classes of the model by class id: name, colour, thing or stuff."""
        return self.origin.classes

    @property
    def semantic(self) -> NDArray[np.uint8]:
        """(H, W) uint8 class ids, labels.VOID_CLASS (255) where none is known."""
        return class_of(self.panoptic, self.label_divisor)

    @property
    def instances(self) -> tuple[InstanceDistance, ...]:
        """Things, each with its distance in metres, nearest first; NaN, not known, last."""
        return tuple(d for d in self.distances if d.segment.instance_id > 0)

    def plot(self, what: Literal['overlay', 'depth'] = 'overlay') -> NDArray[np.uint8]:
        """
        Draw the result.

        :param what: overlay: the picture tinted by class and instance, with distances; depth: from
            red, near, to blue, far. Of a model that does depth alone, both are the depth.
        :returns: (H, W, 3) uint8 RGB, the size of the maps.
        :raises ConfigError: for the depth of a model that has none, and for anything else.
        """
        if what not in ('overlay', 'depth'):
            raise ConfigError(f"plot: {what!r} is not known; give 'overlay' or 'depth'")
        if what == 'depth':
            if 'depth' not in self.tasks:
                raise ConfigError(f'{self.model_id} has no depth to draw; its tasks are '
                                  f'{", ".join(sorted(self.tasks))}')
            return depth_color(self.depth)
        return picture_of_result(self.frame, self, self.classes)

    def save(self, folder: str | os.PathLike[str], formats: Collection[str] | None = None,
             name: str = '') -> Path:
        """
        Add the result to a folder, as ``panoptic-depth predict`` writes it.

        The same result again changes nothing. Every call reads and writes the lists of the whole
        folder: save a stream by its own ``save``.

        :param formats: keys of io.results.FORMATS; by default those of predict that the model has
            something for.
        :param name: of its files; by default that of the picture, or one made of its pixels.
        :returns: the folder.
        :raises ConfigError: the folder has another result of that name, or results of another
            model or other settings; a format that is not known or that the model has nothing for;
            a disk that is full.
        """
        with _SAVING, self._writer(folder, formats) as writer:
            self._write(writer, name)
        return Path(folder)

    def to_dict(self) -> dict[str, Any]:
        """Its line of instances.jsonl: plain data, metres, None where not known."""
        return frame_record(self.frame, self)

    def _writer(self, folder: str | os.PathLike[str],
                formats: Collection[str] | None) -> ResultWriter:
        formats = formats_for(self.tasks, formats)
        prepare_run_folder(Path(folder), self.origin.run, remedy='remove them')
        return ResultWriter(Path(folder), formats, ResultOptions(self.classes, self.tasks))

    def _write(self, writer: ResultWriter, name: str = '') -> None:
        name = name or self.name or f'image_{_digest(self.image)}'
        frame, result = replace(self.frame, name=name), replace(self, name=name)
        if writer.differs(frame, result):
            raise ConfigError(f'{writer.out_dir}: has another result of the name {name!r}; '
                              'choose another folder, or save this one under another name')
        writer.write(frame, result)

    def __repr__(self) -> str:
        """Say what is seen, in one line: arrays are for other occasions."""
        height, width = self.panoptic.shape
        seen = ', '.join(label_text(i, self.tasks) for i in self.instances) or 'no instances'
        return f'<Result {self.name!r} {width}x{height} px of {self.model_id}: {seen}>'

    def _repr_png_(self) -> bytes:
        """Be a picture in a notebook."""
        return encode_png(self.plot())


def _digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()[:12]


class Results(Iterator[Result]):
    """Results one at a time, each worked out when it is asked for; for one thread."""

    def __init__(self, results: Iterator[Result]) -> None:
        self._results = results

    def __next__(self) -> Result:
        """Take the next frame and work out its result."""
        return next(self._results)

    def save(self, folder: str | os.PathLike[str],
             formats: Collection[str] | None = None) -> Path:
        """
        Work out all that are left, each into the folder as soon as it is there.

        :param formats: as for Result.save.
        :returns: the folder.
        :raises ConfigError: as Result.save.
        """
        for first in self:
            with first._writer(folder, formats) as writer:
                for result in chain([first], self):
                    result._write(writer)
        return Path(folder)
