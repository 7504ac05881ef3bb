# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The check of a GPU, without one: its parts, its order, its report."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

pytest.importorskip('torch', reason='the check needs the extra [export]')
pytest.importorskip('onnxscript', reason='the check needs the extra [export]')

import torch
from golden import each_golden
from panoptic_depth_core.cli import main
from panoptic_depth_core.contract import TASKS
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.export.gpu_check.check import gpu_check
from panoptic_depth_core.export.gpu_check.limits import floor_ms, rates
from panoptic_depth_core.export.gpu_check.models import NetworkAlone
from panoptic_depth_core.export.gpu_check.pipelines import as_published
from panoptic_depth_core.export.gpu_check.published_loops import (
    FIRST_THING,
    published_result,
)
from panoptic_depth_core.export.gpu_check.report import goals, markdown
from panoptic_depth_core.export.gpu_check.rows import (
    NO_TIME,
    CheckSettings,
    Row,
    plain,
)
from panoptic_depth_core.export.gpu_check.scenes import street_output
from panoptic_depth_core.export.gpu_check.tasks import run_task
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.network.dynamic_kernels.assembly import assemble
from panoptic_depth_core.network.dynamic_kernels.kernels import KernelOutput
from panoptic_depth_core.network.panoptic_depth.network import (
    PUBLISHED_ASSEMBLY,
)

RULES = PUBLISHED_ASSEMBLY.model_copy(update={'output_stride': 1, 'max_things': 200})


def both(output: KernelOutput, area: int):
    """Ids and depth by loops and by our assembly, in the published numbers."""
    height, width = (4 * side for side in output.mask_embedding.shape[-2:])
    index, depth, _ = assemble(output, torch.tensor([0.2, 0.5, area / (height * width), 0.0]),
                               RULES)
    loops = published_result(output, stuff_area=area)
    return loops, (as_published(index[0], RULES.max_things), depth[0].nan_to_num(0.0))


@pytest.mark.parametrize(('things', 'seed'), [(0, 0), (14, 0), (60, 1)])
def test_loops_equal_the_assembly_on_made_up_streets(things, seed):
    (ids, depth), (our_ids, our_depth) = both(street_output(128, 256, things, seed), 100)
    assert torch.equal(ids, our_ids)
    assert torch.allclose(depth, our_depth, atol=1e-3)
    found = set(ids.unique().tolist())
    assert sum(i >= FIRST_THING for i in found) == things
    assert CLASS_ID['road'] + 1 in found


def test_where_nothing_is_found_loops_and_assembly_have_nothing():
    output = street_output(128, 256, 0)
    output = output._replace(regions=[torch.full_like(r, -9.0) for r in output.regions])
    (ids, depth), (our_ids, _) = both(output, 100)
    assert not ids.any() and not depth.any() and not our_ids.any()


def test_things_that_hide_each_other_and_alike_kernels():
    """One of two that share a mask goes, by fusion within a class, else by its overlap."""
    output = street_output(128, 256, 6)
    peaks = (output.centers[0][0] > 0).nonzero().tolist()
    (kind, v, u), (_, v2, u2) = peaks[0], peaks[1]
    output.kernels[0][0, :, v2, u2] = output.kernels[0][0, :, v, u]
    (ids, _), (our_ids, _) = both(output, 100)
    assert torch.equal(ids, our_ids)
    assert int((ids.unique() >= FIRST_THING).sum()) == 5, kind


@each_golden('assembly')
def test_loops_equal_the_original(path):
    golden = np.load(path)

    def levels(name: str) -> list[torch.Tensor]:
        return [torch.from_numpy(golden[f'{name}_{i}'][None]) for i in range(5)]

    ids, depth = published_result(KernelOutput(
        levels('center'), levels('region'), levels('kernel'), levels('depth_kernel'),
        torch.from_numpy(golden['encode_feat'][None]),
        torch.from_numpy(golden['encode_depth'][None]), torch.ones(1), depth_form='linear'),
        stuff_area=int(golden['stuff_area_limit']))
    equal = ids.numpy() == golden['panoptic_id']
    assert equal.mean() > 0.999
    assert np.abs(depth.numpy() - golden['depth'])[equal].max() < 1e-3


