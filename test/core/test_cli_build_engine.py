# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
``build-engine`` as its user meets it, on a machine with or without TensorRT and a GPU.

The backend of these tests takes the options of the real one and keeps its engines in the real
cache; only what would be built is a few bytes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.contract import Arrays, GraphOutput
from panoptic_depth_core.engines import BuildCancelled, BuiltEngine
from panoptic_depth_core.engines.cache import BuildPolicy, EngineCache
from panoptic_depth_core.engines.key import EngineKey
from panoptic_depth_core.inference.backends import BACKENDS, Backend
from panoptic_depth_core.inference.backends.tensorrt_backend import TensorRtBackend
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.self_test import SelfTestReport
from panoptic_depth_core.status import Watch

CONTROL_C_WHILE_BUILDING = 512
"""Value of workspace_mib at which this process is interrupted."""


class SmallEngineBackend(Backend):
    """Stores an engine of a few bytes; its steps end when the watch says so."""

    name = 'tensorrt'

    def __init__(self, model: ModelDirectory, *, device_id: int = -1, cache_dir: str = '',
                 build_policy: BuildPolicy = 'auto', workspace_mib: int = 0, library: str = '',
                 watch: Watch | None = None) -> None:
        def build(timing_cache: bytes, watch: Watch) -> BuiltEngine:
            for step in range(4):
                if workspace_mib == CONTROL_C_WHILE_BUILDING and step == 1:
                    os.kill(os.getpid(), signal.SIGINT)
                if not watch(step / 4, 'a step'):
                    raise BuildCancelled('cancelled')
            return BuiltEngine(os.urandom(1000))

        key = EngineKey.of(model, library or 'tensorrt', '10.3.0', '8.7', gpu=f'Orin {device_id}',
                           driver='540.4', cuda='12.6', workspace_mib=workspace_mib)
        cache = EngineCache(cache_dir or None)
        self.engine_key = key.name
        if not cache.obtain(key, build, build_policy, watch).is_tested:
            cache.set_tested(key, SelfTestReport('tensorrt', 0.9998, 1e-4))

    def run(self, inputs: Arrays) -> GraphOutput:
        """Is not called here."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to give back."""


Command = Callable[..., int]


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """Cache that the command uses."""
    return EngineCache(tmp_path / 'engines')


