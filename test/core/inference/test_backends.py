# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Every backend of the table keeps the contract; wrong graphs, options and outputs are refused."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace

import numpy as np
import panoptic_depth_core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from panoptic_depth_core.contract import COLUMN, SEGMENT_COLUMNS, GraphOutput
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference import backends
from panoptic_depth_core.inference.backends import (
    BACKENDS,
    backend_options,
    check_output,
    chosen_backend,
    create_backend,
    parse_backend,
    tensorrt_backend,
)
from panoptic_depth_core.inference.backends.tensorrt_backend import usable
from panoptic_depth_core.inference.segments import assemble_segments
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.model_directory import ModelDirectory, save_model_directory


@pytest.fixture
def no_weights(monkeypatch, table):
    """Load the painted model as a PyTorch module, where its network would be rebuilt."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('torchvision')

    class Painted(torch.nn.Module):

        def __init__(self, info):
            super().__init__()
            self.info = info
            self.table = torch.from_numpy(table)

        def forward(self, image, intrinsics, thresholds):
            assert not torch.is_grad_enabled()
            small = image[:, ::self.info.output_stride, ::self.info.output_stride]
            focal = intrinsics[:, 0] / self.info.canonical_focal_px
            return (small[..., 0], small[..., 1] * focal[:, None, None],
                    self.table[None] + 0 * thresholds.min())

    monkeypatch.setattr('panoptic_depth_core.network.torch_backend.load_graph',
                        lambda model: Painted(model.info))


def inputs(model, painted_image):
    info = model.info
    return {'image': painted_image(info.input_height, info.input_width),
            'intrinsics': np.array([100, 100, 31.5, 15.5], np.float32),
            'thresholds': info.thresholds.as_vector()}


@pytest.fixture(params=[*BACKENDS, 'auto'])
def name(request):
    """Name of a backend that can run on this machine."""
    if request.param in ('openvino', 'torch'):
        pytest.importorskip(request.param)
    if request.param == 'tensorrt' and (problem := usable()):
        pytest.skip(problem)
    return request.param


@pytest.mark.usefixtures('no_weights')
def test_run(name, painted_model, painted_image, table):
    backend = create_backend(name, painted_model, threads=1)
    given = inputs(painted_model, painted_image)
    image = given['image']
    output = backend.run(given)
    assert output.segment_index.dtype == np.uint8 and output.depth.dtype == np.float32
    np.testing.assert_array_equal(output.segment_index, image[::2, ::2, 0])
    # 100 px is twice the canonical focal length.
    np.testing.assert_array_equal(output.depth, image[::2, ::2, 1] * 2.0)
    np.testing.assert_array_equal(output.segments, table)
    check_output(output, painted_model.info, backend.name)
    report = painted_model.self_test(backend)
    assert report.backend == chosen_backend(name)
    backend.close()
    with pytest.raises(BackendError, match=f'{report.backend}: the backend is closed'):
        backend.run(given)


@pytest.mark.usefixtures('no_weights')
def test_wrong_inputs(name, painted_model, painted_image):
    backend = create_backend(name, painted_model)
    given = inputs(painted_model, painted_image)
    with pytest.raises(BackendError, match=r'image is uint8 \(1, 16, 64, 3\) .* takes uint8 '
                       r'\(1, 32, 64, 3\)'):
        backend.run({**given, 'image': given['image'][:16]})
    with pytest.raises(BackendError, match='intrinsics is float64'):
        backend.run({**given, 'intrinsics': given['intrinsics'].astype(float)})
    with pytest.raises(BackendError, match='thresholds is'):
        backend.run({**given, 'thresholds': given['thresholds'][:2]})
    with pytest.raises(BackendError, match="'pitch' is not given or not known: painted takes im"):
        backend.run({**given, 'pitch': np.zeros(1, np.float32)})


@pytest.mark.usefixtures('no_weights')
def test_wrong_options(name, painted_model):
    with pytest.raises(ConfigError, match=f"{chosen_backend(name)}: option 'fast_math' is not "
                       'known; known: '):
        create_backend(name, painted_model, fast_math=True)
    with pytest.raises(ConfigError, match="option 'watch' is not known"):
        create_backend(f'{name}:watch=1', painted_model)
    if 'threads' in backend_options(name):
        with pytest.raises(ConfigError, match='threads is 0; give 1 or more'):
            create_backend(name, painted_model, threads=0)


def test_options_written_with_the_name(painted_model):
    assert parse_backend('onnxruntime:providers=CPUExecutionProvider') == (
        'onnxruntime', {'providers': 'CPUExecutionProvider'})
    assert parse_backend('tensorrt:cuda_graph=false') == ('tensorrt', {'cuda_graph': False})
    create_backend('onnxruntime:threads=1:providers=CPUExecutionProvider', painted_model)


def test_options_of_torch_written_with_the_name():
    pytest.importorskip('torch')
    assert parse_backend('torch:device=cuda:threads=2') == (
        'torch', {'device': 'cuda', 'threads': 2})


@pytest.mark.parametrize(('problem', 'chosen'), [
    ('', 'tensorrt'), ('there is no NVIDIA driver', 'onnxruntime')])
def test_auto_is_tensorrt_where_it_can_run(problem, chosen, monkeypatch, caplog):
    monkeypatch.setattr(tensorrt_backend, 'usable', lambda: problem)
    monkeypatch.setattr(backends, '_automatic', backends._automatic.__wrapped__)
    caplog.set_level('INFO', logger='panoptic_depth_core')
    assert chosen_backend('auto') == chosen
    assert chosen in caplog.text and problem in caplog.text


def test_a_system_without_posix_modules_has_the_other_backends(monkeypatch):
    """Engines are locked and owned as POSIX has it; nothing else needs that."""
    # Imported again, they become attributes of their packages as well.
    for package, name in ((panoptic_depth_core, 'engines'), (panoptic_depth_core, 'locks'),
                          (backends, 'tensorrt_backend')):
        monkeypatch.setattr(package, name, getattr(package, name))
    for name in [name for name in sys.modules if name.startswith((
            'panoptic_depth_core.engines', 'panoptic_depth_core.locks'))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, tensorrt_backend.__name__)
    monkeypatch.setitem(sys.modules, 'fcntl', None)
    monkeypatch.setattr(backends, '_automatic', backends._automatic.__wrapped__)
    assert chosen_backend('auto') == 'onnxruntime'
    with pytest.raises(BackendError, match='tensorrt cannot be imported: .*fcntl'):
        parse_backend('tensorrt')


@pytest.mark.parametrize(('spec', 'words'), [
    ('abacus', "'abacus' is not known; choose auto, onnxruntime, "),
    ('', "'' is not known"),
    ('onnxruntime:precision=int8', "onnxruntime: option 'precision' is not known; known: threads"),
    ('onnxruntime:threads', 'threads has no value; write onnxruntime:threads=VALUE'),
    ('onnxruntime:threads=many', "threads is 'many': .*integer"),
    ('openvino:precision=int4', "precision is 'int4': .*'float32' or 'bfloat16'"),
])
def test_wrong_names(spec, words, painted_model):
    with pytest.raises(ConfigError, match=words):
        create_backend(spec, painted_model)


@pytest.mark.parametrize('missing', ['torch', 'onnx'])
def test_torch_not_installed(painted_model, monkeypatch, missing):
    if missing == 'torch':
        name = 'panoptic_depth_core.network.torch_backend'
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BackendError, match=r"pip install 'panoptic-depth\[export\]'"):
        create_backend('torch', painted_model)


@pytest.mark.usefixtures('no_weights')
def test_torch_device_that_is_not_there(painted_model):
    pytest.importorskip('torch')
    from panoptic_depth_core.network.torch_backend import TorchBackend

    with pytest.raises(BackendError, match="device 'warp9' cannot be used"):
        TorchBackend(painted_model, device='warp9')


@pytest.mark.usefixtures('no_weights')
def test_torch_modes(painted_model, painted_image):
    pytest.importorskip('torch')
    given = inputs(painted_model, painted_image)
    eager = create_backend('torch', painted_model).run(given)
    with pytest.raises(ConfigError, match="mode 'cuda_graph' needs a GPU, but device is 'cpu'"):
        create_backend('torch:mode=cuda_graph', painted_model)
    if shutil.which('g++') is None:
        pytest.skip('torch.compile needs a C++ compiler: there is no g++')
    compiled = create_backend('torch:mode=compile', painted_model).run(given)
    np.testing.assert_array_equal(compiled.segment_index, eager.segment_index)
    np.testing.assert_array_equal(compiled.depth, eager.depth)


@pytest.mark.usefixtures('no_weights')
def test_torch_gpu_that_is_not_there(painted_model):
    torch = pytest.importorskip('torch')
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(BackendError, match="torch: device 'cuda' cannot be used"):
        create_backend('torch:device=cuda:mode=cuda_graph', painted_model)


@pytest.mark.slow
def test_torch_precision_is_judged_by_its_tolerance():
    pytest.importorskip('onnx')
    pytest.importorskip('torch')
    model = ModelDirectory.default()
    backend = create_backend('torch:precision=bfloat16', model)
    assert backend.precision == 'bfloat16'
    report = model.self_test(backend)
    assert report.depth_error > 1e-4, 'it is not float32'


def test_unknown_execution_provider(painted_model):
    with pytest.raises(ConfigError, match="provider 'Abacus' .* choose from .*CPUExecution"):
        create_backend('onnxruntime', painted_model, providers=['Abacus'])


def test_graph_that_is_none(tmp_path, make_info):
    model = save_model_directory(tmp_path, make_info(), b'not a graph')
    with pytest.raises(BackendError, match=r'model\.onnx: ONNX Runtime .* cannot load it'):
        create_backend('onnxruntime', model)


def test_graph_of_another_size(tmp_path, make_info, painted_onnx):
    graph = painted_onnx(make_info())
    model = save_model_directory(tmp_path, make_info(input_width=128), graph)
    with pytest.raises(ConfigError, match=r"input 'image' is uint8 \(1, 32, 64, 3\), but .* "
                       r'uint8 \(1, 32, 128, 3\); export the model again'):
        create_backend('onnxruntime', model)


def test_graph_without_an_output(tmp_path, make_info, painted_onnx):
    onnx = pytest.importorskip('onnx')
    graph = onnx.load_model_from_string(painted_onnx(make_info()))
    del graph.graph.output[1]
    model = save_model_directory(tmp_path, make_info(), graph.SerializeToString())
    with pytest.raises(ConfigError, match="output 'depth' is missing, the graph has segment_in"):
        create_backend('onnxruntime', model)


class TestCheckOutput:
    """Outputs that cannot be true do not pass."""

    @pytest.fixture
    def good(self, make_info, table):
        return GraphOutput(np.zeros((16, 32), np.uint8), np.ones((16, 32), np.float32), table)

    def refused(self, output, make_info, words):
        with pytest.raises(BackendError, match=words):
            check_output(output, make_info(), 'somewhere')

    def test_good(self, good, make_info):
        check_output(good, make_info(), 'somewhere')

    @pytest.mark.parametrize('value', [np.nan, np.inf])
    def test_depth_not_finite(self, good, make_info, value):
        good.depth[3, 4:6] = value
        self.refused(good, make_info, 'somewhere: depths are not finite; run the self')

    def test_shapes(self, good, make_info):
        self.refused(replace(good, depth=good.depth[:8]), make_info, r'depth has shape \(8, 32\)')
        self.refused(replace(good, segment_index=good.segment_index[0]), make_info,
                     'segment_index has shape')
        self.refused(replace(good, segments=good.segments[:, :5]), make_info,
                     r'segments has shape \(6, 5\), not \(rows, 6\)')

    @pytest.mark.parametrize('value', [19, -1, 2.5, 1e10, np.nan, np.inf])
    def test_unknown_class(self, good, make_info, value):
        good.segments[1, COLUMN['class_id']] = value
        self.refused(good, make_info, r'somewhere: a class id .* is none of 0\.\.18')

    def test_rows_that_are_not_valid_may_hold_anything(self, good, make_info):
        good.segments[5, 1:] = np.nan
        check_output(good, make_info(), 'somewhere')

    @pytest.mark.parametrize('name', ['valid', 'score', 'is_thing'])
    @pytest.mark.parametrize('value', [np.nan, np.inf])
    def test_other_columns(self, good, make_info, name, value):
        good.segments[1, COLUMN[name]] = value
        self.refused(good, make_info, f'{name} in output segments is not finite')

    def test_index_of_another_type(self, good, make_info):
        wide = replace(good, segment_index=good.segment_index.astype(np.int64))
        self.refused(wide, make_info, 'segment_index is int64, not uint8')

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_what_passes_has_segments(self, make_info, data):
        """Whatever a runtime returns: refused here, or segments with distances."""
        value = st.sampled_from(
            [0, 1, 0.5, -1, 2.5, 18, 19, 1e10, 2.0 ** 126, np.nan, np.inf, -np.inf])
        table = data.draw(hnp.arrays(np.float32, (4, len(SEGMENT_COLUMNS)), elements=value))
        index = data.draw(hnp.arrays(np.uint8, (16, 32), elements=st.sampled_from(
            [0, 1, 2, 3, 4, 255])))
        output = GraphOutput(index, np.ones((16, 32), np.float32), table)
        info = make_info()
        try:
            check_output(output, info, 'somewhere')
        except BackendError:
            return
        ids, segments = assemble_segments(index, table, info.class_infos(), label_divisor=1000,
                                          min_instance_pixels=1)
        assert {s.panoptic_id for s in segments} == {*np.unique(ids)} - {VOID_ID}
