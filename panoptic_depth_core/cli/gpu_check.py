# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth gpu-check``: what runs on this GPU, how fast and how exact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from . import options


def gpu_check(
        out_dir: Annotated[Path, typer.Option(
            '--out', '-o', help='Folder of gpu_check.json and .md, models and engines.')],
        models: Annotated[str, typer.Option(
            '--models', help='fast, published, or both.')] = 'fast,published',
        sizes: Annotated[str, typer.Option(
            '--sizes', help='Height x width of network inputs.')] = '512x1024,1024x2048',
        precisions: Annotated[str, typer.Option(
            '--precisions', help='float32, bfloat16, float16.')] = 'float32,bfloat16,float16',
        repeats: Annotated[int, typer.Option(
            '--repeats', min=1, help='Frames of each row, if there is time for them.')] = 200,
        source: Annotated[str | None, typer.Option(
            '--frames', metavar='SOURCE', show_default='drawn streets',
            help='Picture, folder, video or bag that results are compared on.')] = None,
        device: Annotated[str, typer.Option('--device', help='cuda, or cpu to try it.')] = 'cuda',
        skip: Annotated[str, typer.Option(
            '--skip', help='Of tensorrt, onnxruntime, eager, cuda_graph, compile, stages, rates, '
            'pipelines.')] = '',
        minutes: Annotated[float, typer.Option(
            '--minutes', min=0.1, help='Time for everything.')] = 9.0) -> None:
    """Measure every runtime that this GPU has, against PyTorch, its own limits and our goals."""
    try:
        from ..export.gpu_check.check import REPORT
        from ..export.gpu_check.check import gpu_check as run_check
        from ..export.gpu_check.rows import PRECISIONS, CheckSettings
    except ModuleNotFoundError as error:
        raise options.missing_extra(error, 'export') from None

    known = {str(precision): precision for precision in PRECISIONS}
    wanted = options.parse_list(precisions)
    for name in wanted:
        if name not in known:
            raise ConfigError(f'--precisions: {name!r} is not known; known: {", ".join(known)}')
    names, shapes = options.parse_list(models), options.parse_list(sizes)
    if not (names and shapes and wanted):
        raise ConfigError('gpu-check: name at least one model, one size and one precision')
    run_check(
        CheckSettings(
            out_dir, names, tuple(options.parse_size(size) for size in shapes),
            tuple(known[name] for name in wanted), device, repeats, source=source,
            skip=options.parse_list(skip), minutes=minutes),
        lambda text: typer.echo(f'gpu-check: {text} ...', err=True))
    typer.echo((out_dir / f'{REPORT}.md').read_text(encoding='utf-8'), nl=False)
