# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth pack``: a recipe, its data and its weights in one file, to train elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..tables import Table
from . import options
from .console import number, out, print_table, run_progress


def pack(
        recipe: Annotated[Path, typer.Argument(help='YAML, such as config/training/fast.yaml.')],
        out_file: Annotated[Path, typer.Option('--out', '-o', help='File to make.')],
        limit_mb: Annotated[float, typer.Option(
            '--limit-mb', min=0.1, help='Greatest size in 10^6 bytes; as many rendered scenes '
            'as fit.')] = 60.0,
        quality: Annotated[int, typer.Option(
            '--quality', min=1, max=100, help='Of the images, as in WebP.')] = 88,
        changes: options.Changes = None) -> None:
    """Put a recipe, its data sets and its initial weights into one file; train takes it."""
    try:
        from ..datasets.storage import PACKED
        from ..training.packing import write_pack
        from ..training.recipe import load_recipe
    except ModuleNotFoundError as error:
        raise options.missing_extra(error, 'train') from None

    settings = load_recipe(recipe, changes or ())
    with run_progress('pack') as progress:
        report = write_pack(settings, out_file, limit_mb, replace(PACKED, quality=quality),
                            progress)
    show = out()
    print_table(Table('', ('data set', 'samples', 'of', 'MB', 'PSNR dB'), [
        (d.label, str(d.samples), str(d.available), number(d.size / 1e6),
         number(d.psnr_db, 1)) for d in report.data]))
    show.print(f'{report.path}: {report.size / 1e6:.2f} MB, weights {report.weights / 1e6:.2f} '
               f'MB; train with: panoptic-depth train {report.path} --minutes 30',
               highlight=False, markup=False)
