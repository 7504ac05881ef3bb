# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Base of the models with dynamic kernels: their targets, losses and assembly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from ...config import Settings
from ...contract import OUTPUTS, output_names
from ...labels import thing_classes
from ...structures import Sample
from ..base import Model
from ..dense import class_weights
from .assembly import AssemblySettings, assemble
from .kernels import KernelOutput
from .losses import LossSettings, panoptic_depth_loss
from .targets import Batch, collate


class DynamicKernelModel(Model):
    """A network that gives a KernelOutput."""

    loss_type: ClassVar[type[LossSettings]] = LossSettings
    loss: LossSettings
    rules = AssemblySettings()

    def __init__(self, settings: Settings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__(settings, backbone_weights)
        # For the semantic loss; not a buffer, as it is no part of the network.
        self.class_weights: Tensor | None = None

    @property
    def thing_classes(self) -> tuple[int, ...]:
        """Class ids of its center maps."""
        return thing_classes(self.classes)

    def assemble(self, output: KernelOutput, thresholds: Tensor) -> dict[str, Tensor]:
        assert isinstance(self.rules, AssemblySettings)
        made = dict(zip(OUTPUTS, assemble(output, thresholds, self.rules), strict=True))
        return {name: made[name] for name in output_names(self.tasks)}

    def targets(self) -> Callable[[Sequence[Sample]], Batch]:
        return partial(collate, settings=self.loss.targets, classes=self.classes)

    def prepare_losses(self, samples: Iterable[Sample]) -> None:
        """Weigh the classes by how frequent they are."""
        weights = class_weights(samples, len(self.classes), self.loss.class_balance)
        self.class_weights = weights.to(next(self.parameters()).device)

    def losses(self, output: KernelOutput, batch: Batch, seeds: Sequence[int] | None = None,
               ) -> dict[str, Tensor]:
        return panoptic_depth_loss(output, batch, self.loss, self.class_weights, seeds)
