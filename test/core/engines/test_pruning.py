# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is removed from a cache of engines, and what has to stay."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from engine_keys import ENGINE, OTHER_PARTS, make_key
from panoptic_depth_core.engines.cache import EngineCache, EngineRecord
from panoptic_depth_core.engines.cuda import Gpu, visible_gpus
from panoptic_depth_core.engines.key import EngineKey
from panoptic_depth_core.engines.library import installed_versions
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.model_directory import ModelDirectory

GPU = Gpu(0, 'NVIDIA RTX A2000', '8.6', '580.65', '13.0')
OTHER_GPU = Gpu(1, 'NVIDIA RTX 4000', '8.9', '580.65', '13.0')


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """Cache without engines."""
    return EngineCache(tmp_path / 'engines')


@pytest.fixture
def key(painted_model: ModelDirectory) -> EngineKey:
    """Key of an engine that fits here."""
    return EngineKey.of(painted_model, 'tensorrt_rtx', '1.7.1.116', '8.6', gpu=GPU.name,
                        driver=GPU.driver, cuda=GPU.cuda)


@pytest.fixture
def why_unfit(painted_model: ModelDirectory) -> Callable[[EngineKey], str]:
    """Ask on a machine with two GPUs and one library."""
    return lambda key: key.why_unfit(painted_model, (GPU, OTHER_GPU),
                                     {'tensorrt_rtx': '1.7.1.116'})


def stays(_: EngineRecord) -> str:
    return ''


def test_what_fits_this_machine(why_unfit, key: EngineKey) -> None:
    other = key.model_copy(update={'gpu': OTHER_GPU.name, 'compute_capability': '8.9'})
    for good in (key, other, key.portable(), other.portable(),
                 key.model_copy(update={'options': {'workspace_mib': '512'}}),
                 key.model_copy(update={'library': 'tensorrt', 'library_version': '10.3.0'}),
                 key.model_copy(update={'model_id': 'another', 'onnx_sha256': 'a' * 64})):
        assert why_unfit(good) == ''


@pytest.mark.parametrize('part', sorted(set(OTHER_PARTS) - {'model_id', 'library', 'options'}))
def test_the_part_that_does_not_fit_is_named(part: str, why_unfit, key: EngineKey) -> None:
    changed = key.model_copy(update={part: OTHER_PARTS[part]})
    assert why_unfit(changed) == '; '.join(changed.differences(key))
    assert f'{part}: stored ' in why_unfit(changed)


def test_what_is_not_known_is_not_compared(painted_model: ModelDirectory, key: EngineKey) -> None:
    for part in ('gpu', 'compute_capability', 'driver', 'cuda', 'library', 'library_version',
                 'system'):
        other = key.model_copy(update={part: OTHER_PARTS[part]})
        why = other.why_unfit(painted_model, (), {})
        assert why.startswith('system: ') if part == 'system' else why == ''


def test_ahead_of_time_engines_need_one_gpu_of_their_architecture(why_unfit, key: EngineKey
                                                                  ) -> None:
    thor = key.model_copy(update={'compute_capability': '11.0'}).portable()
    assert why_unfit(thor) == 'compute_capability: stored 11.0, wanted 8.6'


def test_this_machine_can_be_looked_at() -> None:
    """Whatever is installed: neither a library nor a GPU has to be there."""
    assert set(installed_versions()) <= {'tensorrt', 'tensorrt_rtx'}
    gpus = visible_gpus()
    assert [gpu.device_id for gpu in gpus] == list(range(len(gpus)))


def test_only_what_is_of_no_use_is_removed(cache: EngineCache) -> None:
    good, old, rejected, damaged, half = (make_key(driver=str(n)) for n in range(5))
    for key in (good, old, rejected, damaged, half):
        cache.store(key, ENGINE)
        cache.store_extra(cache.runtime_path(key), b'kernels')
    cache.set_aside(rejected, 'too far off')
    cache.path(damaged).write_bytes(b'')
    assert cache.load(damaged) is None
    cache.path(half).unlink()
    with cache.lock(old, lambda *_: False):
        pass

    found = {entry.name: entry.problem for entry in cache.entries()}
    assert found == {good.name: '', old.name: '', rejected.name: 'set aside: too far off',
                     damaged.name: 'it has no description', half.name: 'its engine is missing'}
    removed = cache.prune(lambda record: 'driver: old' if record.key == old else '')
    del found[good.name]
    assert {entry.name: entry.problem for entry in removed} == {**found, old.name: 'driver: old'}
    assert {path.name for path in cache.directory.iterdir()} == {
        good.name + suffix for suffix in ('.engine', '.json', '.runtime')}
    assert cache.load(good) is not None
    (kept,) = cache.entries()
    assert kept.size_bytes == sum(p.stat().st_size for p in cache.directory.iterdir())
    assert cache.prune(stays) == []


def test_what_is_being_built_stays(cache: EngineCache) -> None:
    key = make_key()
    cache.store(key, ENGINE)
    with cache.lock(key, lambda *_: False):
        assert cache.prune(lambda _: 'old') == []
        assert cache.path(key, '.lock').exists()
    assert cache.load(key) is not None
    assert [entry.problem for entry in cache.prune(lambda _: 'old')] == ['old']
    assert list(cache.directory.iterdir()) == []


def test_what_was_measured_goes_with_the_last_engine_of_it(cache: EngineCache) -> None:
    here, gone = make_key(), make_key(library_version='1.0')
    for key in (here, gone):
        cache.store(key, ENGINE)
        cache.store_extra(cache.timing_path(key), b'timings')
    cache.prune(lambda record: 'library' if record.key == gone else '')
    assert cache.load_extra(cache.timing_path(here)) == b'timings'
    assert cache.load_extra(cache.timing_path(gone)) == b''


def test_files_whose_writing_was_broken_off_go(cache: EngineCache) -> None:
    key = make_key()
    cache.store(key, ENGINE)
    old, young = (cache.directory / f'.{key.name}.new.{n}' for n in ('old', 'young'))
    half = cache.path(key, '.new')
    for path in (old, young, half):
        path.write_bytes(b'half')
    for path in (old, half):
        os.utime(path, (0, 0))
    removed = cache.prune(stays)
    assert {(entry.name, entry.size_bytes) for entry in removed} == {
        (old.name, 4), (half.name, 4)}
    assert {entry.problem for entry in removed} == {'it was not written to the end'}
    assert young.exists()
    assert cache.load(key) is not None


def test_links_are_removed_and_not_followed(cache: EngineCache, tmp_path: Path) -> None:
    cache.store(make_key(), ENGINE)
    (tmp_path / 'victim').write_text('kept')
    (cache.directory / 'a.json').symlink_to(tmp_path / 'victim')
    (entry,) = cache.prune(stays)
    assert (entry.name, entry.problem) == ('a', 'a.json: is a symbolic link')
    assert (tmp_path / 'victim').read_text() == 'kept'


def test_a_cache_that_is_not_there_or_not_to_be_trusted(cache: EngineCache) -> None:
    assert cache.entries() == cache.prune(stays) == []
    assert not cache.directory.exists()
    cache.store(make_key(), ENGINE)
    cache.directory.chmod(0o755)
    with pytest.raises(ConfigError, match='others may use it'):
        cache.prune(lambda _: 'old')
    cache.directory.chmod(0o700)
    assert len(cache.entries()) == 1
