# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""DepthLab as a user has it: exported, converted from the authors' files, run by every command."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the export needs the extra [export]')
pytest.importorskip('onnxscript', reason='the export needs the extra [export]')

from depthlab_files import write_deeplab, write_depthlab  # noqa: E402
from panoptic_depth_core.benchmark.evaluation import write_frames  # noqa: E402
from panoptic_depth_core.cli import main  # noqa: E402
from panoptic_depth_core.contract import COLUMN, SEGMENTATION, TASKS  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.export.onnx_export import (  # noqa: E402
    convert_checkpoint,
    export_model,
)
from panoptic_depth_core.inference.backends import create_backend  # noqa: E402
from panoptic_depth_core.inference.backends.tensorrt_backend import export_engines  # noqa: E402
from panoptic_depth_core.model_directory import ModelDirectory  # noqa: E402
from panoptic_depth_core.network import create_model, from_published  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription  # noqa: E402
from panoptic_depth_core.network.depthlab.grouping import PUBLISHED_RULES  # noqa: E402
from panoptic_depth_core.network.depthlab.network import FOCAL_PX  # noqa: E402
from panoptic_depth_core.network.torch_backend import load_graph  # noqa: E402
from tensorrt_graphs import rtx_library  # noqa: E402

TINY = {'context_width': 16, 'projection_widths': [16, 8], 'decoder_width': 16,
        'instance_width': 16, 'instance_head_width': 8}
SIZE = (64, 128)


@pytest.fixture(scope='module')
def exported(tmp_path_factory) -> Path:
    """Tiny random network whose heads say something, with things in it."""
    torch.manual_seed(3)
    model = create_model('depthlab', TINY)
    for head, size in ((model.semantic_head, 2.0), (model.depth_head, 0.3),
                       (model.center_head, 0.5), (model.offset_head, 2.0)):
        torch.nn.init.normal_(head[-1].weight, std=size)
    model.semantic_head[-1].bias.data[13] = 4.0
    path = tmp_path_factory.mktemp('depthlab') / 'model'
    export_model(model, path, ModelDescription(
        height=SIZE[0], width=SIZE[1], trained_focal_range_px=(60, 200)))
    return path


@pytest.mark.slow
def test_runtimes_agree(exported):
    model = ModelDirectory.load(exported)
    assert (model.info.network, model.info.tasks, model.info.depth_of) == (
        'depthlab', TASKS, 'pixels')
    truth = model.load_self_test().output
    things = truth.segments[truth.segments[:, COLUMN['valid']] > 0]
    assert things[:, COLUMN['is_thing']].any() and len(things) > 3, 'the test needs segments'
    assert (truth.depth > 0).all() and truth.depth.std() > 0.1
    for name in ('torch', 'onnxruntime', 'openvino'):
        if name == 'openvino':
            pytest.importorskip('openvino', reason='needs the extra [openvino]')
        report = model.self_test(create_backend(name, model))
        print(name, report)
        assert report.equal_ids > 0.999 and report.depth_error < 1e-3
    assert load_graph(model).network.settings.context_width == 16


@pytest.mark.slow
@pytest.mark.tensorrt
@pytest.mark.parametrize('rules', [{}, PUBLISHED_RULES.model_dump()], ids=['ours', 'published'])
def test_tensorrt_builds_it(rules, tmp_path):
    """At a usual size: of small maps it builds what it does not build of large ones."""
    rtx_library()
    model = export_model(create_model('depthlab', TINY, rules={**rules, 'output_stride': 2}),
                         tmp_path, ModelDescription(height=384, width=768))
    engines = export_engines(model, ['sm_86'])
    assert len(engines) == 1 and len(engines[0].engine) > 10_000


@pytest.mark.slow
def test_commands_run_it(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path / 'dvps', tmp_path / 'results', 2, SIZE)
    picture = next((tmp_path / 'dvps/video_sequence/val').glob('*_leftImg8bit.png'))
    assert main(['predict', str(picture), '-m', str(exported), '-o', 'out', '--fx', '100',
                 '--formats', 'instances,bag']) == 0
    assert json.loads((tmp_path / 'out/instances.jsonl').read_text())['instances'] is not None
    assert main(['evaluate', '-d', 'cityscapes_dvps', str(tmp_path / 'dvps'), '-m', str(exported),
                 '-o', 'report']) == 0
    assert json.loads((tmp_path / 'report/evaluation.json').read_text())['frames']
    assert main(['evaluate-bag', 'out/bag', '-m', str(exported), '-o', 'again']) == 0
    assert json.loads((tmp_path / 'again/report.json').read_text())['bags'][0]['frames'] == 1


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """Checkpoint of Panoptic-DepthLab."""
    path = tmp_path_factory.mktemp('published') / 'model_0009999.pth'
    write_depthlab(path)
    return path


