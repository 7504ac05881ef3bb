# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the base installation can do in a process without torch, ROS and the extras."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[1]

TORCH = {'torch', 'torchvision', 'torchmetrics', 'lightning', 'onnxscript', 'tensorboard'}
ROS = {'rclpy', 'ament_index_python', 'cv_bridge', 'launch', 'launch_ros', 'sensor_msgs',
       'std_msgs', 'tf2_ros', 'vision_msgs', 'panoptic_depth_ros'}
EXTRAS = {'embreex', 'matplotlib', 'onnx', 'openvino', 'ray', 'rerun', 'scipy'}
MODULES = [
    'panoptic_depth_core.benchmark.evaluation',
    'panoptic_depth_core.benchmark.pipeline',
    'panoptic_depth_core.cli',
    'panoptic_depth_core.api.model',
    'panoptic_depth_core.inference.backends.onnxruntime_backend',
    *('.'.join(path.relative_to(REPOSITORY).with_suffix('').parts)
      for folder in ('evaluation', 'io', 'streaming')
      for path in sorted((REPOSITORY / 'panoptic_depth_core' / folder).rglob('*.py'))
      if path.stem != '__init__'),
]

BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {TORCH | ROS | EXTRAS!r}:
            raise ImportError(name + ' is not part of the base installation')
sys.meta_path.insert(0, Block())
"""


def run(code: str) -> None:
    """Run code in a process in which none of the extras can be imported."""
    done = subprocess.run([sys.executable, '-c', BLOCK + code], cwd=REPOSITORY,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_runs_without_torch() -> None:
    """The command line, prediction, evaluation and streams are imported without the extras."""
    run(''.join(f'import {module}\n' for module in MODULES))


def test_the_block_is_one() -> None:
    """What is blocked cannot be imported."""
    with pytest.raises(AssertionError, match='torch is not part of the base installation'):
        run('import torch')


@pytest.mark.skipif('PANOPTIC_DEPTH_LOWEST' not in os.environ,
                    reason='of `make test-lowest`, which installs the lowest versions')
def test_lowest_versions() -> None:
    """What is installed is the lowest version that is allowed, or of which there is a wheel."""
    higher, exact = [], 0
    for requirement in map(Requirement, importlib.metadata.requires('panoptic-depth')):
        if requirement.marker is not None and not requirement.marker.evaluate({'extra': ''}):
            continue
        (bound,) = (s.version for s in requirement.specifier if s.operator == '>=')
        installed = Version(importlib.metadata.version(requirement.name))
        assert installed >= Version(bound)
        if installed in SpecifierSet(f'=={bound}.*'):
            exact += 1
        else:
            higher.append(f'{requirement.name} {installed} in place of {bound}')
    assert exact
    if higher:
        pytest.skip(f'no wheel for Python {platform.python_version()}: {", ".join(higher)}')
