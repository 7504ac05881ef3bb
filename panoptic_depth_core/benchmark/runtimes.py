# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Every runtime, precision and mode that this machine has: parity with PyTorch, and latency.

The most important rows come first, and every piece of work has a process and a time limit: what
cannot run, or has no time left, is a row with its reason.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..config import InferenceSettings
from ..errors import BackendError, ConfigError
from ..io.sources.open_source import open_source
from ..model_directory import ModelDirectory, open_model
from ..network import model_type
from .graphs import convert, describe_device, export_at, references
from .pipeline import take_turns, time_pipeline
from .published import compare_published
from .report import LATENCY, NOT_RUN, Report
from .worker import Worker, WorkerError, run

PRECISIONS = ('float32', 'bfloat16', 'float16', 'int8')
_GRAPHS = {name: name for name in PRECISIONS}
_IN_TORCH = dict.fromkeys(PRECISIONS[:3], 'float32')

RUNTIMES: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    'tensorrt': ('tensorrt', {}, {**_GRAPHS, 'int8': 'int8_symmetric'}),
    'onnxruntime cuda': ('onnxruntime', {'providers': 'CUDAExecutionProvider'}, _GRAPHS),
    'torch eager': ('torch', {'mode': 'eager'}, _IN_TORCH),
    'torch cuda_graph': ('torch', {'mode': 'cuda_graph'}, _IN_TORCH),
    'onnxruntime cpu': ('onnxruntime', {}, {'float32': 'float32', 'int8': 'int8'}),
    'openvino': ('openvino', {}, {'float32': 'float32', 'bfloat16': 'float32', 'int8': 'int8'}),
    'torch compile': ('torch', {'mode': 'compile'}, _IN_TORCH),
}
"""Runtime -> backend, its options, and for each precision the graph that it takes."""

_ON_GPU = ('tensorrt', 'onnxruntime cuda', 'torch cuda_graph')
_ON_CPU = ('onnxruntime cpu', 'openvino')

GPU_SIZE = (1024, 2048)
"""Network input that is measured first on a GPU: that of the published pipeline."""

_WARM_UP, _ROUND, _PUBLISHED_REPEATS, _THINGS = 10, 20, 5, 14
_LEAST_S = 3.0
"""With less time left nothing is begun."""

_COLUMNS = {
    'size': '', 'runtime': '', 'precision': '', **LATENCY, 'times_published': '.1f',
    'equal_ids': '.3%', 'depth_error': '.1e', 'pipeline_ms': '.2f', 'network_ms': '.2f',
    'assembly_ms': '.2f', 'peak_mib': '.0f', 'gpu_mib': '.0f'}

Size = tuple[int, int]
Row = dict[str, Any]


@dataclass(frozen=True)
class RuntimeSettings:
    """
    What to measure.

    :param folder: for models and engines, which a later run uses again.
    :param sizes: height and width of network inputs; empty: that of the model, and on a GPU
        GPU_SIZE before it.
    :param device: of PyTorch, or 'auto'.
    :param source: of the pictures, see io.sources; None: drawn ones.
    """

    folder: Path
    model: Path | None = None
    sizes: tuple[Size, ...] = ()
    precisions: tuple[str, ...] = PRECISIONS
    device: str = 'auto'
    repeats: int = 200
    source: str | None = None
    minutes: float = 6.0


def measure_runtimes(settings: RuntimeSettings, *, note: Callable[[str], None] = lambda text: None,
                     save: Callable[[Report], None] = lambda report: None) -> Report:
    """
    Measure every runtime.

    :param note: receives what is done. :param save: receives the report as it grows.
    :raises ConfigError, BackendError: for settings that make no sense, for no such device.
    """
    for name in settings.precisions:
        if name not in PRECISIONS:
            raise ConfigError(f'precision {name!r} is not known; known: {", ".join(PRECISIONS)}')
    if settings.repeats < 1 or settings.minutes <= 0:
        raise ConfigError(f'benchmark: repeats is {settings.repeats}, minutes '
                          f'{settings.minutes:g}; give at least 1 and more than 0')
    model = open_model(settings.model)
    if model.info.precision != 'float32':
        raise ConfigError(f'{model.path}: its precision is {model.info.precision}; give the '
                          'float32 model, which is converted to the others')
    for size in set(settings.sizes) - {(model.info.input_height, model.info.input_width)}:
        side = model_type(model.info.network).size_multiple
        if size[0] % side or size[1] % side:
            raise ConfigError(f'--size {size[0]}x{size[1]} (height x width): '
                              f'{model.info.network} takes multiples of {side} px')
    if settings.source is not None:
        open_source(settings.source).close()
    return _Measurement(settings, model, note, save).run()


