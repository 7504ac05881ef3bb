# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and what is read out of their texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import InferenceSettings, load_settings
from ..errors import ConfigError
from .console import build_progress

if TYPE_CHECKING:
    from ..inference.pipeline import Pipeline
    from ..model_directory import ModelDirectory
    from ..model_info import ModelInfo

Model = Annotated[Path | None, typer.Option(
    '--model', '-m', show_default='fast', help='Model directory, or the name of a shipped model.')]
Backend = Annotated[str, typer.Option(
    '--backend', help='Runtime: auto, onnxruntime, openvino, tensorrt or torch; with options as '
    'in openvino:precision=bfloat16.')]
Threads = Annotated[int | None, typer.Option(
    '--threads', show_default='the runtime decides', help='CPU threads of the runtime.')]
Fx = Annotated[float | None, typer.Option(
    '--fx', help='Focal length in px of the source, if it does not say.')]
Fov = Annotated[float | None, typer.Option(
    '--fov', help='Horizontal field of view in degrees, in place of --fx.')]
Camera = Annotated[Path | None, typer.Option(
    '--camera', help='camera.json with fx, fy, cx, cy, width, height, in place of --fx.')]
ImageTopic = Annotated[str | None, typer.Option(
    '--image-topic', help='Topic of the images, for a bag with several.')]
CameraInfoTopic = Annotated[str | None, typer.Option(
    '--camera-info-topic', help='Topic of the calibration, if not beside the images.')]
Settings = Annotated[Path | None, typer.Option(
    '--config', '-c', help='YAML with inference settings; see config/.')]

Changes = Annotated[list[str] | None, typer.Option(
    '--set', metavar='KEY=VALUE', show_default=False,
    help='Change the recipe, as in batch_size=32 or validation.every=200; as often as wanted.')]


def evaluation_settings(config: Path | None) -> InferenceSettings:
    """
    Inference settings for results that are compared with a truth at the size of the images.

    :param config: YAML; None: the defaults.
    :raises ConfigError: results of another size are asked for.
    """
    settings = load_settings(InferenceSettings, config) if config else InferenceSettings()
    if settings.output_size != 'input':
        raise ConfigError(f'{config}: output_size is {settings.output_size!r}, but the truth has '
                          "the size of the images; set it to 'input'")
    return settings


def require_instances(info: ModelInfo, remedy: str) -> None:
    """
    Refuse to track what is not told apart.

    :raises ConfigError: for a model without the task.
    """
    if 'instances' not in info.tasks:
        raise ConfigError(f'tracking needs a model with the task instances, but {info.model_id} '
                          f'has {", ".join(sorted(info.tasks))}; {remedy}')


def open_pipeline(model: ModelDirectory | Path | None, backend: str, settings: InferenceSettings,
                  threads: int | None) -> Pipeline:
    """Load a model into a runtime; an engine that has to be built shows its progress."""
    from ..inference.pipeline import Pipeline

    given = {} if threads is None else {'threads': threads}
    with build_progress() as watch:
        return Pipeline(model, backend, settings, watch, **given)


def parse_size(text: str) -> tuple[int, int]:
    """
    Read '512x1024' as height and width.

    :raises ConfigError: for anything else.
    """
    match = re.fullmatch(r'(\d+)x(\d+)', text.strip().lower())
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(size) < 1:
        raise ConfigError(f'size is {text!r}; give height x width in px, as in 512x1024')
    return size


def parse_list(text: str) -> tuple[str, ...]:
    """Read 'a,b' as its parts, without doubles, in their order."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(',') if part.strip()))


def missing_extra(error: ImportError, extra: str) -> ConfigError:
    """Say which extra has the module that could not be imported."""
    return ConfigError(f'{error.name or error} is not installed; '
                       f"install the extra: pip install 'panoptic-depth[{extra}]'")
