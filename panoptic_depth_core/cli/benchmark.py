# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth benchmark``: time and memory per step, runtimes side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from . import options


def benchmark(
        model: options.Model = None,
        backends: Annotated[str, typer.Option(
            '--backend', help='Runtimes, separated by commas.')] = 'onnxruntime,torch',
        size: Annotated[str, typer.Option(
            '--size', help='Height x width of the images in px.')] = '1024x2048',
        repeats: Annotated[int, typer.Option('--repeats', min=1, help='Frames counted.')] = 30,
        warmup: Annotated[int, typer.Option(
            '--warmup', min=0, help='Frames before them that are not.')] = 3,
        threads: options.Threads = None,
        config: options.Settings = None,
        out_file: Annotated[Path | None, typer.Option(
            '--out', '-o', help='Also write the figures as JSON.')] = None) -> None:
    """Measure every step: median, 95th and 99th percentile, memory, machine, versions."""
    from ..config import InferenceSettings, load_settings
    from ..evaluation.benchmark import benchmark as run_benchmark
    from ..io.atomic import make_folder, write_atomic

    names = options.parse_list(backends)
    if not names:
        raise ConfigError(f'--backend is {backends!r}; name at least one runtime')
    settings = load_settings(InferenceSettings, config) if config else None
    result = run_benchmark(
        model, names, image_size=options.parse_size(size), warmup=warmup,
        repeats=repeats, threads=threads, settings=settings)
    typer.echo(result.to_markdown(), nl=False)
    if out_file is not None:
        make_folder(out_file.parent)
        write_atomic(out_file, json.dumps(result.to_dict(), indent=2).encode() + b'\n')
