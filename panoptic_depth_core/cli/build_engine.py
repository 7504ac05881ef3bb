# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth build-engine``: the TensorRT engine of a model, and the cache of engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..engines import BuildCancelled
from ..errors import ConfigError
from ..status import Watch
from ..tables import Table
from . import options
from .console import build_progress, number, out, print_table
from .interruption import stop_on_signal

if TYPE_CHECKING:
    from ..engines.cache import CacheEntry, EngineCache, EngineRecord
    from ..model_directory import ModelDirectory


def build_engine(
        model: options.Model = None,
        library: Annotated[str, typer.Option(
            '--backend-library', show_default='the first that is installed',
            help='tensorrt or tensorrt_rtx.')] = '',
        cache_dir: Annotated[Path | None, typer.Option(
            '--cache-dir', show_default='beside the other caches of this user',
            help='Folder for engines.')] = None,
        workspace_mib: Annotated[int, typer.Option(
            '--workspace-mib', min=0, help='GPU memory that a layer may use beside its inputs and '
            'outputs; 0: no limit.')] = 0,
        device: Annotated[int, typer.Option(
            '--device', min=-1, help='Number of the GPU; -1: the first.')] = -1,
        check: Annotated[bool, typer.Option(
            '--check', help='Build nothing; say whether an engine fits, or why not.')] = False,
        show_list: Annotated[bool, typer.Option(
            '--list', help='Build nothing; list the stored engines.')] = False,
        prune: Annotated[bool, typer.Option(
            '--prune', help='Build nothing; remove engines that no longer fit this machine, its '
            'library or the model.')] = False,
        older_than: Annotated[float | None, typer.Option(
            '--older-than', min=0, metavar='DAYS', show_default=False,
            help='With --prune: also remove older engines, such as those of models that are no '
            'longer in use.')] = None,
        force: Annotated[bool, typer.Option(
            '--force', help='Build anew, even if an engine fits.')] = False) -> None:
    """Build the TensorRT engine of a model for the GPU of this machine, and test it."""
    from ..model_directory import open_model

    chosen = [name for name, given in (('--check', check), ('--list', show_list),
                                       ('--prune', prune), ('--force', force)) if given]
    if len(chosen) > 1:
        raise ConfigError(f'{" and ".join(chosen)} exclude each other; give one of them')
    if older_than is not None and not prune:
        raise ConfigError('--older-than goes with --prune; give both')
    if show_list or prune:
        try:
            from ..engines.cache import EngineCache
        except ModuleNotFoundError as error:
            # Python has the modules for locks and users on POSIX only.
            raise ConfigError(f'{error.name}: this system has no such module; engines are kept on '
                              'Linux only') from None
        cache = EngineCache(cache_dir)
        if show_list:
            _list(cache)
        else:
            _prune(cache, open_model(model), older_than)
        return
    policy = 'never' if check else 'force' if force else 'auto'
    build_here(open_model(model), build_policy=policy, library=library,
               cache_dir=str(cache_dir or ''), workspace_mib=workspace_mib, device_id=device)


@contextmanager
def watched_build() -> Iterator[Watch]:
    """Show the progress of a build; the first Ctrl-C cancels it and ends the command."""
    cancelled = False
    with stop_on_signal() as stopped, build_progress() as show:
        try:
            yield lambda done, what: show(done, what) and not stopped
        except BuildCancelled:
            if not stopped:
                raise
            cancelled = True
    if cancelled:
        _say('Interrupted; the engine is not stored.')
        raise typer.Exit(stopped.exit_code)


def build_here(model: ModelDirectory, **options: str | int) -> None:
    """
    Load a model into TensorRT on this machine, which builds and tests its engine if it is missing.

    :param options: of the backend.
    """
    from ..inference.backends import create_backend

    with watched_build() as watch:
        backend = create_backend('tensorrt', model, watch, **options)
    name = backend.engine_key
    backend.close()
    _say(f'{model.info.model_id}: engine {name} fits')


def _list(cache: EngineCache) -> None:
    entries = cache.entries()
    if not entries:
        _say(f'No engine in {cache.directory}')
        return
    print_table(Table(f'Engines in {cache.directory}', (
        'engine', 'GPU', 'driver', 'MB', 'built', 'self-test: equal ids', 'depth error', 'state'),
        [_row(entry) for entry in entries]))


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
    from ..engines.cuda import visible_gpus
    from ..engines.library import installed_versions

    gpus, versions, now = visible_gpus(), installed_versions(), datetime.now(timezone.utc)

    def why(record: EngineRecord) -> str:
        days = (now - record.built_at).total_seconds() / 86400
        old = older_than is not None and days > older_than
        return record.key.why_unfit(model, gpus, versions) or (
            f'it was built {days:.0f} days ago' if old else '')

    removed = cache.prune(why)
    for entry in removed:
        _say(f'{entry.name}: removed {entry.size_bytes} bytes; {entry.problem}')
    _say(f'{cache.directory}: {len(removed)} removed, '
         f'{sum(entry.size_bytes for entry in removed)} bytes in all')


def _say(line: str) -> None:
    out().print(line, highlight=False, markup=False)
