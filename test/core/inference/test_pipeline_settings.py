# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings that change between frames, and results at the size of the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.config import (
    DepthSettings,
    InferenceSettings,
    Thresholds,
    parse_settings,
)
from panoptic_depth_core.contract import MOUNTING, THRESHOLDS
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference.pipeline import STEPS, Pipeline
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.structures import Mounting, ScaleSource
from rendered_scene import GROUND_M, Renderer, by_id, frame_at


def test_other_settings_from_the_next_frame_on(info, table):
    model = ModelDirectory(Path('x'), info.model_copy(
        update={'thresholds': Thresholds(score=0.6, void=0.1)}))
    pipeline = Pipeline(model, Renderer(info, table), InferenceSettings(
        thresholds=Thresholds(score=0.2)))
    before = pipeline(frame_at())
    pipeline.configure(InferenceSettings(
        thresholds=Thresholds(overlap=0.9), label_divisor=256, max_instances=1,
        depth=DepthSettings(scale=2.0, sky_is_far=False)))
    after = pipeline(frame_at())
    fresh = Pipeline(model, Renderer(info, table), pipeline.settings)
    np.testing.assert_array_equal(after.panoptic, fresh(frame_at()).panoptic)
    assert (before.label_divisor, after.label_divisor) == (1000, 256)
    assert len(before.distances) == 3 and len(after.distances) == 1
    assert after.distances[0].depth_m == pytest.approx(2 * by_id(before)[13001].depth_m)
    # Sky is found by the new divisor.
    sky = after.panoptic == CLASS_ID['sky'] * 256
    assert sky.any() and np.isnan(after.depth[sky]).all()
    # Thresholds: of the user, then of the model again, but for another one of the user.
    sent = [dict(zip(THRESHOLDS, call[2].tolist(), strict=True))
            for call in pipeline.backend.calls]
    assert sent[0] == pytest.approx({'score': 0.2, 'overlap': 0.5, 'stuff_area': 0.001,
                                     'void': 0.1})
    assert sent[1] == pytest.approx({'score': 0.6, 'overlap': 0.9, 'stuff_area': 0.001,
                                     'void': 0.1})
    assert not pipeline.backend.closed


def test_settings_that_do_not_fit_leave_the_former_ones(make_info, table):
    many = [{'name': str(i), 'color': (0, 0, 0), 'is_thing': i > 10} for i in range(30)]
    info = make_info(input_height=256, input_width=512, classes=many)
    pipeline = Pipeline(ModelDirectory(Path('x'), info), Renderer(info, table))
    former = pipeline.settings
    with pytest.raises(ConfigError, match='3000, too much for 30 classes .* most 2184'):
        pipeline.configure(InferenceSettings(label_divisor=3000))
    assert pipeline.settings is former and pipeline(frame_at()).label_divisor == 1000


@pytest.mark.parametrize('fit', ['letterbox', 'crop'])
def test_output_at_the_size_of_the_network(fit, info, table):
    """The same distances as at the size of the image; all that is in px is in px of the maps."""
    model = ModelDirectory(Path('unused'), info)
    frame = frame_at(1.0, 700, 300)

    def run(size):
        return Pipeline(model, Renderer(info, table), InferenceSettings(
            fit=fit, output_size=size, min_instance_pixels=0))(frame)

    large, small = run('input'), run('network')
    height, width = small.panoptic.shape
    assert (width, height) == ((256, 110) if fit == 'letterbox' else (256, 128))
    assert small.depth.shape == (height, width)
    assert small.panoptic.dtype == np.uint16 and small.depth.dtype == np.float32
    camera = small.intrinsics
    assert (camera.width, camera.height) == (width, height)
    assert small.step_ms['restore'] == 0.0 and tuple(small.step_ms) == STEPS

    ours, theirs = by_id(large), by_id(small)
    assert ours.keys() == theirs.keys() and len(ours) == 3
    for panoptic_id, mine in ours.items():
        other = theirs[panoptic_id]
        np.testing.assert_array_equal(mine.position_m, other.position_m)
        np.testing.assert_array_equal(mine.size_m, other.size_m)
        assert (mine.distance_m, mine.distance_near_m, mine.flags) == (
            other.distance_m, other.distance_near_m, other.flags)
        # The box is that of its pixels in either output.
        for result, distance in ((large, mine), (small, other)):
            v, u = np.nonzero(result.panoptic == panoptic_id)
            x, y, w, h = distance.roi
            assert (u.min(), v.min(), u.max() + 1, v.max() + 1) == (x, y, x + w, y + h)
    for result in (large, small):
        for segment in result.segments:
            count = np.count_nonzero(result.panoptic == segment.panoptic_id)
            assert segment.pixel_count == count

    # The ground through the camera of the output, pixel by pixel.
    v = np.nonzero(small.panoptic == 0)[0]
    true = GROUND_M / ((v - camera.cy) / camera.fy)
    np.testing.assert_allclose(small.depth[small.panoptic == 0][true < 100], true[true < 100],
                               rtol=1e-4)


