# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole road of a frame, with a renderer in place of the network."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.config import (
    DepthSettings,
    DistanceSettings,
    GroundSettings,
    InferenceSettings,
    Thresholds,
)
from panoptic_depth_core.contract import MOUNTING, SEGMENT_COLUMNS, THRESHOLDS
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.pipeline import STEPS, Pipeline, merged_thresholds
from panoptic_depth_core.inference.video import Video
from panoptic_depth_core.labels import CLASS_ID, SEMKITTI, VOID_ID, class_of
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.model_info import ExtraInput
from panoptic_depth_core.structures import DistanceFlag, Frame, Intrinsics, Mounting, ScaleSource
from rendered_scene import GROUND_M, PLATES, Renderer, by_id, frame_at


@pytest.fixture
def pipeline(info, table):
    return Pipeline(ModelDirectory(Path('unused'), info), Renderer(info, table))


def test_scene(pipeline):
    frame = frame_at(stamp_ns=5, frame_id='front', name='one')
    result = pipeline(frame)
    assert (result.stamp_ns, result.frame_id, result.name) == (5, 'front', 'one')
    assert (result.model_id, result.label_divisor) == ('painted', 1000)
    assert result.intrinsics is frame.intrinsics
    assert result.panoptic.shape == result.depth.shape == (240, 500)
    assert result.panoptic.dtype == np.uint16 and result.depth.dtype == np.float32
    assert tuple(result.step_ms) == STEPS and all(v >= 0 for v in result.step_ms.values())
    found = by_id(result)
    # The better car is the near one; persons count for themselves.
    assert [d.segment.panoptic_id for d in result.distances] == [11001, 13001, 13002]
    for panoptic_id, row in ((13001, 3), (13002, 2), (11001, 4)):
        left, right, top, bottom, z = PLATES[row]
        centre = np.array([(left + right) / 2, (top + bottom) / 2, z])
        distance = found[panoptic_id]
        pixel = 2 * z / frame.intrinsics.fx
        np.testing.assert_allclose(distance.position_m, centre, atol=pixel)
        assert distance.depth_m == pytest.approx(z, abs=0.01)
        assert distance.distance_m == pytest.approx(np.linalg.norm(distance.position_m), abs=1e-4)
        x, y, width, height = distance.roi
        camera = frame.intrinsics
        assert x == pytest.approx(camera.cx + left / z * camera.fx, abs=2)
        assert x + width == pytest.approx(camera.cx + right / z * camera.fx, abs=2)
        assert y == pytest.approx(camera.cy + top / z * camera.fy, abs=2)
        assert not distance.flags
    # Every segment's pixels are in the image, as many as it says, at its depth.
    for segment in result.segments:
        assert np.count_nonzero(result.panoptic == segment.panoptic_id) == segment.pixel_count
    assert np.median(result.depth[result.panoptic == 13001]) == pytest.approx(10.0)
    assert np.isposinf(result.depth[class_of(result.panoptic) == CLASS_ID['sky']]).all()


def test_ground_depth_is_exact_in_every_pixel(pipeline):
    """Also between the pixels of the map: 1/Z of a plane is linear."""
    frame = frame_at(1.7)
    result = pipeline(frame)
    v, u = np.nonzero(result.panoptic == 0)
    true = GROUND_M / ((v - frame.intrinsics.cy) / frame.intrinsics.fy)
    depth = result.depth[v, u]
    # Not next to other segments or depths out of range, where the nearest map pixel counts, and
    # not at the rim.
    kernel = np.ones((9, 9), np.uint8)
    inner = cv2.erode((result.panoptic == 0).astype(np.uint8), kernel, borderValue=0)[v, u] > 0
    inner &= true < 60
    assert inner.sum() > 10_000
    np.testing.assert_allclose(depth[inner], true[inner], rtol=1e-3)


@given(st.floats(0.5, 2.0), st.sampled_from(('letterbox', 'crop')),
       st.sampled_from(((500, 240), (320, 240), (512, 256), (700, 200))))
@settings(max_examples=25)
def test_focal_scaling(info, scale, fit, size):
    """The same picture resized, with its intrinsics, gives the same meters."""
    table = np.zeros((6, len(SEGMENT_COLUMNS)), np.float32)
    table[:5, 0], table[:5, 1], table[:5, 2] = 1, (0, 10, 13, 13, 11), (0, 0, 1, 1, 1)
    table[:5, 3] = 0.9, 0.8, 0.7, 0.95, 0.6
    model = ModelDirectory(Path('unused'), info)
    results = []
    for s in (1.0, scale):
        pipeline = Pipeline(model, Renderer(info, table), InferenceSettings(fit=fit))
        frame = frame_at(s, *size)
        results.append((pipeline(frame), pipeline.backend.calls[0][1]))
    (one, camera), (other, other_camera) = results
    # Rounding of the resized sides to whole pixels is all that is left of the scale.
    np.testing.assert_allclose(other_camera, camera, rtol=0.01, atol=1.0)
    ours, theirs = by_id(one), by_id(other)
    assert ours.keys() == theirs.keys()
    for panoptic_id, distance in ours.items():
        if distance.flags == theirs[panoptic_id].flags == 0:
            assert theirs[panoptic_id].depth_m == pytest.approx(distance.depth_m, abs=0.01)
            assert theirs[panoptic_id].distance_m == pytest.approx(distance.distance_m, rel=0.01)


