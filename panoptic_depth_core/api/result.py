# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A result with its picture, which can be drawn and saved."""

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
from ..files import lock_folder
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


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Result(PanopticDepth):
    """
    Panoptic labels, metric depth and distances of one picture.

    ``panoptic`` (H, W) uint16, ``depth`` (H, W) float32 meters, ``segments``, ``tasks``, ... are
    those of PanopticDepth; those of tasks that the model does not have are empty.

    :param frame: the picture with its camera, name and stamp; a rectified one where the result is
        of the rectified grid.
    :param classes: of the model by class id: name, color, thing or stuff.
    :param run: model and settings, for run.json.
    """

    frame: Frame
    classes: tuple[ClassInfo, ...]
    run: dict[str, Any]

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, the picture; not a copy."""
        return self.frame.image

    @property
    def semantic(self) -> NDArray[np.uint8]:
        """(H, W) uint8 class ids, labels.VOID_CLASS (255) where unknown."""
        return class_of(self.panoptic, self.label_divisor)

    @property
    def instances(self) -> tuple[InstanceDistance, ...]:
        """Things with their distances in meters, nearest first; NaN, unknown, last."""
        return tuple(d for d in self.distances if d.segment.instance_id > 0)

    def plot(self, what: Literal['overlay', 'depth'] = 'overlay') -> NDArray[np.uint8]:
        """
        Draw the result.

        :param what: overlay: the picture tinted by class and instance, with distances; depth: red
            is near, blue is far. For a model with depth alone, both draw the depth.
        :returns: (H, W, 3) uint8 RGB, the size of the maps.
        :raises ConfigError: the model has no depth, or ``what`` is unknown.
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
        Add the result to a folder, in the layout of ``panoptic-depth predict``.

        Saving the same result again changes nothing. Every call reads and writes the lists of the
        whole folder: save a stream by its own ``save``.

        :param formats: keys of io.results.result_folder.FORMATS; by default those of predict that
            the model supports.
        :param name: of the files; by default that of the picture, or a hash of its pixels.
        :returns: the folder.
        :raises ConfigError: the folder has another result of that name, or results of another
            model or other settings; a format is unknown or the model does not support it; the
            disk is full.
        """
        with _SAVING, self._writer(folder, formats) as writer:
            self._write(writer, name)
        return Path(folder)

    def to_dict(self) -> dict[str, Any]:
        """The line of instances.jsonl: plain data, meters, None where unknown."""
        return frame_record(self.frame, self)

    def _writer(self, folder: str | os.PathLike[str],
                formats: Collection[str] | None) -> ResultWriter:
        formats = formats_for(self.abilities, formats)
        prepare_run_folder(Path(folder), self.run, remedy='remove them')
        return ResultWriter(Path(folder), formats, ResultOptions(self.classes, self.abilities))

    def _write(self, writer: ResultWriter, name: str = '') -> None:
        name = name or self.name or (
            f'image_{hashlib.sha256(self.image.tobytes()).hexdigest()[:12]}')
        frame, result = replace(self.frame, name=name), replace(self, name=name)
        if writer.differs(frame, result):
            raise ConfigError(f'{writer.out_dir}: has another result of the name {name!r}; '
                              'choose another folder, or save this one under another name')
        writer.write(frame, result)

    def __repr__(self) -> str:
        """Name and instances on one line, without the arrays."""
        height, width = self.panoptic.shape
        seen = ', '.join(label_text(i, self.tasks) for i in self.instances) or 'no instances'
        return f'<Result {self.name!r} {width}x{height} px of {self.model_id}: {seen}>'

    def _repr_png_(self) -> bytes:
        """Display in a notebook."""
        return encode_png(self.plot())


class Results(Iterator[Result]):
    """Iterator of results, each computed on demand; for one thread."""

    def __init__(self, results: Iterator[Result]) -> None:
        self._results = results

    def __next__(self) -> Result:
        """Compute the next result."""
        return next(self._results)

    def save(self, folder: str | os.PathLike[str],
             formats: Collection[str] | None = None) -> Path:
        """Compute and save all remaining results one by one; see Result.save."""
        for first in self:
            with lock_folder(Path(folder)), first._writer(folder, formats) as writer:
                for result in chain([first], self):
                    result._write(writer)
        return Path(folder)
