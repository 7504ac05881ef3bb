# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth predict``: a picture, folder, video or bag in, a folder of results out."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..contract import abilities
from ..errors import BackendError, ConfigError, with_count
from ..reasons import Reasons
from ..tables import Table
from . import options
from .console import frame_progress, instance_table, nearest, number, print_table, warn
from .interruption import stop_on_signal
from .options import say

if TYPE_CHECKING:
    from ..io.results.result_folder import ResultWriter
    from ..io.sources.frame_source import FrameSource
    from ..structures import Frame, PanopticDepth

_LATER_OPTIONS = {'bits': 0, 'recursive': False, 'camera_axes': 'optical'}
"""Options that run.json of earlier versions does not have, and the value that it stands for."""

FAILURES_IN_A_ROW = 5
"""The run ends after the runtime failed on this many frames in a row, or on the first one."""


@dataclass
class Summary:
    """
    Result of a run.

    :param before: frames that an earlier run had done.
    :param skipped: reason -> number of frames.
    :param missing: frames that the source should have had, but did not give.
    :param ended_early: see FrameSource.
    :param step_ms: step -> one value per frame.
    """

    done: int = 0
    before: int = 0
    skipped: Reasons = field(default_factory=Reasons)
    missing: int = 0
    ended_early: str = ''
    step_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: float = 0.0
    last: PanopticDepth | None = None
    exit_code: int = 0


def predict(
        source: Annotated[str, typer.Argument(
            help="Picture, folder of pictures, video, rosbag2, 'camera:0', or the address of a "
            'stream such as rtsp://HOST/PATH.')],
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Folder of the results.')],
        model: options.Model = None,
        backend: options.Backend = 'auto',
        threads: options.Threads = None,
        fx: options.Fx = None,
        fov: options.Fov = None,
        camera: options.Camera = None,
        camera_height: options.CameraHeight = None,
        camera_pitch: options.CameraPitch = None,
        camera_roll: options.CameraRoll = None,
        mounting: options.Mounting = None,
        ground_frame: options.GroundFrame = None,
        ground_offset: options.GroundOffset = None,
        image_topic: options.ImageTopic = None,
        camera_info_topic: options.CameraInfoTopic = None,
        camera_info_use: options.CameraInfoUse = 'auto',
        bits: options.Bits = 0,
        recursive: options.Recursive = False,
        camera_axes: options.CameraAxes = 'optical',
        reconnect: options.Reconnect = 60.0,
        measured_depth: Annotated[str | None, typer.Option(
            '--measured-depth', metavar='FOLDER|TOPIC', help='Measured depth to blend with that '
            'of the model: a folder of depth pictures with the names of the frames, or a topic '
            'of the bag (PointCloud2, Image, compressedDepth).')] = None,
        measured_depth_scale: options.MeasuredScale = 1000.0,
        formats: Annotated[str | None, typer.Option(
            '--formats', show_default='those of panoptic, depth, instances, overlay that the '
            'model supports', help='List of panoptic, depth, depth_npy, instances, overlay, '
            'video, bag, foxglove, rrd. The first four need a model with the task; the others '
            'hold whatever the model computes.')] = None,
        bag: Annotated[bool, typer.Option(
            '--bag/--no-bag', help='Also write a bag with the topics of the ROS node.')] = False,
        track: Annotated[bool, typer.Option(
            '--track', help='Give instances a track_id that persists over frames.')] = False,
        config: options.Settings = None,
        limit: options.Limit = None,
        max_skipped: options.MaxSkipped = 0.5,
        overwrite: Annotated[bool, typer.Option(
            '--overwrite', help='Remove the results of an earlier run first.')] = False) -> None:
    """
    Label every pixel, estimate its depth, and measure the distance of every instance.

    To continue an interrupted run, give the same command again. Exit code 1 if the source ended
    early or too many frames were skipped; the other frames have results.
    """
    predict_source(
        source, out_dir, model=model, backend=backend, threads=threads,
        formats=None if formats is None else options.parse_list(formats),
        also=('bag',) if bag else (), track=track, config=config, limit=limit, overwrite=overwrite,
        max_skipped=max_skipped, reconnect_s=reconnect,
        measured_depth=measured_depth, measured_depth_scale=measured_depth_scale, fx=fx,
        fov_deg=fov, intrinsics_file=camera, image_topic=image_topic,
        camera_info_topic=camera_info_topic, camera_info_use=camera_info_use,
        bits=bits, recursive=recursive, camera_axes=camera_axes,
        mounting=options.mounting_settings(
            camera_height, camera_pitch, camera_roll, mounting, ground_frame, ground_offset))


