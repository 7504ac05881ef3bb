# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
All metrics of a pipeline on a data set, each on the frames whose labels can judge it.

Which truth and which tasks a metric needs, it says itself, see ``metrics``. Panoptic quality takes
things of a frame's instance classes, and stuff where there are semantics too; other thing pixels
are crowd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...class_tables import class_names, classes_differ
from ...contract import TASKS, Task
from ...errors import ConfigError
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, GroundTruth, PanopticDepth, Sample
from ..metrics import METRICS
from ..metrics.base import Metric
from ..metrics.frame import JudgedFrame, Rules
from ..settings import EvaluationSettings


@dataclass(frozen=True)
class FrameCounts:
    """How many frames each group of figures comes from."""

    all: int = 0
    semantics: int = 0
    instances: int = 0
    depth: int = 0
    distance: int = 0
    depth_aware: int = 0


@dataclass(frozen=True)
class EvaluationResult:
    """
    All figures of one pipeline on one data set.

    What a metric found in detail is an attribute by its name in METRICS, as in ``result.depth``.

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
    def of(cls, metrics: Mapping[str, Metric[Any]], frames: int, tasks: frozenset[Task],
           rules: Rules) -> EvaluationResult:
        """
        Put the entries of METRICS together.

        :param metrics: finished; those of other tables are left out.
        :param frames: of all kinds.
        """
        own = {name: metrics[name] for name in METRICS}
        counts = {metric.counted: metric.frames for metric in own.values() if metric.counted}
        return cls(FrameCounts(all=frames, **counts), own, tasks if frames else TASKS,
                   rules.classes, rules.settings)

    @property
    def values(self) -> dict[str, float]:
        """Every figure that was measured by its name, such as 'panoptic.pq'; NaN if not known."""
        return {figure.name: figure.value for metric in self.metrics.values()
                for figure in metric.figures().values()}

    @property
    def instances(self) -> int:
        """Truth instances that the panoptic quality counts."""
        found: int = self.metrics['panoptic'].sections()['instances']
        return found


class Evaluator:
    """
    Takes results one by one; evaluators of parts of a data set can be merged, in its order.

    :param classes: the table of truth and prediction; a class id is a row of it.
    :param compact: for results without end: a frame leaves 80 bytes, and not 6 kB; but parts add
        up but for the rounding of sums.
    """

    def __init__(self, settings: EvaluationSettings | None = None,
                 classes: Sequence[ClassInfo] = CITYSCAPES, *, compact: bool = False) -> None:
        self._rules = Rules(settings or EvaluationSettings(), tuple(classes), compact)
        self._metrics = {name: metric(self._rules) for name, metric in METRICS.items()}
        self._frames = 0
        self._tasks: frozenset[Task] = frozenset()

    @property
    def settings(self) -> EvaluationSettings:
        """Conventions of the figures."""
        return self._rules.settings

    def add(self, truth: GroundTruth, predicted: PanopticDepth, sequence: str = '') -> None:
        """
        Add one frame: the next of its sequence, or the first of another one.

        :param sequence: see Sample.sequence.
        :raises ValueError: when truth and prediction differ in size, or a class is not in the
            table; the message names the frame.
        """
        frame = JudgedFrame(truth, predicted, self._rules, sequence)
        try:
            for metric in self._metrics.values():
                metric.add(frame)
        except ValueError as error:
            raise ValueError(f'frame {predicted.name!r}: {error}') from error
        self._frames += 1
        self._tasks |= predicted.tasks

    def merge(self, other: Evaluator) -> None:
        """
        Add the frames of another evaluator: for the windows of DVPQ, the part that follows.

        A sequence may go on from one part to the next.

        :raises ValueError: when it has other settings or classes.
        """
        if replace(self._rules, compact=False) != replace(other._rules, compact=False):
            raise ValueError('evaluators have different settings or classes; '
                             'give the parts of a data set the same ones')
        for name, metric in self._metrics.items():
            metric.merge(other._metrics[name])
        self._frames += other._frames
        self._tasks |= other._tasks

    def result(self) -> EvaluationResult:
        """All figures of the frames so far."""
        return EvaluationResult.of({name: metric.finished() for name, metric in
                                    self._metrics.items()}, self._frames, self._tasks,
                                   self._rules)


def require_same_classes(model: Sequence[ClassInfo], data: Sequence[ClassInfo],
                         model_name: str, data_name: str) -> None:
    """
    Check that class ids mean the same in a prediction and in the truth.

    :param model: empty for one without classes, which fits any data.
    :param data: empty for those of depth alone, which fit any model.
    :raises ConfigError: when names, their order or what is a thing differ.
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
