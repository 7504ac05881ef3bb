# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A drive through the simulated street as a recording: camera, LiDAR, odometry, truth, results.

Frames: odom (the world) -> base_link (moves) -> camera_link -> camera_optical, and base_link ->
lidar. The LiDAR has its own place and stamps, so it sees past other edges than the camera.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from panoptic_depth_core.config import DistanceSettings
from panoptic_depth_core.inference.distances import measure_distances
from panoptic_depth_core.io.bags.writing import BagWriter, Outgoing
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.outputs import OUTPUTS, FrameMessages
from panoptic_depth_core.io.messages.types import (
    CAMERA_INFO,
    DETECTION_3D_ARRAY,
    IMAGE,
    LABEL_INFO,
    POINT_CLOUD,
    POINT_FIELD,
)
from panoptic_depth_core.labels import CITYSCAPES, LABEL_DIVISOR
from panoptic_depth_core.rotations import rotation_matrix
from panoptic_depth_core.structures import Frame, Intrinsics, PanopticDepth, Segment
from simulated_scene import STREET, Solid, cast, pixel_rays, render

IMAGE_TOPIC, INFO_TOPIC = '/camera/image_raw', '/camera/camera_info'
LABELS_TOPIC, DEPTH_TOPIC, BOXES_TOPIC = '/truth/panoptic', '/truth/depth', '/truth/boxes'
LIDAR_TOPIC, NODE = '/lidar/points', '/panoptic_depth'
RESULT_TOPICS = ('panoptic', 'depth', 'camera_info', 'instances')
TF_MESSAGE = 'tf2_msgs/msg/TFMessage'

BASE, CAMERA_LINK, OPTICAL, LIDAR, ODOM = ('base_link', 'camera_link', 'camera_optical', 'lidar',
                                           'odom')
START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
TF_PERIOD_NS = 20 * MS
LOG_DEPTH_SCALE = 0.05


class Mount(NamedTuple):
    """How a frame stands in its parent: quaternion x, y, z, w."""

    parent: str
    child: str
    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]

    def matrix(self) -> NDArray[np.float64]:
        """(4, 4) from the child to the parent."""
        result = np.eye(4)
        result[:3, :3] = rotation_matrix(*self.rotation)
        result[:3, 3] = self.translation
        return result


MOUNTS = (
    Mount(BASE, CAMERA_LINK, (0.8, -0.1, 1.5), (0.0, 0.0, 0.0, 1.0)),
    Mount(CAMERA_LINK, OPTICAL, (0.0, 0.0, 0.0), (-0.5, 0.5, -0.5, 0.5)),
    Mount(BASE, LIDAR, (0.2, 0.3, 1.9), (0.0, 0.0175, 0.035, 0.9992)),
)
BASE_OPTICAL = MOUNTS[0].matrix() @ MOUNTS[1].matrix()
BASE_LIDAR = MOUNTS[2].matrix()


