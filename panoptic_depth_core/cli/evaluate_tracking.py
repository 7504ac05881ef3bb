# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth evaluate-tracking``: how well track ids stay with things, cue by cue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..tables import Table
from . import options
from .console import frame_progress, number, out, print_table

if TYPE_CHECKING:
    from ..evaluation.metrics.tracking_metrics import TrackingResult, TrackingScores
    from ..labels import ClassInfo


def evaluate_tracking(
        root: Annotated[str, typer.Argument(help='Folder of the data set.')],
        dataset: Annotated[str, typer.Option(
            '--dataset', '-d', help='Name of the data set, such as kitti_half.')],
        split: Annotated[str, typer.Option(
            '--split', help='Part of the data set, with videos in it.')] = 'val',
        model: options.Model = None,
        rate: Annotated[float, typer.Option(
            '--rate', min=0.01, help='Frames per second, where frames have no stamps.')] = 10.0,
        limit: Annotated[int | None, typer.Option(
            '--limit', min=1, help='Stop after this many frames.')] = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        config: options.Settings = None) -> None:
    """Measure track ids on videos: id switches, fragments, MOTA and IDF1."""
    from ..datasets import open_dataset
    from ..evaluation.dataset.evaluate import require_same_classes
    from ..evaluation.dataset.tracking_comparison import compare_trackers
    from ..model_directory import open_model

    settings = options.evaluation_settings(config)
    opened = open_model(model)
    options.require_instances(opened.info, 'choose another model')
    samples = open_dataset(dataset, root, split)
    count = min(len(samples), limit or len(samples))
    with options.open_pipeline(opened, backend, settings, threads) as pipeline, \
            frame_progress('evaluate-tracking', count) as progress:
        info = opened.info
        require_same_classes(info.class_infos(), samples.classes, f'model {info.model_id}',
                             f'data set {dataset}')
        results = compare_trackers(
            pipeline, (samples[index] for index in range(count)), settings, samples.classes, rate,
            lambda done: progress.update(progress.task_ids[0], completed=done))
    _show(f'{info.model_id} on {dataset}, {split}', results, samples.classes)


def _show(title: str, results: dict[tuple[str, str], TrackingResult],
          classes: tuple[ClassInfo, ...]) -> None:
    show = out()
    print_table(Table(
        f'Tracking, {title}',
        ('masks, cues', 'id switches', 'fragments', 'MOTA', 'IDF1', 'tracks', 'things'),
        [_row(f'{masks}, {cues}', result.all) for (masks, cues), result in results.items()]))
    ours = results['predicted', 'all']
    print_table(Table(
        'Predicted masks, all cues, by class',
        ('class', 'id switches', 'fragments', 'MOTA', 'IDF1', 'tracks', 'things', 'seen',
         'missed', 'false', 'F1'),
        [(*_row(name, scores), str(scores.seen), str(scores.missed), str(scores.false_positives),
          _percent(scores.detection_f1)) for name, scores in (
              *((classes[i].name, scores) for i, scores in ours.by_class.items()),
              ('all', ours.all))]))
    show.print(f'Measured on {ours.frames} frames, at IoU > 0.5. seen, missed, false: instances, '
               'summed up over frames; F1: of them, whatever their ids, which IDF1 cannot exceed.',
               highlight=False)


def _row(name: str, scores: TrackingScores) -> tuple[str, ...]:
    return (name, str(scores.switches), str(scores.fragments), _percent(scores.mota),
            _percent(scores.idf1), str(scores.tracks), str(scores.things))


def _percent(value: float) -> str:
    return number(100 * value, 1, ' %')
