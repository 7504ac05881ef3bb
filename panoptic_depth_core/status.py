# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""State of a running program: plain values, before they become messages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from .structures import ScaleSource

_UNKNOWN3 = (math.nan, math.nan, math.nan)

Watch = Callable[[float, str], bool]
"""
Callback of long work: takes the share done, 0..1 or NaN where unknown, and the current step;
returns False to cancel.
"""


class StreamState(IntEnum):
    """State of the program; the values of msg/InferenceStatus.msg."""

    UNCONFIGURED = 0
    BUILDING = 1
    LOADING = 2
    READY = 3
    RUNNING = 4
    STALLED = 5
    ERROR = 6


@dataclass(frozen=True)
class StreamStatus:
    """
    State and counters of one stream of images since its start.

    :param message: for people: the problem and the remedy.
    :param build_progress: 0..1; NaN while nothing is built, or where unknown.
    :param tasks: of the model, in alphabetical order; none until it is loaded.
    :param engine_key: name of the engine in the cache; empty for backends without one.
    :param frames_dropped_queue: frames that a newer one replaced in the queue.
    :param frames_dropped_age: frames that were too old when taken.
    :param frames_dropped_error: frames that could not be decoded or processed.
    :param messages_lost: as the middleware reports.
    :param input_rate_hz, output_rate_hz: NaN until known.
    :param latency_ms: 50th, 95th and 99th percentile of stamp to sending; NaN until known.
    :param inference_ms: the same of the network alone.
    :param overhead_ms: the same of latency less inference; in the diagnostics only.
    :param gpu_memory_bytes: 0 without a GPU.
    :param scale_source: of the latest result.
    :param ground_scale: its factor, and the bounds of the 68 % range; NaN where unknown.
    """

    state: StreamState
    message: str = ''
    build_progress: float = math.nan
    backend: str = ''
    model_id: str = ''
    tasks: tuple[str, ...] = ()
    engine_key: str = ''
    frames_received: int = 0
    frames_processed: int = 0
    frames_dropped_queue: int = 0
    frames_dropped_age: int = 0
    frames_dropped_error: int = 0
    messages_lost: int = 0
    input_rate_hz: float = math.nan
    output_rate_hz: float = math.nan
    latency_ms: tuple[float, float, float] = _UNKNOWN3
    inference_ms: tuple[float, float, float] = _UNKNOWN3
    overhead_ms: tuple[float, float, float] = _UNKNOWN3
    gpu_memory_bytes: int = 0
    scale_source: ScaleSource = ScaleSource.RELATIVE
    ground_scale: tuple[float, float, float] = _UNKNOWN3


class HealthLevel(IntEnum):
    """Severity; the values of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Health:
    """
    One finding of the diagnostics.

    :param name: the subject: 'engine', 'input' ...
    :param message: the problem and the remedy.
    :param values: numbers behind it, as text.
    """

    name: str
    level: HealthLevel
    message: str
    values: Mapping[str, str] = field(default_factory=dict)
