# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Frames, results and status as ROS 2 messages, of whichever classes.

rosbags and rclpy have a class each for a message of one name. Their fields are the same but for
how a few of them are stored, so one maker fills both: bags and the node send the same bytes.
Every value is a native Python number, as rclpy's classes insist on; arrays of fixed size are
numpy in both. Every header has the stamp and frame_id of the input image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...labels import CITYSCAPES, ClassInfo
from ...status import Health, StreamStatus
from ...structures import InstanceDistance, Intrinsics, PanopticDepth, ScaleSource
from .image_encodings import encode_map
from .types import (
    CAMERA_INFO,
    DETECTION_3D_ARRAY,
    DIAGNOSTIC_ARRAY,
    IMAGE,
    INFERENCE_STATUS,
    INSTANCE_DISTANCE,
    INSTANCE_DISTANCE_ARRAY,
    LABEL_INFO,
    typestore,
)

_SECOND_NS = 1_000_000_000


def located(result: PanopticDepth) -> list[InstanceDistance]:
    """Instances whose position is known: viewers and planners take NaN in a pose for an error."""
    return [d for d in result.distances if np.isfinite(d.position_m).all()]


@dataclass(frozen=True)
class MessageMaker:
    """
    Makes messages of one family of classes.

    :param message_class: name like 'sensor_msgs/msg/Image' -> class that takes fields by name.
    :param sequence: (N,) contiguous array -> an unbounded sequence of numbers.
    :param octet: 0..255 -> value of type byte.
    """

    message_class: Callable[[str], Any]
    sequence: Callable[[NDArray[Any]], Any]
    octet: Callable[[int], Any]

    def __call__(self, name: str, /, **fields: Any) -> Any:
        """
        One message.

        :param fields: all of them, since rosbags has no defaults.
        """
        return self.message_class(name)(**fields)

    def time(self, nanoseconds: int, name: str = 'Time') -> Any:
        """builtin_interfaces/Time or Duration."""
        sec, nanosec = divmod(int(nanoseconds), _SECOND_NS)
        return self(f'builtin_interfaces/msg/{name}', sec=sec, nanosec=nanosec)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """std_msgs/Header."""
        return self('std_msgs/msg/Header', stamp=self.time(stamp_ns), frame_id=frame_id)

    def vector(self, name: str, values: Iterable[float]) -> Any:
        """geometry_msgs/Point, Vector3 or Quaternion."""
        fields = {axis: float(value) for axis, value in zip('xyzw', values, strict=False)}
        return self(f'geometry_msgs/msg/{name}', **fields)

    def pose(self, position: Iterable[float]) -> Any:
        """geometry_msgs/Pose that is not turned."""
        return self('geometry_msgs/msg/Pose', position=self.vector('Point', position),
                    orientation=self.vector('Quaternion', (0.0, 0.0, 0.0, 1.0)))

    def image(self, head: Any, array: NDArray[Any], encoding: str) -> Any:
        """
        sensor_msgs/Image.

        :param array: (H, W) or (H, W, 3) of the encoding's dtype, see image_encodings.MAPS.
        """
        step, is_bigendian, data = encode_map(array, encoding)
        return self(IMAGE, header=head, height=array.shape[0], width=array.shape[1],
                    encoding=encoding, is_bigendian=int(is_bigendian), step=step,
                    data=self.sequence(data))

    def _roi(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> Any:
        return self('sensor_msgs/msg/RegionOfInterest', x_offset=int(x), y_offset=int(y),
                    height=int(height), width=int(width), do_rectify=False)

    def camera_info(self, head: Any, camera: Intrinsics) -> Any:
        """sensor_msgs/CameraInfo of a camera without distortion."""
        k = np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1], np.float64)
        p = np.insert(k, (3, 6, 9), 0.0)
        return self(CAMERA_INFO, header=head, height=int(camera.height), width=int(camera.width),
                    distortion_model='plumb_bob', d=self.sequence(np.zeros(5)), k=k,
                    r=np.eye(3).ravel(), p=p, binning_x=0, binning_y=0, roi=self._roi())

    def instance_distance(self, instance: InstanceDistance) -> Any:
        """panoptic_depth/InstanceDistance."""
        segment = instance.segment
        return self(
            INSTANCE_DISTANCE, panoptic_id=int(segment.panoptic_id),
            class_id=int(segment.class_id), class_name=instance.class_name,
            instance_id=int(segment.instance_id), track_id=int(instance.track_id),
            is_thing=bool(segment.is_thing), score=float(segment.score),
            flags=int(instance.flags), roi=self._roi(*instance.roi),
            pixel_count=int(segment.pixel_count),
            valid_depth_count=int(instance.valid_depth_count),
            distance=float(instance.distance_m),
            distance_stddev=float(instance.distance_stddev_m),
            distance_near=float(instance.distance_near_m), depth=float(instance.depth_m),
            position=self.vector('Point', instance.position_m),
            position_covariance=np.asarray(instance.position_covariance, np.float32).ravel(),
            nearest_point=self.vector('Point', instance.nearest_point_m),
            size=self.vector('Vector3', instance.size_m))

    def instance_distance_array(self, head: Any, result: PanopticDepth, latency_ns: int,
                                scale_source: ScaleSource = ScaleSource.METRIC_MODEL) -> Any:
        """
        panoptic_depth/InstanceDistanceArray.

        :param latency_ns: live: from the stamp to sending; offline: time of processing.
        """
        height, width = result.panoptic.shape
        return self(
            INSTANCE_DISTANCE_ARRAY, header=head, camera_frame_id=result.frame_id,
            image_width=width, image_height=height, label_divisor=int(result.label_divisor),
            scale_source=int(scale_source), model_id=result.model_id,
            latency=self.time(latency_ns, 'Duration'),
            instances=[self.instance_distance(instance) for instance in result.distances])

    def _detection(self, head: Any, instance: InstanceDistance) -> Any:
        # The direction of a visible part is not known: its variances are NaN, not 0.
        covariance = np.full((6, 6), np.nan)
        covariance[:3, :3] = instance.position_covariance
        pose = self.pose(instance.position_m)
        result = self(
            'vision_msgs/msg/ObjectHypothesisWithPose',
            hypothesis=self('vision_msgs/msg/ObjectHypothesis', class_id=instance.class_name,
                            score=float(instance.segment.score)),
            pose=self('geometry_msgs/msg/PoseWithCovariance', pose=pose,
                      covariance=covariance.ravel()))
        number = instance.track_id if instance.track_id >= 0 else instance.segment.panoptic_id
        return self(
            'vision_msgs/msg/Detection3D', header=head, results=[result], id=str(number),
            bbox=self('vision_msgs/msg/BoundingBox3D', center=pose,
                      size=self.vector('Vector3', instance.size_m)))

    def detection_3d_array(self, head: Any, result: PanopticDepth) -> Any:
        """vision_msgs/Detection3DArray of the instances whose position is known."""
        return self(DETECTION_3D_ARRAY, header=head,
                    detections=[self._detection(head, d) for d in located(result)])

    def label_info(self, head: Any, classes: Sequence[ClassInfo] = CITYSCAPES) -> Any:
        """vision_msgs/LabelInfo: the names of the values of ~/output/semantic."""
        return self(LABEL_INFO, header=head, threshold=0.0, class_map=[
            self('vision_msgs/msg/VisionClass', class_id=info.class_id, class_name=info.name)
            for info in classes])

    def inference_status(self, head: Any, status: StreamStatus) -> Any:
        """panoptic_depth/InferenceStatus."""
        return self(
            INFERENCE_STATUS, header=head, state=int(status.state), message=status.message,
            build_progress=float(status.build_progress), backend=status.backend,
            model_id=status.model_id, tasks=list(status.tasks),
            engine_key=status.engine_key,
            frames_received=int(status.frames_received),
            frames_processed=int(status.frames_processed),
            frames_dropped_queue=int(status.frames_dropped_queue),
            frames_dropped_age=int(status.frames_dropped_age),
            frames_dropped_error=int(status.frames_dropped_error),
            messages_lost=int(status.messages_lost),
            input_rate_hz=float(status.input_rate_hz),
            output_rate_hz=float(status.output_rate_hz),
            latency_ms=np.array(status.latency_ms, np.float32),
            inference_ms=np.array(status.inference_ms, np.float32),
            gpu_memory_bytes=int(status.gpu_memory_bytes))

    def diagnostic_array(self, head: Any, healths: Sequence[Health], hardware_id: str) -> Any:
        """
        diagnostic_msgs/DiagnosticArray.

        :param hardware_id: what the findings are about: the device or the node.
        """
        return self(DIAGNOSTIC_ARRAY, header=head, status=[
            self('diagnostic_msgs/msg/DiagnosticStatus', level=self.octet(int(health.level)),
                 name=health.name, message=health.message, hardware_id=hardware_id,
                 values=[self('diagnostic_msgs/msg/KeyValue', key=key, value=value)
                         for key, value in health.values.items()])
            for health in healths])


ROSBAGS_MESSAGES = MessageMaker(lambda name: typestore().types[name], np.asarray, int)
"""Of the classes that bags are read and written with; needs no ROS."""
