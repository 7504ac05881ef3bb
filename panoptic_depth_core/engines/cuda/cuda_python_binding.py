# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The interface of bindings.py over cuda-python (cuda.bindings.driver)."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bindings import Binding
from .driver import failure, pop_context

_NON_BLOCKING = 1


class CudaPythonBinding(Binding):
    """
    A primary context and its stream.

    :param driver: the module cuda.bindings.driver.
    :param device_id: of a GPU that exists.
    """

    def __init__(self, driver: Any, device_id: int) -> None:
        self._driver = driver
        self._call(driver.cuInit, 0)
        self._device = self._call(driver.cuDeviceGet, device_id)
        self._context = self._call(driver.cuDevicePrimaryCtxRetain, self._device)
        self._stream: Any = None
        try:
            self.push()
            self._stream = self._call(driver.cuStreamCreate, _NON_BLOCKING)
        except BaseException:
            self.close()
            raise
        self.stream = int(self._stream)
        self.pop()

    def push(self) -> None:
        """See Binding."""
        self._call(self._driver.cuCtxPushCurrent, self._context)

    def pop(self) -> None:
        """See Binding."""
        self._driver.cuCtxPopCurrent()

    def allocate(self, size: int) -> Any:
        """See Binding."""
        return self._call(self._driver.cuMemAlloc, size)

    def free(self, memory: Any) -> None:
        """See Binding."""
        self._driver.cuMemFree(memory)

    def allocate_host(self, size: int) -> NDArray[np.uint8]:
        """See Binding."""
        address = self._call(self._driver.cuMemHostAlloc, size, 0)
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def free_host(self, array: NDArray[np.uint8]) -> None:
        """See Binding."""
        self._driver.cuMemFreeHost(array.ctypes.data)

    def copy_in(self, address: int, host: NDArray[Any]) -> None:
        """See Binding."""
        self._call(self._driver.cuMemcpyHtoDAsync, address, host.ctypes.data, host.nbytes,
                   self._stream)

    def copy_out(self, host: NDArray[Any], address: int) -> None:
        """See Binding."""
        self._call(self._driver.cuMemcpyDtoHAsync, host.ctypes.data, address, host.nbytes,
                   self._stream)

    def synchronize(self) -> None:
        """See Binding."""
        self._call(self._driver.cuStreamSynchronize, self._stream)

    def free_memory(self) -> int:
        """See Binding."""
        return int(self._call(self._driver.cuMemGetInfo)[0])

    def close(self) -> None:
        """See Binding."""
        if self._stream is not None:
            self._driver.cuStreamDestroy(self._stream)
        pop_context(int(self._context))
        self._driver.cuDevicePrimaryCtxRelease(self._device)

    @staticmethod
    def _call(function: Any, *arguments: Any) -> Any:
        """Call a function of the package and take its error off its results."""
        code, *results = function(*arguments)
        if code:
            raise failure(function.__name__, int(code))
        return results[0] if len(results) == 1 else results


open_primary_context = CudaPythonBinding
