# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The exported graph against PyTorch: trained weights, three sizes, full and empty scenes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the export needs the extra [export]')
pytest.importorskip('onnxscript', reason='the export needs the extra [export]')

from panoptic_depth_core.config import Thresholds  # noqa: E402
from panoptic_depth_core.contract import COLUMN, NO_SEGMENT  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.export.onnx_export import export_model, round_to_half  # noqa: E402
from panoptic_depth_core.inference.backends import create_backend  # noqa: E402
from panoptic_depth_core.inference.preprocess import graph_inputs  # noqa: E402
from panoptic_depth_core.model_directory import ModelDirectory  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription, describe  # noqa: E402
from panoptic_depth_core.network.torch_backend import load_graph  # noqa: E402

SCENES = {
    'full': Thresholds(),
    'no thing': Thresholds(score=1.0),
    'no stuff': Thresholds(stuff_area=1.0),
    'nothing': Thresholds(score=1.0, stuff_area=1.0),
    'all void': Thresholds(void=1.0),
}


def _street(width: int, height: int):
    """Synthetic frame where the renderer is installed, else a picture of soft shapes."""
    from panoptic_depth_core.structures import Frame, Intrinsics
    try:
        from panoptic_depth_core.datasets.synthetic import SyntheticScenes
        return SyntheticScenes(1, 11)[0].frame
    except ConfigError:
        rng = np.random.default_rng(0)
        image = np.kron(rng.integers(0, 255, (height // 32, width // 32, 3), dtype=np.uint8),
                        np.ones((32, 32, 1), np.uint8))
        return Frame(image, Intrinsics.from_focal(0.6 * width, width, height))


@pytest.mark.slow
@pytest.mark.parametrize(('height', 'width'), [(256, 512), (192, 640), (384, 768)])
def test_onnx_runtime_equals_torch_for_trained_weights(tmp_path, height, width):
    trained = load_graph(ModelDirectory.default())
    directory = export_model(trained.network, tmp_path,
                             ModelDescription(height=height, width=width))
    torch_backend = create_backend('torch', directory)
    onnx_backend = create_backend('onnxruntime', directory)
    frame = _street(width, height)
    for name, thresholds in SCENES.items():
        ours, reference = (b.run(graph_inputs(frame, directory.info, thresholds.as_vector())[0])
                           for b in (onnx_backend, torch_backend))
        equal = ours.segment_index == reference.segment_index
        assert equal.mean() >= 0.999, name
        error = np.abs(ours.depth / reference.depth - 1)[equal]
        assert error.max() <= 1e-3, name
        valid = reference.segments[:, COLUMN['valid']] > 0
        assert np.array_equal(ours.segments[:, COLUMN['valid']] > 0, valid), name
        assert np.allclose(ours.segments[valid], reference.segments[valid], atol=2e-3), name
        things = reference.segments[valid][:, COLUMN['is_thing']]
        if name in ('no thing', 'nothing'):
            assert not things.any()
        if name in ('nothing', 'all void'):
            assert (ours.segment_index == NO_SEGMENT).all()
        if name == 'full':
            assert valid.sum() >= 3


@pytest.fixture(scope='module')
def small():
    torch.manual_seed(1)
    return create_model('fast', {'pyramid_width': 16, 'head_width': 16, 'encoder_width': 16})


@pytest.mark.slow
def test_a_model_directory_rebuilds_its_network(small, tmp_path):
    # Unlike the default in every field that can be seen.
    small.configure({'candidates': 12, 'max_things': 5}, {}, 'test')
    directory = export_model(small, tmp_path, ModelDescription(
        height=64, width=128, weights_licence='CC0-1.0'))
    rebuilt = load_graph(ModelDirectory.load(tmp_path))
    for name, value in small.state_dict().items():
        assert torch.equal(rebuilt.network.state_dict()[name], value), name
    assert directory.info.weights_licence == 'CC0-1.0'
    graph = directory.onnx_path.read_bytes()
    assert b'File "' not in graph and b'.py"' not in graph, 'no paths of the exporter'
    assert directory.self_test(create_backend('torch', directory)).equal_ids >= 0.999


def test_what_its_card_says_is_in_model_json(small):
    info = describe(small, ModelDescription(
        height=64, width=128, description='Streets.', intended_use=('By day.',),
        known_limits=('No night.', 'No snow.')))
    again = type(info).model_validate_json(info.model_dump_json())
    assert (again.description, again.intended_use, again.known_limits) == (
        'Streets.', ('By day.',), ('No night.', 'No snow.'))
    assert again.parameters == sum(value.numel() for value in small.parameters()) > 1_000_000


def test_sizes_that_do_not_fit_are_refused(small, tmp_path):
    with pytest.raises(ConfigError, match='100x64; give multiples of 64'):
        export_model(small, tmp_path, ModelDescription(height=64, width=100))


def test_diverged_weights_are_refused():
    network = create_model('fast', {'pyramid_width': 16, 'head_width': 16,
                                      'encoder_width': 16})
    with torch.no_grad():
        network.fallback.bias[0] = 1e9
    with pytest.raises(ConfigError, match="'fallback.bias' is not finite or exceeds"):
        round_to_half(network)
