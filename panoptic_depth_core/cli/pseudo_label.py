# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth pseudo-label``: labels by networks for frames that have none, or few."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..files import lock_folder, write_atomic
from ..tables import Table
from . import options
from .console import frame_progress, number, print_table, warn
from .interruption import stop_on_signal
from .options import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..datasets.overlay import PseudoLabels


def pseudo_label(
        root: options.Root,
        dataset: options.Dataset,
        out_dir: Annotated[Path, typer.Option(
            '--out', '-o', help='Folder of the labels, for pseudo_labels in a recipe.')],
        teacher: Annotated[list[Path], typer.Option(
            '--teacher', '-t', help='ONNX graph (or .onnx.gz) of the 19 classes of Cityscapes: '
            'rgb 1x3xHxW float32 0..255 to probs 1x19xHxW; the mean of several counts.')],
        split: options.Split = 'train',
        model: Annotated[Path | None, typer.Option(
            '--model', '-m', show_default='none', help='Model directory, or name of a shipped '
            'model such as fast, which has to agree on --model-classes.')] = None,
        model_classes: Annotated[str, typer.Option(
            '--model-classes', help='Classes that the model decides with the teachers.',
        )] = 'road,sidewalk,terrain',
        never: Annotated[str, typer.Option(
            '--never', show_default='none', help='Classes to leave void, as in wall,truck.')] = '',
        detector: Annotated[Path | None, typer.Option(
            '--detector', show_default='none', help="YOLOX of COCO's classes (ONNX), for "
            'instances.')] = None,
        least: Annotated[float, typer.Option(
            '--least', help='Least probability of a label.')] = 0.7,
        box_score: Annotated[float, typer.Option(
            '--box-score', help='Least score of an instance.')] = 0.5,
        licenses: Annotated[list[str] | None, typer.Option(
            '--license', show_default=False, help='Of a network and of what it was trained on, '
            'for the record; can be repeated.')] = None,
        check: Annotated[bool, typer.Option(
            '--check', help='Do not use the labels of the data set, but compare with them.',
        )] = False,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        limit: options.Limit = None) -> None:
    """
    Label frames with other networks, for pseudo_labels in a recipe.

    To continue an interrupted run, give the same command again.
    """
    import cv2
    import numpy as np

    from ..class_tables import classes_differ
    from ..config import parse_settings
    from ..datasets import open_dataset
    from ..datasets import pseudo_labels as making
    from ..datasets.overlay import PseudoLabels, possible_classes
    from ..inference.teachers import BoxDetector, SemanticTeacher
    from ..labels import CITYSCAPES, CLASS_ID, VOID_ID
    from ..model_directory import open_model

    given = {'model_classes': options.parse_list(model_classes),
             'never': options.parse_list(never)}
    if unknown := [name for names in given.values() for name in names if name not in CLASS_ID]:
        raise ConfigError(f'--model-classes, --never: there is no class {unknown[0]!r}; known: '
                          f'{", ".join(CLASS_ID)}')
    rules = parse_settings(making.Rules, {'least': least, 'box_score': box_score, **given},
                           'options')
    for path, option, key in ((model, '--model', 'model_classes'),
                              (detector, '--detector', 'box_score')):
        if path is None and getattr(rules, key) != making.Rules.model_fields[key].default:
            raise ConfigError(f'--{key.replace("_", "-")} says nothing without {option}; give '
                              'both or none')
    frames = open_dataset(dataset, root, split, mounting='data')
    if check and not frames.classes:
        raise ConfigError(f'--check: data set {dataset} has no classes to compare with; leave it '
                          'out')
    opened = None if model is None else open_model(model)
    for classes, whose in ((frames.classes, f'data set {dataset}'),
                           (() if opened is None else opened.info.class_infos(), f'{model}')):
        if classes_differ(classes, CITYSCAPES):
            raise ConfigError(f'{whose} has other classes than Cityscapes, which the teachers '
                              'know; choose another one')
    say('Loading the networks; the first time, a large one can take minutes and 3 GB of memory')
    teachers = [SemanticTeacher(path, len(CITYSCAPES), threads) for path in teacher]
    boxes = None if detector is None else BoxDetector(detector, threads)
    made = PseudoLabels(
        instance_classes=() if boxes is None else making.FOUND_CLASSES,
        dataset=f'{dataset}:{root}:{split}', licenses=tuple(licenses or ()), made_by={
            'teachers': [{'file': path.name, 'sha256': net.graph.sha256}
                         for path, net in zip(teacher, teachers, strict=True)],
            'detector': None if detector is None or boxes is None else {
                'file': detector.name, 'sha256': boxes.graph.sha256},
            'model': None if opened is None else {
                'model_id': opened.info.model_id, 'sha256': opened.info.onnx_sha256,
                'license': opened.info.weights_licence},
            'rules': rules.model_dump(mode='json'), 'check': check})
    count = min(len(frames), limit or len(frames))
    counts = np.zeros((len(CITYSCAPES), len(CITYSCAPES) + 1), np.int64)
    done, labeled = 0, 0.0
    with lock_folder(out_dir) as output, stop_on_signal() as stopped, \
            frame_progress('pseudo-label', count) as progress:
        _begin(out_dir, made)
        pipeline = None if opened is None else options.open_pipeline(
            opened, backend, options.evaluation_settings(None), threads)
        labeler = making.Labeler(teachers, rules, boxes, pipeline)
        for index in range(count):
            if stopped:
                break
            output.check()
            sample = frames[index]
            size = sample.frame.image.shape[:2]
            path = out_dir / f'{sample.frame.name}.png'
            if not path.is_file():
                possible = possible_classes(frames, index, sample.truth, size, len(CITYSCAPES))
                if check:
                    possible = np.zeros(size, np.uint8), np.ones_like(possible[1][:1])
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, cv2.imencode(
                    '.png', labeler(sample.frame, possible))[1].tobytes())
                done += 1
            ids = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
            if ids.shape != size or ids.dtype != np.uint16:
                raise ConfigError(f'{path}: no labels of this frame; remove it and give the '
                                  'command again')
            labeled += float((ids != VOID_ID).mean()) / count
            if sample.truth.panoptic is not None:
                counts += making.agreement(sample.truth.panoptic, ids)
            progress.update(progress.task_ids[0], advance=1)
    if check and counts.any():
        print_table(_compared(counts))
    if not licenses:
        warn('what is learned from these labels has the licenses of the networks and of their '
             'data; give --license, so that the folder names them')
    if stopped:
        say('interrupted; continue with the same command')
        raise typer.Exit(stopped.exit_code)
    say(f'{done} frames labeled, {count - done} were there before; {100 * labeled:.0f} % of '
        f'their pixels have a label. For a recipe: pseudo_labels: {out_dir}')


