# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth demo``: a synthetic drive with its truth, or a recording of one's own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tables import Table
from . import options
from .console import frame_progress, number, out, print_table

if TYPE_CHECKING:
    from ..evaluation.dataset.evaluate import EvaluationResult
    from ..structures import Frame, PanopticDepth, Sample
    from .comparison import DistancePair

ALSO = ('video', 'bag')
"""Formats beside those that predict writes anyway."""
FRAMES = 30
SEED = 4
HEIGHT, WIDTH, FOCAL_PER_WIDTH = 384, 768, 0.9


def demo(
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Folder of the results.')],
        source: Annotated[str | None, typer.Option(
            '--source', help='Picture, folder, video or bag of your own.')] = None,
        frames: Annotated[int | None, typer.Option(
            '--frames', min=1, show_default=f'{FRAMES}, or all of a source',
            help='Frames to render, or to take of the source.')] = None,
        seed: Annotated[int, typer.Option('--seed', help='Of the synthetic drive.')] = SEED,
        model: options.Model = None,
        backend: options.Backend = 'auto',
        fx: options.Fx = None,
        fov: options.Fov = None) -> None:
    """Show what this does: a drive that nobody has seen, its distances beside the true ones."""
    from .predict import predict_source

    if source is not None:
        folder = out_dir / (re.sub(r'[^\w.-]+', '_', Path(source).stem) or 'source')
        summary = predict_source(source, folder, model=model, backend=backend,
                                 threads=None, also=ALSO, limit=frames, fx=fx, fov_deg=fov)
        if not summary.exit_code:
            _report(folder / 'bag', folder / 'report')
        raise typer.Exit(summary.exit_code)
    _synthetic_demo(out_dir / 'synthetic', frames or FRAMES, seed, model, backend)


def _synthetic_demo(folder: Path, frames: int, seed: int, model: Path | None,
                    backend: str) -> None:
    from ..datasets.synthetic import SyntheticDrive, SyntheticSettings
    from ..io.bags.drive_bags import read_drive_bag, write_drive_bag
    from ..labels import CITYSCAPES
    from ..model_directory import open_model
    from .comparison import Comparison
    from .predict import predict_source

    # Before the rendering: a missing model would only show after it. Without classes of its own it
    # is judged by those of the drive.
    classes = open_model(model).info.class_infos() or CITYSCAPES
    settings = SyntheticSettings(height=HEIGHT, width=WIDTH,
                                 focal_per_width=(FOCAL_PER_WIDTH, FOCAL_PER_WIDTH))
    bag = folder / 'drive'
    write_drive_bag(_shown(SyntheticDrive(frames, seed, settings=settings), frames), bag,
                    overwrite=True)

    shutil.rmtree(folder / 'comparison', ignore_errors=True)
    comparison = Comparison(folder / 'comparison', classes)
    truth = read_drive_bag(bag)

    def compare(frame: Frame, result: PanopticDepth) -> None:
        sample = next(s for s in truth if s.frame.name == frame.name)
        comparison.add(sample, result)

    summary = predict_source(str(bag), folder / 'results', model=model, backend=backend,
                             threads=None, also=ALSO, overwrite=True, on_result=compare,
                             image_topic='/camera/image_raw')
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)
    _show(comparison.pairs, comparison.finish(), folder)
    _report(bag, folder / 'report', model, backend)


def _report(bag: Path, folder: Path, model: Path | None = None,
            backend: str | None = None) -> None:
    """
    Write what evaluate-bag says of a recording, beside which its own tables are.

    :param backend: None: of the results in the bag.
    """
    from ..config import InferenceSettings
    from ..evaluation.recordings.bag_run import BagJob, ModelChoice, close_models
    from ..evaluation.recordings.evaluate_bags import evaluate_bags
    from ..evaluation.recordings.settings import ReplaySettings

    choice = None if backend is None else ModelChoice(model, backend, InferenceSettings())
    with frame_progress('report', None) as progress:
        evaluate_bags([BagJob(bag.name, bag, ReplaySettings(), choice)], folder, overwrite=True,
                      progress=lambda _, done, expected: progress.update(
                          progress.task_ids[0], completed=done, total=expected))
    close_models()
    out().print(f'Report: {folder / "report.html"}', highlight=False, markup=False)


def _shown(samples: Iterable[Sample], total: int) -> Iterator[Sample]:
    """Pass samples on under a progress bar."""
    with frame_progress('render', total) as progress:
        for sample in samples:
            yield sample
            progress.advance(progress.task_ids[0])


def _show(pairs: list[DistancePair], result: EvaluationResult, folder: Path) -> None:
    """Distances of one frame against the truth, and the figures of all, as the model has them."""
    show = out()
    last = [p for p in pairs if p.frame == pairs[-1].frame] if pairs else []
    if last:
        print_table(Table(
            f'Frame {last[0].frame} against its truth',
            ('instance', 'pixels', 'true distance m', 'predicted m', 'error'), [
                (p.instance, str(p.pixels), number(p.truth_m),
                 number(p.predicted_m) if p.error == p.error else 'not found',
                 number(100 * p.error, 1, ' %') if p.error == p.error else '') for p in last]))
    depth, distance, panoptic = result.depth.pooled, result.distance.all, result.panoptic
    rows = {
        'depth.abs_rel': ('depth absRel', number(depth.abs_rel, 3)),
        'depth.delta1': ('depth within 25 % of the truth', number(100 * depth.delta1, 1, ' %')),
        'distance.labels.median_rel': ('median error of instance distance',
                                       number(100 * distance.median_rel, 1, ' %')),
        'distance.labels.matched_share': ('instances found',
                                          f'{distance.matched} of {distance.instances}'),
        'panoptic.pq': ('PQ all / things / stuff', ' / '.join(
            number(100 * q.pq, 1) for q in (panoptic.all, panoptic.things, panoptic.stuff))),
        'semantic.miou': ('mIoU', number(100 * result.semantic.mean, 1, ' %'))}
    print_table(Table(f'All {result.frames.all} frames', ('figure', 'value'), [
        row for name, row in rows.items() if name in result.values]))
    for text, path in (('Drive with truth', 'drive'), ('Results and their bag', 'results'),
                       ('Prediction (left) beside truth (right)', 'comparison')):
        show.print(f'{text}: {folder / path}', highlight=False, markup=False)
