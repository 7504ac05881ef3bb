# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Frames and results as ROS 2 messages, as rosbags makes them.

Fields are numpy arrays where the definition says array, as rosbags expects. Every header has the
stamp and frame_id of the input image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels import CITYSCAPES, ClassInfo
from ..structures import InstanceDistance, Intrinsics, PanopticDepth
from .image_encodings import encode_map
from .message_types import (
    CAMERA_INFO,
    DETECTION_3D_ARRAY,
    IMAGE,
    INSTANCE_DISTANCE,
    INSTANCE_DISTANCE_ARRAY,
    LABEL_INFO,
    typestore,
)

SCALE_METRIC_MODEL = 1
"""InstanceDistanceArray.SCALE_METRIC_MODEL: metres as the network learnt them."""

_SECOND_NS = 1_000_000_000


def _make(name: str, *values: Any, **fields: Any) -> Any:
    return typestore().types[name](*values, **fields)


def _xyz(name: str, values: Iterable[float]) -> Any:
    return _make(f'geometry_msgs/msg/{name}', *(float(value) for value in values))


def header(stamp_ns: int, frame_id: str) -> Any:
    """std_msgs/Header."""
    sec, nanosec = divmod(stamp_ns, _SECOND_NS)
    stamp = _make('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)
    return _make('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)


def image(head: Any, array: NDArray[Any], encoding: str) -> Any:
    """
    sensor_msgs/Image.

    :param array: (H, W) or (H, W, 3) of the encoding's dtype, see image_encodings.MAPS.
    """
    step, is_bigendian, data = encode_map(array, encoding)
    return _make(IMAGE, header=head, height=array.shape[0], width=array.shape[1],
                 encoding=encoding, is_bigendian=int(is_bigendian), step=step, data=data)


def _roi(x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> Any:
    return _make('sensor_msgs/msg/RegionOfInterest', x_offset=x, y_offset=y, height=height,
                 width=width, do_rectify=False)


def camera_info(head: Any, camera: Intrinsics) -> Any:
    """sensor_msgs/CameraInfo of a camera without distortion."""
    k = np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1], np.float64)
    p = np.insert(k, (3, 6, 9), 0.0)
    return _make(CAMERA_INFO, header=head, height=camera.height, width=camera.width,
                 distortion_model='plumb_bob', d=np.zeros(5), k=k, r=np.eye(3).ravel(), p=p,
                 binning_x=0, binning_y=0, roi=_roi())


def instance_distance(instance: InstanceDistance) -> Any:
    """panoptic_depth/InstanceDistance."""
    segment = instance.segment
    return _make(
        INSTANCE_DISTANCE, panoptic_id=segment.panoptic_id, class_id=segment.class_id,
        class_name=instance.class_name, instance_id=segment.instance_id,
        track_id=instance.track_id, is_thing=segment.is_thing, score=segment.score,
        flags=int(instance.flags), roi=_roi(*instance.roi), pixel_count=segment.pixel_count,
        valid_depth_count=instance.valid_depth_count, distance=instance.distance_m,
        distance_stddev=instance.distance_stddev_m, distance_near=instance.distance_near_m,
        depth=instance.depth_m, position=_xyz('Point', instance.position_m),
        position_covariance=np.asarray(instance.position_covariance, np.float32).ravel(),
        nearest_point=_xyz('Point', instance.nearest_point_m),
        size=_xyz('Vector3', instance.size_m))


def instance_distance_array(head: Any, result: PanopticDepth,
                            scale_source: int = SCALE_METRIC_MODEL,
                            latency_ns: int | None = None) -> Any:
    """
    panoptic_depth/InstanceDistanceArray.

    :param latency_ns: None: the time of processing.
    """
    if latency_ns is None:
        total_ms = result.step_ms.get('total', sum(result.step_ms.values()))
        latency_ns = round(total_ms * 1e6)
    sec, nanosec = divmod(latency_ns, _SECOND_NS)
    height, width = result.panoptic.shape
    return _make(
        INSTANCE_DISTANCE_ARRAY, header=head, camera_frame_id=result.frame_id, image_width=width,
        image_height=height, label_divisor=result.label_divisor, scale_source=scale_source,
        model_id=result.model_id,
        latency=_make('builtin_interfaces/msg/Duration', sec=sec, nanosec=nanosec),
        instances=[instance_distance(instance) for instance in result.distances])


def _detection(head: Any, instance: InstanceDistance) -> Any:
    # The direction of a visible part is not known: its variances are NaN, not 0.
    covariance = np.full((6, 6), np.nan)
    covariance[:3, :3] = instance.position_covariance
    pose = _make('geometry_msgs/msg/Pose', position=_xyz('Point', instance.position_m),
                 orientation=_xyz('Quaternion', (0.0, 0.0, 0.0, 1.0)))
    result = _make(
        'vision_msgs/msg/ObjectHypothesisWithPose',
        hypothesis=_make('vision_msgs/msg/ObjectHypothesis', class_id=instance.class_name,
                         score=instance.segment.score),
        pose=_make('geometry_msgs/msg/PoseWithCovariance', pose=pose,
                   covariance=covariance.ravel()))
    number = instance.track_id if instance.track_id >= 0 else instance.segment.panoptic_id
    return _make(
        'vision_msgs/msg/Detection3D', header=head, results=[result], id=str(number),
        bbox=_make('vision_msgs/msg/BoundingBox3D', center=pose,
                   size=_xyz('Vector3', instance.size_m)))


def detection_3d_array(head: Any, result: PanopticDepth) -> Any:
    """
    vision_msgs/Detection3DArray of the instances whose position is known.

    The others are left out: viewers and planners take NaN in a pose for an error.
    """
    known = (d for d in result.distances if np.isfinite(d.position_m).all())
    return _make(DETECTION_3D_ARRAY, header=head, detections=[_detection(head, d) for d in known])


def label_info(head: Any, classes: Sequence[ClassInfo] = CITYSCAPES) -> Any:
    """vision_msgs/LabelInfo: the names of the values of ~/output/semantic."""
    return _make(LABEL_INFO, header=head, threshold=0.0, class_map=[
        _make('vision_msgs/msg/VisionClass', class_id=info.class_id, class_name=info.name)
        for info in classes])
