# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The conventions in which published figures differ, each with a name."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ..config import Settings, parse_settings
from ..errors import ConfigError
from .metrics.depth_aware_pq import TOLERANCES
from .metrics.depth_metrics import DEPTH_CAP_M, RANGE_EDGES_M
from .metrics.distance_metrics import MIN_INSTANCE_PIXELS
from .metrics.panoptic_quality import AbsentClasses, CrowdRule


class EvaluationSettings(Settings):
    """Conventions of the figures; reports name them."""

    absent_classes: AbsentClasses = Field('leave_out', description='classes in no truth and no '
                                          'prediction: not in a mean, 0 in it, or it is NaN')
    crowds: CrowdRule = Field('any_class', description='a prediction mostly on thing pixels '
                              'without a known instance is no false positive if it is of the '
                              'same class, of any class, or there are no crowds')
    tolerances: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        TOLERANCES, min_length=1, description='relative errors of depth, lambda, up to which '
        'pixels count in DPQ')
    windows: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1,), min_length=1, description='frames of a sequence per window, k, that DVPQ is '
        'measured over; 1 is DPQ')
    min_truth_share: float = Field(0.001, ge=0, le=1, description='classes with less of the '
                                   'labelled pixels are not in the mIoU')
    depth_cap_m: float = Field(DEPTH_CAP_M, gt=0, allow_inf_nan=False, description='true depths '
                               'beyond it do not count')
    range_edges_m: tuple[float, ...] = Field(RANGE_EDGES_M, description='limits between the '
                                             'groups of errors by distance')
    min_instance_pixels: int = Field(MIN_INSTANCE_PIXELS, ge=1, description='smaller instances '
                                     'have no distance error')


CONVENTIONS: dict[str, dict[str, Any]] = {
    'ours': {},
    'official': {'absent_classes': 'nan', 'crowds': 'none', 'min_truth_share': 0.0},
    'published': {'absent_classes': 'zero', 'crowds': 'none', 'min_truth_share': 0.0},
}
"""
ours: the defaults, in which absent classes are left out. official: the evaluation that ViP-DeepLab
brought along for Cityscapes-DVPS. published: that of PanopticDepth, and ViP-DeepLab's for
SemKITTI-DVPS. All of them drop the pixels with a depth error strictly above lambda.
"""


def convention(name: str, **changes: Any) -> EvaluationSettings:
    """
    Return the settings of a convention by its name in CONVENTIONS.

    :param changes: settings that are to be others.
    :raises ConfigError: for an unknown name, or a wrong setting.
    """
    if name not in CONVENTIONS:
        raise ConfigError(f'convention: unknown name {name!r}; known: {", ".join(CONVENTIONS)}')
    return parse_settings(EvaluationSettings, {**CONVENTIONS[name], **changes}, 'evaluation')
