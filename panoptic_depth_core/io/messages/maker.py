# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Frames, results and status as ROS 2 messages, of whichever classes.

rosbags and rclpy have a class each per message type. Only a few fields differ in how they are
stored, so one maker fills both, and bags and the node send the same bytes. Values are native
Python numbers, since rclpy's classes refuse others; arrays of fixed size are numpy in both. Every
header has the stamp and frame_id of the input image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import TASKS, Task
from ...errors import ConfigError
from ...labels import CITYSCAPES, ClassInfo
from ...lens import Lens
from ...status import Health, StreamStatus
from ...structures import InstanceDistance, Intrinsics, PanopticDepth
from ...views import rectified
from ..visualization import label_text
from . import types as msg
from .reading import MAPS

UP_OPTICAL = (0.0, -1.0, 0.0)  # of a level camera (REP-103: y down)
UP_BODY = (0.0, 0.0, 1.0)  # of robots and maps (REP-103: z up)
LEAST_SIZE_M = 0.1  # viewers reject boxes without volume, as of a surface seen head-on
BOX_OPACITY = 0.4
TEXT_HEIGHT_M = 0.6
LIFETIME_NS = 1_000_000_000  # after which viewers drop a box without another message


def located(result: PanopticDepth) -> list[InstanceDistance]:
    """Instances with a known position: viewers and planners reject NaN in a pose."""
    return [d for d in result.distances if np.isfinite(d.position_m).all()]


def _matrix(camera: Intrinsics) -> NDArray[np.float64]:
    """(9,) row by row: projection of a pinhole camera."""
    return np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1], np.float64)


