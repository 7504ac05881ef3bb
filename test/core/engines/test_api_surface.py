# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What is used of TensorRT exists in every TensorRT that is here: the modules themselves are asked.

Of full TensorRT the module alone can be had without a GPU (the wheels tensorrt_cu*_bindings, which
`make test` puts into folders .venv/tensorrt-VERSION). It is imported in a process of its own, with
libraries in place of NVIDIA's that have its symbols and do nothing: they return null, as the real
ones do where there is no GPU.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tensorrt_graphs import rtx_library

ALL = {
    'Builder': 'build_serialized_network create_builder_config create_network',
    'BuilderFlag': 'TF32',
    'DataType': 'BOOL FLOAT HALF INT32 INT64 INT8 UINT8',
    'IBuilderConfig': 'clear_flag create_timing_cache get_timing_cache progress_monitor '
                      'set_memory_pool_limit set_timing_cache',
    'ICudaEngine': 'create_execution_context get_tensor_dtype get_tensor_mode get_tensor_name '
                   'get_tensor_shape num_io_tensors',
    'IExecutionContext': 'execute_async_v3 set_tensor_address',
    'ILogger': 'ERROR INTERNAL_ERROR WARNING log',
    'IProgressMonitor': 'phase_finish phase_start step_complete',
    'ITimingCache': 'serialize',
    'MemoryPoolType': 'WORKSPACE',
    'NetworkDefinitionCreationFlag': 'STRONGLY_TYPED',
    'OnnxParser': 'get_error num_errors parse',
    'ParserError': 'desc node_name node_operator',
    'Runtime': 'deserialize_cuda_engine',
    'TensorIOMode': 'INPUT OUTPUT',
}
"""Class -> what is used of it in both libraries."""

RTX = {
    'ComputeCapability': 'CURRENT',
    'CudaGraphStrategy': 'DISABLED',
    'IBuilderConfig': 'num_compute_capabilities set_compute_capability',
    'ICudaEngine': 'create_runtime_config',
    'IExecutionContext': 'is_stream_capturable',
    'IRuntimeCache': 'deserialize serialize',
    'IRuntimeConfig': 'create_runtime_cache cuda_graph_strategy set_runtime_cache',
}
"""Class -> what is used of TensorRT for RTX alone."""

NOT_TENSORRT = {'DEBUG', 'INFO', 'append', 'enqueue', 'logger', 'name', 'start'}
"""Names that Python, logging and this project use for other things as well."""

SYMBOLS = (
    'createInferBuilder_INTERNAL', 'createInferRefitter_INTERNAL', 'createInferRuntime_INTERNAL',
    'createNvOnnxParserRefitter_INTERNAL', 'createNvOnnxParser_INTERNAL',
    'getBuilderPluginRegistry', 'getNvOnnxParserVersion', 'getPluginRegistry',
    'initLibNvInferPlugins')
LIBRARIES = ('libnvinfer', 'libnvinfer_plugin', 'libnvonnxparser')

FULL = sorted(Path(sys.prefix).glob('tensorrt-*/tensorrt_bindings'))

ASK = """
import json, sys
import tensorrt_bindings
sys.modules['tensorrt'] = tensorrt_bindings
from panoptic_depth_core.engines.build import build_engine, progress_monitor
from panoptic_depth_core.engines.library import find_library
from panoptic_depth_core.errors import BackendError

library = find_library('tensorrt')
has = {name: [part for part in parts.split() if hasattr(
    getattr(library.module, name, None), part)] for name, parts in json.load(sys.stdin).items()}
with library.errors() as errors:
    library.logger.log(library.module.ILogger.ERROR, 'an error')
monitor = progress_monitor(library.module, lambda share, what: share < 0.5)
monitor.phase_start('all', None, 2)
try:
    build_engine(b'', library)
except BackendError as error:
    print(json.dumps({'version': library.version, 'targets': library.targets(), 'has': has,
                      'errors': errors, 'goes_on': monitor.step_complete('all', 0),
                      'failure': str(error)}))
"""


