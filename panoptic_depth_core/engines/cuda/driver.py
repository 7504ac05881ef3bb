# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The CUDA driver's own library, for what does not need a context and what pycuda does not have.

Names, numbers and argument types are those of cuda.h. Errors become BackendError here, whichever
package made the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import BackendError, ConfigError
from ..key import target_of

LIBRARY = 'libcuda.so.1'

OUT_OF_MEMORY = 2
LOST = {
    4: 'the driver is shutting down',
    46: 'another program has it to itself, or it failed',
    214: 'its memory has an error that cannot be corrected',
    220: 'NVLink has an error that cannot be corrected',
    226: 'a hardware error was contained',
    700: 'a kernel used an illegal address',
    702: 'a kernel took too long',
    709: 'its context was destroyed',
    710: 'a kernel asserted',
    714: 'a kernel broke its stack',
    715: 'a kernel met an illegal instruction',
    716: 'a kernel used a misaligned address',
    717: 'a kernel used an address of the wrong space',
    718: 'a kernel jumped to an invalid address',
    719: 'a kernel failed',
    999: 'the driver does not know why',
}
"""Codes of CUresult after which every other call on this context fails as well."""

_DRIVER_VERSION = Path('/sys/module/nvidia/version')
_COMPUTE_CAPABILITY = (75, 76)


@dataclass(frozen=True)
class Gpu:
    """
    One GPU, as far as the driver tells without a context.

    :param device_id: number among the GPUs that this process may see.
    :param compute_capability: '8.6', for instance.
    :param driver: release of the kernel's driver, 'unknown' where the system does not say it.
    :param cuda: newest CUDA version that the driver supports, '13.0' for instance.
    """

    device_id: int
    name: str
    compute_capability: str
    driver: str
    cuda: str
    memory_bytes: int

    @property
    def target(self) -> str:
        """Name of its architecture, as in Library.targets: 'sm_86'."""
        return target_of(self.compute_capability)


def find_gpu(device_id: int = -1) -> Gpu:
    """
    Look at a GPU without making a context on it.

    :param device_id: -1 is the first one.
    :raises ConfigError: for a number that no GPU has.
    :raises BackendError: when there is no driver or no GPU.
    """
    call('cuInit', 0)
    count, device, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    call('cuDeviceGetCount', ctypes.byref(count))
    if count.value == 0:
        raise failure('cuDeviceGetCount', 100)
    if not -1 <= device_id < count.value:
        raise ConfigError(f'device_id is {device_id}, but there are {count.value} GPUs; choose '
                          f'0..{count.value - 1}, or -1 for the first')
    device_id = max(device_id, 0)
    call('cuDeviceGet', ctypes.byref(device), device_id)
    name = ctypes.create_string_buffer(256)
    call('cuDeviceGetName', name, len(name), device)
    capability = [_attribute(attribute, device) for attribute in _COMPUTE_CAPABILITY]
    memory = ctypes.c_size_t()
    call('cuDeviceTotalMem_v2', ctypes.byref(memory), device)
    call('cuDriverGetVersion', ctypes.byref(version))
    return Gpu(device_id, name.value.decode(errors='replace'), '{}.{}'.format(*capability),
               _driver_version(), f'{version.value // 1000}.{version.value % 1000 // 10}',
               memory.value)


def call(function: str, *arguments: Any) -> None:
    """
    Call a function of the driver's library; its Python threads go on meanwhile.

    :raises BackendError: when it fails, or the driver is missing or lacks it.
    """
    code = find_function(function)(*arguments)
    if code:
        raise failure(function, code)


def find_function(name: str) -> Callable[..., int]:
    """
    Function of the driver's library that returns a CUresult.

    :raises BackendError: when the driver is missing or lacks it.
    """
    try:
        function: Callable[..., int] = getattr(_library(), name)
    except AttributeError:
        raise BackendError(f'{LIBRARY} has no {name}: the NVIDIA driver is too old; '
                           'update it') from None
    return function


def destroy(function: str, handle: ctypes.c_void_p) -> None:
    """Free what a handle stands for, if anything, and forget it; never fails."""
    # What is lost with its GPU cannot be freed either.
    if handle.value is not None:
        find_function(function)(handle)
        handle.value = None


def failure(action: str, code: int) -> BackendError:
    """
    Error of a CUresult, with what to do about it.

    :param action: function that returned it.
    """
    said = f'{action}: {error_text(code)} (CUDA error {code})'
    if code == OUT_OF_MEMORY:
        return BackendError(f'the memory of the GPU is used up: {said}; close other programs '
                            'that use the GPU, or choose a smaller model')
    if code in LOST:
        return BackendError(f'the GPU was lost, {LOST[code]}: {said}; the model has to be loaded '
                            'anew, and the program started anew where that fails as well; the '
                            'log of the kernel says more (dmesg, Xid)')
    if code == 100:
        return BackendError(f'no NVIDIA GPU can be used: {said}; check nvidia-smi and '
                            'CUDA_VISIBLE_DEVICES, or choose the backend onnxruntime')
    return BackendError(f'CUDA failed: {said}; check that nvidia-smi works and that driver and '
                        'CUDA libraries are of one version')


def error_text(code: int) -> str:
    """The driver's words for a CUresult."""
    text = ctypes.c_char_p()
    if find_function('cuGetErrorString')(code, ctypes.byref(text)) or text.value is None:
        return 'unknown error'
    return text.value.decode(errors='replace')


def pop_context(handle: int) -> None:
    """Take a context off the stack of this thread where it is on top; never fails."""
    current = ctypes.c_void_p()
    if not find_function('cuCtxGetCurrent')(ctypes.byref(current)) and current.value == handle:
        find_function('cuCtxPopCurrent_v2')(ctypes.byref(current))


def _attribute(attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    call('cuDeviceGetAttribute', ctypes.byref(value), attribute, device)
    return value.value


def _driver_version() -> str:
    try:
        return _DRIVER_VERSION.read_text(encoding='utf-8').strip() or 'unknown'
    except OSError:
        return 'unknown'


@cache
def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise BackendError(f'there is no NVIDIA driver: {error}; install it, or choose the '
                           'backend onnxruntime') from None
