# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Engines on the disk: found again if they are what was stored, and not otherwise."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from engine_keys import ENGINE, OTHER_PARTS, make_key, start
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panoptic_depth_core.engines.cache import EngineCache, default_directory
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.self_test import SelfTestReport

KEY = make_key()


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """Cache with one engine."""
    made = EngineCache(tmp_path / 'engines')
    made.store(KEY, ENGINE)
    return made


def names(cache: EngineCache) -> set[str]:
    """Suffixes of the files that are there."""
    return {path.suffix for path in cache.directory.iterdir()}


def change_record(cache: EngineCache, **changes: object) -> None:
    """Tamper with the JSON of the engine."""
    path = cache.path(KEY, '.json')
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_was_stored_is_found(cache: EngineCache, tmp_path: Path) -> None:
    stored = EngineCache(str(tmp_path / 'engines')).load(KEY)
    assert stored is not None
    assert (stored.engine, stored.key, stored.is_tested) == (ENGINE, KEY, False)
    assert stored.path == tmp_path / 'engines' / f'{KEY.name}.engine'
    assert stored.path.read_bytes() == ENGINE
    assert 'bytes' not in repr(stored).replace('engine_bytes', '')
    assert names(cache) == {'.engine', '.json'}
    assert {stat.S_IMODE(p.stat().st_mode) for p in cache.directory.iterdir()} == {0o600}
    assert stat.S_IMODE(cache.directory.stat().st_mode) == 0o700


def test_the_description_has_every_part(cache: EngineCache) -> None:
    described = json.loads(cache.path(KEY, '.json').read_text())
    assert described['key'] == KEY.model_dump()
    assert described['engine_bytes'] == len(ENGINE)
    assert set(described) == {'format_version', 'key', 'engine_bytes', 'engine_sha256',
                              'built_at', 'self_test', 'rejected'}


def test_asking_makes_nothing(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / 'engines')
    assert cache.load(KEY) is None
    assert cache.why_missing(KEY) == f'{tmp_path}/engines has no engine of fast'
    assert cache.load_extra(cache.timing_path(KEY)) == b''
    cache.set_tested(KEY, SelfTestReport('tensorrt', 1, 0))
    assert not list(tmp_path.iterdir())


def test_default_directory_is_that_of_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', '/home/robot')
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    assert default_directory() == Path('/home/robot/.cache/panoptic_depth/engines')
    monkeypatch.setenv('XDG_CACHE_HOME', '/data/cache')
    assert default_directory() == Path('/data/cache/panoptic_depth/engines')
    assert EngineCache().directory == EngineCache('').directory == default_directory()
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative')
    assert default_directory() == Path('/home/robot/.cache/panoptic_depth/engines')


@pytest.mark.parametrize('part', OTHER_PARTS)
def test_each_part_of_the_key_changed_is_a_miss(part: str, cache: EngineCache) -> None:
    wanted = make_key(**{part: OTHER_PARTS[part]})
    assert cache.load(wanted) is None
    if part == 'model_id':
        assert cache.why_missing(wanted).endswith('has no engine of accurate')
    else:
        assert f' differs in {KEY.differences(wanted)[0]}' in cache.why_missing(wanted)
    assert cache.load(KEY) is not None


def test_the_nearest_engine_is_named(cache: EngineCache) -> None:
    cache.store(make_key(driver='1.0', cuda='12.0', gpu='other'), ENGINE)
    cache.store(make_key(driver='2.0', cuda='12.0'), ENGINE)
    why = cache.why_missing(make_key(driver='2.0'))
    assert why.endswith('differs in cuda: stored 12.0, wanted 13.0') or \
        why.endswith('differs in driver: stored 580.65, wanted 2.0')
    assert cache.why_missing(make_key(driver='3.0', cuda='12.0')).endswith(
        'differs in driver: stored 2.0, wanted 3.0')


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(place=st.integers(0, len(ENGINE) - 1), flip=st.integers(1, 255))
def test_a_changed_byte_is_found(place: int, flip: int, cache: EngineCache) -> None:
    cache.store(KEY, ENGINE)
    changed = bytearray(ENGINE)
    changed[place] ^= flip
    cache.path(KEY).write_bytes(changed)
    assert cache.load(KEY) is None
    assert names(cache) == {'.damaged'}


def _truncate(cache: EngineCache) -> None:
    cache.path(KEY).write_bytes(ENGINE[:-1])


def _empty(cache: EngineCache) -> None:
    cache.path(KEY).write_bytes(b'')


