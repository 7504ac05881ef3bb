# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth predict``: a picture, folder, video or bag in, a folder of results out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..tables import Table
from . import options
from .console import frame_progress, instance_table, number, out, print_table, warn
from .interruption import stop_on_signal

if TYPE_CHECKING:
    from ..config import TrackingSettings
    from ..inference.pipeline import Pipeline
    from ..io.results.result_folder import ResultWriter
    from ..io.sources.frame_source import FrameSource
    from ..structures import Frame, PanopticDepth

FAILURES_IN_A_ROW = 5
"""A runtime that fails on so many frames in a row, or on the first one, fails on all."""


@dataclass
class Summary:
    """
    What became of a source.

    :param there: frames that an earlier run had done.
    :param skipped: reason -> frames.
    :param step_ms: step -> one value per frame.
    :param exit_code: not 0 after an interruption.
    """

    done: int = 0
    there: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    step_ms: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    last: PanopticDepth | None = None
    exit_code: int = 0

    def note(self, result: PanopticDepth, read_ms: float, write_ms: float) -> None:
        """Count a frame."""
        self.done += 1
        self.last = result
        for step, ms in {'read': read_ms, **result.step_ms, 'write': write_ms}.items():
            self.step_ms.setdefault(step, []).append(ms)


def predict(
        source: Annotated[str, typer.Argument(
            help="Picture, folder of pictures, video, rosbag2, or 'camera:0'.")],
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Folder of the results.')],
        model: options.Model = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        fx: options.Fx = None,
        fov: options.Fov = None,
        camera: options.Camera = None,
        image_topic: options.ImageTopic = None,
        camera_info_topic: options.CameraInfoTopic = None,
        formats: Annotated[str | None, typer.Option(
            '--formats', show_default='panoptic, depth, instances, overlay, as far as the model '
            'does them', help='Of panoptic, depth, depth_npy, instances, overlay, video, bag, '
            'foxglove, rrd. The first four need a model that does them, the others hold what '
            'there is.')] = None,
        bag: Annotated[bool, typer.Option(
            '--bag/--no-bag', help='Also write a bag with the topics of the ROS node.')] = False,
        track: Annotated[bool, typer.Option(
            '--track', help='Give instances a track_id that lasts over frames.')] = False,
        config: options.Settings = None,
        limit: Annotated[int | None, typer.Option(
            '--limit', min=1, help='Stop after this many frames.')] = None,
        overwrite: Annotated[bool, typer.Option(
            '--overwrite', help='Remove the results of an earlier run first.')] = False) -> None:
    """
    Label every pixel, measure its depth and how far every instance is.

    A run that was interrupted goes on where it stopped when the same command is given again.
    """
    summary = predict_source(
        source, out_dir, model=model, backend=backend, threads=threads,
        formats=None if formats is None else options.parse_list(formats),
        also=('bag',) if bag else (), track=track, config=config, limit=limit, overwrite=overwrite,
        fx=fx, fov_deg=fov, intrinsics_file=camera, image_topic=image_topic,
        camera_info_topic=camera_info_topic)
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


def predict_source(
        source: str, out_dir: Path, *, model: Path | None, backend: str, threads: int | None,
        formats: tuple[str, ...] | None = None, also: tuple[str, ...] = (),
        track: bool = False, config: Path | None = None,
        limit: int | None = None, overwrite: bool = False,
        on_result: Callable[[Frame, PanopticDepth], None] | None = None,
        **of_source: Any) -> Summary:
    """
    Run a source through a model, write the results and say what became of it.

    :param formats: see io.results.formats_for; also: others beside them.
    :param track: also where the settings do not ask for it.
    :param on_result: also called with every new result.
    :param of_source: what io.sources.open_source takes.
    :raises ConfigError: for whatever the user can put right, also when no frame was usable.
    """
    from ..config import InferenceSettings, load_settings
    from ..errors import ConfigError
    from ..files import lock_folder
    from ..io.results.result_folder import (
        ResultOptions,
        ResultWriter,
        formats_for,
        prepare_run_folder,
    )
    from ..io.sources.bag_source import BagSource
    from ..io.sources.open_source import open_source
    from ..model_directory import open_model

    settings = load_settings(InferenceSettings, config) if config else InferenceSettings()
    if track:
        settings = settings.model_copy(update={
            'tracking': settings.tracking.model_copy(update={'enabled': True})})
    opened = open_model(model)
    info = opened.info
    if settings.tracking.enabled:
        options.require_instances(info, 'turn it off or choose another model')
    names = formats_for(info.tasks, formats)
    names += tuple(name for name in also if name not in names)
    if settings.tracking.enabled and 'instances' not in names:
        raise ConfigError(f'formats are {", ".join(names)}; with tracking add instances, from '
                          'which a run that goes on takes the ids that were given before')
    summary = Summary()

    def is_done(name: str) -> bool:
        done = writer.done(name)
        summary.there += done
        return done

    with open_source(source, skip=is_done, **of_source) as frames, \
            options.open_pipeline(opened, backend, settings, threads) as pipeline, \
            lock_folder(out_dir):
        prepare_run_folder(out_dir, {
            'source': source if frames.kind == 'camera' else str(Path(source).resolve()),
            'options': {k: None if v is None else str(v) for k, v in of_source.items()},
            'model': info.model_id, 'model_sha256': info.onnx_sha256,
            'settings': settings.model_dump(mode='json')}, overwrite=overwrite)
        result_options = ResultOptions(info.class_infos(), info.tasks)
        if isinstance(frames, BagSource):
            result_options = replace(result_options, image_topic=frames.image_topic)
        with ResultWriter(out_dir, names, result_options) as writer:
            predict_frame: Callable[[Frame], PanopticDepth] = pipeline
            if settings.tracking.enabled:
                predict_frame = _tracked(pipeline, settings.tracking, out_dir)
            _run(frames, predict_frame, writer, summary, limit, on_result)
    _report(summary, out_dir)
    return summary


