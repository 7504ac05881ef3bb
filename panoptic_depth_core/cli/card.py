# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth card``: what a model is, how good it is, and where not to use it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..files import lock_folder
from . import options
from .console import print_table, run_progress, warn
from .options import say


def card(
        context: typer.Context,
        model: Annotated[Path | None, typer.Argument(
            show_default='fast', help='Model directory, or name of a shipped model.')] = None,
        data: Annotated[list[str] | None, typer.Option(
            '--dataset', '-d', metavar='NAME:ROOT[:SPLIT]', show_default=False,
            help='Data set, such as kitti_half:DATA/kitti_half, split val unless given; '
            'repeatable. synthetic alone is scenes of each height of the camera, focal length and '
            'weather, and with unknown objects.')] = None,
        out_dir: Annotated[Path, typer.Option(
            '--out', '-o', help='Folder of MODEL_CARD.md, card.html and card.json.')
            ] = Path('card_out'),
        limit: Annotated[int | None, typer.Option(
            '--limit', min=1, help='Frames of each data set.')] = None,
        scenes: Annotated[int, typer.Option(
            '--scenes', min=1, help='Scenes of synthetic validation.')] = 24,
        study_scenes: Annotated[int, typer.Option(
            '--study-scenes', min=1, help='Scenes of each camera and weather.')] = 10,
        corruption_frames: Annotated[int, typer.Option(
            '--corruption-frames', min=1, help='Frames of the first data set that are corrupted, '
            'in 15 ways at each severity.')] = 8,
        severities: Annotated[str, typer.Option(
            '--severities', help='Severities of the corruptions, 1 to 5.')] = '1,3,5',
        skip: Annotated[str, typer.Option(
            '--skip', metavar='PART,...', help='Leave out: mounting, heights, focal, weather, '
            'unknown_objects, corruptions, speed.')] = '',
        draws: Annotated[int, typer.Option(
            '--draws', min=0, help='Resamples of the frames for the intervals; 0: none.')] = 1000,
        seed: Annotated[int, typer.Option('--seed', min=0, help='Of the resampling.')] = 0,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        config: options.Settings = None) -> None:
    """Write a model card: figures with intervals, robustness, uncertainty, speed, licenses."""
    from ..benchmark.card import CardSettings, measure_card
    from ..config import parse_settings
    from ..evaluation.report.card import write_card
    from ..evaluation.report.card_tables import limits, main_table

    if not data:
        raise ConfigError('card: no data set is given; give -d NAME:ROOT[:SPLIT], as in -d '
                          'kitti_half:DATA/kitti_half, or -d synthetic')
    numbers = options.parse_list(severities)
    if not all(number.isdecimal() for number in numbers):
        raise ConfigError(f'--severities is {severities!r}; give numbers, as in 1,3,5')
    settings = parse_settings(CardSettings, {
        'data': data, 'limit': limit, 'scenes': scenes, 'study_scenes': study_scenes,
        'corruption_frames': corruption_frames, 'severities': [int(n) for n in numbers],
        'skip': options.parse_list(skip), 'draws': draws, 'seed': seed}, 'card')
    with lock_folder(out_dir):
        with run_progress('card') as tell:
            found = measure_card(
                model, settings, backend=backend, threads=threads,
                inference=options.evaluation_settings(config) if config else None,
                command=_command(context), tell=tell)
        # Before the output, so that a closed pipe does not lose the card.
        paths, missing = write_card(found, out_dir)
    if missing is not None:
        warn(f'no plots: {options.missing_extra(missing, "plots")}')
    print_table(main_table(found))
    for line in limits(found):
        say(line)
    for path in paths:
        say(f'Card: {path}')


def _command(context: typer.Context) -> str:
    """The command as it was given, options in the order of --help; without the output folder."""
    words = ['panoptic-depth', 'card']
    for parameter in context.command.params:
        name = parameter.name or ''
        source = context.get_parameter_source(name)
        if source is None or source.name != 'COMMANDLINE' or name == 'out_dir':
            continue
        value = context.params[name]
        option = [parameter.opts[-1]] if parameter.param_type_name == 'option' else []
        for one in value if isinstance(value, list) else [value]:
            words += [*option, str(one)]
    return shlex.join(words)