def homogeneous(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) of (N, 3), for a matrix (4, 4)."""
    return np.hstack([points, np.ones((len(points), 1))])


@dataclass(frozen=True)
class SimulatedDrive:
    """
    What is there to be seen and known, at any time.

    :param lidar_offset_ns: of the stamps of clouds, from those of the images.
    :param lidar_shape: rings, points per ring.
    :param lidar_pixels: not 0: points are where the ray of every so manieth pixel meets a
        surface that the LiDAR sees too, so that metrics are exact; for a static scene.
    :param speed: m/s; yaw_rate: rad/s, which makes the way an arc.
    :param static_scene: nothing but the vehicle moves.
    """

    frames: int = 8
    width: int = 320
    height: int = 96
    period_ns: int = 100 * MS
    lidar_offset_ns: int = 40 * MS
    lidar_shape: tuple[int, int] = (40, 900)
    lidar_pixels: int = 0
    speed: float = 10.0
    yaw_rate: float = 0.0
    static_scene: bool = True
    solids: tuple[Solid, ...] = field(default=STREET)

    @cached_property
    def camera(self) -> Intrinsics:
        """As wide as that of KITTI."""
        return Intrinsics(0.58 * self.width, 0.58 * self.width, 0.49 * self.width,
                          0.46 * self.height, self.width, self.height)

    def stamp_ns(self, index: int) -> int:
        """Of an image."""
        return START_NS + index * self.period_ns

    def base(self, stamp_ns: int) -> Mount:
        """Where the vehicle is in the world."""
        time = (stamp_ns - START_NS) / 1e9
        yaw = self.yaw_rate * time
        way = self.speed * time
        # Chord of the arc; sinc keeps it right on a straight line.
        chord = way * np.sinc(yaw / 2 / np.pi)
        place = chord * np.cos(yaw / 2), chord * np.sin(yaw / 2), 0.0
        return Mount(ODOM, BASE, place, (0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)))

    def world(self, stamp_ns: int) -> tuple[Solid, ...]:
        """All solids where they are then."""
        time = (stamp_ns - START_NS) / 1e9
        solids = (replace(s, speed=0.0) if self.static_scene else s for s in self.solids)
        return tuple(s.at(time, self.base(stamp_ns).translation[0]) for s in solids)

    def truth(self, index: int
              ) -> tuple[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.float32]]:
        """Picture, panoptic ids and depth, see simulated_scene.render."""
        stamp_ns = self.stamp_ns(index)
        return render(self.world(stamp_ns), self.camera,
                      self.base(stamp_ns).matrix() @ BASE_OPTICAL)

    def cloud(self, stamp_ns: int) -> NDArray[np.float32]:
        """(N, 3) points around the LiDAR in its frame, all measured at the stamp."""
        if self.lidar_pixels:
            return self._pixel_cloud(stamp_ns)
        rings, columns = self.lidar_shape
        down = np.radians(np.linspace(2.0, -25.0, rings))[:, None]
        round_ = np.linspace(-np.pi, np.pi, columns, endpoint=False)
        rays = np.stack([np.cos(down) * np.cos(round_), np.cos(down) * np.sin(round_),
                         np.sin(down) + 0 * round_], axis=-1).reshape(-1, 3)
        pose = self.base(stamp_ns).matrix() @ BASE_LIDAR
        along = cast(self.world(stamp_ns), pose[:3, 3], rays @ pose[:3, :3].T).along
        met = np.isfinite(along)
        return (along[met, None] * rays[met]).astype(np.float32)

    def _pixel_cloud(self, stamp_ns: int) -> NDArray[np.float32]:
        index = (stamp_ns - self.lidar_offset_ns - START_NS) // self.period_ns
        depth = self.truth(index)[2].astype(np.float64).ravel()
        chosen = np.isfinite(depth) & (np.arange(depth.size) % self.lidar_pixels == 0)
        points = homogeneous(pixel_rays(self.camera)[chosen] * depth[chosen, None])
        points = points @ (self.base(self.stamp_ns(index)).matrix() @ BASE_OPTICAL).T
        pose = self.base(stamp_ns).matrix() @ BASE_LIDAR
        rays = points[:, :3] - pose[:3, 3]
        seen = cast(self.world(stamp_ns), pose[:3, 3], rays).along > 1 - 1e-5
        return (points[seen] @ np.linalg.inv(pose).T)[:, :3].astype(np.float32)

    def frame(self, index: int) -> Frame:
        """Its image as a source gives it."""
        return Frame(self.truth(index)[0], self.camera, self.stamp_ns(index), OPTICAL,
                     f'{index:06d}', 'camera_info')

    def result(self, index: int, depth_factor: float = 1.0) -> PanopticDepth:
        """A perfect result but for its depth, which is too great by a factor."""
        _, panoptic, depth = self.truth(index)
        wrong = depth * np.float32(depth_factor)
        segments = tuple(
            Segment(int(i), int(i) // LABEL_DIVISOR, int(i) % LABEL_DIVISOR,
                    CITYSCAPES[int(i) // LABEL_DIVISOR].is_thing, 0.9, int(count),
                    LOG_DEPTH_SCALE)
            for i, count in zip(*np.unique(panoptic, return_counts=True), strict=True))
        distances = measure_distances(panoptic, wrong, segments, self.camera,
                                      [c.name for c in CITYSCAPES], DistanceSettings())
        return PanopticDepth(panoptic, wrong, segments, distances, self.camera, LABEL_DIVISOR,
                             self.stamp_ns(index), OPTICAL, f'{index:06d}', 'simulated')


Change = Callable[[int, PanopticDepth], PanopticDepth | None]


def tf_message(stamp_ns: int, *mounts: Mount) -> Any:
    """tf2_msgs/TFMessage."""
    return make(TF_MESSAGE, transforms=[
        make('geometry_msgs/msg/TransformStamped', header=make.header(stamp_ns, mount.parent),
             child_frame_id=mount.child, transform=make(
                 'geometry_msgs/msg/Transform',
                 translation=make.vector('Vector3', mount.translation),
                 rotation=make.vector('Quaternion', mount.rotation)))
        for mount in mounts])


def cloud_message(head: Any, points: NDArray[np.float32]) -> Any:
    """sensor_msgs/PointCloud2 of x, y, z and an intensity."""
    data = np.hstack([points, np.ones((len(points), 1), np.float32)])
    fields = [make(POINT_FIELD, name=name, offset=4 * i, datatype=7, count=1)
              for i, name in enumerate(('x', 'y', 'z', 'intensity'))]
    return make(POINT_CLOUD, header=head, height=1, width=len(points), fields=fields,
                is_bigendian=False, point_step=16, row_step=16 * len(points),
                data=np.ascontiguousarray(data).view(np.uint8).ravel(), is_dense=True)


def boxes_message(drive: SimulatedDrive, stamp_ns: int, frame_id: str = BASE) -> Any:
    """vision_msgs/Detection3DArray of all things, seen or not, in base_link or odom."""
    head = make.header(stamp_ns, frame_id)
    base = drive.base(stamp_ns)
    inverse = np.linalg.inv(base.matrix())
    heading = 2 * np.arctan2(base.rotation[2], base.rotation[3])
    detections = []
    for solid in drive.world(stamp_ns):
        if solid.instance == 0:
            continue
        place, yaw = np.array(solid.center), solid.yaw
        if frame_id == BASE:
            place, yaw = inverse[:3, :3] @ place + inverse[:3, 3], yaw - heading
        pose = make('geometry_msgs/msg/Pose', position=make.vector('Point', place),
                    orientation=make.vector('Quaternion',
                                            (0, 0, np.sin(yaw / 2), np.cos(yaw / 2))))
        what = make('vision_msgs/msg/ObjectHypothesisWithPose',
                    hypothesis=make('vision_msgs/msg/ObjectHypothesis',
                                    class_id=solid.class_name, score=1.0),
                    pose=make('geometry_msgs/msg/PoseWithCovariance', pose=pose,
                              covariance=np.zeros(36)))
        detections.append(make(
            'vision_msgs/msg/Detection3D', header=head, results=[what],
            bbox=make('vision_msgs/msg/BoundingBox3D', center=pose,
                      size=make.vector('Vector3', solid.size)), id=str(solid.panoptic_id)))
    return make(DETECTION_3D_ARRAY, header=head, detections=detections)


def calibration_yaml() -> str:
    """What --calibration reads: the same as /tf_static."""
    lines = ['transforms:']
    for mount in MOUNTS:
        lines.append(f'  - {{parent: {mount.parent}, child: {mount.child}, '
                     f'translation: {list(mount.translation)}, rotation: {list(mount.rotation)}}}')
    return '\n'.join(lines) + '\n'


def simulated_messages(drive: SimulatedDrive, *, with_lidar: bool = True, with_boxes: bool = True,
                       with_truth: bool = True, depth_factor: float | None = None,
                       change: Change | None = None, tf: str = 'full', box_frame: str = BASE,
                       with_images: bool = True) -> Iterator[tuple[int, list[Outgoing]]]:
    """
    Time of recording in ns and messages, in the order of recording.

    :param depth_factor: None: no results; else they are recorded with this error of the depth.
    :param change: what becomes of the result of a frame; None leaves it out.
    :param tf: full, static (no odometry) or none.
    """
    first, last = drive.stamp_ns(0), drive.stamp_ns(drive.frames - 1)
    events: list[tuple[int, Callable[[], list[Outgoing]]]] = []

    def later(when: int, made: Callable[[], list[Outgoing]]) -> None:
        events.append((when, made))

    def images(index: int) -> list[Outgoing]:
        picture, panoptic, depth = drive.truth(index)
        head = make.header(drive.stamp_ns(index), OPTICAL)
        out = [Outgoing(IMAGE_TOPIC, IMAGE, make.image(head, picture, 'rgb8')),
               Outgoing(INFO_TOPIC, CAMERA_INFO, make.camera_info(head, drive.camera))]
        truth = [Outgoing(LABELS_TOPIC, IMAGE, make.image(head, panoptic, '16UC1')),
                 Outgoing(DEPTH_TOPIC, IMAGE, make.image(head, depth, '32FC1'))]
        return out * with_images + truth * with_truth

    def results(index: int) -> list[Outgoing]:
        result: PanopticDepth | None = drive.result(index, depth_factor or 1.0)
        if change is not None and result is not None:
            result = change(index, result)
        if result is None:
            return []
        messages = FrameMessages(make, drive.frame(index), result, latency_ns=60 * MS)
        out = [Outgoing(f'{NODE}/{OUTPUTS[n].name}', OUTPUTS[n].type, OUTPUTS[n].make(messages))
               for n in RESULT_TOPICS]
        if index == 0:
            out.append(Outgoing(f'{NODE}/output/label_info', LABEL_INFO,
                                make.label_info(messages.head), latched=True))
        return out

    if tf != 'none':
        later(first - 300 * MS, lambda: [Outgoing('/tf_static', TF_MESSAGE,
                                                  tf_message(first, *MOUNTS), latched=True)])
    if tf == 'full':
        for stamp in range(first - 200 * MS, last + 200 * MS, TF_PERIOD_NS):
            later(stamp + MS, lambda s=stamp: [
                Outgoing('/tf', TF_MESSAGE, tf_message(s, drive.base(s)))])
    for index in range(drive.frames):
        stamp = drive.stamp_ns(index)
        later(stamp + 5 * MS, lambda i=index: images(i))
        if with_boxes:
            later(stamp + 6 * MS, lambda s=stamp: [
                Outgoing(BOXES_TOPIC, DETECTION_3D_ARRAY, boxes_message(drive, s, box_frame))])
        if with_lidar:
            at = stamp + drive.lidar_offset_ns
            later(at + 20 * MS, lambda s=at: [
                Outgoing(LIDAR_TOPIC, POINT_CLOUD,
                         cloud_message(make.header(s, LIDAR), drive.cloud(s)))])
        if depth_factor is not None:
            later(stamp + 65 * MS, lambda i=index: results(i))
    for when, made in sorted(events, key=lambda event: event[0]):
        yield when, made()


def write_simulated_drive(path: Path, frames: int = 8, width: int = 320, height: int = 96, *,
                          with_lidar: bool = True, with_boxes: bool = True,
                          with_truth: bool = True, depth_factor: float | None = None,
                          change: Change | None = None, tf: str = 'full', box_frame: str = BASE,
                          with_images: bool = True, storage: str = 'mcap', **options: Any
                          ) -> SimulatedDrive:
    """
    Write the bag, and say what is in it; the same arguments, the same bytes.

    :param options: of SimulatedDrive.
    """
    drive = SimulatedDrive(frames, width, height, **options)
    with BagWriter(path, storage) as writer:
        for number, (when, messages) in enumerate(simulated_messages(
                drive, with_lidar=with_lidar, with_boxes=with_boxes, with_truth=with_truth,
                depth_factor=depth_factor, change=change, tf=tf, box_frame=box_frame,
                with_images=with_images)):
            writer.add(f'{number:06d}', when, messages)
    return drive
