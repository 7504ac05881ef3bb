# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of topics: what is sent of one frame, at either size of the results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings
from panoptic_depth_core.contract import Arrays, GraphOutput
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.io.cameras.camera_info import camera_of_info
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.maker import UP_BODY
from panoptic_depth_core.io.messages.outputs import NODE_TOPICS, OUTPUTS, FrameMessages
from panoptic_depth_core.io.messages.reading import pixels_of, stamp_of, values_of
from panoptic_depth_core.io.messages.types import typestore
from panoptic_depth_core.io.visualization import overlay, picture_of
from panoptic_depth_core.labels import CLASS_ID, VOID_CLASS, VOID_ID
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.structures import Frame, Intrinsics, PanopticDepth, ScaleSource

STAMP_NS = 1_700_000_000_123_456_789
CAR_ID = CLASS_ID['car'] * 1000 + 1
IN_CAMERA_FRAME = ('panoptic', 'semantic', 'depth', 'camera_info', 'points', 'overlay',
                   'depth_color')


class Painted:
    """A Backend that reads the picture: red is the row, green the depth in meters."""

    name = 'painted'

    def __init__(self, info: Any, table: np.ndarray) -> None:
        self._info, self._table = info, table

    def run(self, inputs: Arrays) -> GraphOutput:
        small = inputs['image'][::self._info.output_stride, ::self._info.output_stride]
        return GraphOutput(np.minimum(small[..., 0], 4), np.maximum(small[..., 1], 1).astype(
            np.float32), self._table)

    def close(self) -> None:
        pass


@pytest.fixture
def outcome(make_info, table, painted_image):
    """Return a maker of a frame of 128x64 px with its result."""
    def run(size: str = 'input', fit: str = 'letterbox', width: int = 128,
            ) -> tuple[Frame, PanopticDepth]:
        info = make_info()
        image = painted_image(64, width).copy()
        image[..., 2] = np.arange(width)
        frame = Frame(image, Intrinsics(100.0, 100.0, 60.0, 30.0, width, 64), STAMP_NS, 'front')
        pipeline = Pipeline(ModelDirectory(Path('x'), info), Painted(info, table),
                            InferenceSettings(output_size=size, fit=fit, min_instance_pixels=0))
        return frame, pipeline(frame)
    return run


def messages_of(frame: Frame, result: PanopticDepth, **changes: Any) -> dict[str, Any]:
    """Message by short name of its topic."""
    messages = FrameMessages(make, frame, result, **changes)
    return {name: topic.make(messages) for name, topic in OUTPUTS.items()}


def heads_of(message: Any) -> list[Any]:
    """Every header in a message."""
    if hasattr(message, 'header'):
        return [message.header, *(inner.header for inner in getattr(message, 'detections', ()))]
    return [marker.header for marker in message.markers]


def test_names_are_those_of_the_specification() -> None:
    for name, topic in OUTPUTS.items():
        assert topic.name in (f'output/{name}', f'debug/{name}')
    assert sorted(NODE_TOPICS) == sorted([
        'output/panoptic', 'output/semantic', 'output/depth', 'output/camera_info',
        'output/instances', 'output/detections_3d', 'output/label_info', 'output/points',
        'output/status', 'debug/overlay', 'debug/depth_color', 'debug/markers'])


@pytest.mark.parametrize('size', ['input', 'network'])
def test_every_topic_has_its_type_and_the_stamp_of_the_image(size: str, outcome) -> None:
    for name, message in messages_of(*outcome(size)).items():
        kind = OUTPUTS[name].type
        assert message.__msgtype__ == kind
        assert typestore().deserialize_cdr(typestore().serialize_cdr(message, kind), kind)
        heads = heads_of(message)
        assert heads
        for head in heads:
            assert stamp_of(type('Stamped', (), {'header': head})) == STAMP_NS
            assert head.frame_id == 'front'


def test_positions_may_be_in_another_frame(outcome) -> None:
    sent = messages_of(*outcome(), position_frame_id='base_link', up=UP_BODY)
    for name, message in sent.items():
        frame_id = 'front' if name in IN_CAMERA_FRAME else 'base_link'
        assert {head.frame_id for head in heads_of(message)} == {frame_id}
    assert sent['instances'].camera_frame_id == 'front'


