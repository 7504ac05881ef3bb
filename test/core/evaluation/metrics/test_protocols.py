# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Named evaluations of depth: against golden vectors, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from golden import each_golden
from numpy.typing import NDArray
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.metrics.depth import DepthMetric, LidarDepth
from panoptic_depth_core.evaluation.metrics.frame import Rules
from panoptic_depth_core.evaluation.protocols import PROTOCOLS, DepthProtocol
from panoptic_depth_core.evaluation.settings import EvaluationSettings, convention

FIELDS = {'abs_diff': 'abs_diff_m', 'abs_rel': 'abs_rel', 'sq_rel': 'sq_rel_m', 'a1': 'delta1',
          'a2': 'delta2', 'a3': 'delta3', 'rmse': 'rmse_m', 'rmse_log': 'rmse_log',
          'log10': 'log10'}
"""Names of LapDepth -> ours."""

LAPDEPTH = {(80, 1): 'lapdepth_kitti', (50, 1): 'lapdepth_kitti_50',
            (80, 0): 'eigen_kitti_uncropped', (50, 0): 'eigen_kitti_uncropped_50'}


def measure(protocol: str, *pairs: tuple[NDArray, NDArray]) -> DepthMetric:
    metric = DepthMetric(Rules(EvaluationSettings(protocol=protocol)))
    for predicted, truth in pairs:
        metric.count(predicted, truth)
    return metric.finished()


