# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of weights that are still being trained, through the pipeline that a robot runs."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import BackendError
from ..evaluation.evaluate import EvaluationResult, evaluate, require_same_classes
from ..inference.backends.torch_backend import TorchBackend
from ..inference.pipeline import Pipeline
from ..io.visualization import Picture, overlay
from ..model_directory import ModelDirectory
from ..network import PanopticDepthModel, assembly_of
from ..network.base import PanopticNetwork
from ..network.description import describe
from .datasets import open_dataset
from .samples import expand
from .settings import TrainSettings, ValidationSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validation:
    """
    One validation.

    :param figures: shares 0..1; what the labels cannot tell is NaN.
    :param picture: (H, W, 3) uint8 RGB, the result of the first frame over it.
    """

    figures: dict[str, float]
    picture: Picture | None

    @property
    def score(self) -> float:
        """
        PQ plus delta1 (the share of pixels with a depth less than 25 % off), 0..2.

        What the labels cannot tell counts 0; NaN where the weights gave no result.
        """
        if not self.figures:
            return math.nan
        return float(np.nan_to_num(self.figures['pq']) + np.nan_to_num(self.figures['delta1']))


class _InMemory(TorchBackend):
    """A network that was not exported."""

    def __init__(self, network: PanopticDepthModel, model: ModelDirectory,
                 device: torch.device) -> None:
        self._network, self._model, self._device = network, model, str(device)


class Validator:
    """
    Runs a network over the validation data of a recipe.

    :param network: in the state of each call; stays as it is, in evaluation mode.
    :raises ConfigError: for wrong data or a wrong description.
    """

    def __init__(self, settings: TrainSettings, validation: ValidationSettings,
                 network: PanopticNetwork, device: torch.device) -> None:
        described = validation.model
        assembly = assembly_of(network, {
            **settings.assembly, 'output_stride': described.output_stride}, 'recipe: assembly')
        # No file of it is read: the backend has the network.
        model = ModelDirectory(Path('in memory'), describe(
            network, settings.network, assembly, described))
        self._pipeline = Pipeline(model, _InMemory(
            PanopticDepthModel(network, assembly).eval(), model, device))
        samples = open_dataset(validation.data, expand(validation.root), validation.split)
        require_same_classes(model.info.class_infos(), samples.classes, 'the network',
                             f'data set {validation.data}')
        number = min(len(samples), validation.limit or len(samples))
        self.every = validation.every
        self._samples = samples
        self._chosen = np.linspace(0, len(samples) - 1, number).round().astype(int).tolist()

    def __call__(self) -> Validation:
        """Measure the network as it is now; weights that give no result have no figures."""
        try:
            result = evaluate(self._pipeline, (self._samples[i] for i in self._chosen))
            frame = self._samples[self._chosen[0]].frame
            return Validation(_figures(result), overlay(frame.image, self._pipeline(frame)))
        except BackendError as error:
            _log.warning('validation: no figures: %s', error)
            return Validation({}, None)


def _figures(result: EvaluationResult) -> dict[str, float]:
    depth = result.depth.per_image
    return {'pq': result.panoptic.all.pq, 'pq_things': result.panoptic.things.pq,
            'miou': result.semantic.mean, 'abs_rel': depth.abs_rel,
            # A pixel without a depth is not less than 25 % off.
            'delta1': depth.delta1 * (1.0 - depth.missing_share),
            'distance_rel': result.distance.all.median_rel}
