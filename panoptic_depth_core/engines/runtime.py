# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Load and run a serialized engine: the part of TensorRT that every frame needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..errors import BackendError
from ..model_info import TensorSpec
from .library import NO_MEMORY, Library, one_line

_NUMPY_NAME = {'FLOAT': 'float32', 'HALF': 'float16', 'UINT8': 'uint8', 'INT8': 'int8',
               'INT32': 'int32', 'INT64': 'int64', 'BOOL': 'bool'}
"""Member of tensorrt.DataType -> dtype of numpy, where numpy has one."""

_OTHER_VERSION = re.compile('serialization version|version tag|library version|'
                            'not compatible with this version', re.IGNORECASE)


class LoadedEngine:
    """
    An engine and its execution context.

    Every method, close included, must be called while the same CUDA context is current.

    :param engine: serialized, from a private cache: it is executable code.
    :param name: for messages.
    :param compiled: earlier result of compiled().
    :ivar reused_compiled: TensorRT accepted ``compiled``.
    :raises BackendError: with the reason that TensorRT gives, when it refuses the engine.
    """

    def __init__(self, library: Library, engine: bytes, name: str, compiled: bytes = b'') -> None:
        self._library = library
        self._name = name
        self._stream = 0
        self.reused_compiled = False
        self.close()
        try:
            self._load(engine, compiled)
        except BaseException:
            self.close()
            raise

    def tensors(self, mode: Literal['INPUT', 'OUTPUT']) -> dict[str, TensorSpec]:
        """Name -> dtype and shape of each input or output; -1 is a size that is not fixed."""
        engine, wanted = self._engine, getattr(self._library.module.TensorIOMode, mode)
        names = (engine.get_tensor_name(index) for index in range(engine.num_io_tensors))
        return {name: (_dtype_name(engine.get_tensor_dtype(name)),
                       tuple(engine.get_tensor_shape(name)))
                for name in names if engine.get_tensor_mode(name) == wanted}

    def bind(self, addresses: Mapping[str, int], stream: int) -> None:
        """Set the address on the GPU of every input and output, and the stream of enqueue."""
        with self._library.errors() as errors:
            for name, address in addresses.items():
                if not self._context.set_tensor_address(name, address):
                    raise self._failure(f'refuses the buffer of {name}', errors)
        self._stream = stream

    def enqueue(self) -> None:
        """Put one run into the stream; BackendError when TensorRT says that it failed."""
        with self._library.errors() as errors:
            if not self._context.execute_async_v3(self._stream):
                raise self._failure('cannot run the engine', errors)

    def is_capturable(self) -> bool:
        """Whether a run may be captured as a CUDA graph, after the first one."""
        # Full TensorRT has no such question; it can, where all sizes are fixed as they are here.
        return not self._library.is_rtx or bool(self._context.is_stream_capturable(self._stream))

    def compiled(self) -> bytes:
        """What TensorRT for RTX compiled for this GPU; empty for full TensorRT."""
        data = None if self._compiled is None else self._compiled.serialize()
        return b'' if data is None else bytes(data)

    def close(self) -> None:
        """Free what TensorRT holds."""
        nothing: Any = None
        # From left to right: each object before the one that it depends on.
        self._context = self._compiled = self._config = self._engine = self._runtime = nothing

    def _load(self, engine: bytes, compiled: bytes) -> None:
        # No TensorRT object in a local variable: the traceback of an error would keep it alive
        # for longer than the CUDA context.
        library = self._library
        with library.errors() as errors:
            try:
                self._runtime = library.module.Runtime(library.logger)
            except TypeError:
                # The bindings make this of a null pointer.
                raise self._failure('cannot start', errors) from None
            self._engine = self._runtime.deserialize_cuda_engine(engine)
            if self._engine is None:
                raise self._failure('cannot load the engine', errors)
            if library.is_rtx:
                self._config = self._engine.create_runtime_config()
                self._config.cuda_graph_strategy = library.module.CudaGraphStrategy.DISABLED
                self._compiled = self._config.create_runtime_cache()
                # It refuses what was compiled for another GPU or driver, and compiles anew.
                self.reused_compiled = bool(compiled) and bool(
                    self._compiled.deserialize(compiled))
                self._config.set_runtime_cache(self._compiled)
                self._context = self._engine.create_execution_context(self._config)
            else:
                self._context = self._engine.create_execution_context()
            if self._context is None:
                raise self._failure('cannot make an execution context', errors)

    def _failure(self, what: str, errors: Sequence[str]) -> BackendError:
        """Error with TensorRT's own message and a remedy; what: 'cannot run the engine'."""
        said = one_line(errors)
        remedy = 'build it anew with the build policy force, or choose another backend'
        if _OTHER_VERSION.search(said):
            remedy = (f'it was built by another version than {self._library.version}: build it '
                      'anew with the build policy force')
        elif NO_MEMORY.search(said):
            remedy = ('the memory of the GPU is used up: close other programs that use the GPU, '
                      'or choose a smaller model')
        return BackendError(f'{self._name}: {self._library} {what}: {said}; {remedy}')


def _dtype_name(dtype: Any) -> str:
    name = str(dtype.name)
    return _NUMPY_NAME.get(name, name.lower())
