# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera of the images of a bag, of a folder and of a video: what is used, noted, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_makers import CAMERA, Entry, image, info, pixels, write_bag
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.sources.frame_source import FrameSource
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.structures import Intrinsics

OTHER = Intrinsics(70.0, 71.0, 20.0, 12.0, 40, 24)


def of_frame(entry: Entry, frame_id: str) -> Entry:
    """The same, of another frame."""
    entry.message.header.frame_id = frame_id
    return entry


def changed(entry: Entry, **changes: Any) -> Entry:
    """The same, with other fields."""
    for name, value in changes.items():
        setattr(entry.message, name, value)
    return entry


def with_p(entry: Entry, camera: Intrinsics) -> Entry:
    """The same, with P of a camera."""
    p = make.camera_info(make.header(0, ''), camera).p
    return changed(entry, p=p)


def read(tmp_path: Path, entries: list[Entry], **options: Any) -> tuple[FrameSource, list[Any]]:
    """A bag with these messages, read to its end."""
    source = open_source(write_bag(tmp_path / 'bag', entries), **options)
    return source, list(source)


@pytest.mark.parametrize(('topic', 'beside'), [
    ('/camera/image_rectified', '/camera/camera_info'),
    ('/camera/rect/image', '/camera/rect/camera_info'),
    ('/camera/rectified/image', '/camera/camera_info')])
def test_p_of_images_whose_topic_says_rectified(topic: str, beside: str, tmp_path: Path) -> None:
    both = changed(with_p(info(0, topic=beside), OTHER), d=make.sequence([-0.3, 0.1, 0, 0, 0]))
    source, (frame,) = read(tmp_path, [both, image(0, topic)])
    assert frame.intrinsics == OTHER and not source.notes
    (frame,) = open_source(tmp_path / 'bag', camera_info_use='k')
    assert frame.intrinsics.pinhole == CAMERA
    assert frame.intrinsics.lens == Lens('plumb_bob', (-0.3, 0.1, 0.0, 0.0))


def test_the_info_below_the_image_topic(tmp_path: Path) -> None:
    """Webots: that of the depth camera has the size of the image, but is not its own."""
    own = CAMERA.transformed(2, 2, 0, 0, 80, 48)
    source, (frame,) = read(tmp_path, [
        info(0, own, '/arm/color/camera_info'), info(0, OTHER, '/arm/depth/camera_info'),
        image(0, '/arm/color')])
    assert frame.intrinsics == CAMERA
    assert all('scaled' in note for note in source.notes)


def test_the_info_of_the_same_side(tmp_path: Path) -> None:
    _, (frame,) = read(tmp_path, [
        info(0, OTHER, '/right/camera_info_rect'), info(0, CAMERA, '/left/camera_info_rect'),
        image(0, '/left/image_rect')])
    assert frame.intrinsics == CAMERA and frame.intrinsics_source == 'camera_info'


@pytest.mark.parametrize(('infos', 'frame_id', 'used'), [
    (['/driver/calib'], 'optical', True), (['/driver/calib'], 'other', False),
    (['/driver/calib'], '', False), (['/a/camera_info', '/b/camera_info'], 'optical', False),
    (['/right/camera_info'], 'optical', False),
])
def test_another_info_only_of_the_same_frame(infos: list[str], frame_id: str, used: bool,
                                             tmp_path: Path) -> None:
    entries = [of_frame(info(0, topic=topic), frame_id) for topic in infos]
    source, (frame,) = read(tmp_path, [*entries, image(0, '/left/image_raw')])
    assert (frame.intrinsics_source == 'camera_info') == used
    if used:
        assert frame.intrinsics == CAMERA
        (note,) = source.notes
        assert note.startswith('/left/image_raw: /driver/calib is used, since it alone has the fr')
    else:
        (note,) = source.notes
        assert note == ('/left/image_raw: no CameraInfo belongs to it by name or frame_id; choose '
                        f'with --camera-info-topic if one does: {", ".join(infos)}')
        # What the user says needs no hint.
        given = open_source(tmp_path / 'bag', fx=44.0)
        assert [f.intrinsics.fx for f in given] == [44.0] and not given.notes


def test_an_info_of_another_frame_is_said(tmp_path: Path) -> None:
    source, (frame,) = read(tmp_path, [of_frame(info(0), 'depth_optical'), image(0)])
    assert frame.intrinsics == CAMERA
    assert list(source.notes) == ['/camera/camera_info: camera_info belongs to the frame '
                                  'depth_optical, the image to optical']