def test_crop_has_no_result_where_it_was_cut(info, table):
    model = ModelDirectory(Path('unused'), info)
    pipeline = Pipeline(model, Renderer(info, table), InferenceSettings(fit='crop'))
    result = pipeline(frame_at(1.0, 320, 240))
    # 512 wide means 1.6 times: 384 rows, of which 256 stay, 160 in px of the image.
    void = result.panoptic == VOID_ID
    assert void[:40].all() and void[-40:].all() and not void[40:-40].any()
    assert np.isnan(result.depth[void]).all() and not np.isnan(result.depth[~void]).any()


def test_cut_instances_are_truncated(pipeline):
    frame = frame_at()
    near = replace(frame.intrinsics, fx=1200.0, fy=1200.0)
    result = pipeline(replace(frame, intrinsics=near))
    assert by_id(result)[13001].flags == DistanceFlag.TRUNCATED


def test_depth_settings(info, table):
    model = ModelDirectory(Path('unused'), info)

    def run(**depth):
        return Pipeline(model, Renderer(info, table), InferenceSettings(
            depth=DepthSettings(**depth)))(frame_at())

    doubled = run(scale=2.0)
    assert by_id(doubled)[13001].depth_m == pytest.approx(20.0)
    assert np.median(doubled.depth[doubled.panoptic == 13001]) == pytest.approx(20.0)
    near = run(max_m=15.0)
    assert by_id(near)[13002].flags & DistanceFlag.BEYOND_RANGE
    assert np.isnan(by_id(near)[13002].distance_m)
    assert near.distances[-1].segment.panoptic_id == 13002
    assert np.isposinf(near.depth[near.panoptic == 13002]).all()
    unknown = run(max_m=15.0, far_value='nan')
    assert by_id(unknown)[13002].flags & DistanceFlag.BEYOND_RANGE
    assert np.isnan(unknown.depth[unknown.panoptic == 13002]).all()
    assert not np.isinf(unknown.depth).any()
    no_sky = run(sky_is_far=False)
    assert np.isnan(no_sky.depth[class_of(no_sky.panoptic) == CLASS_ID['sky']]).all()


def test_stuff_and_divisor(info, table):
    model = ModelDirectory(Path('unused'), info)
    result = Pipeline(model, Renderer(info, table), InferenceSettings(
        label_divisor=256, distance=DistanceSettings(include_stuff=True)))(frame_at())
    assert result.label_divisor == 256
    assert {d.class_name for d in result.distances} == {'road', 'sky', 'car', 'person'}
    assert set(np.unique(result.panoptic)) == {0, 2560, 13 * 256 + 1, 13 * 256 + 2, 11 * 256 + 1}
    assert np.isposinf(result.depth[result.panoptic == 2560]).all()


def test_a_class_table_without_sky(make_info, table):
    """What has the place of sky in the table of Cityscapes is something with a distance."""
    classes = [{'name': c.name, 'color': c.color, 'is_thing': c.is_thing} for c in SEMKITTI]
    info = make_info(input_height=256, input_width=512, classes=classes)
    table[:, 0], table[0, 1] = (1, 0, 0, 0, 0, 0), CLASS_ID['sky']
    result = Pipeline(ModelDirectory(Path('x'), info), Renderer(info, table))(frame_at())
    sidewalk = class_of(result.panoptic) == CLASS_ID['sky']
    assert sidewalk.any() and np.isfinite(result.depth[sidewalk]).any()


def test_temperature(info, table):
    warm = Pipeline(ModelDirectory(Path('x'), info.model_copy(
        update={'log_depth_temperature': 3.0})), Renderer(info, table))
    plain = Pipeline(ModelDirectory(Path('x'), info), Renderer(info, table))
    scales = [by_id(p(frame_at()))[13001].segment.log_depth_scale for p in (plain, warm)]
    assert scales[1] == pytest.approx(3 * scales[0])


def test_nothing_found(info, table):
    table[:, 0] = 0
    result = Pipeline(ModelDirectory(Path('x'), info), Renderer(info, table))(frame_at())
    assert result.segments == () and result.distances == ()
    assert (result.panoptic == VOID_ID).all()
    # An unknown obstacle is an obstacle: void has a depth.
    assert np.isfinite(result.depth).any()


