# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The order of the check: what matters most first, each part with a limit of time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BackendError
from ...evaluation.benchmark_process import BackendTiming, Job, time_backends
from ...evaluation.benchmark_worker import split_model
from ...evaluation.machine import machine, versions
from ...files import make_folder, write_atomic
from ...structures import Frame, Intrinsics
from .limits import floor_ms, model_cost
from .report import goals, markdown
from .rows import (
    CheckSettings,
    Row,
    Target,
    backend_spec,
    check_settings,
    is_torch,
    plain,
)
from .tasks import run_task

REPORT = 'gpu_check'
"""Name of the files of the result, .json and .md."""

_WARM_UP, _ROUND = 10, 20
_PIPELINE_REPEATS = 5
_LATE = ('compile',)
"""Runtimes that take longest to load, so they come last."""

_LEAST_S = 5.0
"""With less time left nothing is begun."""


@dataclass
class Findings:
    """
    Everything that the check found.

    :param begun_s: part of the work -> seconds after the start at which it began.
    """

    settings: CheckSettings
    device: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=machine)
    versions: dict[str, str] = field(default_factory=versions)
    rows: list[Row] = field(default_factory=list)
    rates: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    engines: dict[str, dict[str, Any]] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    begun_s: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return dict(plain({**asdict(self), 'goals': goals(self.rows, self.pipelines)}))


def gpu_check(settings: CheckSettings, note: Callable[[str], None] = lambda text: None
              ) -> Findings:
    """
    Measure what a GPU does with our models; leaves gpu_check.json and .md in out_dir.

    :param note: is told what is being done.
    :raises ConfigError: for settings that make no sense.
    :raises BackendError: when there is no such device.
    """
    check_settings(settings)
    make_folder(settings.out_dir)
    return _Check(settings, note).run()


