# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth demo``: a synthetic drive with its truth, or your own recording."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import lock_folder
from ..tables import Table
from . import options
from .console import frame_progress, number, print_table
from .options import say
from .predict import predict_source

if TYPE_CHECKING:
    from ..evaluation.dataset.evaluate import EvaluationResult
    from ..io.sources.mounting import MountingSettings
    from ..structures import Frame, PanopticDepth
    from .comparison import DistancePair

ALSO = ('video', 'bag')
"""Formats in addition to the default ones of predict."""
FRAMES = 30
SEED = 4
HEIGHT, WIDTH, FOCAL_PER_WIDTH = 384, 768, 0.9
METRICS = ('depth.abs_rel', 'depth.delta1', 'distance.labels.median_rel',
           'distance.labels.matched_share', 'panoptic.pq', 'panoptic.pq_things',
           'panoptic.pq_stuff', 'semantic.miou')


def demo(
        context: typer.Context,
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Folder of the results.')],
        source: Annotated[str | None, typer.Option(
            '--source', help='Your own picture, folder, video or bag.')] = None,
        frames: Annotated[int | None, typer.Option(
            '--frames', min=1, show_default=f'{FRAMES}, or all of a source',
            help='Frames to render, or to process of the source.')] = None,
        seed: Annotated[int, typer.Option('--seed', help='Seed of the synthetic drive.')] = SEED,
        model: options.Model = None,
        backend: options.Backend = 'auto',
        fx: options.Fx = None,
        fov: options.Fov = None,
        camera_height: options.CameraHeight = None,
        camera_pitch: options.CameraPitch = None,
        camera_roll: options.CameraRoll = None,
        mounting: options.Mounting = None,
        camera: options.Camera = None) -> None:
    """Show results on a synthetic drive beside its ground truth, or on your own source."""
    mounted = options.mounting_settings(camera_height, camera_pitch, camera_roll, mounting)
    context.with_resource(lock_folder(out_dir))
    if source is not None:
        folder = out_dir / (re.sub(r'[^\w.-]+', '_', Path(source).stem) or 'source')
        predict_source(source, folder, model=model, backend=backend, threads=None, also=ALSO,
                       limit=frames, fx=fx, fov_deg=fov, intrinsics_file=camera,
                       mounting=mounted)
        _report(folder / 'bag', folder / 'report')
    else:
        _synthetic_demo(out_dir / 'synthetic', frames or FRAMES, seed, model, backend, mounted)


def _synthetic_demo(folder: Path, frames: int, seed: int, model: Path | None,
                    backend: str, mounting: MountingSettings | None) -> None:
    from ..datasets.synthetic import SyntheticDrive, SyntheticSettings
    from ..io.bags.drive_bags import read_drive_bag, write_drive_bag
    from ..labels import CITYSCAPES
    from ..model_directory import open_model
    from .comparison import Comparison

    # Before the rendering, in case the model is missing. A model without classes is evaluated
    # with those of the drive.
    classes = open_model(model).info.class_infos() or CITYSCAPES
    settings = SyntheticSettings(height=HEIGHT, width=WIDTH,
                                 focal_per_width=(FOCAL_PER_WIDTH, FOCAL_PER_WIDTH))
    bag = folder / 'drive'
    with frame_progress('render', frames) as progress:
        drive = SyntheticDrive(frames, seed, settings=settings)
        write_drive_bag(progress.track(
            drive, total=frames, task_id=progress.task_ids[0], description='render'),
            bag, overwrite=True)
    shutil.rmtree(folder / 'comparison', ignore_errors=True)
    comparison = Comparison(folder / 'comparison', classes)
    truth = read_drive_bag(bag)

    def compare(frame: Frame, result: PanopticDepth) -> None:
        sample = next(s for s in truth if s.frame.name == frame.name)
        comparison.add(sample, result)

    predict_source(str(bag), folder / 'results', model=model, backend=backend, threads=None,
                   also=ALSO, overwrite=True, on_result=compare, image_topic='/camera/image_raw',
                   mounting=mounting)
    _show(comparison.pairs, comparison.finish(), folder)
    _report(bag, folder / 'report', model, backend, mounting)


def _report(bag: Path, folder: Path, model: Path | None = None,
            backend: str | None = None, mounting: MountingSettings | None = None) -> None:
    """
    Write the report of evaluate-bag.

    :param backend: None: evaluate the results in the bag.
    """
    from ..config import InferenceSettings
    from ..evaluation.recordings.evaluate_bag import BagJob, ModelChoice, close_models
    from ..evaluation.recordings.evaluate_bags import evaluate_bags
    from ..evaluation.settings import RecordingSettings
    from ..io.sources.mounting import MountingSettings

    choice = None if backend is None else ModelChoice(model, backend, InferenceSettings())
    with frame_progress('report', None) as progress:
        job = BagJob(bag.name, bag, RecordingSettings(), choice,
                     mounting=mounting or MountingSettings())
        evaluate_bags([job], folder, overwrite=True,
                      progress=lambda _, done, expected: progress.update(
                          progress.task_ids[0], completed=done, total=expected))
    close_models()
    say(f'Report: {folder / "report.html"}')


def _show(pairs: list[DistancePair], result: EvaluationResult, folder: Path) -> None:
    """Print distances in the last frame against the truth, and the metrics of all frames."""
    from ..evaluation.metrics.table import metric_kinds
    from ..evaluation.report.format import metric_text

    last = [p for p in pairs if p.frame == pairs[-1].frame] if pairs else []
    if last:
        print_table(Table(
            f'Frame {last[0].frame} against its truth',
            ('instance', 'pixels', 'true distance m', 'predicted m', 'error'), [
                (p.instance, str(p.pixels), number(p.truth_m),
                 *(('not found', '') if math.isnan(p.error) else
                   (number(p.predicted_m), number(100 * p.error, 1, ' %')))) for p in last]))
    kinds, values = metric_kinds(), result.values
    print_table(Table(f'All {result.frames.all} frames', ('metric', 'value'), [
        (kinds[name].title, metric_text(values[name], kinds[name].unit))
        for name in METRICS if name in values]))
    for text, path in (('Drive with truth', 'drive'), ('Results and their bag', 'results'),
                       ('Prediction (left) beside truth (right)', 'comparison')):
        say(f'{text}: {folder / path}')
