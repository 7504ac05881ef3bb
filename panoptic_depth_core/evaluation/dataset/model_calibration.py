# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Fit a temperature, and store it in model.json, where every runtime reads it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace

from ...config import parse_settings
from ...errors import ConfigError
from ...files import disk_errors
from ...model_directory import ModelDirectory, write_model_info
from ...model_info import INFO_NAME, LogDepthCalibration, ModelInfo
from ...structures import Frame, PanopticDepth, Sample
from ..metrics.calibration import ONE_SIGMA, TWO_SIGMA, CalibrationMetric, TemperatureFit

_MOST = 100.0
"""Errors so many times greater or smaller than expected are not a question of calibration."""

_SIGNATURES = {'.asc', '.minisig', '.p7s', '.sig', '.sigstore'}


def calibrate(pipeline: Callable[[Frame], PanopticDepth], samples: Iterable[Sample],
              progress: Callable[[int, str], None] | None = None) -> CalibrationMetric:
    """
    Run a pipeline over the samples that have a true depth, and count its errors.

    :param progress: called after every sample with the number of those done and its name.
    """
    calibration = CalibrationMetric()
    for done, sample in enumerate(samples, 1):
        if sample.truth.depth is not None:
            found = pipeline(sample.frame)
            calibration.count(found.depth, sample.truth.depth, found.panoptic, found.segments,
                              sample.sequence)
        if progress is not None:
            progress(done, sample.frame.name)
    return calibration


def uncalibrated(model: ModelDirectory) -> ModelDirectory:
    """A model with a temperature of 1, in memory: a new fit does not build on an old one."""
    return replace(model, info=model.info.model_copy(update={
        'log_depth_temperature': 1.0, 'unknown_mounting_log_error': 0.0}))


def require_writable(model: ModelDirectory) -> None:
    """
    Check, before the work is done, that a temperature can be stored.

    :raises ConfigError: when files cannot be made in the directory, or one is a signature of it.
    """
    with disk_errors(model.path):
        signature = next((file for file in sorted(model.path.iterdir())
                          if _SIGNATURES.intersection(file.suffixes)), None)
        if signature is None:
            with tempfile.TemporaryFile(dir=model.path):
                return
    raise ConfigError(f'{model.path}: {signature.name} is a signature, and a new temperature '
                      f'changes {INFO_NAME}; calibrate a copy without it, and sign that')


def require_plausible(fit: TemperatureFit, model: ModelDirectory) -> None:
    """
    Refuse a fit without meaning.

    :raises ConfigError: when there were no pixels, or the errors have another cause.
    """
    if math.isnan(fit.temperature):
        raise ConfigError(
            f'{model.info.model_id}: no pixel with a true depth and an expected error; give '
            'frames with depth, and a model that says how uncertain its depth is')
    if not 1.0 / _MOST < fit.temperature < _MOST:
        raise ConfigError(
            f'{model.info.model_id}: errors of depth are {fit.temperature:.3g} times what the '
            'model expects, which no calibration mends; check units and intrinsics of the data')


def store_temperature(model: ModelDirectory, fit: TemperatureFit, data: str) -> ModelDirectory:
    """
    Write a temperature into model.json, in place of the one there; nothing else changes.

    :param fit: made on the uncalibrated model; data: what it was made on.
    :returns: the directory, loaded again.
    :raises ConfigError: when model.json is no longer as it was loaded, or cannot be written; it
        then stays as it is. See also require_writable and require_plausible.
    """
    require_plausible(fit, model)
    require_writable(model)
    if ModelDirectory.load(model.path).info != model.info:
        raise ConfigError(f'{model.path}: {INFO_NAME} has changed since it was read; '
                          'calibrate the new one')
    known = LogDepthCalibration(
        data=data, frames=fit.frames, coverage_68=_share(fit.left_out[ONE_SIGMA]),
        coverage_95=_share(fit.left_out[TWO_SIGMA]))
    info = parse_settings(ModelInfo, {
        **model.info.model_dump(), 'log_depth_temperature': float(f'{fit.temperature:.4g}'),
        'log_depth_calibration': known}, str(model.path / INFO_NAME))
    write_model_info(model.path, info)
    return ModelDirectory.load(model.path)


def _share(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