def used_names(source: str) -> set[str]:
    """Every attribute, text and function in a source."""
    kinds = {ast.Attribute: 'attr', ast.Constant: 'value', ast.FunctionDef: 'name'}
    return {str(getattr(node, kinds[type(node)])) for node in ast.walk(ast.parse(source))
            if type(node) in kinds}


@pytest.mark.tensorrt
def test_rtx_has_all() -> None:
    """Everything that is used is in TensorRT for RTX."""
    module = rtx_library().module
    for table in (ALL, RTX):
        for name, parts in table.items():
            missing = [part for part in parts.split() if not hasattr(getattr(module, name), part)]
            assert not missing, name


@pytest.mark.tensorrt
def test_lists_are_complete(repository: Path) -> None:
    """No source takes anything from TensorRT that is not in the lists above, which are used up."""
    module = rtx_library().module
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    known = {name for one in classes for name in (one.__name__, *vars(one))
             if not name.startswith('_')}
    listed = {name for table in (ALL, RTX) for key, parts in table.items()
              for name in (key, *parts.split())}
    core = repository / 'panoptic_depth_core'
    sources = [path.read_text(encoding='utf-8') for path in
               (*core.glob('engines/**/*.py'), core / 'inference/backends/tensorrt_backend.py')]
    # These have the module in their hands; others have names of their own that are alike.
    used = set().union(*(used_names(source) for source in sources
                         if re.search(r'\.module\b|\bmodule: Any', source)))
    assert (used & known) - NOT_TENSORRT <= listed
    members = {name for table in (ALL, RTX) for parts in table.values() for name in parts.split()}
    assert members <= used


@pytest.fixture(scope='session')
def empty_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of libraries that have the symbols of TensorRT 10 and 11 and do nothing."""
    compiler = shutil.which('cc')
    if compiler is None:
        pytest.skip('no C compiler (cc) for libraries in place of those of TensorRT')
    folder = tmp_path_factory.mktemp('tensorrt')
    source = folder / 'empty.c'
    source.write_text(''.join(f'void *{name}(void) {{ return 0; }}\n' for name in SYMBOLS))
    for name in LIBRARIES:
        for major in (10, 11):
            subprocess.run([compiler, '-shared', '-fPIC', '-o', folder / f'{name}.so.{major}',
                            source], check=True)
    return folder


@pytest.mark.parametrize('bindings', FULL or [pytest.param(None, marks=pytest.mark.skip(
    reason='no modules of full TensorRT in .venv/tensorrt-*; make test installs them where their '
    'wheels fit this Python'))], ids=lambda path: path.parent.name if path else 'none')
def test_full_tensorrt_has_all(bindings: Path, empty_libraries: Path, repository: Path) -> None:
    """The same code works with its classes, and says that there is no GPU."""
    answer = ask(bindings.parent, empty_libraries, repository)
    assert bindings.parent.name.endswith('.'.join(answer['version'].split('.')[:2]))
    assert answer['has'] == {name: parts.split() for name, parts in ALL.items()}
    assert answer['targets'] == []
    assert answer['errors'] == ['an error']
    assert answer['goes_on'] is False
    assert answer['failure'].startswith(
        f'tensorrt {answer["version"]} cannot build here: it finds no NVIDIA GPU or driver; check')


@pytest.mark.skipif(importlib.util.find_spec('tensorrt') is None,
                    reason='full TensorRT is not installed')
def test_installed_tensorrt_has_all() -> None:
    """Everything that is used is in the TensorRT that is installed."""
    tensorrt = pytest.importorskip('tensorrt', exc_type=ImportError)
    for name, parts in ALL.items():
        missing = [part for part in parts.split() if not hasattr(getattr(tensorrt, name), part)]
        assert not missing, name


def ask(bindings: Path, libraries: Path, repository: Path) -> dict[str, object]:
    """Ask a module of full TensorRT, in a process that has no other one."""
    done = subprocess.run(
        [sys.executable, '-c', ASK], input=json.dumps(ALL), capture_output=True, text=True,
        timeout=120, check=False,
        env={**os.environ, 'LD_LIBRARY_PATH': str(libraries),
             'PYTHONPATH': os.pathsep.join([str(bindings), str(repository)])})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