def test_the_info_of_its_frame_where_cameras_share_a_topic(tmp_path: Path) -> None:
    """As Gazebo has them: the infos of all cameras of a robot on one topic."""
    rear = [of_frame(info(i, OTHER, '/camera_info', delay), 'rear')
            for i, delay in ((0, -5), (0, 5), (1, -5), (1, 5))]
    own = [of_frame(info(i, topic='/camera_info'), 'front') for i in (0, 1)]
    source, frames = read(tmp_path, sorted(
        [*rear, *own, *(of_frame(image(i, '/camera_front'), 'front') for i in (0, 1))],
        key=lambda entry: entry.time_ns))
    assert [frame.intrinsics for frame in frames] == [CAMERA, CAMERA] and not source.notes


@pytest.mark.parametrize('k', [[1.0, 0, 0, 0, 1, 0, 0, 0, 1], [0.0] * 9, [1e308] * 9])
def test_p_where_k_is_useless(k: list[float], tmp_path: Path) -> None:
    source, (frame,) = read(tmp_path, [changed(info(0), k=np.array(k)), image(0)])
    assert frame.intrinsics == CAMERA
    assert all('so P is used' in note for note in source.notes) and source.notes


def test_what_the_latest_info_says_counts(tmp_path: Path) -> None:
    bad = {'k0': 0.0, 'k4': 0.0, 'p0': 0.0, 'p5': 0.0}
    source, frames = read(tmp_path, [
        info(0, **bad), image(0), info(1), image(1), info(2, **bad), image(2), image(3),
        info(4, OTHER), image(4)])
    assert [frame.intrinsics_source for frame in frames] == [
        'camera_info', 'camera_info', 'default', 'default', 'camera_info']
    assert frames[0].intrinsics == CAMERA and frames[4].intrinsics == OTHER
    assert source.notes == {
        '/camera/camera_info: is not calibrated at its begin; the first calibrated one is used': 1,
        '/camera/camera_info: camera_info is not calibrated: K is zero, P is zero; it counts as '
        'missing': 2}


def test_an_info_of_another_shape_counts_as_missing(tmp_path: Path) -> None:
    source, (frame,) = read(tmp_path, [info(0, Intrinsics(50, 50, 12, 20, 24, 40)), image(0)])
    assert frame.intrinsics_source == 'default'
    (note,) = source.notes
    assert 'is of 24x40 px, the image of 40x24 px: the image is turned by 90 degrees' in note
    assert note.endswith('it counts as missing')


def test_the_lens_comes_with_the_camera(tmp_path: Path) -> None:
    source, (frame,) = read(tmp_path, [changed(info(0), d=make.sequence([-0.3, 0.1, 0, 0, 0])),
                                       image(0)])
    assert frame.intrinsics.lens == Lens('plumb_bob', (-0.3, 0.1, 0.0, 0.0))
    assert not source.notes


@pytest.mark.parametrize('sidecar', [True, False], ids=['beside', 'option'])
def test_pictures_of_another_shape_than_the_camera_are_skipped(sidecar: bool,
                                                               tmp_path: Path) -> None:
    camera = tmp_path / ('camera.json' if sidecar else 'mine.json')
    camera.write_text(json.dumps({'fx': 50.0, 'fy': 51.0, 'cx': 19.0, 'cy': 11.0, 'width': 40,
                                  'height': 24}))
    for name, size in (('a_whole', (24, 40)), ('b_turned', (40, 24)), ('c_cropped', (24, 30)),
                       ('d_half', (12, 20)), ('e_turned', (40, 24))):
        cv2.imwrite(str(tmp_path / f'{name}.png'), pixels(0, *size))
    source = open_source(tmp_path, intrinsics_file=None if sidecar else camera)
    frames = {frame.name: frame.intrinsics for frame in source}
    assert list(frames) == ['a_whole', 'd_half']
    assert frames['d_half'].fx / frames['d_half'].fy == pytest.approx(50 / 51)
    assert sorted(source.skipped.values()) == [1, 2]
    assert any('the image of 24x40 px: the image is turned by 90 degrees' in reason
               for reason in source.skipped)


def test_the_file_beside_is_not_asked_where_the_user_says_it(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), pixels(0))
    (tmp_path / 'ost.yaml').write_text('not a camera')
    (frame,) = open_source(tmp_path, fx=60.0)
    assert (frame.intrinsics.fx, frame.intrinsics_source) == (60.0, 'user')
    with pytest.raises(ConfigError, match=r'ost\.yaml: holds no object'):
        open_source(tmp_path)


def test_a_video_of_another_shape_than_the_camera(tmp_path: Path) -> None:
    path = tmp_path / 'film.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10.0, (64, 48))
    for index in range(2):
        writer.write(pixels(index, 48, 64))
    writer.release()
    (tmp_path / 'camera.json').write_text(json.dumps(
        {'fx': 50.0, 'fy': 51.0, 'cx': 19.0, 'cy': 11.0, 'width': 40, 'height': 24}))
    source = open_source(path)
    assert not list(source)
    assert list(source.skipped.values()) == [2]
