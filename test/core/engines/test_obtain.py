# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""One build, however many ask; none where the policy forbids it."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

import pytest
from engine_keys import ENGINE, make_key, start, wait_until
from panoptic_depth_core.engines import BuildCancelled, BuiltEngine
from panoptic_depth_core.engines.cache import EngineCache
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.locks import try_lock
from panoptic_depth_core.self_test import SelfTestReport
from panoptic_depth_core.status import Watch

KEY = make_key()


class Builder:
    """Counts builds; the engine says which one it was."""

    def __init__(self) -> None:
        self.timing_caches: list[bytes] = []

    def __call__(self, timing_cache: bytes, watch: Watch) -> BuiltEngine:
        assert watch(0.5, 'building')
        self.timing_caches.append(timing_cache)
        number = len(self.timing_caches)
        return BuiltEngine(b'engine %d' % number, b'timings %d' % number)


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """Cache without engines."""
    return EngineCache(tmp_path / 'engines')


@pytest.mark.parametrize('policy', ['auto', 'only'])
def test_an_engine_is_built_once(policy: str, cache: EngineCache) -> None:
    build, told = Builder(), []
    first = cache.obtain(KEY, build, policy, lambda *news: told.append(news) or True)
    again = cache.obtain(KEY, build, policy)
    assert first == again
    assert (first.engine, first.key, first.is_tested) == (b'engine 1', KEY, False)
    assert build.timing_caches == [b''] and told == [(0.5, 'building')]


def test_force_builds_anew_with_what_was_measured(cache: EngineCache) -> None:
    build = Builder()
    cache.obtain(KEY, build)
    cache.set_aside(KEY, 'too far off')
    assert cache.obtain(KEY, build, 'force').engine == b'engine 2'
    assert cache.obtain(KEY, build).engine == b'engine 2'
    assert build.timing_caches == [b'', b'timings 1']
    assert cache.obtain(KEY, build, 'force').engine == b'engine 3'


def test_never_names_the_part_that_differs(cache: EngineCache) -> None:
    build = Builder()
    with pytest.raises(BackendError, match='no engine fits: .*has no engine of fast; build one '
                       'with `panoptic-depth build-engine`, or with the build policy auto'):
        cache.obtain(KEY, build, 'never')
    assert not cache.directory.exists()
    cache.obtain(KEY, build)
    assert cache.obtain(KEY, build, 'never').engine == b'engine 1'
    with pytest.raises(BackendError, match='differs in driver: stored 580.65, wanted 590.1; '):
        cache.obtain(make_key(driver='590.1'), build, 'never')
    assert len(build.timing_caches) == 1


@pytest.mark.parametrize('policy', ['auto', 'never', 'only'])
def test_a_rejected_engine_is_not_built_again(policy: str, cache: EngineCache) -> None:
    cache.store(KEY, ENGINE)
    cache.set_aside(KEY, 'too far off')
    build = Builder()
    with pytest.raises(BackendError, match='set aside: too far off; build it anew'):
        cache.obtain(KEY, build, policy)
    assert not build.timing_caches


def test_a_damaged_engine_is_built_again(cache: EngineCache) -> None:
    build = Builder()
    cache.obtain(KEY, build)
    cache.path(KEY).write_bytes(b'engine x')
    assert cache.obtain(KEY, build).engine == b'engine 2'


def test_a_failed_build_stores_nothing_and_frees_the_lock(cache: EngineCache) -> None:
    def fail(*_: object) -> BuiltEngine:
        raise BackendError('node 7 is not supported')

    for _ in range(2):
        with pytest.raises(BackendError, match='node 7'):
            cache.obtain(KEY, fail, watch=_not_to_wait)
    assert [path.suffix for path in cache.directory.iterdir()] == ['.lock']


def test_an_untrusted_folder_is_not_built_into(cache: EngineCache) -> None:
    cache.directory.mkdir(mode=0o777)
    cache.directory.chmod(0o777)
    build = Builder()
    with pytest.raises(ConfigError, match='others may use it'):
        cache.obtain(KEY, build)
    assert not build.timing_caches


def test_an_engine_built_ahead_of_time_is_copied(cache: EngineCache, tmp_path: Path) -> None:
    """The self-test of this machine is noted here, and nothing in the model's directory."""
    model = EngineCache(tmp_path / 'model')
    model.store(KEY.portable(), ENGINE)
    model.set_tested(KEY.portable(), SelfTestReport('tensorrt', 1, 0))
    before = {path: path.stat().st_mtime_ns for path in model.directory.iterdir()}
    build = Builder()
    stored = cache.obtain(KEY, build, 'never', alternatives=[model])
    assert (stored.engine, stored.key, stored.is_tested) == (ENGINE, KEY, False)
    assert stored.path.parent == cache.directory
    assert {path: path.stat().st_mtime_ns for path in model.directory.iterdir()} == before
    assert cache.obtain(KEY, build) == stored
    # Full TensorRT builds for one GPU, and another architecture is another engine.
    full = make_key(library='tensorrt')
    model.store(full.portable(), ENGINE)
    for key in (full, make_key(compute_capability='8.9')):
        with pytest.raises(BackendError, match='no engine fits'):
            cache.obtain(key, build, 'never', alternatives=[model])
    assert not build.timing_caches


