# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The two packages through which contexts, memory, copies and streams are had: pycuda, cuda-python.

Both do the same here, so the device on top of them does not know which one it has.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import BackendError

PACKAGES = {
    'pycuda': 'pycuda.driver',
    'cuda-python': 'cuda.bindings.driver',
}
"""Name of the package -> module that is imported, in the order in which they are tried."""


class Binding(Protocol):
    """
    One primary context with one stream, through one package.

    All of it but push and close is called while the context is current. It raises BackendError,
    but for pop, free, free_host and close, which never fail.
    """

    stream: int
    """Handle of the stream."""

    def push(self) -> None:
        """Make the context current in this thread."""
        ...

    def pop(self) -> None:
        """Make the context current that was before."""
        ...

    def allocate(self, size: int) -> Any:
        """Memory of the GPU, in bytes; int() of it is its address."""
        ...

    def free(self, memory: Any) -> None:
        """Free what allocate returned."""
        ...

    def allocate_host(self, size: int) -> NDArray[np.uint8]:
        """(size,) uint8 in page-locked memory of the host."""
        ...

    def free_host(self, array: NDArray[np.uint8]) -> None:
        """Free what allocate_host returned; no view of it may be used any more."""
        ...

    def copy_in(self, address: int, host: NDArray[Any]) -> None:
        """Put a copy from the host to the GPU into the stream."""
        ...

    def copy_out(self, host: NDArray[Any], address: int) -> None:
        """Put a copy from the GPU to the host into the stream."""
        ...

    def synchronize(self) -> None:
        """Wait until the stream is empty; other threads of Python go on."""
        ...

    def free_memory(self) -> int:
        """Bytes of the GPU that nobody uses."""
        ...

    def close(self) -> None:
        """Give back stream and context; it is not current any more."""
        ...


def import_package() -> tuple[str, Any]:
    """
    Import the first package of PACKAGES that is there and works.

    :returns: its name and the module.
    :raises BackendError: when there is none, and how to install one.
    """
    broken = []
    for name, module in PACKAGES.items():
        try:
            return name, import_module(module)
        # One that was made for another CUDA version fails with more than an ImportError.
        except Exception as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if missing is None or not module.startswith(missing):
                broken.append(f'{name} cannot be imported: {error}')
    said = '; '.join(broken) or 'no package for CUDA is installed'
    raise BackendError(f'{said}; run: pip install cuda-python, or pip install pycuda, which is '
                       'compiled and needs the CUDA toolkit')


def open_binding(device_id: int) -> Binding:
    """
    Retain the primary context of a GPU and make a stream on it.

    :raises BackendError: when no package can be imported or CUDA fails.
    """
    name, package = import_package()
    module = import_module(f'.{name.replace("-", "_")}_binding', __package__)
    return cast(Binding, module.open_primary_context(package, device_id))