class _Check:
    """One run; every method fills in findings, and none raises for what failed."""

    def __init__(self, settings: CheckSettings, note: Callable[[str], None]) -> None:
        self.settings = settings
        self.found = Findings(settings)
        self._tell = note
        self._started = time.monotonic()
        sizes = sorted(settings.sizes, reverse=True)
        root = settings.out_dir / 'models'
        self._targets = [Target(model, *size, root / f'{model}_{size[0]}x{size[1]}')
                         for model in settings.models for size in sizes]
        self._unavailable: dict[str, str] = {}
        self._failed: dict[Path, str] = {}
        self._tests: dict[Path, list[Path]] = {}

    def run(self) -> Findings:
        """Do what there is time for."""
        settings = self.settings
        self.found.device = run_task('device', 60, device=settings.device)
        if 'error' in self.found.device:
            raise BackendError(f'gpu-check: no device {settings.device!r}: '
                               f'{self.found.device["error"]}; run it on a machine with a GPU, or '
                               'with --device cpu')
        self._unavailable = self.found.device.pop('unavailable')
        self.found.rows = [
            Row(target.model, target.height, target.width, runtime, precision,
                backend_spec(target, runtime, precision, settings))
            for target in self._targets for runtime in settings.runtimes
            for precision in settings.precisions]
        for row in self.found.rows:
            row.error = self._unavailable.get(row.runtime, row.error)
        possible = [name for name in settings.runtimes if name not in self._unavailable]
        early = [name for name in possible if name not in _LATE]
        first, *others = self._targets
        self._target(first, early)
        self._once('rates', self._rates)
        self._once('pipelines', self._pipelines)
        for target in others:
            self._target(target, early)
        for target in self._targets:
            self._rows(target, [name for name in possible if name in _LATE])
        self._save()
        return self.found

    def _left(self, share: float = 1.0, most: float = 600.0) -> float:
        """Seconds that a part may take."""
        passed = time.monotonic() - self._started
        return min(most, share * (60.0 * self.settings.minutes - passed))

    def _begin(self, part: str) -> None:
        self.found.begun_s[part] = round(time.monotonic() - self._started, 1)
        self._tell(part)

    def _once(self, name: str, part: Callable[[], None]) -> None:
        if name not in self.settings.skip and self._left() > _LEAST_S:
            self._begin(name)
            part()
            self._save()

    def _target(self, target: Target, runtimes: Sequence[str]) -> None:
        """Everything about one model at one size."""
        if self._left() < _LEAST_S:
            return
        self._begin(f'{target.model} {target.height}x{target.width}: models')
        self._prepare(target, runtimes)
        self._rows(target, runtimes)
        self._costs(target)
        if 'stages' not in self.settings.skip and self._left() > _LEAST_S:
            self._begin(f'{target.model} {target.height}x{target.width}: stages')
            self._stages(target, runtimes)
            self._save()

    def _prepare(self, target: Target, runtimes: Sequence[str]) -> None:
        """Export and convert a model; without one in float32 there is nothing."""
        plain_graph = target.directory('float32')
        done = run_task('export_alone' if target.alone else 'export', self._left(0.6, 240),
                        name=target.model, height=target.height, width=target.width,
                        out_dir=str(plain_graph))
        if 'error' in done:
            for precision in self.settings.precisions:
                self._failed[target.directory(precision)] = f'export: {done["error"]}'
            self._failed[plain_graph] = f'export: {done["error"]}'
            return
        lower = {precision: str(target.directory(precision))
                 for precision in self.settings.precisions if precision != 'float32'}
        if not lower or all(is_torch(name) for name in runtimes):
            return
        done = run_task('convert', self._left(0.4, 180), model=str(plain_graph), models=lower)
        for precision, folder in lower.items():
            error = done.get('error') or done['failed'].get(precision)
            if error:
                self._failed[Path(folder)] = f'conversion: {error}'

    def _rows_of(self, target: Target, runtimes: Sequence[str]) -> list[Row]:
        """Rows of a target, less those of runtimes that cannot run here."""
        return [row for row in self.found.rows
                if row.runtime in runtimes and row.runtime not in self._unavailable
                and (row.model, row.height, row.width)
                == (target.model, target.height, target.width)]

    def _rows(self, target: Target, runtimes: Sequence[str]) -> None:
        """Build engines and time every runtime of one model and size."""
        rows = self._rows_of(target, runtimes)
        if not rows or self._left() < _LEAST_S:
            return
        self._begin(f'{target.model} {target.height}x{target.width}: {", ".join(runtimes)}')
        timings = self._timings(target, rows)
        for row in rows:
            timing = timings[row.spec]
            row.error = timing.error
            if timing.steps:
                graph = timing.steps['graph']
                row.latency_ms = {'p50': graph.median_ms, 'p95': graph.p95_ms,
                                  'p99': graph.p99_ms}
                row.frames, row.instances = timing.frames, timing.instances
                row.equal_ids, row.depth_error = timing.equal_ids, timing.depth_error
                row.load_ms = timing.load_ms
                row.gpu_mib = timing.gpu_mib or row.gpu_mib
        self._save()

    def _timings(self, target: Target, rows: list[Row]) -> dict[str, BackendTiming]:
        """Time the backends of rows, in turns; by the rows' specs."""
        found = {}
        for row in rows:
            error = self._problem(target, row.spec, row)
            if error:
                found[row.spec] = BackendTiming(row.spec, error=error)
        asked = [row.spec for row in rows if row.spec not in found]
        tests = self._references(target) if asked else []
        if asked and not tests:
            reason = self._failed.get(target.folder, 'PyTorch gave no reference')
            return {**found, **{spec: BackendTiming(spec, error=reason) for spec in asked}}
        return {**found, **self._timed(target, asked, tests)}

    def _timed(self, target: Target, asked: Sequence[str],
               tests: Sequence[Path]) -> dict[str, BackendTiming]:
        if not asked:
            return {}
        job = Job(target.directory('float32'), (target.height, target.width),
                  _frames(self._references(target)), tests=tests, graph_only=True)
        timings = time_backends(job, asked, _WARM_UP, self.settings.repeats, round_frames=_ROUND,
                                limit_s=self._left(0.45, 180))
        return {timing.backend: timing for timing in timings}

    def _problem(self, target: Target, spec: str, row: Row) -> str:
        """Why a backend cannot be timed, which is known once its engine was built."""
        folder = target.directory('float32' if is_torch(row.runtime) else row.precision)
        return self._failed.get(folder) or (
            self._build(spec, folder) if row.runtime == 'tensorrt' else '')

    def _build(self, spec: str, folder: Path) -> str:
        """Have an engine built, before anything is timed; why it could not be."""
        start = time.monotonic()
        done = run_task('build', self._left(0.3, 150), backend=split_model(spec)[0],
                        model=str(folder))
        self.found.engines[str(folder)] = {**done, 'seconds': time.monotonic() - start}
        return str(done.get('error', ''))

    def _references(self, target: Target) -> list[Path]:
        """Return what PyTorch in float32 says of the pictures, once for each size of a model."""
        if target.folder not in self._tests:
            done = run_task(
                'reference', self._left(0.3, 90), model=str(target.directory('float32')),
                out_dir=str(target.folder / 'reference'), device=self.settings.device,
                source=self.settings.source)
            if 'error' in done:
                self._failed[target.folder] = f'reference: {done["error"]}'
            self._tests[target.folder] = [Path(path) for path in done.get('tests', ())]
        return self._tests[target.folder]

    def _stages(self, target: Target, runtimes: Sequence[str]) -> None:
        """
        Shares of copies, network and assembly.

        PyTorch's are timed each alone (stages.py). Of a runtime that has the graph as one engine,
        the graph is timed once more, in turns with one without assembly (models.NetworkAlone): the
        difference is the assembly, and the rest less the copies is the network.
        """
        tests = self._tests.get(target.folder)
        if not tests:
            return
        rows = [row for row in self._rows_of(target, runtimes) if row.ran]
        asked = [(row.runtime, row.precision) for row in rows if is_torch(row.runtime)]
        done = run_task(
            'stages', self._left(0.4, 90), model=str(target.directory('float32')),
            device=self.settings.device, test=str(tests[0]),
            rows=asked or [('eager', 'float32')], repeats=min(30, self.settings.repeats))
        self.found.stages[target.folder.name] = done
        for row in rows:
            row.stages_ms = done.get(f'{row.runtime} {row.precision}', {})
        copies = next((parts['copies'] for parts in done.values()
                       if isinstance(parts, dict) and 'copies' in parts), 0.0)
        graphs = [row for row in rows if not is_torch(row.runtime)]
        if not graphs or self._left() < _LEAST_S:
            return
        alone = Target(target.model, target.height, target.width, target.folder, alone=True)
        self._prepare(alone, runtimes)
        pairs = {row.spec: backend_spec(alone, row.runtime, row.precision, self.settings)
                 for row in graphs}
        graphs = [row for row in graphs if not self._problem(alone, pairs[row.spec], row)]
        timings = self._timed(target, [spec for row in graphs
                                       for spec in (row.spec, pairs[row.spec])], ())
        for row in graphs:
            both = [timings[spec].steps for spec in (row.spec, pairs[row.spec])]
            if all(both):
                whole, network = (steps['graph'].median_ms for steps in both)
                stages = {'copies': copies, 'network': network - copies,
                          'assembly': whole - network}
                # What is lost in noise is not a measurement.
                row.stages_ms = stages if min(stages.values()) >= 0 else {}

    def _costs(self, target: Target) -> None:
        """Count what a model asks of a machine."""
        folder = target.directory('float32')
        if folder not in self._failed and self._left() > _LEAST_S:
            self.found.costs[target.folder.name] = model_cost(folder)
        self._floors()

    def _rates(self) -> None:
        """Measure the machine."""
        self.found.rates = run_task(
            'rates', self._left(0.3, 60), device=self.settings.device,
            precisions=sorted({'float32', *self.settings.precisions}))
        self._floors()

    def _floors(self) -> None:
        """Set floors and shares of rates, of what is known by now."""
        rates = self.found.rates
        for row in self.found.rows:
            cost = self.found.costs.get(f'{row.model}_{row.height}x{row.width}', {})
            if row.ran and 'flops_per_s' in rates and 'convolution_flops' in cost:
                row.floor_ms = floor_ms(cost, rates, row.precision)
                flops = cost['convolution_flops'] + cost['product_flops']
                row.matrix_share = (flops / (row.latency_ms['p50'] / 1e3)
                                    / rates['flops_per_s'][row.precision])

    def _pipelines(self) -> None:
        """Put the published pipeline beside ours, at the greatest size."""
        height, width = max(self.settings.sizes)
        self.found.pipelines[f'{height}x{width}'] = run_task(
            'pipelines', self._left(0.4, 120), height=height, width=width,
            things=self.settings.things, device=self.settings.device,
            repeats=min(_PIPELINE_REPEATS, self.settings.repeats))

    def _save(self) -> None:
        """Keep what there is: whoever ends this early has it."""
        self._floors()
        self.found.seconds = time.monotonic() - self._started
        out = self.settings.out_dir
        write_atomic(out / f'{REPORT}.json',
                     json.dumps(self.found.to_dict(), indent=1).encode() + b'\n')
        write_atomic(out / f'{REPORT}.md', markdown(self.found.to_dict()).encode())


def _frames(tests: Sequence[Path]) -> list[Frame]:
    """Pictures of SelfTest files, at network size, with their cameras."""
    frames = []
    for path in tests:
        with np.load(path, allow_pickle=False) as arrays:
            image, camera = arrays['image'], arrays['intrinsics']
        fx, fy, cx, cy = (float(value) for value in camera)
        frames.append(Frame(image, Intrinsics(fx, fy, cx, cy, image.shape[1], image.shape[0])))
    return frames
