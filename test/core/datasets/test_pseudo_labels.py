# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What becomes a pseudo-label, and the command that makes them."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from dataset_trees import write_kitti_half, write_png
from panoptic_depth_core.cli import main
from panoptic_depth_core.datasets.overlay import FILE_NAME, read_pseudo_labels
from panoptic_depth_core.datasets.pseudo_labels import (
    FOUND_CLASSES,
    Labeler,
    Rules,
    agreement,
    panoptic_labels,
    semantic_labels,
)
from panoptic_depth_core.labels import CLASS_ID, THING_CLASSES, VOID_CLASS, VOID_ID
from panoptic_depth_core.structures import Frame, Intrinsics, PanopticDepth
from teacher_graphs import STEP, write_detector, write_teacher

ROAD, SIDEWALK, WALL, BUILDING, SKY, PERSON, RIDER, CAR, TRUCK, BICYCLE = (
    CLASS_ID[name] for name in ('road', 'sidewalk', 'wall', 'building', 'sky', 'person', 'rider',
                                'car', 'truck', 'bicycle'))
RULES = Rules()


def anything(height: int, width: int):
    return np.zeros((height, width), np.uint8), np.ones((1, 19), np.bool_)


def row(*probabilities: dict[int, float]) -> np.ndarray:
    """(1, W, 19) of what is given of each pixel; the rest is that of bus."""
    found = np.zeros((1, len(probabilities), 19), np.float32)
    for x, given in enumerate(probabilities):
        found[0, x, CLASS_ID['bus']] = 1 - sum(given.values())
        for class_id, share in given.items():
            found[0, x, class_id] = share
    return found


def test_what_is_not_sure_is_not_said():
    said = semantic_labels(row({SKY: 0.71}, {SKY: 0.69}, {ROAD: 0.9}), anything(1, 3), RULES)
    assert said.tolist() == [[SKY, VOID_CLASS, ROAD]] and said.dtype == np.uint8


def test_a_class_that_the_teachers_do_not_know_is_never_said():
    said = semantic_labels(row({WALL: 0.9}, {SKY: 0.9}), anything(1, 2), Rules(never=('wall',)))
    assert said.tolist() == [[VOID_CLASS, SKY]]


def test_only_possible_classes_share_the_probability():
    walls = np.zeros((2, 19), np.bool_)
    walls[0, [WALL, BUILDING]] = True
    said = semantic_labels(row({SKY: 0.7, WALL: 0.03, BUILDING: 0.27}, {WALL: 0.4, BUILDING: 0.4},
                               {SKY: 0.8, BUILDING: 0.2}, {SKY: 0.8}),
                           (np.array([[0, 0, 0, 1]], np.uint8), walls), RULES)
    assert said.tolist() == [[BUILDING, VOID_CLASS, VOID_CLASS, VOID_CLASS]]


def test_of_the_ground_the_model_has_to_agree():
    probabilities = row({ROAD: 0.5}, {ROAD: 0.99}, {ROAD: 0.99}, {SKY: 0.8}, {SKY: 0.95},
                        {SKY: 0.8})
    own = np.array([[ROAD, SIDEWALK, VOID_CLASS, ROAD, ROAD, VOID_CLASS]], np.uint8)
    said = semantic_labels(probabilities, anything(1, 6), RULES, own)
    assert said.tolist() == [[ROAD, VOID_CLASS, VOID_CLASS, VOID_CLASS, SKY, SKY]]
    other = semantic_labels(probabilities, anything(1, 6), Rules(model_classes=('sky',)), own)
    assert other.tolist() == [[VOID_CLASS, ROAD, ROAD, VOID_CLASS, VOID_CLASS, VOID_CLASS]]


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 6)


def cut(labels: np.ndarray, *rows: tuple[float, ...], possible=None) -> np.ndarray:
    return panoptic_labels(labels, possible or anything(*labels.shape), RULES, boxes(*rows))


def test_things_are_cut_out_by_boxes_the_nearest_first():
    labels = np.full((20, 20), SKY, np.uint8)
    labels[4:18, 2:18] = CAR
    ids = cut(labels, (2, 4, 12, 12, 0.9, 2), (8, 6, 18, 18, 0.6, 2), (2, 4, 8, 18, 0.4, 2))
    assert set(np.unique(ids)) == {1000 * SKY, 1000 * CAR, 1000 * CAR + 1, 1000 * CAR + 2}
    assert (ids[6:18, 8:18] == 1000 * CAR + 1).all(), 'the lower one is nearer'
    assert (ids[4:12, 2:8] == 1000 * CAR + 2).all()
    assert (ids[12:18, 2:8] == 1000 * CAR).all(), 'the box is not sure: a crowd'


