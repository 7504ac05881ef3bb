# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth evaluate-bag``: recordings in, a report out, the same every time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..tables import Table
from . import options
from .console import frame_progress, out, print_table, warn
from .interruption import stop_on_signal

if TYPE_CHECKING:
    from ..config import InferenceSettings
    from ..evaluation.recordings.bag_run import BagJob
    from ..evaluation.recordings.settings import ReplaySettings
    from ..evaluation.report.folder import Written

EXIT_GATE = 1
"""A threshold was missed."""

_RECORDED = 'recorded'


def evaluate_bag(
        bags: Annotated[list[Path], typer.Argument(
            metavar='BAG', help='rosbag2 recordings, or folders of them.')],
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Folder of the report.')],
        model: options.Model = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        config: options.Settings = None,
        track: Annotated[bool, typer.Option(
            '--track/--no-track', help='Follow instances over frames (extra tracking).')] = True,
        results: Annotated[str, typer.Option(
            '--results', help='model: run it; recorded: those in the bag; or the path of another '
            'recording, as replay.launch.py makes it.')] = 'model',
        reference: Annotated[str | None, typer.Option(
            '--reference', help='Also compare frame by frame with the results recorded in the '
            "bag ('recorded') or in another recording (its path).")] = None,
        image_topic: options.ImageTopic = None,
        camera_info_topic: options.CameraInfoTopic = None,
        labels_topic: Annotated[str | None, typer.Option(
            '--labels-topic', help='True labels, if not /truth/panoptic.')] = None,
        depth_topic: Annotated[str | None, typer.Option(
            '--depth-topic', help='True depth, if not /truth/depth.')] = None,
        lidar_topic: Annotated[str | None, typer.Option(
            '--lidar-topic', help='Point clouds, for a bag with several.')] = None,
        boxes_topic: Annotated[str | None, typer.Option(
            '--boxes-topic', help='True boxes, if not /truth/boxes.')] = None,
        node: Annotated[str | None, typer.Option(
            '--node', help='Node whose recorded results are taken, for a bag with those of '
            'several.')] = None,
        calibration: Annotated[Path | None, typer.Option(
            '--calibration', help='YAML with transforms between sensors; they win over tf.',
        )] = None,
        fx: options.Fx = None,
        fov: options.Fov = None,
        camera: options.Camera = None,
        evaluation: Annotated[Path | None, typer.Option(
            '--evaluation', help='YAML with how to score, see config/replay/evaluate_bag.yaml.',
        )] = None,
        baseline: Annotated[Path | None, typer.Option(
            '--baseline', help='Folder of another report to compare with.')] = None,
        thresholds: Annotated[Path | None, typer.Option(
            '--thresholds', help='YAML with limits of figures, see '
            'config/replay/thresholds.yaml; exit code 1 when one is missed.')] = None,
        workers: Annotated[int, typer.Option(
            '--workers', min=1, help='Processes, each with a recording at a time.')] = 1,
        ray: Annotated[str | None, typer.Option(
            '--ray', metavar='ADDRESS', help='Run on a Ray cluster instead (extra ray): '
            'HOST:PORT, auto or local.')] = None,
        rrd: Annotated[bool, typer.Option(
            '--rrd', help='Also write recordings for the Rerun viewer (extra viz).')] = False,
        mcap: Annotated[bool, typer.Option(
            '--mcap', help='Also write recordings for Foxglove.')] = False,
        limit: Annotated[int | None, typer.Option(
            '--limit', min=1, help='Stop each recording after this many frames.')] = None,
        overwrite: Annotated[bool, typer.Option(
            '--overwrite', help='Score every recording anew.')] = False) -> None:
    """
    Score recordings by whatever truth they hold, and by how steady the results are.

    Exit code 1 when a threshold is missed. A run that was interrupted goes on where it stopped
    when the same command is given again.
    """
    from ..evaluation.recordings.bag_run import BagJob, ModelChoice
    from ..evaluation.recordings.jobs import bag_names, beside, find_bags
    from ..io.sources.camera import CameraOptions

    settings = _replay_settings(evaluation, {
        'image': image_topic, 'camera_info': camera_info_topic, 'labels': labels_topic,
        'depth': depth_topic, 'lidar': lidar_topic, 'boxes': boxes_topic, 'node': node})
    choice = None
    if results == 'model':
        choice = ModelChoice(model, backend, _inference_settings(config, track),
                             _threads(threads, workers, ray))
    elif model is not None or config is not None:
        raise ConfigError(f'--results is {results!r}, in place of a model; leave --model and '
                          '--config out')
    paths = find_bags(bags, out_dir)
    alone = len(paths) == 1
    names = bag_names(paths)
    jobs = [BagJob(
        name, path, settings, choice, CameraOptions(fx, fov, camera), calibration,
        results=None if results in ('model', _RECORDED) else beside(Path(results), path, alone),
        reference=path if reference == _RECORDED else beside(
            None if reference is None else Path(reference), path, alone),
        limit=limit, viewers=tuple(
            out_dir / 'viewers' / f'{number:03d}_{re.sub("[^A-Za-z0-9.-]+", "_", name)}{suffix}'
            for suffix, wanted in (('.rrd', rrd), ('.mcap', mcap)) if wanted))
        for number, (name, path) in enumerate(zip(names, paths, strict=True), 1)]
    code = _evaluate(jobs, out_dir, workers=workers, ray=ray, overwrite=overwrite,
                     baseline=baseline, thresholds=thresholds)
    if code:
        raise typer.Exit(code)


