# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
CUDA from Python: the library of the driver, and contexts through pycuda or cuda-python.

pycuda keeps a stack of contexts of its own, so contexts go through the package that is installed.
All else is done on handles by the driver, once for both; names, numbers and argument types are
those of cuda.h.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ...errors import BackendError, ConfigError

DRIVER = 'libcuda.so.1'

PACKAGES = {
    'pycuda': 'pycuda.driver',
    'cuda-python': 'cuda.bindings.driver',
}
"""Name of the package -> module that is imported, in the order in which they are tried."""

_OUT_OF_MEMORY = 2
_NO_DEVICE = 100
_LOST = (4, 46, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999)
"""Codes of CUresult after which every other call on this context fails as well."""

_VERSION_FILE = Path('/sys/module/nvidia/version')
_COMPUTE_CAPABILITY = (75, 76)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gpu:
    """
    What the driver says about one GPU without a context.

    :param device_id: number among the GPUs that are visible to this process.
    :param compute_capability: '8.6', for instance.
    :param driver: version of the kernel driver; 'unknown' where the system does not say.
    :param cuda: newest CUDA version that the driver supports, '13.0' for instance.
    """

    device_id: int
    name: str
    compute_capability: str
    driver: str
    cuda: str

    @property
    def target(self) -> str:
        """Name of its architecture, as in Library.targets: 'sm_86'."""
        return f'sm_{self.compute_capability.replace(".", "")}'


def find_gpu(device_id: int = -1) -> Gpu:
    """
    Describe a GPU without making a context on it.

    :param device_id: -1 is the first one.
    :raises ConfigError: for a number that no GPU has.
    :raises BackendError: when there is no driver or no GPU.
    """
    call('cuInit', 0)
    count, device, version, major, minor = (ctypes.c_int() for _ in range(5))
    call('cuDeviceGetCount', ctypes.byref(count))
    if count.value == 0:
        raise _error('cuDeviceGetCount', _NO_DEVICE)
    if not -1 <= device_id < count.value:
        raise ConfigError(f'device_id is {device_id}, but there are {count.value} GPUs; choose '
                          f'0..{count.value - 1}, or -1 for the first')
    device_id = max(device_id, 0)
    call('cuDeviceGet', ctypes.byref(device), device_id)
    name = ctypes.create_string_buffer(256)
    call('cuDeviceGetName', name, len(name), device)
    for value, attribute in zip((major, minor), _COMPUTE_CAPABILITY, strict=True):
        call('cuDeviceGetAttribute', ctypes.byref(value), attribute, device)
    call('cuDriverGetVersion', ctypes.byref(version))
    try:
        driver = _VERSION_FILE.read_text(encoding='utf-8').strip()
    except OSError:
        driver = ''
    return Gpu(device_id, name.value.decode(errors='replace'), f'{major.value}.{minor.value}',
               driver or 'unknown', f'{version.value // 1000}.{version.value % 1000 // 10}')


def visible_gpus() -> list[Gpu]:
    """Every GPU; none without a driver."""
    gpus: list[Gpu] = []
    with suppress(ConfigError, BackendError):
        while True:
            gpus.append(find_gpu(len(gpus)))
    return gpus


def call(function: str, *arguments: Any) -> None:
    """Call a function of the driver, BackendError if it fails; other threads run meanwhile."""
    if code := find_function(function)(*arguments):
        raise _error(function, code)


def find_function(name: str) -> Callable[..., int]:
    """Function of the driver that returns a CUresult; BackendError if that is missing."""
    try:
        function: Callable[..., int] = getattr(_driver(), name)
    except AttributeError:
        raise BackendError(f'{DRIVER} has no {name}: the NVIDIA driver is too old; '
                           'update it') from None
    return function


def destroy(function: str, handle: ctypes.c_void_p) -> None:
    """Free what a handle stands for, if anything; never fails."""
    # What is lost with its GPU cannot be freed either.
    if handle.value is not None:
        find_function(function)(handle)


