# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
One recording from its first image to its part of the report.

The same function runs in this process, in others and on other machines: what it depends on is in
the job, and the metrics are the same wherever it runs.
"""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config import InferenceSettings
from ...errors import BackendError, ConfigError
from ...files import make_folder, plain
from ...inference.pipeline import Pipeline
from ...inference.video import Video
from ...io.cameras.camera_options import CameraOptions
from ...io.sources.measured_depth import MeasuredTopic
from ...io.sources.mounting import MountingSettings
from ...io.viewers.foxglove import FoxgloveFile
from ...io.viewers.rerun import RerunFile
from ...labels import CITYSCAPES, ClassInfo
from ...reasons import Reasons
from ...structures import Frame, PanopticDepth
from ...workers.pool import Tell
from ..metrics.frame import RecordedFrame
from ..metrics.shown import Record
from ..report.files import frame_line
from ..settings import RecordingSettings
from .reading.frame_truth import hold_out_of
from .reading.reader import RecordingReader
from .reading.topics import TRUTH_TYPES
from .scoring import BagScore, StepTimes
from .worst_frames import WorstFrame, WorstFrames, draw

FAILURES_IN_A_ROW = 10


@dataclass(frozen=True)
class ModelChoice:
    """
    The model that makes the results.

    :param model: a model directory; None is the shipped one.
    """

    model: Path | None
    backend: str
    settings: InferenceSettings
    threads: int | None = None


@dataclass(frozen=True)
class BagJob:
    """
    One recording and how to score it; can be pickled.

    :param name: of the recording in the report, unique there.
    :param model: None: the results are recorded.
    :param mounting: of the camera, for the model.
    :param results: recording whose results are taken instead of those of the bag.
    :param reference: recording to compare the results with.
    :param viewers: files to write for viewers, .rrd of Rerun and .mcap of Foxglove.
    """

    name: str
    path: Path
    settings: RecordingSettings
    model: ModelChoice | None = None
    camera: CameraOptions = CameraOptions()
    calibration: Path | None = None
    mounting: MountingSettings = MountingSettings()
    results: Path | None = None
    reference: Path | None = None
    limit: int | None = None
    viewers: tuple[Path, ...] = ()


@dataclass
class BagPart:
    """
    What one recording adds to the report; can be pickled.

    :param summary: entry of ``bags`` in report.json.
    :param score: None where the recording could not be scored.
    :param lines: its lines of frames.jsonl, gzip.
    """

    name: str
    summary: dict[str, Any]
    score: BagScore | None = None
    lines: bytes = b''
    times: StepTimes = field(default_factory=StepTimes)
    worst: list[WorstFrame] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)


class _Predictor:
    """A model in a runtime, with ids that last over the frames of one recording."""

    def __init__(self, choice: ModelChoice) -> None:
        given: dict[str, Any] = {} if choice.threads is None else {'threads': choice.threads}
        self.pipeline = Pipeline(choice.model, choice.backend, choice.settings, **given)
        info = self.pipeline.model.info
        # A model without classes is judged by labels with those of Cityscapes.
        self.classes = info.class_infos() or CITYSCAPES
        self.run = {
            'model_id': info.model_id, 'model_sha256': info.onnx_sha256,
            'backend': self.pipeline.backend.name,
            'settings': choice.settings.model_dump(mode='json')}

    def start(self) -> None:
        """Begin a recording: ids count from 0 again."""
        self._video = Video(self.pipeline)

    def __call__(self, frame: Frame) -> PanopticDepth:
        return self._video(frame)


_loaded: dict[ModelChoice, _Predictor] = {}
"""The model of this process: loading one may take longer than a short recording."""


def _predictor(choice: ModelChoice) -> _Predictor:
    if choice not in _loaded:
        close_models()
        _loaded[choice] = _Predictor(choice)
    _loaded[choice].start()
    return _loaded[choice]


def close_models() -> None:
    """Free what the models of this process hold."""
    while _loaded:
        _loaded.popitem()[1].pipeline.close()


def evaluate_bag(job: BagJob, tell: Tell = lambda done, expected: None) -> BagPart:
    """
    Score one recording.

    :raises ConfigError: it cannot be read, no frame of it could be scored, or the settings do
        not fit it.
    :raises BackendError: when the runtime is missing, or fails on frame after frame.
    """
    predictor = None if job.model is None else _predictor(job.model)
    with RecordingReader(
            job.path, job.settings, camera=job.camera, calibration=job.calibration,
            mounting=None if predictor is None else job.mounting,
            recorded=predictor is None and job.results is None, results=job.results,
            reference=job.reference,
            classes=CITYSCAPES if predictor is None else predictor.classes) as reader, \
            ExitStack() as stack:
        measured = _measured(job, reader)
        if measured is not None:
            stack.enter_context(measured)
        return _Run(job, reader, predictor, measured).part(tell)


def _measured(job: BagJob, reader: RecordingReader) -> MeasuredTopic | None:
    """What is blended with the depth of the model, without what is truth."""
    topic, settings = job.settings.topics.measured_depth, job.settings
    if not topic:
        return None
    if job.model is None:
        raise ConfigError(f'topics.measured_depth is {topic}, but the results are recorded; it is '
                          'blended with those of a model alone; leave it out')
    return MeasuredTopic(
        job.path, topic, max_age_s=settings.measured_depth.max_age_s, calibration=job.calibration,
        hold_out=hold_out_of(topic, settings) if topic in reader.topics.truth.values() else None)


class _Run:
    """One recording on its way through the model and the scores."""

    def __init__(self, job: BagJob, reader: RecordingReader, predictor: _Predictor | None,
                 measured: MeasuredTopic | None = None) -> None:
        self._job = job
        self._measured = measured
        self._reader = reader
        self._predictor = predictor
        self._classes = reader.classes if predictor is None else predictor.classes
        self._score = BagScore(self._classes, job.settings)
        self._worst = WorstFrames(job.settings.worst.by, job.settings.worst.count)
        self._skipped = Reasons()
        self._missing = 0
        self._truth: set[str] = set()
        self._first_ns = self._last_ns = 0

    def part(self, tell: Tell) -> BagPart:
        """Score every frame."""
        job, reader, score = self._job, self._reader, self._score
        times = StepTimes()
        expected = min((n for n in (reader.len_hint, job.limit) if n is not None), default=None)
        packed = io.BytesIO()
        with gzip.GzipFile('', 'wb', 1, packed, mtime=0) as lines, ExitStack() as stack:
            viewers = [_open_viewer(path, self._classes, reader.topics.image)
                       for path in job.viewers]
            for viewer in viewers:
                stack.enter_context(viewer)
            for item, result, read_ms in self._results():
                start = time.perf_counter()
                try:
                    record = self._scored(item, result)
                except ValueError as error:
                    self._skipped.add(str(error))
                    continue
                times.add({'read': read_ms, **result.step_ms,
                           'score': 1e3 * (time.perf_counter() - start)})
                lines.write(_line(record))
                for viewer in viewers:
                    viewer.write(item.frame, result, lidar_depth=item.lidar_depth,
                                 scalars=_scalars(record))
                tell(score.frames, expected)
        if not score.frames:
            reasons = '; '.join(self._skipped + reader.skipped) or 'it has none'
            raise ConfigError(f'{job.path}: no frame could be scored: {reasons}')
        run = {'model_id': reader.model_id} if self._predictor is None else self._predictor.run
        return BagPart(job.name, self._summary(), score, packed.getvalue(), times,
                       self._worst.worst_first(), run)

    def _results(self) -> Iterator[tuple[RecordedFrame, PanopticDepth, float]]:
        """Frames, their results, and milliseconds of reading; some failures are skipped."""
        frames = iter(self._reader)
        failures = 0
        while self._job.limit is None or self._score.frames < self._job.limit:
            start = time.perf_counter()
            item = next(frames, None)
            read_ms = 1e3 * (time.perf_counter() - start)
            if item is None:
                self._missing = max(0, self._reader.len_hint - self._score.frames - (
                    self._skipped + self._reader.skipped).total())
                return
            try:
                result = self._result(item)
            except BackendError as error:
                failures += 1
                if not self._score.frames or failures >= FAILURES_IN_A_ROW:
                    raise
                self._skipped.add(str(error))
            else:
                failures = 0
                yield item, result, read_ms

    def _result(self, item: RecordedFrame) -> PanopticDepth:
        if self._predictor is not None:
            result = self._predictor(item.frame if self._measured is None
                                     else self._measured.add(item.frame))
            if result.ground is not None and result.ground.note:
                self._reader.notes.add(result.ground.note)
            return result
        assert item.recorded is not None, 'a reader of results gives frames that have one'
        return item.recorded

    def _scored(self, item: RecordedFrame, result: PanopticDepth) -> Record:
        frame = item.frame
        record = {'bag': self._job.name, 'name': frame.name, 'stamp_ns': frame.stamp_ns,
                  **self._score.add(item, result, self._job.name)}
        self._worst.add(record, lambda: draw(item, result, self._classes))
        self._truth |= {kind for kind, known in (
            ('labels', item.truth.panoptic), ('depth', item.truth.depth),
            ('lidar', item.lidar_depth), ('boxes', item.boxes)) if known is not None}
        self._first_ns = frame.stamp_ns if self._score.frames == 1 else self._first_ns
        self._last_ns = frame.stamp_ns
        return record

    def _summary(self) -> Record:
        return {
            'name': self._job.name, 'path': str(self._job.path), 'frames': self._score.frames,
            'duration_s': (self._last_ns - self._first_ns) / 1e9,
            'truth': [kind for kind in TRUTH_TYPES if kind in self._truth],
            'skipped': dict(sorted((self._skipped + self._reader.skipped).items())),
            'missing': self._missing, 'ended_early': self._reader.ended_early,
            'notes': dict(sorted((self._reader.notes + self._measured_notes()).items())),
            'error': None}

    def _measured_notes(self) -> Reasons:
        """What was blended, and what was not as it is truth."""
        measured = self._measured
        if measured is None:
            return Reasons()
        topic = self._job.settings.topics.measured_depth
        what = f'{topic}: {measured.blended} points were blended with the depth of the model'
        if measured.hold_out is not None:
            what += f', {measured.held_out} held out {measured.way} and scored'
        return Reasons([*measured.notes.elements(), what])


def _open_viewer(path: Path, classes: Sequence[ClassInfo],
                 image_topic: str) -> RerunFile | FoxgloveFile:
    """
    Open a file for a viewer, which replaces an existing one when it is complete.

    :raises ConfigError: a viewer's package is not installed, or the disk is full ...
    """
    make_folder(path.parent)
    if path.suffix == '.rrd':
        return RerunFile(path, classes=classes, overwrite=True)
    return FoxgloveFile(path, classes=classes, image_topic=image_topic, overwrite=True)


def _scalars(record: Record) -> dict[str, float]:
    """Numbers of a frame's record by name, such as 'labels.pq'."""
    return {f'{part}.{name}': float(value) for part, values in record.items()
            if isinstance(values, dict) for name, value in values.items()
            if isinstance(value, (int, float))}


def _line(record: dict[str, Any]) -> bytes:
    """Line of frames.jsonl; NaN, which is rare, becomes null."""
    try:
        return frame_line(record)
    except ValueError:
        return frame_line(plain(record))


def failed_part(job: BagJob, error: str) -> BagPart:
    """Stand in for a recording that could not be scored."""
    return BagPart(job.name, {
        'name': job.name, 'path': str(job.path), 'frames': 0, 'duration_s': 0.0, 'truth': [],
        'skipped': {}, 'missing': 0, 'ended_early': '', 'notes': {}, 'error': error})
