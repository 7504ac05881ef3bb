# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings for rerun, read back by rerun's own reader."""

from __future__ import annotations

import errno
import math
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from io_scenes import SECOND_NS, make_frame, make_result
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.point_clouds import points_of
from panoptic_depth_core.io.viewers import rerun as rerun_io
from panoptic_depth_core.io.viewers.rerun import LENS_STRIDE, RerunFile, RerunFolder
from panoptic_depth_core.labels import CITYSCAPES, SEMKITTI, VOID_CLASS, class_of
from panoptic_depth_core.lens import Lens

pytest.importorskip('rerun', reason='rerun is not installed (extra viz)')

Rows = dict[str, list[dict[str, Any]]]


def _rows(path: Path) -> Rows:
    """Entity -> its rows in order of frames: what the file says, without rerun's random ids."""
    import pyarrow as pa
    from rerun.chunk import RrdReader

    found: Rows = {}
    for chunk in RrdReader(path).stream():
        batch = chunk.to_record_batch()
        columns = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name == 'stamp':
                column = column.cast(pa.int64())
            if name != 'rerun.controls.RowId':
                columns[name.rpartition(':')[2]] = column.to_pylist()
        rows = [dict(zip(columns, values, strict=True))
                for values in zip(*columns.values(), strict=True)]
        found.setdefault(chunk.entity_path, []).extend(rows)
    return {path: sorted(rows, key=lambda row: row.get('frame', -1))
            for path, rows in found.items()}


def _properties(path: Path) -> dict[str, Any]:
    return {name: _one(value) for row in _rows(path)['/__properties']
            for name, value in row.items()}


def _write(path: Path, indices: range = range(3),
           change: Callable[[int], dict[str, Any]] | None = None, **options: Any) -> RerunFile:
    with RerunFile(path, **options) as file:
        for index in indices:
            frame = make_frame(index)
            file.write(frame, make_result(frame), **(change(index) if change else {}))
    return file


def _one(value: list[Any]) -> Any:
    """The only value of a component."""
    (only,) = value
    return only


def test_every_entity_at_every_frame(tmp_path: Path) -> None:
    _write(tmp_path / 'drive.rrd', range(6))
    assert [path.name for path in tmp_path.iterdir()] == ['drive.rrd']
    rows = _rows(tmp_path / 'drive.rrd')
    perception = {'/scene/camera/image', '/scene/camera/classes', '/scene/camera/depth',
                  '/scene/camera/instances', '/scene/boxes'}
    assert set(rows) == perception | {'/scene', '/scene/camera', '/__properties'}
    for path in perception:
        assert [row['frame'] for row in rows[path]] == list(range(6))
        assert [row['stamp'] for row in rows[path]] == [make_frame(i).stamp_ns for i in range(6)]
        assert 'log_time' not in rows[path][0] and 'log_tick' not in rows[path][0]
    assert len(rows['/scene/camera']) == 1 and 'frame' not in rows['/scene'][0]