class _Measurement:
    def __init__(self, settings: RuntimeSettings, model: ModelDirectory,
                 note: Callable[[str], None], save: Callable[[Report], None]) -> None:
        self._settings, self._model, self._note, self._save = settings, model, note, save
        self._own_size = model.info.input_height, model.info.input_width
        self._end = time.monotonic() + 60 * settings.minutes
        self._made: dict[tuple[Size, str], Any] = {}
        self._published: dict[str, Any] = {}

    def run(self) -> Report:
        """Measure what there is time for."""
        settings, info = self._settings, self._model.info
        try:
            self._device, name = run(describe_device, settings.device, limit_s=60)
        except WorkerError as error:
            raise BackendError(f'benchmark: no device {settings.device!r}: {error}; run it on a '
                               'machine with a GPU, or with --device cpu') from None
        self._on_gpu = self._device != 'cpu'
        sizes = settings.sizes or tuple(dict.fromkeys(
            [GPU_SIZE] * self._on_gpu + [self._own_size]))
        self._report = Report(
            'runtimes', f'# {info.model_id} in every runtime of {name}', _COLUMNS,
            details={'device': name, 'settings': asdict(settings), 'published': self._published})
        groups: dict[tuple[bool, Size, str, str], list[Row]] = {}
        for size in sizes:
            for runtime in RUNTIMES:
                rows = self._rows(size, runtime)
                self._report.rows += rows
                for row in rows:
                    # An engine is built, and a CPU used, by one process at a time.
                    alone = row['precision'] if runtime == 'tensorrt' or not self._on_gpu else ''
                    key = self._is_late(row), size, runtime, alone
                    if row['precision']:
                        groups.setdefault(key, []).append(row)
        for number, (key, rows) in enumerate(sorted(groups.items(), key=lambda item: item[0][0])):
            is_late, size, runtime, _ = key
            if is_late or size != sizes[0]:
                self._compare_published(sizes[0])
            if self._left() > _LEAST_S:
                self._note(f'{size[0]}x{size[1]}: {runtime} '
                           + ', '.join(row['precision'] for row in rows))
                self._measure(size, rows, len(groups) - number)
                self._finish()
        self._compare_published(sizes[0])
        self._finish()
        return self._report

    def _rows(self, size: Size, runtime: str) -> list[Row]:
        """Rows of a runtime, with the reason that they have if nothing more happens."""
        row = {'size': f'{size[0]}x{size[1]}', 'runtime': runtime}
        if runtime in _ON_GPU and not self._on_gpu:
            return [{**row, 'precision': '', NOT_RUN: 'it needs a GPU'}]
        return [{**row, 'precision': precision, NOT_RUN:
                 f'left out: the time limit of {self._settings.minutes:g} min was reached'}
                for precision in self._settings.precisions if precision in RUNTIMES[runtime][2]]

    def _is_late(self, row: Row) -> bool:
        """Whether a row takes long, or is not what the device is for."""
        return (row['runtime'] == 'torch compile' or row['precision'] == 'int8' or (
            row['runtime'] in _ON_CPU if self._on_gpu else row['precision'] == 'float16'))

    def _left(self, share: float = 1.0, most_s: float = math.inf) -> float:
        """Seconds that a part may take."""
        return max(min(most_s, share * (self._end - time.monotonic())), 0.0)

    def _measure(self, size: Size, rows: list[Row], groups: int) -> None:
        """Time rows in turns; they are the first of so many groups that are to be timed."""
        ready = []
        for row in rows:
            try:
                ready.append((row, self._arguments(size, row['runtime'], row['precision'])))
            except WorkerError as error:
                row[NOT_RUN] = str(error)
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(time_pipeline, *arguments))
                       for _, arguments in ready]
            # What is slow is timed by fewer frames, so that all have their turn.
            timings = take_turns(
                workers, _WARM_UP, self._settings.repeats, round_frames=_ROUND,
                limit_s=self._left(0.5 if self._on_gpu else 2 / (groups + 2), 150),
                frames_s=self._left(1 / (groups + 2)))
            for (row, _), worker, timing in zip(ready, workers, timings, strict=True):
                row[NOT_RUN] = timing.error
                if timing.samples:
                    row.update(timing.latency('graph'), frames=len(timing.samples),
                               pipeline_ms=timing.latency('total')['median_ms'], **timing.about)
                    if row['runtime'] in ('torch eager', 'torch cuda_graph'):
                        with suppress(WorkerError):
                            row.update(worker.ask((0, 0.0), self._left(0.3, 30)))

    def _arguments(self, size: Size, runtime: str, precision: str) -> tuple[Any, ...]:
        """Arguments of time_pipeline; WorkerError where a graph or references cannot be made."""
        backend, options, graphs = RUNTIMES[runtime]
        if backend == 'torch':
            options = {**options, 'device': self._device, 'precision': precision}
        elif runtime == 'openvino' and precision == 'bfloat16':
            options = {'precision': precision}
        elif runtime == 'tensorrt':
            options = {'cache_dir': str(self._settings.folder / 'engines')}
        model = self._graph(size, graphs[precision])
        frames, tests = self._once(size, 'references', lambda: run(
            references, self._graph(size, 'float32'), self._device, self._settings.source,
            limit_s=self._left(0.3, 90)))
        return model, backend, frames, InferenceSettings(), options, size, tests

    def _graph(self, size: Size, precision: str) -> Path:
        """Model directory at a size and in a precision, made unless it is there."""
        if precision == 'float32' and size == self._own_size:
            return self._model.path
        path = self._settings.folder / 'models' / f'{size[0]}x{size[1]}' / precision

        def make() -> Path:
            with suppress(ConfigError):
                return ModelDirectory.load(path).path
            if precision == 'float32':
                run(export_at, self._model.path, *size, path, limit_s=self._left(0.5, 240))
            else:
                run(convert, self._graph(size, 'float32'), path, precision, self._settings.source,
                    limit_s=self._left(0.4, 180))
            return path

        found: Path = self._once(size, precision, make)
        return found

    def _once(self, size: Size, name: str, make: Callable[[], Any]) -> Any:
        """Return what was made under this name, or raise again what it raised."""
        if (size, name) not in self._made:
            try:
                self._made[size, name] = make()
            except WorkerError as error:
                self._made[size, name] = WorkerError(f'{name} could not be made: {error}')
        found = self._made[size, name]
        if isinstance(found, WorkerError):
            raise found
        return found

    def _compare_published(self, size: Size) -> None:
        """Put the published pipeline beside ours, once."""
        if not self._published and self._left() > _LEAST_S:
            self._note('published pipeline')
            try:
                self._published.update(run(
                    compare_published, *size, _THINGS, self._device,
                    _PUBLISHED_REPEATS if self._on_gpu else 1,
                    limit_s=self._left(0.4, 120)), size=f'{size[0]}x{size[1]}')
            except WorkerError as error:
                self._published['error'] = str(error)

    def _finish(self) -> None:
        """Write the notes, and save: whoever ends this early has what there is."""
        found, seconds = self._published, 60 * self._settings.minutes - self._left()
        for row in self._report.rows:
            if 'median_ms' in row and row['size'] == found.get('size'):
                row['times_published'] = (
                    found['network_ms'] + found['published_ms']) / row['median_ms']
        self._report.details['seconds'] = seconds
        self._report.notes = [
            f'{seconds:.0f} s, up to {self._settings.repeats} frames a row. median, p95, p99: the '
            'graph, from host image to host arrays. equal ids, depth error: the worst picture, '
            'against PyTorch in float32.',
            'published pipeline' + (
                f' at {found["size"]}: network {found["network_ms"]:.1f} ms, its post-processing '
                f'of {found["things"]} things {found["published_ms"]:.1f} ms; our assembly of the '
                f'same {found["ours_ms"]:.2f} ms' + (
                    f', as a CUDA graph {found["ours_graph_ms"]:.2f} ms'
                    if 'ours_graph_ms' in found else '')
                + f'; {found["equal_ids"]:.3%} of the ids are equal' if 'size' in found else
                f': {found.get("error", "left out: no time was left")}')]
        self._save(self._report)
