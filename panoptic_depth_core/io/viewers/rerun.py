# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results as recordings for the rerun viewer (.rrd), written as they come.

/scene is the optical frame of the camera, /scene/camera its image, /metrics holds the plots. rerun
projects with pixel centers at integers, as this program does, and draws pixel (0, 0) from (0, 0)
to (1, 1). The same frames give the same content and recording id, but not the same bytes: rerun
gives rows, chunks and the layout of the viewer random ids.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import TASKS
from ...errors import ConfigError
from ...files import JsonLines, disk_errors, make_folder, require_absent
from ...labels import CITYSCAPES, VOID_CLASS, ClassInfo, class_of
from ...structures import Frame, Intrinsics, PanopticDepth
from ..messages.maker import UP_OPTICAL, box_size, located, tracked_text
from ..messages.outputs import outputs_of
from ..messages.point_clouds import points_of
from ..visualization import encode_jpeg, picture_of

PART_BYTES = 512 << 20  # of a file in a folder: a crash loses at most as much
FLUSH_FRAMES = 16  # between checks of the disk; until then they may wait in memory
FLUSH_TIMEOUT_S = 60.0  # rerun's own thread may die with the disk, and never answer
CHUNK_BYTES = 4 << 20  # of one entity; rerun keeps some KB per chunk in memory to the end
_FULL_BYTES = 1 << 20

LENS_STRIDE = 2
"""Of rows and columns, of the points of a camera with a lens."""

LIDAR_COLOR = (255, 160, 0)
LIDAR_RADIUS_PX = 1.5
IMAGE_PLANE_M = 3.0
DEPTH_SHOWN_M = (2.0, 80.0)
# The first view of the scene is from above and behind the camera.
EYE_M, LOOK_AT_M = (0.0, -6.0, -10.0), (0.0, 0.0, 15.0)


def rerun() -> Any:
    """Return the package rerun; ConfigError where it is not installed."""
    try:
        import rerun as package
    except ImportError as error:
        raise ConfigError(f'{error.name or error} is not installed; '
                          "install the extra: pip install 'panoptic-depth[viz]'") from None
    return package


def _xyz(points: NDArray[np.void]) -> NDArray[np.float32]:
    """(N, 3) of points of points_of."""
    return np.stack([points[axis] for axis in 'xyz'], axis=1)


@contextmanager
def _rerun_errors(path: Path) -> Iterator[None]:
    """As disk_errors, also for the RuntimeError of rerun's writing thread."""
    with disk_errors(path):
        try:
            yield
        except RuntimeError as error:
            # The thread does not say why it could not write.
            if shutil.disk_usage(path.parent).free < _FULL_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise OSError(errno.EIO, str(error)) from error