def test_network_alone_leaves_nothing_out():
    output = street_output(128, 256, 3)
    inputs = torch.zeros(1, 128, 256, 3, dtype=torch.uint8), torch.ones(1, 4), torch.ones(4)

    def depth(changed: KernelOutput) -> float:
        class Stand(torch.nn.Module):
            tasks = TASKS

            def forward(self, image, intrinsics):
                return changed

        index, metres, table = NetworkAlone(Stand(), (64, 128), 9)(*inputs)
        assert index.shape == metres.shape == (1, 64, 128) and table.shape == (1, 9, 6)
        assert index.dtype == torch.uint8 and not index.any()
        return float(metres[0, 5, 7])

    plain_depth = depth(output)
    for name in ('centers', 'regions', 'kernels', 'depth_kernels'):
        for level in range(5):
            maps = list(getattr(output, name))
            maps[level] = maps[level] + 1.0
            assert depth(output._replace(**{name: maps})) != pytest.approx(plain_depth)
    for name in ('mask_embedding', 'depth_embedding', 'metric'):
        changed = output._replace(**{name: getattr(output, name) + 1.0})
        assert depth(changed) != pytest.approx(plain_depth)


def test_task_says_what_it_found():
    assert run_task('device', 100, device='cpu')['name'] == 'cpu'


def test_task_says_what_it_raised():
    assert 'RuntimeError' in run_task('device', 100, device='warp9')['error']


def test_task_that_dies_or_hangs():
    assert "ended with code 1: KeyError: 'nonesuch'" in run_task('nonesuch', 100)['error']
    assert run_task('rates', 0, device='cpu', precisions=['float32'])['error'].startswith(
        'given up: it took more than')


def test_floor_by_hand():
    cost = {'convolution_flops': 4e9, 'product_flops': 1e9, 'convolution_elements': 1e6,
            'product_elements': 5e5}
    machine = {'flops_per_s': {'float32': 1e12, 'float16': 4e12}, 'bytes_per_s': 1e9}
    # 4 + 1 ms of operations; (4 + 2) MB take 6 ms.
    assert floor_ms(cost, machine, 'float32') == pytest.approx(6.0)
    assert floor_ms(cost, {**machine, 'bytes_per_s': 1e12}, 'float32') == pytest.approx(5.0)
    assert floor_ms(cost, {**machine, 'bytes_per_s': 1e12}, 'float16') == pytest.approx(2.0)


def test_rates_are_positive():
    found = rates('cpu', ['float32'])
    assert found['flops_per_s']['float32'] > 0 and found['bytes_per_s'] > 0


def row(p99: float, **changes: object) -> Row:
    values = {'model': 'fast', 'height': 1024, 'width': 2048, 'runtime': 'tensorrt',
              'precision': 'float16', 'latency_ms': {'p50': p99 / 2, 'p95': p99, 'p99': p99},
              'equal_ids': 0.9999, 'depth_error': 1e-3, 'error': '',
              'stages_ms': {'copies': 0.5, 'network': 3.0, 'assembly': 0.5}}
    return Row(**{**values, **changes})


PIPELINES = {'1024x2048': {'network_ms': 60.0, 'published_ms': 40.0, 'ours_ms': 2.0,
                           'equal_ids': 1.0, 'things': 14}}


def test_goals_by_hand():
    met = goals([row(4.0), row(9.0, runtime='eager')], PIPELINES)
    assert [goal['result'] for goal in met] == ['met', 'met', 'met']
    assert [goal['value'] for goal in met] == [4.0, 12.5, 50.0]
    slow = goals([row(12.0, stages_ms={'copies': 0, 'network': 1, 'assembly': 1})], PIPELINES)
    assert [goal['result'] for goal in slow] == ['missed', 'missed', 'missed']
    nothing = goals([row(1.0, height=512, width=1024), row(1.0, model='published'),
                     row(1.0, latency_ms={}, error='broken')], {})
    assert [goal['result'] for goal in nothing] == ['not measured'] * 3


@pytest.mark.parametrize('wrong', [
    {'equal_ids': 0.5}, {'depth_error': 0.5}, {'equal_ids': math.nan}])
def test_what_is_fast_and_wrong_meets_no_goal(wrong):
    assert goals([row(4.0, **wrong)], PIPELINES)[0]['result'] == 'not measured'


