# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the metrics, and of reading recordings, see config/replay/evaluate_bag.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ..config import Settings, parse_settings
from ..errors import ConfigError
from .protocols import PROTOCOLS, DepthProtocol

if TYPE_CHECKING:
    from typing import Self

AbsentClasses = Literal['leave_out', 'zero', 'nan']
"""
What a class that is neither in the truth nor in the prediction does to a mean over classes.

leave_out: it is not in the mean (panopticapi, torchmetrics); zero: it counts as 0 (the published
evaluation of PanopticDepth); nan: the mean is NaN (the evaluation of ViP-DeepLab). Classes that
no frame could judge, for want of labels, are in no mean.
"""

CrowdRule = Literal['same_class', 'any_class', 'none']
"""
What thing pixels with instance 0 in the truth do to a prediction that lies mostly on them.

same_class: no false positive if it is of their class (panopticapi); any_class: never one (for
labels in which the class of a crowd is loose, as vans among cars are in KITTI); none: there are
no crowds, these pixels are one more instance (the published evaluation of PanopticDepth).
"""

WINDOWS: dict[str, tuple[int, ...]] = {
    'cityscapes_dvps': (1, 2, 3, 4), 'semkitti_dvps': (1, 5, 10, 20)}
"""Frames per window of the published DVPQ of a data set."""

TOLERANCES = (0.5, 0.25, 0.1)
DEPTH_CAP_M = 80.0
RANGE_EDGES_M = (10.0, 20.0, 40.0)
MIN_INSTANCE_PIXELS = 100


class EvaluationSettings(Settings):
    """Conventions in which published metrics differ; reports name them."""

    absent_classes: AbsentClasses = Field('leave_out', description='classes in no truth and no '
                                          'prediction: not in a mean, 0 in it, or it is NaN')
    crowds: CrowdRule = Field('any_class', description='a prediction mostly on thing pixels '
                              'without a known instance is no false positive if it is of the '
                              'same class, of any class, or there are no crowds')
    tolerances: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        TOLERANCES, min_length=1, description='relative errors of depth, lambda, up to which '
        'pixels count in DPQ')
    windows: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1,), min_length=1, description='frames of a sequence per window, k, that DVPQ is '
        'measured over; 1 is DPQ')
    min_truth_share: float = Field(0.001, ge=0, le=1, description='classes with less of the '
                                   'labelled pixels are not in the mIoU')
    depth_cap_m: float = Field(DEPTH_CAP_M, gt=0, allow_inf_nan=False, description='true depths '
                               'beyond it do not count')
    range_edges_m: tuple[float, ...] = Field(RANGE_EDGES_M, description='limits between the '
                                             'groups of errors by distance')
    min_instance_pixels: int = Field(MIN_INSTANCE_PIXELS, ge=1, description='smaller instances '
                                     'have no distance error')
    protocol: str = Field('', description='named evaluation of depth images, such as eigen_kitti '
                          'or nyu: its crop, limits and means; empty: none')

    @property
    def depth_protocol(self) -> DepthProtocol | None:
        """What ``protocol`` names."""
        return PROTOCOLS[self.protocol] if self.protocol else None

    @field_validator('protocol')
    @classmethod
    def _is_known(cls, protocol: str) -> str:
        if protocol and protocol not in PROTOCOLS:
            raise ValueError(f'no protocol has this name; known: {", ".join(PROTOCOLS)}')
        return protocol

    @model_validator(mode='after')
    def _has_one_cap(self) -> Self:
        if self.protocol and self.depth_cap_m != DEPTH_CAP_M:
            raise ValueError(f'protocol {self.protocol} has a cap of its own; leave depth_cap_m '
                             'out')
        return self

    @field_validator('tolerances', 'windows')
    @classmethod
    def _differ(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError('a number is there twice; give each once')
        return values


CONVENTIONS: dict[str, dict[str, Any]] = {
    'ours': {},
    'official': {'absent_classes': 'nan', 'crowds': 'none', 'min_truth_share': 0.0},
    'published': {'absent_classes': 'zero', 'crowds': 'none', 'min_truth_share': 0.0},
}
"""
ours: the defaults. official: the evaluation of ViP-DeepLab for Cityscapes-DVPS. published: that of
PanopticDepth, and of ViP-DeepLab for SemKITTI-DVPS. All drop pixels with a depth error above
lambda.
"""


def convention(name: str, **changes: Any) -> EvaluationSettings:
    """
    Return the settings of a convention by its name in CONVENTIONS.

    :param changes: settings that differ from it.
    :raises ConfigError: for an unknown name, or a wrong setting.
    """
    if name not in CONVENTIONS:
        raise ConfigError(f'convention: unknown name {name!r}; known: {", ".join(CONVENTIONS)}')
    return parse_settings(EvaluationSettings, {**CONVENTIONS[name], **changes}, 'evaluation')


class TopicSettings(Settings):
    """Topics of a bag; empty: found automatically, or not used."""

    image: str = Field('', description='sensor_msgs/Image or CompressedImage')
    camera_info: str = Field('', description='sensor_msgs/CameraInfo of the images')
    labels: str = Field('', description='true panoptic ids (16UC1, class * label_divisor + '
                        'instance, 65535 void) or classes (8UC1, 255 void); empty: '
                        '/truth/panoptic')
    depth: str = Field('', description='true depth of the pixels of the image, 32FC1 meters or '
                       '16UC1 millimeters; empty: /truth/depth')
    lidar: str = Field('', description='sensor_msgs/PointCloud2; empty: the only one that is not '
                       'a result of this program')
    boxes: str = Field('', description='vision_msgs/Detection3DArray or '
                       'panoptic_depth/InstanceDistanceArray; empty: /truth/boxes')
    measured_depth: str = Field('', description='depth that is blended with that of the model: '
                                'sensor_msgs/PointCloud2, or depth as Image or compressedDepth; '
                                'empty: none')
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


class MeasuredTopicSettings(Settings):
    """What of topics.measured_depth is blended with the depth of the model."""

    max_age_s: float = Field(0.1, ge=0, allow_inf_nan=False, description='farthest stamp from '
                             'that of the image')
    hold_out: float = Field(0.5, ge=0, lt=1, description='share that is not blended but scored, '
                            'where the topic is that of the truth too: of the rings of a cloud '
                            'with the field ring, else of the points or pixels, at random')
    seed: int = Field(0, ge=0, description='of the choice of what is held out')


class BoxSettings(Settings):
    """Which predicted instance answers a true box."""

    min_iou: float = Field(0.5, gt=0, le=1, description='least IoU of the rectangles in the image')
    min_height_px: int = Field(20, ge=1, description='boxes that look smaller are left out')


class ConsistencySettings(Settings):
    """Comparison of consecutive frames, without any truth."""

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
        # The metrics themselves are scored with these settings.
        from .metrics.table import ranking

        if by and by not in ranking():
            raise ValueError(f'frames are not ranked by it; give one of {", ".join(ranking())}')
        return by


class RecordingSettings(Settings):
    """How a recording is read and scored."""

    topics: TopicSettings = TopicSettings()
    sync: SyncSettings = SyncSettings()
    lidar: LidarSettings = LidarSettings()
    measured_depth: MeasuredTopicSettings = MeasuredTopicSettings()
    boxes: BoxSettings = BoxSettings()
    consistency: ConsistencySettings = ConsistencySettings()
    worst: WorstSettings = WorstSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
