# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth benchmark``: how fast the pipeline, runtimes, evaluation and training are."""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..files import lock_file, lock_folder
from . import options

if TYPE_CHECKING:
    from ..benchmark.report import Report

WHAT = ('pipeline', 'runtimes', 'replay', 'scoring', 'training', 'models', 'lenses',
        'mounting')

_PIPELINE, _EVALUATION, _TRAINING = (
    'pipeline and runtimes', 'replay, scoring, lenses and mounting', 'training and models')


_ONLY_FOR = {
    'model': ('pipeline', 'runtimes', 'lenses', 'mounting'),
    'source': ('pipeline', 'runtimes', 'mounting'),
    'minutes': ('pipeline', 'runtimes'),
    **dict.fromkeys(('backends', 'warmup', 'config'), ('pipeline',)),
    **dict.fromkeys(('device', 'precisions'), ('runtimes',)),
    'frames': ('replay', 'scoring', 'lenses', 'mounting'),
    'jobs': ('replay', 'scoring'),
    **dict.fromkeys(('recipes', 'changes'), ('training', 'models')),
    'workers': ('training',),
    'threads': ('pipeline', 'models', 'lenses', 'mounting'),
    'repeats': ('pipeline', 'runtimes', 'training', 'models'),
    'size': ('pipeline', 'runtimes', 'replay', 'scoring', 'models'),
}
"""Option -> what it applies to; an option that would be ignored is refused."""


def benchmark(
        context: typer.Context,
        what: Annotated[str, typer.Option(
            '--what', metavar='|'.join(WHAT), help='pipeline: time and memory of each step. '
            'runtimes: latency of every runtime, precision and mode of this machine, and parity '
            'with float32 PyTorch. replay, scoring: evaluation of recordings and of data sets. '
            'training: data loader against training step. models: size, latency and validation '
            'metrics of the models of recipes or runs. lenses: distances through lenses with '
            'distortion, on synthetic scenes. mounting: depth with the mounting of the camera, '
            'right and wrong, at several heights.',
            )] = 'pipeline',
        out: Annotated[Path | None, typer.Option(
            '--out', '-o', help='FILE.json, or a folder for benchmark.json, benchmark.md and the '
            'converted models and engines.')] = None,
        size: Annotated[str, typer.Option(
            '--size', show_default='1024x2048; replay: 375x1242; models: of their validation; '
            'runtimes: that of the model, on a GPU also 1024x2048',
            help='Height x width of the images in px; for models and runtimes, of the network '
            'input; for runtimes several, separated by commas.')] = '',
        repeats: Annotated[int | None, typer.Option(
            '--repeats', min=1, show_default='30; runtimes: 200',
            help='Measured frames, or iterations of training.')] = None,
        model: Annotated[Path | None, typer.Option(
            '--model', '-m', rich_help_panel=_PIPELINE, show_default='fast',
            help='Model directory, or name of a shipped model.')] = None,
        source: Annotated[str | None, typer.Option(
            '--source', rich_help_panel=_PIPELINE, show_default='generated images',
            help='Image, folder, video or bag; mounting: a data set, NAME:ROOT:SPLIT.')] = None,
        minutes: Annotated[float | None, typer.Option(
            '--minutes', rich_help_panel=_PIPELINE, show_default='runtimes: 6; pipeline: none',
            help='Time limit of the whole benchmark.')] = None,
        backends: Annotated[str, typer.Option(
            '--backend', rich_help_panel=_PIPELINE, help='pipeline: runtimes, separated by '
            'commas, with options as in torch:device=cuda:mode=compile; model=DIR selects '
            'another model directory.')] = 'onnxruntime,torch',
        warmup: Annotated[int, typer.Option(
            '--warmup', min=0, rich_help_panel=_PIPELINE,
            help='pipeline: frames before the measured ones.')] = 3,
        threads: Annotated[int | None, typer.Option(
            '--threads', rich_help_panel=_PIPELINE, show_default='set by the runtime',
            help='pipeline, models, lenses, mounting: CPU threads of the runtime.')] = None,
        config: Annotated[Path | None, typer.Option(
            '--config', '-c', rich_help_panel=_PIPELINE,
            help='pipeline: YAML file with inference settings; see config/.')] = None,
        device: Annotated[str, typer.Option(
            '--device', rich_help_panel=_PIPELINE,
            help='runtimes: device of PyTorch; auto is the GPU where there is one.')] = 'auto',
        precisions: Annotated[str, typer.Option(
            '--precisions', rich_help_panel=_PIPELINE, show_default='all',
            help='runtimes: precisions, separated by commas.')] = 'float32,bfloat16,float16,int8',
        frames: Annotated[int | None, typer.Option(
            '--frames', min=1, rich_help_panel=_EVALUATION,
            show_default='300; lenses: 10; mounting: 24',
            help='Generated frames; replay needs 50 for each process; lenses, mounting: of each '
            'lens or height.',
            )] = None,
        jobs: Annotated[int | None, typer.Option(
            '--jobs', min=1, rich_help_panel=_EVALUATION, show_default='one per core, at most 4',
            help='Worker processes.')] = None,
        recipes: Annotated[list[Path] | None, typer.Option(
            '--recipe', metavar='RECIPE_OR_PACK', rich_help_panel=_TRAINING, show_default=False,
            help='Recipe or pack, as for train; for models repeatable, and also the folder of a '
            'run.')] = None,
        workers: Annotated[str | None, typer.Option(
            '--workers', rich_help_panel=_TRAINING, show_default='that of the recipe',
            help='Numbers of loader processes, separated by commas, as in 1,4,14.')] = None,
        changes: Annotated[list[str] | None, typer.Option(
            '--set', metavar='KEY=VALUE', rich_help_panel=_TRAINING, show_default=False,
            help='Change the recipe, as in batch_size=32; repeatable.')] = None) -> None:
    """Measure latency, throughput and memory on this machine."""
    if what not in WHAT:
        raise ConfigError(f'--what is {what!r}; choose {", ".join(WHAT)}')
    for parameter in context.command.params:
        kinds = _ONLY_FOR.get(parameter.name or '', WHAT)
        source_of = context.get_parameter_source(parameter.name or '')
        if what not in kinds and source_of is not None and source_of.name == 'COMMANDLINE':
            raise ConfigError(f'{parameter.opts[0]} has no effect with --what {what}; it is for '
                              f'{", ".join(kinds)}')
    sizes = tuple(options.parse_size(part) for part in options.parse_list(size))
    if len(sizes) > 1 and what != 'runtimes':
        raise ConfigError(f'--size is {size!r}; give one size, several are for --what runtimes')
    shape = sizes[0] if sizes else None
    if out is not None:
        context.with_resource(lock_file(out) if out.suffix == '.json' else lock_folder(out))
    if what == 'pipeline':
        from ..benchmark.pipeline import measure_pipeline, pictures
        from ..config import InferenceSettings, load_settings

        names = options.parse_list(backends)
        if not names:
            raise ConfigError(f'--backend is {backends!r}; name at least one runtime')
        report = measure_pipeline(
            model, names, frames=pictures(source, shape or (1024, 2048)), warmup=warmup,
            repeats=repeats or 30, threads=threads,
            settings=load_settings(InferenceSettings, config) if config else None,
            minutes=math.inf if minutes is None else minutes)
    elif what == 'runtimes':
        try:
            from ..benchmark.runtimes import RuntimeSettings, measure_runtimes
        except ModuleNotFoundError as error:
            raise options.missing_extra(error, 'export') from None
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if out is None or out.suffix == '.json' else out
            report = measure_runtimes(
                RuntimeSettings(folder, model, sizes, options.parse_list(precisions), device,
                                repeats or 200, source, 6.0 if minutes is None else minutes),
                note=_note,
                save=lambda report: None if out is None else report.write(out))
    elif what in ('training', 'models'):
        if not recipes:
            raise ConfigError(f'--what {what} needs --recipe; give a recipe or a pack')
        if what == 'models':
            report = _models(recipes, changes or [], shape, repeats or 30, threads)
        else:
            report = _training(recipes, changes or [], workers, repeats or 30)
    elif what == 'mounting':
        from ..benchmark.mounting import measure_mountings

        report = measure_mountings(model, frames or 24, source or '', threads, _note)
    elif what == 'lenses':
        from ..benchmark.lenses import measure_lenses

        report = measure_lenses(model, frames or 10, threads, _note)
    else:
        report = _evaluation(what, frames or 300, shape, jobs)
    if out is not None:
        report.write(out)
    print(report.to_markdown(), end='')


