# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth convert``: published checkpoints as model directories that predict."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('torch', reason='the export needs the extra [export]')
pytest.importorskip('onnxscript', reason='the export needs the extra [export]')

import onnx
import torch
from golden import each_golden
from golden_published import golden_weights
from panoptic_depth_core.cli import main
from panoptic_depth_core.contract import COLUMN, SEGMENTATION, TASKS
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.export.onnx_export import convert_checkpoint
from panoptic_depth_core.inference.backends import create_backend
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.network.dynamic_kernels.assembly import assemble
from panoptic_depth_core.network.dynamic_kernels.kernels import KernelOutput
from panoptic_depth_core.network.panoptic_depth.network import (
    FOCAL_PX,
    PUBLISHED_ASSEMBLY,
    PublishedNetwork,
)
from panoptic_depth_core.network.weights import read_state_dict

EXACT = """
min_instance_pixels: 0
depth: {min_m: 0.0, max_m: 1000.0, sky_is_far: false}
"""


@pytest.mark.slow
@each_golden('network')
def test_golden_checkpoint_predicts_the_golden_result(path, tmp_path):
    """From the published file to files of results, by the commands alone."""
    golden = np.load(path)
    height, width = golden['image_bgr'].shape[:2]
    weights = golden_weights(int(golden['seed']))
    torch.save({'model': weights, 'iteration': 1, '__author__': 'test'}, tmp_path / 'model.pth')
    cv2.imwrite(str(tmp_path / 'image.png'), golden['image_bgr'])
    (tmp_path / 'exact.yaml').write_text(EXACT)
    model, out = tmp_path / 'model', tmp_path / 'out'
    assert main(['convert', str(tmp_path / 'model.pth'), '-o', str(model), '--size',
                 f'{height}x{width}', '--output-stride', '1', '--max-things', '200']) == 0
    info = ModelDirectory.load(model).info
    assert (info.network, info.opset, info.depth_of) == ('published', 19, 'segments')
    assert info.tasks == TASKS
    assert main(['predict', str(tmp_path / 'image.png'), '-m', str(model), '-o', str(out),
                 '--fx', str(FOCAL_PX), '-c', str(tmp_path / 'exact.yaml'),
                 '--formats', 'panoptic,depth_npy']) == 0
    entries = json.loads((out / 'panoptic.json').read_text())
    png = cv2.imread(str(out / 'panoptic' / 'image.png'))[..., ::-1].astype(int)
    ids = png @ [1, 256, 65536]
    segments = {s['id']: s['category_id'] for s in entries['annotations'][0]['segments_info']}
    classes = np.vectorize(lambda i: segments.get(i, 255))(ids)
    assert (classes == golden['semantic']).mean() > 0.999
    # Segments are numbered otherwise, so each is compared with the one that it covers best.
    pairs = np.stack([golden['panoptic_id'].astype(int).ravel(), ids.ravel()])
    counts = np.unique(pairs, axis=1, return_counts=True)
    best = {own: max(n for (_, o), n in zip(counts[0].T, counts[1], strict=True) if o == own)
            for own in segments}
    assert sum(best.values()) > 0.999 * ids.size
    error = np.abs(np.load(out / 'depth_npy' / 'image.npy') - golden['depth'])
    # Where offsets of hundreds of cells amplify rounding (see test_published.py), a centimeter.
    assert np.median(error) < 1e-4 and np.percentile(error, 99) < 0.05


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    """Segmentation only, of numpy arrays, offsets as small as trained ones."""
    path = tmp_path_factory.mktemp('published') / 'model_final.pth'
    weights = {name: (0.02 * value if 'offset_mask' in name else value).numpy()
               for name, value in golden_weights(3).items() if 'depth' not in name}
    torch.save({'model': weights}, path)
    return path


@pytest.mark.slow
def test_segmentation_checkpoint_with_other_operators(checkpoint, tmp_path, capsys):
    """grid_sample needs no opset 19; half the size; labels alone, and distances that are NaN."""
    assert main(['convert', str(checkpoint), '-o', str(tmp_path / 'm'), '--size', '64x128',
                 '--deformable', 'grid_sample', '--weights', 'float16',
                 '--weights-licence', 'Apache-2.0']) == 0
    assert 'no depth heads' in capsys.readouterr().out
    model = ModelDirectory.load(tmp_path / 'm')
    info = model.info
    assert (info.tasks, info.opset, info.weights_licence) == (SEGMENTATION, 18, 'Apache-2.0')
    assert list(info.graph_outputs()) == ['segment_index', 'segments']
    assert info.onnx_bytes < 80e6
    operators = {node.op_type for node in onnx.load(str(model.onnx_path)).graph.node}
    assert 'GridSample' in operators and 'DeformConv' not in operators
    # The torch backend rebuilds the network from the names in the graph.
    report = model.self_test(create_backend('torch', model))
    assert report.equal_ids > 0.999
    cv2.imwrite(str(tmp_path / 'image.png'),
                np.random.default_rng(0).integers(0, 255, (64, 128, 3), np.uint8))
    predict = ['predict', str(tmp_path / 'image.png'), '-m', str(tmp_path / 'm'), '-o',
               str(tmp_path / 'out'), '--fx', '100']
    assert main([*predict, '--formats', 'depth_npy,instances']) == 2
    assert 'depth_npy needs a model with the task depth' in capsys.readouterr().err
    assert main(predict) == 0
    assert not [path for path in (tmp_path / 'out').iterdir() if 'depth' in path.name]
    record = json.loads((tmp_path / 'out' / 'instances.jsonl').read_text())
    assert record['instances'], 'the test needs a thing'
    for instance in record['instances']:
        assert instance['distance'] is None and 'low_depth_support' in instance['flags']


