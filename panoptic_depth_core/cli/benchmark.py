# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth benchmark``: time and memory per step, by runtime; of other work too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from . import options

if TYPE_CHECKING:
    from ..evaluation.scoring_benchmark import ScoringTiming
    from ..training.benchmark import TrainingTiming


SIZE = '1024x2048'


def benchmark(
        model: options.Model = None,
        backends: Annotated[str, typer.Option(
            '--backend', help='Runtimes, separated by commas, with options as in '
            'torch:device=cuda:mode=compile; model=DIR among them is another model directory.',
            )] = 'onnxruntime,torch',
        size: Annotated[str | None, typer.Option(
            '--size', show_default=SIZE, help='Height x width of the images in px.',
            )] = None,
        repeats: Annotated[int, typer.Option(
            '--repeats', min=1, help='Frames, or iterations of training, counted.')] = 30,
        warmup: Annotated[int, typer.Option(
            '--warmup', min=0, help='Frames before them that are not.')] = 3,
        threads: options.Threads = None,
        scoring: Annotated[int | None, typer.Option(
            '--scoring', min=1, metavar='FRAMES', show_default=False,
            help='Time the scoring of so many made-up frames with stored results instead.',
        )] = None,
        replay: Annotated[int | None, typer.Option(
            '--replay', min=1, metavar='FRAMES', show_default=False,
            help='Time the evaluation of made-up recordings with recorded results instead, at '
            '375x1242 or --size.')] = None,
        jobs: Annotated[int | None, typer.Option(
            '--jobs', min=1, show_default='one per core up to 4',
            help='Processes that score.')] = None,
        training: Annotated[Path | None, typer.Option(
            '--training', metavar='RECIPE_OR_PACK', show_default=False,
            help='Time the loader and the step of a recipe instead.')] = None,
        workers: Annotated[str | None, typer.Option(
            '--workers', show_default='that of the recipe',
            help='Processes that load, separated by commas, as in 1,4,14.')] = None,
        changes: options.Changes = None,
        config: options.Settings = None,
        out_file: Annotated[Path | None, typer.Option(
            '--out', '-o', help='Also write the figures as JSON.')] = None) -> None:
    """Measure every step: median, 95th and 99th percentile, memory, machine, versions."""
    from ..config import InferenceSettings, load_settings
    from ..evaluation.benchmark import benchmark as run_benchmark

    if scoring is not None:
        timing = _time_scoring(scoring, options.parse_size(size or SIZE), jobs)
        typer.echo(timing.to_text(), nl=False)
        _write(out_file, timing.to_dict())
        return
    if replay is not None:
        timing = _time_replay(replay, size, jobs)
        typer.echo(timing.to_text(), nl=False)
        _write(out_file, timing.to_dict())
        return
    if training is not None:
        trained = _time_training(training, changes or (), workers, repeats)
        typer.echo(trained.to_markdown(), nl=False)
        _write(out_file, trained.to_dict())
        return
    names = options.parse_list(backends)
    if not names:
        raise ConfigError(f'--backend is {backends!r}; name at least one runtime')
    settings = load_settings(InferenceSettings, config) if config else None
    result = run_benchmark(
        model, names, image_size=options.parse_size(size or SIZE), warmup=warmup,
        repeats=repeats, threads=threads, settings=settings)
    typer.echo(result.to_markdown(), nl=False)
    _write(out_file, result.to_dict())


def _write(path: Path | None, content: dict[str, Any]) -> None:
    from ..files import make_folder, write_atomic

    if path is not None:
        make_folder(path.parent)
        write_atomic(path, json.dumps(content, indent=2).encode() + b'\n')


def _time_training(path: Path, changes: Sequence[str], workers: str | None,
                   repeats: int) -> TrainingTiming:
    try:
        from ..training.benchmark import training_benchmark
        from ..training.recipe import load_recipe
    except ModuleNotFoundError as error:
        raise options.missing_extra(error, 'train') from None

    settings = load_recipe(path, changes)
    numbers = [str(settings.workers)] if workers is None else options.parse_list(workers)
    if not all(number.isdecimal() for number in numbers):
        raise ConfigError(f'--workers is {workers!r}; give numbers, as in 1,4,14')
    return training_benchmark(settings, [int(number) for number in numbers], repeats)


def _time_scoring(frames: int, size: tuple[int, int], jobs: int | None) -> ScoringTiming:
    """Score everything that evaluate knows of Cityscapes-DVPS."""
    from ..evaluation.scoring_benchmark import scoring_benchmark
    from ..evaluation.settings import WINDOWS, convention
    from .evaluate import run_evaluation

    data_set = 'cityscapes_dvps'
    settings = convention('ours', windows=WINDOWS[data_set])
    return scoring_benchmark(frames, lambda root, results: run_evaluation(
        data_set, str(root), 'val', settings, predictions=results, jobs=jobs), size)


def _time_replay(frames: int, size: str | None, jobs: int | None) -> ScoringTiming:
    """Evaluate recordings of which everything is known."""
    from ..evaluation.dataset.parallel import MOST_JOBS
    from ..evaluation.machine import cores
    from ..replay.benchmark import SIZE as KITTI_SIZE
    from ..replay.benchmark import replay_benchmark

    return replay_benchmark(frames, jobs or min(cores(), MOST_JOBS),
                            KITTI_SIZE if size is None else options.parse_size(size))
