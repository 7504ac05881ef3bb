# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth train``: from a recipe to weights."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .console import number, out, run_progress
from .interruption import stop_on_signal

if TYPE_CHECKING:
    from ..training.trainer import RunProgress


def train(
        recipe: Annotated[Path, typer.Argument(
            help='YAML, such as config/training/fast.yaml, or a file of panoptic-depth pack.')],
        run_dir: Annotated[Path | None, typer.Option(
            '--out', '-o', show_default='runs/RECIPE-DATE',
            help='Folder of checkpoints and losses.')] = None,
        resume: Annotated[bool, typer.Option(
            '--resume', help='Go on with the last checkpoint in the folder.')] = False,
        minutes: Annotated[float | None, typer.Option(
            '--minutes', help='End after this time, in place of what the recipe says, with the '
            'best weights until then.')] = None,
        changes: options.Changes = None) -> None:
    """Train a network; a run that was interrupted goes on with --resume."""
    from ..errors import ConfigError
    try:
        from ..training.recipe import load_recipe
        from ..training.trainer import is_first_process
        from ..training.trainer import train as run_training
    except ModuleNotFoundError as error:
        raise options.missing_extra(error, 'train') from None

    if resume and run_dir is None:
        raise ConfigError('--resume needs the folder of the run; give it with --out')
    given = [] if minutes is None else [f'minutes={minutes}']
    settings = load_recipe(recipe, [*(changes or ()), *given])
    folder = run_dir or Path('runs') / f'{recipe.stem}-{datetime.now():%Y%m%d-%H%M%S}'
    if not is_first_process():
        with stop_on_signal():
            run_training(settings, folder, resume=resume)
        return
    show = out()
    show.print(f'Training into {folder}; losses are in {folder / "train.jsonl"}',
               highlight=False, markup=False)
    with stop_on_signal() as stopped, run_progress('train') as progress:
        weights = run_training(settings, folder, resume=resume, stop=lambda: bool(stopped),
                               watch=lambda run: progress(run.done, _note(run)))
    show.print(f'Weights: {weights}; make a model directory of them with: panoptic-depth export '
               f'{weights} -o MODEL_DIR', highlight=False, markup=False)
    if stopped:
        show.print('Interrupted; the same command goes on with --resume', highlight=False)
        raise typer.Exit(stopped.exit_code)


def _note(run: RunProgress) -> str:
    """Short text of iteration, speed, loss and the figures of the last validation."""
    parts = [f'it {run.iteration}', f'{number(run.images_per_s, 1)} images/s',
             f'loss {number(run.loss, 3)}']
    parts += [f'{label} {number(run.figures[name], 3)}' for name, label in (
        ('pq', 'PQ'), ('miou', 'mIoU'), ('abs_rel', 'absRel')) if name in run.figures]
    return '  '.join(parts)
