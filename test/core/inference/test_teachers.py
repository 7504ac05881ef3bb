# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of others on pictures of any size: resizing, tiles, boxes, and what is refused."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

pytest.importorskip('onnx', reason='the tests build their graphs')

from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.teachers import BoxDetector, SemanticTeacher, tile_starts
from teacher_graphs import STEP, write_detector, write_teacher


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep simplified graphs among the files of the test."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache/panoptic_depth/teachers'


def columns(width: int, height: int = 32) -> np.ndarray:
    """Picture of nineteen upright stripes, one of each class."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 2] = STEP * (np.arange(width) * 19 // width)
    return image


def test_tiles_cover_all_and_overlap():
    assert tile_starts(416, 416, 0.4) == [0] and tile_starts(90, 416, 0.4) == [0]
    assert tile_starts(800, 509, 0.25) == [0, 291]
    assert tile_starts(1242, 416, 0.4) == [0, 206, 413, 620, 826]


@pytest.mark.parametrize('width', [19, 64, 76, 190, 380])
def test_a_picture_of_any_width_has_its_classes(tmp_path, width):
    """Also beyond 80 px, where it is seen in tiles."""
    teacher = SemanticTeacher(write_teacher(tmp_path / 'a.onnx', sharpness=8), 19)
    seen = teacher(columns(width))
    assert seen.shape == (32, width, 19) and seen.dtype == np.float32
    np.testing.assert_allclose(seen.sum(-1), 1, atol=1e-5)
    middles = ((np.arange(19) + 0.5) * width / 19).astype(int)
    assert seen[16, middles].argmax(-1).tolist() == list(range(19))


def test_tiles_fade_into_each_other(tmp_path):
    """A stripe has the same probabilities, whatever tiles see it."""
    teacher = SemanticTeacher(write_teacher(tmp_path / 'a.onnx'), 19)
    image = np.full((32, 200, 3), 5 * STEP, np.uint8)
    np.testing.assert_allclose(teacher(image), teacher(image[:, :64])[:, :1].repeat(200, 1),
                               atol=1e-6)


def test_a_graph_is_simplified_once_and_may_be_compressed(tmp_path, cache):
    plain = write_teacher(tmp_path / 'a.onnx')
    (tmp_path / 'a.onnx.gz').write_bytes(gzip.compress(plain.read_bytes()))
    seen = [SemanticTeacher(tmp_path / name, 19)(columns(64)) for name in ('a.onnx', 'a.onnx.gz')]
    np.testing.assert_array_equal(*seen)
    kept, = cache.iterdir()
    kept.write_bytes(b'')
    with pytest.raises(BackendError, match=f'cannot load it: .*; remove {kept}'):
        SemanticTeacher(plain, 19)


@pytest.mark.parametrize('damage', [
    lambda data: data[:-20], lambda data: data[:60] + bytes(30) + data[90:],
    lambda data: gzip.decompress(data)])
def test_damaged_archives(tmp_path, damage):
    plain = write_teacher(tmp_path / 'a.onnx')
    packed = tmp_path / 'a.onnx.gz'
    packed.write_bytes(damage(gzip.compress(plain.read_bytes())))
    with pytest.raises(ConfigError, match='is damaged or is not a graph .*copy the file again'):
        SemanticTeacher(packed, 19)


@pytest.mark.parametrize(('make', 'message'), [
    (lambda path: SemanticTeacher(path, 19), 'none.onnx: cannot be read'),
    (lambda path: SemanticTeacher(write_teacher(path, classes=20), 19), 'a network of 19 classes'),
    (lambda path: SemanticTeacher(write_teacher(path, output='scores'), 19),
     "has no output 'probs', but scores"),
    (lambda path: BoxDetector(write_teacher(path)), 'give a YOLOX'),
    (lambda path: BoxDetector(write_detector(path, classes=20)), 'give a YOLOX'),
    (lambda path: path.write_bytes(b'text') and SemanticTeacher(path, 19), 'cannot load it'),
])
def test_graphs_that_are_none(tmp_path, make, message):
    with pytest.raises((ConfigError, BackendError), match=message):
        make(tmp_path / 'none.onnx')


def test_boxes_of_a_picture_that_fits(tmp_path):
    image = np.zeros((32, 32, 3), np.uint8)
    image[8:16, 24:, 0], image[24:, :8, 0] = 255, 120
    found = BoxDetector(write_detector(tmp_path / 'a.onnx', coco_class=7))(image)
    np.testing.assert_allclose(found, [[24, 8, 32, 16, 1, 7], [0, 24, 8, 32, 120 / 255, 7]],
                               atol=1e-5)


def test_a_box_on_the_edge_of_a_tile_is_that_of_another_tile(tmp_path):
    image = np.zeros((32, 64, 3), np.uint8)
    image[8:16, 24:32, 0] = 255
    found = BoxDetector(write_detector(tmp_path / 'a.onnx'))(image)
    # The gray beyond the picture is half red too.
    np.testing.assert_allclose(found[found[:, 4] > 0.5], [[24, 8, 32, 16, 1, 2]], atol=1e-5)


def test_a_large_thing_is_found_in_the_whole_picture(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:32, 16:32, 0] = 255
    found = BoxDetector(write_detector(tmp_path / 'a.onnx'))(image)
    assert [16, 16, 32, 32] in found[:, :4].tolist()


def test_a_small_picture_is_enlarged(tmp_path):
    image = np.zeros((16, 16, 3), np.uint8)
    image[4:8, 8:12, 0] = 255
    found = BoxDetector(write_detector(tmp_path / 'a.onnx'))(image)
    np.testing.assert_allclose(found[np.argmax(found[:, 4]), :4], [8, 4, 12, 8], atol=1e-5)


@pytest.mark.parametrize('size', [(1, 1), (1, 3000), (3000, 1), (3, 999)])
def test_pictures_of_any_shape_have_boxes(tmp_path, size):
    found = BoxDetector(write_detector(tmp_path / 'a.onnx'))(np.zeros((*size, 3), np.uint8))
    assert found.shape[1] == 6


def test_classes_that_are_not_on_a_street_are_none(tmp_path):
    image = np.full((32, 32, 3), 255, np.uint8)
    assert BoxDetector(write_detector(tmp_path / 'a.onnx', coco_class=16))(image).shape == (0, 6)
