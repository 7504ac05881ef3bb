# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth benchmark``: how fast the pipeline, runtimes, evaluation and training are."""

from __future__ import annotations

import math
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from . import options

if TYPE_CHECKING:
    from ..benchmark.report import Report

WHAT = ('pipeline', 'runtimes', 'replay', 'scoring', 'training')


def benchmark(
        what: Annotated[str, typer.Option(
            '--what', help='pipeline: each step, by runtime. runtimes: parity and latency of every '
            'runtime, precision and mode of this machine. scoring, replay: evaluation of made-up '
            'data sets, recordings. training: loader and step of a recipe.')] = WHAT[0],
        model: options.Model = None,
        backends: Annotated[str, typer.Option(
            '--backend', help='pipeline: runtimes, separated by commas, with options as in '
            'torch:device=cuda:mode=compile; model=DIR among them is another model directory.',
            )] = 'onnxruntime,torch',
        size: Annotated[str, typer.Option(
            '--size', show_default='1024x2048; replay: 375x1242; runtimes: that of the model, on '
            'a GPU also 1024x2048', help='Height x width of the images in px; runtimes: of '
            'network inputs, separated by commas.')] = '',
        repeats: Annotated[int | None, typer.Option(
            '--repeats', min=1, show_default='30; runtimes: 200',
            help='Frames, or iterations of training, that count.')] = None,
        warmup: Annotated[int, typer.Option(
            '--warmup', min=0, help='pipeline: frames before them that do not.')] = 3,
        threads: options.Threads = None,
        config: options.Settings = None,
        device: Annotated[str, typer.Option(
            '--device', help='runtimes: device of PyTorch, or auto.')] = 'auto',
        precisions: Annotated[str, typer.Option(
            '--precisions', help='runtimes: which.')] = 'float32,bfloat16,float16,int8',
        source: Annotated[str | None, typer.Option(
            '--source', show_default='drawn streets',
            help='pipeline, runtimes: picture, folder, video or bag in place of those.')] = None,
        minutes: Annotated[float | None, typer.Option(
            '--minutes', min=0.0, show_default='runtimes: 6',
            help='pipeline, runtimes: time for everything.')] = None,
        frames: Annotated[int, typer.Option(
            '--frames', min=1, help='scoring, replay: number of frames.')] = 300,
        jobs: Annotated[int | None, typer.Option(
            '--jobs', min=1, show_default='one per core up to 4',
            help='scoring, replay: processes.')] = None,
        recipe: Annotated[Path | None, typer.Option(
            '--recipe', metavar='RECIPE_OR_PACK', show_default=False,
            help='training: what train takes.')] = None,
        workers: Annotated[str | None, typer.Option(
            '--workers', show_default='that of the recipe',
            help='training: processes that load, separated by commas, as in 1,4,14.')] = None,
        changes: options.Changes = None,
        out: Annotated[Path | None, typer.Option(
            '--out', '-o', help='Write FILE.json; or into a folder benchmark.json and .md, and for '
            'runtimes the models and engines.')] = None) -> None:
    """Measure, and print one table with machine and versions."""
    if what not in WHAT:
        raise ConfigError(f'--what is {what!r}; choose {", ".join(WHAT)}')
    sizes = [options.parse_size(part) for part in options.parse_list(size)]
    shape = sizes[0] if sizes else None
    if what == 'pipeline':
        report = _pipeline(model, backends, shape or (1024, 2048), repeats or 30, warmup, threads,
                           config, source, minutes)
    elif what == 'runtimes':
        try:
            from ..benchmark.runtimes import RuntimeSettings, measure_runtimes
        except ModuleNotFoundError as error:
            raise options.missing_extra(error, 'export') from None
        with tempfile.TemporaryDirectory() as temporary:
            settings = RuntimeSettings(
                Path(temporary) if out is None or out.suffix == '.json' else out, model,
                tuple(sizes), options.parse_list(precisions), device, repeats or 200, source,
                6.0 if minutes is None else minutes)
            report = measure_runtimes(
                settings, note=lambda text: typer.echo(f'benchmark: {text} ...', err=True),
                save=lambda report: None if out is None else report.write(out))
    elif what == 'training':
        report = _training(recipe, changes or [], workers, repeats or 30)
    else:
        report = _evaluation(what, frames, shape, jobs)
    if out is not None:
        report.write(out)
    typer.echo(report.to_markdown(), nl=False)


def _pipeline(model: Path | None, backends: str, size: tuple[int, int], repeats: int, warmup: int,
              threads: int | None, config: Path | None, source: str | None,
              minutes: float | None) -> Report:
    from ..benchmark.pipeline import measure_pipeline, pictures
    from ..config import InferenceSettings, load_settings

    names = options.parse_list(backends)
    if not names:
        raise ConfigError(f'--backend is {backends!r}; name at least one runtime')
    settings = load_settings(InferenceSettings, config) if config else None
    return measure_pipeline(
        model, names, frames=pictures(source, size), warmup=warmup, repeats=repeats,
        threads=threads, settings=settings, minutes=math.inf if minutes is None else minutes)


def _training(recipe: Path | None, changes: list[str], workers: str | None,
              repeats: int) -> Report:
    if recipe is None:
        raise ConfigError('--what training needs --recipe; give a recipe or a pack')
    try:
        from ..benchmark.training import measure_training
        from ..training.recipe import load_recipe
    except ModuleNotFoundError as error:
        raise options.missing_extra(error, 'train') from None

    settings = load_recipe(recipe, changes)
    numbers = [str(settings.workers)] if workers is None else options.parse_list(workers)
    if not all(number.isdecimal() for number in numbers):
        raise ConfigError(f'--workers is {workers!r}; give numbers, as in 1,4,14')
    return measure_training(settings, [int(number) for number in numbers], repeats)


def _evaluation(what: str, frames: int, size: tuple[int, int] | None, jobs: int | None) -> Report:
    from ..benchmark.evaluation import REPLAY_SIZE, measure_replay, measure_scoring
    from ..evaluation.dataset.parallel import MOST_JOBS
    from ..evaluation.metrics.video_quality import WINDOWS
    from ..evaluation.settings import convention
    from ..machine import cores
    from .evaluate import run_evaluation

    jobs = jobs or min(cores(), MOST_JOBS)
    if what == 'replay':
        return measure_replay(frames, jobs, size or REPLAY_SIZE)
    data_set = 'cityscapes_dvps'
    score = partial(run_evaluation, data_set, split='val', jobs=jobs,
                    settings=convention('ours', windows=WINDOWS[data_set]))
    return measure_scoring(
        frames, lambda root, results: score(root=str(root), predictions=results),
        size or (1024, 2048))