class RerunFile(AbstractContextManager['RerunFile']):
    """
    One recording (.rrd), complete or absent.

    :param title: in the viewer; empty: the name of the file.
    :param recording_id: the viewer joins files of one id; empty: from the first frame.
    :param first_number: of the frames, where they continue another file.
    :param overwrite: replace an existing file when the new one is complete.
    :raises ConfigError: rerun is not installed, the target exists.
    """

    def __init__(self, path: Path, *, classes: Sequence[ClassInfo] = CITYSCAPES, title: str = '',
                 recording_id: str = '', first_number: int = 0, overwrite: bool = False) -> None:
        self._rr = rerun()
        require_absent(path, overwrite)
        make_folder(path.parent)
        self.path = path
        self.recording_id = recording_id
        self._classes = classes
        # A name of a file may have bytes that are no text.
        self._title = (title or path.stem).encode('utf-8', 'replace').decode()
        self._number = first_number
        self._work = path.with_name(f'.{path.stem}.tmp{path.suffix}')
        self._stream: Any = None
        self._camera: Intrinsics | None = None
        self._tasks = TASKS
        self._metric_values: set[str] = set()
        self._has_lidar = False

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk so far."""
        return self._work.stat().st_size if self._stream is not None else 0

    def write(self, frame: Frame, result: PanopticDepth, *,
              lidar_depth: NDArray[np.float32] | None = None,
              scalars: Mapping[str, float] | None = None) -> None:
        """
        Add one frame with its result.

        :param lidar_depth: (H, W) float32 meters at pixels of the result, NaN without a point.
        :param scalars: name -> number of the frame, for plots; only finite ones are written.
        :raises ConfigError: disk full ...; no part of the file stays.
        """
        metric_values = {name: value for name, value in (scalars or {}).items() if isfinite(value)}
        self._has_lidar |= lidar_depth is not None
        self._metric_values |= metric_values.keys()
        self._tasks = result.tasks
        try:
            with _rerun_errors(self.path):
                if self._stream is None:
                    self._open(frame, result)
                self._log(frame, result, lidar_depth, metric_values)
                self._number += 1
                self._check()
                if self._number % FLUSH_FRAMES == 0:
                    self._stream.flush(timeout_sec=FLUSH_TIMEOUT_S)
        except BaseException:
            self.abort()
            raise

    def _check(self) -> None:
        """Raise OSError where the file is gone: rerun would go on to write."""
        if not self._work.exists():
            raise FileNotFoundError(errno.ENOENT, 'it was removed')

    def _open(self, frame: Frame, result: PanopticDepth) -> None:
        """Begin the file, with the axes of the camera's frame and the class table."""
        rr = self._rr
        # The same for the same first frame and model.
        head = '\n'.join((self._title, result.model_id, frame.name, str(frame.stamp_ns),
                          frame.frame_id))
        self.recording_id = self.recording_id or hashlib.sha256(
            head.encode('utf-8', 'replace') + frame.image.tobytes()).hexdigest()[:32]
        # The clock would cut chunks elsewhere each time; the size does not.
        batches = rr.ChunkBatcherConfig(flush_tick=1e6, flush_num_bytes=CHUNK_BYTES)
        self._stream = stream = rr.RecordingStream(
            'panoptic_depth', recording_id=self.recording_id, send_properties=False,
            batcher_config=batches)
        stream.set_log_time_enabled(False)
        stream.save(self._work)
        stream.send_recording_name(self._title)
        if frame.stamp_ns > 0:
            stream.send_recording_start_time_nanos(frame.stamp_ns)
        known = [(info.class_id, info.name, info.color) for info in self._classes]
        stream.log('scene', rr.ViewCoordinates.RDF,
                   rr.AnnotationContext([*known, (VOID_CLASS, 'void', (0, 0, 0))]), static=True,
                   strict=True)

    def _log(self, frame: Frame, result: PanopticDepth, lidar_depth: NDArray[np.float32] | None,
             metric_values: Mapping[str, float]) -> None:
        """Log all of one frame that the model does; 16-bit depth has steps of 0.05 %."""
        rr, stream, camera = self._rr, self._stream, result.intrinsics
        stream.reset_time()
        stream.set_time('frame', sequence=self._number)
        if frame.stamp_ns > 0:
            stream.set_time('stamp', timestamp=np.datetime64(frame.stamp_ns, 'ns'))
        # Its cameras have no lenses: depth would be put at wrong rays, so points are logged.
        if camera != self._camera and camera.lens is None:
            self._camera = camera
            stream.log('scene/camera', rr.Pinhole(
                focal_length=[camera.fx, camera.fy], principal_point=[camera.cx, camera.cy],
                resolution=[camera.width, camera.height], camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=IMAGE_PLANE_M), strict=True)
        picture = picture_of(frame, result)
        if camera.lens is not None and 'depth' in result.tasks:
            seen = points_of(picture, result, LENS_STRIDE)
            stream.log('scene/points', rr.Points3D(
                _xyz(seen), colors=seen['rgb'] << 8 | 0xff), strict=True)
        things = [d for d in result.distances if d.segment.is_thing]
        solid = located(result)
        fills = outputs_of(result.abilities)
        stream.log('scene/camera/image', rr.EncodedImage(
            contents=encode_jpeg(picture).tobytes(), media_type='image/jpeg'), strict=True)
        if 'semantic' in fills:
            stream.log('scene/camera/classes', rr.SegmentationImage(
                class_of(result.panoptic, result.label_divisor), opacity=0.5), strict=True)
        if 'depth' in fills:
            # The viewer draws no points for NaN and infinities.
            stream.log('scene/camera/depth', rr.DepthImage(
                result.depth.astype(np.float16), meter=1.0, depth_range=DEPTH_SHOWN_M),
                strict=True)
        if 'instances' in fills:
            stream.log('scene/camera/instances', rr.Boxes2D(
                array=np.array([d.roi for d in things], np.float32).reshape(-1, 4),
                array_format=rr.Box2DFormat.XYWH,
                labels=[tracked_text(d, result.tasks) for d in things],
                class_ids=[d.segment.class_id for d in things]), strict=True)
        if 'detections_3d' in fills:
            stream.log('scene/boxes', rr.Boxes3D(
                centers=np.array([d.position_m for d in solid], np.float32).reshape(-1, 3),
                sizes=np.array([box_size(d) for d in solid], np.float32).reshape(-1, 3),
                labels=[tracked_text(d) for d in solid],
                class_ids=[d.segment.class_id for d in solid]), strict=True)
        # A frame without points has to replace those of earlier frames.
        if self._has_lidar:
            points = np.empty((0, 3), np.float32)
            if lidar_depth is not None:
                points = _xyz(points_of(picture, replace(result, depth=lidar_depth)))
            stream.log('scene/lidar', rr.Points3D(
                points, colors=LIDAR_COLOR, radii=rr.Radius.ui_points(LIDAR_RADIUS_PX)),
                strict=True)
        for name, value in metric_values.items():
            stream.log(['metrics', *name.split('.')], rr.Scalars(value), strict=True)

    def _send_layout(self) -> None:
        """Set the viewer's first layout: scene, image and depth, and the metrics by group."""
        layout = self._rr.blueprint
        shown = {'image': ['$origin/image', '$origin/classes', '$origin/instances']}
        if 'depth' in self._tasks:
            shown['depth'] = ['$origin/depth']
        camera = layout.Vertical(*(
            layout.Spatial2DView(origin='/scene/camera', name=name, contents=contents)
            for name, contents in shown.items()))
        scene = layout.Horizontal(
            layout.Spatial3DView(
                origin='/scene', name='scene',
                contents=['$origin/**', '- $origin/camera/classes', '- $origin/camera/instances'],
                eye_controls=layout.EyeControls3D(position=EYE_M, look_target=LOOK_AT_M,
                                                  eye_up=UP_OPTICAL)), camera)
        groups = sorted({name.split('.')[0] for name in self._metric_values})
        plots = [layout.TimeSeriesView(origin=self._rr.new_entity_path(['metrics', group]),
                                       name=group) for group in groups]
        if plots:
            scene = layout.Vertical(scene, layout.Horizontal(*plots), row_shares=[3, 1])
        self._stream.send_blueprint(layout.Blueprint(scene, collapse_panels=True))

    def close(self) -> None:
        """Finish the file; without any frame none is made."""
        if self._stream is None:
            return
        from rerun.chunk import RrdReader
        try:
            with _rerun_errors(self.path):
                self._send_layout()
                self._stream.flush(timeout_sec=FLUSH_TIMEOUT_S)
                self._stream.disconnect()
                # disconnect() does not say whether the end was written; this raises without it.
                RrdReader(self._work).store()
                os.replace(self._work, self.path)
        except BaseException:
            self.abort()
            raise
        self._stream = None

    def abort(self) -> None:
        """Drop the file."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(RuntimeError):
                stream.disconnect()
        with suppress(OSError):
            self._work.unlink()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the file; after an error drop it."""
        if kind is None:
            self.close()
        else:
            self.abort()


class RerunFolder:
    """
    A run as files that the viewer shows as one recording: ``rerun FOLDER/*.rrd``.

    A file cannot be added to, so a resumed run begins another one of the same id.

    :param part_bytes: size at which a file is closed.
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

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Add the frame, as RerunFile.write does."""
        if self._file is None:
            number = 0
            while (path := self.folder / f'{number:03d}.rrd').exists():
                number += 1
            self._file = RerunFile(
                path, classes=self._classes, title=self.folder.parent.name,
                recording_id=self._recording_id, first_number=len(self._done.names))
        try:
            self._file.write(frame, result)
        except BaseException:
            self._file, self._open_names = None, []
            raise
        self._open_names.append(frame.name)
        if self._file.size_bytes >= self._part_bytes:
            self._finish()

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
