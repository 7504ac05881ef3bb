# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""SOSD-Net as a model directory: every runtime, and every command as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the export needs the extra [export]')
pytest.importorskip('onnxscript', reason='the export needs the extra [export]')

from panoptic_depth_core.benchmark.evaluation import write_frames  # noqa: E402
from panoptic_depth_core.cli import main  # noqa: E402
from panoptic_depth_core.engines.build import build_engine, read_graph  # noqa: E402
from panoptic_depth_core.export.onnx_export import export_model  # noqa: E402
from panoptic_depth_core.inference.backends import create_backend  # noqa: E402
from panoptic_depth_core.model_directory import ModelDirectory, compare  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription  # noqa: E402
from panoptic_depth_core.network.sosd.network import PUBLISHED_SETTINGS  # noqa: E402
from tensorrt_graphs import rtx_library  # noqa: E402

FX = 200.0
KINDS = {
    'default': {}, 'alone': {'exchange': False},
    'published': {**PUBLISHED_SETTINGS, 'backbone': 'resnet50', 'width': 64}}


@pytest.fixture(scope='module')
def directories(tmp_path_factory) -> dict[str, ModelDirectory]:
    """A narrow model of each kind, with random weights."""
    torch.manual_seed(0)
    top = tmp_path_factory.mktemp('sosd')
    return {name: export_model(create_model('sosd', settings), top / name, ModelDescription(
                model_id=name, height=48, width=96, thresholds={'void': 0.0}))
            for name, settings in KINDS.items()}


class TestRuntimes:
    """One graph for all."""

    @pytest.mark.parametrize('name', KINDS)
    @pytest.mark.parametrize('backend', ['torch', 'openvino'])
    def test_equal_to_the_export(self, directories, name, backend) -> None:
        """The export itself has compared ONNX Runtime with PyTorch."""
        if backend == 'openvino':
            pytest.importorskip('openvino', reason='OpenVINO is in the extra [openvino]')
        model = directories[name]
        assert model.info.tasks == {'semantic', 'depth'}
        assert list(model.info.graph_outputs()) == ['segment_index', 'depth', 'segments']
        report = compare(create_backend(backend, model), model.load_self_test())
        assert report.equal_ids > 0.999 and report.depth_error < 1e-3

    @pytest.mark.tensorrt
    @pytest.mark.parametrize('name', KINDS)
    def test_built_by_tensorrt(self, directories, name) -> None:
        built = build_engine(read_graph(directories[name]), rtx_library(), target='sm_86')
        assert len(built.engine) > 1_000_000


class TestCommands:
    """As a user meets a model of semantics and depth without instances."""

    def test_predict_lists_regions_where_asked(self, directories, pictures, tmp_path,
                                               capsys) -> None:
        (tmp_path / 'regions.yaml').write_text('distance: {include_stuff: true}')
        arguments = ['predict', str(pictures), '-m', str(directories['default'].path), '--fx',
                     str(FX), '--bag']
        assert main([*arguments, '-o', str(tmp_path / 'plain')]) == 0
        assert 'Nearest' not in capsys.readouterr().out
        assert not (tmp_path / 'plain/instances.jsonl').exists()
        assert main([*arguments, '-o', str(tmp_path / 'out'), '-c',
                     str(tmp_path / 'regions.yaml')]) == 0
        assert 'Nearest regions of frame c' in capsys.readouterr().out
        lines = (tmp_path / 'out/instances.jsonl').read_text().splitlines()
        assert len(lines) == 3
        for record in map(json.loads, lines):
            assert record['instances']
            assert {i['instance_id'] for i in record['instances']} == {0}
            assert all(i['distance'] > 0 and not i['track_id'] >= 0 for i in record['instances'])
            assert len({i['class_name'] for i in record['instances']}) == len(record['instances'])

    def test_predict_and_evaluate_bag(self, directories, pictures, tmp_path) -> None:
        model = str(directories['default'].path)
        assert main(['predict', str(pictures), '-m', model, '-o', str(tmp_path / 'out'), '--fx',
                     str(FX), '--formats', 'panoptic,depth_npy,overlay,bag']) == 0
        depth = np.load(tmp_path / 'out/depth_npy/a.npy')
        assert depth.shape == (48, 96) and np.isfinite(depth).any()
        assert main(['evaluate-bag', str(tmp_path / 'out/bag'), '-m', model, '-o',
                     str(tmp_path / 'report')]) == 0
        report = json.loads((tmp_path / 'report/report.json').read_text())
        assert report['bags'][0]['frames'] == 3

    def test_evaluate(self, directories, tmp_path) -> None:
        write_frames(tmp_path / 'dvps', tmp_path / 'results', 2, (48, 96))
        assert main(['evaluate', '-d', 'cityscapes_dvps', str(tmp_path / 'dvps'), '-m',
                     str(directories['default'].path), '-o', str(tmp_path / 'out')]) == 0
        found = json.loads((tmp_path / 'out/evaluation.json').read_text())
        assert found['depth']['pooled']['pixels'] > 0 and found['depth']['pooled']['abs_rel'] > 0
        assert found['semantic'] is not None
        assert found['distance'] is None and found['depth_aware_quality'] is None
