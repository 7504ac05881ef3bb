# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The GPU's memory, streams and graphs through the real packages, on a driver without a GPU.

host_cuda.c is that driver; the packages call it in a process of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from host_cuda_scenarios import SCENARIOS
from panoptic_depth_core.engines.cuda import Device, bindings, find_gpu
from panoptic_depth_core.errors import BackendError

HERE = Path(__file__).parent


def has_driver() -> bool:
    try:
        find_gpu()
    except BackendError as error:
        return 'there is no NVIDIA driver' not in str(error)
    return True


def is_installed(package: str) -> bool:
    try:
        return find_spec(bindings.PACKAGES[package]) is not None
    except ImportError:
        return False


@pytest.fixture(scope='module')
def host_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the driver that has no GPU."""
    compiler = shutil.which('cc')
    if compiler is None:
        pytest.skip('no C compiler (cc)')
    folder = tmp_path_factory.mktemp('host_cuda')
    subprocess.run(
        [compiler, '-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC',
         f'-Wl,-soname,{bindings.DRIVER}', '-o', folder / bindings.DRIVER, HERE / 'host_cuda.c',
         '-ldl'], check=True, timeout=60)
    return folder


@pytest.fixture(scope='module', params=list(bindings.PACKAGES))
def results(request: pytest.FixtureRequest, host_library: Path) -> dict[str, str]:
    """What each scenario had to say through a package: nothing, when it went well."""
    if not is_installed(request.param):
        pytest.skip(f'{request.param} is not installed')
    path = os.pathsep.join([str(host_library), os.environ.get('LD_LIBRARY_PATH', '')])
    done = subprocess.run(
        [sys.executable, HERE / 'host_cuda_scenarios.py', request.param],
        env={**os.environ, 'LD_LIBRARY_PATH': path.rstrip(os.pathsep),
             'PYTHONPATH': os.pathsep.join([str(HERE.parents[2]),
                                            os.environ.get('PYTHONPATH', '')])},
        capture_output=True, text=True, timeout=120, check=False)
    said = dict(json.loads(line) for line in done.stdout.splitlines())
    missing = f'the process ended with {done.returncode}: {done.stderr[-2000:]}'
    found = {name: said.get(name, missing) for name in SCENARIOS}
    return found if done.returncode == 0 else dict.fromkeys(found, missing)


@pytest.mark.parametrize('scenario', SCENARIOS)
def test_on_the_host(scenario: str, results: dict[str, str]) -> None:
    """See the function of this name in host_cuda_scenarios.py."""
    problem = results[scenario]
    if problem.startswith('skip: '):
        pytest.skip(problem)
    assert not problem, problem


@pytest.mark.skipif(has_driver(), reason='there is an NVIDIA driver')
def test_a_missing_driver_is_named() -> None:
    """Before any package is imported, as they say less."""
    with pytest.raises(BackendError, match=r'no NVIDIA driver: libcuda\.so\.1.*onnxruntime'):
        Device()


def test_how_to_install_a_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names what is there and broken, too."""
    monkeypatch.setattr(bindings, 'PACKAGES', {'pycuda': 'package_that_is_not.driver'})
    with pytest.raises(BackendError, match='no package for CUDA is installed; run: pip install'):
        bindings.import_package()


def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next one is tried; where there is none, the reason is said."""
    (tmp_path / 'broken_cuda_package.py').write_text('raise OSError("libcuda is too old")')
    monkeypatch.syspath_prepend(str(tmp_path))
    packages = {'pycuda': 'broken_cuda_package'}
    monkeypatch.setattr(bindings, 'PACKAGES', packages)
    with pytest.raises(BackendError, match='pycuda cannot be imported: libcuda is too old'):
        bindings.import_package()
    packages['cuda-python'] = 'json'
    assert bindings.import_package() == ('cuda-python', json)
