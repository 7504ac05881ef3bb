# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""benchmark --what mounting, on few scenes."""

import json

import pytest
from panoptic_depth_core.benchmark import mounting
from panoptic_depth_core.cli import main
from panoptic_depth_core.errors import ConfigError

pytest.importorskip('embreex')


def test_the_command(tmp_path, monkeypatch, capsys):
    """The mounting makes the depth of a low camera several times as exact; wrong ones less."""
    monkeypatch.setattr(mounting, 'HEIGHTS_M', (0.4,))
    monkeypatch.setattr(mounting, 'ERRORS', (('height +20 %', 1.2, 0.0),))
    out = tmp_path / 'out.json'
    assert main(['benchmark', '--what', 'mounting', '--frames', '3', '--threads', '1',
                 '-o', str(out)]) == 0
    assert '| 0.4 m | true | none |' in capsys.readouterr().out
    rows = {(row['mounting'], row['used by']): row for row in json.loads(out.read_text())['rows']}
    ways = [way for key, way in rows if key == 'true']
    assert ways == ['none', 'network', 'anchoring', 'both', 'both, points']
    for way in ways[1:]:
        assert rows['true', way]['absrel'] < 0.6 * rows['true', 'none']['absrel']
    assert rows['height +20 %', 'both']['absrel'] > 1.2 * rows['true', 'both']['absrel']


@pytest.mark.parametrize('data', ['kitti_half', 'kitti_half:', ':nowhere'])
def test_a_data_set_that_is_none(data):
    with pytest.raises(ConfigError, match='NAME:ROOT:SPLIT'):
        list(mounting._with_depth(data))