def test_assembly_is_exported_as_it_is(tmp_path):
    """The published rules in ONNX Runtime give what they give in PyTorch, and with few cells."""
    ort = pytest.importorskip('onnxruntime')

    class Rules(torch.nn.Module):
        def forward(self, centers, regions, kernels, depths, mask, depth, limits):
            return assemble(KernelOutput(
                centers, regions, kernels, depths, mask, depth, torch.ones(1),
                depth_form='linear'), limits, PUBLISHED_ASSEMBLY)

    g = torch.Generator().manual_seed(1)
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]

    def levels(channels: int, scale: float = 1.0, shift: float = 0.0) -> list[torch.Tensor]:
        return [scale * torch.randn(1, channels, h, w, generator=g) + shift for h, w in sizes]

    inputs = (levels(8, 2.0, -2.0), levels(19, 2.0, -1.0), levels(16), levels(18),
              torch.randn(1, 16, 32, 48, generator=g), torch.randn(1, 16, 32, 48, generator=g),
              torch.tensor([0.2, 0.5, 0.001, 0.0]))
    expected = Rules()(*inputs)
    assert len(expected[0].unique()) > 8
    program = torch.onnx.export(Rules().eval(), inputs, dynamo=True, opset_version=18,
                                verbose=False)
    session = ort.InferenceSession(program.model_proto.SerializeToString(),
                                   providers=['CPUExecutionProvider'])
    flat = [t for value in inputs for t in (value if isinstance(value, list) else [value])]
    feed = {node.name: t.numpy() for node, t in zip(session.get_inputs(), flat, strict=True)}
    index, depth, table = session.run(None, feed)
    assert (index == expected[0].numpy()).mean() > 0.999
    assert np.nanpercentile(np.abs(depth - expected[1].numpy()), 99.9) < 1e-3
    owners = expected[2].numpy()[..., COLUMN['valid']] > 0
    assert np.allclose(table[owners], expected[2].numpy()[owners], atol=1e-3, equal_nan=True)
    assert not table[~owners][:, COLUMN['valid']].any()


def _pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({'model': {}}))


@pytest.mark.parametrize(('write', 'words'), [
    (lambda p: None, 'No such file'),
    (lambda p: p.write_bytes(b'not a checkpoint'), 'not a checkpoint of tensors or numpy'),
    (_pickled, 'holds a dict and no weights'),
    (lambda p: torch.save({'model': {'a': Path('/')}}, p), 'not a checkpoint of tensors'),
    (lambda p: torch.save([1, 2], p), 'holds a list and no weights'),
    (lambda p: torch.save({'model': {}}, p), 'holds a dict and no weights'),
    (lambda p: torch.save({'model': {'a': 3}}, p), "entry 'a' is a int, not a tensor"),
    (lambda p: torch.save({'model': {'a': torch.ones(1)}}, p),
     "its weights, such as 'a', are of no known model; give one of: model_final.pth of Pan"),
    (lambda p: torch.save({'model': {'a': torch.ones(1), 'kernel_head.b': torch.ones(1)}}, p),
     'no checkpoint of PanopticDepth.*missing: backbone.*unknown: a'),
])
def test_other_files_are_refused(write, words, tmp_path):
    path = tmp_path / 'model_final.pth'
    write(path)
    with pytest.raises(ConfigError, match=words) as caught:
        convert_checkpoint(path, tmp_path / 'out')
    assert str(path) in str(caught.value)
    assert not (tmp_path / 'out').exists()


def test_weights_may_lie_at_the_top(tmp_path):
    torch.save({'a': torch.ones(2), 'b': np.zeros(3, np.float32)}, tmp_path / 'w.pth')
    weights = read_state_dict(tmp_path / 'w.pth', '')
    assert weights['a'].tolist() == [1, 1] and weights['b'].shape == (3,)


@pytest.mark.parametrize(('option', 'words'), [
    (['--size', '100x200'], '200x100; give multiples of 64'),
    (['--deformable', 'magic'], "deformable is 'magic'"),
    (['--weights', 'int8'], "weight_type is 'int8'"),
    (['--output-stride', '3'], 'output_stride is 3'),
    (['--set', 'camera=unknown'], "unknown key 'camera'; known keys: "),
    (['--set', 'deformable'], "--set 'deformable': give KEY=VALUE"),
])
def test_wrong_options_are_named(checkpoint, option, words, tmp_path, capsys):
    assert main(['convert', str(checkpoint), '-o', str(tmp_path / 'out'), *option]) == 2
    assert words in capsys.readouterr().err


def test_thresholds_are_the_published_ones_at_every_size():
    thresholds = PublishedNetwork.published_description(512, 1024).thresholds
    assert thresholds.stuff_area * 512 * 1024 == pytest.approx(2048)
    assert (thresholds.score, thresholds.overlap, thresholds.void) == (0.2, 0.5, 0.0)
