# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth train`` and ``pack``: train by a recipe, here or on another machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..files import lock_file
from ..tables import Table
from . import options
from .console import number, print_table, run_progress
from .interruption import stop_on_signal
from .options import needs_extra, say

if TYPE_CHECKING:
    from ..training.trainer import RunProgress


def train(
        recipe: Annotated[Path, typer.Argument(
            help='YAML, such as config/training/fast.yaml, or a file of panoptic-depth pack.')],
        run_dir: Annotated[Path | None, typer.Option(
            '--out', '-o', show_default='runs/RECIPE-DATE',
            help='Folder of checkpoints and losses.')] = None,
        resume: Annotated[bool, typer.Option(
            '--resume', help='Continue from the last checkpoint in the folder.')] = False,
        minutes: Annotated[float | None, typer.Option(
            '--minutes', help='Stop after this time instead of that in the recipe, and keep the '
            'best weights until then.')] = None,
        changes: options.Changes = None) -> None:
    """Train a network; continue an interrupted run with --resume."""
    with needs_extra('train'):
        from ..training.recipe import load_recipe
        from ..training.trainer import is_first_process
        from ..training.trainer import train as run_training

    if resume and run_dir is None:
        raise ConfigError('--resume needs the folder of the run; give it with --out')
    given = [] if minutes is None else [f'minutes={minutes}']
    settings = load_recipe(recipe, [*(changes or ()), *given])
    folder = run_dir or Path('runs') / f'{recipe.stem}-{datetime.now():%Y%m%d-%H%M%S}'
    if not is_first_process():
        with stop_on_signal():
            run_training(settings, folder, resume=resume)
        return
    say(f'Training into {folder}; losses are in {folder / "train.jsonl"}')
    with stop_on_signal() as stopped, run_progress('train') as progress:
        weights = run_training(settings, folder, resume=resume, stop=lambda: bool(stopped),
                               watch=lambda run: progress(run.done, _note(run)))
    say(f'Weights: {weights}; make a model directory with: panoptic-depth export {weights} '
        '-o MODEL_DIR')
    if stopped:
        say('Interrupted; continue with the same command and --resume')
        raise typer.Exit(stopped.exit_code)


def _note(run: RunProgress) -> str:
    """Iteration, speed, loss and the metrics of the last validation, in short."""
    parts = [f'it {run.iteration}', f'{number(run.images_per_s, 1)} images/s',
             f'loss {number(run.loss, 3)}']
    parts += [f'{label} {number(run.metric_values[name], 3)}' for name, label in (
        ('pq', 'PQ'), ('miou', 'mIoU'), ('abs_rel', 'absRel')) if name in run.metric_values]
    return '  '.join(parts)


def pack(
        recipe: Annotated[Path, typer.Argument(help='YAML, such as config/training/fast.yaml.')],
        out_file: Annotated[Path, typer.Option('--out', '-o', help='File to write.')],
        limit_mb: Annotated[float, typer.Option(
            '--limit-mb', min=0.1, help='Maximum size in 10^6 bytes; it is filled up with '
            'rendered scenes.')] = 60.0,
        quality: Annotated[int, typer.Option(
            '--quality', min=1, max=100, help='WebP quality of the images.')] = 88,
        changes: options.Changes = None) -> None:
    """Put a recipe, its data sets and its initial weights into one file for train."""
    with needs_extra('train'):
        from ..datasets.storage import PACKED
        from ..training.packing import write_pack
        from ..training.recipe import load_recipe

    settings = load_recipe(recipe, changes or ())
    with lock_file(out_file), run_progress('pack') as progress:
        report = write_pack(settings, out_file, limit_mb, replace(PACKED, quality=quality),
                            progress)
    print_table(Table('', ('data set', 'samples', 'of', 'MB', 'PSNR dB'), [
        (d.label, str(d.samples), str(d.available), number(d.size / 1e6),
         number(d.psnr_db, 1)) for d in report.data]))
    say(f'{report.path}: {report.size / 1e6:.2f} MB, weights {report.weights / 1e6:.2f} MB; '
        f'train with: panoptic-depth train {report.path} --minutes 30')
