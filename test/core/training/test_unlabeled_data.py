# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Recipes with pseudo-labels, and with frames of unknown cameras."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs the extra [train]')

from dataset_trees import write_pictures, write_png
from miniature import RECIPE
from panoptic_depth_core.config import parse_settings
from panoptic_depth_core.datasets.overlay import FILE_NAME, PseudoLabels
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import THING_CLASSES, VOID_ID
from panoptic_depth_core.network.dynamic_kernels.targets import collate
from panoptic_depth_core.training.loading import MixedSamples
from panoptic_depth_core.training.packing import write_pack
from panoptic_depth_core.training.recipe import TrainSettings, load_recipe

PLAIN = {'colors': 0, 'blur': 0, 'noise': 0, 'flip': 0, 'scale': [1, 1], 'height': 64,
         'width': 128}


@pytest.fixture
def row(tmp_path):
    """Row of a recipe: two pictures without labels, and a folder that says that all is road."""
    write_pictures(tmp_path / 'pictures', size=(64, 128))
    for i in (0, 1):
        write_png(tmp_path / f'said/rear_{i}.png', np.zeros((64, 128), np.uint16))
    (tmp_path / 'said' / FILE_NAME).write_text(PseudoLabels().model_dump_json())
    return {'name': 'images', 'root': str(tmp_path / 'pictures'), 'split': 'all',
            'pseudo_labels': str(tmp_path / 'said')}


def _mix(*rows, draws=6):
    settings = parse_settings(TrainSettings, {**RECIPE, 'augment': PLAIN, 'data': rows}, 'test')
    return settings, MixedSamples(settings, 0, draws)


def test_pictures_are_learned_as_their_pseudo_labels_say(row):
    _, mixed = _mix(row)
    assert all((mixed[i].truth.panoptic == 0).all() for i in range(6))
    assert mixed[0].truth.has_semantics


def test_a_frame_of_an_unknown_camera_is_seen_through_another_one_at_every_draw(row):
    focal = {mixed[i].frame.intrinsics.fx for mixed in (_mix({**row, 'fov_deg': [40, 90]})[1],)
             for i in range(6)}
    assert len(focal) == 6 and min(focal) > 63.9 and max(focal) < 176.0
    assert len({_mix(row)[1][i].frame.intrinsics.fx for i in range(6)}) == 1


def test_a_known_camera_stays_and_so_does_its_depth(monkeypatch):
    from miniature import Miniature
    from panoptic_depth_core import datasets
    monkeypatch.setitem(datasets.DATASETS, 'miniature', Miniature)
    plain, asked = (_mix({'name': 'miniature', 'root': '-', **more})[1][0]
                    for more in ({}, {'fov_deg': [40, 90]}))
    assert plain.frame.intrinsics == asked.frame.intrinsics
    np.testing.assert_array_equal(plain.truth.depth, asked.truth.depth)
    np.testing.assert_array_equal(plain.frame.image, asked.frame.image)


def test_a_pack_holds_the_labels_of_both_and_still_draws_cameras(row, tmp_path):
    settings, _ = _mix({**row, 'fov_deg': [40, 90]}, {**row, 'pseudo_labels': None})
    report = write_pack(settings, tmp_path / 'a.pack')
    assert [data.label for data in report.data] == ['images:all', 'images:all 2']
    (tmp_path / 'said' / FILE_NAME).unlink()
    packed = MixedSamples(load_recipe(tmp_path / 'a.pack'), 0, 12)
    assert [s[0].truth.panoptic is None for s in packed.sets] == [False, True]
    assert len({packed[i].frame.intrinsics.fx for i in range(12)}) > 4
    assert not {'pseudo_labels', 'cache'} & set(packed.settings.data[0].model_fields_set)


def test_absence_is_learned_where_something_is_said_and_no_crowd(row, tmp_path):
    ids = np.zeros((64, 128), np.uint16)
    ids[:32, :32], ids[:32, 32:64], ids[32:, :32] = 13001, 11000, VOID_ID
    for i in (0, 1):
        write_png(tmp_path / f'said/rear_{i}.png', ids)
    (tmp_path / 'said' / FILE_NAME).write_text(
        PseudoLabels(instance_classes=THING_CLASSES).model_dump_json())
    batch = collate([_mix(row)[1][0]])
    assert [THING_CLASSES[int(i)] for i in batch.thing_channel[0]] == [13]
    known = batch.center_known()[0]
    assert bool(known[:, :32, :32].all()) and bool(known[:, 32:, 64:].all())
    assert not bool(known[:, :32, 32:64].any()) and not bool(known[:, 32:, :32].any())


def test_pseudo_labels_of_other_frames(row, tmp_path):
    for i in (0, 1):
        (tmp_path / f'said/rear_{i}.png').rename(tmp_path / f'said/front_{i}.png')
    with pytest.raises(ConfigError, match=r'rear_0.png: missing; give the folder'):
        _mix(row)[1].sets[0][0]


@pytest.mark.parametrize(('more', 'message'), [
    ({'cache': 'cache'}, 'data set images: cache is cache, which would keep pseudo_labels'),
    ({'fov_deg': [0, 90]}, 'fov_deg'),
    ({'fov_deg': [90, 40]}, 'fov_deg is .*the first number is greater than the second'),
    ({'enlarge': [1.4, 0.7]}, 'enlarge is .*the first number is greater than the second'),
    ({'scale': [1.4, 0.7]}, 'scale is .*the first number is greater than the second'),
    ({'pseudo_labels': 'nowhere'}, 'nowhere/pseudo_labels.json: missing'),
])
def test_wrong_rows(row, more, message):
    with pytest.raises(ConfigError, match=message):
        _mix({**row, **more})
