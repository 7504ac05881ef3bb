# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""CamVid, pictures without labels, and pseudo-labels over them and over other data sets."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import CAMVID_LABELS, write_camvid, write_kitti_half, write_pictures, write_png
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.datasets.kitti import KittiHalf
from panoptic_depth_core.datasets.overlay import FILE_NAME, Overlaid, PseudoLabels, overlaid
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, THING_CLASSES, VOID_ID
from panoptic_depth_core.structures import GroundTruth

ROAD, SKY, CAR, TRUCK, PERSON, BICYCLE, WALL, BUILDING = (CLASS_ID[name] for name in (
    'road', 'sky', 'car', 'truck', 'person', 'bicycle', 'wall', 'building'))
ANY = np.zeros((1, 6), np.uint8), np.ones((1, 19), np.bool_)


def write_pseudo_labels(folder, frames, **made):
    """Write ids by name of frame."""
    for name, ids in frames.items():
        write_png(folder / f'{name}.png', np.asarray(ids, np.uint16))
    (folder / FILE_NAME).write_text(PseudoLabels(**made).model_dump_json())


def test_camvid_knows_what_was_not_merged(tmp_path):
    write_camvid(tmp_path)
    sample = open_dataset('camvid', str(tmp_path), 'val', mounting='data')[1]
    names = ['road', 'sidewalk', 'pole', 'sky', 'person']
    assert sample.truth.panoptic[0, ::4].tolist() == [
        1000 * CLASS_ID[name] for name in names] + 7 * [VOID_ID]
    assert sample.truth.has_semantics and not sample.truth.instance_classes
    assert sample.truth.depth is None and sample.frame.intrinsics_source == 'default'
    assert sample.frame.name == '0001TP_000001' and sample.frame.mounting is None


def test_camvid_knows_which_classes_a_label_stands_for(tmp_path):
    write_camvid(tmp_path)
    groups, table = open_dataset('camvid', str(tmp_path), 'val', mounting='data').possible_classes(
        0, (24, 48))
    found = {label: {c.name for c in CITYSCAPES if table[group, c.class_id]}
             for label, group in zip(CAMVID_LABELS, groups[0, ::4].tolist(), strict=True)}
    assert found == {
        7: {'road'}, 8: {'sidewalk'}, 17: {'pole'}, 23: {'sky'}, 24: {'person'},
        11: {'building', 'wall'}, 13: {'fence', 'wall'}, 20: {'traffic sign', 'traffic light'},
        21: {'vegetation', 'terrain'}, 25: {'rider', 'motorcycle', 'bicycle'},
        26: {'car', 'truck', 'bus'}, 255: {c.name for c in CITYSCAPES}}


def test_camvid_with_a_label_that_is_none(tmp_path):
    write_camvid(tmp_path)
    write_png(tmp_path / 'val/semantic/0001TP_000000.png', np.full((24, 48), 200, np.uint8))
    with pytest.raises(ConfigError, match='0001TP_000000.png: holds the label 200'):
        open_dataset('camvid', str(tmp_path), 'val')[0]


