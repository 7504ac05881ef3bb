# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Which CameraInfo topic belongs to an image topic, by the names that drivers give."""

from __future__ import annotations

import pytest
from panoptic_depth_core.io.cameras.topics import (
    OF_THE_FRAME,
    SIBLINGS,
    find_info_topic,
    says_rectified,
    usual_camera_info_topic,
    without_transport,
)

DRIVERS = {
    'usb_cam': ('/image_raw', '/camera_info'),
    'usb_cam in a namespace': ('/camera1/image_compressed', '/camera1/camera_info'),
    'compressed': ('/cam/image_raw/compressed', '/cam/camera_info'),
    'ffmpeg': ('/cam/image_raw/ffmpeg', '/cam/camera_info'),
    'zstd': ('/cam/image_raw/zstd', '/cam/camera_info'),
    'RealSense': ('/camera/camera/color/image_raw', '/camera/camera/color/camera_info'),
    'RealSense D405': ('/camera/color/image_rect_raw', '/camera/color/camera_info'),
    'RealSense infra': ('/camera/infra1/image_rect_raw', '/camera/infra1/camera_info'),
    'ZED': ('/zed/zed_node/left/image_rect_color', '/zed/zed_node/left/camera_info'),
    'ZED raw': ('/zed/zed_node/left_raw/image_raw_color', '/zed/zed_node/left_raw/camera_info'),
    'ZED 5': ('/zed/zed_node/rgb/color/rect/image', '/zed/zed_node/rgb/color/rect/camera_info'),
    'ZED 5 below': ('/zed/zed_node/rgb/color/rect/image',
                    '/zed/zed_node/rgb/color/rect/image/camera_info'),
    'Isaac': ('/left/image_rect', '/left/camera_info_rect'),
    'Isaac Hawk': ('/front_stereo_camera/left/image_rect_color',
                   '/front_stereo_camera/left/camera_info_rect'),
    'Isaac Sim': ('/rgb_left', '/camera_info_left'),
    'Isaac Sim in one word': ('/front_stereo_camera/left_rgb/image_raw',
                              '/front_stereo_camera/left_rgb/camerainfo'),
    'depthai': ('/oak/rgb/image_raw', '/oak/rgb/camera_info'),
    'depthai rectified': ('/oak/rgb/image_rect', '/oak/rgb/camera_info'),
    'depthai example': ('/color/image', '/color/camera_info'),
    'Webots': ('/UR5e/D405_color', '/UR5e/D405_color/camera_info'),
    'AirSim': ('/airsim_node/drone/front_center/Scene',
               '/airsim_node/drone/front_center/Scene/camera_info'),
    'Gazebo': ('/camera/image', '/camera/camera_info'),
    'Gazebo, a bare topic': ('/camera', '/camera_info'),
    'CARLA': ('/carla/ego_vehicle/rgb_front/image', '/carla/ego_vehicle/rgb_front/camera_info'),
    'Autoware': ('/sensing/camera/camera0/image_rect_color/compressed',
                 '/sensing/camera/camera0/camera_info'),
    'nuScenes': ('/CAM_FRONT/image_rect_compressed', '/CAM_FRONT/camera_info'),
    'image_proc in a namespace': ('/camera/rect/image', '/camera/camera_info'),
    'numbered in one folder': ('/stereo/image0', '/stereo/camera_info0'),
    'side first': ('/stereo/left_image_raw', '/stereo/left_camera_info'),
    'folder of infos': ('/images/front', '/camera_info/front'),
    'of another word': ('/front/image', '/front/calibration'),
    'in one word': ('/front/RGBImage', '/front/CameraInfo'),
}
OF_OTHERS = ('/depth/camera_info', '/right/camera_info', '/right/camera_info_rect',
             '/camera_info_right', '/UR5e/D405_depth/camera_info', '/stereo/camera_info1',
             '/stereo/right_camera_info', '/camera_info/rear', '/zed/zed_node/right/camera_info',
             '/camera/camera/depth/camera_info', '/oak/left/camera_info')


