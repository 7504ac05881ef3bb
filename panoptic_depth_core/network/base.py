# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What every network of this package is."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from ..class_tables import ClassTable, table_classes
from ..config import Settings
from ..labels import ClassInfo, thing_classes
from .assembly_settings import AssemblySettings
from .dynamic_kernels import NetworkOutput


class NetworkSettings(Settings):
    """What every network can be asked for."""

    canonical_focal_px: float = Field(500.0, gt=0, description='focal length of the camera in '
                                      'which depth is predicted')
    class_table: ClassTable = Field('cityscapes', description='classes that are learned: a name '
                                    'in labels.CLASS_TABLES, or their rows')

    @field_validator('class_table')
    @classmethod
    def _is_known(cls, value: ClassTable) -> ClassTable:
        table_classes(value)
        return value

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Those of class_table."""
        return table_classes(self.class_table)


class PanopticNetwork(nn.Module):
    """
    Image and camera in, kernels and embeddings out: what the assembly needs.

    :param settings: stored in model directories, so that the network can be rebuilt.
    """

    settings_type: ClassVar[type[NetworkSettings]]
    settings: NetworkSettings

    class_parameters: ClassVar[tuple[str, ...]]
    """Beginnings of the names of parameters that hold a row for each class or thing class."""

    assembly: ClassVar[AssemblySettings] = AssemblySettings()
    """Rules of the panoptic assembly, unless a recipe has others."""

    input_mean: ClassVar[tuple[float, float, float]] = (127.5, 127.5, 127.5)
    """What the network subtracts from R, G and B of 0..255, before it divides by input_std."""
    input_std: ClassVar[tuple[float, float, float]] = (127.5, 127.5, 127.5)

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Table of the classes that it learns."""
        return self.settings.classes

    @property
    def thing_classes(self) -> tuple[int, ...]:
        """Class ids of its centre maps."""
        return thing_classes(self.classes)

    @property
    def onnx_opset(self) -> int:
        """Least opset with all of its operators."""
        return 18

    @property
    def depth_of(self) -> Literal['pixels', 'segments', 'nothing']:
        """What has a depth; see model_info.ModelInfo."""
        return 'pixels'

    def normalised(self, image: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float32, less input_mean, over input_std."""
        scale, shift = (torch.tensor(values, device=image.device)[:, None, None] for values in (
            [1.0 / std for std in self.input_std],
            [mean / std for mean, std in zip(self.input_mean, self.input_std, strict=True)]))
        # Cast first: some parsers take uint8 into a Cast only. Scaled last: by whole planes.
        return image.float().permute(0, 3, 1, 2) * scale - shift

    def deployed(self) -> PanopticNetwork:
        """Fold what only training needs into other weights, in place."""
        return self

    def forward(self, image: Tensor, intrinsics: Tensor) -> NetworkOutput:
        """
        Run the network.

        :param image: (B, H, W, 3) uint8 RGB, H and W multiples of 64.
        :param intrinsics: (B, 4) float32 fx, fy, cx, cy in px of this image.
        """
        raise RuntimeError(f'{type(self).__name__} has no forward method')
