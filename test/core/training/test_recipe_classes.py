# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Recipes whose classes are in a file: read once, and part of all that is stored."""

from __future__ import annotations

import pytest
import yaml

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from miniature import Miniature  # noqa: E402
from panoptic_depth_core import datasets  # noqa: E402
from panoptic_depth_core.class_tables import class_infos, read_class_rows  # noqa: E402
from panoptic_depth_core.datasets import open_dataset  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, SEMKITTI  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription, describe  # noqa: E402
from panoptic_depth_core.training.checkpoint import read_checkpoint  # noqa: E402
from panoptic_depth_core.training.loading import MixedSamples  # noqa: E402
from panoptic_depth_core.training.packing import write_pack  # noqa: E402
from panoptic_depth_core.training.recipe import load_recipe  # noqa: E402
from panoptic_depth_core.training.trainer import train  # noqa: E402

ROWS = [{'name': f'class {c.class_id}', 'color': list(c.color), 'is_thing': c.is_thing}
        for c in CITYSCAPES]


class Renamed(Miniature):
    """The miniature frames with classes of other names, as in the file."""

    classes = class_infos(())


@pytest.fixture
def written(recipe, tmp_path, monkeypatch):
    """Recipe file beside its classes."""
    (tmp_path / 'classes.yaml').write_text(yaml.safe_dump(ROWS))
    monkeypatch.setattr(Renamed, 'classes', class_infos(read_class_rows(
        tmp_path / 'classes.yaml')))
    monkeypatch.setitem(datasets.DATASETS, 'renamed', Renamed)
    recipe |= {'classes': 'classes.yaml', 'data': [{'name': 'renamed', 'root': '-'}],
               'iterations': 1}
    path = tmp_path / 'recipe.yaml'
    path.write_text(yaml.safe_dump(recipe))
    return path


def test_what_is_stored_has_the_rows(written, tmp_path):
    settings = load_recipe(written)
    (tmp_path / 'classes.yaml').unlink()
    assert MixedSamples(settings, 0, 1).classes == Renamed.classes
    stored = read_checkpoint(train(settings, tmp_path / 'run'))['recipe']
    assert stored['network_settings']['class_table'] == ROWS
    network = create_model(stored['network'], stored['network_settings'])
    info = describe(network, ModelDescription())
    assert info.class_infos() == Renamed.classes
    # What model.json says is enough to build the network again.
    info = type(info).model_validate_json(info.model_dump_json())
    assert create_model(info.network, info.network_settings).classes == Renamed.classes


def test_a_pack_has_the_rows(written, tmp_path):
    write_pack(load_recipe(written), tmp_path / 'a.pack')
    (tmp_path / 'classes.yaml').unlink()
    settings = load_recipe(tmp_path / 'a.pack')
    assert MixedSamples(settings, 0, 1).classes == Renamed.classes
    assert open_dataset('packed', settings.data[0].root, 'renamed:train').classes == (
        Renamed.classes)


def test_the_file_may_be_anywhere(written, tmp_path, monkeypatch):
    monkeypatch.setenv('FARM', str(tmp_path))
    table = load_recipe(written).network_settings['class_table']
    for text in ('$FARM/classes.yaml', str(tmp_path / 'classes.yaml')):
        assert load_recipe(written, [f'classes={text}']).network_settings['class_table'] == table
    assert load_recipe(written, ['classes=semkitti']).network_settings['class_table'] == 'semkitti'
    rows = load_recipe(written, ['classes=[{name: a, color: [1, 2, 3], is_thing: true}]'])
    assert [row['name'] for row in rows.network_settings['class_table']] == ['a']


@pytest.mark.parametrize(('change', 'message'), [
    ('classes=coco.yaml', 'coco.yaml: cannot be read'),
    ('classes=$NOT_SET/a.yaml', 'environment variable that is not set'),
    ('classes=[]', 'classes.rows is .*0 classes; give 1 to 65'),
    ('network_settings.class_table=semkitti', 'classes and network_settings.class_table both say'),
])
def test_wrong_classes_of_a_recipe(written, change, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(written, [change])


def test_other_classes_are_refused(written):
    settings = load_recipe(written, ['data.0.name=miniature'])
    with pytest.raises(ConfigError, match='learns the class table class 0, .* but its own is '
                       'cityscapes; set network_settings'):
        MixedSamples(settings, 0, 1)


def test_classes_of_one_number_are_still_others(written, tmp_path):
    """Weights of a network with as many classes are not taken for those of these classes."""
    model = train(load_recipe(written), tmp_path / 'run')
    other = load_recipe(written, ['classes=semkitti', f'initial_weights={model}'])
    assert len(ROWS) == len(SEMKITTI)
    with pytest.raises(ConfigError, match='of other classes'):
        train(other, tmp_path / 'other')
    train(load_recipe(written, [f'initial_weights={model}']), tmp_path / 'again')
