# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorRT engines: build, cache, check, run. No torch, no onnx."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import BackendError
from ..status import Watch


@dataclass(frozen=True)
class BuiltEngine:
    """
    What a builder returns.

    :param engine: the serialized engine.
    :param timing_cache: measurements that speed up the next build; may be empty.
    """

    engine: bytes
    timing_cache: bytes = b''


class BuildCancelled(BackendError):
    """The watch canceled a build, or waiting for one; nothing of it is stored."""


Build = Callable[[bytes, Watch], BuiltEngine]
"""Builds an engine, given the timing cache of earlier builds."""
