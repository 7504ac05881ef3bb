# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The library of the CUDA driver (libcuda): functions, errors, GPUs.

Names, numbers and argument types are those of cuda.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import BackendError, ConfigError

LIBRARY = 'libcuda.so.1'

OUT_OF_MEMORY = 2
LOST = {
    4: 'the driver is shutting down',
    46: 'another program uses it exclusively, or it failed',
    214: 'its memory has an uncorrectable error',
    220: 'NVLink has an uncorrectable error',
    226: 'a hardware error was contained',
    700: 'a kernel used an illegal address',
    702: 'a kernel took too long',
    709: 'its context was destroyed',
    710: 'an assertion failed in a kernel',
    714: 'a kernel corrupted its stack',
    715: 'a kernel ran an illegal instruction',
    716: 'a kernel used a misaligned address',
    717: 'a kernel used an address of the wrong address space',
    718: 'a kernel jumped to an invalid address',
    719: 'a kernel failed',
    999: 'the driver does not know why',
}
"""Codes of CUresult after which every other call on this context fails as well."""

_NO_DEVICE = 100
_DRIVER_VERSION = Path('/sys/module/nvidia/version')
_COMPUTE_CAPABILITY = (75, 76)


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
    count, device, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    call('cuDeviceGetCount', ctypes.byref(count))
    if count.value == 0:
        raise cuda_error('cuDeviceGetCount', _NO_DEVICE)
    if not -1 <= device_id < count.value:
        raise ConfigError(f'device_id is {device_id}, but there are {count.value} GPUs; choose '
                          f'0..{count.value - 1}, or -1 for the first')
    device_id = max(device_id, 0)
    call('cuDeviceGet', ctypes.byref(device), device_id)
    name = ctypes.create_string_buffer(256)
    call('cuDeviceGetName', name, len(name), device)
    call('cuDriverGetVersion', ctypes.byref(version))
    capability = [ctypes.c_int(), ctypes.c_int()]
    for value, attribute in zip(capability, _COMPUTE_CAPABILITY, strict=True):
        call('cuDeviceGetAttribute', ctypes.byref(value), attribute, device)
    try:
        driver = _DRIVER_VERSION.read_text(encoding='utf-8').strip()
    except OSError:
        driver = ''
    return Gpu(device_id, name.value.decode(errors='replace'),
               f'{capability[0].value}.{capability[1].value}', driver or 'unknown',
               f'{version.value // 1000}.{version.value % 1000 // 10}')


def call(function: str, *arguments: Any) -> None:
    """
    Call a function of the driver; other Python threads run meanwhile.

    :raises BackendError: when it fails, or the driver is missing or lacks the function.
    """
    code = find_function(function)(*arguments)
    if code:
        raise cuda_error(function, code)


def find_function(name: str) -> Callable[..., int]:
    """
    Function of the driver that returns a CUresult.

    :raises BackendError: when the driver is missing or lacks it.
    """
    try:
        function: Callable[..., int] = getattr(_library(), name)
    except AttributeError:
        raise BackendError(f'{LIBRARY} has no {name}: the NVIDIA driver is too old; '
                           'update it') from None
    return function


def cuda_error(function: str, code: int) -> BackendError:
    """Error for the CUresult of a function, with what to do about it."""
    said = f'{function}: {error_text(code)} (CUDA error {code})'
    if code == OUT_OF_MEMORY:
        return BackendError(f'the memory of the GPU is used up: {said}; close other programs '
                            'that use the GPU, or choose a smaller model')
    if code in LOST:
        return BackendError(f'the GPU was lost, {LOST[code]}: {said}; the model has to be loaded '
                            'anew; if that fails, restart the program; the kernel log says more '
                            '(dmesg, Xid)')
    if code == _NO_DEVICE:
        return BackendError(f'no NVIDIA GPU can be used: {said}; check nvidia-smi and '
                            'CUDA_VISIBLE_DEVICES, or choose the backend onnxruntime')
    return other_cuda_error(said)


def other_cuda_error(said: str) -> BackendError:
    """Error that no code tells apart."""
    return BackendError(f'CUDA failed: {said}; check that nvidia-smi works and that driver and '
                        'CUDA libraries are of one version')


def error_text(code: int) -> str:
    """Description of a CUresult by the driver."""
    text = ctypes.c_char_p()
    if find_function('cuGetErrorString')(code, ctypes.byref(text)) or text.value is None:
        return 'unknown error'
    return text.value.decode(errors='replace')


def pop_context(handle: int) -> None:
    """Pop a context off the stack of this thread if it is on top; never fails."""
    current = ctypes.c_void_p()
    if not find_function('cuCtxGetCurrent')(ctypes.byref(current)) and current.value == handle:
        find_function('cuCtxPopCurrent_v2')(ctypes.byref(current))


def destroy(function: str, handle: ctypes.c_void_p) -> None:
    """Free what a handle stands for, if anything, and forget it; never fails."""
    # What is lost with its GPU cannot be freed either.
    if handle.value is not None:
        find_function(function)(handle)
        handle.value = None


@cache
def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise BackendError(f'there is no NVIDIA driver: {error}; install it, or choose the '
                           'backend onnxruntime') from None