def counted(protocol: str, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """First and last row, first and last column that count."""
    inside = PROTOCOLS[protocol].counted(np.ones(size))
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert inside.sum() == len(rows) * len(columns)
    return rows[0], rows[-1], columns[0], columns[-1]


@each_golden('lapdepth_metric')
def test_golden(path):
    golden = np.load(path)
    used = {'seed', 'names', 'names_nyu'}

    def meters(name: str) -> NDArray:
        used.add(name)
        return golden[name].astype(np.float32) / 256

    def compare(name: str, names: str, protocol: str, predicted: NDArray, truth: NDArray) -> None:
        used.add(name)
        found = measure(protocol, (predicted, truth)).found.per_image
        np.testing.assert_allclose([getattr(found, FIELDS[n]) for n in golden[names]],
                                   golden[name], rtol=1e-6)

    kitti = meters('kitti_prediction_u16'), meters('kitti_gt_u16')
    for (cap, crop), protocol in LAPDEPTH.items():
        compare(f'result/kitti/cap{cap}/crop{crop}', 'names', protocol, *kitti)
    # The same in the whole picture: its 352x1216 px at the bottom center.
    whole = [np.pad(part, ((23, 0), (13, 13)), constant_values=np.nan) for part in kitti]
    compare('result/kitti/cap80/crop1', 'names', 'lapdepth_kitti', *whole)
    truth = meters('nyu_gt_u16')
    pasted = PROTOCOLS['nyu'].pasted(meters('nyu_prediction_u16'), truth.shape, np.nan)
    compare('result/nyu', 'names_nyu', 'nyu', pasted, truth)
    assert used == set(golden.files)


def test_crops():
    """The rows and columns of a picture of 375x1242 px that the original leaves out."""
    assert counted('eigen_kitti', (375, 1242)) == (153, 370, 44, 1196)
    assert counted('lapdepth_kitti', (375, 1242)) == (23 + 143, 23 + 348, 13 + 43, 13 + 1171)
    assert counted('lapdepth_kitti', (352, 1216)) == (143, 348, 43, 1171)
    assert counted('eigen_kitti_uncropped', (370, 1224)) == (0, 369, 0, 1223)
    assert counted('nyu', (480, 640)) == (45, 470, 41, 600)


def test_limits_are_strict_and_predictions_are_clamped():
    truth, predicted = (np.full((480, 640), np.nan) for _ in range(2))
    pairs = [(10.0, 5.0), (0.001, 5.0), (np.inf, 5.0), (5.0, np.inf), (2.0, -np.inf), (2.0, 0.0),
             (4.0, 20.0), (4.0, 5.0), (4.0, np.nan)]
    for column, (g, p) in enumerate(pairs, 100):
        truth[100, column], predicted[100, column] = g, p
    truth[:45], predicted[:45] = 1.0, 9.0
    errors = measure('nyu', (predicted, truth)).found.pooled
    relative = [1.0, 0.9995, 1.5, 0.25]
    assert (errors.pixels, errors.missing_share) == (6, pytest.approx(2 / 6))
    assert errors.abs_rel == pytest.approx(np.mean(relative))
    ratios = np.array([10 / 5, 0.001 / 2, 10 / 4, 5 / 4])
    assert errors.log10 == pytest.approx(np.abs(np.log10(ratios)).mean())
    assert errors.abs_diff_m == pytest.approx(np.mean([5, 1.999, 6, 1]))


def test_values_are_means_over_images():
    """Two images, of one and three pixels."""
    small, large = (np.full((375, 1242), np.nan) for _ in range(2))
    small[200, 600], large[200, 600:603] = 10, 10
    found = measure('eigen_kitti', (np.full((375, 1242), 11.0), small),
                    (np.full((375, 1242), 13.0), large))
    assert found.value('abs_rel') == pytest.approx((0.1 + 0.3) / 2)
    assert found.value('rmse_m') == pytest.approx((1 + 3) / 2)
    rows = {title: value for title, value, _ in found.rows()}
    assert rows['absRel, mean of images'] == '0.2000'
    assert not any('over pixels' in title for title in rows)
    assert {'log10', 'abs_diff_m'} <= set(found.detail()['per_image'])
    line, = DepthMetric.conventions({'protocol': 'eigen_kitti'})
    assert line.startswith('Depth protocol eigen_kitti: crop of Garg et al.; 0.001 m < truth < 80')


def test_a_protocol_may_prepare_predictions_and_have_more_values(monkeypatch):
    """Whole meters, and a value that only images with two pixels have; two parts."""
    def spread(predicted, truth):
        return {'spread': np.ptp(predicted) if len(predicted) > 1 else np.nan,
                'sum': truth.sum()}

    monkeypatch.setitem(PROTOCOLS, 'made_up', DepthProtocol(
        'whole meters', 80.0, lambda size: (slice(0, 1), slice(0, size[1])), (1, 2), (2, 9),
        prepare=np.floor, more=spread))
    images = [([[1.9, 3.2, np.nan]], [[2.0, 3.0, 4.0]]), ([[5.5, 8.0]], [[5.0, np.nan]]),
              ([[7.1, 1.0]], [[7.0, 1.0]])]
    parts = [measure('made_up', *[(np.array(p), np.array(g)) for p, g in some])
             for some in (images[:1], images[1:])]
    parts[0].merge(parts[1])
    found = parts[0].finished()
    assert found.found.more == {'spread': (2 + 6) / 2, 'sum': pytest.approx((5 + 5 + 8) / 3)}
    assert found.value('abs_rel') == pytest.approx((0.5 / 2 + 0 + 0) / 3)
    assert found.value('missing_share') == pytest.approx(1 / 9)
    assert found.detail()['more'] == found.found.more
    assert ('spread, mean of images', '4.0000') in [row[:2] for row in found.rows()]
    assert DepthMetric.conventions({'protocol': 'made_up'})[0].startswith(
        'Depth protocol made_up: whole meters; 0.001 m < truth < 80 m; values are means over im')


def test_parts_are_merged():
    rng = np.random.default_rng(0)
    pairs = [rng.uniform(1, 9, (2, 480, 640)) for _ in range(3)]
    whole, *parts = (measure('nyu', *some) for some in (pairs, pairs[:1], pairs[1:]))
    parts[0].merge(parts[1])
    assert parts[0].result().per_image == whole.found.per_image


@pytest.mark.parametrize(('protocol', 'size', 'words'), [
    ('eigen_kitti', (352, 1216), '1216x352 px, but the depth protocol takes from '
                                 '1224x370 to 1242x376 px; give whole'),
    ('lapdepth_kitti', (187, 621), '621x187 px'),
    ('nyu', (240, 320), '320x240 px, but the depth protocol takes 640x480')])
def test_other_sizes_are_refused(protocol, size, words):
    with pytest.raises(ConfigError, match=words):
        measure(protocol, (np.ones(size), np.ones(size)))


def test_without_a_protocol_nothing_is_added():
    metric = DepthMetric()
    metric.count(np.array([[90.0, 2.0]]), np.array([[80.0, 1.0]]))
    found = metric.finished()
    assert found.found.pooled.pixels == 2
    assert 'log10' not in found.detail()['pooled']


def test_points_of_lidar_have_no_protocol():
    metric = LidarDepth(Rules(EvaluationSettings(protocol='eigen_kitti')))
    metric.count(np.array([90.0]), np.array([45.0]))
    assert metric.result().pooled.abs_rel == 1


def test_names_are_known_and_have_their_own_cap():
    with pytest.raises(ConfigError, match='no protocol has this name; known: eigen_kitti, '):
        convention('ours', protocol='kitti')
    with pytest.raises(ConfigError, match='has a cap of its own; leave depth_cap_m out'):
        convention('ours', protocol='nyu', depth_cap_m=20)


@pytest.mark.parametrize('name', ['nyu', 'depthlab'])
def test_no_depth_is_none_under_a_protocol_too(name):
    protocol = PROTOCOLS[name]
    prepared = protocol.prepared(np.array([0.0, -1.0, np.nan, -np.inf, np.inf, 5.0]))
    assert np.isnan(prepared[:3]).all()
    assert (prepared[3:] > 0).all() and prepared[3] < prepared[5] < prepared[4]
