# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth evaluate``, ``evaluate-tracking`` and ``calibrate``: a model against truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ConfigError
from ..files import lock_folder
from ..tables import Table
from . import options
from .console import frame_progress, number, print_table, warn
from .options import say

if TYPE_CHECKING:
    from ..evaluation.dataset.evaluate import EvaluationResult
    from ..evaluation.dataset.parallel import Predictor
    from ..evaluation.metrics.tracking import TrackingScores
    from ..evaluation.settings import EvaluationSettings
    from ..io.sources.mounting import MountingSettings
    from ..structures import Mounting

_FEW_FRAMES = 30


def evaluate(
        root: options.Root,
        dataset: options.Dataset,
        out_dir: Annotated[Path, typer.Option(
            '--out', '-o', help='Folder of the report.')] = Path('evaluation_out'),
        split: options.Split = 'val',
        model: options.Model = None,
        predictions: Annotated[Path | None, typer.Option(
            '--predictions', help='Folder of stored results instead of a model: from predict, or '
            'panoptic/NAME.png (uint16 class * 1000 + instance, void 65535) and depth/NAME.png '
            '(uint16 m * 256).')] = None,
        windows: Annotated[str, typer.Option(
            '--windows', help='Frames per window of DVPQ, as in 1,2,3,4, or cityscapes_dvps or '
            'semkitti_dvps for those of published results.')] = '1',
        convention: Annotated[str, typer.Option(
            '--convention', help='ours: absent classes are left out of means; official: NaN; '
            'published: 0.')] = 'ours',
        protocol: Annotated[str, typer.Option(
            '--protocol', help='Named evaluation of depth, such as eigen_kitti, lapdepth_kitti '
            'or nyu: its crop, limits and means over images (doc/evaluation.md).')] = '',
        measured_depth: Annotated[str | None, typer.Option(
            '--measured-depth', metavar='FOLDER|sample:SHARE', help='Measured depth to blend with '
            'that of the model; the other pixels are scored, with and without it. A folder of '
            'depth pictures with the names of the frames; or sample:0.01,noise=0.03,outliers=0.05 '
            'to simulate a sensor by drawing 1 % of the true pixels.')] = None,
        measured_depth_scale: options.MeasuredScale = 1000.0,
        corruption: Annotated[str | None, typer.Option(
            '--corruption', metavar='NAME:SEVERITY', help='One of the 15 corruptions of '
            'ImageNet-C and Cityscapes-C on the images, at severity 1 to 5, as in fog:3.')] = None,
        jobs: Annotated[int | None, typer.Option(
            '--jobs', min=1, show_default='one per core up to 4; with a model 1',
            help='Processes; each loads the model.')] = None,
        limit: options.Limit = None,
        camera_height: options.CameraHeight = None,
        camera_pitch: options.CameraPitch = None,
        camera_roll: options.CameraRoll = None,
        mounting: Annotated[str, typer.Option(
            '--mounting', help='none: the model does not know how the camera is mounted; data: as '
            'the data set knows it; or a YAML with height, pitch and roll, as calibrate-mounting '
            'writes it.')] = 'none',
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        config: options.Settings = None) -> None:
    """Measure panoptic quality, DPQ, depth and distance errors on a data set."""
    from ..evaluation.settings import convention as settings_of

    if predictions is not None and (model is not None or config is not None):
        raise ConfigError('--predictions is in place of a model; leave --model and --config out')
    if predictions is not None and measured_depth is not None:
        raise ConfigError('--measured-depth is blended with the depth of a model; leave '
                          '--predictions out')
    if predictions is not None and corruption is not None:
        raise ConfigError('--corruption changes the images that a model is given; leave '
                          '--predictions out')
    mounted = _mounting_of(mounting, options.mounting_settings(
        camera_height, camera_pitch, camera_roll))
    if predictions is not None and mounted is not None:
        raise ConfigError('--predictions is in place of a model; leave the mounting out')
    settings = settings_of(convention, windows=parse_windows(windows), protocol=protocol)
    run = partial(
        run_evaluation, dataset, root, split, settings, predictions=predictions, jobs=jobs,
        limit=limit, mounting=mounted, model=model, backend=backend, threads=threads,
        config=config, corruption=corruption)
    measured = None if measured_depth is None else (measured_depth, measured_depth_scale)
    with lock_folder(out_dir):
        name, result = run(measured=measured)
        title = f'{name} on {dataset}, {split}' + (f', {corruption}' if corruption else '')
        # Before the output, so that a closed pipe does not lose the report.
        if measured is None:
            written = write_all(result, out_dir, title)
        else:
            alone = run(measured=measured, blended=False)[1]
            written = [*write_all(result, out_dir, f'{title}, with measured depth'),
                       *write_all(alone, out_dir / 'network_alone', f'{title}, network alone')]
    show_result(result)
    counts = result.frames
    if not counts.semantics and not counts.instances and not counts.depth:
        warn(f'no frame of {dataset}, {split}, has labels, so nothing was measured; choose '
             'another data set or split')
    if measured is not None:
        _show_measured(alone, result, measured[0])
    for path in written:
        say(f'Report: {path}')


