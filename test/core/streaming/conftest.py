# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams around a scripted runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.streaming import stream
from streaming_doubles import Rig, Script


@pytest.fixture
def make_rig(make_info, monkeypatch: pytest.MonkeyPatch,
             ) -> Callable[..., AbstractContextManager[Rig]]:
    """Return a maker of streams that are not started; in the end, every frame is accounted for."""
    monkeypatch.setattr(stream, 'RETRY_S', 0.02)

    def make(model: ModelDirectory | None = None, **stream: object) -> AbstractContextManager[Rig]:
        return Rig(Script(make_info()), model, **stream).until_all_is_settled()
    return make


@pytest.fixture
def rig(make_rig) -> Iterator[Rig]:
    """Return one of them."""
    with make_rig() as made:
        yield made
