# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth export``: from a checkpoint to a model directory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from . import options
from .build_engine import build_here, watched_build
from .console import out
from .export_precision import check_precision, converted_model

if TYPE_CHECKING:
    from ..model_directory import ModelDirectory


def export(
        source: Annotated[Path, typer.Argument(
            metavar='CKPT_OR_MODEL_DIR', help='best.pt or model.pt of a training run, or a model '
            'directory, of which a copy is made.')],
        out_dir: Annotated[Path, typer.Option('--out', '-o', help='Model directory to make.')],
        config: Annotated[Path | None, typer.Option(
            '--config', '-c', help='YAML that describes the model: id, licence, data.')] = None,
        size: Annotated[str | None, typer.Option(
            '--size', help='Height x width of the network input in px.')] = None,
        precision: Annotated[str, typer.Option(
            '--precision', help='Arithmetic of the convolutions: float32, float16, bfloat16 or '
            'int8.')] = 'float32',
        calibration: Annotated[str | None, typer.Option(
            '--calibration', metavar='SOURCE', show_default=False, help='For int8: pictures, a '
            'video or a bag from where the model will work, with a camera.json if they do not '
            'say.')] = None,
        calibration_frames: Annotated[int, typer.Option(
            '--calibration-frames', min=1, help='Frames of it, spread evenly.')] = 32,
        symmetric: Annotated[bool, typer.Option(
            '--symmetric', help='For int8: the form that TensorRT takes; --engine and --target '
            'imply it.')] = False,
        engine: Annotated[bool, typer.Option(
            '--engine', help='Also build the TensorRT engine: for the GPU of this machine, into '
            'the cache of this user, or for each --target.')] = False,
        target: Annotated[str | None, typer.Option(
            '--target', show_default=False, help='Compute capabilities to build engines for ahead '
            'of time, such as sm_86,sm_120: into the model directory, with TensorRT for RTX and '
            'no GPU.')] = None) -> None:
    """Make a model directory of a checkpoint or of another one, and test it."""
    targets = () if target is None else _known_targets(target)
    kind = check_precision(precision, calibration, symmetric)
    if kind == 'float32':
        model = (_copied_model(source, out_dir, config, size) if source.is_dir()
                 else _exported_model(source, out_dir, config, size))
    else:
        with TemporaryDirectory() as folder:
            exact = (_opened_model(source, config, size) if source.is_dir()
                     else _exported_model(source, Path(folder), config, size))
            model = converted_model(exact, out_dir, kind, calibration, calibration_frames,
                                    symmetric or engine or bool(targets))
    info = model.info
    out().print(f'{model.path}: {info.model_id}, input {info.input_width}x{info.input_height}, '
                f'{info.onnx_bytes / 1e6:.1f} MB, weights {info.weights_licence}',
                highlight=False, markup=False)
    if targets:
        _build_ahead_of_time(model, targets)
    elif engine:
        build_here(model)


def _known_targets(text: str) -> tuple[str, ...]:
    """Read --target, before an export that takes its time."""
    from ..engines.build import require_target
    from ..engines.library import find_library

    targets = options.parse_list(text)
    if not targets:
        raise ConfigError('--target is empty; give a compute capability, such as sm_86')
    library = find_library('tensorrt_rtx')
    for target in targets:
        require_target(library, target)
    return targets


def _build_ahead_of_time(model: ModelDirectory, targets: tuple[str, ...]) -> None:
    from ..export.tensorrt_engine import export_engines

    with watched_build() as watch:
        engines = export_engines(model, targets, watch=watch)
    for stored in engines:
        out().print(f'{stored.path}: {len(stored.engine) / 1e6:.1f} MB', highlight=False,
                    markup=False)


def _copied_model(source: Path, out_dir: Path, config: Path | None,
                  size: str | None) -> ModelDirectory:
    """Copy of a model directory; the directory itself where that is where it is to be."""
    from ..export.model_copy import copy_model

    return copy_model(_opened_model(source, config, size), out_dir)


def _opened_model(source: Path, config: Path | None, size: str | None) -> ModelDirectory:
    """Model of a directory, which is as it is."""
    from ..model_directory import ModelDirectory

    for option, value in (('--config', config), ('--size', size)):
        if value is not None:
            raise ConfigError(f'{option} is {value}, but {source} is a model directory, whose '
                              'graph has both; export the checkpoint to change them')
    return ModelDirectory.load(source)


def _exported_model(checkpoint: Path, out_dir: Path, config: Path | None,
                    size: str | None) -> ModelDirectory:
    """Model directory of a checkpoint."""
    from ..config import load_settings, parse_settings
    try:
        from ..export.onnx_export import export_checkpoint
        from ..network.description import ModelDescription
    except ModuleNotFoundError as error:
        raise options.missing_extra(error, 'export') from None

    description = load_settings(ModelDescription, config) if config else ModelDescription()
    if size is not None:
        height, width = options.parse_size(size)
        values = {**description.model_dump(exclude_unset=True), 'height': height, 'width': width}
        description = parse_settings(ModelDescription, values, '--size')
    return export_checkpoint(checkpoint, out_dir, description)