def test_the_pixels_decide_what_kind_of_vehicle_is_in_a_box():
    labels = np.full((20, 20), TRUCK, np.uint8)
    labels[:4] = CAR
    labels[10:] = VOID_CLASS
    ids = cut(labels, (0, 0, 20, 20, 0.9, 2))
    assert (ids[:10] == 1000 * TRUCK + 1).all() and (ids[10:] == VOID_ID).all()


def test_a_box_decides_on_what_can_only_be_such_a_thing():
    """Of a vehicle a few pixels look like a car, the rest like nothing; its box is of a bus."""
    bus = CLASS_ID['bus']
    vehicles = np.isin(np.arange(19), (CAR, TRUCK, bus))
    labels = np.full((20, 20), VOID_CLASS, np.uint8)
    labels[:4] = CAR
    groups = np.zeros((20, 20), np.uint8)
    groups[15:] = 1
    possible = groups, np.stack([vehicles, np.ones(19, np.bool_)])
    ids = cut(labels, (0, 0, 20, 20, 0.9, 5), possible=possible)
    assert (ids[:15] == 1000 * bus + 1).all() and (ids[15:] == VOID_ID).all()
    assert (cut(labels, (0, 0, 20, 20, 0.9, 0), possible=possible)[5:] == VOID_ID).all()
    ids = cut(labels, (0, 0, 20, 20, 0.9, 5), (0, 10, 20, 20, 0.9, 2), possible=possible)
    assert (ids[:10] == 1000 * bus + 1).all() and (ids[10:] == VOID_ID).all(), 'in two boxes'


@pytest.mark.parametrize('box', [
    (0, 0, 20, 20, 0.9, 2), (3, 3, 6, 20, 0.9, 0), (-9, -9, -2, -2, 0.9, 0),
    (0, 0, 5, 5, 0.9, 0)])
def test_boxes_without_a_thing_are_none(box):
    labels = np.full((20, 20), SKY, np.uint8)
    labels[:3, :5] = PERSON
    assert cut(labels, box).max() == 1000 * PERSON


@pytest.mark.parametrize(('cycle', 'class_id'), [
    ((4, 8, 18, 20, 0.8, 1), RIDER), ((4, 8, 18, 20, 0.8, 3), RIDER),
    ((4, 8, 18, 16, 0.8, 1), PERSON), ((12, 8, 18, 20, 0.8, 1), PERSON),
    ((4, 8, 18, 20, 0.8, 2), PERSON)])
def test_a_person_over_a_cycle_is_a_rider(cycle, class_id):
    labels = np.full((20, 20), SKY, np.uint8)
    labels[:16, 6:14] = PERSON
    person = (6, 0, 14, 16, 0.9, 0)
    assert cut(labels, person, cycle)[5, 8] == 1000 * class_id + 1
    known = np.arange(19)[None] == PERSON
    ids = cut(labels, person, cycle, possible=(np.zeros((20, 20), np.uint8), known))
    assert ids[5, 8] == 1000 * PERSON + (class_id == PERSON), 'the data set says: a person'


def frame(height: int = 20, width: int = 30) -> Frame:
    return Frame(np.zeros((height, width, 3), np.uint8),
                 Intrinsics.from_focal(50, width, height), name='a')


def test_networks_see_the_part_in_which_something_is_possible():
    seen = []

    def teacher(image):
        seen.append(image.shape)
        return np.tile(np.eye(19, dtype=np.float32)[SKY], (*image.shape[:2], 1))

    def model(given):
        seen.append((given.intrinsics.height, given.intrinsics.cy))
        return PanopticDepth(np.full(given.image.shape[:2], VOID_ID, np.uint16),
                             np.zeros(given.image.shape[:2], np.float32), (), (),
                             given.intrinsics, 1000)

    groups = np.zeros((20, 30), np.uint8)
    groups[15:] = 1
    table = np.repeat([[True], [False]], 19, 1)
    labeler = Labeler([teacher, teacher], RULES, model=model)
    ids = labeler(frame(), (groups, table))
    assert ids.dtype == np.uint16 and (ids[:15] == 1000 * SKY).all() and (
        ids[15:] == VOID_ID).all()
    assert seen == [(15, 30, 3), (15, 30, 3), (15, 9.5)]
    assert (labeler(frame(), (groups * 0 + 1, table)) == VOID_ID).all() and len(seen) == 3


