# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of weights that are still being trained, through the pipeline that a robot runs."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..datasets import Dataset, open_dataset
from ..errors import BackendError, ConfigError
from ..evaluation.dataset.evaluate import EvaluationResult, evaluate, require_same_classes
from ..inference.pipeline import Pipeline
from ..io.visualization import Picture, picture_of_result
from ..model_directory import ModelDirectory
from ..network import Graph
from ..network.base import Model, describe
from ..network.torch_backend import TorchBackend
from .loading import spread
from .recipe import TrainSettings, ValidationSettings, expand

_log = logging.getLogger(__name__)

Metrics = dict[str, float]
"""Name -> share 0..1; without what the model does not do, or the labels cannot tell."""

SCORED = (('pq', 'miou'), ('delta1',))
"""What makes weights better than others: of each group the first metric that is known."""


@dataclass(frozen=True)
class Validation:
    """One validation."""

    by_data: dict[str, Metrics]  # By name:split; empty where the weights gave no result.
    picture: Picture | None  # (H, W, 3) uint8 RGB, the result of the first frame over it.

    @property
    def metric_values(self) -> Metrics:
        """Means over the data sets whose labels can tell, each counting the same."""
        names = dict.fromkeys(name for known in self.by_data.values() for name in known)
        return {name: float(np.mean([known[name] for known in self.by_data.values()
                                     if name in known])) for name in names}

    @property
    def score(self) -> float:
        """
        PQ plus delta1 (the share of pixels with a depth less than 25 % off), 0..2.

        Of a model without instances the mIoU takes the place of PQ; of one with a single task
        there is one of the two. NaN where the weights gave no result.
        """
        metric_values = self.metric_values
        found = [metric_values[known[0]] for group in SCORED
                 if (known := [name for name in group if name in metric_values])]
        return sum(found) if found else math.nan


class _InMemory(TorchBackend):
    """A network that was not exported."""

    def __init__(self, network: Graph, model: ModelDirectory, device: torch.device) -> None:
        self._prepare(network, model, str(device), 'eager')


class Validator:
    """
    Runs a network over the validation data of a recipe.

    :param network: not changed, in evaluation mode; each call evaluates its weights of that time.
    :raises ConfigError: for wrong data or a wrong description.
    """

    def __init__(self, settings: TrainSettings, validation: ValidationSettings,
                 network: Model, device: torch.device) -> None:
        described = validation.model
        network.configure({**settings.assembly, 'output_stride': described.output_stride},
                          settings.loss, 'recipe')
        # No file of it is read: the backend has the network.
        model = ModelDirectory(Path('in memory'), describe(network, described))
        self._pipeline = Pipeline(model, _InMemory(Graph(network).eval(), model, device))
        self._classes = network.classes
        self.every = validation.every
        self._data: dict[str, tuple[Dataset, list[int]]] = {}
        # Of other networks the depth itself is measured, not one that the ground has scaled.
        for data in validation.data:
            samples = open_dataset(data.name, expand(data.root), data.split, network.classes,
                                   mounting='data' if model.info.takes_mounting else None)
            label = f'{data.name}:{data.split}'
            if label in self._data:
                raise ConfigError(f'recipe: validation: {label} is there twice; leave one out')
            require_same_classes(network.classes, samples.classes, 'the network',
                                 f'data set {data.name}')
            self._data[label] = samples, spread(len(samples), data.limit)

    def __call__(self) -> Validation:
        """Evaluate the network; weights that give no result have no metrics."""
        samples, indices = next(iter(self._data.values()))
        first = samples[indices[0]].frame
        try:
            return Validation(
                {label: _metric_values(evaluate(self._pipeline, (samples[i] for i in indices),
                                          classes=samples.classes or self._classes))
                 for label, (samples, indices) in self._data.items()},
                picture_of_result(first, self._pipeline(first), self._classes))
        except BackendError as error:
            _log.warning('validation: no metrics: %s', error)
            return Validation({}, None)


def _metric_values(result: EvaluationResult) -> Metrics:
    depth = result.depth.per_image
    metric_values = {
        'pq': result.panoptic.all.pq, 'pq_things': result.panoptic.things.pq,
        'miou': result.semantic.mean, 'abs_rel': depth.abs_rel,
        # A pixel without a depth is not less than 25 % off.
        'delta1': depth.delta1 * (1.0 - depth.missing_share),
        'distance_rel': result.distance.all.median_rel}
    return {name: value for name, value in metric_values.items() if math.isfinite(value)}
