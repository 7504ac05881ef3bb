# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth export`` and ``convert``: model directories from checkpoints and models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from ..config import load_settings, parse_settings, set_value
from ..errors import ConfigError
from ..files import lock_folder
from ..model_info import Precision
from . import options
from .build_engine import build_here, watched_build
from .console import frame_progress, warn
from .options import needs_extra, say

if TYPE_CHECKING:
    from ..model_directory import ModelDirectory
    from ..structures import Frame


def export(
        context: typer.Context,
        source: Annotated[Path, typer.Argument(
            metavar='CKPT_OR_MODEL_DIR', help='best.pt or model.pt of a training run, or a model '
            'directory, which is copied.')],
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Model directory to write.')],
        config: Annotated[Path | None, typer.Option(
            '--config', '-c', help='YAML that describes the model: id, licence, data.')] = None,
        size: Annotated[str | None, typer.Option(
            '--size', help='Height x width of the network input in px.')] = None,
        precision: Annotated[str, typer.Option(
            '--precision', help='Arithmetic of the convolutions: float32, float16, bfloat16 or '
            'int8.')] = 'float32',
        calibration: Annotated[str | None, typer.Option(
            '--calibration', metavar='SOURCE', show_default=False, help='For int8: pictures, a '
            'video or a bag from the place of use; with a camera.json if they have no '
            'camera.')] = None,
        calibration_frames: Annotated[int, typer.Option(
            '--calibration-frames', min=1, help='Frames of it, evenly spaced.')] = 32,
        symmetric: Annotated[bool, typer.Option(
            '--symmetric', help='For int8: quantize symmetrically, as TensorRT needs it; implied '
            'by --engine and --target.')] = False,
        engine: Annotated[bool, typer.Option(
            '--engine', help='Also build the TensorRT engine: for the GPU of this machine, into '
            'the cache of this user, or for each --target.')] = False,
        target: Annotated[str | None, typer.Option(
            '--target', show_default=False, help='Compute capabilities to build engines for ahead '
            'of time, such as sm_86,sm_120: into the model directory, with TensorRT for RTX and '
            'no GPU.')] = None) -> None:
    """Make a model directory from a checkpoint or another model directory, and test it."""
    from ..model_directory import ModelDirectory

    targets = () if target is None else _known_targets(target)
    kind = _known_precision(precision, calibration, symmetric)
    context.with_resource(lock_folder(out_dir))
    exact = None
    if source.is_dir():
        for option, value in (('--config', config), ('--size', size)):
            if value is not None:
                raise ConfigError(f'{option} is {value}, but {source} is a model directory, whose '
                                  'graph is fixed; export the checkpoint to change it')
        exact = ModelDirectory.load(source)
    if kind == 'float32':
        if exact is None:
            model = _exported_model(source, out_dir, config, size)
        else:
            from ..model_directory import copy_model
            model = copy_model(exact, out_dir)
    else:
        with needs_extra('export'):
            from ..export.precision import convert_precision
        with TemporaryDirectory() as folder:
            model = convert_precision(
                exact or _exported_model(source, Path(folder), config, size), out_dir, kind,
                () if calibration is None else spread_frames(calibration, calibration_frames),
                symmetric=symmetric or engine or bool(targets))
    info = model.info
    say(f'{model.path}: {info.model_id}, input {info.input_width}x{info.input_height}, '
        f'{info.onnx_bytes / 1e6:.1f} MB, weights {info.weights_licence}')
    if targets:
        from ..inference.backends.tensorrt_backend import export_engines

        with watched_build() as watch:
            engines = export_engines(model, targets, watch=watch)
        for stored in engines:
            say(f'{stored.path}: {len(stored.engine) / 1e6:.1f} MB')
    elif engine:
        build_here(model)


def _known_targets(text: str) -> tuple[str, ...]:
    """Check --target before the export."""
    from ..engines.build import require_target
    from ..engines.library import find_library

    targets = options.parse_list(text)
    if not targets:
        raise ConfigError('--target is empty; give a compute capability, such as sm_86')
    library = find_library('tensorrt_rtx')
    for target in targets:
        require_target(library, target)
    return targets