def _link(cache: EngineCache) -> None:
    elsewhere = cache.directory.parent / 'elsewhere'
    cache.path(KEY).replace(elsewhere)
    cache.path(KEY).symlink_to(elsewhere)


def _link_record(cache: EngineCache) -> None:
    elsewhere = cache.directory.parent / 'elsewhere'
    cache.path(KEY, '.json').replace(elsewhere)
    cache.path(KEY, '.json').symlink_to(elsewhere)


def _other_engine(cache: EngineCache) -> None:
    other = make_key(driver='1.0')
    cache.store(other, b'other')
    for suffix in ('.engine', '.json'):
        cache.path(other, suffix).replace(cache.path(KEY, suffix))


DAMAGES: dict[str, tuple[Callable[[EngineCache], object], str]] = {
    'truncated': (_truncate, 'has 10239 bytes, not 10240'),
    'empty': (_empty, 'has 0 bytes, not 10240'),
    'engine is a link': (_link, 'engine: is a symbolic link'),
    'description is a link': (_link_record, 'json: is a symbolic link'),
    'engine is for all': (lambda c: c.path(KEY).chmod(0o666), 'others may write it .mode 0666'),
    'description is for all': (lambda c: c.path(KEY, '.json').chmod(0o622), 'others may write it'),
    'description of another hash': (lambda c: change_record(c, engine_sha256='0' * 64),
                                    'its SHA-256 is not that of its description'),
    'description of another size': (lambda c: change_record(c, engine_bytes=5), 'bytes, not 5'),
    'description without a size': (lambda c: change_record(c, engine_bytes=None), 'engine_bytes'),
    'another description': (lambda c: change_record(c, key=make_key(gpu='x').model_dump()),
                            'that of another engine: gpu: stored x, wanted NVIDIA'),
    'another engine': (_other_engine, 'that of another engine: driver: stored 1.0'),
    'newer description': (lambda c: change_record(c, format_version=2),
                          'format_version is 2: Input should be 1'),
    'unknown member': (lambda c: change_record(c, more=1), "unknown key 'more'"),
    'no JSON': (lambda c: c.path(KEY, '.json').write_text('{"format_ver'), 'not valid JSON'),
    'no text': (lambda c: c.path(KEY, '.json').write_bytes(b'\xff\xfe\x00'), 'not valid JSON'),
    'no object': (lambda c: c.path(KEY, '.json').write_text('[]'), 'should be a valid dictionary'),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_what_is_damaged_is_set_aside(damage: str, cache: EngineCache,
                                      caplog: pytest.LogCaptureFixture) -> None:
    tamper, words = DAMAGES[damage]
    tamper(cache)
    assert cache.load(KEY) is None
    assert f'{KEY.name}.engine is set aside: ' in caplog.text
    assert caplog.records[-1].levelno == logging.WARNING
    assert re.search(words, caplog.text)
    assert names(cache) == {'.damaged'}
    caplog.clear()
    assert cache.load(KEY) is None
    assert not caplog.records
    stored = cache.store(KEY, ENGINE)
    assert cache.load(KEY) == stored
    assert names(cache) == {'.engine', '.json'}


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give files away')
@pytest.mark.parametrize('suffix', ['.engine', '.json'])
def test_a_file_of_another_user_is_set_aside(suffix: str, cache: EngineCache,
                                             caplog: pytest.LogCaptureFixture) -> None:
    os.chown(cache.path(KEY, suffix), 65534, 65534)
    assert cache.load(KEY) is None
    assert f'{suffix}: belongs to' in caplog.text


@pytest.mark.parametrize('missing', ['.engine', '.json'])
def test_half_of_an_engine_is_none(missing: str, cache: EngineCache) -> None:
    cache.path(KEY, missing).unlink()
    assert cache.load(KEY) is None


def test_an_engine_that_is_replaced_meanwhile_is_not_damaged(
        cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process stores between the two reads of this one."""
    from panoptic_depth_core.engines import cache as module
    real = module.read_private

    def later(path: Path, size: int | None = None) -> bytes:
        if size is not None:
            monkeypatch.setattr(module, 'read_private', real)
            EngineCache(cache.directory).store(KEY, b'newer')
        return real(path, size)

    monkeypatch.setattr(module, 'read_private', later)
    assert cache.load(KEY) is None
    stored = cache.load(KEY)
    assert stored is not None and stored.engine == b'newer'


@pytest.mark.parametrize('use', [
    lambda c: c.load(KEY), lambda c: c.store(KEY, ENGINE), lambda c: c.why_missing(KEY),
    lambda c: c.load_extra(c.timing_path(KEY)),
    lambda c: c.store_extra(c.runtime_path(KEY), b''),
    lambda c: c.lock(KEY, lambda *_: True).__enter__()])
def test_an_untrusted_folder_is_not_used(use: Callable[[EngineCache], object],
                                         cache: EngineCache, tmp_path: Path) -> None:
    cache.directory.chmod(0o755)
    with pytest.raises(ConfigError, match='engines: others may use it'):
        use(cache)
    cache.directory.chmod(0o700)
    (tmp_path / 'link').symlink_to(cache.directory)
    with pytest.raises(ConfigError, match='link: is a symbolic link'):
        use(EngineCache(tmp_path / 'link'))
    assert cache.load(KEY) is not None


def test_links_above_the_folder_are_followed(cache: EngineCache, tmp_path: Path) -> None:
    (tmp_path / 'above').symlink_to(tmp_path)
    assert EngineCache(tmp_path / 'above' / 'engines').load(KEY) == cache.load(KEY)


def test_a_self_test_is_noted(cache: EngineCache) -> None:
    cache.set_tested(KEY, SelfTestReport('tensorrt', 0.9995, 2e-4))
    stored = cache.load(KEY)
    assert stored is not None and stored.is_tested
    assert stored.record.self_test.model_dump() == {'equal_ids': 0.9995, 'depth_error': 2e-4}
    assert not cache.store(KEY, ENGINE).is_tested


def test_a_rejected_engine_says_why_until_it_is_replaced(cache: EngineCache) -> None:
    cache.set_aside(KEY, 'self-test: 12 % of the ids are equal')
    assert names(cache) == {'.rejected', '.json'}
    for _ in range(2):
        with pytest.raises(BackendError, match=f'engine {KEY.name} is set aside: self-test: 12 % '
                           'of the ids are equal; build it anew with the build policy force'):
            cache.load(KEY)
    assert cache.why_missing(make_key(driver='1')).endswith('has no engine of fast')
    cache.store(KEY, ENGINE)
    assert cache.load(KEY) is not None
    assert names(cache) == {'.engine', '.json'}


def test_what_is_measured_belongs_to_library_and_gpu(cache: EngineCache) -> None:
    path = cache.timing_path(KEY)
    cache.store_extra(path, b'timings')
    assert cache.load_extra(path) == b'timings'
    assert cache.timing_path(make_key(onnx_sha256='c' * 64, driver='1')) == path
    for part in ('gpu', 'library', 'library_version', 'compute_capability'):
        assert cache.timing_path(make_key(**{part: OTHER_PARTS[part]})) != path
    path.chmod(0o666)
    assert cache.load_extra(path) == b''


def test_what_was_compiled_belongs_to_one_engine(cache: EngineCache) -> None:
    path = cache.runtime_path(KEY)
    cache.store_extra(path, b'kernels')
    assert cache.load_extra(path) == b'kernels'
    assert cache.runtime_path(make_key(driver='1')) != path
    cache.store(KEY, ENGINE)
    assert cache.load_extra(path) == b''


FULL_DISK = """
import resource
small = cache.store(key, ENGINE)
cache.set_tested(key, type('Report', (), {'equal_ids': 1.0, 'depth_error': 0.0}))
resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, resource.RLIM_INFINITY))
try:
    cache.store(key, bytes(len(ENGINE) + 1))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_keeps_the_old_engine(tmp_path: Path) -> None:
    """A file that may not grow fails like a disk that is full."""
    done = start(FULL_DISK.replace('MOST', str(len(ENGINE))), tmp_path)
    said, errors = done.communicate(timeout=60)
    assert said.startswith(f'ConfigError {tmp_path}/engines/{KEY.name}.new: cannot be '
                           'written: File too large; '), errors
    cache = EngineCache(tmp_path / 'engines')
    stored = cache.load(KEY)
    assert stored is not None and stored.engine == ENGINE and stored.is_tested
    assert names(cache) == {'.engine', '.json'}


def test_a_disk_too_full_for_the_description_leaves_nothing(tmp_path: Path) -> None:
    code = FULL_DISK.replace('MOST', '100').replace('bytes(len(ENGINE) + 1)', "b'tiny'")
    said, errors = start(code, tmp_path).communicate(timeout=60)
    assert 'File too large' in said, errors
    assert EngineCache(tmp_path / 'engines').load(KEY) is None
    assert list((tmp_path / 'engines').iterdir()) == []