def test_report_names_rows_reasons_and_goals():
    rows = [row(4.0), row(0.0, latency_ms={}, stages_ms={}, error='no library'),
            row(0.0, latency_ms={}, stages_ms={}, error='no library', runtime='eager')]
    text = markdown(plain({
        'device': {'name': 'Abacus 3'}, 'machine': {}, 'versions': {}, 'seconds': 3.0,
        'settings': {'repeats': 20}, 'rows': [vars(r) for r in rows],
        'rates': {'flops_per_s': {'float16': 4e14}, 'bytes_per_s': 4e12},
        'pipelines': PIPELINES, 'goals': goals(rows, PIPELINES)}))
    assert '# GPU check: Abacus 3' in text
    assert ('| fast | 1024x2048 | tensorrt | float16 | 2.00 | 4.00 | 4.00 | 99.990% | 1.0e-03 '
            '| 0.50 / 3.00 / 0.50 | - | - | - |') in text
    assert ('not run: fast 1024x2048 tensorrt float16, fast 1024x2048 torch eager float16: '
            'no library') in text
    assert 'float16 400.00 Tflop/s, copies 4000 GB/s' in text
    assert 'p99 under 5 ms, host to host: met 4.00 ms (tensorrt float16)' in text


@pytest.mark.parametrize(('changes', 'words'), [
    ({'models': ('huge',)}, "model 'huge' is not known; known: fast, published"),
    ({'skip': ('lunch',)}, "part to skip 'lunch' is not known"),
    ({'sizes': ((100, 128),)}, '100x128; give multiples of 64'),
    ({'source': 'nothing_here.mp4'}, 'nothing_here.mp4: does not exist')])
def test_wrong_settings(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        gpu_check(CheckSettings(tmp_path, device='cpu', **changes))


def test_without_a_gpu(tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    assert main(['gpu-check', '-o', str(tmp_path)]) == 2
    words = capsys.readouterr().err
    assert "no device 'cuda': " in words and 'or with --device cpu' in words


def test_unknown_precision(tmp_path, capsys):
    assert main(['gpu-check', '-o', str(tmp_path), '--precisions', 'int8']) == 2
    assert "--precisions: 'int8' is not known" in capsys.readouterr().err


def test_time_that_is_used_up_is_said(tmp_path):
    found = gpu_check(CheckSettings(tmp_path, device='cpu', sizes=((64, 128),), minutes=0.001))
    assert {r.error for r in found.rows if r.runtime == 'eager'} == {NO_TIME}
    assert NO_TIME in (tmp_path / 'gpu_check.md').read_text()
    assert json.loads((tmp_path / 'gpu_check.json').read_text())['rows'][0]['latency_ms'] == {}


@pytest.mark.slow
def test_the_whole_check_on_a_cpu(tmp_path, capsys):
    """Rows that run, rows that cannot, and every part of the report."""
    assert main(['gpu-check', '-o', str(tmp_path), '--device', 'cpu', '--models', 'fast',
                 '--sizes', '64x128', '--precisions', 'float32', '--repeats', '3',
                 '--skip', 'compile']) == 0
    found = json.loads((tmp_path / 'gpu_check.json').read_text())
    rows = {r['runtime']: r for r in found['rows']}
    for name in ('onnxruntime', 'eager'):
        assert rows[name]['error'] == '' and rows[name]['frames'] == 3
        assert rows[name]['equal_ids'] > 0.999 and rows[name]['depth_error'] < 1e-3
        assert 0 < rows[name]['latency_ms']['p50'] <= rows[name]['latency_ms']['p99']
        assert rows[name]['floor_ms'] > 0
    assert rows['eager']['stages_ms']['network'] > 0
    # A difference of two times may be lost in noise.
    assert set(rows['onnxruntime']['stages_ms']) in (set(), {'copies', 'network', 'assembly'})
    assert rows['cuda_graph']['error'] == 'there is no GPU'
    assert found['pipelines']['64x128']['equal_ids'] == 1.0
    assert found['pipelines']['64x128']['things'] == found['settings']['things']
    assert found['rates']['flops_per_s']['float32'] > 0
    assert capsys.readouterr().out == (tmp_path / 'gpu_check.md').read_text()
