# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and helpers to read them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..config import InferenceSettings, load_settings
from ..errors import ConfigError
from .console import build_progress, out, warn

if TYPE_CHECKING:
    from ..inference.pipeline import Pipeline
    from ..io.sources.mounting import MountingSettings
    from ..model_directory import ModelDirectory
    from ..model_info import ModelInfo

Model = Annotated[Path | None, typer.Option(
    '--model', '-m', show_default='fast', help='Model directory, or name of a shipped model.')]
Backend = Annotated[str, typer.Option(
    '--backend', help='Runtime: auto, onnxruntime, openvino, tensorrt or torch; with options as '
    'in openvino:precision=bfloat16.')]
Threads = Annotated[int | None, typer.Option(
    '--threads', show_default='set by the runtime', help='CPU threads of the runtime.')]
Fx = Annotated[float | None, typer.Option(
    '--fx', help='Focal length in px, for sources without a camera.')]
Fov = Annotated[float | None, typer.Option(
    '--fov', help='Horizontal field of view in degrees, instead of --fx.')]
Camera = Annotated[Path | None, typer.Option(
    '--camera', help='Camera file instead of --fx: camera.json, YAML of camera_calibration, or '
    'camchain.yaml#cam0 of Kalibr.')]
CameraHeight = Annotated[float | None, typer.Option(
    '--camera-height', help='Height of the camera above the ground in meters.')]
CameraPitch = Annotated[float | None, typer.Option(
    '--camera-pitch', help='Degrees by which the camera looks down.')]
CameraRoll = Annotated[float | None, typer.Option(
    '--camera-roll', help='Degrees by which the right side of the camera is low.')]
Mounting = Annotated[Path | None, typer.Option(
    '--mounting', help='YAML with height, pitch and roll of the camera, as calibrate-mounting '
    'writes it, instead of --camera-height.')]
GroundFrame = Annotated[str | None, typer.Option(
    '--ground-frame', show_default='base_footprint, where tf has it', help='Frame of the tf of a '
    'bag that stands on the ground, z up.')]
GroundOffset = Annotated[float | None, typer.Option(
    '--ground-offset', help='Height of the origin of --ground-frame above the ground in meters, '
    'such as the radius of the wheels for base_link.')]
CameraInfoUse = Annotated[Literal['auto', 'k', 'p'], typer.Option(
    '--camera-info-use', help='Matrix of CameraInfo: auto takes P for topics that are called '
    'rectified, else K with the lens.')]
ImageTopic = Annotated[str | None, typer.Option(
    '--image-topic', help='Image topic, for bags with several.')]
CameraInfoTopic = Annotated[str | None, typer.Option(
    '--camera-info-topic', help='CameraInfo topic, if it is not found by the image topic.')]
MeasuredScale = Annotated[float, typer.Option(
    '--measured-depth-scale', min=1e-6, help='Whole numbers per meter in depth pictures: 1000 for '
    'millimeters, 256 for KITTI.')]
Bits = Annotated[int, typer.Option(
    '--bits', show_default='found out', help='Bits that pictures of 16 bits use, such as 12; '
    'by default those in use over the source.')]
Recursive = Annotated[bool, typer.Option(
    '--recursive', help='Also read the pictures in folders of the folder.')]
Settings = Annotated[Path | None, typer.Option(
    '--config', '-c', help='YAML with inference settings; see config/.')]
Changes = Annotated[list[str] | None, typer.Option(
    '--set', metavar='KEY=VALUE', show_default=False,
    help='Change the recipe, as in batch_size=32 or validation.every=200; can be repeated.')]
Root = Annotated[str, typer.Argument(
    help='Folder of the data set; for synthetic the number of scenes.')]
Dataset = Annotated[str, typer.Option(
    '--dataset', '-d', help='Name of the data set, such as cityscapes_dvps.')]
Split = Annotated[str, typer.Option('--split', help='Split of the data set.')]
Limit = Annotated[int | None, typer.Option(
    '--limit', min=1, help='Stop after this many frames.')]
MaxSkipped = Annotated[float, typer.Option(
    '--max-skipped', min=0.0, max=1.0, help='Share of the frames that may be skipped or missing; '
    'with more of them the exit code is 1.')]

EXIT_INCOMPLETE = 1
"""Part of the input is not in the results."""


def inference_settings(config: Path | None) -> InferenceSettings:
    """Settings of a YAML file, or the defaults."""
    return load_settings(InferenceSettings, config) if config else InferenceSettings()


