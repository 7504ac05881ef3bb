# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of anyone's labeled pictures, against the format and against what we write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from dataset_trees import FARM, FARM_CAMERA, SIZE, write_coco_panoptic, write_png
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.class_tables import distinct_color, same_classes
from panoptic_depth_core.datasets import NamedClasses, coco_panoptic, open_dataset
from panoptic_depth_core.datasets.coco_panoptic import CocoPanoptic
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.results.result_folder import PanopticSink
from panoptic_depth_core.labels import CITYSCAPES, LABEL_DIVISOR, SKY, VOID_ID, ClassInfo, class_of
from panoptic_depth_core.structures import Frame, Intrinsics, PanopticDepth, Segment

COW, TRACTOR, DOG = 3, 4, 5


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_coco_panoptic(tmp_path)
    return tmp_path


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(coco_panoptic, 'warn_once', lambda _, text: texts.append(text))
    return texts


def change(root: Path, edit, split: str = 'val') -> None:
    path = root / f'panoptic_{split}.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_all_of_it_is_read(tmp_path, warned):
    written = write_coco_panoptic(tmp_path)
    data = CocoPanoptic(tmp_path)
    assert data.classes == FARM and len(data) == len(written) and not warned
    for index, (name, true) in enumerate(written.items()):
        sample = data[index]
        assert sample.frame.name == name and sample.frame.intrinsics_source == 'data set'
        assert sample.frame.intrinsics == Intrinsics(**FARM_CAMERA, width=SIZE[1], height=SIZE[0])
        np.testing.assert_array_equal(sample.frame.image, true.image)
        np.testing.assert_array_equal(sample.truth.panoptic, true.panoptic)
        np.testing.assert_allclose(sample.truth.depth, true.depth, 1e-6)
        assert sample.truth.has_semantics and sample.truth.instance_classes == (COW, TRACTOR, DOG)
        # A crowd of tractors, two dogs and a cow.
        assert set(sample.truth.instance_depth_m) == {COW * 1000 + 1, DOG * 1000 + 1, 5002}
        assert TRACTOR * LABEL_DIVISOR in sample.truth.panoptic


def test_colours_may_be_left_out(root):
    change(root, lambda c: c['categories'][-1].pop('color'))
    assert CocoPanoptic(root).classes[0].color == distinct_color(0)


def test_labels_take_the_classes_of_a_table_by_name(root, warned):
    data = CocoPanoptic(root)
    own = data[0].truth.panoptic
    assert isinstance(data, NamedClasses)
    few = (ClassInfo(0, 'dog', (1, 1, 1), True), ClassInfo(1, 'horse', (2, 2, 2), True),
           ClassInfo(2, 'field', (3, 3, 3), False))
    mapped = open_dataset('coco_panoptic', str(root), 'val', few)
    truth = mapped[0].truth
    assert mapped.classes == few and truth.instance_classes == (0,), 'nobody labelled horses'
    np.testing.assert_array_equal(class_of(truth.panoptic) == 0, class_of(own) == DOG)
    np.testing.assert_array_equal(class_of(truth.panoptic) == 2, class_of(own) == 0)
    assert (truth.panoptic == VOID_ID).sum() == (~np.isin(class_of(own), [0, DOG])).sum()
    assert set(truth.instance_depth_m) == {1, 2}
    assert warned == [f'{root}/panoptic_val.json: void, since they are no classes: sky, hedge, '
                      'cow, tractor']
    np.testing.assert_array_equal(data[0].truth.panoptic, own)


def test_a_table_without_any_of_the_categories_is_refused(root):
    with pytest.raises(ConfigError, match='none of its categories is a class of boat: field, sky'):
        CocoPanoptic(root).as_classes([ClassInfo(0, 'boat', (0, 0, 0), True)])


def test_what_is_a_thing_is_said_by_both(root):
    """Instances are those that the labels tell apart of the things of the table."""
    table = tuple(ClassInfo(i, c.name, c.color, c.name in ('field', 'cow'))
                  for i, c in enumerate(FARM))
    truth = CocoPanoptic(root).as_classes(table)[0].truth
    assert truth.instance_classes == (COW,)
    assert DOG * LABEL_DIVISOR in truth.panoptic and 5001 not in truth.panoptic


def test_labels_of_semantics_alone(root):
    def flatten(content):
        for category in content['categories']:
            category['isthing'] = 0
    change(root, flatten)
    truth = CocoPanoptic(root)[0].truth
    assert truth.has_semantics and truth.instance_classes == () and not truth.instance_depth_m


def test_more_categories_than_ids_have_room_for(root):
    """COCO has 133; what is asked for by a table can be read all the same."""
    change(root, lambda c: c['categories'].extend(
        {'id': 1000 + i, 'name': f'more {i}', 'isthing': 0} for i in range(60)))
    data = CocoPanoptic(root)
    with pytest.raises(ConfigError, match=r'panoptic_val.json: categories: .*66 classes; give 1'):
        _ = data.classes
    assert data.as_classes(FARM)[0].truth.panoptic.max() == VOID_ID


