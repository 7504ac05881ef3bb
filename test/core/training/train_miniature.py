# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Train a recipe on miniature frames: one process of several; see test_trainer_processes.py."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from miniature import Miniature
from panoptic_depth_core import datasets
from panoptic_depth_core.config import parse_settings
from panoptic_depth_core.training.recipe import TrainSettings
from panoptic_depth_core.training.trainer import train

if __name__ == '__main__':
    recipe, folder = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    datasets.DATASETS['miniature'] = Miniature
    settings = parse_settings(TrainSettings, json.loads(recipe.read_text()), str(recipe))
    train(settings, folder)
    # What threads of torch do while the interpreter ends is no matter of this test.
    os._exit(0)
