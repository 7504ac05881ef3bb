# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The numbers of a model card: every frame is run once in each way, everything else is counted.

Apart from speed, machine and date, the same settings give the same numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from pydantic import Field, field_validator

from ..config import InferenceSettings, Settings
from ..datasets import Dataset, open_dataset, parse_data
from ..errors import ConfigError
from ..evaluation.corruptions import CORRUPTIONS, SEVERITIES, Corrupted
from ..evaluation.dataset.bootstrap import DRAWS, evaluate_frame, summary
from ..evaluation.dataset.evaluate import Evaluator, require_same_classes
from ..evaluation.metrics.risk_coverage import DepthRisk, LabelRisk
from ..evaluation.metrics.shown import Record
from ..evaluation.report.card_tables import MEAN
from ..files import plain
from ..inference.pipeline import Pipeline
from ..machine import machine, versions
from ..model_directory import open_model
from ..model_info import ModelInfo
from ..structures import Sample
from .mounting import HEIGHTS_M
from .pipeline import measure_pipeline, pictures

FORMAT = 1
PARTS = ('mounting', 'heights', 'focal', 'weather', 'unknown_objects', 'corruptions', 'speed')
"""What can be left out; all but mounting, corruptions and speed are of synthetic scenes."""

SYNTHETIC = 'synthetic'
FOCALS_PX = (300, 600, 900, 1200)
"""Of pictures 1024 px wide: fields of view of 119, 81, 59 and 46 degrees."""

WEATHER = ('night', 'fog', 'rain')

COMPARED = ('semantic.miou', 'panoptic.pq', 'depth.abs_rel', 'calibration.labels.coverage_68',
            'calibration.labels.coverage_95')
"""Values under corruptions and weather."""

_OF_MODEL = {
    'model_id', 'description', 'network', 'tasks', 'input_height', 'input_width', 'output_stride',
    'precision', 'parameters', 'onnx_bytes', 'onnx_sha256', 'canonical_focal_px',
    'trained_focal_range_px', 'depth_range_m', 'log_depth_temperature', 'log_depth_calibration',
    'unknown_mounting_log_error', 'thresholds', 'weights_licence', 'weights_data', 'intended_use',
    'known_limits'}