def predict_source(
        source: str, out_dir: Path, *, model: Path | None, backend: str, threads: int | None,
        formats: tuple[str, ...] | None = None, also: tuple[str, ...] = (),
        track: bool = False, config: Path | None = None,
        limit: int | None = None, max_skipped: float = 0.5, overwrite: bool = False,
        measured_depth: str | None = None, measured_depth_scale: float = 1000.0,
        reconnect_s: float = 60.0,
        on_result: Callable[[Frame, PanopticDepth], None] | None = None,
        **source_options: Any) -> None:
    """
    Run a source through a model, write the results and print a summary.

    :param formats: see io.results.result_folder.formats_for; also: more formats.
    :param track: overrides the settings.
    :param max_skipped: share of the frames.
    :param measured_depth, measured_depth_scale: see open_measured_depth.
    :param reconnect_s: so long a camera or a stream that is gone is waited for.
    :param on_result: called with every new result.
    :param source_options: of io.sources.open_source.open_source.
    :raises ConfigError: an option is wrong, or no frame was usable.
    :raises typer.Exit: after an interruption, or where the run is not complete.
    """
    from ..files import lock_folder
    from ..inference.video import Video
    from ..io.results.result_folder import (
        ResultOptions,
        ResultWriter,
        formats_for,
        greatest_track_id,
        prepare_run_folder,
    )
    from ..io.sources.bag_source import BagSource
    from ..io.sources.live_sources import without_secrets
    from ..io.sources.measured_depth import open_measured_depth
    from ..io.sources.open_source import open_source
    from ..model_directory import open_model

    settings = options.inference_settings(config)
    if track:
        settings = options.with_tracking(settings, True)
    opened = open_model(model)
    info = opened.info
    able = abilities(info.tasks, settings.distance.include_stuff)
    names = formats_for(able, formats)
    names += tuple(name for name in also if name not in names)
    if settings.tracking.enabled:
        options.require_instances(info, 'turn it off or choose another model')
        if 'instances' not in names:
            raise ConfigError(f'formats are {", ".join(names)}; with tracking add instances, from '
                              'which a continued run takes the ids that are in use')
    summary = Summary()

    def is_done(name: str) -> bool:
        if problem := writer.refuses(name):
            summary.skipped.add(problem, repr(name))
            return True
        done = writer.done(name)
        summary.before += done
        return done

    with open_source(source, skip=is_done, reconnect_s=reconnect_s, **source_options) as frames, \
            options.open_pipeline(opened, backend, settings, threads) as pipeline, \
            lock_folder(out_dir), ExitStack() as stack:
        measured = None if measured_depth is None else stack.enter_context(
            open_measured_depth(measured_depth, source, measured_depth_scale,
                                frames.camera.axes))
        prepare_run_folder(out_dir, {
            'source': (without_secrets(source) if frames.kind == 'camera'
                       else str(Path(source).resolve())),
            'options': {k: None if v is None else str(v) for k, v in source_options.items()
                        if (k, v) not in _LATER_OPTIONS.items()},
            **({} if frames.stated is None else {'camera': str(frames.stated)}),
            **({} if measured_depth is None else {
                'measured_depth': [measured_depth, measured_depth_scale]}),
            'model': info.model_id, 'model_sha256': info.onnx_sha256,
            'settings': settings.model_dump(mode='json')}, overwrite=overwrite)
        result_options = ResultOptions(info.class_infos(), able)
        if isinstance(frames, BagSource):
            result_options = replace(result_options, image_topic=frames.image_topic)
        with ResultWriter(out_dir, names, result_options) as writer:
            first_id = greatest_track_id(out_dir) + 1 if settings.tracking.enabled else 0
            video = Video(pipeline, first_id)
            _run(frames, video if measured is None else lambda f: video(measured.add(f)), writer,
                 summary, limit, on_result)
            if measured is not None:
                _warn_of(measured.notes)
    _report(summary, out_dir)
    options.end(summary.exit_code or options.incomplete(
        summary.skipped.total() + summary.missing, summary.done + summary.before,
        summary.ended_early, max_skipped))


