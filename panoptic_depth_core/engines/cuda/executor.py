# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Fixed buffers on both sides, and one frame through them: copies in, work, copies out.

All addresses stay the same, so the three can be captured as one CUDA graph.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import BackendError
from .device import Device
from .graph import Graph

_log = logging.getLogger(__name__)

STAGES = ('copy_in', 'network', 'copy_out')
"""Keys of Executor.stage_times_ms."""

BufferSpec = tuple[str, tuple[int, ...]]
"""numpy dtype name and shape."""


class _Buffer(NamedTuple):
    host: NDArray[Any]
    address: int


class Executor:
    """
    Buffers of all inputs and outputs of one piece of work on a GPU.

    :param device: not closed by this, but frees the buffers when it is closed.
    :param inputs, outputs: name -> dtype and shape.
    :param work: puts the work into the stream of the device, the same every time; it may read
        addresses, the buffers by their names.
    :raises BackendError: when there is not enough memory.
    """

    def __init__(self, device: Device, inputs: Mapping[str, BufferSpec],
                 outputs: Mapping[str, BufferSpec], work: Callable[[], None]) -> None:
        self._device = device
        with device:
            self._inputs = [_buffer(device, spec) for spec in inputs.values()]
            self._outputs = [_buffer(device, spec) for spec in outputs.values()]
        names, buffers = (*inputs, *outputs), (*self._inputs, *self._outputs)
        self.addresses = {name: b.address for name, b in zip(names, buffers, strict=True)}
        self._work = work
        self._graph: Graph | None = None

    @property
    def is_captured(self) -> bool:
        """Whether frames run as a CUDA graph."""
        return self._graph is not None

    def warm_up(self) -> None:
        """
        Run the work once on what is in the buffers, zeros at first.

        A runtime may load kernels and allocate then, which no capture admits.

        :raises BackendError: when the work fails.
        """
        with self._device:
            self._enqueue()
            self._device.synchronize()

    def capture(self) -> None:
        """Make a CUDA graph of a frame; where that fails, it is said in the log."""
        with self._device:
            try:
                graph = self._device.capture(self._enqueue)
                graph.launch()
                self._device.synchronize()
            except BackendError as error:
                _log.warning('without a CUDA graph, frames take a little longer: %s', error)
            else:
                self._graph = graph

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """
        Run one frame.

        :param arrays: in the order of the inputs, with their dtypes and shapes.
        :returns: in the order of the outputs; the caller's own.
        :raises BackendError: when the GPU fails.
        """
        with self._device:
            for buffer, array in zip(self._inputs, arrays, strict=True):
                np.copyto(buffer.host, array, casting='no')
            if self._graph is None:
                self._enqueue()
            else:
                self._graph.launch()
            self._device.synchronize()
            return [buffer.host.copy() for buffer in self._outputs]

    def stage_times_ms(self) -> dict[str, float]:
        """Time of the GPU in STAGES for the inputs of the last frame, without a CUDA graph."""
        with self._device:
            times = self._device.stage_times_ms([self._copy_in, self._work, self._copy_out])
        return dict(zip(STAGES, times, strict=True))

    def _enqueue(self) -> None:
        self._copy_in()
        self._work()
        self._copy_out()

    def _copy_in(self) -> None:
        for buffer in self._inputs:
            self._device.copy_in(buffer.address, buffer.host)

    def _copy_out(self) -> None:
        for buffer in self._outputs:
            self._device.copy_out(buffer.host, buffer.address)


def _buffer(device: Device, spec: BufferSpec) -> _Buffer:
    host = device.allocate_host(*spec)
    return _Buffer(host, device.allocate(host.nbytes))

