# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From a published PanopticDepth checkpoint to a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config import Thresholds, parse_settings
from ..errors import BackendError
from ..model_directory import ModelDirectory
from ..network.description import ModelDescription
from ..network.layers.deformable import DeformableForm
from ..network.panoptic_depth.network import (
    PUBLISHED_ASSEMBLY,
    STUFF_AREA_PX,
    TRAINED_FOCAL_RANGE_PX,
    PublishedNetwork,
)
from .onnx_export import export_model


def convert_checkpoint(checkpoint: Path | str, out_dir: Path | str,
                       description: ModelDescription, *, deformable: DeformableForm = 'operator',
                       max_things: int = PUBLISHED_ASSEMBLY.max_things) -> ModelDirectory:
    """
    Convert ``model_final.pth`` of PanopticDepth R50, depth-aware or segmentation only.

    :param description: see published_description.
    :param deformable: see layers.deformable; grid_sample for runtimes without the operator.
    :raises ConfigError: when the file is no such checkpoint; the message says what does not fit.
    :raises BackendError: when ONNX Runtime does not reproduce PyTorch's outputs.
    """
    model = PublishedNetwork.read_published(Path(checkpoint), deformable)
    model.configure({'max_things': max_things, 'output_stride': description.output_stride}, {},
                    'convert')
    try:
        return export_model(model, out_dir, description)
    except BackendError as error:
        if deformable == 'grid_sample':
            raise
        raise BackendError(f'{error}; if it has no DeformConv (ONNX Runtime before 1.25), '
                           'convert with grid_sample in its place (--deformable)') from error


def published_description(height: int = 1024, width: int = 2048,
                          **values: Any) -> ModelDescription:
    """
    What is known of the published models; the rest as given.

    The weights' licence is that of where the file came from, so it is not known here.

    :raises ConfigError: for an unknown or wrong value.
    """
    known = {
        'model_id': 'panoptic-depth-r50-published', 'height': height, 'width': width,
        'trained_focal_range_px': TRAINED_FOCAL_RANGE_PX, 'depth_range_m': (0.5, 80.0),
        # The mean that is subtracted, so that padding is zero to the network.
        'padding_rgb': (104, 116, 124), 'weight_type': 'float32',
        'thresholds': Thresholds(score=0.2, overlap=0.5, void=0.0,
                                 stuff_area=STUFF_AREA_PX / (height * width)),
        'weights_data': ({'name': 'Cityscapes and Cityscapes-DVPS',
                          'licence': 'non-commercial, see cityscapes-dataset.com/license',
                          'attribution': 'M. Cordts et al., The Cityscapes Dataset, CVPR 2016'},)}
    return parse_settings(ModelDescription, known | values, 'convert')
