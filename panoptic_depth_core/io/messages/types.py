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
LAST_FIELD_ADDED = {'InstanceDistance': 'depth_mean'}
"""Message -> its last field, which recordings of earlier versions do not have."""

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
INSTANCE_DISTANCE = f'{PACKAGE}/msg/InstanceDistance'
INSTANCE_DISTANCE_ARRAY = f'{PACKAGE}/msg/InstanceDistanceArray'
INFERENCE_STATUS = f'{PACKAGE}/msg/InferenceStatus'
DETECTION_3D_ARRAY = 'vision_msgs/msg/Detection3DArray'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'
TF_MESSAGE = 'tf2_msgs/msg/TFMessage'
POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'
POINT_FIELD = 'sensor_msgs/msg/PointField'
MARKER = 'visualization_msgs/msg/Marker'
MARKER_ARRAY = 'visualization_msgs/msg/MarkerArray'
DIAGNOSTIC_ARRAY = 'diagnostic_msgs/msg/DiagnosticArray'
IMAGE_ANNOTATIONS = 'foxglove_msgs/msg/ImageAnnotations'
SCENE_UPDATE = 'foxglove_msgs/msg/SceneUpdate'

# Fields of one type, separated by semicolons; those of the same package need no package name.
VISION_MSGS = {
    'ObjectHypothesis': 'string class_id; float64 score',
    'ObjectHypothesisWithPose': 'ObjectHypothesis hypothesis; '
                                'geometry_msgs/PoseWithCovariance pose',
    'BoundingBox3D': 'geometry_msgs/Pose center; geometry_msgs/Vector3 size',
    'Detection3D': 'std_msgs/Header header; ObjectHypothesisWithPose[] results; '
                   'BoundingBox3D bbox; string id',
    'Detection3DArray': 'std_msgs/Header header; Detection3D[] detections',
    'VisionClass': 'uint16 class_id; string class_name',
    'LabelInfo': 'std_msgs/Header header; VisionClass[] class_map; float32 threshold',
}

_TIME = 'builtin_interfaces/Time timestamp'
_POSE, _SIZE = 'geometry_msgs/Pose pose', 'geometry_msgs/Vector3 size'
_VERTICES = 'geometry_msgs/Point[] points; Color color; Color[] colors; uint32[] indices'

FOXGLOVE_MSGS = {
    'Color': 'float64 r; float64 g; float64 b; float64 a',
    'Point2': 'float64 x; float64 y',
    'KeyValuePair': 'string key; string value',
    'CircleAnnotation': f'{_TIME}; Point2 position; float64 diameter; float64 thickness; '
                        'Color fill_color; Color outline_color; KeyValuePair[] metadata',
    'PointsAnnotation': f'{_TIME}; uint8 UNKNOWN=0; uint8 POINTS=1; uint8 LINE_LOOP=2; '
                        'uint8 LINE_STRIP=3; uint8 LINE_LIST=4; uint8 type; Point2[] points; '
                        'Color outline_color; Color[] outline_colors; Color fill_color; '
                        'float64 thickness; KeyValuePair[] metadata',
    'TextAnnotation': f'{_TIME}; Point2 position; string text; float64 font_size; '
                      'Color text_color; Color background_color; KeyValuePair[] metadata',
    'ImageAnnotations': f'{_TIME}; CircleAnnotation[] circles; PointsAnnotation[] points; '
                        'TextAnnotation[] texts; KeyValuePair[] metadata',
    'ArrowPrimitive': f'{_POSE}; float64 shaft_length; float64 shaft_diameter; '
                      'float64 head_length; float64 head_diameter; Color color',
    'CubePrimitive': f'{_POSE}; {_SIZE}; Color color',
    'SpherePrimitive': f'{_POSE}; {_SIZE}; Color color',
    'CylinderPrimitive': f'{_POSE}; {_SIZE}; float64 bottom_scale; float64 top_scale; Color color',
    'LinePrimitive': 'uint8 LINE_STRIP=0; uint8 LINE_LOOP=1; uint8 LINE_LIST=2; uint8 type; '
                     f'{_POSE}; float64 thickness; bool scale_invariant; {_VERTICES}',
    'TriangleListPrimitive': f'{_POSE}; {_VERTICES}',
    'TextPrimitive': f'{_POSE}; bool billboard; float64 font_size; bool scale_invariant; '
                     'Color color; string text',
    'ModelPrimitive': f'{_POSE}; geometry_msgs/Vector3 scale; Color color; bool override_color; '
                      'string url; string media_type; uint8[] data',
    'SceneEntity': f'{_TIME}; string frame_id; string id; builtin_interfaces/Duration lifetime; '
                   'bool frame_locked; KeyValuePair[] metadata; ArrowPrimitive[] arrows; '
                   'CubePrimitive[] cubes; SpherePrimitive[] spheres; '
                   'CylinderPrimitive[] cylinders; LinePrimitive[] lines; '
                   'TriangleListPrimitive[] triangles; TextPrimitive[] texts; '
                   'ModelPrimitive[] models',
    'SceneEntityDeletion': f'{_TIME}; uint8 MATCHING_ID=0; uint8 ALL=1; uint8 type; string id',
    'SceneUpdate': 'SceneEntityDeletion[] deletions; SceneEntity[] entities',
}


def message_folder() -> Path:
    """Folder of this package's .msg files, in a wheel, a checkout or an ament workspace."""
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


@lru_cache(maxsize=2)
def typestore(earlier: bool = False) -> Any:
    """
    The store of rosbags: types of ROS 2 Jazzy, vision_msgs, foxglove_msgs and this package.

    The standard types used here are the same since Foxy, so bags of all distributions are read.

    :param earlier: without LAST_FIELD_ADDED.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    folder = message_folder()
    types: dict[str, Any] = {}
    texts = {f'{PACKAGE}/msg/{name}': (folder / f'{name}.msg').read_text(encoding='utf-8')
             for name in MESSAGES}
    for name, field in LAST_FIELD_ADDED.items() if earlier else ():
        key = f'{PACKAGE}/msg/{name}'
        texts[key] = texts[key][:texts[key].index(f'float32 {field} ')]
    for package, table in (('vision_msgs', VISION_MSGS), ('foxglove_msgs', FOXGLOVE_MSGS)):
        texts |= {f'{package}/msg/{name}': fields.replace('; ', '\n')
                  for name, fields in table.items()}
    for name, text in texts.items():
        types |= get_types_from_msg(text, name)
    store.register(types)
    return store


def canonical_type(name: str) -> str:
    """
    ``package/Type`` and ``package::msg::Type`` as ``package/msg/Type``.

    Some recorders leave the middle out; those of DDS write the name of the IDL type, or its
    mangled form ``package::msg::dds_::Type_``.
    """
    parts = name.split('/') if '::' not in name else [
        part.removesuffix('_') for part in name.split('::') if part != 'dds_']
    return f'{parts[0]}/msg/{parts[1]}' if len(parts) == 2 else '/'.join(parts)
