# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Reasons: one line each, however many frames they are of."""

from __future__ import annotations

import pickle

import pytest
from panoptic_depth_core.reasons import OTHER_REASONS, Reasons, kind_of


@pytest.mark.parametrize('texts', [
    ("frame '12': no image", "frame 'frame_0001': no image"),
    ('data has 12 bytes, but 99 are needed', 'data has 13 bytes, but 99 are needed'),
    ('is of 640x480 px', 'is of 64x48 px'),
    ('not known at 12.500 s', 'not known at 13 s'),
    ('is off by -1e-05 m', 'is off by 2 m'),
    ('12.5 % are left out', '3 % are left out')])
def test_numbers_do_not_make_another_reason(texts: tuple[str, ...]) -> None:
    reasons = Reasons()
    for text in texts:
        reasons.add(text)
    assert reasons == {texts[0]: 2}


@pytest.mark.parametrize('texts', [
    ('encoding 16UC1', 'encoding 32FC1'), ('/camera/1/image: damaged', '/camera/2/image: damaged'),
    ('camera1 is gone', 'camera2 is gone'), ('drive_0.db3 is damaged', 'drive_1.db3 is damaged')])
def test_names_make_another_reason(texts: tuple[str, ...]) -> None:
    assert len({kind_of(text) for text in texts}) == 2


def test_thousands_of_files_are_one_line_with_the_first() -> None:
    reasons = Reasons()
    for index in range(3000):
        reasons.add(f'a/frame_{index:05d}.jpg: no picture', f'a/frame_{index:05d}.jpg')
    assert reasons == {'no picture (first: a/frame_00000.jpg)': 3000}


def test_those_beyond_the_first_few_share_a_line() -> None:
    reasons = Reasons()
    for letter in range(65, 91):
        reasons.add(f'reason {chr(letter)}', letter)
    assert len(reasons) == 21 and reasons[OTHER_REASONS] == 6


def test_reasons_are_added_up() -> None:
    reasons = Reasons({'is 1 px off': 3})
    reasons.update({'is 2 px off': 2, 'other': 1})
    reasons.update(['other'])
    assert reasons == {'is 1 px off': 5, 'other': 2}
    again = pickle.loads(pickle.dumps(reasons))
    again.add('is 7 px off')
    assert again == {'is 1 px off': 6, 'other': 2}