def test_real_camvid(shared_data):
    if not (shared_data / 'camvid').is_dir():
        pytest.skip('no camvid in the shared data')
    known = np.zeros(19, np.int64)
    data = open_dataset('camvid', str(shared_data / 'camvid'), 'train')
    for index in range(0, len(data), 40):
        ids = data[index].truth.panoptic
        known += np.bincount(ids[ids != VOID_ID] // 1000, minlength=19)
    assert len(data) == 367 and set(np.flatnonzero(known)) == {
        CLASS_ID[name] for name in ('road', 'sidewalk', 'pole', 'sky', 'person')}


@pytest.mark.parametrize(('split', 'masked'), [('all', 0), ('without_bottom_25', 6)])
def test_pictures_without_labels(tmp_path, split, masked):
    write_pictures(tmp_path)
    data = open_dataset('images', str(tmp_path), split, mounting='data')
    sample = data[1]
    assert len(data) == 2 and sample.frame.name == 'rear_1' and data.classes == ()
    assert sample.truth.panoptic is None and sample.frame.intrinsics_source == 'default'
    groups, table = data.possible_classes(1, (24, 48))
    assert table[groups].all(-1).sum() == (24 - masked) * 48
    assert not table[groups][24 - masked:].any()
    assert (sample.truth.ignore is None) == (not masked)
    with pytest.raises(ConfigError, match='unknown split.*without_bottom_15'):
        open_dataset('images', str(tmp_path), 'train')


def lay(truth, pseudo, found=(), possible=ANY):
    return overlaid(truth, np.array([pseudo], np.int32), possible, found, CITYSCAPES)


def test_true_labels_win_and_what_nobody_knows_is_ignored():
    truth = GroundTruth(np.array([[VOID_ID, 1000 * SKY, VOID_ID, VOID_ID, VOID_ID, 1000 * ROAD]]))
    seen = lay(truth, [0, 0, VOID_ID, 11001, 18000, 11001], THING_CLASSES)
    assert seen.panoptic.tolist() == [[0, 1000 * SKY, VOID_ID, 11001, 18000, 0]]
    assert seen.ignore.tolist() == [[False, False, True, False, False, False]]
    assert seen.instance_classes == THING_CLASSES and seen.has_semantics
    assert truth.panoptic[0, 0] == VOID_ID, 'a copy'


def test_without_a_detector_no_absence_is_said_and_none_is_taken_back():
    truth = GroundTruth(np.full((1, 6), VOID_ID), instance_classes=(CAR,))
    seen = lay(truth, [0, 0, VOID_ID, VOID_ID, 18000, 0])
    assert seen.ignore is None and seen.instance_classes == (CAR,)


def test_classes_whose_instances_are_all_labeled_get_no_more_of_them():
    """A car that the truth does not have is none; in an ignored area it is one of a crowd."""
    truth = GroundTruth(np.array([[13001, VOID_ID, VOID_ID, VOID_ID, 13000, VOID_ID]]),
                        instance_classes=(CAR,), ignore=np.arange(6)[None] == 3)
    seen = lay(truth, [13001, 13001, 14001, 13001, 13001, 13002], THING_CLASSES)
    assert seen.panoptic.tolist() == [[13001, VOID_ID, 14001, 13000, 13000, VOID_ID]]
    assert seen.ignore.tolist() == [[False, True, False, True, False, True]]


def test_a_crowd_gets_the_instances_of_its_class_and_numbers_do_not_clash():
    truth = GroundTruth(np.array([[11000, 11000, 11000, 11004, 11000, VOID_ID]]),
                        has_semantics=True)
    seen = lay(truth, [11001, 11002, 18001, 11001, 11000, 11002], (PERSON, BICYCLE),
               (np.array([[0, 0, 0, 0, 0, 1]], np.uint8),
                np.stack([np.arange(19) == PERSON, np.ones(19, np.bool_)])))
    assert seen.panoptic.tolist() == [[11005, 11006, 11000, 11004, 11000, 11006]]


def test_what_the_truth_leaves_of_an_instance_has_to_be_half_of_it():
    truth = GroundTruth(np.array([[0, 0, VOID_ID, 0, VOID_ID, VOID_ID]]))
    seen = lay(truth, [13001, 13001, 13001, 13002, 13002, 13003], (CAR,))
    assert seen.panoptic.tolist() == [[0, 0, 13000, 0, 13002, 13003]]


def test_a_merged_label_is_filled_with_one_of_its_classes_only(tmp_path):
    write_camvid(tmp_path / 'data')
    column = np.full(12, VOID_ID)
    at = {label: i for i, label in enumerate(CAMVID_LABELS)}
    column[[at[11], at[13], at[26], at[25], at[24], at[7], at[255]]] = (
        1000 * WALL, 1000 * BUILDING, 1000 * TRUCK + 2, 11001, 11001, 1000 * SKY, 1000 * SKY)
    write_pseudo_labels(tmp_path / 'said', dict.fromkeys(
        ('0001TP_000000', '0001TP_000001'), column.repeat(4)[None].repeat(24, 0)),
        instance_classes=THING_CLASSES)
    data = open_dataset('camvid', str(tmp_path / 'data'), 'val', mounting='data')
    ids = Overlaid(data, tmp_path / 'said')[0].truth.panoptic[0, ::4].tolist()
    assert {label: ids[at[label]] for label in (11, 13, 26, 25, 24, 7, 255)} == {
        11: 1000 * WALL, 13: VOID_ID, 26: 1000 * TRUCK + 2, 25: VOID_ID, 24: 11001, 7: 0,
        255: 1000 * SKY}, 'half of the person is left'


def test_pictures_get_labels_but_where_they_are_masked(tmp_path):
    write_pictures(tmp_path)
    write_pseudo_labels(tmp_path / 'said', {
        f'rear_{i}': np.full((24, 48), 13001) for i in (0, 1)}, instance_classes=(CAR,))
    data = Overlaid(open_dataset('images', str(tmp_path), 'without_bottom_25', mounting='data'),
                    tmp_path / 'said')
    truth = data[0].truth
    assert data.classes == CITYSCAPES and len(data) == 2
    assert (truth.panoptic[:18] == 13001).all() and (truth.panoptic[18:] == VOID_ID).all()
    assert not truth.ignore[:18].any() and truth.ignore[18:].all()


def test_a_sequence_of_which_cars_and_persons_are_known(tmp_path):
    write_kitti_half(tmp_path)
    said = np.full((8, 16), 1000 * ROAD)
    said[:, 6:8], said[:, 14:] = 1000 * CAR + 1, 1000 * CAR + 2
    write_pseudo_labels(tmp_path / 'said', {'seq0009_000000': said},
                        instance_classes=THING_CLASSES)
    sample = Overlaid(KittiHalf(tmp_path, 'seq0009'), tmp_path / 'said')[0]
    assert sample.truth.panoptic[0, [0, 4, 6, 8, 14]].tolist() == [
        1000 * CAR + 1, 0, VOID_ID, 0, 1000 * CAR]
    assert sample.truth.ignore[0, [0, 4, 6, 8, 14]].tolist() == [False, False, True, False, True]
    assert sample.sequence == ''


@pytest.mark.parametrize(('change', 'message'), [
    (lambda f: (f / FILE_NAME).unlink(), 'pseudo_labels.json: missing; give a folder that'),
    (lambda f: (f / 'rear_1.png').unlink(), 'has pseudo-labels of 1 frames, but the data set has'
                                            ' 2.*goes on'),
    (lambda f: (f / 'rear_0.png').rename(f / 'other.png'), 'rear_0.png: missing'),
    (lambda f: write_png(f / 'rear_0.png', np.full((24, 48), 19000, np.uint16)),
     'rear_0.png: holds the label 19000'),
    (lambda f: write_png(f / 'rear_0.png', np.zeros((9, 9), np.uint16)), 'of one size'),
    (lambda f: (f / FILE_NAME).write_text('{"licences": []}'), 'licences'),
])
def test_folders_that_are_not_right(tmp_path, change, message):
    write_pictures(tmp_path)
    write_pseudo_labels(tmp_path / 'said', {
        f'rear_{i}': np.zeros((24, 48)) for i in (0, 1)})
    change(tmp_path / 'said')
    with pytest.raises(ConfigError, match=message):
        Overlaid(open_dataset('images', str(tmp_path), 'all'), tmp_path / 'said')[0]


def test_other_classes_are_refused(tmp_path):
    write_kitti_half(tmp_path)
    write_pseudo_labels(tmp_path / 'said', {'a': np.zeros((8, 16))}, class_table='semkitti')
    with pytest.raises(ConfigError, match='of other classes than the data set'):
        Overlaid(KittiHalf(tmp_path, 'val'), tmp_path / 'said')
