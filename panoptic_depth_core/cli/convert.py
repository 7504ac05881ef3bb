# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth convert``: a published checkpoint becomes a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .console import out


def convert(
        checkpoint: Annotated[Path, typer.Argument(
            help='model_final.pth of PanopticDepth R50.')],
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Model directory.')],
        size: Annotated[str, typer.Option(
            '--size', help='Height x width of the network input; multiples of 64.')] = '1024x2048',
        output_stride: Annotated[int, typer.Option(
            '--output-stride', help='Stride of the maps that the graph returns: 1, 2 or 4.')] = 2,
        max_things: Annotated[int, typer.Option(
            '--max-things', min=1, max=200, help='Things that can be in one result.')] = 100,
        deformable: Annotated[str, typer.Option(
            '--deformable', help='operator, or grid_sample for runtimes without DeformConv.',
            )] = 'operator',
        weight_type: Annotated[str, typer.Option(
            '--weights', help='Type in which the file keeps the weights: float32 or '
            'float16.')] = 'float32',
        licence: Annotated[str, typer.Option(
            '--weights-licence', help='Licence of the checkpoint, for model.json.')] = 'unknown',
        ) -> None:
    """Convert a published PanopticDepth checkpoint to a model directory."""
    try:
        from ..export.onnx_export import convert_checkpoint, published_description
        from ..network.panoptic_depth.network import FOCAL_PX, PublishedSettings
    except ImportError as error:
        raise options.missing_extra(error, 'export') from None
    from ..config import parse_settings

    height, width = options.parse_size(size)
    description = published_description(height, width, output_stride=output_stride,
                                        weight_type=weight_type, weights_licence=licence)
    form = parse_settings(PublishedSettings, {'deformable': deformable}, 'convert').deformable
    show = out()
    show.print(f'Converting {checkpoint} at {height}x{width}: a minute or two ...',
               highlight=False, markup=False)
    model = convert_checkpoint(checkpoint, out_dir, description, deformable=form,
                               max_things=max_things)
    if 'depth' not in model.info.tasks:
        show.print('The checkpoint has no depth heads: labels only, every distance is NaN.')
    show.print(f'Model: {model.path} ({model.info.onnx_bytes / 1e6:.0f} MB); try: '
               f'panoptic-depth predict IMAGE -m {model.path} -o RESULTS --fx {FOCAL_PX}',
               highlight=False, markup=False)