@pytest.fixture
def command(painted_model: ModelDirectory, cache: EngineCache) -> Command:
    """Return build-engine for the painted model, with more arguments."""
    return lambda *more: main(['build-engine', '-m', str(painted_model.path), '--cache-dir',
                               str(cache.directory), *more])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend of these tests in place of TensorRT."""
    monkeypatch.setitem(BACKENDS, 'tensorrt', f'{__name__}:SmallEngineBackend')


def engines(cache: EngineCache) -> list[bytes]:
    """Engines that are there."""
    return [path.read_bytes() for path in sorted(cache.directory.glob('*.engine'))]


@pytest.mark.usefixtures('small')
def test_builds_once_and_anew_when_forced(command: Command, cache: EngineCache,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert command() == 0
    (first,) = engines(cache)
    said = capsys.readouterr()
    assert 'painted: engine painted-sm_87-tensorrt10.3.0-' in said.out
    assert 'a step' in said.err
    assert command() == 0
    assert engines(cache) == [first]
    assert command('--force') == 0
    (second,) = engines(cache)
    assert second != first


@pytest.mark.usefixtures('small')
def test_check_says_what_differs(command: Command, cache: EngineCache,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert command('--check') == 2
    assert 'has no engine of painted; build one with `panoptic-depth' in capsys.readouterr().err
    assert not cache.directory.exists()
    assert command() == 0
    assert command('--check') == 0
    assert ' fits\n' in capsys.readouterr().out
    assert command('--check', '--device', '1') == 2
    assert 'differs in gpu: stored Orin -1, wanted Orin 1;' in capsys.readouterr().err
    assert command('--check', '--workspace-mib', '64') == 2
    assert 'options.workspace_mib: stored 0, wanted 64;' in capsys.readouterr().err
    assert command('--check', '--backend-library', 'tensorrt_rtx') == 2
    assert 'library: stored tensorrt, wanted tensorrt_rtx;' in capsys.readouterr().err
    assert len(engines(cache)) == 1


@pytest.mark.usefixtures('small')
def test_an_interrupted_build_leaves_nothing(command: Command, cache: EngineCache,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    assert command('--workspace-mib', str(CONTROL_C_WHILE_BUILDING)) == 128 + signal.SIGINT
    assert 'Interrupted; the engine is not stored.' in capsys.readouterr().out
    assert engines(cache) == []


@pytest.mark.usefixtures('small')
def test_list_shows_the_cache(command: Command, cache: EngineCache, painted_model: ModelDirectory,
                              capsys: pytest.CaptureFixture[str]) -> None:
    assert command('--list') == 0
    assert capsys.readouterr().out == f'No engine in {cache.directory}\n'
    assert command() == command('--device', '1') == 0
    rejected = EngineKey.of(painted_model, 'tensorrt', '10.3.0', '8.7', gpu='Orin 1',
                            driver='540.4', cuda='12.6')
    cache.set_aside(rejected, '12 % of the ids are equal')
    (cache.directory / 'odd.engine').write_bytes(b'?')
    capsys.readouterr()
    assert command('--list') == 0
    lines = capsys.readouterr().out.splitlines()
    assert f'Engines in {cache.directory}' in lines[0]
    rows = {row.split()[0]: ' '.join(row.split()) for row in lines[1:]
            if row.strip()}
    assert {'engine', 'odd', rejected.name} < set(rows) and len(rows) == 5
    assert rows['odd'].endswith('0.0 it has no description')
    assert rows[rejected.name].endswith('99.980 % 0.0001 set aside: 12 % of the ids are equal')
    (good,) = (row for name, row in rows.items() if name.startswith('painted')
               and name != rejected.name)
    assert ' Orin -1 540.4 0.0 20' in good and good.endswith(' 99.980 % 0.0001 good')


def test_prune_says_what_it_removes(command: Command, cache: EngineCache,
                                    painted_model: ModelDirectory,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    gone = EngineKey.of(painted_model, 'tensorrt', '10.3.0', '8.7').model_copy(
        update={'system': 'plan9 mips'})
    cache.store(gone, b'plan')
    size = sum(path.stat().st_size for path in cache.directory.iterdir())
    assert command('--prune') == 0
    said = capsys.readouterr().out
    assert f'{gone.name}: removed {size} bytes; ' in said
    assert 'system: stored plan9 mips, wanted ' in said
    assert f'{cache.directory}: 1 removed, {size} bytes in all' in said
    assert not cache.path(gone).exists()


def test_prune_by_age(command: Command, cache: EngineCache, painted_model: ModelDirectory,
                      monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr('panoptic_depth_core.engines.cuda.visible_gpus', list)
    key = EngineKey.of(painted_model, 'another_library', '1', '8.7')
    cache.store(key, b'plan')
    assert command('--prune', '--older-than', '1') == 0
    assert cache.load(key) is not None
    assert command('--prune', '--older-than', '0') == 0
    assert 'bytes; it was built 0 days ago' in capsys.readouterr().out
    assert cache.load(key) is None
    assert command('--older-than', '1') == 2
    assert '--older-than goes with --prune; give both' in capsys.readouterr().err


def test_options_that_exclude_each_other(command: Command,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    assert command('--check', '--force') == 2
    assert '--check and --force exclude each other; give one of them' in capsys.readouterr().err


def test_options_are_those_of_the_backend() -> None:
    """What stands in for it here takes nothing that TensorRT does not take."""
    import inspect
    real = inspect.signature(TensorRtBackend).parameters
    for name, parameter in inspect.signature(SmallEngineBackend).parameters.items():
        assert (parameter.annotation, parameter.default) == (
            real[name].annotation, real[name].default)


WITHOUT = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('tensorrt', 'tensorrt_rtx', 'pycuda', 'cuda'):
            raise ModuleNotFoundError('blocked', name=name)
sys.meta_path.insert(0, Block())
from panoptic_depth_core.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(('arguments', 'code', 'words'), [
    (['--list'], 0, 'Engines in '), (['--prune'], 0, ' removed, '),
    ([], 2, 'tensorrt is not installed'), (['--check'], 2, 'tensorrt is not installed')])
def test_without_tensorrt(arguments: list[str], code: int, words: str, cache: EngineCache,
                          painted_model: ModelDirectory, repository: Path) -> None:
    """The cache can be looked at and cleaned anywhere; what to install is said otherwise."""
    key = EngineKey.of(painted_model, 'tensorrt', '10.3.0', '8.7')
    cache.store(key, b'plan')
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT, 'build-engine', '-m', str(painted_model.path),
         '--cache-dir', str(cache.directory), *arguments],
        cwd=repository, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
