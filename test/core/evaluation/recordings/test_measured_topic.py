# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Measured depth of a recording: through tf, by stamps, and never both blended and scored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from panoptic_depth_core.cli import main
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.messages.measured_points import HoldOut
from panoptic_depth_core.io.sources.bag_source import BagSource
from panoptic_depth_core.io.sources.measured_depth import MeasuredTopic, open_measured_depth
from simulated_drive import DEPTH_TOPIC, LIDAR_TOPIC, write_simulated_drive

pytestmark = pytest.mark.usefixtures('no_plots')

FRAMES = 4


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    """Return a drive at 10 m/s whose clouds are 40 ms later than the images."""
    path = tmp_path_factory.mktemp('drives') / 'drive'
    write_simulated_drive(path, FRAMES, lidar_pixels=5)
    return path


def frames_of(path):
    with BagSource(path, CameraOptions()) as source:
        yield from source


def true_depth(path):
    with RecordingReader(path, RecordingSettings()) as reader:
        return [item.truth.depth for item in reader]


def seen(points, frame):
    """(N,) rows, columns and depth of the points in the picture."""
    u, v = np.rint(frame.intrinsics.pixels(points[:, :2] / points[:, 2:])).astype(int).T
    inside = (points[:, 2] > 0) & (u >= 0) & (u < frame.intrinsics.width) & (
        v >= 0) & (v < frame.intrinsics.height)
    return v[inside], u[inside], points[inside, 2]


@pytest.mark.parametrize('topic', [LIDAR_TOPIC, DEPTH_TOPIC])
def test_points_are_the_true_depth_of_their_pixels(drive, topic):
    """The LiDAR has its own frame, and the vehicle drives 0.4 m between the two stamps."""
    with MeasuredTopic(drive, topic) as measured:
        for frame, truth in zip(frames_of(drive), true_depth(drive), strict=True):
            v, u, z = seen(measured.add(frame).measured_points_m, frame)
            assert z.size > 300
            error = np.abs(z - truth[v, u]) / truth[v, u]
            assert np.median(error) < 1e-3 and np.mean(error < 0.02) > 0.95
    assert not measured.notes and measured.blended > 300 * FRAMES and not measured.held_out


def test_messages_too_far_in_time_are_no_points_and_noted(drive):
    with MeasuredTopic(drive, LIDAR_TOPIC, max_age_s=0.03) as measured:
        assert all(measured.add(frame) is frame for frame in frames_of(drive))
    (note,) = measured.notes
    assert 'nothing within 0.03 s' in note and measured.notes[note] == FRAMES


def test_frames_may_be_left_out(drive):
    frames = list(frames_of(drive))
    with MeasuredTopic(drive, LIDAR_TOPIC) as measured:
        last = measured.points(frames[-1])
    with MeasuredTopic(drive, LIDAR_TOPIC) as measured:
        *_, every = [measured.points(frame) for frame in frames]
    np.testing.assert_array_equal(last, every)


def test_without_tf_it_is_said(tmp_path):
    write_simulated_drive(tmp_path / 'drive', 2, tf='none')
    with MeasuredTopic(tmp_path / 'drive', LIDAR_TOPIC) as measured:
        for frame in frames_of(tmp_path / 'drive'):
            assert measured.points(frame) is None
    (note,) = measured.notes
    assert "no transform from 'lidar' to 'camera_optical'" in note and 'calibration' in note


def test_depth_of_another_frame_needs_its_camera(drive):
    with MeasuredTopic(drive, DEPTH_TOPIC) as measured:
        frame = replace(next(frames_of(drive)), frame_id='base_link')
        assert measured.points(frame) is None
    assert 'no camera_info' in next(iter(measured.notes))


@pytest.mark.parametrize(('topic', 'words'), [
    ('/nothing', 'is not there; point clouds and images are: /camera/image_raw, /lidar/points'),
    ('/tf', 'tf2_msgs')])
def test_wrong_topics_are_refused(drive, topic, words):
    with pytest.raises(ConfigError, match=words):
        open_measured_depth(topic, drive)


def evaluate_bag(path, out, *arguments):
    code = main(['evaluate-bag', str(path), '-o', str(out), '--no-track', '--limit', '2',
                 *map(str, arguments)])
    return code, json.loads((out / 'report.json').read_text()) if code == 0 else None


def test_blended_points_are_not_scored(drive, tmp_path):
    _, alone = evaluate_bag(drive, tmp_path / 'alone')
    code, blended = evaluate_bag(drive, tmp_path / 'blended', '--measured-depth', LIDAR_TOPIC)
    assert code == 0
    error, before = (report['figures']['lidar.abs_rel']['value'] for report in (blended, alone))
    assert error < 0.5 * before
    notes = ' '.join(blended['bags'][0]['notes'])
    assert 'points were blended with the depth of the model' in notes
    assert 'held out at random and scored' in notes
    # Every pixel of the dense truth judges the model: that topic is not blended.
    assert (blended['figures']['depth.abs_rel']['value']
            < 0.6 * alone['figures']['depth.abs_rel']['value'])


def test_what_is_held_out_is_the_rest(drive):
    settings = RecordingSettings.model_validate(
        {'topics': {'measured_depth': LIDAR_TOPIC}, 'measured_depth': {'hold_out': 0.3}})
    whole = RecordingReader(drive, RecordingSettings())
    with whole, RecordingReader(drive, settings) as reader, MeasuredTopic(
            drive, LIDAR_TOPIC, hold_out=HoldOut(0.3)) as measured:
        for item, every in zip(reader, whole, strict=True):
            truth = np.isfinite(item.lidar_depth)
            everything = np.isfinite(every.lidar_depth)
            v, u, _ = seen(measured.points(item.frame), item.frame)
            blended = np.zeros_like(truth)
            blended[v, u] = True
            assert 0.2 < truth.sum() / everything.sum() < 0.4
            assert not truth[~everything].any()
            # A pixel may hold a point of either kind.
            assert (truth & blended).sum() < 0.05 * truth.sum()
    assert measured.held_out == pytest.approx(
        0.3 * (measured.held_out + measured.blended), rel=0.1)


def test_truth_that_is_blended_whole_is_refused(drive, tmp_path, capsys):
    settings = tmp_path / 'settings.yaml'
    settings.write_text(yaml.safe_dump({'measured_depth': {'hold_out': 0.0}}))
    code, _ = evaluate_bag(drive, tmp_path / 'out', '--measured-depth', LIDAR_TOPIC,
                           '--evaluation', settings)
    assert code != 0
    told = ' '.join(capsys.readouterr().err.split())
    assert 'both truth and measured_depth' in told and 'hold_out is 0' in told


def test_recorded_results_cannot_be_blended(tmp_path, capsys):
    write_simulated_drive(tmp_path / 'drive', 2, depth_factor=1.0)
    code, _ = evaluate_bag(tmp_path / 'drive', tmp_path / 'out', '--results', 'recorded',
                           '--measured-depth', LIDAR_TOPIC)
    assert code != 0
    assert 'the results are recorded' in ' '.join(capsys.readouterr().err.split())


def test_predict_with_a_topic(drive, tmp_path, capsys):
    assert main(['predict', str(drive), '-o', str(tmp_path), '--measured-depth', LIDAR_TOPIC,
                 '--limit', '2', '--formats', 'depth_npy']) == 0
    truth = true_depth(drive)[0]
    depth = np.load(next(Path(tmp_path).rglob('000000.npy')))
    known = np.isfinite(truth) & np.isfinite(depth) & (truth < 40)
    assert np.median(np.abs(depth[known] / truth[known] - 1)) < 0.1