def test_focal_length_outside_of_training_is_said_once(pipeline, caplog):
    with caplog.at_level(logging.WARNING):
        pipeline(frame_at(fx=300.0))
        assert not caplog.records
        pipeline(frame_at(fx=20.0))
        pipeline(frame_at(fx=20.0))
    message, = caplog.messages
    assert 'focal length at network size is 20 px' in message
    assert 'trained on 50 to 2000 px' in message


def test_nan_from_the_graph_is_an_error(pipeline, monkeypatch):
    good = pipeline.backend.run
    monkeypatch.setattr(pipeline.backend, 'run', lambda *a: replace(
        good(*a), depth=np.full_like(good(*a).depth, np.nan)))
    with pytest.raises(BackendError, match='renderer: depths are not finite'):
        pipeline(frame_at())


def test_thresholds_of_model_and_user(info, table):
    model = Thresholds(score=0.6, void=0.1)
    assert merged_thresholds(model, Thresholds()) == model
    # Set explicitly, even to the default of the program, it is the user's.
    mixed = merged_thresholds(model, Thresholds(score=0.3))
    assert (mixed.score, mixed.void) == (0.3, 0.1)
    trained = ModelDirectory(Path('x'), info.model_copy(update={'thresholds': model}))
    pipeline = Pipeline(trained, Renderer(info, table), InferenceSettings(
        thresholds=Thresholds(overlap=0.9)))
    pipeline(frame_at())
    sent = dict(zip(THRESHOLDS, pipeline.backend.calls[0][2].tolist(), strict=True))
    assert sent == pytest.approx({'score': 0.6, 'overlap': 0.9, 'stuff_area': 0.001, 'void': 0.1})


def test_closed_at_the_end(pipeline):
    with pipeline as inside:
        assert inside is pipeline and not pipeline.backend.closed
    assert pipeline.backend.closed


def test_divisor_that_does_not_fit(info, table, make_info):
    many = [{'name': str(i), 'color': (0, 0, 0), 'is_thing': False} for i in range(100)]
    with pytest.raises(ConfigError, match='label_divisor is 1000, too much for 100 classes'):
        Pipeline(ModelDirectory(Path('x'), make_info(classes=many)), Renderer(info, table))


def test_from_a_path_with_onnxruntime(painted_model, painted_image):
    with Pipeline(painted_model.path, threads=1) as pipeline:
        result = pipeline(Frame(painted_image(32, 64), Intrinsics.from_focal(50.0, 64, 32)))
    assert [d.depth_m for d in result.distances] == [5.0, 10.0, 20.0]
    assert [d.segment.panoptic_id for d in result.distances] == [11001, 13001, 13002]


@pytest.mark.parametrize('error', [0.75, 1.3])
def test_a_known_mounting_ties_depth_to_the_ground(info, table, error):
    """depth.scale stands for a network whose meters are wrong."""
    wrong = InferenceSettings(depth=DepthSettings(scale=error))
    frame = frame_at(1.7)
    mounted = replace(frame, mounting=Mounting(GROUND_M))
    with Pipeline(ModelDirectory(Path('unused'), info), Renderer(info, table), wrong) as pipeline:
        alone, tied = pipeline(frame), pipeline(mounted)
        pipeline.configure(wrong.model_copy(update={'ground': GroundSettings(anchor=False)}))
        off = pipeline(mounted)
    assert alone.ground is None and alone.scale_source == ScaleSource.EXTERNAL
    assert off.ground is None and off.depth.tobytes() == alone.depth.tobytes()
    assert tied.scale_source == ScaleSource.CAMERA_HEIGHT
    assert tied.ground.factor == pytest.approx(1 / error, rel=0.02)
    assert tied.mounting == mounted.mounting
    v, u = np.nonzero(tied.panoptic == 0)
    true = GROUND_M / ((v - frame.intrinsics.cy) / frame.intrinsics.fy)
    near = true < 15
    assert np.median(tied.depth[v, u][near] / true[near]) == pytest.approx(1.0, abs=0.02)
    assert np.median(alone.depth[v, u][near] / true[near]) == pytest.approx(error, rel=0.02)
    assert np.array_equal(tied.panoptic, alone.panoptic)


def test_models_without_depth_have_no_scale(info, table):
    info = info.model_copy(update={'tasks': frozenset(('semantic', 'instances'))})
    with Pipeline(ModelDirectory(Path('unused'), info), Renderer(info, table)) as pipeline:
        result = pipeline(replace(frame_at(1.7), mounting=Mounting(GROUND_M)))
    assert result.ground is None