class CardSettings(Settings):
    """What a card is measured on."""

    data: tuple[str, ...] = Field(min_length=1, description='NAME:ROOT or NAME:ROOT:SPLIT, or '
                                  'synthetic for scenes, cameras, weather and unknown objects')
    limit: int | None = Field(None, ge=1, description='frames of each data set')
    scenes: int = Field(24, ge=1, description='scenes of synthetic validation')
    study_scenes: int = Field(10, ge=1, description='scenes of each height, focal length, weather '
                              'and of unknown objects')
    corruption_frames: int = Field(8, ge=1, description='frames of the first data set, those with '
                                   'most truth')
    severities: tuple[int, ...] = Field((1, 3, 5), min_length=1)
    skip: tuple[str, ...] = ()
    draws: int = Field(DRAWS, ge=0, description='resamples of frames; 0: no intervals')
    seed: int = Field(0, ge=0, description='of the resampling')
    speed_frames: int = Field(20, ge=1)

    @field_validator('severities')
    @classmethod
    def _exist(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        if not set(severities) <= set(SEVERITIES):
            raise ValueError(f'severities are {SEVERITIES[0]} to {SEVERITIES[-1]}')
        return tuple(sorted(set(severities)))

    @field_validator('skip')
    @classmethod
    def _are_parts(cls, skip: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(skip) - set(PARTS)):
            raise ValueError(f'{unknown[0]!r} is no part; known: {", ".join(PARTS)}')
        return skip


class _Data(NamedTuple):
    """A data set of the card, its frames with the mounting that it knows."""

    name: str
    split: str
    samples: Dataset
    frames: int


@dataclass(frozen=True)
class _Kept:
    """Samples in memory."""

    classes: tuple[Any, ...]
    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class _Study:
    """Runs frames through one pipeline and counts them for the progress."""

    def __init__(self, pipeline: Pipeline, settings: CardSettings,
                 tell: Callable[[int, str], None]) -> None:
        self.info: ModelInfo = pipeline.model.info
        self.settings = settings
        self.classes = self.info.class_infos()
        self._pipeline, self._tell = pipeline, tell

    def opened(self, text: str, limit: int | None = None) -> _Data:
        """Open a data set; its first sample is not read yet."""
        name, root, split = parse_data(text)
        samples = open_dataset(name, root, split, self.classes, 'data')
        require_same_classes(self.classes, samples.classes, f'model {self.info.model_id}',
                             f'data set {name}')
        # A model of depth alone has none.
        self.classes = self.classes or samples.classes
        return _Data(name, split, samples, min(len(samples), limit or len(samples)))

    def frame(self, sample: Sample, note: str, told: bool = False) -> Evaluator:
        """Measure one frame; told: with the mounting of its camera."""
        if not told:
            sample = replace(sample, frame=replace(sample.frame, mounting=None))
        one = evaluate_frame(self._pipeline, sample, self.classes, (DepthRisk, LabelRisk))
        self._tell(1, note)
        return one

    @property
    def tells(self) -> bool:
        """Whether frames are measured with their mounting, too."""
        return 'mounting' not in self.settings.skip and 'depth' in self.info.tasks

    def both_ways(self, data: _Data, note: str) -> tuple[list[Evaluator], list[Evaluator]]:
        """
        Measure the frames without the mounting, and with it where it is known.

        Each sample is read or rendered once.
        """
        alone, told = [], []
        for index in range(data.frames):
            sample = data.samples[index]
            alone.append(self.frame(sample, note))
            if self.tells and sample.frame.mounting is not None:
                told.append(self.frame(sample, note, told=True))
        return alone, told

    def untold(self, split: str, note: str, groups: bool = False) -> Record:
        """Values of synthetic scenes without the mounting."""
        data = self.scenes(split)
        return self.summary([self.frame(data.samples[index], note)
                             for index in range(data.frames)], groups)

    def summary(self, frames: Sequence[Evaluator], groups: bool = False) -> Record:
        """See bootstrap.summary."""
        return summary(frames, self.settings.draws, self.settings.seed, groups=groups)

    def scenes(self, split: str) -> _Data:
        """Open a split of synthetic scenes."""
        return self.opened(f'{SYNTHETIC}:{self.settings.study_scenes}:{split}')

    def compared(self, data: _Data, note: str) -> Record:
        """Values without the mounting, and with it."""
        return self.values(*self.both_ways(data, note))

    def values(self, alone: Sequence[Evaluator], told: Sequence[Evaluator],
               groups: bool = False) -> Record:
        """Values of frames without the mounting, and of those with it."""
        return {**self.summary(alone, groups),
                'with_mounting': self.summary(told) if told else None}


def measure_card(model: Path | str | None, settings: CardSettings, *, backend: str = 'auto',
                 threads: int | None = None, inference: InferenceSettings | None = None,
                 command: str = '', tell: Callable[[float, str], None] = lambda done, note: None,
                 ) -> Record:
    """
    Measure all that a card says of a model.

    :param tell: is called with the share of the frames done, and what is being done.
    :returns: plain values, see card.json in doc/evaluation.md.
    :raises ConfigError: a wrong data set, one of other classes, or no ray caster of synthetic
        scenes.
    """
    options: dict[str, Any] = {} if threads is None else {'threads': threads}
    opened = open_model(model)
    done = 0.0
    total = math.nan

    def count(frames: int, note: str) -> None:
        nonlocal done
        done += frames
        tell(min(done / total, 1.0), note)

    with Pipeline(opened, backend, inference, **options) as pipeline:
        study = _Study(pipeline, settings, count)
        info = study.info
        texts = [f'{SYNTHETIC}:{settings.scenes}:val' if text == SYNTHETIC else text
                 for text in settings.data]
        data = _distinct(texts, [study.opened(text, settings.limit) for text in texts])
        wanted = [part for part in PARTS if part not in settings.skip and (
            part in ('mounting', 'corruptions', 'speed') or SYNTHETIC in settings.data)]
        total = _frames(data, settings, wanted, study.tells)
        record: Record = {
            'format': FORMAT,
            'model': info.model_dump(mode='json', include=_OF_MODEL),
            'classes': [found.name for found in info.class_infos()],
            'things': [found.name for found in info.class_infos() if found.is_thing],
            'data': [], **{part: _STUDIES[part](study) for part in wanted if part in _STUDIES}}
        first: list[Evaluator] = []
        for one, text in zip(data, texts, strict=True):
            alone, told = study.both_ways(one, one.name)
            first = first or alone
            record['data'].append({'name': one.name, 'split': one.split, 'source': text,
                                   **study.values(alone, told, groups=True)})
        if 'corruptions' in wanted:
            record['corruptions'] = _corruptions(study, data[0], first)
        backend_name = pipeline.backend.name
    if 'speed' in wanted:
        tell(1.0, 'speed')
        record['speed'] = _speed(opened.path, backend, threads, settings.speed_frames)
    record['run'] = {
        'command': command, 'date': datetime.now(timezone.utc).date().isoformat(),
        'backend': backend_name, 'threads': threads, 'machine': machine(), 'versions': versions(),
        'settings': settings.model_dump(),
        'inference': inference.model_dump(exclude_unset=True) if inference else {}}
    # Six digits are more than can be measured, and half of the file.
    made: Record = json.loads(json.dumps(plain(record, default=str)),
                              parse_float=lambda text: float(f'{float(text):.6g}'))
    return made


def _distinct(texts: Sequence[str], data: Sequence[_Data]) -> list[_Data]:
    """Name the roots of data sets whose name and split are alike; twice the same is an error."""
    parsed = [parse_data(text) for text in texts]
    if twice := [text for text, one in zip(texts, parsed, strict=True) if parsed.count(one) > 1]:
        raise ConfigError(f'data set {twice[-1]} is given twice; leave one out')
    alike = [(name, split) for name, _, split in parsed]
    return [one._replace(name=f'{name} {root}') if alike.count((name, split)) > 1 else one
            for one, (name, root, split) in zip(data, parsed, strict=True)]


def _frames(data: Sequence[_Data], settings: CardSettings, wanted: Sequence[str],
            told: bool) -> float:
    """
    Frames of all, those with a mounting twice where it is told.

    It reads the first sample of each data set: what is wrong with one is said before the work.
    """
    each = settings.study_scenes * (1 + told)
    own = {'heights': len(HEIGHTS_M) * each, 'focal': len(FOCALS_PX) * each,
           'weather': (1 + len(WEATHER)) * settings.study_scenes,
           'unknown_objects': settings.study_scenes,
           'corruptions': min(settings.corruption_frames, data[0].frames)
           * len(CORRUPTIONS) * len(settings.severities)}
    return sum(own.get(part, 0) for part in wanted) + sum(
        one.frames * (1 + (told and one.samples[0].frame.mounting is not None)) for one in data)


def _heights(study: _Study) -> list[Record]:
    return [{'height_m': height, **study.compared(
        study.scenes(f'height_{round(100 * height)}'), f'camera {height:g} m high')}
        for height in HEIGHTS_M]


def _focal(study: _Study) -> list[Record]:
    return [{'focal_px': focal, **study.compared(
        study.scenes(f'focal_{focal}'), f'focal length {focal} px')} for focal in FOCALS_PX]


def _weather(study: _Study) -> list[Record]:
    """By day first, which the others are compared with."""
    return [{'name': name, **study.untold(split, name)}
            for name, split in (('day', 'val'), *((name, name) for name in WEATHER))]


def _unknown_objects(study: _Study) -> Record:
    return study.untold('unknown_objects', 'unknown objects', groups=True)


_STUDIES: Mapping[str, Callable[[_Study], Any]] = {
    'heights': _heights, 'focal': _focal, 'weather': _weather,
    'unknown_objects': _unknown_objects}


def _corruptions(study: _Study, data: _Data, frames: Sequence[Evaluator]) -> Record:
    """
    Values under each corruption, and relative to those of the same frames without it.

    :param frames: of the data set, counted.
    """
    settings = study.settings
    # Most metrics first; of equal ones the order of the data set.
    ranked = sorted(range(data.frames), key=lambda index: -sum(
        metric.frames for metric in frames[index].metrics.values()))
    chosen = sorted(ranked[:settings.corruption_frames])
    kept = _Kept(data.samples.classes, [data.samples[index] for index in chosen])
    clean = _values([frames[index] for index in chosen])
    by_name: dict[str, dict[int, dict[str, float]]] = {}
    for name in CORRUPTIONS:
        by_name[name] = {}
        for severity in settings.severities:
            samples = Corrupted(kept, name, severity)
            by_name[name][severity] = _values([
                study.frame(samples[index], f'corruption {name}')
                for index in range(len(samples))])
    mean = {name: _mean(list(found.values())) for name, found in by_name.items()}
    mean[MEAN] = _mean(list(mean.values()))
    return {'data': data.name, 'frames': [sample.frame.name for sample in kept.samples],
            'severities': settings.severities, 'clean': clean, 'by_name': by_name,
            'mean': mean, 'relative': {name: {key: value / clean[key] for key, value
                                              in found.items() if clean.get(key)}
                                       for name, found in mean.items()}}


def _values(frames: Sequence[Evaluator]) -> dict[str, float]:
    """COMPARED of these frames."""
    values = summary(frames, draws=0)['values']
    return {name: values[name]['value'] for name in COMPARED
            if name in values and values[name]['value'] is not None}


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each value that all have."""
    return {name: fmean(values[name] for values in found) for name in COMPARED
            if all(name in values for values in found)}


def _speed(model: Path, backend: str, threads: int | None, frames: int) -> Record:
    """Milliseconds of the whole pipeline and of its graph."""
    report = measure_pipeline(model, [backend], frames=pictures(None, (1024, 2048)),
                              repeats=frames, threads=threads)
    rows = {row['step']: row for row in report.rows}
    about = report.details['backends'][0]
    return {'image': '2048x1024', 'frames': about['frames'], 'peak_mib': about['peak_mib'],
            'steps': {step: {key: rows[step][key] for key in ('median_ms', 'p95_ms', 'p99_ms')}
                      for step in ('total', 'graph')}}
