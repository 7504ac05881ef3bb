# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results in a folder: every format read back, resumed, and on a disk that fills up."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from io_scenes import CAR_ID, PERSON_ID, make_frame, make_result
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.results import coco_panoptic, result_folder
from panoptic_depth_core.io.results.result_folder import (
    FORMATS,
    ResultOptions,
    ResultWriter,
    depth_to_png16,
)
from panoptic_depth_core.io.visualization import encode_png
from panoptic_depth_core.labels import CITYSCAPES, VOID_ID

HAS_RERUN = importlib.util.find_spec('rerun') is not None
ALL = tuple(name for name in FORMATS if name != 'rrd' or HAS_RERUN)


def _run(out: Path, indices: range, formats: tuple[str, ...] = ALL) -> list[str]:
    """Write what is not done yet; return the names that were."""
    written = []
    with ResultWriter(out, formats) as writer:
        for index in indices:
            frame = make_frame(index)
            if not writer.done(frame.name):
                writer.write(frame, make_result(frame))
                written.append(frame.name)
    return written


@pytest.mark.parametrize('name', ['-rf', 'two\nlines', 'no\udcfftext', 'ü' * 125, 'a b;$x'])
def test_names_of_any_letters(name: str, tmp_path: Path) -> None:
    frame = replace(make_frame(0), name=name)
    for _ in range(2):
        with ResultWriter(tmp_path, ALL) as writer:
            assert not writer.refuses(name)
            if not writer.done(name):
                writer.write(frame, replace(make_result(frame), name=name))
    with ResultWriter(tmp_path, ALL) as writer:
        assert writer.done(name)
    assert [path.name for path in (tmp_path / 'depth').iterdir()] == [f'{name}.png']


@pytest.mark.parametrize('name', ['', 'a/b', '.hidden', '..', 'nul\0', 'x' * 252, 'é' * 126])
def test_names_that_can_name_no_file(name: str, tmp_path: Path) -> None:
    frame = replace(make_frame(0), name=name)
    with ResultWriter(tmp_path, ['depth']) as writer:
        assert writer.refuses(name)
        with pytest.raises(ConfigError, match=r'^frame .*(cannot name files|too long)'):
            writer.write(frame, make_result(frame))
    assert not list((tmp_path / 'depth').iterdir())


