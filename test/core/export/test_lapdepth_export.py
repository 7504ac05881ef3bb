# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""LapDepth as a model directory: every runtime, every command, and checkpoints of its authors."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the export needs the extra [export]')
pytest.importorskip('onnxscript', reason='the export needs the extra [export]')

from dataset_trees import write_nyu  # noqa: E402
from panoptic_depth_core.benchmark.evaluation import write_frames  # noqa: E402
from panoptic_depth_core.cli import main  # noqa: E402
from panoptic_depth_core.engines.build import build_engine, read_graph  # noqa: E402
from panoptic_depth_core.export.onnx_export import export_model  # noqa: E402
from panoptic_depth_core.inference.backends import create_backend  # noqa: E402
from panoptic_depth_core.model_directory import ModelDirectory, compare  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription  # noqa: E402
from panoptic_depth_core.network.lapdepth.checkpoint import (  # noqa: E402
    published_names,
)
from panoptic_depth_core.network.lapdepth.network import (  # noqa: E402
    PUBLISHED_SETTINGS,
    LapDepth,
)
from panoptic_depth_core.network.published_names import published_shape  # noqa: E402
from tensorrt_graphs import rtx_library  # noqa: E402

FX = 200.0
KINDS = {
    'default': {}, 'plain': {'laplacian': False},
    'published': {'norm': 'batch', 'output': 'sigmoid', 'flip_average': True}}


@pytest.fixture(scope='module')
def directories(tmp_path_factory) -> dict[str, ModelDirectory]:
    """A narrow model of each kind, with random weights."""
    torch.manual_seed(0)
    top = tmp_path_factory.mktemp('lapdepth')
    return {name: export_model(create_model('lapdepth', {'width': 64, **settings}), top / name,
                               ModelDescription(model_id=name, height=48, width=96))
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
        assert (model.info.tasks, list(model.info.graph_outputs())) == ({'depth'}, ['depth'])
        report = compare(create_backend(backend, model), model.load_self_test())
        assert report.depth_error < 1e-3

    @pytest.mark.tensorrt
    @pytest.mark.parametrize('name', KINDS)
    def test_built_by_tensorrt(self, directories, name) -> None:
        built = build_engine(read_graph(directories[name]), rtx_library(), target='sm_86')
        assert len(built.engine) > 100_000


class TestCommands:
    """As a user meets a model of depth alone."""

    def test_predict_and_evaluate_bag(self, directories, pictures, tmp_path, capsys) -> None:
        model = str(directories['default'].path)
        assert main(['predict', str(pictures), '-m', model, '-o', str(tmp_path / 'out'), '--fx',
                     str(FX), '--formats', 'depth_npy,overlay,bag']) == 0
        depth = np.load(tmp_path / 'out/depth_npy/a.npy')
        assert depth.shape == (48, 96) and np.isfinite(depth).all()
        # Half of the start of 12 m: the focal length is less than half of the canonical one.
        assert 2 < np.median(depth) < 9
        assert main(['evaluate-bag', str(tmp_path / 'out/bag'), '-m', model, '-o',
                     str(tmp_path / 'report')]) == 0
        report = json.loads((tmp_path / 'report/report.json').read_text())
        assert report['bags'][0]['frames'] == 3
        assert 'depth' in capsys.readouterr().out

    def test_evaluate(self, directories, tmp_path) -> None:
        write_frames(tmp_path / 'dvps', tmp_path / 'results', 2, (48, 96))
        assert main(['evaluate', '-d', 'cityscapes_dvps', str(tmp_path / 'dvps'), '-m',
                     str(directories['default'].path), '-o', str(tmp_path / 'out')]) == 0
        found = json.loads((tmp_path / 'out/evaluation.json').read_text())
        assert found['depth']['pooled']['pixels'] > 0 and found['depth']['pooled']['abs_rel'] > 0
        assert found['panoptic_quality'] is None and found['instances'] is None

    def test_evaluate_as_published(self, directories, tmp_path) -> None:
        """By the protocol of NYUv2, of data without classes."""
        write_nyu(tmp_path / 'nyu', frames=1, size=(480, 640), split='test')
        assert main(['evaluate', '-d', 'nyu', str(tmp_path / 'nyu'), '--split', 'test', '-m',
                     str(directories['published'].path), '--protocol', 'nyu', '-o',
                     str(tmp_path / 'out')]) == 0
        found = json.loads((tmp_path / 'out/evaluation.json').read_text())
        assert found['settings']['protocol'] == 'nyu'
        assert found['depth']['per_image']['abs_rel'] > 0


@pytest.mark.slow
@pytest.mark.parametrize('norm', ['batch', 'group'])
def test_convert(norm, tmp_path, capsys) -> None:
    """A file in the authors' format, from random weights, by the command alone."""
    torch.manual_seed(0)
    ours = LapDepth(PUBLISHED_SETTINGS.model_copy(update={'norm': norm})).state_dict()
    weights = {f'module.{name}': ours[to].reshape(published_shape(ours[to]))
               for name, to in published_names(norm).items()}
    torch.save(weights, tmp_path / 'best_model.pkl')
    assert main(['convert', str(tmp_path / 'best_model.pkl'), '-o', str(tmp_path / 'model'),
                 '--size', '64x96', '--output-stride', '1', '--set', 'max_depth_m=10',
                 '--weights-licence', 'unknown']) == 0
    assert '--fx FX, with the focal length of your camera' in capsys.readouterr().out
    info = ModelDirectory.load(tmp_path / 'model').info
    settings = info.network_settings
    assert (info.network, settings['norm'], settings['max_depth_m']) == ('lapdepth', norm, 10)
    assert (info.canonical_focal_px, info.tasks) == (519, {'depth'})
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    assert main(['predict', str(tmp_path / 'image.png'), '-m', str(tmp_path / 'model'), '-o',
                 str(tmp_path / 'out'), '--fx', '519', '--formats', 'depth_npy']) == 0
    found = np.load(tmp_path / 'out/depth_npy/image.npy')
    network = LapDepth.from_published(weights, 'test', {'max_depth_m': 10}).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(image[None, ..., ::-1].copy()),
                           torch.tensor([[519.0, 519.0, 47.5, 31.5]])).depth[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_wrong_file(tmp_path: Path, capsys) -> None:
    """Another one is refused in one line, and nothing is written."""
    torch.save({'module.decoder.decoder2_1_1_1_up4.conv.weight': torch.ones(60, 64, 3, 3)},
               tmp_path / 'a.pkl')
    assert main(['convert', str(tmp_path / 'a.pkl'), '-o', str(tmp_path / 'model')]) == 2
    said = capsys.readouterr().err
    assert 'a.pkl: no checkpoint of LapDepth' in said and 'missing: encoder.encoder.conv1' in said
    assert not (tmp_path / 'model').exists()