def test_agreement_counts_pixels_whose_class_is_known():
    counts = agreement(np.array([[VOID_ID, 0, 13001, 13000]]),
                       np.array([[0, VOID_ID, 13002, 10000]]))
    assert counts.shape == (19, 20) and counts.sum() == 3
    assert counts[0, 19] == counts[CAR, CAR] == counts[CAR, SKY] == 1


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a call of the command on pictures of sky over a red car on road."""
    pytest.importorskip('onnx', reason='the tests build their graphs')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :, 2] = STEP * SKY
    picture[8:16, 8:16] = 255, 0, STEP * CAR
    picture[24:, 40:48, 2] = STEP * CAR
    for name in ('a', 'b'):
        write_png(tmp_path / f'pictures/{name}.png', picture)
    teacher = write_teacher(tmp_path / 'teacher.onnx', sharpness=8)
    detector = write_detector(tmp_path / 'detector.onnx')
    return lambda *more, root='pictures', data='images', split='all': main(
        ['pseudo-label', str(tmp_path / root), '-d', data, '--split', split, '-o',
         str(tmp_path / 'said'), '-t', str(teacher), '--detector', str(detector), *more])


def test_the_command_labels_and_goes_on(command, tmp_path, capsys):
    assert command('--limit', '1', '--license', 'MIT') == 0
    said = tmp_path / 'said/a.png'
    assert not (tmp_path / 'said/b.png').exists() and '--license' not in capsys.readouterr().err
    before = said.stat().st_mtime_ns
    assert command('--license', 'MIT') == 0
    assert '1 frames labeled, 1 were there before; 100 %' in capsys.readouterr().out
    assert said.stat().st_mtime_ns == before
    ids = cv2.imread(str(tmp_path / 'said/b.png'), cv2.IMREAD_UNCHANGED)
    assert ids.dtype == np.uint16
    assert [ids[y, x] for y, x in ((0, 0), (12, 12), (28, 44), (20, 5))] == [
        1000 * SKY, 1000 * CAR + 1, 1000 * CAR, 0]
    made = read_pseudo_labels(tmp_path / 'said')
    assert made.instance_classes == FOUND_CLASSES == THING_CLASSES
    assert made.licenses == ('MIT',) and made.made_by['rules']['least'] == 0.7
    assert len(made.made_by['teachers'][0]['sha256']) == 64


def test_the_command_with_a_model_that_sees_no_ground(command, tmp_path, painted_model, capsys):
    """To the painted model, red is the row of its table: 0 is road, 1 sky."""
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 32:, 0] = 1
    for name in ('a', 'b'):
        write_png(tmp_path / f'pictures/{name}.png', picture)
    assert command('-m', str(painted_model.path), '--backend', 'onnxruntime') == 0
    ids = cv2.imread(str(tmp_path / 'said/a.png'), cv2.IMREAD_UNCHANGED)
    assert (ids[:, :30] == 0).all() and (ids[:, 34:] == VOID_ID).all()
    made = json.loads((tmp_path / 'said' / FILE_NAME).read_text())['made_by']
    assert made['model']['model_id'] == 'painted'
    assert 'give --license' in ' '.join(capsys.readouterr().err.split())


def test_the_command_compares_with_labels(command, tmp_path, capsys):
    """Of frame 1, half is road, the rest car and void; every pixel is said to be road."""
    (tmp_path / 'half').mkdir()
    write_kitti_half(tmp_path / 'half')
    for name in ('000001', '000002'):
        write_png(tmp_path / f'half/kitti15/image/{name}.jpg', np.zeros((8, 16, 3), np.uint8))
    assert command('--check', root='half', data='kitti_half', split='train') == 0
    table = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()
             if '.' in line and len(line.split()) == 5}
    assert table['road'] == ['53.3', '100.0', '100.0', '53.3']
    assert table['car'] == ['46.7', '100.0', '0.0', '?']
    assert table['all'] == ['100.0', '100.0', '53.3', '53.3']


@pytest.mark.parametrize(('more', 'message'), [
    (['--least', '0.5'], '"least": 0.7'),
    (['--check'], '--check: data set images has no classes to compare with; leave it out'),
    (['--model-classes', 'road,snow'], "there is no class 'snow'; known: road"),
    (['--least', '7'], 'least'), (['--never', 'snow'], "no class 'snow'"),
    (['-m', 'nowhere'], 'nowhere'),
    (['--model-classes', 'road'], '--model-classes says nothing without --model; give both'),
])
def test_what_the_command_refuses(command, tmp_path, capsys, more, message):
    assert command() == 0
    capsys.readouterr()
    assert command(*more) == 2
    assert message in ' '.join(capsys.readouterr().err.split())


def test_a_folder_is_of_one_data_set(command, tmp_path, capsys):
    """Frames of the same names would silently get the labels of the others."""
    assert command() == 0
    assert command(split='without_bottom_15') == 2
    assert 'labels made with dataset = "images:' in ' '.join(capsys.readouterr().err.split())


def test_a_folder_of_other_pictures_is_left_alone(command, tmp_path, capsys):
    write_png(tmp_path / 'said/mine.png', np.zeros((2, 2), np.uint8))
    assert command() == 2
    assert 'holds pictures, but no pseudo_labels.json' in ' '.join(capsys.readouterr().err.split())