class PycudaContext:
    """
    The primary context of a GPU through pycuda.

    Never through pycuda.autoinit, whose context is not the one that TensorRT uses.

    :param cuda: the module pycuda.driver.
    :raises BackendError: when CUDA fails; pop and close never do.
    """

    def __init__(self, cuda: Any, device_id: int) -> None:
        self._cuda = cuda
        self._call(cuda.init)
        self._context = self._call(self._call(cuda.Device, device_id).retain_primary_context)

    def push(self) -> None:
        """Make the context current in this thread."""
        self._call(self._context.push)

    def pop(self) -> None:
        """Make the previous context current again."""
        try:
            self._cuda.Context.pop()
        except self._cuda.Error as error:
            _log.warning('the GPU context cannot be left: %s', error)

    def close(self) -> None:
        """Release the context and pop it, if it is current."""
        handle = int(self._context.handle)
        # pycuda's detach releases the context, but leaves it on the driver's stack; where it is
        # not current, detach makes it so.
        if self._cuda.Context.get_current() == self._context:
            _pop(handle)
            self._context.detach()
        else:
            self._context.detach()
            _pop(handle)

    def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._cuda.Error as error:
            # pycuda does not keep the code of an error, only 'cuCtxPushCurrent failed: words'.
            name, _, words = str(error).partition(' failed: ')
            raise _error(name, next((code for code in (_OUT_OF_MEMORY, *_LOST)
                                     if words.startswith(_text(code))), None), words) from None


class CudaPythonContext:
    """
    The primary context of a GPU through cuda-python; methods as those of PycudaContext.

    :param driver: the module cuda.bindings.driver.
    :raises BackendError: when CUDA fails; pop and close never do.
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
        _pop(int(self._context))
        self._driver.cuDevicePrimaryCtxRelease(self._device)

    @staticmethod
    def _call(function: Any, *arguments: Any) -> Any:
        code, *results = function(*arguments)
        if code:
            raise _error(function.__name__, int(code))
        return results[0] if results else None


Context = PycudaContext | CudaPythonContext


def import_package() -> tuple[str, Any]:
    """Import the first package of PACKAGES that works; BackendError says how to install one."""
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
    """Retain the primary context of a GPU, which does not make it current."""
    name, module = import_package()
    return (PycudaContext if name == 'pycuda' else CudaPythonContext)(module, device_id)


def _error(function: str, code: int | None, text: str = '') -> BackendError:
    """Error with what to do about it; code: a CUresult, None where only the text is known."""
    said = f'{function}: {text}' if code is None else \
        f'{function}: {_text(code)} (CUDA error {code})'
    if code == _OUT_OF_MEMORY:
        return BackendError(f'the memory of the GPU is used up: {said}; close other programs '
                            'that use the GPU, or choose a smaller model')
    if code in _LOST:
        return BackendError(f'the GPU was lost: {said}; load the model anew; if that fails, '
                            'restart the program; the kernel log says more (dmesg, Xid)')
    if code == _NO_DEVICE:
        return BackendError(f'no NVIDIA GPU can be used: {said}; check nvidia-smi and '
                            'CUDA_VISIBLE_DEVICES, or choose the backend onnxruntime')
    return BackendError(f'CUDA failed: {said}; check that nvidia-smi works and that driver and '
                        'CUDA libraries are of one version')


def _text(code: int) -> str:
    """Description of a CUresult by the driver."""
    text = ctypes.c_char_p()
    if find_function('cuGetErrorString')(code, ctypes.byref(text)) or text.value is None:
        return 'unknown error'
    return text.value.decode(errors='replace')


def _pop(handle: int) -> None:
    """Pop a context off the stack of this thread if it is on top; never fails."""
    current = ctypes.c_void_p()
    if not find_function('cuCtxGetCurrent')(ctypes.byref(current)) and current.value == handle:
        find_function('cuCtxPopCurrent_v2')(ctypes.byref(current))


@cache
def _driver() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(DRIVER)
    except OSError as error:
        raise BackendError(f'there is no NVIDIA driver: {error}; install it, or choose the '
                           'backend onnxruntime') from None