def _mounting_of(text: str, given: MountingSettings | None) -> Mounting | Literal['data'] | None:
    """What datasets.open_dataset takes."""
    from ..io.sources.mounting import read_mounting

    if given is not None and text != 'none':
        raise ConfigError(f'--mounting is {text}, but --camera-height is given too; give one of '
                          'them')
    if text == 'data':
        return 'data'
    if text != 'none':
        given = read_mounting(Path(text))
        if given.fixed is None:
            raise ConfigError(f'{text}: gives no height_m; a data set has no tf')
    return None if given is None else given.fixed


def parse_windows(text: str) -> tuple[int, ...]:
    """Parse '1,2,3,4', or the name of a preset."""
    from ..evaluation.settings import WINDOWS

    if text in WINDOWS:
        return WINDOWS[text]
    parts = options.parse_list(text)
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(f'--windows is {text!r}; give numbers of frames as in 1,2,3,4, or '
                          f'{" or ".join(WINDOWS)}')
    return tuple(dict.fromkeys(map(int, parts)))


def run_evaluation(dataset: str, root: str, split: str, settings: EvaluationSettings, *,
                   predictions: Path | None = None, jobs: int | None = None,
                   limit: int | None = None, mounting: Mounting | Literal['data'] | None = None,
                   model: Path | None = None, backend: str = 'auto', threads: int | None = None,
                   config: Path | None = None, measured: tuple[str, float] | None = None,
                   blended: bool = True, corruption: str | None = None
                   ) -> tuple[str, EvaluationResult]:
    """
    Evaluate stored results or else a model; return its name and the metrics.

    :param measured, blended: see MeasuredSamples.
    :param corruption: of the images, see parse_corruption.
    """
    from ..datasets import Dataset, open_dataset
    from ..evaluation.corruptions import open_corrupted
    from ..evaluation.dataset.evaluate import require_same_classes
    from ..evaluation.dataset.measured_samples import open_measured
    from ..evaluation.dataset.parallel import MOST_JOBS, Samples, Work, evaluate_parts
    from ..evaluation.dataset.stored_predictions import StoredPredictions
    from ..machine import cores
    from ..model_directory import open_model

    predictor: Callable[[], AbstractContextManager[Predictor]]
    info = open_model(model).info if predictions is None else None
    open_samples: Callable[[], Dataset] = partial(
        open_dataset, dataset, root, split, None if info is None else info.class_infos(), mounting)
    if corruption is not None:
        open_samples = partial(open_corrupted, open_samples, corruption)
    samples = open_samples()
    count = min(len(samples), limit or len(samples))
    if predictions is not None:
        jobs = jobs or min(cores(), MOST_JOBS)
        name = predictions.resolve().name
        enter: Callable[[Predictor], AbstractContextManager[Predictor]] = nullcontext
        predictor = partial(enter, StoredPredictions(
            predictions, samples.classes, settings.depth_protocol))
    else:
        assert info is not None
        require_same_classes(info.class_infos(), samples.classes, f'model {info.model_id}',
                             f'data set {dataset}')
        jobs = jobs or 1
        if threads is None and jobs > 1:
            threads = max(1, cores() // jobs)
        name = info.model_id
        predictor = partial(options.open_pipeline, model, backend,
                            options.evaluation_settings(config), threads)
    opened: Callable[[], Samples] = open_samples if measured is None else partial(
        open_measured, open_samples, *measured, blended)
    # What is wrong with it is said before the work begins.
    opened()
    work = Work(opened, predictor, settings, tuple(
        samples.classes or (info.class_infos() if info else ())))
    with _counted('evaluate', count) as done:
        return name, evaluate_parts(work, count, jobs, done)


@contextmanager
def _counted(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; call the result with the number of frames that are done."""
    with frame_progress(title, total) as progress:
        yield lambda done: progress.update(progress.task_ids[0], completed=done)


def show_result(result: EvaluationResult) -> None:
    """Print tables and conventions."""
    from ..evaluation.report.dataset_report import conventions, tables

    for table in tables(result):
        print_table(table)
    for line in conventions(result):
        say(line)


_MEASURED_ROWS = ('depth.', 'distance.', 'calibration.')


def _show_measured(alone: EvaluationResult, result: EvaluationResult, given: str) -> None:
    """Print what the measured depth changes."""
    from ..evaluation.dataset.measured_samples import SimulatedPoints, is_simulated
    from ..evaluation.metrics.table import metric_kinds
    from ..evaluation.report.format import metric_text

    kinds = metric_kinds()
    rows = [(kinds[name].title, *(metric_text(values[name], kinds[name].unit)
                                  for values in (alone.values, result.values)))
            for name in result.values if name.startswith(_MEASURED_ROWS) and name in alone.values]
    print_table(Table('Measured depth', ('metric', 'network alone', 'with measured depth'), rows))
    if repr(alone.values) == repr(result.values):
        warn(f'--measured-depth is {given}, which changed nothing: it has points of no frame; '
             'files are named as the frames')
    what = SimulatedPoints.parse(given) if is_simulated(given) else given
    say(f'Measured depth: {what}; the pixels of its points are not scored.')


def write_all(result: EvaluationResult, folder: Path, title: str) -> list[Path]:
    """Write the report, with plots if matplotlib is installed; return the paths."""
    from ..evaluation.report.dataset_report import write_plots, write_report

    plots: list[Path] = []
    try:
        plots = write_plots(result, folder)
    except ImportError as error:
        warn(f'no plots: {options.missing_extra(error, "plots")}')
    return [*write_report(result, folder, title, plots), *plots]


def evaluate_tracking(
        root: options.Root,
        dataset: options.Dataset,
        split: options.Split = 'val',
        model: options.Model = None,
        rate: Annotated[float, typer.Option(
            '--rate', min=0.01, help='Frames per second, if frames have no stamps.')] = 10.0,
        limit: options.Limit = None,
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
    info = opened.info
    options.require_instances(info, 'choose another model')
    samples = open_dataset(dataset, root, split)
    count = min(len(samples), limit or len(samples))
    with options.open_pipeline(opened, backend, settings, threads) as pipeline, \
            _counted('evaluate-tracking', count) as done:
        require_same_classes(info.class_infos(), samples.classes, f'model {info.model_id}',
                             f'data set {dataset}')
        results = compare_trackers(
            pipeline, (samples[index] for index in range(count)), settings, samples.classes, rate,
            done)
    ours = results['predicted', 'all']
    columns = ('id switches', 'fragments', 'MOTA', 'IDF1', 'tracks', 'things')
    print_table(Table(
        f'Tracking, {info.model_id} on {dataset}, {split}', ('masks, cues', *columns),
        [(f'{masks}, {cues}', *_scores(result.all)) for (masks, cues), result in results.items()]))
    by_class = [*((samples.classes[i].name, scores) for i, scores in ours.by_class.items()),
                ('all', ours.all)]
    print_table(Table(
        'Predicted masks, all cues, by class',
        ('class', *columns, 'seen', 'missed', 'false', 'F1'),
        [(name, *_scores(scores), str(scores.seen), str(scores.missed),
          str(scores.false_positives), _percent(scores.detection_f1))
         for name, scores in by_class]))
    say(f'Measured on {ours.frames} frames, at IoU > 0.5. seen, missed, false: instances, summed '
        'over frames; F1: of these, ignoring ids, an upper limit of IDF1.')


def _scores(scores: TrackingScores) -> tuple[str, ...]:
    return (str(scores.switches), str(scores.fragments), _percent(scores.mota),
            _percent(scores.idf1), str(scores.tracks), str(scores.things))


def calibrate(
        model_dir: Annotated[Path, typer.Argument(
            help='Model directory; the temperature is stored in its model.json.')],
        root: options.Root,
        dataset: options.Dataset,
        split: Annotated[str, typer.Option(
            '--split', help='Split of the data set that was not used in training.')] = 'val',
        limit: options.Limit = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        config: options.Settings = None,
        dry_run: Annotated[bool, typer.Option(
            '--dry-run', help='Fit and report, write nothing.')] = False) -> None:
    """Fit the temperature of the predicted depth uncertainty, and store it in the model."""
    from ..datasets import open_dataset
    from ..evaluation.dataset import model_calibration
    from ..evaluation.metrics.calibration import ONE_SIGMA, TWO_SIGMA
    from ..model_directory import ModelDirectory

    # Not open_model: a shipped model must not be written.
    model = ModelDirectory.load(model_dir)
    if not dry_run:
        model_calibration.require_writable(model)
    samples = open_dataset(dataset, root, split, model.info.class_infos())
    count = min(len(samples), limit or len(samples))
    settings = options.evaluation_settings(config)
    uncalibrated = model_calibration.uncalibrated(model)
    with options.open_pipeline(uncalibrated, backend, settings, threads) as pipeline, \
            _counted('calibrate', count) as done:
        calibration = model_calibration.calibrate(
            pipeline, (samples[index] for index in range(count)), lambda seen, _: done(seen))
    fit = calibration.fit()
    model_calibration.require_plausible(fit, model)
    before = model.info.log_depth_temperature

    def row(name: str, temperature: str, coverage: dict[float, float]) -> tuple[str, ...]:
        return name, temperature, *(_percent(coverage[q]) for q in (ONE_SIGMA, TWO_SIGMA))

    least, most = ({q: ends[i] for q, ends in fit.left_out_range.items()} for i in (0, 1))
    # Before writing, so that a full disk does not lose the metrics.
    print_table(Table(
        f'Pixels within the range that {model.info.model_id} on {dataset}, {split} expects',
        ('uncertainty', 'temperature', *(f'of {100 * q:.0f} %' for q in (ONE_SIGMA, TWO_SIGMA))), (
            row('as model.json has it', number(before, 3), calibration.coverage(before)),
            row('fitted, on the frames of the fit', number(fit.temperature, 3),
                calibration.coverage(fit.temperature)),
            row('on frames that the fit left out', ' to '.join(
                number(value, 3) for value in fit.temperature_range), fit.left_out),
            row('  the least covered frame', '', least),
            row('  the most covered frame', '', most))))
    say(f'Measured on {fit.pixels} px in {fit.frames} of {count} frames: those with a depth, '
        'each with equal weight.')
    if fit.groups < _FEW_FRAMES:
        what = 'frames' if fit.groups == fit.frames else 'sequences'
        warn(f'{fit.groups} {what} are few: others can be as far off as the least and the most '
             'covered ones here')
    if dry_run:
        say('Dry run: nothing is written.')
        return
    stored = model_calibration.store_temperature(model, fit, f'{dataset}, {split}')
    say(f'{stored.path / "model.json"}: log_depth_temperature '
        f'{stored.info.log_depth_temperature:g}, was {before:g}')


def _percent(value: float) -> str:
    return number(100 * value, 1, ' %')