def _known_precision(precision: str, calibration: str | None, symmetric: bool) -> Precision:
    """Check --precision and the options that depend on it before the export."""
    known: dict[str, Precision] = {name: name for name in get_args(Precision)}
    if precision not in known:
        raise ConfigError(f'--precision is {precision!r}; choose {", ".join(known)}')
    if precision == 'int8' and calibration is None:
        raise ConfigError('--precision int8 needs --calibration SOURCE: pictures, a video or a '
                          'bag from the place of use')
    for option, given, allowed in (('--calibration', calibration is not None, ('int8', 'float16')),
                                   ('--symmetric', symmetric, ('int8',))):
        if given and precision not in allowed:
            raise ConfigError(f'{option} is for {" and ".join(allowed)}, but --precision is '
                              f'{precision}; leave it out')
    return known[precision]


def _exported_model(checkpoint: Path, out_dir: Path, config: Path | None,
                    size: str | None) -> ModelDirectory:
    with needs_extra('export'):
        from ..export.onnx_export import export_checkpoint
        from ..network.base import ModelDescription

    description = load_settings(ModelDescription, config) if config else ModelDescription()
    if size is not None:
        height, width = options.parse_size(size)
        values = {**description.model_dump(exclude_unset=True), 'height': height, 'width': width}
        description = parse_settings(ModelDescription, values, '--size')
    return export_checkpoint(checkpoint, out_dir, description)


def spread_frames(source: str, count: int) -> Iterator[Frame]:
    """
    Frames evenly spaced over a source; the first ones if its length is unknown.

    :param source: as for predict.
    """
    from ..io.cameras.camera_files import SIDECAR_NAMES
    from ..io.cameras.camera_options import DEFAULT_FOV_DEG
    from ..io.sources.open_source import open_source

    with open_source(source) as frames, frame_progress('calibration', count) as progress:
        step = max((frames.len_hint or 0) / count, 1.0)
        taken = 0
        for index, frame in enumerate(frames):
            if index < int((taken + 0.5) * step):
                continue
            if frame.intrinsics_source == 'default' and not taken:
                warn(f'{source}: the camera is not known: a horizontal field of view of '
                     f'{DEFAULT_FOV_DEG:g} degrees is assumed for calibration; give a '
                     f'{SIDECAR_NAMES[0]}')
            taken += 1
            progress.advance(progress.task_ids[0])
            yield frame
            if taken == count:
                return


def convert(
        context: typer.Context,
        checkpoint: Annotated[Path, typer.Argument(
            help='Checkpoint of the authors; doc/models.md lists those that are known.')],
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Model directory to write.')],
        size: Annotated[str | None, typer.Option(
            '--size', show_default='as published', help='Height x width of the network input.',
            )] = None,
        output_stride: Annotated[int, typer.Option(
            '--output-stride', help='Stride of the maps that the graph returns: 1, 2 or 4.')] = 2,
        max_things: Annotated[int | None, typer.Option(
            '--max-things', min=1, max=200, show_default='100 for PanopticDepth',
            help='Maximum number of things in a result.')] = None,
        deformable: Annotated[str | None, typer.Option(
            '--deformable', show_default='operator', help='PanopticDepth: operator, or '
            'grid_sample for runtimes without DeformConv.')] = None,
        changes: Annotated[list[str] | None, typer.Option(
            '--set', metavar='KEY=VALUE', help='Network setting in place of that of the '
            'checkpoint, as in camera=unknown.')] = None,
        weight_type: Annotated[str, typer.Option(
            '--weights', help='Type of the stored weights: float32 or float16.')] = 'float32',
        licence: Annotated[str, typer.Option(
            '--weights-licence', help='Licence of the checkpoint, for model.json.')] = 'unknown',
        ) -> None:
    """Convert a checkpoint of the authors of a paper to a model directory."""
    with needs_extra('export'):
        from ..export.onnx_export import convert_checkpoint

    settings: dict[str, Any] = {'deformable': deformable} if deformable else {}
    for change in changes or ():
        set_value(settings, change)
    context.with_resource(lock_folder(out_dir))
    say(f'Converting {checkpoint}: a minute or two ...')
    model = convert_checkpoint(
        checkpoint, out_dir, options.parse_size(size) if size else None, settings=settings,
        rules={'max_things': max_things} if max_things else {}, output_stride=output_stride,
        weight_type=weight_type, weights_licence=licence)
    info = model.info
    if 'depth' not in info.tasks:
        say('The checkpoint has no depth heads: labels only, every distance is NaN.')
    say(f'Model: {model.path} ({info.onnx_bytes / 1e6:.0f} MB); try: '
        f'panoptic-depth predict IMAGE -m {model.path} -o RESULTS --fx FX, with the focal length '
        'of your camera in px of IMAGE')
