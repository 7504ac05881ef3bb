# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results as recordings for the rerun viewer (.rrd), written as they come.

What a recording says is the same for the same frames, also its id. Its bytes are not: rerun gives
rows, chunks and the layout of the viewer random ids.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import TASKS
from ...errors import ConfigError
from ...files import JsonLines, WholeFile, disk_errors, make_folder, require_absent
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, Intrinsics, PanopticDepth
from .rerun_frames import log_camera, log_classes, log_frame, send_layout, set_time

APPLICATION = 'panoptic_depth'
PART_BYTES = 512 << 20
"""Size at which a folder of recordings gets a new file: as much as a crash can cost."""

FLUSH_FRAMES = 16
"""Frames between looks at whether the disk still takes them; they wait in memory until then."""

FLUSH_TIMEOUT_S = 60.0
"""Its own thread may have died with the disk; without an end it would be waited for for ever."""

CHUNK_BYTES = 4 << 20
"""Of one entity; rerun's index of chunks, some KB for each, is kept in memory to the end."""

_FULL_BYTES = 1 << 20


def rerun() -> Any:
    """
    Return the package rerun.

    :raises ConfigError: where it is not installed.
    """
    try:
        import rerun as package
    except ImportError as error:
        raise ConfigError(f'{error.name or error} is not installed; '
                          "install the extra: pip install 'panoptic-depth[viz]'") from None
    return package


@contextmanager
def _rerun_errors(path: Path) -> Iterator[None]:
    """
    Turn what rerun says of the disk into one line.

    :raises ConfigError: for a RuntimeError or OSError raised inside.
    """
    with disk_errors(path):
        try:
            yield
        except RuntimeError as error:
            # Its own thread writes, and keeps to itself why it could not.
            if shutil.disk_usage(path.parent).free < _FULL_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise OSError(errno.EIO, str(error)) from error


def recording_id_of(title: str, frame: Frame, result: PanopticDepth) -> str:
    """Id of a recording that begins with this frame: the same for the same frame and model."""
    head = '\n'.join((title, result.model_id, frame.name, str(frame.stamp_ns), frame.frame_id))
    return hashlib.sha256(head.encode() + frame.image.tobytes()).hexdigest()[:32]


