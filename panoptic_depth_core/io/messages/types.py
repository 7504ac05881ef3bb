# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The ROS 2 message types that bags need, without ROS.

The .msg files of this package are in msg/ at the top of the repository; a wheel carries them as
data of the package ``panoptic_depth_core.msg``. rosbags has neither vision_msgs (4.x) nor
foxglove_msgs (3.4.3, https://github.com/foxglove/foxglove-sdk, ros2 folder), so their fields are
listed here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ...errors import ConfigError

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
IMAGE_ANNOTATIONS = 'foxglove_msgs/msg/ImageAnnotations'
SCENE_UPDATE = 'foxglove_msgs/msg/SceneUpdate'

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

_TIME = 'builtin_interfaces/Time timestamp\n'
_METADATA = 'foxglove_msgs/KeyValuePair[] metadata\n'
_POSE = 'geometry_msgs/Pose pose\n'
_SIZE = 'geometry_msgs/Vector3 size\n'
_COLOR = 'foxglove_msgs/Color color\n'
_VERTICES = ('geometry_msgs/Point[] points\n' + _COLOR + 'foxglove_msgs/Color[] colors\n'
             'uint32[] indices\n')

FOXGLOVE_MSGS = {
    'Color': 'float64 r\nfloat64 g\nfloat64 b\nfloat64 a\n',
    'Point2': 'float64 x\nfloat64 y\n',
    'KeyValuePair': 'string key\nstring value\n',
    'CircleAnnotation': _TIME + 'foxglove_msgs/Point2 position\nfloat64 diameter\n'
                        'float64 thickness\nfoxglove_msgs/Color fill_color\n'
                        'foxglove_msgs/Color outline_color\n' + _METADATA,
    'PointsAnnotation': _TIME + 'uint8 UNKNOWN=0\nuint8 POINTS=1\nuint8 LINE_LOOP=2\n'
                        'uint8 LINE_STRIP=3\nuint8 LINE_LIST=4\nuint8 type\n'
                        'foxglove_msgs/Point2[] points\nfoxglove_msgs/Color outline_color\n'
                        'foxglove_msgs/Color[] outline_colors\nfoxglove_msgs/Color fill_color\n'
                        'float64 thickness\n' + _METADATA,
    'TextAnnotation': _TIME + 'foxglove_msgs/Point2 position\nstring text\nfloat64 font_size\n'
                      'foxglove_msgs/Color text_color\nfoxglove_msgs/Color background_color\n'
                      + _METADATA,
    'ImageAnnotations': _TIME + 'foxglove_msgs/CircleAnnotation[] circles\n'
                        'foxglove_msgs/PointsAnnotation[] points\n'
                        'foxglove_msgs/TextAnnotation[] texts\n' + _METADATA,
    'ArrowPrimitive': _POSE + 'float64 shaft_length\nfloat64 shaft_diameter\n'
                      'float64 head_length\nfloat64 head_diameter\n' + _COLOR,
    'CubePrimitive': _POSE + _SIZE + _COLOR,
    'SpherePrimitive': _POSE + _SIZE + _COLOR,
    'CylinderPrimitive': _POSE + _SIZE + 'float64 bottom_scale\nfloat64 top_scale\n' + _COLOR,
    'LinePrimitive': 'uint8 LINE_STRIP=0\nuint8 LINE_LOOP=1\nuint8 LINE_LIST=2\nuint8 type\n'
                     + _POSE + 'float64 thickness\nbool scale_invariant\n' + _VERTICES,
    'TriangleListPrimitive': _POSE + _VERTICES,
    'TextPrimitive': _POSE + 'bool billboard\nfloat64 font_size\nbool scale_invariant\n'
                     + _COLOR + 'string text\n',
    'ModelPrimitive': _POSE + 'geometry_msgs/Vector3 scale\n' + _COLOR + 'bool override_color\n'
                      'string url\nstring media_type\nuint8[] data\n',
    'SceneEntity': _TIME + 'string frame_id\nstring id\nbuiltin_interfaces/Duration lifetime\n'
                   'bool frame_locked\n' + _METADATA + 'foxglove_msgs/ArrowPrimitive[] arrows\n'
                   'foxglove_msgs/CubePrimitive[] cubes\n'
                   'foxglove_msgs/SpherePrimitive[] spheres\n'
                   'foxglove_msgs/CylinderPrimitive[] cylinders\n'
                   'foxglove_msgs/LinePrimitive[] lines\n'
                   'foxglove_msgs/TriangleListPrimitive[] triangles\n'
                   'foxglove_msgs/TextPrimitive[] texts\n'
                   'foxglove_msgs/ModelPrimitive[] models\n',
    'SceneEntityDeletion': _TIME + 'uint8 MATCHING_ID=0\nuint8 ALL=1\nuint8 type\nstring id\n',
    'SceneUpdate': 'foxglove_msgs/SceneEntityDeletion[] deletions\n'
                   'foxglove_msgs/SceneEntity[] entities\n',
}


def message_folder() -> Path:
    """
    Folder of this package's .msg files, in a wheel, a checkout or an ament workspace.

    :raises ConfigError: when the installation has none.
    """
    package = Path(__file__).resolve().parents[2]
    prefixes = filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep))
    folders = [package / 'msg', package.parent / 'msg',
               *(Path(prefix) / 'share' / PACKAGE / 'msg' for prefix in prefixes)]
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
    folder = message_folder()
    own = {name: (folder / f'{name}.msg').read_text(encoding='utf-8') for name in MESSAGES}
    store.register({key: fields for package, texts in (
        ('vision_msgs', VISION_MSGS), ('foxglove_msgs', FOXGLOVE_MSGS), (PACKAGE, own))
        for name, text in texts.items()
        for key, fields in get_types_from_msg(text, f'{package}/msg/{name}').items()})
    return store


def canonical_type(name: str) -> str:
    """``package/Type`` as ``package/msg/Type``: some recorders leave the middle out."""
    parts = name.split('/')
    return f'{parts[0]}/msg/{parts[1]}' if len(parts) == 2 else name
