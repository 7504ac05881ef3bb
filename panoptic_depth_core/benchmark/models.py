# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Models side by side: their size, their speed and, of training runs, their accuracy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..config import InferenceSettings, parse_settings
from ..errors import ConfigError
from ..export.onnx_export import example_inputs, export_model
from ..network import Graph, create_model
from ..network.base import Model, ModelDescription, describe
from ..training.checkpoint import BEST_FILE, MODEL_FILE, load_weights
from ..training.recipe import TrainSettings, load_recipe
from ..untrusted import read_json, reading
from .pipeline import pictures, take_turns, time_pipeline
from .report import LATENCY, NOT_RUN, Report
from .worker import Worker

_SHOWN = ('pq', 'miou', 'abs_rel', 'delta1', 'distance_rel')
"""Metrics of validations that have a column."""


@dataclass
class _Row:
    """One model, and the runs that trained it with several seeds."""

    name: str
    settings: TrainSettings
    model: Model
    runs: list[dict[str, float]] = field(default_factory=list)


def measure_models(sources: Sequence[Path], changes: Sequence[str] = (),
                   size: tuple[int, int] | None = None, repeats: int = 30,
                   threads: int | None = None) -> Report:
    """
    Compare the models of recipes or of training runs.

    Runs whose recipes differ in the seed alone are one row, with mean and half the range of their
    last validations.

    :param sources: recipes, packs, or folders of runs.
    :param changes: of the recipes, KEY=VALUE.
    :param size: height and width of the input; None: that of the first validation.
    :returns: parameters and multiply-adds of the network with its assembly, for one image; the
        latency of the graph in ONNX Runtime, all models in turns; the metrics of the runs.
    :raises ConfigError: for a wrong source.
    """
    rows: dict[str, _Row] = {}
    stems = [_stem(source) for source in sources]
    for source, stem in zip(sources, stems, strict=True):
        settings = _settings(source, changes)
        key = settings.model_copy(update={'seed': 0}).model_dump_json()
        if key not in rows:
            rows[key] = _Row(stem if stems.count(stem) == 1 else f'{source.parent.name}/{stem}',
                             settings, _model(source, settings))
        if source.is_dir():
            rows[key].runs.append(last_validation(source))
    height, width = size or _size(next(iter(rows.values())).settings)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        found = []
        for number, row in enumerate(rows.values()):
            description = _description(row.settings, height, width)
            row.model.configure(row.settings.assembly, row.settings.loss, row.name)
            about: dict[str, Any] = {
                'model': row.name, 'network': row.settings.network,
                'parameters_M': sum(p.numel() for p in row.model.parameters()) / 1e6,
                'GMAC': multiply_adds(row.model, description) / 1e9,
                'runs': len(row.runs) or None, **_spread(row.runs)}
            model = export_model(row.model, Path(folder) / str(number), description)
            found.append((about, stack.enter_context(Worker(
                time_pipeline, model.path, 'onnxruntime', pictures(None, (height, width)),
                InferenceSettings(), {} if threads is None else {'threads': threads},
                (height, width)))))
        timings = take_turns([worker for _, worker in found], 2, repeats)
    first = 0.0
    for (about, _), timing in zip(found, timings, strict=True):
        if timing.samples:
            about.update(timing.latency('graph'), peak_mib=timing.about['peak_mib'])
            first = first or about['median_ms']
            about['ratio'] = about['median_ms'] / first
        else:
            about[NOT_RUN] = timing.error
    metric_columns = dict.fromkeys(
        key for about, _ in found for key in about if ' ' in key)
    return Report(
        'models', f'Models at {width}x{height}, threads {threads or "auto"}',
        {'model': '', 'network': '', 'parameters_M': '.1f', 'GMAC': '.1f', **LATENCY,
         'ratio': '.2f', 'peak_mib': '.0f', 'runs': 'd', **dict.fromkeys(metric_columns, '')},
        [about for about, _ in found],
        ['median, p95, p99: the graph in ONNX Runtime, network and assembly; ratio: to the first '
         'row. Metrics: mean and half the range over the runs.'],
        {'size': (height, width), 'threads': threads,
         'validations': {row.name: row.runs for row in rows.values()}})


def multiply_adds(model: Model, description: ModelDescription) -> float:
    """Products that network and assembly sum up for one image of the described size."""
    graph = Graph(model).eval()
    counter = FlopCounterMode(display=False, custom_mapping={
        torch.ops.torchvision.deform_conv2d: _deformable_flops})
    with torch.no_grad(), counter:
        graph(*example_inputs(describe(model, description)).values())
    return counter.get_total_flops() / 2


def _deformable_flops(_image: Any, weight: Any, *_others: Any, out_shape: Any = None,
                      **_named: Any) -> int:
    """Two operations per product, as FlopCounterMode counts convolutions."""
    return 2 * int(np.prod(out_shape)) * int(np.prod(weight[1:]))


def last_validation(run: Path) -> dict[str, float]:
    """
    Metrics of the last validation of a run, by data set and name, as in 'kitti_half:val pq'.

    :raises ConfigError: when the folder has none.
    """
    path = run / 'train.jsonl'
    with reading(path, 'the log of a training run', 'give a folder of panoptic-depth train'):
        rows = [json.loads(line) for line in path.read_text(encoding='utf-8').splitlines()]
        found = [row for row in rows if 'by_data' in row]
        if not found:
            raise ConfigError(f'{path}: the run has no validation; add one to its recipe')
        return {f'{label} {name}': value for label, metrics in found[-1]['by_data'].items()
                for name, value in metrics.items() if name in _SHOWN and value is not None}


def _stem(source: Path) -> str:
    return source.stem if source.is_file() else source.name


def _settings(source: Path, changes: Sequence[str]) -> TrainSettings:
    if not source.is_dir():
        return load_recipe(source, changes)
    path = source / 'recipe.json'
    if changes:
        raise ConfigError(f'{source}: is a run, whose recipe cannot change; leave --set out')
    return parse_settings(TrainSettings, read_json(path, 'the recipe of a training run',
                                                   'give a folder of panoptic-depth train'),
                          str(path))


def _model(source: Path, settings: TrainSettings) -> Model:
    """Model of a recipe with random weights, or of a run with its own."""
    model = create_model(settings.network, settings.network_settings)
    if source.is_dir():
        best = source / BEST_FILE
        load_weights(model, best if best.is_file() else source / MODEL_FILE)
    return model


def _size(settings: TrainSettings) -> tuple[int, int]:
    described = settings.validation.model if settings.validation else ModelDescription()
    return described.height, described.width


def _description(settings: TrainSettings, height: int, width: int) -> ModelDescription:
    described = settings.validation.model if settings.validation else ModelDescription()
    return described.model_copy(update={'height': height, 'width': width})


def _spread(runs: Sequence[dict[str, float]]) -> dict[str, str]:
    """Mean and half the range of each metric, as text."""
    names = dict.fromkeys(name for run in runs for name in run)
    values = {name: [run[name] for run in runs if name in run] for name in names}
    return {name: f'{np.mean(v):.3f}' + (f' ± {(max(v) - min(v)) / 2:.3f}' if len(v) > 1 else '')
            for name, v in values.items()}
