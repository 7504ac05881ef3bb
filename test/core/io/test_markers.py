# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Markers that no viewer complains about, where they belong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from message_cases import RESULT
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.maker import UP_BODY, UP_OPTICAL, marker_array
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID

HEAD = make.header(5, 'map')
CAR, PERSON = RESULT.distances
lengths = st.floats(0.0, 100.0, width=32) | st.just(float('nan'))


def _markers(*instances: Any, **options: Any) -> list[Any]:
    return marker_array(make, HEAD, replace(RESULT, distances=instances), **options).markers


def _xyz(vector: Any) -> list[float]:
    return [vector.x, vector.y, vector.z]


def test_a_box_and_a_text_for_what_has_a_position() -> None:
    clear, box, text = _markers(CAR, PERSON)
    assert clear.action == clear.DELETEALL and clear.ns == ''
    assert (box.action, box.type) == (box.ADD, box.CUBE)
    assert _xyz(box.pose.position) == [-2.5, 0.25, 12.25]
    assert _xyz(box.scale)[:2] == [2.0, 1.5] and 0.0 < box.scale.z < 0.2
    color = np.array([box.color.r, box.color.g, box.color.b])
    np.testing.assert_allclose(255 * color, CITYSCAPES[CLASS_ID['car']].color)
    assert 0.0 < box.color.a < 1.0 and text.color.a == 1.0
    assert text.type == text.TEXT_VIEW_FACING and text.text == 'car 12.5 m #7'
    assert _markers(replace(CAR, track_id=-1))[2].text == 'car 12.5 m'
    for marker in (clear, box, text):
        assert marker.header is HEAD
        assert marker.pose.orientation.w == 1.0 and _xyz(marker.pose.orientation) == [0, 0, 0]


@pytest.mark.parametrize(('up', 'axis', 'sign'), [(UP_OPTICAL, 1, -1), (UP_BODY, 2, 1)])
def test_the_text_stands_above_the_box(up: tuple[float, ...], axis: int, sign: int) -> None:
    _, box, text = _markers(CAR, up=up)
    offset = np.array(_xyz(text.pose.position)) - _xyz(box.pose.position)
    assert offset[axis] * sign > 0.5 * _xyz(box.scale)[axis] + 0.5 * text.scale.z
    assert np.count_nonzero(offset) == 1


def test_stale_markers_vanish() -> None:
    for marker in _markers(CAR)[1:]:
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (1, 0)


@given(st.lists(st.tuples(lengths, lengths, lengths, st.integers(-1, 1)), max_size=4))
def test_no_viewer_has_reason_to_complain(things: list[tuple[float, float, float, int]]) -> None:
    instances = [replace(CAR, segment=replace(CAR.segment, panoptic_id=13001 + index),
                         size_m=np.array(size, np.float32), track_id=track)
                 for index, (*size, track) in enumerate(things)]
    markers = _markers(*instances, PERSON)
    assert len(markers) == 1 + 2 * len(things)
    assert len({(marker.ns, marker.id) for marker in markers}) == len(markers)
    for marker in markers[1:]:
        assert min(_xyz(marker.scale)) > 0.0
        assert np.isfinite(_xyz(marker.scale) + _xyz(marker.pose.position)).all()
        assert marker.color.a > 0.0
