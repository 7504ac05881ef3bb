# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth evaluate``: a model, or stored results, on a data set with truth; a report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from . import options
from .console import frame_progress, out, print_table, warn

if TYPE_CHECKING:
    from ..evaluation.dataset.evaluate import EvaluationResult
    from ..evaluation.dataset.parallel import Predictor
    from ..evaluation.settings import EvaluationSettings
    from ..labels import ClassInfo


def evaluate(
        root: Annotated[str, typer.Argument(
            help='Folder of the data set; for synthetic the number of scenes.')],
        dataset: Annotated[str, typer.Option(
            '--dataset', '-d', help='Name of the data set, such as cityscapes_dvps.')],
        out_dir: Annotated[Path, typer.Option(
            '--out', '-o', help='Folder of the report.')] = Path('evaluation_out'),
        split: Annotated[str, typer.Option('--split', help='Part of the data set.')] = 'val',
        model: options.Model = None,
        predictions: Annotated[Path | None, typer.Option(
            '--predictions', help='Folder of results in place of a model: what predict wrote, or '
            'panoptic/NAME.png (uint16 class * 1000 + instance, void 65535) and depth/NAME.png '
            '(uint16 m * 256).')] = None,
        windows: Annotated[str, typer.Option(
            '--windows', help='Frames per window of DVPQ, as in 1,2,3,4, or cityscapes_dvps or '
            'semkitti_dvps for what is published on them.')] = '1',
        convention: Annotated[str, typer.Option(
            '--convention', help='ours: absent classes are left out of means; official: NaN; '
            'published: 0.')] = 'ours',
        jobs: Annotated[int | None, typer.Option(
            '--jobs', min=1, show_default='one per core up to 4; with a model 1',
            help='Processes; each loads the model.')] = None,
        limit: Annotated[int | None, typer.Option(
            '--limit', min=1, help='Stop after this many frames.')] = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        config: options.Settings = None) -> None:
    """Measure panoptic quality, DPQ, depth and distance errors on a data set."""
    from ..evaluation.settings import convention as settings_of

    if predictions is not None and (model is not None or config is not None):
        raise ConfigError('--predictions is in place of a model; leave --model and --config out')
    name, result = run_evaluation(
        dataset, root, split, settings_of(convention, windows=parse_windows(windows)),
        predictions=predictions, jobs=jobs, limit=limit, model=model, backend=backend,
        threads=threads, config=config)
    # First, so that a reader of the output who leaves early does not cost the report.
    written = write_all(result, out_dir, f'{name} on {dataset}, {split}')
    show_result(result)
    for path in written:
        out().print(f'Report: {path}', highlight=False, markup=False)


def parse_windows(text: str) -> tuple[int, ...]:
    """
    Read '1,2,3,4', or the name of a preset.

    :raises ConfigError: for anything else.
    """
    from ..evaluation.metrics.video_quality import WINDOWS

    if text in WINDOWS:
        return WINDOWS[text]
    parts = options.parse_list(text)
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(f'--windows is {text!r}; give numbers of frames as in 1,2,3,4, or '
                          f'{" or ".join(WINDOWS)}')
    return tuple(dict.fromkeys(map(int, parts)))


def run_evaluation(dataset: str, root: str, split: str, settings: EvaluationSettings, *,
                   predictions: Path | None = None, jobs: int | None = None,
                   limit: int | None = None, model: Path | None = None, backend: str = 'auto',
                   threads: int | None = None,
                   config: Path | None = None) -> tuple[str, EvaluationResult]:
    """
    Evaluate stored results, or else a model.

    :returns: what was evaluated, and its figures.
    """
    from ..datasets import open_dataset
    from ..evaluation.dataset.evaluate import require_same_classes
    from ..evaluation.dataset.parallel import MOST_JOBS, Work, evaluate_parts
    from ..machine import cores
    from ..model_directory import open_model

    predictor: Callable[[], AbstractContextManager[Predictor]]
    info = open_model(model).info if predictions is None else None
    open_samples = partial(open_dataset, dataset, root, split,
                           None if info is None else info.class_infos())
    samples = open_samples()
    count = min(len(samples), limit or len(samples))
    if predictions is not None:
        jobs = jobs or min(cores(), MOST_JOBS)
        name = predictions.resolve().name
        predictor = partial(_open_stored, predictions, samples.classes)
    else:
        assert info is not None
        require_same_classes(info.class_infos(), samples.classes, f'model {info.model_id}',
                             f'data set {dataset}')
        jobs = jobs or 1
        if threads is None and jobs > 1:
            threads = max(1, cores() // jobs)
        name = info.model_id
        predictor = partial(options.open_pipeline, model, backend,
                            options.evaluation_settings(config), threads)
    work = Work(open_samples, predictor, settings, tuple(
        samples.classes or (info.class_infos() if info else ())))
    with frame_progress('evaluate', count) as progress:
        result = evaluate_parts(work, count, jobs, lambda done: progress.update(
            progress.task_ids[0], completed=done))
    return name, result


def _open_stored(folder: Path,
                 classes: tuple[ClassInfo, ...]) -> AbstractContextManager[Predictor]:
    from ..evaluation.dataset.stored_predictions import StoredPredictions

    return nullcontext(StoredPredictions(folder, classes))


def show_result(result: EvaluationResult) -> None:
    """Print tables and conventions."""
    from ..evaluation.report.dataset_report import conventions, tables

    for table in tables(result):
        print_table(table)
    for line in conventions(result):
        out().print(line, highlight=False, markup=False)


def write_all(result: EvaluationResult, folder: Path, title: str) -> list[Path]:
    """Write report and plots; without matplotlib only the former, and say so."""
    from ..evaluation.report.dataset_report import write_plots, write_report

    plots: list[Path] = []
    try:
        plots = write_plots(result, folder)
    except ImportError as error:
        warn(f'no plots: {options.missing_extra(error, "plots")}')
    return [*write_report(result, folder, title, plots), *plots]
