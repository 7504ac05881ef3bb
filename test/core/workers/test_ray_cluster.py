# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The same on a real Ray cluster of two nodes on this machine, which the test starts and ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from misbehaving_jobs import NAMES, Job, Store, metric_values, run_job
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.evaluate_bags import run_bags
from panoptic_depth_core.workers import ray_cluster

REPOSITORY = Path(__file__).resolve().parents[3]

ENVIRONMENT = {
    'RAY_USAGE_STATS_ENABLED': '0',
    # Ray takes 127.0.0.1 for the address of this machine in the network, unless there are no
    # clusters on its system.
    'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0',
    'RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO': '0',
    'OMP_NUM_THREADS': '1',
    'PYTHONPATH': os.pathsep.join([str(REPOSITORY), str(Path(__file__).parent)]),
}


@pytest.fixture(scope='module')
def cluster() -> Iterator[str]:
    """Address of a cluster of two machines with two cores and one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.delenv('RAY_ADDRESS', raising=False)
        # Not pytest's folder: paths of sockets have at most 107 characters.
        folder = tempfile.mkdtemp(prefix='ray')
        patch.setenv('RAY_TMPDIR', folder)
        pytest.importorskip('ray', reason='ray is not installed (extra [ray])')
        from ray.cluster_utils import Cluster
        node = {'node_ip_address': '127.0.0.1', 'object_store_memory': 80_000_000,
                'include_dashboard': False}
        found = Cluster(initialize_head=True, head_node_args={'num_cpus': 2, **node})
        try:
            found.add_node(num_cpus=1, **node)
            yield found.address
        finally:
            found.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
        assert not processes_below(folder)


def processes_below(folder: str) -> list[str]:
    """Command lines of the processes that were started with a path of a folder."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = path.read_bytes().replace(b'\0', b' ').decode()
        except OSError:
            continue
        found += [line] if folder in line else []
    return found


def run(jobs: list[Job], store: Store, address: str, **kwargs) -> list:
    return list(run_bags(run_job, jobs, ray_address=address, **store.callbacks(), **kwargs))


@pytest.mark.slow
def test_what_recordings_do_to_a_cluster(cluster: str, jobs: list[Job], store: Store,
                                         tmp_path: Path) -> None:
    """One that is wrong, one that ends its process, one that does so once, and good ones."""
    own = Store(tmp_path / 'own')
    expected = metric_values(run_bags(run_job, [jobs[0], *jobs[3:]], **own.callbacks()))
    for job in jobs:
        (job.notes / job.name).unlink(missing_ok=True)
    jobs[0] = replace(jobs[0], does='is slow', frames=5)
    jobs[1] = replace(jobs[1], does='is wrong')
    jobs[2] = replace(jobs[2], does='is killed')
    jobs[3] = replace(jobs[3], does='is killed once')
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    parts = run(jobs, store, cluster)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert [part['name'] for part in parts] == list(NAMES)
    assert metric_values([parts[0], *parts[3:]]) == expected
    assert parts[1]['error'] == 'ConfigError: b: no image in it; give another one'
    assert parts[2]['error'].startswith('the worker that ran it failed twice: ')
    assert [len(set(job.runs())) for job in jobs] == [1, 1, 2, 2, 1]
    assert os.getpid() not in [job.runs()[0] for job in jobs]
    assert store.frames[0] == (5, 5)
    # Another run has nothing left to do but what failed.
    jobs[1:3] = [replace(job, does='works') for job in jobs[1:3]]
    again = run(jobs, store, cluster)
    assert not any('error' in part for part in again)
    assert [len(job.runs()) for job in jobs] == [1, 2, 3, 2, 1]


@pytest.mark.slow
def test_it_ends_when_it_is_told_to(cluster: str, jobs: list[Job], store: Store) -> None:
    jobs[1] = replace(jobs[1], does='never ends')
    parts = run(jobs, store, cluster,
                stopped=lambda: bool(jobs[1].runs()) and 'a' in store.kept)
    assert [part['name'] for part in parts] in ([], ['a'])
    pid, end = jobs[1].runs()[0], time.monotonic() + 10
    while Path(f'/proc/{pid}').exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f'/proc/{pid}').exists()


@pytest.mark.slow
def test_another_version_of_this_package(cluster: str, jobs: list[Job], store: Store,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, 'code_digest', lambda: 'another')
    parts = run(jobs[:1], store, cluster)
    assert 'has another version of panoptic-depth; all machines of the cluster need the same' in (
        parts[0]['error'])


@pytest.mark.parametrize('address', ['127.0.0.1', 'ray://', 'local:', '127.0.0.1:99999', ':6379'])
def test_what_is_no_address(address: str, jobs: list[Job], store: Store) -> None:
    pytest.importorskip('ray', reason='ray is not installed (extra [ray])')
    with pytest.raises(ConfigError, match=f'--ray {address}: is no address of a cluster; give'):
        run(jobs, store, address)


@pytest.mark.parametrize('scheme', ['', 'ray://'])
def test_nobody_is_there(scheme: str, jobs: list[Job], store: Store) -> None:
    pytest.importorskip('ray', reason='ray is not installed (extra [ray])')
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConfigError, match=f'--ray {scheme}127.0.0.1:{port}: cannot be reached: '
                                          'Connection refused; check that "ray start --head"'):
        run(jobs, store, f'{scheme}127.0.0.1:{port}')


def test_somebody_else_is_there(jobs: list[Job], store: Store,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would try for minutes."""
    pytest.importorskip('ray', reason='ray is not installed (extra [ray])')
    monkeypatch.setattr(ray_cluster, '_HEALTH_S', 1.5)
    with socket.create_server(('127.0.0.1', 0)) as server:
        stranger = threading.Thread(target=server.accept, daemon=True)
        stranger.start()
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f'127.0.0.1:{port}: what is there is no head node'):
            run(jobs, store, f'127.0.0.1:{port}')


def test_without_ray(jobs: list[Job], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ConfigError, match=r"ray is not installed; .*'panoptic-depth\[ray\]'"):
        run(jobs, store, '127.0.0.1:6379')
