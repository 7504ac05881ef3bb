# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Engines for GPUs that are not here, built for real into the model directory."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.engines import BuildCancelled
from panoptic_depth_core.engines.cache import EngineCache
from panoptic_depth_core.engines.key import EngineKey
from panoptic_depth_core.engines.library import Library
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.backends.tensorrt_backend import export_engines
from panoptic_depth_core.model_directory import ModelDirectory, save_model_directory
from tensorrt_graphs import graph_of, rtx_library

TARGETS = ('sm_86', 'sm_120')


@pytest.fixture
def model(tmp_path: Path, make_info) -> ModelDirectory:
    """Model directory whose graph is built in no time; nothing else is asked of it here."""
    return save_model_directory(tmp_path / 'model', make_info(), graph_of('Relu', 'Softmax'))


@pytest.mark.tensorrt
def test_engines_of_two_targets(model: ModelDirectory) -> None:
    """Each lies in the model directory, for any GPU of its target, and for this user alone."""
    library = rtx_library()
    told: list[tuple[float, str]] = []
    engines = export_engines(model, TARGETS, watch=lambda share, what: told.append((
        share, what)) or True)
    folder = model.path / 'engines'
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for target, stored in zip(TARGETS, engines, strict=True):
        key = stored.key
        assert key.target == target
        assert (key.gpu, key.driver, key.cuda) == ('any', 'any', 'any')
        assert (key.library, key.library_version) == (library.name, library.version)
        assert stored.path.parent == folder
        assert stored.path.name.startswith(f'painted-{target}-tensorrt_rtx{library.version}-')
        assert stored.path.read_bytes() == stored.engine
        assert not stored.is_tested
    assert engines[0].engine != engines[1].engine
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert {what.partition(': ')[0] for share, what in told if share > 0.5} == {'sm_120'}


@pytest.mark.tensorrt
def test_what_fits_is_kept(model: ModelDirectory) -> None:
    """An engine is built once, and anew for another limit of memory."""
    first = export_engines(model, TARGETS[:1])[0]
    asked: list[str] = []

    def watch(share: float, what: str) -> bool:
        asked.append(what)
        return True

    assert export_engines(model, TARGETS[:1], watch=watch)[0].record == first.record
    assert not asked
    other = export_engines(model, TARGETS[:1], workspace_mib=64, watch=watch)[0]
    assert other.path != first.path and asked


@pytest.mark.tensorrt
def test_a_robot_finds_it(model: ModelDirectory) -> None:
    """The key of a GPU that has the target leads to the engine."""
    library = rtx_library()
    stored = export_engines(model, TARGETS[:1])[0]
    key = EngineKey.of(model, library.name, library.version, '8.6', gpu='NVIDIA GeForce RTX 3060',
                       driver='580.65', cuda='13.0')
    found = EngineCache(model.path / 'engines').load(key.portable())
    assert found is not None and found.engine == stored.engine


@pytest.mark.tensorrt
def test_targets_are_checked_first(model: ModelDirectory) -> None:
    """Nothing is built where one of them is unknown."""
    rtx_library()
    with pytest.raises(ConfigError, match="target 'sm_90': .* it builds for sm_75"):
        export_engines(model, ['sm_86', 'sm_90'])
    assert not (model.path / 'engines').exists()


@pytest.mark.tensorrt
def test_what_was_built_before_stays(model: ModelDirectory) -> None:
    """Cancelling the second build leaves the first engine and nothing of the second."""
    rtx_library()
    with pytest.raises(BuildCancelled):
        export_engines(model, TARGETS, watch=lambda share, what: share < 0.6)
    names = [path.name for path in (model.path / 'engines').glob('*.engine')]
    assert len(names) == 1 and 'sm_86' in names[0]


@pytest.mark.tensorrt
def test_graph_that_cannot_be_built(tmp_path: Path, make_info) -> None:
    """The error names the file and the node, and nothing is stored."""
    rtx_library()
    model = save_model_directory(tmp_path / 'model', make_info(), graph_of('Relu', 'Det'))
    with pytest.raises(BackendError, match=r"^model.onnx: .* node 'det' \(Det\)"):
        export_engines(model, TARGETS)
    assert not list((model.path / 'engines').glob('*.engine'))


def test_full_tensorrt_needs_its_gpu(model: ModelDirectory) -> None:
    """It builds for the GPU that is here, which is another command."""
    with pytest.raises(ConfigError, match='tensorrt 10.3.0 builds for the GPU of the machine'):
        export_engines(model, TARGETS, Library(None, 'tensorrt', '10.3.0'))


@pytest.mark.tensorrt
def test_command(model: ModelDirectory, tmp_path: Path, capsys) -> None:
    """A copy of the model gets an engine for each target, and says where."""
    rtx_library()
    out_dir = tmp_path / 'robot'
    assert main(['export', str(model.path), '-o', str(out_dir), '--target', 'sm_86, sm_120']) == 0
    shown = capsys.readouterr().out
    for stored in export_engines(ModelDirectory.load(out_dir), TARGETS):
        assert f'{stored.path}: ' in shown
    assert len(list((out_dir / 'engines').glob('*.engine'))) == 2
    assert not (model.path / 'engines').exists()


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--target', ','], '--target is empty; give a compute capability, such as sm_86'),
    pytest.param(['--target', 'sm_86,sm_90'], "target 'sm_90': tensorrt_rtx",
                 marks=pytest.mark.tensorrt),
])
def test_command_refuses(model: ModelDirectory, arguments: list[str], words: str, capsys) -> None:
    """One line says what is wrong."""
    if 'sm_86' in arguments[-1]:
        rtx_library()
    out_dir = model.path.parent / 'out'
    assert main(['export', str(model.path), '-o', str(out_dir), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not out_dir.exists()


@pytest.mark.tensorrt
@pytest.mark.skipif(Path('/proc/driver/nvidia/version').exists(), reason='there is a GPU')
def test_command_for_this_machine(model: ModelDirectory, tmp_path: Path, capsys) -> None:
    """Where there is no GPU, --engine says so; the model directory is there all the same."""
    rtx_library()
    out_dir = tmp_path / 'robot'
    assert main(['export', str(model.path), '-o', str(out_dir), '--engine']) == 2
    assert re.search('NVIDIA (driver|GPU)', capsys.readouterr().err)
    assert ModelDirectory.load(out_dir).info == model.info
