# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How recordings are read and scored; config/replay/evaluate_bag.yaml lists all of it."""

from __future__ import annotations

from pydantic import Field, field_validator

from ...config import Settings
from ..settings import EvaluationSettings


class TopicSettings(Settings):
    """Topics of a bag; empty: found by themselves, or taken for missing."""

    image: str = Field('', description='sensor_msgs/Image or CompressedImage')
    camera_info: str = Field('', description='sensor_msgs/CameraInfo of the images')
    labels: str = Field('', description='true panoptic ids (16UC1, class * label_divisor + '
                        'instance, 65535 void) or classes (8UC1, 255 void); empty: '
                        '/truth/panoptic')
    depth: str = Field('', description='true depth of the pixels of the image, 32FC1 metres or '
                       '16UC1 millimetres; empty: /truth/depth')
    lidar: str = Field('', description='sensor_msgs/PointCloud2; empty: the only one that is not '
                       'a result of this program')
    boxes: str = Field('', description='vision_msgs/Detection3DArray or '
                       'panoptic_depth/InstanceDistanceArray; empty: /truth/boxes')
    node: str = Field('', description='name of the node whose recorded results are read, such as '
                      '/panoptic_depth; empty: the only one')


class SyncSettings(Settings):
    """What belongs to an image, by stamps."""

    map_tolerance_s: float = Field(0.0, ge=0, allow_inf_nan=False, description='farthest stamp of '
                                   'true labels and depth; they are not moved to the image')
    lidar_tolerance_s: float = Field(0.06, ge=0, allow_inf_nan=False, description='farthest stamp '
                                     'of a point cloud')
    box_tolerance_s: float = Field(0.06, ge=0, allow_inf_nan=False, description='farthest stamp '
                                   'of true boxes')
    max_delay_s: float = Field(5.0, gt=0, allow_inf_nan=False, description='an image waits for '
                               'what belongs to it until the recording is so much later')
    max_waiting: int = Field(64, ge=1, description='images that wait at most, which bounds the '
                             'memory')


class LidarSettings(Settings):
    """Which points of a cloud are the depth of a pixel."""

    min_m: float = Field(0.5, ge=0, description='nearer points are left out: the vehicle itself')
    max_m: float = Field(80.0, gt=0, description='farther points are left out')
    occlusion_window_px: int = Field(
        9, ge=1, description='a point is hidden by a nearer one within so many columns around it, '
        '1.5 times as many rows above it and a quarter below; 15 for rings more than 10 px apart')
    occlusion_ratio: float = Field(0.1, gt=0, description='and nearer by more than this share of '
                                   'its depth')
    compensate_motion: bool = Field(True, description='move points from their stamp to that of '
                                    'the image, where tf has odometry')
    min_instance_points: int = Field(5, ge=1, description='points that an instance must have for '
                                     'its distance to be judged')


class BoxSettings(Settings):
    """Which predicted instance answers a true box."""

    min_iou: float = Field(0.5, gt=0, le=1, description='least IoU of the rectangles in the image')
    min_height_px: int = Field(20, ge=1, description='boxes that look smaller are left out')


class ConsistencySettings(Settings):
    """What is compared between frames, where nothing is known to be true."""

    max_gap_s: float = Field(0.5, gt=0, allow_inf_nan=False, description='frames farther apart '
                             'are not compared')
    flow_width_px: int = Field(311, ge=64, description='width at which the optical flow is '
                               'measured; wider is slower')
    min_instance_pixels: int = Field(400, ge=1, description='smaller instances may come and go')
    ground_classes: tuple[str, ...] = Field(('road',), description='classes that are on one plane '
                                            'in front of the camera')


class WorstSettings(Settings):
    """Frames that are shown as pictures."""

    count: int = Field(10, ge=0, le=100, description='how many')
    by: str = Field('', description='depth or lidar (absRel), labels (PQ), consistency (stability '
                    'of labels); empty: the first of these that is known of any frame')

    @field_validator('by')
    @classmethod
    def _is_ranked(cls, by: str) -> str:
        # The metrics are scored with these settings.
        from .worst_frames import ranked

        if by and by not in ranked():
            raise ValueError(f'frames are not ranked by it; give one of {", ".join(ranked())}')
        return by


class ReplaySettings(Settings):
    """All of it."""

    topics: TopicSettings = TopicSettings()
    sync: SyncSettings = SyncSettings()
    lidar: LidarSettings = LidarSettings()
    boxes: BoxSettings = BoxSettings()
    consistency: ConsistencySettings = ConsistencySettings()
    worst: WorstSettings = WorstSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
