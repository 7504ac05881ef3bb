# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The process of one backend that is timed; see benchmark_process.py, which starts it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..config import InferenceSettings, parse_settings
from ..contract import COLUMN
from ..errors import BackendError, ConfigError
from ..inference.backends import backend_options, parse_backend
from ..inference.pipeline import Pipeline, merged_thresholds
from ..inference.preprocess import graph_inputs
from ..model_directory import SelfTest, compare
from ..structures import Frame, Intrinsics

MODEL = 'model'
"""Key among the options of a backend that is not its own: another model directory."""

_LEAD_IN = 2
"""
Frames before those of a round that are not timed, where the graph alone is: in a stream, the
frame before a frame was of the same process too.
"""

Step = Callable[[], tuple[dict[str, float], int]]
"""Runs a frame; returns milliseconds by step, and the number of instances."""


def split_model(spec: str) -> tuple[str, str | None]:
    """Split 'onnxruntime:threads=2:model=DIR' into what is the backend's own, and DIR."""
    parts = spec.split(':')
    own = [part for part in parts if not part.startswith(f'{MODEL}=')]
    models = [part.partition('=')[2] for part in parts if part not in own]
    return ':'.join(own), models[-1] if models else None


def work(folder: Path, spec: str) -> None:
    """Load a backend, then for every line read run so many frames and answer."""
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), 'w', buffering=1, encoding='utf-8')
    os.dup2(2, 1)
    job = json.loads((folder / 'job.json').read_text(encoding='utf-8'))
    images = np.load(folder / 'frames.npz')['images']
    frames = [Frame(image, Intrinsics(**camera))
              for image, camera in zip(images, job['cameras'], strict=True)]
    start = time.perf_counter()
    try:
        with _open(job, spec) as pipeline:
            about: dict[str, Any] = {'load_ms': 1e3 * (time.perf_counter() - start),
                                     **_agreement(pipeline, job['tests'])}
            print(json.dumps(about), file=answers)
            step, lead_in = ((_graph_alone(pipeline, frames), _LEAD_IN) if job['graph_only']
                             else (_whole(pipeline, frames), 0))
            for line in sys.stdin:
                for _ in range(lead_in):
                    step()
                timed = [step() for _ in range(int(line))]
                print(json.dumps({
                    **about, 'step_ms': [steps for steps, _ in timed],
                    'instances': round(float(np.mean([number for _, number in timed]))),
                    'gpu_mib': pipeline.backend.gpu_memory_bytes / 2 ** 20,
                    'peak_rss_mib': _peak_rss_mib()}), file=answers)
    except (ConfigError, BackendError) as error:
        print(json.dumps({'error': str(error)}), file=answers)


def _open(job: dict[str, Any], spec: str) -> Pipeline:
    backend, own_model = split_model(spec)
    name, written = parse_backend(backend)
    options = {}
    if job['threads'] is not None and 'threads' in backend_options(name):
        options = {} if 'threads' in written else {'threads': job['threads']}
        cv2.setNumThreads(job['threads'])
    settings = parse_settings(InferenceSettings, job['settings'], 'benchmark')
    pipeline = Pipeline(own_model or job['model'], backend, settings, **options)
    info = pipeline.model.info
    if [info.input_height, info.input_width] != job['size']:
        pipeline.close()
        raise ConfigError(f'{pipeline.model.path}: the input is {info.input_height}x'
                          f'{info.input_width}, that of the others '
                          f'{"x".join(map(str, job["size"]))}; time models of one size')
    return pipeline


def _agreement(pipeline: Pipeline, tests: list[str]) -> dict[str, float]:
    """Return the worst of all tests; NaN without one."""
    reports = []
    for path in tests:
        reports.append(compare(pipeline.backend, SelfTest.read(Path(path))))
    return {'equal_ids': min((r.equal_ids for r in reports), default=float('nan')),
            'depth_error': max((r.depth_error for r in reports), default=float('nan'))}


def _whole(pipeline: Pipeline, frames: list[Frame]) -> Step:
    source = cycle(frames)

    def step() -> tuple[dict[str, float], int]:
        # Dropped at once, as in a node: kept results cost fresh memory every time.
        result = pipeline(next(source))
        return dict(result.step_ms), len(result.distances)

    return step


def _graph_alone(pipeline: Pipeline, frames: list[Frame]) -> Step:
    info, settings = pipeline.model.info, pipeline.settings
    thresholds = merged_thresholds(info.thresholds, settings.thresholds).as_vector()
    source = cycle([graph_inputs(frame, info, thresholds, settings.fit)[0] for frame in frames])

    def step() -> tuple[dict[str, float], int]:
        inputs = next(source)
        start = time.perf_counter()
        output = pipeline.backend.run(inputs)
        taken = 1e3 * (time.perf_counter() - start)
        table = output.segments
        return {'graph': taken}, int(((table[:, COLUMN['valid']] > 0.5)
                                      & (table[:, COLUMN['is_thing']] > 0.5)).sum())

    return step


def _peak_rss_mib() -> float:
    """Return the most memory that this process ever held."""
    # Not resource.getrusage: on Linux its maximum includes the parent's from before exec.
    try:
        for line in Path('/proc/self/status').read_text(encoding='utf-8').splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float('nan')


if __name__ == '__main__':
    work(Path(sys.argv[1]), sys.argv[2])
