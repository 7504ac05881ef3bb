# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The types of foxglove_msgs that bags for Foxglove need, field by field.

As in foxglove_msgs 3.4.3 (https://github.com/foxglove/foxglove-sdk, ros2 folder). rosbags has none
of them, and a reader goes by the definition that is in the file.
"""

from __future__ import annotations

IMAGE_ANNOTATIONS = 'foxglove_msgs/msg/ImageAnnotations'
SCENE_UPDATE = 'foxglove_msgs/msg/SceneUpdate'

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
"""Type -> its fields."""
