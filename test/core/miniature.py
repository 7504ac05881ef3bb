# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Miniature labeled frames, and a recipe to train on them."""

from __future__ import annotations

import numpy as np
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, VOID_ID
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Sample


def make_sample(height: int = 64, width: int = 128, seed: int = 0, **changes: object) -> Sample:
    """Road below, sky above, two cars, a crowd of persons, a void stripe; ramp of depth."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    panoptic = np.full((height, width), CLASS_ID['road'] * LABEL_DIVISOR, np.int32)
    panoptic[:height // 3] = CLASS_ID['sky'] * LABEL_DIVISOR
    panoptic[height // 3:height // 2, :width // 4] = CLASS_ID['car'] * LABEL_DIVISOR + 1
    panoptic[height // 3:height // 2, width // 2:3 * width // 4] = (
        CLASS_ID['car'] * LABEL_DIVISOR + 7)
    panoptic[height // 2:, :width // 8] = CLASS_ID['person'] * LABEL_DIVISOR
    panoptic[-2:] = VOID_ID
    depth = np.broadcast_to(np.linspace(60, 3, height, dtype=np.float32)[:, None],
                            (height, width)).copy()
    depth[:height // 3] = np.inf
    depth[::5] = np.nan
    truth = GroundTruth(**{'panoptic': panoptic, 'has_semantics': True,
                           'instance_classes': (CLASS_ID['car'], CLASS_ID['person']),
                           'depth': depth, **changes})
    return Sample(Frame(image, Intrinsics.from_focal(100.0, width, height), name=str(seed)), truth)


class Miniature:
    """
    Four frames.

    :param root: 'partial': two of them lack the depth or the labels.
    """

    classes = CITYSCAPES

    def __init__(self, root: str = '', split: str = '') -> None:
        self.partial = root == 'partial'

    def __len__(self) -> int:
        """Count them."""
        return 4

    def __getitem__(self, index: int) -> Sample:
        """Make one."""
        lacking: dict[int, dict[str, object]] = {
            1: {'depth': None},
            2: {'panoptic': None, 'has_semantics': False, 'instance_classes': ()}}
        return make_sample(seed=index, **lacking.get(index, {}) if self.partial else {})


RECIPE = {
    'data': [{'name': 'miniature', 'root': '-'}], 'batch_size': 2, 'iterations': 6,
    'augment': {'height': 64, 'width': 128}, 'precision': '32-true', 'workers': 0,
    'accelerator': 'cpu', 'log_every': 1, 'save_every': 3, 'warmup': 2, 'tensorboard': False,
    'network_settings': {'pyramid_width': 16, 'head_width': 16, 'encoder_width': 16}}
"""Needs the data set 'miniature' among datasets.DATASETS."""
