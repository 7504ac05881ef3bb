# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is said of engines that TensorRT refuses, by the real library, without a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.engines import runtime
from panoptic_depth_core.engines.library import Library, find_library
from panoptic_depth_core.engines.runtime import LoadedEngine
from panoptic_depth_core.errors import BackendError


@pytest.fixture(scope='module')
def library() -> Library:
    pytest.importorskip('tensorrt_rtx')
    return find_library('tensorrt_rtx')


def test_what_is_no_engine_is_refused(library: Library) -> None:
    """Named, with the library's words and the remedy for another version."""
    with pytest.raises(BackendError, match=r'^fast-sm_86: tensorrt_rtx 1\.\S+ cannot load the '
                       'engine: .*incompatible serialization version.*build policy force'):
        LoadedEngine(library, b'no engine ' * 30, 'fast-sm_86')


def test_a_truncated_engine_is_refused(library: Library) -> None:
    """A header alone is not enough."""
    with pytest.raises(BackendError, match='cannot load the engine: .+; '):
        LoadedEngine(library, b'ptrt', 'fast-sm_86')


@pytest.mark.parametrize(('said', 'remedy'), [
    ('Version tag does not match. Note: Current Version: 43', 'built by another version'),
    ('expecting library version 10.3.0.26 got 10.0.1.6', 'built by another version'),
    ('Error Code 2: OutOfMemory (Requested size was 123 bytes.)', 'memory of the GPU is used up'),
    ('something else', 'build it anew with the build policy force, or choose another backend'),
])
def test_the_remedy_fits_the_words(said: str, remedy: str, library: Library) -> None:
    """As they were seen in reports of users of several versions."""
    engine = object.__new__(LoadedEngine)
    engine._library, engine._name = library, 'fast'
    error = engine._failure('cannot load the engine', [said, said])
    assert str(error).count(said) == 1 and remedy in str(error)


def test_types_have_the_names_of_numpy(library: Library) -> None:
    """Every type of a tensor that numpy has too."""
    types: dict[str, Any] = library.module.DataType.__members__
    assert set(runtime._NUMPY_NAME) <= set(types)
    assert {name: runtime._dtype_name(types[name]) for name in ('UINT8', 'FLOAT', 'BF16')} == {
        'UINT8': 'uint8', 'FLOAT': 'float32', 'BF16': 'bf16'}
    for name, numpy_name in runtime._NUMPY_NAME.items():
        assert library.module.nptype(types[name]) == np.dtype(numpy_name)
