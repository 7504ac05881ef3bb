# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is right for each input of test/cases, and what is still wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / 'cases'


@dataclass(frozen=True)
class Right:
    """
    What is right for an input.

    :param frames: that are used, the least and the most; none: it is refused.
    :param fx: of every frame in px; None where the camera is assumed.
    :param says: words of what is told, in any order.
    :param never: words that are not.
    :param silent: nothing is told but that the camera is not known.
    :param skips: frames are left out and counted.
    :param names: of the frames, in order.
    :param truth: figure of the report, and arguments of evaluate-bag that name its topic.
    :param extra: module that it needs.
    """

    frames: tuple[int, int] = (1, 1)
    fx: float | None = None
    says: tuple[str, ...] = ()
    silent: bool = False
    never: tuple[str, ...] = ()
    skips: bool = False
    names: tuple[str, ...] = ()
    truth: tuple[str, ...] = ()
    extra: str = ''


def used(count: int, fx: float | None = None, **values: Any) -> Right:
    """All frames are used."""
    return Right((count, count), fx, **values)


def refused(*says: str, never: tuple[str, ...] = ()) -> Right:
    """No frame is used, with these words."""
    return Right((0, 0), says=says, never=never)


RIGHT = {
    '01_wal_sidecar/drive': used(12, 345.6),
    '02_rectified_name/image_rectified': used(2, 240.0),
    '02_rectified_name/rect_namespace': used(2, 240.0),
    '03_low_bits_in_16/mono16_10bit': used(1),
    '03_low_bits_in_16/thermal_14bit': used(1),
    '03_low_bits_in_16/png12.png': used(1),
    '04_frame_order/frames': used(12, names=tuple(f'frame_{i}' for i in range(12)), silent=True),
    '05_camera_file_shape/portrait.jpg': refused('384x192', '192x384', 'turned'),
    '05_camera_file_shape/crop43.jpg': refused('384x192', '256x192', 'cropped'),
    '06_info_beside/isaac': used(2, 345.6),
    '06_info_beside/webots': used(2, 172.8, says=('/UR5e/D405_color/camera_info',)),
    '07_jpeg_damaged/zeros.jpg': refused('zeros.jpg', 'JPEG'),
    '07_jpeg_damaged/raw_mjpeg': refused('JPEG'),
    '09_video_damaged_middle/damaged.mp4': Right((14, 19), skips=True),
    '10_lidar_body_frame/optical': used(3, 345.6, truth=('lidar.abs_rel',)),
    '10_lidar_body_frame/body': used(3, 345.6),
    '11_mcap_not_ros2/cdr_no_profile.mcap': used(2, 345.6, silent=True),
    '11_mcap_not_ros2/protobuf.mcap': refused('protobuf', never=('damaged',)),
    '11_mcap_not_ros2/ros1.mcap': refused('ROS 1', never=('damaged',)),
    '12_k_useless_p_good/k_identity': used(2, 345.6, says=('P is used',)),
    '12_k_useless_p_good/k_zero_rect': used(2, 345.6),
    '14_unread_topics/bayer16': used(1),
    '14_unread_topics/compressed_depth': used(1, truth=(
        'depth.abs_rel', '--depth-topic', '/camera/depth/image_raw/compressedDepth')),
    '14_unread_topics/compressed_h264': used(4, extra='av'),
    '14_unread_topics/ffmpeg_packet': used(4, 345.6, extra='av'),
}
