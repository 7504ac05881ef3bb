# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth calibrate``: the uncertainty of a model against the errors that it makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tables import Table
from . import options
from .console import frame_progress, number, out, print_table, warn

if TYPE_CHECKING:
    from ..evaluation.metrics.uncertainty import Calibration, TemperatureFit

_FEW_FRAMES = 30


def calibrate(
        model_dir: Annotated[Path, typer.Argument(
            help='Model directory, whose model.json gets the temperature.')],
        root: Annotated[str, typer.Argument(
            help='Folder of the data set; for synthetic the number of scenes.')],
        dataset: Annotated[str, typer.Option(
            '--dataset', '-d', help='Name of the data set, such as kitti_depth.')],
        split: Annotated[str, typer.Option(
            '--split', help='Part of the data set, which the weights have not seen.')] = 'val',
        limit: Annotated[int | None, typer.Option(
            '--limit', min=1, help='Stop after this many frames.')] = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        config: options.Settings = None,
        dry_run: Annotated[bool, typer.Option(
            '--dry-run', help='Fit and report, write nothing.')] = False) -> None:
    """Fit the factor on the expected error of depth, and store it in the model."""
    from ..datasets import open_dataset
    from ..evaluation.dataset.model_calibration import (
        require_plausible,
        require_writable,
        store_temperature,
        uncalibrated,
    )
    from ..evaluation.metrics.uncertainty import calibrate as run_calibration
    from ..model_directory import ModelDirectory

    # No name of a shipped model: what is calibrated is written.
    model = ModelDirectory.load(model_dir)
    if not dry_run:
        require_writable(model)
    samples = open_dataset(dataset, root, split, model.info.class_infos())
    count = min(len(samples), limit or len(samples))
    settings = options.evaluation_settings(config)
    with options.open_pipeline(uncalibrated(model), backend, settings, threads) as pipeline, \
            frame_progress('calibrate', count) as progress:
        calibration = run_calibration(
            pipeline, (samples[index] for index in range(count)),
            lambda done, _: progress.update(progress.task_ids[0], completed=done))
    fit = calibration.fit()
    require_plausible(fit, model)
    # First, so that a disk that is full meanwhile does not cost the figures.
    _show(f'{model.info.model_id} on {dataset}, {split}', model.info.log_depth_temperature,
          calibration, fit)
    show = out()
    show.print(f'Measured on {fit.pixels} px in {fit.frames} of {count} frames: those with a '
               'depth, each counting the same.', highlight=False)
    if fit.groups < _FEW_FRAMES:
        what = 'frames' if fit.groups == fit.frames else 'sequences'
        warn(f'{fit.groups} {what} are few: others can be as far off as the least and the best '
             'covered ones here')
    if dry_run:
        show.print('Dry run: nothing is written.')
        return
    stored = store_temperature(model, fit, f'{dataset}, {split}')
    show.print(f'{stored.path / "model.json"}: log_depth_temperature '
               f'{stored.info.log_depth_temperature:g}, was '
               f'{model.info.log_depth_temperature:g}', highlight=False, markup=False)


def _show(title: str, before: float, calibration: Calibration, fit: TemperatureFit) -> None:
    from ..evaluation.metrics.uncertainty import ONE_SIGMA, TWO_SIGMA

    shown = (ONE_SIGMA, TWO_SIGMA)

    def row(name: str, temperature: str, coverage: dict[float, float]) -> tuple[str, ...]:
        return name, temperature, *(_percent(coverage[q]) for q in shown)

    ranges = [{q: fit.left_out_range[q][i] for q in shown} for i in (0, 1)]
    print_table(Table(f'Pixels within the range that {title} expects', (
        'uncertainty', 'temperature', *(f'of {_percent(q, 0)}' for q in shown)), (
        row('as model.json has it', number(before, 3), calibration.coverage(before)),
        row('fitted, on the frames of the fit', number(fit.temperature, 3),
            calibration.coverage(fit.temperature)),
        row('on frames that the fit left out', ' to '.join(
            number(value, 3) for value in fit.temperature_range), fit.left_out),
        row('  the least covered frame', '', ranges[0]),
        row('  the most covered frame', '', ranges[1]))))


def _percent(value: float, digits: int = 1) -> str:
    return number(100 * value, digits, ' %')