class RerunFile(WholeFile):
    """
    One recording, there in full or not at all.

    :param path: of the .rrd file.
    :param classes: what class ids mean.
    :param title: how the viewer names it; empty: after the file.
    :param recording_id: files of one id are shown as one; empty: from the first frame.
    :param first_number: of the frames, where they go on from another file.
    :param overwrite: replace an existing file, when the new one is complete.
    :raises ConfigError: rerun is not installed, the target exists.
    """

    def __init__(self, path: Path, *, classes: Sequence[ClassInfo] = CITYSCAPES, title: str = '',
                 recording_id: str = '', first_number: int = 0, overwrite: bool = False) -> None:
        self._rerun = rerun()
        require_absent(path, overwrite)
        make_folder(path.parent)
        self.path = path
        self.recording_id = recording_id
        self._classes = classes
        self._title = title or path.stem
        self._number = first_number
        self._work = path.with_name(f'.{path.stem}.tmp{path.suffix}')
        self._stream: Any = None
        self._camera: Intrinsics | None = None
        self._tasks = TASKS
        self._figures: set[str] = set()
        self._has_lidar = False

    @property
    def size_bytes(self) -> int:
        """What is on the disk by now."""
        return self._work.stat().st_size if self._stream is not None else 0

    def write(self, frame: Frame, result: PanopticDepth, *,
              lidar_depth: NDArray[np.float32] | None = None,
              scalars: Mapping[str, float] | None = None) -> None:
        """
        Add one frame with its result.

        :param lidar_depth: (H, W) float32 metres at pixels of the result, NaN where no point is.
        :param scalars: name -> figure of the frame, for plots; what is not finite is left out.
        :raises ConfigError: disk full ...; nothing is left of the file then.
        """
        figures = {name: value for name, value in (scalars or {}).items() if isfinite(value)}
        self._has_lidar |= lidar_depth is not None
        self._figures |= figures.keys()
        try:
            with _rerun_errors(self.path):
                stream = self._stream or self._open(frame, result)
                set_time(stream, self._number, frame.stamp_ns)
                if result.intrinsics != self._camera:
                    log_camera(self._rerun, stream, result.intrinsics)
                    self._camera = result.intrinsics
                log_frame(self._rerun, stream, frame, result, lidar_depth, self._has_lidar,
                          figures)
                self._tasks = result.tasks
                self._number += 1
                if self._number % FLUSH_FRAMES == 0:
                    stream.flush(timeout_sec=FLUSH_TIMEOUT_S)
        except BaseException:
            self.abort()
            raise

    def _open(self, frame: Frame, result: PanopticDepth) -> Any:
        self.recording_id = self.recording_id or recording_id_of(self._title, frame, result)
        # By the clock, chunks would be cut elsewhere each time; by size they are not.
        batches = self._rerun.ChunkBatcherConfig(flush_tick=1e6, flush_num_bytes=CHUNK_BYTES)
        stream = self._rerun.RecordingStream(
            APPLICATION, recording_id=self.recording_id, send_properties=False,
            batcher_config=batches)
        stream.set_log_time_enabled(False)
        stream.save(self._work)
        self._stream, self._camera = stream, None
        stream.send_recording_name(self._title)
        if frame.stamp_ns > 0:
            stream.send_recording_start_time_nanos(frame.stamp_ns)
        log_classes(self._rerun, stream, self._classes)
        return stream

    def close(self) -> None:
        """
        Finish the file; without any frame none is made.

        :raises ConfigError: disk full ...; nothing is left of the file then.
        """
        if self._stream is None:
            return
        try:
            with _rerun_errors(self.path):
                send_layout(self._rerun, self._stream, self._figures, self._tasks)
                self._stream.flush(timeout_sec=FLUSH_TIMEOUT_S)
                self._stream.disconnect()
                self._check()
                os.replace(self._work, self.path)
        except BaseException:
            self.abort()
            raise
        self._stream = None

    def _check(self) -> None:
        """
        Whether the end of the file is there: disconnect() does not say.

        :raises RuntimeError: it is not.
        """
        from rerun.chunk import RrdReader

        RrdReader(self._work).store()

    def abort(self) -> None:
        """Drop the file."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(RuntimeError):
                stream.disconnect()
        with suppress(OSError):
            self._work.unlink()


class RerunFolder:
    """
    A run as recordings in a folder that the viewer shows as one: ``rerun FOLDER/*.rrd``.

    A recording cannot be added to, so a run that goes on begins another file of the same id.

    :param part_bytes: size at which a file is closed.
    :raises ConfigError: rerun is not installed, no permission ...
    """

    def __init__(self, folder: Path, classes: Sequence[ClassInfo] = CITYSCAPES,
                 part_bytes: int = PART_BYTES) -> None:
        rerun()
        self.folder = make_folder(folder)
        self._classes = classes
        self._part_bytes = part_bytes
        self._done = JsonLines(folder / 'frames.jsonl')
        self._recording_id = next((str(line['recording']) for line in self._done), '')
        self._file: RerunFile | None = None
        self._open_names: list[str] = []

    def done(self, name: str) -> bool:
        """Whether a finished file has the frame."""
        return name in self._done.names

    def write(self, frame: Frame, result: PanopticDepth, *,
              lidar_depth: NDArray[np.float32] | None = None,
              scalars: Mapping[str, float] | None = None) -> None:
        """Add the frame, as RerunFile.write does."""
        if self._file is None:
            self._file = RerunFile(
                self._free_path(), classes=self._classes, title=self.folder.parent.name,
                recording_id=self._recording_id, first_number=len(self._done.names))
        try:
            self._file.write(frame, result, lidar_depth=lidar_depth, scalars=scalars)
        except BaseException:
            self._file, self._open_names = None, []
            raise
        self._open_names.append(frame.name)
        if self._file.size_bytes >= self._part_bytes:
            self._finish()

    def _free_path(self) -> Path:
        number = 0
        while (path := self.folder / f'{number:03d}.rrd').exists():
            number += 1
        return path

    def _finish(self) -> None:
        file, self._file = self._file, None
        names, self._open_names = self._open_names, []
        if file is not None:
            file.close()
            self._recording_id = file.recording_id
            for name in names:
                self._done.append({'name': name, 'file': file.path.name,
                                   'recording': file.recording_id})

    def close(self) -> None:
        """Finish the open file."""
        try:
            self._finish()
        finally:
            self._done.close()
