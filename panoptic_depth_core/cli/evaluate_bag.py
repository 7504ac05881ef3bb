# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth evaluate-bag``: recordings in, a reproducible report out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..tables import Table
from . import options
from .console import frame_progress, print_table, warn
from .interruption import stop_on_signal
from .options import say

if TYPE_CHECKING:
    from ..config import InferenceSettings
    from ..evaluation.recordings.evaluate_bag import BagJob
    from ..evaluation.report.folder import Written

EXIT_GATE = options.EXIT_INCOMPLETE
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
            '--track/--no-track', help='Track instances over frames (extra tracking).')] = True,
        results: Annotated[str, typer.Option(
            '--results', help='model: run it; recorded: those in the bag; or the path of another '
            'recording, such as one of replay.launch.py.')] = 'model',
        reference: Annotated[str | None, typer.Option(
            '--reference', help='Also compare frame by frame with the results recorded in the '
            "bag ('recorded') or in another recording (its path).")] = None,
        image_topic: options.ImageTopic = None,
        camera_info_topic: options.CameraInfoTopic = None,
        camera_info_use: options.CameraInfoUse = 'auto',
        bits: options.Bits = 0,
        labels_topic: Annotated[str | None, typer.Option(
            '--labels-topic', help='Topic of the true labels, if not /truth/panoptic.')] = None,
        depth_topic: Annotated[str | None, typer.Option(
            '--depth-topic', help='Topic of the true depth, if not /truth/depth.')] = None,
        lidar_topic: Annotated[str | None, typer.Option(
            '--lidar-topic', help='Topic of the point clouds, for bags with several.')] = None,
        boxes_topic: Annotated[str | None, typer.Option(
            '--boxes-topic', help='Topic of the true boxes, if not /truth/boxes.')] = None,
        measured_depth: Annotated[str | None, typer.Option(
            '--measured-depth', metavar='TOPIC', help='Topic of measured depth to blend with that '
            'of the model. Where it is the truth too, half of it is held out and scored.',
        )] = None,
        node: Annotated[str | None, typer.Option(
            '--node', help='Node whose recorded results are used, for bags with several.',
        )] = None,
        calibration: Annotated[Path | None, typer.Option(
            '--calibration', help='YAML with transforms between sensors, which override tf.',
        )] = None,
        fx: options.Fx = None,
        fov: options.Fov = None,
        camera: options.Camera = None,
        camera_height: options.CameraHeight = None,
        camera_pitch: options.CameraPitch = None,
        camera_roll: options.CameraRoll = None,
        mounting: options.Mounting = None,
        ground_frame: options.GroundFrame = None,
        ground_offset: options.GroundOffset = None,
        evaluation: Annotated[Path | None, typer.Option(
            '--evaluation', help='YAML with settings, see config/replay/evaluate_bag.yaml.',
        )] = None,
        baseline: Annotated[Path | None, typer.Option(
            '--baseline', help='Folder of another report to compare with.')] = None,
        thresholds: Annotated[Path | None, typer.Option(
            '--thresholds', help='YAML with limits of metrics, see '
            'config/replay/thresholds.yaml; exit code 1 if one is missed.')] = None,
        workers: Annotated[int, typer.Option(
            '--workers', min=1, help='Processes, one recording at a time each.')] = 1,
        ray: Annotated[str | None, typer.Option(
            '--ray', metavar='ADDRESS', help='Run on a Ray cluster instead (extra ray): '
            'HOST:PORT, auto or local.')] = None,
        rrd: Annotated[bool, typer.Option(
            '--rrd', help='Also write recordings for the Rerun viewer (extra viz).')] = False,
        mcap: Annotated[bool, typer.Option(
            '--mcap', help='Also write recordings for Foxglove.')] = False,
        limit: Annotated[int | None, typer.Option(
            '--limit', min=1, help='Stop each recording after this many frames.')] = None,
        max_skipped: options.MaxSkipped = 0.5,
        overwrite: Annotated[bool, typer.Option(
            '--overwrite', help='Evaluate every recording again.')] = False) -> None:
    """
    Evaluate recordings against their ground truth, and the temporal consistency of the results.

    Exit code 1 if a threshold is missed, a recording failed or ended early, or too many of its
    frames were skipped. To continue an interrupted run, give the same command again.
    """
    from ..config import load_settings
    from ..evaluation.recordings.evaluate_bag import BagJob, ModelChoice
    from ..evaluation.recordings.jobs import bag_names, beside, find_bags
    from ..evaluation.settings import RecordingSettings
    from ..io.cameras.camera_options import CameraOptions
    from ..io.sources.mounting import MountingSettings
    from ..machine import cores

    settings = RecordingSettings() if evaluation is None else load_settings(
        RecordingSettings, evaluation)
    topics = {'image': image_topic, 'camera_info': camera_info_topic, 'labels': labels_topic,
              'depth': depth_topic, 'lidar': lidar_topic, 'boxes': boxes_topic, 'node': node,
              'measured_depth': measured_depth}
    settings = settings.model_copy(update={'topics': settings.topics.model_copy(
        update={name: topic for name, topic in topics.items() if topic is not None})})
    mounted = options.mounting_settings(
        camera_height, camera_pitch, camera_roll, mounting, ground_frame, ground_offset)
    choice = None
    if results == 'model':
        if threads is None and (workers > 1 or ray is not None):
            threads = 1 if ray is not None else max(1, cores() // workers)
        choice = ModelChoice(model, backend, _inference_settings(config, track), threads)
    elif model is not None or config is not None or mounted is not None:
        raise ConfigError(f'--results is {results!r}, in place of a model; leave --model, '
                          '--config and the mounting out')
    paths = find_bags(bags, out_dir)
    alone = len(paths) == 1
    names = bag_names(paths)
    jobs = [BagJob(
        name, path, settings, choice,
        CameraOptions(fx, fov, camera, use=camera_info_use, bits=bits),
        calibration, mounting=mounted or MountingSettings(),
        results=None if results in ('model', _RECORDED) else beside(Path(results), path, alone),
        reference=path if reference == _RECORDED else beside(
            None if reference is None else Path(reference), path, alone),
        limit=limit, viewers=tuple(
            out_dir / 'viewers' / f'{number:03d}_{re.sub("[^A-Za-z0-9.-]+", "_", name)}{suffix}'
            for suffix, wanted in (('.rrd', rrd), ('.mcap', mcap)) if wanted))
        for number, (name, path) in enumerate(zip(names, paths, strict=True), 1)]
    code = _evaluate(jobs, out_dir, workers=workers, ray=ray, overwrite=overwrite,
                     baseline=baseline, thresholds=thresholds, max_skipped=max_skipped)
    options.end(code)


def _inference_settings(config: Path | None, track: bool) -> InferenceSettings:
    """Settings of the pipeline; without scipy, tracking is off, with a warning."""
    from ..inference.tracking import assignment_solver

    settings = options.evaluation_settings(config)
    if track and not settings.tracking.enabled:
        try:
            assignment_solver()
        except ConfigError as error:
            warn(f'no track ids: {error}')
            track = False
    return options.with_tracking(settings, track)


def _evaluate(jobs: list[BagJob], folder: Path, *, workers: int, ray: str | None,
              overwrite: bool, baseline: Path | None, thresholds: Path | None,
              max_skipped: float) -> int:
    """Evaluate, write the report, show the metrics; return the exit code."""
    from ..evaluation.recordings.evaluate_bag import close_models
    from ..evaluation.recordings.evaluate_bags import evaluate_bags
    from ..evaluation.report.baseline import require_baseline
    from ..evaluation.report.thresholds import load_thresholds
    from ..workers.pool import keep_freed_memory

    # Before the evaluation, which may take hours.
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
        say('interrupted; continue with the same command'
            + (' without --overwrite' if overwrite else ''))
        return stopped.exit_code or EXIT_GATE
    complete = _show(folder, written, max_skipped)
    return 0 if written.passed and complete else EXIT_GATE


def _show(folder: Path, written: Written, max_skipped: float) -> bool:
    """Print failures, metrics and missed limits; return whether all recordings are complete."""
    from ..evaluation.metrics.table import metric_kinds
    from ..evaluation.recordings.reading.reader import NO_LOSS
    from ..evaluation.report.files import read_report
    from ..evaluation.report.format import metric_text

    report = read_report(folder)
    for bag in report['bags']:
        if bag['error'] is not None:
            warn(f'{bag["name"]}: {bag["error"]}')
        for kind in ('skipped', 'notes'):
            for text, count in bag[kind].items():
                warn(f'{bag["name"]}: {text} ({count} times)')
    kinds = metric_kinds()
    rows = [(kinds[name].title, metric_text(found['value'], found['unit']), found['on'])
            for name, found in report['figures'].items()]
    print_table(Table(report['title'], ('metric', 'value', 'measured on'), rows))
    if written.no_plots is not None:
        warn(f'no plots: {options.missing_extra(written.no_plots, "plots")}')
    for gate in written.gates:
        if not gate.passed:
            warn(f'missed: {gate.text}')
    if written.gates:
        met = sum(gate.passed for gate in written.gates)
        say(f'{met} of {len(written.gates)} limits are met')
    for path in written.paths:
        say(f'Report: {path}')
    codes = [options.incomplete(
        bag['missing'] + sum(count for text, count in bag['skipped'].items()
                             if text not in NO_LOSS),
        bag['frames'], bag['ended_early'], max_skipped, f'{bag["name"]}: ')
        for bag in report['bags'] if bag['error'] is None]
    failed = len(report['bags']) - len(codes)
    return not (any(codes) or (failed and max_skipped < 1.0))
