# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth build-engine``: the TensorRT engine of a model, and the cache of engines."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..tables import Table
from . import options
from .building import build_here
from .console import number, out, print_table

if TYPE_CHECKING:
    from ..engines.cache import EngineCache
    from ..engines.pruning import CacheEntry
    from ..engines.record import EngineRecord
    from ..model_directory import ModelDirectory


def build_engine(
        model: options.Model = None,
        library: Annotated[str, typer.Option(
            '--backend-library', show_default='the first that is installed',
            help='tensorrt or tensorrt_rtx.')] = '',
        cache_dir: Annotated[Path | None, typer.Option(
            '--cache-dir', show_default='beside the other caches of this user',
            help='Folder of engines.')] = None,
        workspace_mib: Annotated[int, typer.Option(
            '--workspace-mib', min=0, help='GPU memory that a layer may use beside its inputs and '
            'outputs; 0: no limit.')] = 0,
        device: Annotated[int, typer.Option(
            '--device', min=-1, help='Number of the GPU; -1: the first.')] = -1,
        check: Annotated[bool, typer.Option(
            '--check', help='Build nothing; say whether one fits, and if not, why.')] = False,
        show_list: Annotated[bool, typer.Option(
            '--list', help='Build nothing; show the engines that are there.')] = False,
        prune: Annotated[bool, typer.Option(
            '--prune', help='Build nothing; remove engines that do not fit this machine, its '
            'library or the model any more.')] = False,
        older_than: Annotated[float | None, typer.Option(
            '--older-than', min=0, metavar='DAYS', show_default=False,
            help='With --prune: also remove what was built longer ago, such as the engines of '
            'models that are not in use any more.')] = None,
        force: Annotated[bool, typer.Option(
            '--force', help='Build anew, also where an engine fits.')] = False) -> None:
    """Build the TensorRT engine of a model for the GPU of this machine, and test it."""
    from ..model_directory import open_model

    chosen = [name for name, given in (('--check', check), ('--list', show_list),
                                       ('--prune', prune), ('--force', force)) if given]
    if len(chosen) > 1:
        raise ConfigError(f'{" and ".join(chosen)} exclude each other; give one of them')
    if older_than is not None and not prune:
        raise ConfigError('--older-than goes with --prune; give both')
    if show_list or prune:
        cache = _open_cache(cache_dir)
        if show_list:
            _list(cache)
        else:
            _prune(cache, open_model(model), older_than)
        return
    policy = 'never' if check else 'force' if force else 'auto'
    build_here(open_model(model), build_policy=policy, library=library,
               cache_dir=str(cache_dir or ''), workspace_mib=workspace_mib, device_id=device)


def _open_cache(directory: Path | None) -> EngineCache:
    try:
        from ..engines.cache import EngineCache
    except ModuleNotFoundError as error:
        # Python has the modules for locks and users on POSIX only.
        raise ConfigError(f'{error.name}: this system has no such module; engines are kept on '
                          'Linux only') from None
    return EngineCache(directory)


def _list(cache: EngineCache) -> None:
    from ..engines.pruning import entries

    found = entries(cache)
    if not found:
        out().print(f'No engine in {cache.directory}', highlight=False, markup=False)
        return
    print_table(Table(f'Engines in {cache.directory}', (
        'engine', 'GPU', 'driver', 'MB', 'built', 'self-test: equal ids', 'depth error', 'state'),
        [_row(entry) for entry in found]))


def _row(entry: CacheEntry) -> tuple[str, ...]:
    record, size = entry.record, number(entry.size_bytes / 1e6, 1)
    if record is None:
        return entry.name, '', '', size, '', '', '', entry.problem
    test = record.self_test
    tested = ('not run', '') if test is None else (
        number(100 * test.equal_ids, 3, ' %'), f'{test.depth_error:.2g}')
    return (entry.name, record.key.gpu, record.key.driver, size,
            f'{record.built_at.astimezone():%Y-%m-%d %H:%M}', *tested, entry.problem or 'good')


def _prune(cache: EngineCache, model: ModelDirectory, older_than: float | None) -> None:
    from ..engines.pruning import Here, prune

    here, now = Here.look(model), datetime.now(timezone.utc)

    def why(record: EngineRecord) -> str:
        days = (now - record.built_at).total_seconds() / 86400
        old = older_than is not None and days > older_than
        return here.why_unfit(record.key) or (f'it was built {days:.0f} days ago' if old else '')

    show = out()
    removed = prune(cache, why)
    for entry in removed:
        show.print(f'{entry.name}: removed {entry.size_bytes} bytes; {entry.problem}',
                   highlight=False, markup=False)
    show.print(f'{cache.directory}: {len(removed)} removed, '
               f'{sum(entry.size_bytes for entry in removed)} bytes in all',
               highlight=False, markup=False)