def test_an_unknown_mounting_makes_less_certain(info, table):
    """As much as the model says; a known one does not."""
    info = info.model_copy(update={'unknown_mounting_log_error': 0.3})
    frame = frame_at(1.7)
    with Pipeline(ModelDirectory(Path('unused'), info), Renderer(info, table)) as pipeline:
        unknown = by_id(pipeline(frame))[13001]
        known = by_id(pipeline(replace(frame, mounting=Mounting(GROUND_M))))[13001]
    assert unknown.distance_m == pytest.approx(known.distance_m, rel=0.05)
    assert unknown.segment.log_depth_scale > 0.3 / 2 ** 0.5 > known.segment.log_depth_scale
    assert unknown.distance_stddev_m > 2 * known.distance_stddev_m


class ToldRenderer(Renderer):
    """Right where it is told a mounting, else as if the world were 1.6 times as large."""

    def run(self, inputs):
        plane, others = inputs[MOUNTING], {k: v for k, v in inputs.items() if k != MOUNTING}
        made = super().run(others)
        self.calls[-1] = plane
        return made if plane.any() else replace(made, depth=np.float32(1.6) * made.depth)


@pytest.fixture
def told(info, table):
    """A model that takes the mounting."""
    info = info.model_copy(update={
        'extra_inputs': (ExtraInput(name=MOUNTING, shape=(3,), unknown=0.0),),
        'unknown_mounting_log_error': 0.3})
    return Pipeline(ModelDirectory(Path('unused'), info), ToldRenderer(info, table))


def test_a_network_that_is_told_the_mounting_is_checked_without_it(told):
    """Else it would find the ground wherever a wrong mounting puts it."""
    result = told(replace(frame_at(1.7), mounting=Mounting(GROUND_M)))
    assert [plane.any() for plane in told.backend.calls] == [False, True]
    assert result.ground.problem == '' and result.ground.factor == pytest.approx(1 / 1.6, rel=0.02)
    assert result.scale_source == ScaleSource.CAMERA_HEIGHT
    assert by_id(result)[13001].depth_m == pytest.approx(10.0, rel=0.06)
    unknown = told(frame_at(1.7))
    assert by_id(unknown)[13001].depth_m == pytest.approx(16.0, abs=0.1)
    assert len(told.backend.calls) == 3


def test_a_mounting_that_is_refused_counts_as_unknown(told):
    result = told(replace(frame_at(1.7), mounting=Mounting(GROUND_M, pitch_deg=5.0)))
    assert result.ground.refuses
    assert result.scale_source == ScaleSource.METRIC_MODEL
    assert len(told.backend.calls) == 1
    unknown = told(frame_at(1.7))
    assert result.depth.tobytes() == unknown.depth.tobytes()
    assert repr(result.segments) == repr(unknown.segments)


def test_a_video_is_checked_now_and_then(told):
    """A good look lasts for check_s; after a bad one every frame is looked at."""
    video = Video(told)

    def runs(time_s, **mounting):
        before = len(told.backend.calls)
        video(replace(frame_at(stamp_ns=int(1e9 * time_s)), mounting=Mounting(**mounting)))
        return [plane.any() for plane in told.backend.calls[before:]]

    good = {'height_m': GROUND_M}
    assert runs(1.0, **good) == [False, True]
    assert runs(1.1, **good) == runs(2.9, **good) == [True]
    assert runs(3.1, **good) == [False, True]
    # It takes several contradictions, and every frame is asked until then.
    wrong = {'height_m': GROUND_M, 'pitch_deg': 5.0}
    assert runs(5.2, **wrong) == runs(5.3, **wrong) == [False, True]
    assert runs(5.4, **wrong) == [False]
    assert runs(5.5, **good) == [False, True]
    assert runs(5.6, **good) == [True]


def test_without_anchoring_it_is_believed(told):
    told.configure(told.settings.model_copy(update={'ground': GroundSettings(anchor=False)}))
    result = told(replace(frame_at(1.7), mounting=Mounting(GROUND_M, pitch_deg=5.0)))
    assert [plane.any() for plane in told.backend.calls] == [True]
    assert result.ground is None and result.scale_source == ScaleSource.CAMERA_HEIGHT


def test_an_input_of_the_frame_comes_first(told):
    """Zeros tell the network nothing; the depth is anchored all the same."""
    frame = replace(frame_at(1.7), mounting=Mounting(GROUND_M),
                    extra_inputs={MOUNTING: np.zeros(3, np.float32)})
    result = told(frame)
    assert [plane.any() for plane in told.backend.calls] == [False]
    assert result.ground.factor == pytest.approx(1 / 1.6, rel=0.02)
    assert by_id(result)[13001].depth_m == pytest.approx(10.0, rel=0.2)
