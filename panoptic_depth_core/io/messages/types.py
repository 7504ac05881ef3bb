# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The ROS 2 message types that bags need, without ROS.

The .msg files of this package have one home, msg/ at the top of the repository, from where ROS
takes them too; a wheel carries them as data of the package ``panoptic_depth_core.msg``. The
types of vision_msgs (4.x) are not in rosbags' own stores and are given here field by field, since
readers compare them by field; those of foxglove_msgs are in foxglove_types.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ...errors import ConfigError
from ..viewers.foxglove_types import FOXGLOVE_MSGS

PACKAGE = 'panoptic_depth'
MESSAGES = ('InstanceDistance', 'InstanceDistanceArray', 'InferenceStatus')

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
INSTANCE_DISTANCE = f'{PACKAGE}/msg/InstanceDistance'
INSTANCE_DISTANCE_ARRAY = f'{PACKAGE}/msg/InstanceDistanceArray'
INFERENCE_STATUS = f'{PACKAGE}/msg/InferenceStatus'
DETECTION_3D_ARRAY = 'vision_msgs/msg/Detection3DArray'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'
POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'
POINT_FIELD = 'sensor_msgs/msg/PointField'
MARKER = 'visualization_msgs/msg/Marker'
MARKER_ARRAY = 'visualization_msgs/msg/MarkerArray'
DIAGNOSTIC_ARRAY = 'diagnostic_msgs/msg/DiagnosticArray'

VISION_MSGS = {
    'ObjectHypothesis': 'string class_id\nfloat64 score\n',
    'ObjectHypothesisWithPose': 'vision_msgs/ObjectHypothesis hypothesis\n'
                                'geometry_msgs/PoseWithCovariance pose\n',
    'BoundingBox3D': 'geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n',
    'Detection3D': 'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
                   'vision_msgs/BoundingBox3D bbox\nstring id\n',
    'Detection3DArray': 'std_msgs/Header header\nvision_msgs/Detection3D[] detections\n',
    'VisionClass': 'uint16 class_id\nstring class_name\n',
    'LabelInfo': 'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\n'
                 'float32 threshold\n',
}


def _folders() -> Iterator[Path]:
    """Where .msg files can be: a wheel, a checkout, an ament workspace."""
    package = Path(__file__).resolve().parents[2]
    yield package / 'msg'
    yield package.parent / 'msg'
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix:
            yield Path(prefix) / 'share' / PACKAGE / 'msg'


def message_folder() -> Path:
    """
    Folder of the .msg files of this package.

    :raises ConfigError: when the installation has none.
    """
    folders = list(_folders())
    for folder in folders:
        if all((folder / f'{name}.msg').is_file() for name in MESSAGES):
            return folder
    raise ConfigError(
        f'the message definitions {", ".join(MESSAGES)} of {PACKAGE} are in none of '
        f'{", ".join(map(str, folders))}; install the package again')


@lru_cache(maxsize=1)
def typestore() -> Any:
    """
    The store of rosbags: types of ROS 2 Jazzy, vision_msgs, foxglove_msgs and this package.

    Jazzy's standard types read bags of the other distributions too: the types used here did not
    change since Foxy.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for package, texts in (('vision_msgs', VISION_MSGS), ('foxglove_msgs', FOXGLOVE_MSGS)):
        for name, text in texts.items():
            types.update(get_types_from_msg(text, f'{package}/msg/{name}'))
    folder = message_folder()
    for name in MESSAGES:
        text = (folder / f'{name}.msg').read_text(encoding='utf-8')
        types.update(get_types_from_msg(text, f'{PACKAGE}/msg/{name}'))
    store.register(types)
    return store


def canonical_type(name: str) -> str:
    """``package/Type`` as ``package/msg/Type``: some recorders leave the middle out."""
    parts = name.split('/')
    return f'{parts[0]}/msg/{parts[1]}' if len(parts) == 2 else name