def evaluation_settings(config: Path | None) -> InferenceSettings:
    """Inference settings whose results have the size of the images, as the truth has."""
    settings = inference_settings(config)
    if settings.output_size != 'input':
        raise ConfigError(f'{config}: output_size is {settings.output_size!r}, but the truth has '
                          "the size of the images; set it to 'input'")
    if settings.rectified:
        raise ConfigError(f'{config}: rectified is true, but the truth has the pixels of the '
                          'images; set it to false')
    return settings


def mounting_settings(height_m: float | None, pitch_deg: float | None, roll_deg: float | None,
                      file: Path | None = None, ground_frame: str | None = None,
                      ground_offset_m: float | None = None) -> MountingSettings | None:
    """
    Mounting of the camera from the options; None where none is given.

    :raises ConfigError: options that contradict each other, a value that is out of range.
    """
    from ..config import parse_settings
    from ..io.sources.mounting import MountingSettings, read_mounting

    given, names = {}, []
    for option, name, value in (
            ('--camera-height', 'height_m', height_m), ('--camera-pitch', 'pitch_deg', pitch_deg),
            ('--camera-roll', 'roll_deg', roll_deg), ('--ground-frame', 'ground_frame',
                                                      ground_frame),
            ('--ground-offset', 'ground_offset_m', ground_offset_m)):
        if value is not None:
            given[name] = value
            names.append(option)
    title = ', '.join(names)
    if file is not None:
        if given:
            raise ConfigError(f'--mounting is {file}, but {title} is given too; give one of them')
        return read_mounting(file)
    if not given:
        return None
    if ground_offset_m is not None and ground_frame is None:
        raise ConfigError(f'--ground-offset is {ground_offset_m}, but of which frame is not said; '
                          'give --ground-frame')
    if height_m is None and ground_frame is None:
        raise ConfigError(f'{title} is given without the height of the camera; give '
                          '--camera-height')
    check_height(height_m)
    return parse_settings(MountingSettings, given, title)


def check_height(height_m: float | None) -> None:
    """
    Check --camera-height.

    :raises ConfigError: it is no height.
    """
    if height_m is not None and not 0 < height_m < math.inf:
        raise ConfigError(f'--camera-height is {height_m}; give meters above the ground, > 0')


def with_tracking(settings: InferenceSettings, enabled: bool) -> InferenceSettings:
    """Turn tracking on or off."""
    return settings.model_copy(update={
        'tracking': settings.tracking.model_copy(update={'enabled': enabled})})


def require_instances(info: ModelInfo, remedy: str) -> None:
    """Refuse to track with a model that has no instances."""
    if 'instances' not in info.tasks:
        raise ConfigError(f'tracking needs a model with the task instances, but {info.model_id} '
                          f'has {", ".join(sorted(info.tasks))}; {remedy}')


def open_pipeline(model: ModelDirectory | Path | None, backend: str, settings: InferenceSettings,
                  threads: int | None) -> Pipeline:
    """Load a model; show the progress if an engine is built."""
    from ..inference.pipeline import Pipeline

    given = {} if threads is None else {'threads': threads}
    with build_progress() as watch:
        return Pipeline(model, backend, settings, watch, **given)


def parse_size(text: str) -> tuple[int, int]:
    """Parse '512x1024' as height and width."""
    match = re.fullmatch(r'(\d+)x(\d+)', text.strip().lower())
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(size) < 1:
        raise ConfigError(f'size is {text!r}; give height x width in px, as in 512x1024')
    return size


def parse_list(text: str) -> tuple[str, ...]:
    """Split 'a,b' at commas, without duplicates, in order."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(',') if part.strip()))


def missing_extra(error: ImportError, extra: str) -> ConfigError:
    """Error that names the extra of a module that cannot be imported."""
    return ConfigError(f'{error.name or error} is not installed; '
                       f"install the extra: pip install 'panoptic-depth[{extra}]'")


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Name the extra if a module that is imported inside is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error, extra) from None


def incomplete(lost: int, kept: int, ended_early: str, max_skipped: float,
               title: str = '') -> int:
    """
    Say why a run is not complete, and return its exit code.

    :param lost, kept: frames. :param ended_early: see FrameSource.
    """
    share = lost / max(lost + kept, 1)
    if ended_early:
        warn(f'{title}the source ended early: {ended_early}')
    if share > max_skipped:
        warn(f'{title}{lost} of {lost + kept} frames are skipped or missing, '
             f'{100 * share:.1f} %; more than --max-skipped, which is {max_skipped:g}')
    if not ended_early and share <= max_skipped:
        return 0
    say(f'{title}{kept} frames are kept; the same command goes on from there')
    return EXIT_INCOMPLETE


def end(code: int) -> None:
    """End a command with an exit code, if it is not 0."""
    if code:
        raise typer.Exit(code)


def say(text: str) -> None:
    """Print a line on standard output, without markup."""
    out().print(text, highlight=False, markup=False)