@pytest.mark.parametrize('driver', DRIVERS)
def test_topics_as_drivers_name_them(driver: str) -> None:
    image, info = DRIVERS[driver]
    assert find_info_topic(image, [info]).topic == info
    # However many others there are.
    assert find_info_topic(image, [*OF_OTHERS, info]).topic == info
    assert find_info_topic(image, OF_OTHERS).topic is None


@pytest.mark.parametrize('rule', SIBLINGS, ids=[rule.where for rule in SIBLINGS])
def test_the_examples_of_the_table(rule: object) -> None:
    image, info = rule.example
    found = find_info_topic(image, [info])
    assert (found.topic, found.rule) == (info, rule.where)


@pytest.mark.parametrize(('image', 'infos', 'chosen'), [
    # Rectified as the image is.
    ('/left/image_rect', ['/left/camera_info', '/left/camera_info_rect'], 1),
    ('/left/image_raw', ['/left/camera_info', '/left/camera_info_rect'], 0),
    # The CameraInfo of rectified images is not that of raw ones.
    ('/left/image_raw', ['/left/camera_info_rect'], None),
    # Below wins over beside.
    ('/cam/color', ['/cam/camera_info', '/cam/color/camera_info'], 1),
    ('/cam/image_left', ['/cam/camera_info', '/cam/camera_info_left'], 1),
    ('/cam/image_left', ['/cam/camera_info', '/cam/camera_info_right'], 0),
    ('/left/image_raw', ['/right/camera_info'], None),
    ('/image_raw', [], None),
])
def test_the_closest_is_taken(image: str, infos: list[str], chosen: int | None) -> None:
    found = find_info_topic(image, infos)
    assert found.topic == (None if chosen is None else infos[chosen])
    assert found.all == tuple(sorted(infos))


@pytest.mark.parametrize(('image', 'infos', 'taken'), [
    ('/image_topic', ['/driver/calib'], True),
    ('/image_topic', ['/a/camera_info', '/b/camera_info'], False),
    ('/left/image_raw', ['/right/camera_info'], False),
    ('/front/image_raw', ['/rear/camera_info'], False),
    ('/color/image_raw', ['/depth/camera_info'], False),
    ('/cam0/image_raw', ['/cam1/camera_info'], False),
    ('/camera/0/image_raw', ['/camera_1/camera_info'], False),
    ('/cam/image_raw', ['/rectified/camera_info'], False),
])
def test_one_of_the_frame_only_where_no_name_speaks_against_it(image: str, infos: list[str],
                                                               taken: bool) -> None:
    assert find_info_topic(image, infos).topic is None
    found = find_info_topic(image, infos, lambda: infos)
    assert (found.topic, found.rule) == ((infos[0], OF_THE_FRAME) if taken else (None, ''))


@pytest.mark.parametrize(('topic', 'rectified'), [
    ('/camera/image_rect', True), ('/camera/image_rect_color/compressed', True),
    ('/camera/image_rectified', True), ('/camera/rectified/image', True), ('/rect/image', True),
    ('/left/camera_info_rect', True), ('/cam/imageRect', True), ('/cam/undistorted', True),
    ('/camera/image_raw', False), ('/image_direct', False), ('/rectangle/image', False),
    ('/unrectified/image', False), ('/camera/image_not_rectified', False), ('', False),
    ('/camera/image_raw_not_rect/image_rect', True),
])
def test_rectified_by_any_word(topic: str, rectified: bool) -> None:
    assert says_rectified(topic) == rectified
    assert says_rectified('/camera/image', topic) == rectified


@pytest.mark.parametrize(('image', 'info'), [
    ('/camera/image_raw', '/camera/camera_info'), ('/image_raw', '/camera_info'),
    # A relative name stays below the namespace of the node.
    ('image_raw', 'camera_info'), ('front/image_raw/compressed', 'front/camera_info'),
    ('~/image', '~/camera_info'),
])
def test_the_usual_name(image: str, info: str) -> None:
    assert usual_camera_info_topic(image) == info


def test_transports_are_no_part_of_the_name() -> None:
    assert without_transport('/a/image/compressedDepth') == '/a/image'
    assert without_transport('compressed') == 'compressed'
