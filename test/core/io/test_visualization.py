# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from io_scenes import CAR_ID, make_frame, make_result
from panoptic_depth_core.io.visualization import (
    FAR_COLOR,
    NAN_COLOR,
    NEAR_COLOR,
    color_panoptic,
    depth_color,
    label_text,
    overlay,
)
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_ID


def test_classes_have_their_colors_and_void_is_black() -> None:
    ids = np.array([[info.class_id * 1000 for info in CITYSCAPES] + [VOID_ID]], np.uint16)
    colors = color_panoptic(ids)
    assert colors.shape == (1, 20, 3)
    assert colors[0].tolist() == [*(list(info.color) for info in CITYSCAPES), [0, 0, 0]]


def test_instances_of_a_class_differ_in_shade() -> None:
    ids = (CLASS_ID['car'] * 1000 + np.arange(1, 41, dtype=np.uint16))[None]
    colors = color_panoptic(ids)[0].astype(int)
    apart = np.abs(colors[:, None] - colors[None]).max(axis=2)
    assert len(np.unique(colors, axis=0)) >= 38
    assert (np.diagonal(apart, 1) > 8).all()
    assert (colors.argmax(axis=1) == 2).all()


def test_other_divisors() -> None:
    assert color_panoptic(np.array([[13 * 256 + 1]], np.uint16), 256).shape == (1, 1, 3)
    road, void = color_panoptic(np.array([[0, VOID_ID]], np.uint16), 3000)[0]
    assert road.tolist() == [128, 64, 128] and void.tolist() == [0, 0, 0]


def test_overlay_tints_outlines_and_labels() -> None:
    frame = make_frame(0, 240, 400)
    small = make_result(make_frame(0))
    panoptic = np.kron(small.panoptic, np.ones((10, 10), np.uint16))
    result = replace(small, panoptic=panoptic, distances=())
    picture = overlay(frame.image, result)
    assert picture.shape == frame.image.shape and picture.dtype == np.uint8
    # Inside of a class: half the image, half the color.
    expected = frame.image[220, 300] / 2 + np.array([128, 64, 128]) / 2
    assert np.abs(picture[220, 300] - expected).max() <= 1
    border = picture[80:160, 40]
    assert (border == 255).all()
    assert panoptic[80, 40] == CAR_ID
    assert not (picture[:30] == 255).all(axis=2).any()

    car = replace(small.distances[0], roi=(40, 80, 100, 80))
    labelled = overlay(frame.image, replace(result, distances=(car,)))
    rows, columns = np.nonzero((labelled != picture).any(axis=2))
    assert rows.min() > 60 and rows.max() < 80 and abs(columns.mean() - 90) < 15


def test_crowded_labels_do_not_cover_each_other() -> None:
    frame = make_frame(0, 240, 400)
    result = make_result(frame)
    near = replace(result.distances[0], roi=(100, 150, 60, 40))
    none = overlay(frame.image, replace(result, distances=()))
    alone = overlay(frame.image, replace(result, distances=(near,)))
    many = overlay(frame.image, replace(result, distances=(near,) * 20))
    rows = np.nonzero((none != alone).any(axis=2))[0]
    first, end = rows.min(), rows.max() + 1
    np.testing.assert_array_equal(many[first:end], alone[first:end])
    assert (many[:first] != alone[:first]).any()


@pytest.mark.parametrize('size', [(3, 3), (12, 300), (300, 12)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    frame = make_frame(0, *size)
    result = make_result(make_frame(0))
    result = replace(result, panoptic=np.full(size, CAR_ID, np.uint16))
    assert overlay(frame.image, result).shape == frame.image.shape


def test_label_text() -> None:
    car, person = make_result(make_frame(0)).distances
    assert label_text(car) == 'car 12.5 m' and label_text(person) == 'person ?'


def test_depth_goes_from_red_to_blue_and_marks_what_is_not_finite() -> None:
    depth = np.array([[0.5, 2.0, 5.0, 14.0, 90.0, np.nan, np.inf, -np.inf, 5000.0]], np.float32)
    colors = depth_color(depth)[0].astype(int)
    assert colors[5].tolist() == list(NAN_COLOR)
    assert colors[6].tolist() == list(FAR_COLOR)
    assert colors[7].tolist() == list(NEAR_COLOR)
    assert colors[0].tolist() == colors[1].tolist() and colors[1][0] > colors[1][2] + 80
    assert colors[3].argmax() == 1 and colors[8].tolist() == depth_color(
        np.array([[100.0]], np.float32))[0, 0].tolist()
    redness = colors[[1, 2, 3, 4], 0] - colors[[1, 2, 3, 4], 2]
    assert redness[0] > 0 > redness[3]
