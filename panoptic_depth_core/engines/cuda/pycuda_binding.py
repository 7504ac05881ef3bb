# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The interface of bindings.py over pycuda.

Never with pycuda.autoinit, which makes a context that is not the one that TensorRT uses.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BackendError
from .bindings import Binding
from .driver import LOST, OUT_OF_MEMORY, error_text, failure, pop_context

_NON_BLOCKING = 1

_log = logging.getLogger(__name__)


class PycudaBinding(Binding):
    """
    A primary context and its stream.

    :param cuda: the module pycuda.driver.
    :param device_id: of a GPU that exists.
    """

    def __init__(self, cuda: Any, device_id: int) -> None:
        self._cuda = cuda
        self._stream: Any = None
        self._call(self._cuda.init)
        device = self._call(self._cuda.Device, device_id)
        self._context = self._call(device.retain_primary_context)
        try:
            self.push()
            self._stream = self._call(self._cuda.Stream, _NON_BLOCKING)
            self.stream = int(self._stream.handle)
        except BaseException:
            self.close()
            raise
        self.pop()

    def push(self) -> None:
        """See Binding."""
        self._call(self._context.push)

    def pop(self) -> None:
        """See Binding."""
        try:
            self._cuda.Context.pop()
        except self._cuda.Error as error:
            _log.warning('the GPU context cannot be left: %s', error)

    def allocate(self, size: int) -> Any:
        """See Binding."""
        return self._call(self._cuda.mem_alloc, size)

    def free(self, memory: Any) -> None:
        """See Binding."""
        self._free(memory)

    def allocate_host(self, size: int) -> NDArray[np.uint8]:
        """See Binding."""
        array: NDArray[np.uint8] = self._call(self._cuda.pagelocked_empty, size, np.uint8)
        return array

    def free_host(self, array: NDArray[np.uint8]) -> None:
        """See Binding."""
        self._free(array.base)

    def copy_in(self, address: int, host: NDArray[Any]) -> None:
        """See Binding."""
        self._call(self._cuda.memcpy_htod_async, address, host, self._stream)

    def copy_out(self, host: NDArray[Any], address: int) -> None:
        """See Binding."""
        self._call(self._cuda.memcpy_dtoh_async, host, address, self._stream)

    def synchronize(self) -> None:
        """See Binding."""
        self._call(self._stream.synchronize)

    def free_memory(self) -> int:
        """See Binding."""
        return int(self._call(self._cuda.mem_get_info)[0])

    def close(self) -> None:
        """See Binding."""
        handle = int(self._context.handle)
        # Its detach releases the context, but leaves it on the driver's stack; where it is not
        # current, detach makes it so.
        if self._cuda.Context.get_current() == self._context:
            self._stream = None
            pop_context(handle)
            self._context.detach()
        else:
            self._context.detach()
            pop_context(handle)
            self._stream = None

    def _free(self, allocation: Any) -> None:
        try:
            allocation.free()
        except self._cuda.Error as error:
            _log.warning('memory of the GPU cannot be freed: %s', error)

    def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._cuda.Error as error:
            raise _said(str(error)) from None


def _said(text: str) -> BackendError:
    """
    Error in place of pycuda's, which knows no code, only the driver's words for it.

    :param text: 'cuMemAlloc failed: out of memory'.
    """
    function, _, words = text.partition(' failed: ')
    for code in (OUT_OF_MEMORY, *LOST):
        if words.startswith(error_text(code)):
            return failure(function, code)
    return BackendError(f'CUDA failed: {text}; check that nvidia-smi works and that driver and '
                        'CUDA libraries are of one version')


open_primary_context = PycudaBinding
