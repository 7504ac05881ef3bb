# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The primary context of a GPU through pycuda or cuda-python, whichever is installed.

pycuda keeps a stack of contexts of its own, so contexts go through the package; all else is done
on handles by driver.py, once for both.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any, Protocol

from ...errors import BackendError
from .driver import LOST, OUT_OF_MEMORY, cuda_error, error_text, other_cuda_error, pop_context

PACKAGES = {
    'pycuda': 'pycuda.driver',
    'cuda-python': 'cuda.bindings.driver',
}
"""Name of the package -> module that is imported, in the order in which they are tried."""

_log = logging.getLogger(__name__)


class Context(Protocol):
    """The primary context of one GPU, which this retains; only push raises BackendError."""

    def push(self) -> None:
        """Make the context current in this thread."""
        ...

    def pop(self) -> None:
        """Make the previous context current again."""
        ...

    def close(self) -> None:
        """Release the context, which is not current any more."""
        ...


class PycudaContext(Context):
    """
    Through pycuda, but never pycuda.autoinit: its context is not the one that TensorRT uses.

    :param cuda: the module pycuda.driver.
    :param device_id: of a GPU that exists.
    :raises BackendError: when CUDA fails.
    """

    def __init__(self, cuda: Any, device_id: int) -> None:
        self._cuda = cuda
        self._call(cuda.init)
        self._context = self._call(self._call(cuda.Device, device_id).retain_primary_context)

    def push(self) -> None:
        self._call(self._context.push)

    def pop(self) -> None:
        try:
            self._cuda.Context.pop()
        except self._cuda.Error as error:
            _log.warning('the GPU context cannot be left: %s', error)

    def close(self) -> None:
        handle = int(self._context.handle)
        # pycuda's detach releases the context, but leaves it on the driver's stack; where it is
        # not current, detach makes it so.
        if self._cuda.Context.get_current() == self._context:
            pop_context(handle)
            self._context.detach()
        else:
            self._context.detach()
            pop_context(handle)

    def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._cuda.Error as error:
            # pycuda does not keep the code of an error, only 'cuCtxPushCurrent failed: words'.
            name, _, words = str(error).partition(' failed: ')
            for code in (OUT_OF_MEMORY, *LOST):
                if words.startswith(error_text(code)):
                    raise cuda_error(name, code) from None
            raise other_cuda_error(str(error)) from None


class CudaPythonContext(Context):
    """
    Through cuda-python.

    :param driver: the module cuda.bindings.driver.
    :param device_id: of a GPU that exists.
    :raises BackendError: when CUDA fails.
    """

    def __init__(self, driver: Any, device_id: int) -> None:
        self._driver = driver
        self._call(driver.cuInit, 0)
        self._device = self._call(driver.cuDeviceGet, device_id)
        self._context = self._call(driver.cuDevicePrimaryCtxRetain, self._device)

    def push(self) -> None:
        self._call(self._driver.cuCtxPushCurrent, self._context)

    def pop(self) -> None:
        self._driver.cuCtxPopCurrent()

    def close(self) -> None:
        pop_context(int(self._context))
        self._driver.cuDevicePrimaryCtxRelease(self._device)

    @staticmethod
    def _call(function: Any, *arguments: Any) -> Any:
        code, *results = function(*arguments)
        if code:
            raise cuda_error(function.__name__, int(code))
        return results[0] if results else None


def import_package() -> tuple[str, Any]:
    """
    Import the first package of PACKAGES that is installed and works.

    :returns: its name and the module.
    :raises BackendError: when there is none, and how to install one.
    """
    broken = []
    for name, module in PACKAGES.items():
        try:
            return name, import_module(module)
        # A package made for another CUDA version fails with more than an ImportError.
        except Exception as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if missing is None or not module.startswith(missing):
                broken.append(f'{name} cannot be imported: {error}')
    reason = '; '.join(broken) or 'no package for CUDA is installed'
    raise BackendError(f'{reason}; run: pip install cuda-python, or pip install pycuda, which is '
                       'compiled and needs the CUDA toolkit')


def open_context(device_id: int) -> Context:
    """
    Retain the primary context of a GPU; it is not made current.

    :raises BackendError: when no package can be imported or CUDA fails.
    """
    name, module = import_package()
    kind = PycudaContext if name == 'pycuda' else CudaPythonContext
    return kind(module, device_id)