def test_depth_as_arrays(root):
    shutil.rmtree(root / 'depth')
    (root / 'dataset.yaml').unlink()
    assert CocoPanoptic(root)[0].truth.depth is None
    depth = np.full(SIZE, 5.0)
    depth[0, :5] = np.nan, 0, -1, np.inf, 0.5
    (root / 'depth/val').mkdir(parents=True)
    np.save(root / 'depth/val/val_001.npy', depth)
    data = CocoPanoptic(root)
    assert data[0].truth.depth is None
    np.testing.assert_array_equal(data[1].truth.depth[0, :6], np.array(
        [np.nan, np.nan, np.nan, np.inf, 0.5, 5.0], np.float32))
    np.save(root / 'depth/val/val_001.npy', np.ones(SIZE, int))
    with pytest.raises(ConfigError, match='val_001.npy: holds int64; give meters as floats'):
        data[1]
    np.save(root / 'depth/val/val_001.npy', depth[:4])
    with pytest.raises(ConfigError, match='val_001.npy: 48x4 px, but its picture has 48x24'):
        data[1]
    for shape in (depth.size, (*SIZE, 1)):
        np.save(root / 'depth/val/val_001.npy', depth.reshape(shape))
        with pytest.raises(ConfigError, match=r'val_001.npy: has the shape .*; give \(H, W\)'):
            data[1]
    (root / 'depth/val/val_001.npy').write_bytes(b'')
    with pytest.raises(ConfigError, match='val_001.npy: no array of numbers'):
        data[1]


def test_the_scale_of_depth_is_never_guessed(root):
    (root / 'dataset.yaml').write_text('depth_scale: 1000')
    assert np.nanmax(CocoPanoptic(root)[0].truth.depth) < 65.536
    for text, message in (('', 'scale of its PNGs is not stated; write depth_scale: VALUES_PER_M'),
                          ('depth_scale: 0', 'depth_scale is 0: .*greater than 0'),
                          ('scale: 256', "unknown key 'scale'; known keys: depth_scale")):
        (root / 'dataset.yaml').write_text(text)
        with pytest.raises(ConfigError, match=message):
            CocoPanoptic(root)


def test_cameras_of_the_root_of_a_split_and_of_a_picture(root, warned):
    whole = json.loads((root / 'camera.json').read_text())
    (root / 'images/val/camera.json').write_text(json.dumps({**whole, 'fx': 50.0}))
    (root / 'camera/val').mkdir(parents=True)
    (root / 'camera/val/val_002.json').write_text(json.dumps(
        {key: 2 * value for key, value in whole.items()}))
    data = CocoPanoptic(root)
    assert [data[i].frame.intrinsics.fx for i in range(3)] == [50.0, 50.0, 40.0]
    (root / 'images/val/camera.json').unlink()
    assert CocoPanoptic(root)[0].frame.intrinsics.fx == 40.0
    assert not warned
    (root / 'camera.json').unlink()
    shutil.rmtree(root / 'camera')
    frame = CocoPanoptic(root)[0].frame
    assert frame.intrinsics_source == 'default'
    assert frame.intrinsics == Intrinsics.from_fov(70.0, SIZE[1], SIZE[0])
    assert 'no camera.json in' in warned[0] and '70 degrees is assumed' in warned[0]


def test_the_layout_of_coco(root):
    (root / 'annotations').mkdir()
    for name in ('panoptic_val.json', 'panoptic_val'):
        (root / name).rename(root / 'annotations' / name)
    (root / 'images/val').rename(root / 'val')
    (root / 'images').rmdir()
    assert len(CocoPanoptic(root)) == 3 and CocoPanoptic(root)[0].truth.has_semantics


def test_pictures_with_depth_alone(root):
    change(root, lambda c: c['annotations'].pop(1))
    truth = CocoPanoptic(root)[1].truth
    assert truth.panoptic is None and not truth.has_semantics and np.isfinite(truth.depth).any()
    (root / 'depth/val/val_001.png').unlink()
    assert [CocoPanoptic(root)[i].frame.name for i in range(2)] == ['val_000', 'val_002']


def test_a_set_of_depth_alone(root):
    change(root, lambda c: (c['annotations'].clear(), c['categories'].clear()))
    data = CocoPanoptic(root)
    assert data.classes == () and len(data) == 3
    assert data.as_classes(FARM).classes == FARM, 'it can be a part of any mix'
    assert data[0].truth.depth is not None and data[0].truth.panoptic is None


