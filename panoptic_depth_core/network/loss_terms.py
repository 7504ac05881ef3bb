# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Formulas that losses are made of."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

_FOCAL_ALPHA = 0.25
_VARIANCE_WEIGHT = 5.0


def dice(probability: Tensor, target: Tensor) -> Tensor:
    """
    1 - 2 sum(p t) / (sum p^2 + sum t^2) over the last two axes (V-Net, Milletari et al., 2016).

    :param probability, target: (..., h, w) float32 0..1. :returns: (...).
    """
    p, t = probability.flatten(-2), target.flatten(-2)
    return 1 - 2 * (p * t).sum(-1) / ((p * p).sum(-1) + (t * t).sum(-1)).clamp(min=1e-3)


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """
    Focal loss of each element, alpha 0.25, gamma 2 (RetinaNet, Lin et al., ICCV 2017).

    For targets between 0 and 1 both the probability of being right and the balance of the
    classes are interpolated, as in PanopticDepth.

    :param logits, target: of one shape, float32.
    """
    p = logits.sigmoid()
    wrong = p * (1 - target) + (1 - p) * target
    balance = _FOCAL_ALPHA * target + (1 - _FOCAL_ALPHA) * (1 - target)
    entropy = binary_cross_entropy_with_logits(logits, target, reduction='none')
    return balance * wrong ** 2 * entropy


def depth_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """
    Scale-invariant error plus relative error, as in PanopticDepth.

    5 (mean d^2 - (mean d)^2) + sqrt(mean (1 - predicted / truth)^2), d = log(truth / predicted);
    0 of no pixels.

    :param predicted, truth: (P,) float32 metres, > 0.
    """
    if not len(truth):
        return predicted.sum()
    d = truth.log() - predicted.log()
    relative = (1 - predicted / truth).square().mean()
    # The slope of the root at 0 has no end.
    return (_VARIANCE_WEIGHT * (d.square().mean() - d.mean() ** 2)
            + relative.clamp(min=1e-12).sqrt())
