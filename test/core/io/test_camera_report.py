# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth camera``: what is shown of a source, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
from bag_makers import CAMERA, image, info, map_image, pixels, write_bag
from panoptic_depth_core.cli import main
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.structures import Intrinsics


def show(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and warnings."""
    code = main(['camera', *map(str, arguments)])
    return code, *capsys.readouterr()


def values(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[Any]]:
    """Exit code and what --json prints."""
    code, out, _ = show(capsys, *arguments, '--json')
    return code, json.loads(out)


def lens_info(index: int, **changes: Any) -> Any:
    """CameraInfo with a lens."""
    entry = info(index, **changes)
    entry.message.d = make.sequence([-0.3, 0.1, 0.0, 0.0, 0.0])
    return entry


def test_a_bag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / 'bag', [lens_info(0), info(0, topic='/rear/camera_info'), image(0),
                                       image(1)])
    code, out, warned = show(capsys, bag)
    assert (code, warned) == (0, '')
    for words in ('/camera/image_raw (2 images)', 'CameraInfo /camera/camera_info: the names belo',
                  'K: the topic does not say rectified', '50.00, 51.00 px', 'plumb_bob -0.3 0.1 0',
                  '40x24 px', 'optical', '/camera/camera_info /rear/camera_info',
                  'in meters by this camera'):
        assert words in out
    code, (found,) = values(capsys, bag)
    assert code == 0
    assert found['camera'] == {'fx': 50.0, 'fy': 51.0, 'cx': 19.0, 'cy': 11.0, 'width': 40,
                               'height': 24, 'lens': {'model': 'plumb_bob',
                                                      'coefficients': [-0.3, 0.1, 0.0, 0.0]}}
    assert (found['known'], found['origin'], found['matrix']) == (True, 'camera_info', 'K')
    assert found['camera_info']['d'] == [-0.3, 0.1, 0.0, 0.0, 0.0]
    # Wider than the 43.6 degrees of the pinhole camera.
    assert found['field_of_view_deg'][0] == pytest.approx(46.0, abs=1.0)
    code, (found,) = values(capsys, bag, '--camera-info-use', 'p')
    assert (code, found['matrix'], found['camera']['lens']) == (0, 'P', None)
    assert found['why_matrix'] == 'camera_info.use is p'


def test_every_image_topic_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    thermal = image(0, '/thermal/image')
    thermal.message.header.frame_id = 'thermal'
    bag = write_bag(tmp_path / 'bag', [
        info(0, topic='/left/camera_info'), image(0, '/left/image_raw'),
        thermal, map_image(0, '/depth', '32FC1', 'f4')])
    code, found = values(capsys, bag)
    assert code == 2
    assert [(report['images'], report['known']) for report in found] == [
        ('/left/image_raw', True), ('/thermal/image', False)]
    code, out, warned = show(capsys, bag, '--image-topic', '/thermal/image')
    assert code == 2 and 'a horizontal field of view of 70 degrees is assumed' in out
    assert 'relative: off by the factor' in out and 'give --camera, --fov or --fx' in out
    assert 'no CameraInfo belongs to it by name or frame_id' in warned
    assert show(capsys, bag, '--image-topic', '/left/image_raw')[0] == 0
    assert show(capsys, bag, '--fov', '60')[0] == 0


def test_problems_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / 'bag', [info(0, k0=0.0, p0=0.0), image(0)])
    code, out, warned = show(capsys, bag)
    assert code == 2 and '/camera/camera_info' in out
    assert 'not calibrated: K has a focal length that is not positive' in warned


def test_what_a_lens_leaves_out_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]
                                         ) -> None:
    wide = info(0, Intrinsics(14.0, 14.0, 19.5, 11.5, 40, 24))
    wide.message.distortion_model, wide.message.d = 'equidistant', make.sequence([0.0, 0, 0, 0.01])
    code, _, warned = show(capsys, write_bag(tmp_path / 'wide', [wide, image(0)]))
    assert code == 0 and 'more than a pinhole view of 110 degrees' in warned
    bent = info(0)
    bent.message.d = make.sequence([-8.0, 0, 0, 0, 0])
    code, _, warned = show(capsys, write_bag(tmp_path / 'bent', [bent, image(0)]))
    assert code == 0 and 'some pixels of the image have no ray' in warned


def test_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / 'a.png'
    cv2.imwrite(str(picture), pixels(0))
    assert show(capsys, picture)[0] == 2
    (tmp_path / 'camera.json').write_text(json.dumps(
        {key: getattr(CAMERA, key) for key in ('fx', 'fy', 'cx', 'cy', 'width', 'height')}))
    code, out, _ = show(capsys, tmp_path)
    assert code == 0 and f'{tmp_path / "camera.json"} beside the images' in out
    code, out, _ = show(capsys, picture, '--camera', tmp_path / 'camera.json')
    assert code == 0 and 'camera file' in out
    cv2.imwrite(str(picture), pixels(0, 40, 24))
    code, out, warned = show(capsys, picture)
    assert code == 2 and 'none: no image could be used' in out
    assert 'the image is turned by 90 degrees' in warned


def test_a_topic_is_no_source(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = show(capsys, '/camera/image_raw')
    assert code == 2 and 'ros2 run panoptic_depth camera /camera/image_raw' in said
