# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorRT engines: found, built, kept and trusted; no torch, no onnx."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BackendError


@dataclass(frozen=True)
class BuiltEngine:
    """
    What a builder returns.

    :param engine: the serialised engine, a plan.
    :param timing_cache: what it measured, to build the next engine faster; may be empty.
    """

    engine: bytes
    timing_cache: bytes = b''


class BuildCancelled(BackendError):
    """A build, or waiting for one, that its watch ended; nothing of it is stored."""