def _replay_settings(path: Path | None, topics: dict[str, str | None]) -> ReplaySettings:
    """Settings of a YAML, with the topics of the command line."""
    from ..config import load_settings
    from ..evaluation.recordings.settings import ReplaySettings

    settings = ReplaySettings() if path is None else load_settings(ReplaySettings, path)
    given = {name: topic for name, topic in topics.items() if topic is not None}
    return settings.model_copy(update={'topics': settings.topics.model_copy(update=given)})


def _inference_settings(config: Path | None, track: bool) -> InferenceSettings:
    """Settings of the pipeline; it follows instances where it can, unless it is not to."""
    from ..inference.tracking import assignment_solver

    settings = options.evaluation_settings(config)
    if track and not settings.tracking.enabled:
        try:
            assignment_solver()
        except ConfigError as error:
            warn(f'no track ids: {error}')
            track = False
    return settings.model_copy(update={
        'tracking': settings.tracking.model_copy(update={'enabled': track})})


def _threads(threads: int | None, workers: int, ray: str | None) -> int | None:
    """Threads of the runtime in each process, so that together they have a core each."""
    from ..machine import cores

    if threads is not None or (workers == 1 and ray is None):
        return threads
    return 1 if ray is not None else max(1, cores() // workers)


def _evaluate(jobs: list[BagJob], folder: Path, *, workers: int, ray: str | None,
              overwrite: bool, baseline: Path | None, thresholds: Path | None) -> int:
    """Score, write the report, show the figures; return the exit code."""
    from ..evaluation.recordings.bag_run import close_models
    from ..evaluation.recordings.evaluate_bags import evaluate_bags
    from ..evaluation.report.baseline import require_baseline
    from ..evaluation.report.thresholds import load_thresholds
    from ..workers.pool import keep_freed_memory

    # Before the hours that follow.
    limits = None if thresholds is None else load_thresholds(thresholds)
    if baseline is not None:
        require_baseline(baseline, folder)
    elif limits is not None and limits.needs_baseline:
        raise ConfigError(f'{thresholds}: max_loss is set, which compares with another report; '
                          'give it with --baseline')
    keep_freed_memory()
    try:
        with stop_on_signal() as stopped, frame_progress('evaluate-bag', None) as bar:
            seen: dict[int, tuple[int, int | None]] = {}

            def show(index: int, done: int, expected: int | None) -> None:
                seen[index] = done, expected
                known = [n for _, n in seen.values() if n is not None]
                bar.update(bar.task_ids[0], completed=sum(n for n, _ in seen.values()),
                           total=sum(known) if len(known) == len(jobs) else None,
                           description=f'recording {max(seen) + 1} of {len(jobs)}')

            written = evaluate_bags(
                jobs, folder, workers=workers, ray_address=ray, overwrite=overwrite,
                baseline=baseline, thresholds=limits, progress=show,
                stopped=lambda: bool(stopped))
    finally:
        close_models()
    if written is None:
        without = ' without --overwrite' if overwrite else ''
        out().print(f'interrupted; the same command{without} goes on from here')
        return stopped.exit_code or EXIT_GATE
    _show(folder, written)
    return 0 if written.passed else EXIT_GATE


def _show(folder: Path, written: Written) -> None:
    """Print what the report says first: what failed, the figures, the limits that are missed."""
    from ..evaluation.recordings.figures import figure_kinds
    from ..evaluation.report.files import read_report
    from ..evaluation.report.format import figure_text

    report, show = read_report(folder), out()
    for bag in report['bags']:
        if bag['error'] is not None:
            warn(f'{bag["name"]}: {bag["error"]}')
        for kind in ('skipped', 'notes'):
            for text, count in bag[kind].items():
                warn(f'{bag["name"]}: {text} ({count} times)')
    kinds = figure_kinds()
    rows = [(kinds[name].title, figure_text(figure['value'], figure['unit']), figure['on'])
            for name, figure in report['figures'].items()]
    print_table(Table(report['title'], ('figure', 'value', 'measured on'), rows))
    if written.no_plots is not None:
        warn(f'no plots: {options.missing_extra(written.no_plots, "plots")}')
    for gate in written.gates:
        if not gate.passed:
            warn(f'missed: {gate.text}')
    if written.gates:
        missed = sum(not gate.passed for gate in written.gates)
        show.print(f'{len(written.gates) - missed} of {len(written.gates)} limits are met',
                   highlight=False)
    for path in written.paths:
        show.print(f'Report: {path}', highlight=False, markup=False)
