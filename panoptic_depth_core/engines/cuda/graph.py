# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
CUDA graphs and times of a stream, by the driver's own functions.

pycuda has no graphs, and one implementation is enough: a stream of any package has a handle. The
context of the stream is current in all of these.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

from .driver import call, destroy, failure, find_function

_CAPTURE_THREAD_LOCAL = 1


class Graph:
    """
    Work that was captured from a stream and is launched as one.

    :param stream: handle of a stream that is not the default one; the graph runs on it.
    :param work: puts the work into that stream; addresses in it are those of every launch.
    :raises BackendError: when it cannot be captured; the stream is usable as before.
    """

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        self._stream = ctypes.c_void_p(stream)
        self._executable = ctypes.c_void_p()
        graph = ctypes.c_void_p()
        # Thread-local: what other threads allocate meanwhile is no part of it, nor an error.
        call('cuStreamBeginCapture_v2', self._stream, _CAPTURE_THREAD_LOCAL)
        try:
            try:
                work()
            except BaseException:
                find_function('cuStreamEndCapture')(self._stream, ctypes.byref(graph))
                raise
            call('cuStreamEndCapture', self._stream, ctypes.byref(graph))
            call('cuGraphInstantiateWithFlags', ctypes.byref(self._executable), graph,
                 ctypes.c_ulonglong(0))
        finally:
            destroy('cuGraphDestroy', graph)
        self._launch = find_function('cuGraphLaunch')

    def launch(self) -> None:
        """Put the work into the stream."""
        code = self._launch(self._executable, self._stream)
        if code:
            raise failure('cuGraphLaunch', code)

    def close(self) -> None:
        """Free the graph; never fails."""
        destroy('cuGraphExecDestroy', self._executable)


def stage_times_ms(stream: int, stages: Sequence[Callable[[], None]]) -> list[float]:
    """
    How long the GPU is at each of some stages that follow each other, milliseconds.

    :param stream: handle of the stream that they put their work into.
    """
    handle = ctypes.c_void_p(stream)
    events = [ctypes.c_void_p() for _ in range(len(stages) + 1)]
    try:
        for event in events:
            call('cuEventCreate', ctypes.byref(event), 0)
        call('cuEventRecord', events[0], handle)
        for stage, event in zip(stages, events[1:], strict=True):
            stage()
            call('cuEventRecord', event, handle)
        call('cuEventSynchronize', events[-1])
        times = []
        for start, end in zip(events, events[1:], strict=False):
            elapsed = ctypes.c_float()
            call('cuEventElapsedTime', ctypes.byref(elapsed), start, end)
            times.append(elapsed.value)
        return times
    finally:
        for event in events:
            destroy('cuEventDestroy_v2', event)
