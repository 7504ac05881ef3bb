# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is measured: a row for each model, size, runtime and precision."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...io.sources.open_source import open_source
from ...model_directory import PRECISION_TOLERANCE
from ...model_info import Precision

MODELS = ('fast', 'published')
"""fast: the weights that are shipped; published: random weights of a seed."""

PRECISIONS: tuple[Precision, ...] = ('float32', 'bfloat16', 'float16')

RUNTIMES = ('tensorrt', 'onnxruntime', 'eager', 'cuda_graph', 'compile')
"""The last three are PyTorch's ways to run."""

PARTS = (*RUNTIMES, 'stages', 'rates', 'pipelines')
"""What can be left out."""

NO_TIME = 'not measured: the time was used up'

_SAME_IDS, _SAME_DEPTH = 0.999, 1e-3


@dataclass(frozen=True)
class CheckSettings:
    """
    What to check.

    :param sizes: height and width of network inputs.
    :param source: of the pictures, see io.sources; drawn ones where None.
    :param skip: of PARTS. :param minutes: for everything.
    """

    out_dir: Path
    models: tuple[str, ...] = MODELS
    sizes: tuple[tuple[int, int], ...] = ((512, 1024), (1024, 2048))
    precisions: tuple[Precision, ...] = PRECISIONS
    device: str = 'cuda'
    repeats: int = 200
    things: int = 14
    source: str | None = None
    skip: tuple[str, ...] = ()
    minutes: float = 9.0

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Those of RUNTIMES that are not left out."""
        return tuple(name for name in RUNTIMES if name not in self.skip)


def check_settings(settings: CheckSettings) -> None:
    """
    Refuse what would only show after minutes.

    :raises ConfigError: naming it.
    """
    for what, given, known in (('model', settings.models, MODELS),
                               ('part to skip', settings.skip, PARTS)):
        for name in given:
            if name not in known:
                raise ConfigError(f'gpu-check: {what} {name!r} is not known; '
                                  f'known: {", ".join(known)}')
    for height, width in settings.sizes:
        if height % 64 or width % 64:
            raise ConfigError(f'gpu-check: size is {height}x{width}; give multiples of 64 px')
    if settings.source is not None:
        open_source(settings.source).close()
    if ':' in str(settings.out_dir):
        raise ConfigError(f'gpu-check: {settings.out_dir} has a colon, which separates options '
                          'of backends; choose another folder')


@dataclass(frozen=True)
class Target:
    """
    One model at one size, and where its directories are.

    :param alone: only the network of it, see models.NetworkAlone.
    """

    model: str
    height: int
    width: int
    folder: Path
    alone: bool = False

    def directory(self, precision: str) -> Path:
        """Model directory of the graph in a precision."""
        return self.folder / f'{"alone_" if self.alone else ""}{precision}'


@dataclass
class Row:
    """
    Figures of one runtime.

    :param latency_ms: p50, p95, p99 from host image to host arrays.
    :param gpu_mib: by the runtime's own account, NaN where it does not say.
    :param equal_ids, depth_error: worst of the pictures, against PyTorch in float32.
    :param stages_ms: copies, network and assembly, see stages.py and check.py.
    :param floor_ms: see limits.py.
    :param matrix_share: operations per second over the machine's rate in this precision.
    :param error: why there are no figures.
    """

    model: str
    height: int
    width: int
    runtime: str
    precision: Precision
    spec: str = ''
    latency_ms: dict[str, float] = field(default_factory=dict)
    frames: int = 0
    instances: int = 0
    load_ms: float = math.nan
    gpu_mib: float = math.nan
    equal_ids: float = math.nan
    depth_error: float = math.nan
    stages_ms: dict[str, float] = field(default_factory=dict)
    floor_ms: float = math.nan
    matrix_share: float = math.nan
    error: str = NO_TIME

    @property
    def ran(self) -> bool:
        """Whether there are figures."""
        return bool(self.latency_ms)

    @property
    def agrees(self) -> bool:
        """Whether the result is PyTorch's, as far as a self-test asks in this precision."""
        ids, depth = PRECISION_TOLERANCE[self.precision]
        return (self.equal_ids >= min(ids, _SAME_IDS)
                and self.depth_error <= max(depth, _SAME_DEPTH))

    @property
    def assembly_share(self) -> float:
        """Part of the stages that is assembly; NaN where they were not measured."""
        total = sum(self.stages_ms.values())
        return self.stages_ms['assembly'] / total if total > 0 else math.nan


def backend_spec(target: Target, runtime: str, precision: str, settings: CheckSettings) -> str:
    """How evaluation/benchmark_worker.py is asked for a row."""
    if runtime == 'tensorrt':
        return (f'tensorrt:model={target.directory(precision)}'
                f':cache_dir={settings.out_dir / "engines"}')
    if runtime == 'onnxruntime':
        provider = 'CPU' if settings.device == 'cpu' else 'CUDA'
        return (f'onnxruntime:model={target.directory(precision)}'
                f':providers={provider}ExecutionProvider')
    return (f'torch:model={target.directory("float32")}:device={settings.device}'
            f':mode={runtime}:precision={precision}')


def is_torch(runtime: str) -> bool:
    """Whether a runtime converts by itself, so that it needs the graph in float32 only."""
    return runtime in ('eager', 'cuda_graph', 'compile')


def plain(value: Any) -> Any:
    """Return what JSON can hold: NaN and infinity are null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