def test_pictures_in_folders(root):
    for kind, suffix in (('images', 'png'), ('depth', 'png')):
        (root / kind / 'val/a').mkdir()
        (root / kind / f'val/val_000.{suffix}').rename(root / kind / f'val/a/b.{suffix}')
    change(root, lambda c: c['images'][0].update(file_name='a/b.jpg'))
    sample = CocoPanoptic(root)[0]
    assert sample.frame.name == 'a_b' and sample.truth.depth is not None


@pytest.mark.parametrize(('edit', 'message'), [
    (lambda c: c.pop('annotations'), 'not in COCO panoptic format: annotations: Field required; '),
    (lambda c: c['annotations'][0]['segments_info'][0].update(id=0),
     r'annotations.0.segments_info.0.id: Input should be greater than 0; see the doc'),
    (lambda c: c['annotations'][0].update(image_id=7), 'annotates image 7, which is not among'),
    (lambda c: c['images'].clear(), 'annotates image 0, which is not among its images'),
    (lambda c: (c['annotations'].clear(), c['images'].clear()), 'no picture in it has an ann'),
    (lambda c: c['images'][1].update(file_name='val_000.png'), 'two pictures are called val_000'),
    (lambda c: c['categories'][0].update(id=3), 'two categories have one id; give each its own'),
    (lambda c: c['categories'][0].update(name='sky'), "'sky' is there 2 times; give every class"),
    (lambda c: c['annotations'][0]['segments_info'].pop(), r'val_000.png: holds the label \d+'),
    (lambda c: c['annotations'][0]['segments_info'][0].update(category_id=9),
     'a segment of image 0 has the category_id 9, which is not among its categories; add the'),
    (lambda c: c['annotations'].append(c['annotations'][1]), 'annotates image 1 more than once'),
    (lambda c: c['annotations'][0]['segments_info'].append(
        {**c['annotations'][0]['segments_info'][0], 'category_id': 3}),
     r'val_000.png: two of its segments in the JSON have the id \d+; give each its own'),
    (lambda c: c['images'][0].update(file_name='lost.jpg'), 'images/val/lost.jpg: missing'),
    (lambda c: c['annotations'][0].update(file_name='lost.png'), 'lost.png: cannot be read'),
])
def test_wrong_annotations(root, edit, message):
    change(root, edit)
    with pytest.raises(ConfigError, match=message):
        CocoPanoptic(root)[0]


def test_wrong_folders(root):
    with pytest.raises(ConfigError, match='is not a folder; give as root the folder that holds'):
        CocoPanoptic(root / 'lost')
    with pytest.raises(ConfigError, match='no panoptic_train.json in .*; there are panoptic_val'):
        CocoPanoptic(root, 'train')
    write_png(root / 'panoptic_val/val_000.png', np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ConfigError, match='val_000.png: 4x4 px, but its picture has 48x24'):
        CocoPanoptic(root)[0]
    shutil.rmtree(root / 'images')
    with pytest.raises(ConfigError, match='no folder .*images/val; put the pictures there'):
        CocoPanoptic(root)


ids = st.tuples(st.integers(0, len(CITYSCAPES) - 1), st.integers(0, 9)).map(
    lambda row: row[0] * LABEL_DIVISOR + row[1] * CITYSCAPES[row[0]].is_thing)


@settings(max_examples=40)
@given(st.lists(st.one_of(ids, st.just(VOID_ID)), min_size=12, max_size=12))
def test_what_predict_writes_can_be_read(values):
    """Instances keep their order within a class; their numbers have no gaps."""
    result = np.array(values, np.uint16).reshape(3, 4)
    segments = tuple(Segment(i, i // 1000, i % 1000, CITYSCAPES[i // 1000].is_thing, 1.0, 1)
                     for i in np.unique(result).tolist() if i != VOID_ID)
    camera = Intrinsics.from_focal(4.0, 4, 3)
    frame = Frame(np.zeros((3, 4, 3), np.uint8), camera, name='a')
    with TemporaryDirectory() as folder:
        sink = PanopticSink(Path(folder) / 'val', CITYSCAPES)
        sink.write(frame, PanopticDepth(result, np.ones((3, 4), np.float32), segments, (), camera,
                                        LABEL_DIVISOR))
        sink.close()
        write_png(Path(folder) / 'images/val/a.jpg', frame.image)
        data = CocoPanoptic(folder)
        read = data[0].truth.panoptic
    assert same_classes(data.classes, CITYSCAPES) and data.classes[SKY].color == (70, 130, 180)
    np.testing.assert_array_equal(class_of(read), class_of(result))
    np.testing.assert_array_equal(read % 1000 == 0, result % 1000 == 0)
    pairs = set(zip(read.ravel().tolist(), result.ravel().tolist(), strict=True))
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)
    assert [one for one, _ in sorted(pairs)] == [
        one for one, _ in sorted(pairs, key=lambda pair: pair[1])]
