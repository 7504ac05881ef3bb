# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Each architecture learns four frames by heart: losses, targets and assembly mean the same.

Minutes on a GPU, and hours on a CPU for those with ResNet-50: with PANOPTIC_DEPTH_LONG=1 only.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')
pytest.importorskip('embreex', reason='scenes need the extra [synthetic]')

from panoptic_depth_core import datasets  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.datasets.synthetic import (  # noqa: E402
    SyntheticScenes,
    SyntheticSettings,
)
from panoptic_depth_core.labels import CITYSCAPES, VOID_ID  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.structures import Sample  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.trainer import train  # noqa: E402

RECIPES = Path(__file__).parents[3] / 'config' / 'training'
HEIGHT, WIDTH = 192, 384
SIZE = {'height': HEIGHT, 'width': WIDTH}
LEAST_PIXELS = 1000
CAMERA = SyntheticSettings(
    **SIZE, focal_per_width=(0.7, 0.9), camera_height_m=(1.4, 1.5), pitch_deg=(0, 1),
    roll_deg=(0, 0), densities={'people': 0.6, 'plants': 0.7, 'furniture': 0.2})
FRAMES = (4, 34, 36, 1)

pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(6 * 3600),
    pytest.mark.skipif(not os.environ.get('PANOPTIC_DEPTH_LONG'),
                       reason='trains for long; set PANOPTIC_DEPTH_LONG=1')]


class FourFrames:
    """
    Streets with cars, trucks, a bus and a person nearby.

    Segments of less than LEAST_PIXELS are void: embeddings have a quarter of the resolution, and
    their borders alone would cost more than the bar leaves.
    """

    classes = CITYSCAPES

    def __init__(self, root: str = '', split: str = '') -> None:
        scenes = SyntheticScenes(max(FRAMES) + 1, 7, CAMERA)
        self._samples = [_large(scenes[index]) for index in FRAMES]

    def __len__(self) -> int:
        """Count them."""
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        """Give one."""
        return self._samples[index]


def _large(sample: Sample) -> Sample:
    truth = sample.truth
    ids, inverse, counts = np.unique(truth.panoptic, return_inverse=True, return_counts=True)
    small = (counts < LEAST_PIXELS)[inverse].reshape(truth.panoptic.shape)
    kept = set(ids[counts >= LEAST_PIXELS].tolist())
    return replace(sample, truth=replace(
        truth, panoptic=np.where(small, VOID_ID, truth.panoptic), ignore=small,
        instance_depth_m={key: depth for key, depth in truth.instance_depth_m.items()
                          if key in kept}))


# Weights are random, so that batch norm has to be learned.
RANDOM = {'backbone_weights': None, 'initial_weights': None, 'initial_gaps': [], 'freeze': []}
CASES: dict[str, dict[str, Any]] = {
    'fast': {'backbone_weights': None, 'iterations': 600},
    'lapdepth/default': {'backbone_weights': None, 'iterations': 400},
    'depthlab/default': {'backbone_weights': None, 'iterations': 600},
    'accurate': {**RANDOM, 'iterations': 1500, 'backbone_factor': 1.0,
                 'network_settings': {'backbone_norm': 'batch'}},
    # Depths of a linear form in its own range.
    'published/cityscapes_3_depth': {
        **RANDOM, 'iterations': 3000, 'learning_rate': 3e-4, 'warmup_factor': 0.0,
        'network_settings': {'backbone_norm': 'batch', 'canonical_focal_px': 0.8 * WIDTH}},
    # Without instances.
    'sosd/default': {
        'backbone_weights': None, 'iterations': 600, 'backbone_factor': 1.0, 'phases': [
            {'iterations': 20, 'freeze': ['depth'], 'losses': ['semantic']},
            {'iterations': 20, 'freeze': ['semantic'], 'losses': ['depth']}]}}
COMMON: dict[str, Any] = {
    'data': [{'name': 'four', 'root': '-'}], 'batch_size': len(FRAMES), 'warmup': 50,
    'augment': {**SIZE, 'scale': [1, 1], 'flip': 0, 'colors': 0, 'blur': 0, 'noise': 0},
    'crop_sizes': [], 'minutes': None, 'average': 0.98, 'precision': '32-true', 'workers': 0,
    'tensorboard': False, 'save_every': 10**6}


@pytest.mark.parametrize('name', CASES)
def test_four_frames_are_learned_by_heart(name, tmp_path, monkeypatch):
    monkeypatch.setitem(datasets.DATASETS, 'four', FourFrames)
    recipe = {**yaml.safe_load((RECIPES / f'{name}.yaml').read_text()), **COMMON, **CASES[name]}
    described = recipe.get('validation', {}).get('model', {})
    recipe['validation'] = {'data': [{'name': 'four', 'root': '-'}], 'every': 150,
                            'model': {**described, **SIZE, 'output_stride': 1}}
    settings = parse_settings(TrainSettings, recipe, name)
    train(settings, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / 'train.jsonl').read_text().splitlines()]
    found = [row for row in rows if 'validation' in row]
    for row in found:
        print(name, row['iteration'], row['validation'])
    last = found[-1]['validation']
    tasks = create_model(settings.network, settings.network_settings).tasks
    assert 'instances' not in tasks or last['pq'] > 0.9
    assert 'semantic' not in tasks or 'instances' in tasks or last['miou'] > 0.9
    assert 'depth' not in tasks or last['abs_rel'] < 0.05
