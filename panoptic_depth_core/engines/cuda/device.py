# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A GPU in one thread: primary context, stream and buffers; a frame through fixed buffers."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import BackendError
from .bindings import Context, call, destroy, find_function, find_gpu, open_context

BufferSpec = tuple[str, tuple[int, ...]]
"""numpy dtype name and shape."""

_CAPTURE_THREAD_LOCAL = 1
_NON_BLOCKING = 1

_log = logging.getLogger(__name__)


class Buffer(NamedTuple):
    """Page-locked array on the host, its address, and that of its counterpart on the GPU."""

    array: NDArray[Any]
    host: ctypes.c_void_p
    gpu: ctypes.c_void_p
    size: ctypes.c_size_t


class Device:
    """
    A GPU with one stream; it belongs to the thread that makes it.

    Use it inside ``with device:``, which makes its context current and afterwards restores the
    previous one. The context is the primary one, which TensorRT and PyTorch use as well.

    :param device_id: -1 is the first GPU.
    :raises ConfigError: for a number that no GPU has.
    :raises BackendError: when driver, GPU or a package for CUDA is missing, or CUDA fails.
    """

    def __init__(self, device_id: int = -1) -> None:
        # Without a driver, the packages say less than find_gpu.
        self.gpu = find_gpu(device_id)
        self._thread = threading.current_thread()
        self._held: list[tuple[str, ctypes.c_void_p]] = []
        self._open: Context | None = open_context(self.gpu.device_id)
        try:
            with self:
                self._stream = self._make('cuStreamDestroy_v2', 'cuStreamCreate', _NON_BLOCKING)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Device:
        self._context().push()
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.pop()

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        return self._stream.value or 0

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Buffer:
        """Buffer for an array, zeros on the host; close frees both sides."""
        size = ctypes.c_size_t(np.dtype(dtype).itemsize * int(np.prod(shape)))
        host = self._make('cuMemFreeHost', 'cuMemHostAlloc', size, 0)
        gpu = self._make('cuMemFree_v2', 'cuMemAlloc_v2', size)
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size.value).from_address(host.value or 0))
        array[:] = 0
        return Buffer(array.view(dtype).reshape(shape), host, gpu, size)

    def copy_in(self, buffer: Buffer) -> None:
        """Put a copy from the host to the GPU into the stream."""
        call('cuMemcpyHtoDAsync_v2', buffer.gpu, buffer.host, buffer.size, self._stream)

    def copy_out(self, buffer: Buffer) -> None:
        """Put a copy from the GPU to the host into the stream."""
        call('cuMemcpyDtoHAsync_v2', buffer.host, buffer.gpu, buffer.size, self._stream)

    def synchronize(self) -> None:
        """Wait until the stream is empty; other Python threads run meanwhile."""
        call('cuStreamSynchronize', self._stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """
        Capture work as a CUDA graph; close frees it.

        :param work: puts the work into the stream; its addresses are those of every launch.
        :returns: launches the graph, which puts the work into the stream.
        :raises BackendError: when it cannot be captured; the stream can be used as before.
        """
        graph = ctypes.c_void_p()
        # Thread-local: allocations of other threads neither join the capture nor break it.
        call('cuStreamBeginCapture_v2', self._stream, _CAPTURE_THREAD_LOCAL)
        try:
            try:
                work()
            except BaseException:
                find_function('cuStreamEndCapture')(self._stream, ctypes.byref(graph))
                raise
            call('cuStreamEndCapture', self._stream, ctypes.byref(graph))
            executable = self._make('cuGraphExecDestroy', 'cuGraphInstantiateWithFlags', graph,
                                    ctypes.c_ulonglong(0))
        finally:
            destroy('cuGraphDestroy', graph)
        return lambda: call('cuGraphLaunch', executable, self._stream)

    def free_memory(self) -> int:
        """Bytes of the GPU that no process uses."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        call('cuMemGetInfo_v2', ctypes.byref(free), ctypes.byref(total))
        return free.value

    def close(self, release: Callable[[], None] | None = None) -> None:
        """
        Free everything, also of a GPU that was lost; outside of ``with device:``.

        :param release: called first, to free what others hold in the context.
        :raises BackendError: in another thread than the one that made it.
        """
        if self._open is None:
            return
        context = self._context()
        try:
            context.push()
        except BackendError as error:
            # The driver frees it once nobody retains the context.
            _log.warning('the memory of a lost GPU cannot be freed one by one: %s', error)
        if release is not None:
            release()
        while self._held:
            destroy(*self._held.pop())
        self._open = None
        context.close()

    def _make(self, destroyer: str, maker: str, *arguments: Any) -> ctypes.c_void_p:
        """Make something that close destroys; return its handle."""
        handle = ctypes.c_void_p()
        call(maker, ctypes.byref(handle), *arguments)
        self._held.append((destroyer, handle))
        return handle

    def _context(self) -> Context:
        """Context, for the thread that owns it."""
        if self._open is None:
            raise BackendError(f'{self.gpu.name}: the device is closed; load the model anew')
        if threading.current_thread() is not self._thread:
            raise BackendError(
                f'{self.gpu.name} belongs to the thread {self._thread.name!r}, but '
                f'{threading.current_thread().name!r} uses it; load the model in the thread that '
                'runs it')
        return self._open


class Executor:
    """
    One frame through fixed buffers: copies in, work, copies out.

    All addresses stay the same, so the three can be captured as one CUDA graph.

    :param device: closing it frees the buffers.
    :param inputs, outputs: name -> dtype and shape.
    :param work: puts the work into the stream of the device, the same every time; it reads and
        writes ``addresses``, the buffers on the GPU by name.
    :raises BackendError: when there is not enough memory.
    """

    def __init__(self, device: Device, inputs: Mapping[str, BufferSpec],
                 outputs: Mapping[str, BufferSpec], work: Callable[[], None]) -> None:
        self._device = device
        with device:
            buffers = {name: device.allocate(*spec)
                       for name, spec in (*inputs.items(), *outputs.items())}
        self._inputs = [buffers[name] for name in inputs]
        self._outputs = [buffers[name] for name in outputs]
        self.addresses = {name: buffer.gpu.value or 0 for name, buffer in buffers.items()}
        self._work = work
        self._launch: Callable[[], None] | None = None

    @property
    def is_captured(self) -> bool:
        """Whether frames run as a CUDA graph."""
        return self._launch is not None

    def warm_up(self) -> None:
        """Run once on zeros: a runtime may allocate memory then, which no capture permits."""
        with self._device:
            self._enqueue()
            self._device.synchronize()

    def capture(self) -> None:
        """Capture a frame as a CUDA graph; if that fails, the log says so."""
        with self._device:
            try:
                launch = self._device.capture(self._enqueue)
                launch()
                self._device.synchronize()
            except BackendError as error:
                _log.warning('without a CUDA graph, frames take a little longer: %s', error)
            else:
                self._launch = launch

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """
        Run one frame; BackendError when the GPU fails.

        :param arrays: in the order of the inputs, with their dtypes and shapes.
        :returns: in the order of the outputs; copies that the caller owns.
        """
        with self._device:
            for buffer, array in zip(self._inputs, arrays, strict=True):
                np.copyto(buffer.array, array, casting='no')
            (self._launch or self._enqueue)()
            self._device.synchronize()
            return [buffer.array.copy() for buffer in self._outputs]

    def _enqueue(self) -> None:
        for buffer in self._inputs:
            self._device.copy_in(buffer)
        self._work()
        for buffer in self._outputs:
            self._device.copy_out(buffer)
