# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The models in torch: one class and one line in MODELS each.

base.Model says what a model is; several of them share backbones, layers and dynamic_kernels.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..config import Settings, parse_settings
from ..contract import output_names
from ..errors import ConfigError
from .base import Model
from .weights import read_state_dict

MODELS: dict[str, str] = {
    'fast': '.camera_aware:FastNetwork',
    'accurate': '.camera_aware:AccurateNetwork',
    'published': '.panoptic_depth.network:PublishedNetwork',
    'depthlab': '.depthlab.network:DepthLabNetwork',
    'sosd': '.sosd.network:SosdNetwork',
    'lapdepth': '.lapdepth.network:LapDepth',
}
"""Name -> module (relative to this package) and class, imported on demand."""


class Graph(nn.Module):
    """What is exported: a model and its rules, from the inputs to the outputs of contract.py."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        # The attribute's name is part of the weights' names in exported graphs.
        self.network: Any = model
        self.output_names = output_names(model.tasks)
        self._extra = tuple(extra.name for extra in model.extra_inputs)

    def forward(self, image: Tensor, intrinsics: Tensor, thresholds: Tensor,
                *extra_inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the model; the outputs in the order of the contract."""
        output = self.network(image, intrinsics,
                              **dict(zip(self._extra, extra_inputs, strict=True)))
        made = self.network.assemble(output, thresholds)
        return tuple(made[name] for name in self.output_names)


def create_model(name: str, settings: dict[str, Any] | None = None,
                 backbone_weights: Path | str | None = None, *,
                 rules: dict[str, Any] | None = None, loss: dict[str, Any] | None = None,
                 source: str = 'model') -> Model:
    """
    Build a model by its name in MODELS.

    :param rules, loss: changes of its assembly rules and of its loss settings.
    :param source: origin of these values, for messages.
    :raises ConfigError: for an unknown name or setting.
    """
    model = model_type(name)(settings_of(name, settings or {}), backbone_weights)
    model.configure(rules or {}, loss or {}, source)
    return model


def from_published(path: Path | str, settings: dict[str, Any] | None = None) -> Model:
    """
    Model with the weights of a checkpoint from the authors of a paper; its names tell which.

    :param settings: see Model.from_published.
    :raises ConfigError: when it cannot be read, or is of none of MODELS.
    """
    known = {name: model_type(name) for name in MODELS}
    files = '; '.join(model.published_files for model in known.values() if model.published_files)
    weights = read_state_dict(path, f'give one of: {files}')
    for model in known.values():
        if model.reads_published(weights.keys()):
            return model.from_published(weights, str(path), settings)
    raise ConfigError(f'{path}: its weights, such as {next(iter(weights))!r}, are of no known '
                      f'model; give one of: {files}')


def settings_of(name: str, settings: dict[str, Any]) -> Settings:
    """Settings of a model by its name in MODELS; a ConfigError for a wrong one."""
    return parse_settings(model_type(name).settings_type, settings, f'network {name}')


def model_type(name: str) -> type[Model]:
    """Class of a model by its name in MODELS; a ConfigError for an unknown one."""
    if name not in MODELS:
        raise ConfigError(f'network: unknown name {name!r}; known: {", ".join(MODELS)}')
    module, _, attribute = MODELS[name].partition(':')
    found: type[Model] = getattr(import_module(module, __package__), attribute)
    return found
