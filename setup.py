# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Packages and their data, for pip; the rest is in pyproject.toml.

The message definitions stay in msg/, where ROS wants them, and travel in the wheel as data of
panoptic_depth_core.msg.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=['panoptic_depth_core*', 'panoptic_depth_ros*']),
        'panoptic_depth_core.msg',
    ],
    package_dir={'panoptic_depth_core.msg': 'msg'},
    package_data={
        'panoptic_depth_core': ['evaluation/report/templates/*', 'models/**/*.json',
                                'models/**/*.npz', 'models/**/*.onnx', 'models/**/*.txt',
                                'py.typed'],
        'panoptic_depth_core.msg': ['*.msg'],
    },
)
