# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera of an image, by policy and by the CameraInfo that arrived."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from panoptic_depth_core.config import parse_settings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.streaming.cameras import CameraMemory
from panoptic_depth_core.streaming.settings import CameraInfoSettings
from panoptic_depth_core.structures import Intrinsics

SECOND_NS = 1_000_000_000
CAMERA = Intrinsics(50.0, 51.0, 19.0, 11.0, 40, 24)
FALLBACK = Intrinsics(60.0, 61.0, 20.0, 12.0, 40, 24)
K = (60.0, 0, 20.0, 0, 61.0, 12.0, 0, 0, 1)
DEFAULT = Intrinsics.from_fov(70.0, 40, 24)
STAMP_NS = 100 * SECOND_NS


def info(stamp_ns: int = STAMP_NS, camera: Intrinsics = CAMERA, **changes: Any) -> Any:
    """CameraInfo; changes replace fields."""
    message = make.camera_info(make.header(stamp_ns, 'optical'), camera)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


UNCALIBRATED = info(k=[0.0] * 9, p=[0.0] * 12)
NOT_CALIBRATED = 'camera_info is not calibrated: K is zero, P is zero'
CAME_IN = {
    'none': ([], 'none has arrived'),
    'uncalibrated': ([UNCALIBRATED], NOT_CALIBRATED),
    'too old': ([info(STAMP_NS - 3 * SECOND_NS)],
                'the latest is older than the image by more than camera_info.max_age_s, '
                'which is 1 s'),
    'too new': ([info(STAMP_NS + 3 * SECOND_NS)],
                'the latest is newer than the image by more than camera_info.max_age_s, '
                'which is 1 s'),
    'of its stamp': ([info()], ''),
    'of about its time': ([info(STAMP_NS - SECOND_NS // 10)], ''),
    'without a stamp': ([info(0)], ''),
    'calibrated, then not': ([info(), UNCALIBRATED], NOT_CALIBRATED),
    'of another shape': ([info(camera=replace(CAMERA, width=24, height=40))], (
        'camera_info is of 24x40 px, the image of 40x24 px: the image is turned by 90 degrees; '
        'turn it back, or give the camera as turned')),
    'not calibrated, then so': ([UNCALIBRATED, info()], ''),
}


def memory(policy: str, given: bool, messages: list[Any]) -> CameraMemory:
    made = CameraMemory(CameraInfoSettings(policy=policy, fallback_k=K if given else (),
                                           max_age_s=1.0), topic='/front/camera_info')
    for message in messages:
        made.remember(message)
    return made


@pytest.mark.parametrize('given', [True, False], ids=['with k', 'without k'])
@pytest.mark.parametrize('came_in', CAME_IN)
def test_require(came_in: str, given: bool) -> None:
    messages, words = CAME_IN[came_in]
    cameras = memory('require', given, messages)
    if not words:
        assert cameras.resolve(40, 24, STAMP_NS) == (CAMERA, 'camera_info')
        assert cameras.problem(STAMP_NS) == ('', False)
        return
    with pytest.raises(ConfigError) as caught:
        cameras.resolve(40, 24, STAMP_NS)
    assert str(caught.value) == (f'/front/camera_info: {words}; publish it, or set '
                                 'camera_info.policy to fallback and camera_info.fallback_k')
    assert cameras.problem(STAMP_NS) == (f'/front/camera_info: {words}; images are skipped', True)


@pytest.mark.parametrize('given', [True, False], ids=['with k', 'without k'])
@pytest.mark.parametrize('came_in', CAME_IN)
def test_fallback(came_in: str, given: bool) -> None:
    messages, words = CAME_IN[came_in]
    cameras = memory('fallback', given, messages)
    found, problem = cameras.resolve(40, 24, STAMP_NS), cameras.problem(STAMP_NS)
    if not words:
        assert (found, problem) == ((CAMERA, 'camera_info'), ('', False))
    elif given:
        assert found == (FALLBACK, 'fallback')
        assert problem == (f'/front/camera_info: {words}; camera_info.fallback_k is used', False)
    else:
        assert found == (DEFAULT, 'default')
        assert problem[0].startswith('the camera is not known: a field of view of 70 degrees')
        assert not problem[1]


@pytest.mark.parametrize('given', [True, False], ids=['with k', 'without k'])
@pytest.mark.parametrize('came_in', CAME_IN)
def test_ignore(came_in: str, given: bool) -> None:
    cameras = memory('ignore', given, CAME_IN[came_in][0])
    found, problem = cameras.resolve(40, 24, STAMP_NS), cameras.problem(STAMP_NS)
    if given:
        assert (found, problem) == ((FALLBACK, 'fallback'), ('', False))
    else:
        assert found == (DEFAULT, 'default')
        assert 'set camera_info.fallback_k' in problem[0] and not problem[1]


def test_any_age_will_do_unless_it_is_limited() -> None:
    cameras = CameraMemory(CameraInfoSettings())
    cameras.remember(info(1))
    assert cameras.resolve(40, 24, STAMP_NS) == (CAMERA, 'camera_info')
    cameras.settings = CameraInfoSettings(max_age_s=1.0)
    with pytest.raises(ConfigError, match='the latest is older than the image'):
        cameras.resolve(40, 24, STAMP_NS)


def test_the_one_of_its_stamp_wins_over_the_latest() -> None:
    cameras = CameraMemory(CameraInfoSettings())
    zooms = [replace(CAMERA, fx=100.0 + number) for number in range(20)]
    for number, camera in enumerate(zooms):
        cameras.remember(info(number * SECOND_NS, camera))
    for number in range(15, 20):
        assert cameras.resolve(40, 24, number * SECOND_NS)[0] == zooms[number]
    # Between two of them, after the last, and so long ago that it is forgotten: the latest.
    for stamp_ns in (17 * SECOND_NS + 1, 50 * SECOND_NS, 0):
        assert cameras.resolve(40, 24, stamp_ns)[0] == zooms[19]


def test_after_a_jump_back_the_newer_of_two_of_one_stamp_wins() -> None:
    cameras = CameraMemory(CameraInfoSettings(max_age_s=0.5))
    zoomed = replace(CAMERA, fx=80.0)
    for stamp_ns, camera in ((1, CAMERA), (5 * SECOND_NS, CAMERA), (1, zoomed)):
        cameras.remember(info(stamp_ns, camera))
    assert cameras.resolve(40, 24, 1) == (zoomed, 'camera_info')


def test_what_had_to_be_assumed_is_said_but_nothing_is_skipped() -> None:
    cameras = CameraMemory(CameraInfoSettings(), topic='/info')
    cameras.remember(info())
    assert cameras.resolve(80, 48, STAMP_NS)[0] == CAMERA.transformed(2, 2, 0, 0, 80, 48)
    assert cameras.problem(STAMP_NS) == (
        '/info: camera_info is of 40x24 px, the image of 80x48 px: the intrinsics are scaled',
        False)
    cameras.resolve(40, 24, STAMP_NS)
    assert cameras.problem(STAMP_NS) == ('', False)


def test_rectified_images_have_the_camera_of_p() -> None:
    p = [70.0, 0, 20.0, 0, 0, 71.0, 12.0, 0, 0, 0, 1, 0]
    for rectified, fx in ((False, 50.0), (True, 70.0)):
        cameras = CameraMemory(CameraInfoSettings(), rectified)
        cameras.remember(info(p=p))
        assert cameras.resolve(40, 24, STAMP_NS)[0].fx == fx


def test_the_setting_overrules_the_names() -> None:
    p = [70.0, 0, 20.0, 0, 0, 71.0, 12.0, 0, 0, 0, 1, 0]
    for rectified, use, fx in ((True, 'k', 50.0), (False, 'p', 70.0)):
        cameras = CameraMemory(CameraInfoSettings(use=use), rectified)
        cameras.remember(info(p=p))
        assert cameras.resolve(40, 24, STAMP_NS)[0].fx == fx


def test_problems_are_known_before_the_first_image() -> None:
    cameras = CameraMemory(CameraInfoSettings(), topic='/info')
    assert cameras.is_empty
    cameras.remember(UNCALIBRATED)
    assert not cameras.is_empty
    assert cameras.problem(STAMP_NS) == (f'/info: {NOT_CALIBRATED}; images are skipped', True)


def test_the_frame_of_another_camera_is_said() -> None:
    cameras = CameraMemory(CameraInfoSettings(), topic='/info')
    cameras.remember(info())
    assert cameras.resolve(40, 24, STAMP_NS, 'rear')[0] == CAMERA
    assert cameras.problem(STAMP_NS) == (
        '/info: camera_info belongs to the frame optical, the image to rear', False)


def test_the_info_of_its_frame_where_cameras_share_a_topic() -> None:
    cameras = CameraMemory(CameraInfoSettings(), topic='/info')
    for _ in range(3):
        cameras.remember(info())
        cameras.remember(info(camera=FALLBACK, header=make.header(STAMP_NS, 'rear')))
    assert cameras.resolve(40, 24, STAMP_NS, 'optical')[0] == CAMERA
    assert cameras.problem(STAMP_NS) == ('', False)
    assert cameras.resolve(40, 24, STAMP_NS, '/rear')[0] == FALLBACK
    # What the latest says counts, where one camera has another frame from then on.
    renamed = CameraMemory(CameraInfoSettings(), topic='/info')
    renamed.remember(info())
    renamed.remember(info(camera=FALLBACK, header=make.header(STAMP_NS, 'rear')))
    assert renamed.resolve(40, 24, STAMP_NS, 'optical')[0] == FALLBACK


def test_settings_may_change() -> None:
    cameras = memory('require', True, [])
    with pytest.raises(ConfigError, match='none has arrived'):
        cameras.resolve(40, 24, STAMP_NS)
    cameras.settings = CameraInfoSettings(policy='fallback', fallback_k=K)
    assert cameras.resolve(40, 24, STAMP_NS) == (FALLBACK, 'fallback')


@pytest.mark.parametrize('k', [K[:8], (0.0, *K[1:]), (*K[:4], -1.0, *K[5:]),
                               (float('nan'), *K[1:]), (*K[:2], float('inf'), *K[3:])])
def test_a_fallback_that_is_no_k_is_refused(k: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match='here: fallback_k is .*give 9 finite numbers, row by'):
        parse_settings(CameraInfoSettings, {'fallback_k': k}, 'here')


def test_one_thread_remembers_while_others_ask() -> None:
    """Whatever is found is whole: one of the cameras that came in, of the stamp asked for."""
    cameras = CameraMemory(CameraInfoSettings(max_age_s=1e-9))
    messages = [info(10 * number, replace(CAMERA, fx=100.0 + number)) for number in range(1, 300)]
    start, done, wrong = threading.Barrier(3), threading.Event(), []

    def ask() -> None:
        start.wait()
        while not done.is_set():
            for number in range(1, 300):
                try:
                    camera, _ = cameras.resolve(40, 24, 10 * number)
                except ConfigError:
                    continue
                except RuntimeError as error:
                    # A deque says so when it changes while it is looked through.
                    wrong.append(error)
                    return
                if camera.fx != 100.0 + number:
                    wrong.append((number, camera))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    for message in messages:
        cameras.remember(message)
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
