# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Class tables from files: what is read, and what is refused with which words."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.class_tables import (
    MOST_CLASSES,
    class_infos,
    class_rows,
    distinct_color,
    parse_class_rows,
    read_class_rows,
    same_classes,
    table_classes,
    table_of,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CLASS_TABLES, ClassInfo

FARM = [{'name': 'field', 'color': [90, 140, 60], 'is_thing': False},
        {'name': 'sky', 'is_thing': False},
        {'name': 'cow', 'color': [200, 120, 40], 'is_thing': True}]


def test_a_file_of_classes(tmp_path):
    path = tmp_path / 'classes.yaml'
    path.write_text(yaml.safe_dump(FARM))
    assert class_infos(read_class_rows(path)) == (
        ClassInfo(0, 'field', (90, 140, 60), False), ClassInfo(1, 'sky', distinct_color(1), False),
        ClassInfo(2, 'cow', (200, 120, 40), True))


@pytest.mark.parametrize(('text', 'message'), [
    ('[', r'classes.yaml: .*not valid YAML'),
    ('{cow: 1}', r'classes.yaml: no list of classes; give rows such as \{name: cow'),
    ('[cow]', 'no list of classes'),
    ('[]', '0 classes; give 1 to 65'),
    (str([{'name': str(i), 'is_thing': False} for i in range(66)]), '66 classes; give 1 to 65'),
    ('[{name: cow, is_thing: true}, {name: cow, is_thing: false}]',
     "'cow' is there 2 times; give every class a name of its own"),
    ('[{name: cow, is_thing: true, colour: [1, 2, 3]}]', "unknown key 'classes.0.colour'"),
    ('[{name: cow, is_thing: true, color: [1, 2, 300]}]',
     'classes.0.color.2 is 300: .*less than or equal to 255'),
    ('[{name: cow, is_thing: true, color: [1, 2]}]', 'classes.0.color.2: Field required'),
    ('[{name: cow}]', 'classes.0.is_thing: Field required'),
    ('[{name: 3, is_thing: true}]', 'classes.0.name is 3: .*valid string'),
    ("[{name: '', is_thing: true}]", "classes.0.name is '': .*at least 1 character"),
])
def test_wrong_files_of_classes(tmp_path, text, message):
    path = tmp_path / 'classes.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read_class_rows(path)
    assert str(error.value).startswith(str(path)) and len(str(error.value)) < 500


def test_no_file_of_classes(tmp_path):
    with pytest.raises(ConfigError, match='classes.yaml: cannot be read: No such file.*check the'):
        read_class_rows(tmp_path / 'classes.yaml')


@given(st.lists(st.tuples(st.text(min_size=1), st.tuples(*[st.integers(0, 255)] * 3),
                          st.booleans()), min_size=1, max_size=MOST_CLASSES,
                unique_by=lambda row: row[0]))
def test_a_table_of_any_rows_stands_for_itself(rows):
    table = tuple(ClassInfo(i, *row) for i, row in enumerate(rows))
    dumped = [row.model_dump(mode='json') for row in class_rows(table)]
    assert table_classes(table_of(table)) == table_classes(parse_class_rows(dumped, '')) == table


def test_known_tables_go_by_their_names():
    for name, table in CLASS_TABLES.items():
        assert table_of(table) == name and table_classes(name) is table
        assert same_classes(class_infos(class_rows(table)), table)
    with pytest.raises(ConfigError, match="unknown table 'coco'; known: cityscapes, semkitti"):
        table_classes('coco')


def test_colours_that_nobody_chose_can_be_told_apart():
    colors = [distinct_color(row) for row in range(20)]
    assert min(sum(abs(a - b) for a, b in zip(one, other, strict=True))
               for i, one in enumerate(colors) for other in colors[:i]) >= 30
    assert all(0 <= value <= 255 for row in range(MOST_CLASSES) for value in distinct_color(row))