def test_least_pixels_are_those_of_the_output(info, table):
    model = ModelDirectory(Path('unused'), info)
    counts = {}
    for size in ('input', 'network'):
        pipeline = Pipeline(model, Renderer(info, table), InferenceSettings(output_size=size))
        counts[size] = {s.panoptic_id: s.pixel_count for s in pipeline(frame_at(2.0)).segments}
        least = sorted(count for key, count in counts[size].items() if key % 1000)[1]
        pipeline.configure(InferenceSettings(output_size=size, min_instance_pixels=least))
        assert len(pipeline(frame_at(2.0)).distances) == 2
    assert counts['input'][13001] > 10 * counts['network'][13001]


def test_range_of_depths_is_not_empty() -> None:
    """With no depth in range, everything would be far."""
    with pytest.raises(ConfigError, match=r'depth.max_m is 2: .*greater than min_m, 3'):
        parse_settings(InferenceSettings, {'depth': {'min_m': 3, 'max_m': 2}}, 'settings')


@pytest.mark.parametrize(('option', 'remedy'), [
    ({'score': 0.5}, r'InferenceSettings\(thresholds=Thresholds\(score=...\)\)'),
    ({'fit': 'crop'}, r'InferenceSettings\(fit=...\)'),
])
def test_a_setting_among_the_options_of_the_backend(info, table, option, remedy):
    model = ModelDirectory(Path('x'), info)
    for backend in ('onnxruntime', Renderer(info, table)):
        with pytest.raises(ConfigError, match='is no option of a backend.*' + remedy):
            Pipeline(model, backend, **option)


def test_what_is_no_frame(info, table):
    pipeline = Pipeline(ModelDirectory(Path('x'), info), Renderer(info, table))
    with pytest.raises(ConfigError, match='takes a Frame, not ndarray; give Frame.*load'):
        pipeline(frame_at().image)


@pytest.mark.parametrize(('source', 'scale', 'wanted'), [
    ('camera_info', 1.0, ScaleSource.METRIC_MODEL), ('fallback', 1.0, ScaleSource.METRIC_MODEL),
    ('default', 1.0, ScaleSource.RELATIVE), ('camera_info', 1.1, ScaleSource.EXTERNAL),
    ('default', 1.1, ScaleSource.EXTERNAL),
])
def test_where_meters_come_from(source, scale, wanted, info, table):
    pipeline = Pipeline(ModelDirectory(Path('x'), info), Renderer(info, table), InferenceSettings(
        depth=DepthSettings(scale=scale)))
    assert pipeline(replace(frame_at(), intrinsics_source=source)).scale_source == wanted


def test_meters_of_a_model_that_is_told_the_mounting(make_info, table):
    info = make_info(input_height=256, input_width=512, extra_inputs=[
        {'name': MOUNTING, 'dtype': 'float32', 'shape': [3]}])
    pipeline = Pipeline(ModelDirectory(Path('x'), info), Renderer(info, table))
    assert pipeline(frame_at()).scale_source == ScaleSource.METRIC_MODEL
    mounted = replace(frame_at(), mounting=Mounting(1.2))
    assert pipeline(mounted).scale_source == ScaleSource.CAMERA_HEIGHT
