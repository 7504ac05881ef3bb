# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A scored recording for viewers, each frame with its figures: Rerun and Foxglove."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ...files import make_folder
from ...io.viewers.foxglove import FoxgloveFile
from ...io.viewers.rerun import RerunFile
from ...labels import ClassInfo
from ...structures import Frame, PanopticDepth
from .structures import ReplayFrame

Show = Callable[[dict[str, Any], ReplayFrame, PanopticDepth], None]
"""Takes the record, the frame and its result."""


class Viewer(Protocol):
    """One file for a viewer, there in full at the end or not at all."""

    def write(self, frame: Frame, result: PanopticDepth, *,
              lidar_depth: NDArray[Any] | None = None,
              scalars: dict[str, float] | None = None) -> None:
        """Add one frame."""

    def __enter__(self) -> Any:
        """Open it."""

    def __exit__(self, *error: Any) -> None:
        """Finish it, or after an error drop it."""


def _rerun(path: Path, classes: Sequence[ClassInfo], image_topic: str) -> Viewer:
    return RerunFile(path, classes=classes, overwrite=True)


def _foxglove(path: Path, classes: Sequence[ClassInfo], image_topic: str) -> Viewer:
    return FoxgloveFile(path, classes=classes, image_topic=image_topic, overwrite=True)


VIEWERS: dict[str, Callable[[Path, Sequence[ClassInfo], str], Viewer]] = {
    '.rrd': _rerun, '.mcap': _foxglove}
"""Suffix of the path -> what writes there."""


@contextmanager
def open_viewers(paths: Sequence[Path], classes: Sequence[ClassInfo],
                 image_topic: str) -> Iterator[Show]:
    """
    Open files for viewers.

    :param paths: with a suffix in VIEWERS; existing ones are replaced.
    :returns: what takes the frames.
    :raises ConfigError: a viewer's package is not installed, or the disk is full ...
    """
    with ExitStack() as stack:
        viewers = []
        for path in paths:
            make_folder(path.parent)
            viewers.append(stack.enter_context(VIEWERS[path.suffix](path, classes, image_topic)))

        def show(record: dict[str, Any], item: ReplayFrame, result: PanopticDepth) -> None:
            scalars = figures_of(record)
            for viewer in viewers:
                viewer.write(item.frame, result, lidar_depth=item.lidar_depth, scalars=scalars)

        yield show


def figures_of(record: dict[str, Any]) -> dict[str, float]:
    """Numbers of a frame's record by name, such as 'labels.pq'."""
    return {f'{part}.{name}': float(value) for part, values in record.items()
            if isinstance(values, dict) for name, value in values.items()
            if isinstance(value, (int, float))}