def test_an_engine_built_ahead_of_time_may_be_in_the_cache(cache: EngineCache) -> None:
    cache.store(KEY.portable(), ENGINE)
    stored = cache.obtain(KEY, Builder(), 'never')
    assert (stored.engine, stored.key) == (ENGINE, KEY)


def test_an_alternative_that_is_not_to_be_trusted_is_passed_over(
        cache: EngineCache, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = EngineCache(tmp_path / 'model')
    model.store(KEY.portable(), ENGINE)
    model.directory.chmod(0o755)
    stored = cache.obtain(KEY, Builder(), alternatives=[model])
    assert stored.engine == b'engine 1'
    assert 'model is skipped: ' in caplog.text and 'chmod 700' in caplog.text


def _not_to_wait(done: float, what: str) -> bool:
    raise AssertionError(what)


BUILD_WHEN_TOLD = """
def build(timing_cache, watch):
    (folder / f'building {os.getpid()}').touch()
    while not (folder / 'go').exists():
        time.sleep(0.01)
    return BuiltEngine(b'engine %d' % os.getpid())

def watch(done, what):
    (folder / f'waiting {os.getpid()}').write_text(f'{done} {what}')
    return True

stored = cache.obtain(key, build, POLICY, watch)
print(stored.engine.decode())
"""


@pytest.mark.parametrize('policy', ['auto', 'force'])
def test_two_processes_build_once(policy: str, tmp_path: Path) -> None:
    code = BUILD_WHEN_TOLD.replace('POLICY', repr(policy))
    both = [start(code, tmp_path) for _ in range(2)]
    wait_until(lambda: list(tmp_path.glob('building *')) and list(tmp_path.glob('waiting *')))
    (builder,) = tmp_path.glob('building *')
    pid = builder.name.split()[1]
    (waiting,) = tmp_path.glob('waiting *')
    wait_until(lambda: f'nan waiting for process {pid}, which builds {KEY.name}'
               in waiting.read_text())
    (tmp_path / 'go').touch()
    said = [process.communicate(timeout=60) for process in both]
    assert [out for out, _ in said] == [f'engine {pid}\n'] * 2, said
    assert len(list(tmp_path.glob('building *'))) == 1


def test_a_builder_that_is_killed_leaves_nothing(tmp_path: Path, cache: EngineCache) -> None:
    process = start(BUILD_WHEN_TOLD.replace('POLICY', "'auto'"), tmp_path)
    wait_until(lambda: list(tmp_path.glob('building *')))
    handle = try_lock(cache.path(KEY, '.lock'))
    assert handle is None
    process.kill()
    process.communicate(timeout=60)
    assert [path.suffix for path in cache.directory.iterdir()] == ['.lock']
    assert cache.load(KEY) is None
    assert cache.obtain(KEY, Builder(), watch=_only_to_build).engine == b'engine 1'


def _only_to_build(done: float, what: str) -> bool:
    assert not math.isnan(done), what
    return True


def test_waiting_can_be_cancelled(cache: EngineCache) -> None:
    build, told = Builder(), []
    with cache.lock(KEY, _not_to_wait):
        def watch(done: float, what: str) -> bool:
            told.append(what)
            return len(told) < 3

        with pytest.raises(BuildCancelled, match=f'waiting for process {os.getpid()}, which '
                           f'builds {KEY.name}, was cancelled'):
            cache.obtain(KEY, build, watch=watch)
    assert len(told) == 3 and not build.timing_caches
    assert cache.obtain(KEY, build).engine == b'engine 1'


def test_two_threads_build_once(cache: EngineCache) -> None:
    build, found = Builder(), []
    threads = [threading.Thread(target=lambda: found.append(cache.obtain(KEY, build)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [stored.engine for stored in found] == [b'engine 1'] * 4
    assert len(build.timing_caches) == 1


def test_another_engine_does_not_wait(cache: EngineCache) -> None:
    with cache.lock(KEY, _not_to_wait):
        other = cache.obtain(make_key(gpu='other'), Builder(), watch=_only_to_build)
    assert other.engine == b'engine 1'


def test_a_link_in_place_of_a_lock_is_refused(cache: EngineCache, tmp_path: Path) -> None:
    cache.store(KEY, ENGINE)
    cache.path(KEY).unlink()
    (tmp_path / 'victim').write_text('kept')
    cache.path(KEY, '.lock').symlink_to(tmp_path / 'victim')
    with pytest.raises(ConfigError, match=r'\.lock: cannot be written: .*symbolic'):
        cache.obtain(KEY, Builder())
    assert (tmp_path / 'victim').read_text() == 'kept'
