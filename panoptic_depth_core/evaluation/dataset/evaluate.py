# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
All metrics of a pipeline on a data set, each on the frames whose labels can judge it.

Panoptic quality takes things of a frame's instance classes, and stuff where there are semantics
too; other thing pixels are crowd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...class_tables import class_names, classes_differ
from ...contract import TASKS, Task
from ...errors import ConfigError
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, GroundTruth, PanopticDepth, Sample
from ..metrics.base import Metric, MetricSums
from ..metrics.frame import JudgedFrame, Rules
from ..metrics.table import METRICS
from ..settings import EvaluationSettings


@dataclass(frozen=True)
class FrameCounts:
    """How many frames each group of metrics comes from."""

    all: int = 0
    semantics: int = 0
    instances: int = 0
    depth: int = 0
    distance: int = 0
    depth_aware: int = 0


@dataclass(frozen=True)
class EvaluationResult:
    """
    All metrics of one pipeline on one data set.

    The result of a metric is an attribute by its name in METRICS, as in ``result.depth``.

    :param metrics: finished, by name.
    :param tasks: that any of the results holds.
    """

    frames: FrameCounts
    metrics: Mapping[str, Metric[Any]]
    tasks: frozenset[Task]
    classes: tuple[ClassInfo, ...]
    settings: EvaluationSettings

    def __getattr__(self, name: str) -> Any:
        found = vars(self).get('metrics', {}).get(name)
        if found is None:
            raise AttributeError(f'no metric is called {name!r}')
        return found.found

    @classmethod
    def of(cls, sums: MetricSums, finished: Mapping[str, Metric[Any]]) -> EvaluationResult:
        """
        Take the metrics of data sets out of some sums.

        :param finished: by ``sums``.
        """
        own = {metric.name: finished[metric.name] for metric in dataset_metrics()}
        counts = {metric.counted: metric.frames for metric in own.values() if metric.counted}
        return cls(FrameCounts(all=sums.frames, **counts), own,
                   sums.tasks if sums.frames else TASKS, sums.rules.classes, sums.rules.settings)

    @property
    def values(self) -> dict[str, float]:
        """Every metric that was measured by its name, such as 'panoptic.pq'; NaN if not known."""
        return {metric_value.name: metric_value.value for metric in self.metrics.values()
                for metric_value in metric.metric_values().values()}

    @property
    def instances(self) -> int:
        """Truth instances that the panoptic quality counts."""
        found: int = self.metrics['panoptic'].sections()['instances']
        return found


def dataset_metrics() -> list[type[Metric[Any]]]:
    """METRICS that a data set can have."""
    return [metric for metric in METRICS.values() if not metric.recordings_only]


class Evaluator(MetricSums):
    """
    Takes results one by one; evaluators of parts of a data set can be merged, in its order.

    :param classes: the table of truth and prediction; a class id is a row of it.
    :param more: metrics beside those that every data set has.
    """

    def __init__(self, settings: EvaluationSettings | None = None,
                 classes: Sequence[ClassInfo] = CITYSCAPES,
                 more: Iterable[type[Metric[Any]]] = ()) -> None:
        super().__init__(Rules(settings or EvaluationSettings(), tuple(classes)),
                         [*dataset_metrics(), *more])

    def add(self, truth: GroundTruth, predicted: PanopticDepth, sequence: str = '') -> None:
        """
        Add one frame: the next of its sequence, or the first of another one.

        :param sequence: see Sample.sequence.
        :raises ValueError: when truth and prediction differ in size, or a class is not in the
            table; the message names the frame.
        :raises ConfigError: when the protocol is for other sizes; so does this one.
        """
        frame = JudgedFrame(truth, predicted, self.rules, sequence)
        try:
            for metric in self.metrics.values():
                metric.add(frame)
        except ValueError as error:
            kind = ConfigError if isinstance(error, ConfigError) else ValueError
            raise kind(f'frame {predicted.name!r}: {error}') from error
        self.frames += 1
        self.tasks |= predicted.tasks

    def result(self) -> EvaluationResult:
        """All metrics of the frames so far."""
        return EvaluationResult.of(self, self.finished())


def require_same_classes(model: Sequence[ClassInfo], data: Sequence[ClassInfo],
                         model_name: str, data_name: str) -> None:
    """
    Check that class ids mean the same in a prediction and in the truth.

    :param model: empty for one without classes, which fits any data.
    :param data: empty for those of depth alone, which fit any model.
    :raises ConfigError: when names, their order or things differ.
    """
    if classes_differ(model, data):
        raise ConfigError(
            f'{model_name} has other classes than {data_name}: {class_names(model)}; not '
            f'{class_names(data)}; evaluate it on a data set with its classes, in their order')


def evaluate(pipeline: Callable[[Frame], PanopticDepth], samples: Iterable[Sample],
             settings: EvaluationSettings | None = None,
             classes: Sequence[ClassInfo] = CITYSCAPES,
             progress: Callable[[int, str], None] | None = None) -> EvaluationResult:
    """
    Run a pipeline over samples and measure what it returns.

    :param progress: called after every frame with the number of frames done and its name.
    :raises ValueError: see Evaluator.add. What the pipeline raises goes through.
    """
    evaluator = Evaluator(settings, classes)
    for done, sample in enumerate(samples, 1):
        evaluator.add(sample.truth, pipeline(sample.frame), sample.sequence)
        if progress is not None:
            progress(done, sample.frame.name)
    return evaluator.result()