def _begin(folder: Path, made: PseudoLabels) -> None:
    """Say in the folder what makes its labels; refuse one whose labels others made."""
    from ..datasets.overlay import FILE_NAME, read_pseudo_labels

    path = folder / FILE_NAME
    if not path.is_file():
        if next(folder.rglob('*.png'), None) is not None:
            raise ConfigError(f'{folder}: holds pictures, but no {FILE_NAME}; choose another '
                              'folder')
        write_atomic(path, made.model_dump_json(indent=1).encode() + b'\n', sync=True)
        return
    before, now = ({**values.pop('made_by'), **values} for values in (
        what.model_dump(mode='json') for what in (read_pseudo_labels(folder), made)))
    for key, value in now.items():
        if value != before.get(key):
            raise ConfigError(f'{folder}: has labels made with {key} = '
                              f'{json.dumps(before.get(key))}, now it is {json.dumps(value)}; '
                              'give the same options or choose another folder')


def _compared(counts: NDArray[np.int64]) -> Table:
    """:param counts: of datasets.pseudo_labels.agreement."""
    from ..labels import CITYSCAPES

    def percent(part: float, whole: float) -> str:
        return number(100 * part / whole if whole else float('nan'), 1)

    rows = [(c.name, percent(true.sum(), counts.sum()), percent(true[:-1].sum(), true.sum()),
             percent(true[i], true[:-1].sum()), percent(true[i], counts[:, i].sum()))
            for i, (c, true) in enumerate(zip(CITYSCAPES, counts, strict=True)) if true.any()]
    right, given = counts.trace(), counts[:, :-1].sum()
    return Table('Labels and what the data set knows, % of pixels', (
        'class', 'share', 'labeled', 'of them right', 'labels right'), [
        *rows, ('all', '100.0', percent(given, counts.sum()), percent(right, given),
                percent(right, given))])