def _tracked(pipeline: Pipeline, settings: TrackingSettings,
             out_dir: Path) -> Callable[[Frame], PanopticDepth]:
    """Follow instances over frames, with ids that no frame before this run has."""
    from ..inference.tracking import Tracker
    from ..io.results.result_folder import greatest_track_id

    tracker = Tracker(settings, first_id=greatest_track_id(out_dir) + 1)
    return lambda frame: tracker.update(pipeline(frame))


def _run(frames: FrameSource, predict_frame: Callable[[Frame], PanopticDepth],
         writer: ResultWriter, summary: Summary, limit: int | None,
         on_result: Callable[[Frame, PanopticDepth], None] | None) -> None:
    """
    Take frames one by one until there are no more, or the user stops.

    :raises BackendError: when the runtime fails on frame after frame.
    """
    from ..errors import BackendError
    from ..io.sources.camera import DEFAULT_CAMERA_WARNING

    failures, warned, started = 0, False, time.perf_counter()
    with stop_on_signal() as stopped, frame_progress('predict', None) as progress:
        source = iter(frames)
        while not stopped and (limit is None or summary.done < limit):
            start = time.perf_counter()
            frame = next(source, None)
            read_ms = 1e3 * (time.perf_counter() - start)
            if frame is None:
                break
            if frame.intrinsics_source == 'default' and not warned:
                warned = True
                warn(DEFAULT_CAMERA_WARNING)
            try:
                result = predict_frame(frame)
            except BackendError as error:
                failures += 1
                if not summary.done or failures >= FAILURES_IN_A_ROW:
                    raise
                summary.skipped[str(error)] += 1
                continue
            failures = 0
            start = time.perf_counter()
            writer.write(frame, result)
            summary.note(result, read_ms, 1e3 * (time.perf_counter() - start))
            if on_result is not None:
                on_result(frame, result)
            progress.update(progress.task_ids[0], advance=1, total=_total(frames, summary, limit))
        summary.exit_code = stopped.exit_code
    summary.seconds = time.perf_counter() - started
    summary.skipped.update(frames.skipped)
    for text, count in frames.notes.items():
        warn(f'{text} ({count} times)' if count > 1 else text)


def _total(frames: FrameSource, summary: Summary, limit: int | None) -> int | None:
    """Frames that this run will have done at its end, as far as that is known by now."""
    known = [] if limit is None else [limit]
    if frames.len_hint is not None:
        left_out = summary.there + summary.skipped.total() + frames.skipped.total()
        known.append(max(summary.done, frames.len_hint - left_out))
    return min(known, default=None)


def _report(summary: Summary, out_dir: Path) -> None:
    """
    Say what was done.

    :raises ConfigError: when there is nothing to show for it.
    """
    from ..errors import ConfigError

    show = out()
    for reason, count in summary.skipped.most_common():
        warn(f'skipped {count} {"frame" if count == 1 else "frames"}: {reason}')
    if not summary.done and not summary.there and not summary.exit_code:
        reasons = '; '.join(summary.skipped) or 'the source has none'
        raise ConfigError(f'no frame could be used: {reasons}')
    rate = summary.done / summary.seconds if summary.seconds else 0.0
    show.print(f'{summary.done} frames done in {summary.seconds:.1f} s ({rate:.1f} frames/s), '
               f'{summary.there} were done before, {summary.skipped.total()} skipped',
               highlight=False)
    last = summary.last
    if last is not None:
        import numpy as np
        print_table(Table('Median time per frame', ('step', 'ms'), [
            (step, number(float(np.median(ms)), 1)) for step, ms in summary.step_ms.items()]))
        if last.distances:
            print_table(instance_table(last))
        elif 'instances' in last.tasks:
            show.print(f'Nearest instances of frame {last.name}: none', highlight=False)
    if summary.exit_code:
        show.print('interrupted; the same command goes on from here')
    show.print(f'Results are in {out_dir}', highlight=False, markup=False)
