# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth export --precision``: the model in another precision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ..errors import ConfigError
from ..model_info import LowPrecision, Precision
from . import options
from .console import frame_progress, warn

if TYPE_CHECKING:
    from ..model_directory import ModelDirectory
    from ..structures import Frame


def check_precision(precision: str, calibration: str | None, symmetric: bool) -> Precision:
    """
    Refuse what does not go together, before an export that takes its time.

    :raises ConfigError: for an unknown precision, or options that it does not have.
    """
    known: dict[str, Precision] = {name: name for name in get_args(Precision)}
    if precision not in known:
        raise ConfigError(f'--precision is {precision!r}; choose {", ".join(known)}')
    if precision == 'int8' and calibration is None:
        raise ConfigError('--precision int8 needs --calibration SOURCE: pictures, a video or a '
                          'bag from where the model will work')
    if precision not in ('int8', 'float16') and calibration is not None:
        raise ConfigError(f'--calibration is for int8 and float16, but --precision is '
                          f'{precision}; leave it out')
    if precision != 'int8' and symmetric:
        raise ConfigError(f'--symmetric is for int8, but --precision is {precision}; '
                          'leave it out')
    return known[precision]


def converted_model(model: ModelDirectory, out_dir: Path, precision: LowPrecision,
                    calibration: str | None, frames: int, symmetric: bool) -> ModelDirectory:
    """Convert a float32 model; see export.precision.convert_precision."""
    try:
        from ..export.precision import convert_precision
    except ModuleNotFoundError as error:
        raise options.missing_extra(error, 'export') from None
    given = () if calibration is None else spread_frames(calibration, frames)
    return convert_precision(model, out_dir, precision, given, symmetric=symmetric)


def spread_frames(source: str, count: int) -> Iterator[Frame]:
    """
    Frames spread evenly over a source; of one that does not know how many it has, the first.

    :param source: anything that predict takes.
    """
    from ..io.sources.camera import DEFAULT_FOV_DEG, SIDECAR_NAME
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
                     f'{SIDECAR_NAME}')
            taken += 1
            progress.advance(progress.task_ids[0])
            yield frame
            if taken == count:
                return