@dataclass(frozen=True)
class MessageMaker:
    """
    Makes messages of rosbags' or rclpy's classes.

    :param message_class: name like 'sensor_msgs/msg/Image' -> class that takes fields by name.
    :param sequence: (N,) contiguous array -> an unbounded sequence of numbers.
    :param octet: 0..255 -> value of type byte.
    """

    message_class: Callable[[str], Any]
    sequence: Callable[[NDArray[Any]], Any]
    octet: Callable[[int], Any]

    def __call__(self, name: str, /, **fields: Any) -> Any:
        """One message; rosbags has no defaults, so all fields are needed."""
        return self.message_class(name)(**fields)

    def time(self, nanoseconds: int, name: str = 'Time') -> Any:
        """builtin_interfaces/Time or Duration."""
        sec, nanosec = divmod(int(nanoseconds), 1_000_000_000)
        return self(f'builtin_interfaces/msg/{name}', sec=sec, nanosec=nanosec)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """std_msgs/Header."""
        return self('std_msgs/msg/Header', stamp=self.time(stamp_ns), frame_id=frame_id)

    def vector(self, name: str, values: Iterable[float]) -> Any:
        """geometry_msgs/Point, Vector3 or Quaternion."""
        fields = {axis: float(value) for axis, value in zip('xyzw', values, strict=False)}
        return self(f'geometry_msgs/msg/{name}', **fields)

    def pose(self, position: Iterable[float]) -> Any:
        """geometry_msgs/Pose without rotation."""
        return self('geometry_msgs/msg/Pose', position=self.vector('Point', position),
                    orientation=self.vector('Quaternion', (0.0, 0.0, 0.0, 1.0)))

    def image(self, head: Any, array: NDArray[Any], encoding: str) -> Any:
        """
        sensor_msgs/Image.

        :param array: (H, W) or (H, W, C) of the dtype that reading.MAPS has for the encoding.
        :raises ConfigError: unknown encoding, or an array of another dtype or shape.
        """
        if encoding not in MAPS:
            raise ConfigError(f'cannot write images as {encoding!r}; known are {", ".join(MAPS)}')
        dtype, channels = MAPS[encoding]
        shape = array.shape[2:] or (1,)
        if array.dtype != np.dtype(dtype) or shape != (channels,) or array.ndim > 3:
            raise ConfigError(f'cannot write {array.dtype} {array.shape} as {encoding!r}; give '
                              f'{np.dtype(dtype)} with {channels} channel(s)')
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return self(msg.IMAGE, header=head, height=array.shape[0], width=array.shape[1],
                    encoding=encoding, is_bigendian=int(sys.byteorder == 'big'),
                    step=data.size // array.shape[0], data=self.sequence(data))

    def _roi(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> Any:
        return self('sensor_msgs/msg/RegionOfInterest', x_offset=int(x), y_offset=int(y),
                    height=int(height), width=int(width), do_rectify=False)

    def camera_info(self, head: Any, camera: Intrinsics) -> Any:
        """sensor_msgs/CameraInfo; P is the camera of the rectified grid (output.rectified)."""
        lens = camera.lens or Lens('plumb_bob', (0.0,) * 5)
        # ROS's plumb_bob has k3, too.
        d = np.array(lens.coefficients + (0.0,) * (len(lens.coefficients) == 4 and
                                                   lens.model == 'plumb_bob'))
        p = np.insert(_matrix(rectified(camera)), (3, 6, 9), 0.0)
        return self(msg.CAMERA_INFO, header=head, height=int(camera.height),
                    width=int(camera.width), distortion_model=lens.model,
                    d=self.sequence(d), k=_matrix(camera), r=np.eye(3).ravel(), p=p, binning_x=0,
                    binning_y=0, roi=self._roi())

    def tf_message(self, head: Any, child_frame_id: str, translation: Iterable[float],
                   rotation: Iterable[float]) -> Any:
        """tf2_msgs/TFMessage of one frame; rotation is a quaternion x, y, z, w."""
        transform = self('geometry_msgs/msg/Transform', translation=self.vector(
            'Vector3', translation), rotation=self.vector('Quaternion', rotation))
        return self(msg.TF_MESSAGE, transforms=[self(
            'geometry_msgs/msg/TransformStamped', header=head, child_frame_id=child_frame_id,
            transform=transform)])

    def instance_distance(self, instance: InstanceDistance) -> Any:
        """panoptic_depth/InstanceDistance."""
        segment = instance.segment
        return self(
            msg.INSTANCE_DISTANCE, panoptic_id=int(segment.panoptic_id),
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
            size=self.vector('Vector3', instance.size_m),
            depth_mean=float(instance.depth_mean_m))

    def instance_distance_array(self, head: Any, result: PanopticDepth, latency_ns: int) -> Any:
        """panoptic_depth/InstanceDistanceArray; latency as in FrameMessages."""
        height, width = result.panoptic.shape
        return self(
            msg.INSTANCE_DISTANCE_ARRAY, header=head, camera_frame_id=result.frame_id,
            image_width=width, image_height=height, label_divisor=int(result.label_divisor),
            scale_source=int(result.scale_source), model_id=result.model_id,
            latency=self.time(latency_ns, 'Duration'),
            instances=[self.instance_distance(instance) for instance in result.distances])

    def _detection(self, head: Any, instance: InstanceDistance) -> Any:
        # The rotation is unknown: its variances are NaN, not 0.
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
        return self(msg.DETECTION_3D_ARRAY, header=head,
                    detections=[self._detection(head, d) for d in located(result)])

    def label_info(self, head: Any, classes: Sequence[ClassInfo] = CITYSCAPES) -> Any:
        """vision_msgs/LabelInfo: the names of the values of ~/output/semantic."""
        return self(msg.LABEL_INFO, header=head, threshold=0.0, class_map=[
            self('vision_msgs/msg/VisionClass', class_id=info.class_id, class_name=info.name)
            for info in classes])

    def inference_status(self, head: Any, status: StreamStatus) -> Any:
        """panoptic_depth/InferenceStatus."""
        return self(
            msg.INFERENCE_STATUS, header=head, state=int(status.state), message=status.message,
            build_progress=float(status.build_progress), backend=status.backend,
            model_id=status.model_id, tasks=list(status.tasks),
            engine_key=status.engine_key,
            **{name: int(getattr(status, name)) for name in (
                'frames_received', 'frames_processed', 'frames_dropped_queue',
                'frames_dropped_age', 'frames_dropped_error', 'messages_lost')},
            input_rate_hz=float(status.input_rate_hz),
            output_rate_hz=float(status.output_rate_hz),
            latency_ms=np.array(status.latency_ms, np.float32),
            inference_ms=np.array(status.inference_ms, np.float32),
            gpu_memory_bytes=int(status.gpu_memory_bytes),
            scale_source=int(status.scale_source),
            **dict(zip(('ground_scale', 'ground_scale_low', 'ground_scale_high'),
                       map(float, status.ground_scale), strict=True)))

    def diagnostic_array(self, head: Any, healths: Sequence[Health], hardware_id: str) -> Any:
        """diagnostic_msgs/DiagnosticArray; hardware_id names the device or the node."""
        return self(msg.DIAGNOSTIC_ARRAY, header=head, status=[
            self('diagnostic_msgs/msg/DiagnosticStatus', level=self.octet(int(health.level)),
                 name=health.name, message=health.message, hardware_id=hardware_id,
                 values=[self('diagnostic_msgs/msg/KeyValue', key=key, value=value)
                         for key, value in health.values.items()])
            for health in healths])


ROSBAGS_MESSAGES = MessageMaker(lambda name: msg.typestore().types[name], np.asarray, int)
"""For bags; needs no ROS."""


def _marker(make: MessageMaker, head: Any, namespace: str = '', number: int = 0,
            kind: str = 'CUBE', position: Iterable[float] = (0, 0, 0),
            scale: Iterable[float] = (0, 0, 0), color: Sequence[int] = (255, 255, 255),
            opacity: float = 1.0, text: str = '') -> Any:
    """visualization_msgs/Marker of a kind, the name of its constant; no namespace: delete all."""
    constants = make.message_class(msg.MARKER)
    r, g, b = (channel / 255.0 for channel in color)
    return make(
        msg.MARKER, header=head, ns=namespace, id=number, type=getattr(constants, kind),
        action=constants.ADD if namespace else constants.DELETEALL, pose=make.pose(position),
        scale=make.vector('Vector3', scale),
        color=make('std_msgs/msg/ColorRGBA', r=r, g=g, b=b, a=opacity),
        lifetime=make.time(LIFETIME_NS if namespace else 0, 'Duration'), frame_locked=False,
        points=[], colors=[], texture_resource='', uv_coordinates=[], text=text, mesh_resource='',
        mesh_use_embedded_materials=False,
        texture=make('sensor_msgs/msg/CompressedImage', header=head, format='',
                     data=make.sequence(np.empty(0, np.uint8))),
        mesh_file=make('visualization_msgs/msg/MeshFile', filename='',
                       data=make.sequence(np.empty(0, np.uint8))))


def tracked_text(instance: InstanceDistance, tasks: frozenset[Task] = TASKS) -> str:
    """``car 12.3 m #7``; the number is the track's, if any."""
    track = f' #{instance.track_id}' if instance.track_id >= 0 else ''
    return label_text(instance, tasks) + track


def box_size(instance: InstanceDistance) -> NDArray[np.float64]:
    """(3,) meters: the visible extent, or LEAST_SIZE_M where that is unknown or less."""
    return np.fmax(instance.size_m.astype(np.float64), LEAST_SIZE_M)


def text_place(instance: InstanceDistance, up: Sequence[float]) -> NDArray[np.float64]:
    """(3,) meters: where a text stands clear of the box."""
    upward = np.asarray(up, np.float64)
    above = 0.5 * float(np.abs(upward) @ box_size(instance)) + TEXT_HEIGHT_M
    return instance.position_m.astype(np.float64) + above * upward


def marker_array(make: MessageMaker, head: Any, result: PanopticDepth,
                 classes: Sequence[ClassInfo] = CITYSCAPES,
                 up: Sequence[float] = UP_OPTICAL) -> Any:
    """
    visualization_msgs/MarkerArray: a box and a text per instance with a known position.

    The first marker deletes the earlier ones. A box has the visible extent along the axes of the
    frame, around the median of the visible points: it covers the surface that the camera sees,
    not the whole object.

    :param head: header in the frame of the positions and sizes.
    :param up: (3,) unit vector in that frame; the text stands above the box.
    """
    markers = [_marker(make, head)]
    for instance in located(result):
        number = int(instance.segment.panoptic_id)
        markers += [
            _marker(make, head, 'boxes', number, 'CUBE', instance.position_m, box_size(instance),
                    classes[instance.segment.class_id].color, BOX_OPACITY),
            _marker(make, head, 'texts', number, 'TEXT_VIEW_FACING', text_place(instance, up),
                    np.full(3, TEXT_HEIGHT_M), text=tracked_text(instance)),
        ]
    return make(msg.MARKER_ARRAY, markers=markers)
