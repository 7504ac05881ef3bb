# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth evaluate``: a model on a data set with truth, and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .console import frame_progress, out, table


def evaluate(
        root: Annotated[str, typer.Argument(
            help='Folder of the data set; for synthetic the number of scenes.')],
        dataset: Annotated[str, typer.Option(
            '--dataset', '-d', help='Name of the data set, such as kitti_half.')],
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Folder of the report.')],
        split: Annotated[str, typer.Option('--split', help='Part of the data set.')] = 'val',
        model: options.Model = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        config: options.Settings = None) -> None:
    """Measure panoptic quality, depth and distance errors of a model on a data set."""
    from ..config import InferenceSettings, load_settings
    from ..evaluation.evaluate import evaluate as run_evaluation
    from ..evaluation.report import conventions, tables, write_report
    from ..inference.pipeline import Pipeline
    from ..training.datasets import open_dataset

    samples = open_dataset(dataset, root, split)
    settings = load_settings(InferenceSettings, config) if config else None
    with Pipeline(model, backend, settings, **options.backend_options(threads)) as pipeline, \
            frame_progress('evaluate', len(samples)) as progress:
        info = pipeline.model.info
        result = run_evaluation(
            pipeline, (samples[i] for i in range(len(samples))), classes=info.class_infos(),
            progress=lambda done, _: progress.update(progress.task_ids[0], completed=done))
    show = out()
    for part in tables(result):
        show.print(table(part.title, part.header, part.rows))
    for line in conventions(result):
        show.print(line, highlight=False, markup=False)
    title = f'{info.model_id} on {dataset}, {split}'
    for path in write_report(result, out_dir, title):
        show.print(f'Report: {path}', highlight=False, markup=False)