@pytest.mark.parametrize(('size', 'shape'), [('input', (64, 128)), ('network', (16, 32))])
def test_all_images_have_the_size_of_the_result(
        size: str, shape: tuple[int, int], outcome) -> None:
    frame, result = outcome(size)
    sent = messages_of(frame, result)
    assert result.panoptic.shape == shape
    for name in ('panoptic', 'semantic', 'depth', 'camera_info', 'overlay', 'depth_color'):
        assert (sent[name].height, sent[name].width) == shape
    assert {name: sent[name].encoding for name in ('panoptic', 'semantic', 'depth', 'overlay',
                                                   'depth_color')} == {
        'panoptic': '16UC1', 'semantic': 'mono8', 'depth': '32FC1', 'overlay': 'bgr8',
        'depth_color': 'bgr8'}
    instances = sent['instances']
    assert (instances.image_height, instances.image_width) == shape
    found = camera_of_info(sent['camera_info'], shape[1], shape[0])
    assert found.camera == result.intrinsics and not found.notes


def test_what_is_in_them(outcome) -> None:
    frame, result = outcome()
    result = replace(result, panoptic=result.panoptic.copy(), depth=result.depth.copy())
    result.panoptic[:2], result.depth[:2] = VOID_ID, np.nan
    result = replace(result, scale_source=ScaleSource.RELATIVE)
    sent = messages_of(frame, result, latency_ns=1_500_000_000)
    np.testing.assert_array_equal(values_of(sent['panoptic']), result.panoptic)
    np.testing.assert_array_equal(values_of(sent['depth']), result.depth)
    semantic = values_of(sent['semantic'])
    assert (semantic[:2] == VOID_CLASS).all()
    np.testing.assert_array_equal(semantic[2:], result.panoptic[2:] // 1000)
    np.testing.assert_array_equal(pixels_of(sent['overlay']), overlay(frame.image, result))
    instances = sent['instances']
    assert [i.panoptic_id for i in instances.instances] == [
        d.segment.panoptic_id for d in result.distances]
    assert CAR_ID in [i.panoptic_id for i in instances.instances]
    assert (instances.latency.sec, instances.latency.nanosec) == (1, 500_000_000)
    assert instances.scale_source == instances.SCALE_RELATIVE
    assert len(sent['detections_3d'].detections) == len(result.distances) == 3


def test_points_are_those_with_a_depth(outcome) -> None:
    for size, stride in (('input', 1), ('input', 2), ('network', 1)):
        frame, result = outcome(size)
        cloud = messages_of(frame, result, point_stride=stride)['points']
        finite = np.isfinite(result.depth[::stride, ::stride])
        assert cloud.width == np.count_nonzero(finite)


def test_a_picture_of_the_right_size_is_not_touched(outcome) -> None:
    frame, result = outcome()
    assert FrameMessages(make, frame, result).picture is frame.image


@pytest.mark.parametrize(('fit', 'width'), [('letterbox', 128), ('letterbox', 90),
                                            ('letterbox', 253), ('crop', 200), ('crop', 90)])
def test_the_picture_shows_what_the_result_shows(fit: str, width: int, outcome) -> None:
    """Blue is the column of the image: each pixel has that of the ray of its own center."""
    frame, result = outcome('network', fit, width)
    picture = picture_of(frame, result)
    assert picture.shape[:2] == result.panoptic.shape and picture.dtype == np.uint8
    ray = (np.arange(picture.shape[1]) - result.intrinsics.cx) / result.intrinsics.fx
    column = frame.intrinsics.cx + ray * frame.intrinsics.fx
    shown = picture[picture.shape[0] // 2, :, 2].astype(float)
    # The last one of a letterbox may be half of padding.
    half_px = 0.5 * frame.intrinsics.fx / result.intrinsics.fx
    np.testing.assert_allclose(shown[:-1], column[:-1], atol=half_px)