def _note(text: str) -> None:
    print(f'benchmark: {text} ...', file=sys.stderr)


def _models(recipes: list[Path], changes: list[str], size: tuple[int, int] | None, repeats: int,
            threads: int | None) -> Report:
    with options.needs_extra('train'):
        from ..benchmark.models import measure_models

    return measure_models(recipes, changes, size, repeats, threads)


def _training(recipes: list[Path], changes: list[str], workers: str | None,
              repeats: int) -> Report:
    try:
        from ..benchmark.training import measure_training
        from ..training.recipe import load_recipe
    except ModuleNotFoundError as error:
        raise options.missing_extra(error, 'train') from None
    if len(recipes) > 1:
        raise ConfigError('--recipe is there several times; --what training takes one')
    settings = load_recipe(recipes[0], changes)
    numbers = [str(settings.workers)] if workers is None else options.parse_list(workers)
    if not all(number.isdecimal() for number in numbers):
        raise ConfigError(f'--workers is {workers!r}; give numbers, as in 1,4,14')
    return measure_training(settings, [int(number) for number in numbers], repeats)


def _evaluation(what: str, frames: int, size: tuple[int, int] | None, jobs: int | None) -> Report:
    from ..benchmark.evaluation import REPLAY_SIZE, measure_replay, measure_scoring
    from ..evaluation.dataset.parallel import MOST_JOBS
    from ..evaluation.settings import WINDOWS, convention
    from ..machine import cores
    from .evaluate import run_evaluation

    jobs = jobs or min(cores(), MOST_JOBS)
    if what == 'replay':
        return measure_replay(frames, jobs, size or REPLAY_SIZE)
    settings = convention('ours', windows=WINDOWS['cityscapes_dvps'])
    return measure_scoring(frames, lambda root, results: run_evaluation(
        'cityscapes_dvps', str(root), 'val', settings, predictions=results, jobs=jobs),
        size or (1024, 2048))