def test_values(tmp_path: Path) -> None:
    _write(tmp_path / 'drive.rrd', range(1))
    frame = make_frame()
    result = make_result(frame)
    rows = {path: rows[0] for path, rows in _rows(tmp_path / 'drive.rrd').items()}

    camera = rows['/scene/camera']
    # rerun's matrix goes column by column; pixel centers are at integers.
    assert _one(camera['image_from_camera']) == [50, 0, 0, 0, 51, 0, 19, 11, 1]
    assert _one(camera['resolution']) == [40, 24]
    assert _one(camera['camera_xyz']) == [3, 2, 5]  # right, down, forward

    image = rows['/scene/camera/image']
    assert _one(image['media_type']) == 'image/jpeg'
    blob = np.frombuffer(bytes(_one(image['blob'])), np.uint8)
    assert cv2.imdecode(blob, cv2.IMREAD_COLOR).shape == (24, 40, 3)
    classes = np.array(_one(rows['/scene/camera/classes']['buffer']), np.uint8)
    np.testing.assert_array_equal(classes.reshape(24, 40), class_of(result.panoptic))
    depth = rows['/scene/camera/depth']
    values = np.frombuffer(bytes(_one(depth['buffer'])), np.float16).reshape(24, 40)
    np.testing.assert_allclose(values, result.depth, rtol=5e-4)
    assert np.isnan(values[7, 21]) and np.isposinf(values[0, 0])
    assert _one(depth['meter']) == 1.0

    boxes = rows['/scene/boxes']
    assert boxes['centers'] == [[-2.5, 0.25, 12.25]]
    assert boxes['half_sizes'] == [[1.0, 0.75, 0.25]]
    assert boxes['labels'] == ['car 12.5 m'] and boxes['class_ids'] == [13]
    flat = rows['/scene/camera/instances']
    assert flat['labels'] == ['car 12.5 m', 'person ?'] and flat['class_ids'] == [13, 11]
    # The pixels of the car are columns 4..13 and rows 8..15.
    assert flat['centers'][0] == [9, 12] and flat['half_sizes'][0] == [5, 4]

    names = {entry['class_id']: entry['class_description']['info']
             for entry in _one(rows['/scene']['context'])}
    assert {number: info['label'] for number, info in names.items()} == {
        **{info.class_id: info.name for info in CITYSCAPES}, VOID_CLASS: 'void'}
    assert names[13]['color'] == 0x00008EFF  # RGBA
    properties = _properties(tmp_path / 'drive.rrd')
    assert properties == {'name': 'drive', 'start_time': frame.stamp_ns}


def test_depth_far_and_near_keep_their_meaning(tmp_path: Path) -> None:
    frame = make_frame()
    depth = np.full((24, 40), 655.04, np.float32)
    depth[0, :3] = np.nan, np.inf, -np.inf
    with RerunFile(tmp_path / 'drive.rrd') as file:
        file.write(frame, replace(make_result(frame), depth=depth))
    (row,) = _rows(tmp_path / 'drive.rrd')['/scene/camera/depth']
    values = np.frombuffer(bytes(_one(row['buffer'])), np.float16)
    np.testing.assert_allclose(values.astype(np.float32), depth.ravel(), rtol=5e-4)


def test_what_is_gone_is_taken_away(tmp_path: Path) -> None:
    """Rerun shows the last value that there was, so an empty frame has to say so."""
    lidar = np.full((24, 40), np.nan, np.float32)
    lidar[11, 19] = 8.0
    with RerunFile(tmp_path / 'drive.rrd') as file:
        for index in range(3):
            frame = make_frame(index)
            result = make_result(frame)
            distances = result.distances if index != 1 else ()
            file.write(frame, replace(result, distances=distances),
                       lidar_depth=lidar if index == 1 else None)
    rows = _rows(tmp_path / 'drive.rrd')
    assert [len(row['centers']) for row in rows['/scene/boxes']] == [1, 0, 1]
    assert [len(row['labels']) for row in rows['/scene/camera/instances']] == [2, 0, 2]
    assert [(row['frame'], row['positions']) for row in rows['/scene/lidar']] == [
        (1, [[0, 0, 8.0]]), (2, [])]


def test_metrics_of_frames(tmp_path: Path) -> None:
    def metric_values(index: int) -> dict[str, Any]:
        return {'scalars': {'labels.pq': 0.25 * index, 'a b/"\n.é': 1.0,
                            'labels.sq': math.nan if index else 0.5}}

    _write(tmp_path / 'drive.rrd', range(3), metric_values)
    rows = _rows(tmp_path / 'drive.rrd')
    assert [_one(row['scalars']) for row in rows['/metrics/labels/pq']] == [0.0, 0.25, 0.5]
    assert [row['frame'] for row in rows['/metrics/labels/sq']] == [0]
    assert len([path for path in rows if path.startswith('/metrics/')]) == 3
    assert any(len(rows[path]) == 3 and 'é' in path for path in rows)