def _run(frames: FrameSource, predict_frame: Callable[[Frame], PanopticDepth],
         writer: ResultWriter, summary: Summary, limit: int | None,
         on_result: Callable[[Frame, PanopticDepth], None] | None) -> None:
    """Process frames until the end of the source, the limit or an interruption."""
    from ..io.cameras.camera_options import DEFAULT_CAMERA_WARNING

    failures, warned, started = 0, False, time.perf_counter()
    with stop_on_signal() as stopped, frame_progress('predict', None) as progress:
        source = iter(frames)
        frames.stopped = lambda: bool(stopped)
        while not stopped and (limit is None or summary.done < limit):
            start = time.perf_counter()
            frame = next(source, None)
            read_ms = 1e3 * (time.perf_counter() - start)
            if frame is None:
                summary.missing = max(0, (frames.len_hint or 0) - summary.done - summary.before
                                      - summary.skipped.total() - frames.skipped.total())
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
                summary.skipped.add(str(error), frame.name)
                continue
            failures = 0
            if result.ground is not None and result.ground.note:
                frames.notes.add(result.ground.note)
            start = time.perf_counter()
            writer.write(frame, result)
            write_ms = 1e3 * (time.perf_counter() - start)
            summary.done += 1
            summary.last = result
            for step, ms in {'read': read_ms, **result.step_ms, 'write': write_ms}.items():
                summary.step_ms[step].append(ms)
            if on_result is not None:
                on_result(frame, result)
            # Frames that this run will have done at its end, if known.
            totals = [] if limit is None else [limit]
            if frames.len_hint is not None:
                left_out = summary.before + summary.skipped.total() + frames.skipped.total()
                totals.append(max(summary.done, frames.len_hint - left_out))
            progress.update(progress.task_ids[0], advance=1, total=min(totals, default=None))
        summary.exit_code = stopped.exit_code
    summary.seconds = time.perf_counter() - started
    summary.skipped.update(frames.skipped)
    summary.ended_early = frames.ended_early
    _warn_of(frames.notes)


def _warn_of(notes: Reasons) -> None:
    for text, count in notes.items():
        warn(with_count(text, count))


def _report(summary: Summary, out_dir: Path) -> None:
    """Print a summary; without any usable frame it is an error."""
    import numpy as np

    for reason, count in summary.skipped.most_common():
        warn(f'skipped {count} {"frame" if count == 1 else "frames"}: {reason}')
    if not summary.done and not summary.before and not summary.exit_code:
        reasons = '; '.join(summary.skipped) or 'the source has none'
        raise ConfigError(f'no frame could be used: {reasons}')
    rate = summary.done / summary.seconds if summary.seconds else 0.0
    say(f'{summary.done} frames done in {summary.seconds:.1f} s ({rate:.1f} frames/s), '
        f'{summary.before} were done before, {summary.skipped.total()} skipped')
    last = summary.last
    if last is not None:
        print_table(Table('Median time per frame', ('step', 'ms'), [
            (step, number(float(np.median(ms)), 1)) for step, ms in summary.step_ms.items()]))
        if last.distances:
            print_table(instance_table(last))
        elif 'instances' in last.abilities or 'regions' in last.abilities:
            say(f'{nearest(last)} of frame {last.name}: none')
    if summary.exit_code:
        say('interrupted; continue with the same command')
    say(f'Results are in {out_dir}')
