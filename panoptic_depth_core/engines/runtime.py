# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A serialised engine made to run: the part of TensorRT that a robot needs for every frame."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import BackendError
from ..model_info import TensorSpec
from .library import Library

_NUMPY_NAME = {'FLOAT': 'float32', 'HALF': 'float16', 'UINT8': 'uint8', 'INT8': 'int8',
               'INT32': 'int32', 'INT64': 'int64', 'BOOL': 'bool'}
"""Member of tensorrt.DataType -> dtype of numpy, for those that numpy has."""

_OTHER_VERSION = re.compile('serialization version|version tag|library version|'
                            'not compatible with this version', re.IGNORECASE)
_NO_MEMORY = re.compile('out ?of ?memory|memory ?allocation', re.IGNORECASE)


class LoadedEngine:
    """
    An engine and its execution context.

    Everything, close included, is called while one and the same CUDA context is current.

    :param library: the one that built it.
    :param plan: the engine, of a cache that is trusted: it is code.
    :param name: for messages.
    :param compiled: what TensorRT for RTX compiled for this GPU before, see compiled().
    :raises BackendError: with what TensorRT says, when it refuses the engine.
    """

    def __init__(self, library: Library, plan: bytes, name: str, compiled: bytes = b'') -> None:
        self._library = library
        self._name = name
        self._runtime: Any = None
        self._engine: Any = None
        self._config: Any = None
        self._compiled: Any = None
        self._context: Any = None
        self._stream = 0
        self.reused_compiled = False
        try:
            self._load(plan, compiled)
        except BaseException:
            self.close()
            raise

    def inputs(self) -> dict[str, TensorSpec]:
        """Names of the inputs with their dtypes and shapes; -1 is a size that is not fixed."""
        return self._specs(self._library.module.TensorIOMode.INPUT)

    def outputs(self) -> dict[str, TensorSpec]:
        """Names of the outputs with their dtypes and shapes."""
        return self._specs(self._library.module.TensorIOMode.OUTPUT)

    def bind(self, addresses: Mapping[str, int], stream: int) -> None:
        """
        Say where every input and output is, and in which stream to run.

        :param addresses: in the memory of the GPU.
        """
        with self._library.errors() as errors:
            for name, address in addresses.items():
                if not self._context.set_tensor_address(name, address):
                    raise self._failure(f'refuses the buffer of {name}', errors)
        self._stream = stream

    def enqueue(self) -> None:
        """
        Put one run into the stream.

        :raises BackendError: when TensorRT says that it failed.
        """
        with self._library.errors() as errors:
            if not self._context.execute_async_v3(self._stream):
                raise self._failure('cannot run the engine', errors)

    def is_capturable(self) -> bool:
        """Whether a run may be captured as a CUDA graph, after the first one."""
        # Full TensorRT does not say; it can, where all sizes are fixed as they are here.
        return not self._library.is_rtx or bool(self._context.is_stream_capturable(self._stream))

    def compiled(self) -> bytes:
        """What TensorRT for RTX compiled for this GPU; empty for full TensorRT."""
        data = None if self._compiled is None else self._compiled.serialize()
        return b'' if data is None else bytes(data)

    def close(self) -> None:
        """Free what TensorRT holds, in the order in which one thing needs the next."""
        self._context = None
        self._compiled = None
        self._config = None
        self._engine = None
        self._runtime = None

    def _load(self, plan: bytes, compiled: bytes) -> None:
        # No TensorRT object in a local variable: the traceback of an error would keep it alive
        # for longer than the CUDA context.
        library = self._library
        with library.errors() as errors:
            try:
                self._runtime = library.module.Runtime(library.logger)
            except TypeError:
                # What the bindings make of a null pointer.
                raise self._failure('cannot start', errors) from None
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise self._failure('cannot load the engine', errors)
            if library.is_rtx:
                self._use_compiled(compiled)
                self._context = self._engine.create_execution_context(self._config)
            else:
                self._context = self._engine.create_execution_context()
            if self._context is None:
                raise self._failure('cannot make an execution context', errors)

    def _use_compiled(self, data: bytes) -> None:
        self._config = self._engine.create_runtime_config()
        self._config.cuda_graph_strategy = self._library.module.CudaGraphStrategy.DISABLED
        self._compiled = self._config.create_runtime_cache()
        # What was compiled for another GPU or driver is refused, and compiled again.
        self.reused_compiled = bool(data) and bool(self._compiled.deserialize(data))
        self._config.set_runtime_cache(self._compiled)

    def _specs(self, mode: Any) -> dict[str, TensorSpec]:
        engine = self._engine
        names = (engine.get_tensor_name(index) for index in range(engine.num_io_tensors))
        return {name: (_dtype_name(engine.get_tensor_dtype(name)),
                       tuple(engine.get_tensor_shape(name)))
                for name in names if engine.get_tensor_mode(name) == mode}

    def _failure(self, what: str, errors: Sequence[str]) -> BackendError:
        """
        Error with TensorRT's own words and what to do about it.

        :param what: 'cannot run the engine'.
        """
        said = '; '.join(dict.fromkeys(errors)) or 'it gives no reason'
        if _OTHER_VERSION.search(said):
            remedy = (f'it was built by another version than {self._library.version}: build it '
                      'anew with the build policy force')
        elif _NO_MEMORY.search(said):
            remedy = ('the memory of the GPU is used up: close other programs that use the GPU, '
                      'or choose a smaller model')
        else:
            remedy = 'build it anew with the build policy force, or choose another backend'
        return BackendError(f'{self._name}: {self._library} {what}: {" ".join(said.split())}; '
                            f'{remedy}')


def _dtype_name(dtype: Any) -> str:
    name = str(dtype.name)
    return _NUMPY_NAME.get(name, name.lower())
