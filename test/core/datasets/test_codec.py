# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What comes back of a stored sample: labels and cameras exactly, depth within half a step."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from miniature import make_sample
from panoptic_depth_core.datasets.storage import (
    CACHED,
    PACKED,
    CachedDataset,
    decode,
    encode,
    from_record,
    to_record,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Mounting, Sample

FINITE = st.floats(2.0 ** -7, 2.0 ** 13, width=32)
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def samples(draw):
    size = draw(SIZES)
    height, width = size

    def layer(dtype, elements):
        return draw(st.none() | hnp.arrays(dtype, size, elements=elements))

    focal = st.floats(1.0, 1e4)
    camera = Intrinsics(draw(focal), draw(focal), draw(st.floats(-5, 500)), 1 / 3, width, height)
    image = draw(hnp.arrays(np.uint8, (*size, 3)))
    truth = GroundTruth(
        panoptic=layer(np.int32, st.integers(0, 18_999) | st.just(VOID_ID)),
        has_semantics=draw(st.booleans()),
        instance_classes=tuple(draw(st.lists(st.integers(0, 18), max_size=3))),
        ignore=layer(np.bool_, st.booleans()),
        depth=layer(np.float32, FINITE | st.just(math.nan) | st.just(math.inf)),
        instance_depth_m=draw(st.dictionaries(st.integers(1, 18_999), FINITE, max_size=3)))
    extra = draw(st.dictionaries(st.sampled_from(('height', 'weather')), hnp.arrays(
        st.sampled_from((np.float32, np.uint8)), SIZES), max_size=2))
    return Sample(Frame(image, camera, draw(st.integers(0, 1 << 62)), 'front', draw(st.text()),
                        'user', extra, draw(st.none() | st.builds(
                            Mounting, st.floats(0.1, 9.0), st.floats(-89, 89), st.floats(-9, 9)))),
                  truth, draw(st.text()))


def assert_kept(before: Sample, after: Sample, depth_step: float) -> None:
    np.testing.assert_equal(after.frame.extra_inputs, before.frame.extra_inputs)
    assert after.frame.mounting == before.frame.mounting
    for name in ('panoptic', 'ignore'):
        old, new = getattr(before.truth, name), getattr(after.truth, name)
        assert (old is None) == (new is None)
        if old is not None:
            assert new.dtype == old.dtype
            np.testing.assert_array_equal(new, old)
    old, new = before.truth.depth, after.truth.depth
    assert (old is None) == (new is None)
    if old is not None:
        known = np.isfinite(old)
        assert new.dtype == np.float32
        np.testing.assert_array_equal(new[~known], old[~known])
        np.testing.assert_allclose(new[known], old[known], 0.5005 * depth_step + 1e-6)
    nothing = {'panoptic': None, 'ignore': None, 'depth': None}
    assert replace(after.truth, **nothing) == replace(before.truth, **nothing)
    image = {'image': before.frame.image, 'extra_inputs': {}}
    assert replace(after.frame, **image) == replace(before.frame, **image)
    assert after.sequence == before.sequence
    assert after.frame.image.shape == before.frame.image.shape
    assert after.frame.image.flags.c_contiguous


@given(samples())
@settings(max_examples=60, deadline=None)
def test_all_but_picture_and_depth_is_exact(sample):
    for storage in (CACHED, PACKED):
        record = to_record(encode(sample, storage))
        assert_kept(sample, decode(from_record(record)), storage.depth_step)
        assert to_record(encode(sample, storage)) == record, 'equal samples are equal bytes'
    np.testing.assert_array_equal(decode(encode(sample, CACHED)).frame.image, sample.frame.image)


def test_more_ids_than_a_byte_holds():
    ids = np.arange(64 * 128, dtype=np.int32).reshape(64, 128)
    sample = make_sample(panoptic=ids)
    np.testing.assert_array_equal(decode(encode(sample, PACKED)).truth.panoptic, ids)


def test_a_lossy_picture_is_near_and_small():
    height, width = 128, 256
    smooth = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], (height, width, 3))
    image = smooth.astype(np.uint8)
    image[40:80, 60:120] = (200, 30, 60)
    sample = make_sample(height, width)
    sample = replace(sample, frame=replace(sample.frame, image=image))
    small, exact = encode(sample, PACKED)['image'], encode(sample, CACHED)['image']
    assert len(small) < len(exact)
    off = decode(encode(sample, PACKED)).frame.image.astype(float) - image
    assert np.sqrt((off ** 2).mean()) < 4


@pytest.mark.parametrize('wrong', [0.0, -2.0, -math.inf])
def test_depths_that_cannot_be(wrong):
    depth = np.full((64, 128), 5.0, np.float32)
    depth[3, 4] = wrong
    with pytest.raises(ConfigError, match=f'a depth is {wrong} m; give meters > 0'):
        encode(make_sample(depth=depth), PACKED)


def test_caches_of_earlier_versions_are_read(tmp_path):
    sample = make_sample(ignore=np.eye(64, 128, dtype=np.bool_))
    depth = np.nan_to_num(sample.truth.depth, posinf=0.0)
    meta = json.loads(encode(sample, CACHED)['meta'])
    for newer in ('ids', 'depth', 'stamp_ns', 'frame_id', 'intrinsics_source'):
        del meta[newer]

    def png(array):
        return cv2.imencode('.png', array)[1]

    np.savez(tmp_path / '000000.npz', meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
             image=png(sample.frame.image[..., ::-1]),
             panoptic=png(sample.truth.panoptic.astype(np.uint16)),
             ignore=png(sample.truth.ignore.astype(np.uint8)),
             depth=png((depth * 256).astype(np.uint16)))
    again = CachedDataset([sample], tmp_path)[0]
    np.testing.assert_array_equal(again.frame.image, sample.frame.image)
    np.testing.assert_array_equal(again.truth.panoptic, sample.truth.panoptic)
    np.testing.assert_array_equal(again.truth.ignore, sample.truth.ignore)
    known = np.isfinite(sample.truth.depth)
    assert np.abs(again.truth.depth[known] - sample.truth.depth[known]).max() <= 1 / 256
    assert np.isnan(again.truth.depth[~known]).all()


def test_a_cache_knows_what_it_has(tmp_path):
    cached = CachedDataset([make_sample(), make_sample()], tmp_path)
    assert cached[1] is not None
    assert [cached.is_stored(index) for index in (0, 1)] == [False, True]
