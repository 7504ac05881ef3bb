# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Base of the models with dynamic kernels: their targets, losses and assembly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from torch import Tensor

from ...contract import OUTPUTS, output_names
from ...labels import thing_classes
from ...structures import Sample
from ..dense import BalancedModel
from .assembly import AssemblySettings, assemble
from .kernels import KernelOutput
from .losses import LossSettings, panoptic_depth_loss
from .targets import Batch, collate


class DynamicKernelModel(BalancedModel):
    """A network that gives a KernelOutput."""

    loss_type: ClassVar[type[LossSettings]] = LossSettings
    loss: LossSettings
    rules = AssemblySettings()

    @property
    def thing_classes(self) -> tuple[int, ...]:
        """Class ids of its center maps."""
        return thing_classes(self.classes)

    def assemble(self, output: KernelOutput, thresholds: Tensor) -> dict[str, Tensor]:
        assert isinstance(self.rules, AssemblySettings)
        made = dict(zip(OUTPUTS, assemble(output, thresholds, self.rules), strict=True))
        return {name: made[name] for name in output_names(self.tasks)}

    def targets(self) -> Callable[[Sequence[Sample]], Batch]:
        return partial(collate, settings=self.loss.targets, classes=self.classes,
                       extra=self.extra_inputs)

    def losses(self, output: KernelOutput, batch: Batch, seeds: Sequence[int] | None = None,
               ) -> dict[str, Tensor]:
        road = next((c.class_id for c in self.classes if c.name == 'road'), None)
        return panoptic_depth_loss(output, batch, self.loss, self.class_weights, seeds, road)