def test_a_camera_that_changes_and_frames_without_stamps(tmp_path: Path) -> None:
    with RerunFile(tmp_path / 'drive.rrd', classes=SEMKITTI) as file:
        for fx in (50.0, 50.0, 60.0):
            frame = replace(make_frame(), stamp_ns=0)
            camera = replace(frame.intrinsics, fx=fx)
            file.write(frame, replace(make_result(frame), intrinsics=camera, distances=()))
    rows = _rows(tmp_path / 'drive.rrd')
    assert [(row['frame'], _one(row['image_from_camera'])[0]) for row in rows['/scene/camera']
            ] == [(0, 50.0), (2, 60.0)]
    assert 'stamp' not in rows['/scene/boxes'][0]
    context = _one(rows['/scene'][0]['context'])
    assert context[0]['class_description']['info']['label'] == 'car'


def test_the_same_frames_say_the_same(tmp_path: Path) -> None:
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    files = [_write(tmp_path / name / 'drive.rrd', range(9)) for name in ('one', 'two')]
    assert _rows(files[0].path) == _rows(files[1].path)
    assert files[0].recording_id == files[1].recording_id
    other = _write(tmp_path / 'other.rrd', range(1, 3))
    assert other.recording_id != files[0].recording_id


def test_there_is_a_layout_with_plots_where_there_are_metrics(tmp_path: Path) -> None:
    from rerun.chunk import RrdReader

    def plots(path: Path) -> list[str]:
        reader = RrdReader(path)
        (layout,) = reader.blueprints()
        batches = [chunk.to_record_batch() for chunk in reader.stream(store=layout)]
        return sorted(_one(kind) for batch in batches
                      if 'ViewBlueprint:class_identifier' in batch.schema.names
                      for kind in batch['ViewBlueprint:class_identifier'].to_pylist())

    _write(tmp_path / 'plain.rrd')
    _write(tmp_path / 'plots.rrd', range(2), lambda _: {'scalars': {'a.x': 1.0, 'b.y': 2.0}})
    assert plots(tmp_path / 'plain.rrd') == ['2D', '2D', '3D']
    assert plots(tmp_path / 'plots.rrd') == ['2D', '2D', '3D', 'TimeSeries', 'TimeSeries']


def test_it_is_there_in_full_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> None:
        with RerunFile(tmp_path / 'drive.rrd') as file:
            file.write(make_frame(), make_result(make_frame()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    RerunFile(tmp_path / 'drive.rrd').close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match='40x24 px, but its depth 5x4 px'):
        _write(tmp_path / 'drive.rrd', range(1),
               lambda _: {'lidar_depth': np.ones((4, 5), np.float32)})
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_only_replaced_when_asked(tmp_path: Path) -> None:
    path = tmp_path / 'drive.rrd'
    _write(path, range(1))
    with pytest.raises(ConfigError, match=r'drive\.rrd: exists already'):
        RerunFile(path)
    _write(path, range(2), overwrite=True)
    assert len(_rows(path)['/scene/boxes']) == 2


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs /dev/full of Linux')
def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    (tmp_path / '.drive.tmp.rrd').symlink_to('/dev/full')
    with pytest.raises(ConfigError, match=r'drive\.rrd: cannot be written:.*No space left'):
        _write(tmp_path / 'drive.rrd')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings('ignore:RRD file has no footer')
def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether rerun's thread says so while writing, or nobody does and the end is missing."""
    import rerun

    def stopped(*_: object, **__: object) -> None:
        raise RuntimeError('File-writer thread shut down prematurely')

    def cut(stream: Any) -> None:
        disconnect(stream)
        work = tmp_path / '.drive.tmp.rrd'
        os.truncate(work, work.stat().st_size - 10)

    disconnect = rerun.RecordingStream.disconnect
    with monkeypatch.context() as patch:
        patch.setattr(rerun.RecordingStream, 'flush', stopped)
        with pytest.raises(ConfigError, match='cannot be written: File-writer.*check the path'):
            _write(tmp_path / 'drive.rrd', range(9))
        usage = shutil.disk_usage(tmp_path)._replace(free=0)
        patch.setattr(rerun_io.shutil, 'disk_usage', lambda _: usage)
        with pytest.raises(ConfigError, match='No space left on device; free some space'):
            _write(tmp_path / 'drive.rrd', range(1))
    monkeypatch.setattr(rerun.RecordingStream, 'disconnect', cut)
    with pytest.raises(ConfigError, match=r'drive\.rrd: cannot be written'):
        _write(tmp_path / 'drive.rrd', range(1))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='in the place of a folder'):
        RerunFile(tmp_path / 'file' / 'drive.rrd')