@pytest.mark.parametrize('folds', [False, True])
def test_names_that_differ_in_case_alone(folds: bool, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that takes them for one, the second would look done."""
    monkeypatch.setattr(result_folder, '_folds_case', lambda folder: folds)
    with ResultWriter(tmp_path, ['depth']) as writer:
        assert not writer.refuses('Frame') and not writer.refuses('Frame')
        assert ('takes the name for that of another' in writer.refuses('frame')) == folds


def test_every_format(tmp_path: Path) -> None:
    _run(tmp_path, range(2))
    result = make_result(make_frame(1))
    assert {path.name for path in tmp_path.iterdir()} == {
        'panoptic', 'panoptic.json', 'panoptic_segments.jsonl', 'depth', 'depth_npy',
        'instances.jsonl', 'overlay', 'overlay.mp4', 'bag', 'foxglove',
        *(['rerun'] if HAS_RERUN else [])}

    depth = cv2.imread(str(tmp_path / 'depth' / '000001.png'), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    assert (depth[0, 0], depth[20, 20], depth[9, 5], depth[7, 21]) == (0, 5120, 12.25 * 256, 0)
    np.testing.assert_array_equal(np.load(tmp_path / 'depth_npy' / '000001.npy'), result.depth)
    assert cv2.imread(str(tmp_path / 'overlay' / '000001.png')).shape == (24, 40, 3)
    video = cv2.VideoCapture(str(tmp_path / 'overlay.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 2
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)

    lines = [json.loads(line) for line in (tmp_path / 'instances.jsonl').open()]
    assert [line['name'] for line in lines] == ['000000', '000001']
    car, person = lines[1]['instances']
    assert (car['class_name'], car['distance'], car['roi']) == ('car', 12.5, [4, 8, 10, 8])
    assert car['flags'] == [] and len(car['position_covariance']) == 9
    assert person['distance'] is None and person['position'] == [None, None, None]
    assert person['flags'] == ['low_depth_support']
    assert lines[1]['intrinsics'] == {'fx': 50.0, 'fy': 51.0, 'cx': 19.0, 'cy': 11.0,
                                      'source': 'camera_info'}


def test_coco_panoptic(tmp_path: Path) -> None:
    _run(tmp_path, range(3), ('panoptic',))
    content = json.loads((tmp_path / 'panoptic.json').read_text())
    assert [c['name'] for c in content['categories']] == [info.name for info in CITYSCAPES]
    assert {c['isthing'] for c in content['categories'] if c['name'] == 'car'} == {1}
    assert [image['id'] for image in content['images']] == ['000000', '000001', '000002']
    for annotation in content['annotations']:
        # As COCO's own tools read it: R + 256 G + 65536 B.
        bgr = cv2.imread(str(tmp_path / 'panoptic' / annotation['file_name'])).astype(int)
        ids = bgr[..., 2] + 256 * bgr[..., 1] + 65536 * bgr[..., 0]
        segments = {s['id']: s for s in annotation['segments_info']}
        assert set(np.unique(ids)) == {0, *segments}
        for number, segment in segments.items():
            rows, columns = np.nonzero(ids == number)
            assert segment['area'] == rows.size
            assert segment['bbox'] == [columns.min(), rows.min(), np.ptp(columns) + 1,
                                       np.ptp(rows) + 1]
        assert {s['category_id'] for s in segments.values()} == {0, 11, 13}
        assert segments[CAR_ID + 1]['score'] == 0.75 and PERSON_ID + 1 in segments
    ids = coco_panoptic.decode_ids(tmp_path / 'panoptic' / '000001.png')
    np.testing.assert_array_equal(ids, make_result(make_frame(1)).panoptic)


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)))
def test_ids_round_trip(tmp_path_factory: pytest.TempPathFactory, ids: np.ndarray) -> None:
    path = tmp_path_factory.getbasetemp() / 'ids.png'
    path.write_bytes(coco_panoptic.encode_ids(ids))
    np.testing.assert_array_equal(coco_panoptic.decode_ids(path), ids)


def test_a_foreign_or_broken_id_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'ids.png'
    path.write_bytes(encode_png(np.full((2, 2, 3), 9, np.uint8)))
    with pytest.raises(ConfigError, match=rf'ids\.png: holds ids beyond {VOID_ID}'):
        coco_panoptic.decode_ids(path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ConfigError, match='no picture'):
        coco_panoptic.decode_ids(path)


def test_depth_in_16_bits() -> None:
    depth = np.array([[1.0, 255.9, 300.0, 0.0001, np.nan, np.inf, -np.inf, 1.0 / 512]], np.float32)
    assert depth_to_png16(depth).tolist() == [[256, 65510, 65535, 1, 0, 0, 0, 1]]


def test_a_second_run_goes_on(tmp_path: Path) -> None:
    assert _run(tmp_path, range(2)) == ['000000', '000001']
    assert _run(tmp_path, range(4)) == ['000002', '000003']
    assert _run(tmp_path, range(4)) == []
    content = json.loads((tmp_path / 'panoptic.json').read_text())
    assert len(content['images']) == len(content['annotations']) == 4
    assert len((tmp_path / 'instances.jsonl').read_text().splitlines()) == 4
    video = cv2.VideoCapture(str(tmp_path / 'overlay.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4


def test_a_frame_that_is_half_written_is_completed_without_doubles(tmp_path: Path) -> None:
    _run(tmp_path, range(3))
    (tmp_path / 'depth' / '000001.png').unlink()
    (tmp_path / 'panoptic' / '000002.png').unlink()
    text = (tmp_path / 'instances.jsonl').read_text()
    (tmp_path / 'instances.jsonl').write_text(text[:-10])
    assert _run(tmp_path, range(3)) == ['000001', '000002']
    assert (tmp_path / 'instances.jsonl').read_text() == text
    assert (tmp_path / 'depth' / '000001.png').is_file()
    content = json.loads((tmp_path / 'panoptic.json').read_text())
    assert [image['id'] for image in content['images']] == ['000000', '000001', '000002']


def test_another_format_can_be_added_later(tmp_path: Path) -> None:
    _run(tmp_path, range(2), ('instances',))
    assert _run(tmp_path, range(2), ('instances', 'depth')) == ['000000', '000001']
    assert len((tmp_path / 'instances.jsonl').read_text().splitlines()) == 2


def test_an_interrupted_run_leaves_complete_files(tmp_path: Path) -> None:
    def run() -> None:
        with ResultWriter(tmp_path, ALL) as writer:
            writer.write(make_frame(0), make_result(make_frame(0)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(json.loads((tmp_path / 'panoptic.json').read_text())['images']) == 1
    assert (tmp_path / 'overlay.mp4').is_file() and (tmp_path / 'bag' / 'metadata.yaml').is_file()


# Of lines that are appended, test_atomic tries the same.
@pytest.mark.parametrize('kind', [kind for kind in ALL if kind != 'instances'])
def test_a_full_disk_loses_nothing(kind: str, tmp_path: Path,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    formats = (kind,)
    _run(tmp_path, range(2), formats)
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', full)
        with (pytest.raises(ConfigError, match='cannot be written: No space left.*goes on from'),
              ResultWriter(tmp_path, formats) as writer):
            writer.write(make_frame(2), make_result(make_frame(2)))
    after = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    assert after == before
    assert _run(tmp_path, range(3), formats) == ['000002']


def test_wrong_targets_and_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='file: cannot be written.*in the place of a folder'):
        ResultWriter(tmp_path / 'file')
    with pytest.raises(ConfigError, match='formats: bmp; known are panoptic, depth'):
        ResultWriter(tmp_path, ('depth', 'bmp'))
    with pytest.raises(ConfigError, match='formats: none given'):
        ResultWriter(tmp_path, ())
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'depth').write_text('')
    with pytest.raises(ConfigError, match='depth: cannot be written'):
        ResultWriter(tmp_path / 'out', ('instances', 'depth'))


@pytest.mark.parametrize('name', ['', '../up', '.hidden'])
def test_names_that_cannot_be_files_are_refused(name: str, tmp_path: Path) -> None:
    frame = replace(make_frame(0), name=name)
    with ResultWriter(tmp_path, ('depth',)) as writer, \
            pytest.raises(ConfigError, match='cannot name files'):
        writer.write(frame, make_result(frame))


def test_options_reach_the_bag(tmp_path: Path) -> None:
    options = ResultOptions(image_topic='/front/image/compressed')
    with ResultWriter(tmp_path, ('bag',), options) as writer:
        writer.write(make_frame(0), make_result(make_frame(0)))
    text = (tmp_path / 'bag' / 'metadata.yaml').read_text()
    assert 'name: /front/image\n' in text and 'name: /front/camera_info\n' in text


def test_overlay_of_a_result_at_the_size_of_the_network(tmp_path: Path) -> None:
    """Half the size; the picture is brought to it."""
    frame = make_frame()
    small = frame.intrinsics.transformed(0.5, 0.5, 0, 0, 20, 12)
    full = make_result(frame)
    result = replace(full, panoptic=full.panoptic[::2, ::2], depth=full.depth[::2, ::2],
                     intrinsics=small)
    with ResultWriter(tmp_path, ['overlay', 'bag']) as writer:
        writer.write(frame, result)
    assert cv2.imread(str(tmp_path / 'overlay' / '000000.png')).shape == (12, 20, 3)


def test_the_video_is_in_natural_order(tmp_path: Path) -> None:
    names = [f'frame_{number}' for number in (9, 10, 11, 100)]
    with ResultWriter(tmp_path, ('video',)) as writer:
        for shade, name in zip((40, 100, 160, 220), names, strict=True):
            frame = replace(make_frame(0), name=name, image=np.full((24, 40, 3), shade, np.uint8))
            nothing = replace(make_result(frame), panoptic=np.full((24, 40), VOID_ID, np.uint16),
                              segments=(), distances=())
            writer.write(frame, nothing)
    video, shown = cv2.VideoCapture(str(tmp_path / 'overlay.mp4')), []
    while (found := video.read())[0]:
        shown.append(float(found[1].mean()))
    assert len(shown) == 4 and shown == sorted(shown)
