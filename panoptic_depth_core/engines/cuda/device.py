# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""One GPU as one thread has it: its primary context, a stream, and memory on both sides."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BackendError
from .bindings import Binding, open_binding
from .driver import Gpu, find_gpu
from .graph import Graph, stage_times_ms

_log = logging.getLogger(__name__)


class Device:
    """
    A GPU with one stream; all of it belongs to the thread that makes it.

    Work happens inside of ``with device:``, which makes its context current and puts back the one
    that was. The context is the primary one, which TensorRT and PyTorch use as well.

    :param gpu: which one, and what is known of it.
    :raises BackendError: when CUDA fails.
    """

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._thread = threading.current_thread()
        self._memory: list[Any] = []
        self._host: list[NDArray[np.uint8]] = []
        self._graphs: list[Graph] = []
        self._open: Binding | None = open_binding(gpu.device_id)

    def __enter__(self) -> Device:
        self._bound().push()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._open is not None:
            self._open.pop()

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        return self._bound().stream

    def allocate(self, size: int) -> int:
        """Address of memory of the GPU, in bytes; freed by close."""
        memory = self._bound().allocate(size)
        self._memory.append(memory)
        return int(memory)

    def allocate_host(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Page-locked array of zeros on the host; not to be used after close, which frees it."""
        array = self._bound().allocate_host(np.dtype(dtype).itemsize * int(np.prod(shape)))
        self._host.append(array)
        array[:] = 0
        return array.view(dtype).reshape(shape)

    def copy_in(self, address: int, host: NDArray[Any]) -> None:
        """Put a copy from a page-locked array to the GPU into the stream."""
        self._bound().copy_in(address, host)

    def copy_out(self, host: NDArray[Any], address: int) -> None:
        """Put a copy from the GPU to a page-locked array into the stream."""
        self._bound().copy_out(host, address)

    def synchronize(self) -> None:
        """Wait until the stream is empty; other threads of Python go on."""
        self._bound().synchronize()

    def capture(self, work: Callable[[], None]) -> Graph:
        """
        Make a graph of what work puts into the stream; freed by close.

        :raises BackendError: when it cannot be captured; the stream is usable as before.
        """
        graph = Graph(self.stream, work)
        self._graphs.append(graph)
        return graph

    def stage_times_ms(self, stages: Sequence[Callable[[], None]]) -> list[float]:
        """How long the GPU is at each of some stages that put work into the stream."""
        return stage_times_ms(self.stream, stages)

    def free_memory(self) -> int:
        """Bytes of the GPU that nobody uses, whichever process."""
        return self._bound().free_memory()

    def close(self, release: Callable[[], None] | None = None) -> None:
        """
        Free everything, also of a GPU that was lost; outside of ``with device:``.

        :param release: called first, to free what others hold in the context.
        :raises BackendError: in another thread than that which made it.
        """
        if self._open is None:
            return
        binding = self._bound()
        current = True
        try:
            binding.push()
        except BackendError as error:
            # What it holds goes with the context as a whole, once nobody else has it.
            _log.warning('the memory of a lost GPU cannot be freed one by one: %s', error)
            current = False
        if release is not None:
            release()
        for graph in self._graphs:
            graph.close()
        if current:
            for memory in self._memory:
                binding.free(memory)
            for array in self._host:
                binding.free_host(array)
        self._open = None
        binding.close()
        self._graphs, self._memory, self._host = [], [], []

    def _bound(self) -> Binding:
        """Binding, for the thread that owns it."""
        if self._open is None:
            raise BackendError(f'{self.gpu.name}: the GPU was given back; load the model anew')
        if threading.current_thread() is not self._thread:
            raise BackendError(
                f'{self.gpu.name} belongs to the thread {self._thread.name!r}, but '
                f'{threading.current_thread().name!r} uses it; load the model in the thread that '
                'runs it')
        return self._open


def open_device(device_id: int = -1) -> Device:
    """
    Take a GPU.

    :param device_id: -1 is the first one.
    :raises ConfigError: for a number that no GPU has.
    :raises BackendError: when driver, GPU or a package for CUDA is missing, or CUDA fails.
    """
    # Packages say little where the driver is missing, so it is looked for first.
    return Device(find_gpu(device_id))