def test_without_rerun_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(ConfigError, match=r'rerun is not installed; .*panoptic-depth\[viz\]'):
        RerunFile(tmp_path / 'drive.rrd')
    with pytest.raises(ConfigError, match=r'panoptic-depth\[viz\]'):
        RerunFolder(tmp_path / 'rerun')


def _run(folder: Path, indices: range, part_bytes: int = 1 << 30) -> list[int]:
    """Write what is not done yet; return it."""
    sink = RerunFolder(folder, part_bytes=part_bytes)
    new = [index for index in indices if not sink.done(make_frame(index).name)]
    for index in new:
        sink.write(make_frame(index), make_result(make_frame(index)))
    sink.close()
    return new


def test_a_run_that_goes_on_adds_a_file_of_the_same_recording(tmp_path: Path) -> None:
    folder = tmp_path / 'rerun'
    assert _run(folder, range(2)) == [0, 1]
    assert _run(folder, range(5)) == [2, 3, 4]
    assert _run(folder, range(5)) == []
    paths = sorted(folder.glob('*.rrd'))
    assert [path.name for path in paths] == ['000.rrd', '001.rrd']
    numbers = [[row['frame'] for row in _rows(path)['/scene/boxes']] for path in paths]
    assert numbers == [[0, 1], [2, 3, 4]]

    from rerun.chunk import RrdReader
    ids = {RrdReader(path).recordings()[0].recording_id for path in paths}
    assert len(ids) == 1
    assert _properties(paths[1])['name'] == tmp_path.name


def test_parts_of_a_long_run(tmp_path: Path) -> None:
    _run(tmp_path / 'rerun', range(9), part_bytes=1)
    # What is on the disk is only known now and then.
    assert 1 < len(list((tmp_path / 'rerun').glob('*.rrd'))) <= 9
    frames = [row['frame'] for path in sorted((tmp_path / 'rerun').glob('*.rrd'))
              for row in _rows(path)['/scene/boxes']]
    assert frames == list(range(9))


def test_frames_of_a_file_that_failed_are_not_done(tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / 'rerun'
    _run(folder, range(1))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', full)
        with pytest.raises(ConfigError, match='No space left'):
            _run(folder, range(3))
    assert _run(folder, range(3)) == [1, 2]
    assert {path.name for path in folder.iterdir()} == {'000.rrd', '001.rrd', 'frames.jsonl'}
    assert [row['stamp'] // SECOND_NS - 1_700_000_000
            for row in _rows(folder / '001.rrd')['/scene/boxes']] == [1, 2]


def test_a_lens_has_points_and_no_pinhole(tmp_path: Path) -> None:
    """The viewer knows no lenses: it would put the pixels of the depth at wrong rays."""
    frame = make_frame()
    frame = replace(frame, intrinsics=replace(
        frame.intrinsics, lens=Lens('plumb_bob', (-0.3, 0.1, 0.0, 0.0))))
    result = make_result(frame)
    with RerunFile(tmp_path / 'lens.rrd') as file:
        file.write(frame, result)
    rows = _rows(tmp_path / 'lens.rrd')
    assert '/scene/camera' not in rows
    points = points_of(frame.image, result, LENS_STRIDE)
    found = np.array(rows['/scene/points'][0]['positions'])
    np.testing.assert_allclose(found, np.stack([points[axis] for axis in 'xyz'], 1))
    colors = np.array(rows['/scene/points'][0]['colors'], np.uint32)
    np.testing.assert_array_equal(colors >> 8, points['rgb'])