@pytest.mark.slow
def test_checkpoint_of_the_authors_becomes_a_model(published, tmp_path):
    """Meters follow the focal length, unless the camera is unknown as it was to them."""
    assert main(['convert', str(published), '-o', str(tmp_path / 'm'), '--size', '64x128']) == 0
    model = ModelDirectory.load(tmp_path / 'm')
    info = model.info
    assert (info.network, info.tasks) == ('depthlab', TASKS)
    assert info.canonical_focal_px == pytest.approx(FOCAL_PX)
    assert info.thresholds.stuff_area == 1 / 1024
    assert (info.normalisation_mean, info.normalisation_std) == (
        (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert info.assembly_settings['form'] == 'published'
    inputs = dict(model.load_self_test().inputs)
    unknown = from_published(published, {'camera': 'unknown'}).eval()
    assert unknown.published_size == (512, 1024)
    for factor in (1, 2):
        camera = torch.tensor([factor * FOCAL_PX, factor * FOCAL_PX, 63.5, 31.5])
        inputs['intrinsics'] = camera.numpy()
        depth = create_backend('onnxruntime', model).run(inputs).depth
        with torch.inference_mode():
            output = unknown(torch.from_numpy(inputs['image'][None]), camera[None])
            theirs = unknown.assemble(output, torch.zeros(4))['depth'][0].numpy()
        assert np.allclose(depth, factor * theirs, rtol=1e-3), factor
    assert 10 < np.median(theirs) < 30
    cv2.imwrite(str(tmp_path / 'image.png'),
                np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8))
    assert main(['predict', str(tmp_path / 'image.png'), '-m', str(tmp_path / 'm'), '-o',
                 str(tmp_path / 'out'), '--fx', str(FOCAL_PX)]) == 0


@pytest.mark.slow
def test_checkpoint_of_panoptic_deeplab_has_no_depth(tmp_path, capsys):
    write_deeplab(tmp_path / 'model_final_bd324a.pkl')
    assert main(['convert', str(tmp_path / 'model_final_bd324a.pkl'), '-o', str(tmp_path / 'm'),
                 '--size', '64x128', '--output-stride', '1', '--max-things', '50']) == 0
    assert 'no depth' in capsys.readouterr().out
    model = ModelDirectory.load(tmp_path / 'm')
    assert model.info.tasks == SEGMENTATION
    assert model.self_test(create_backend('torch', model)).equal_ids > 0.999


def _without(weights, *prefixes):
    return {name: value for name, value in weights.items() if not name.startswith(prefixes)}


def _pickled(weights, path) -> None:
    path.write_bytes(pickle.dumps({'model': {name: value.numpy()
                                             for name, value in weights.items()}}))


def _saved(weights, path) -> None:
    torch.save({'model': weights}, path)


@pytest.mark.parametrize(('write', 'change', 'words'), [
    (_saved, lambda w: _without(w, 'ins_embed_head.offset_predictor'),
     'missing: ins_embed_head.offset_predictor.weight, ins_embed_head.offset_predictor.bias;'),
    (_pickled, lambda w: {**w, 'proposal_generator.x': torch.ones(1)},
     'unknown: proposal_generator.x'),
    (_saved, lambda w: {**w, 'sem_seg_head.predictor.bias': torch.zeros(133)},
     r'predictor.bias is \(133,\), not \(19,\)'),
    (_pickled, lambda w: {**w, 'depth_head.predictor.bias': torch.full((1,), torch.inf)},
     'not finite: depth_head.predictor.bias'),
    (_saved, lambda w: _without(w, 'ins_embed_head.'),
     'are of no known model; give one of: .*DepthLab'),
])
def test_wrong_files_are_refused(write, change, words, published, tmp_path):
    weights = torch.load(published, weights_only=True)['model']
    write(change(weights), tmp_path / 'model.file')
    with pytest.raises(ConfigError, match=f'model.file: .*{words}'):
        convert_checkpoint(tmp_path / 'model.file', tmp_path / 'out', SIZE)
    assert not (tmp_path / 'out').exists()
