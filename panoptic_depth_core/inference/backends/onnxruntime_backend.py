# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: the default on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...contract import Arrays
from ...errors import BackendError, ConfigError
from ...model_directory import ModelDirectory
from ...model_info import TensorSpec
from . import Backend, check_threads

_NUMPY_NAME = {'tensor(uint8)': 'uint8', 'tensor(float)': 'float32'}

_PROVIDER_OPTIONS = {'CUDAExecutionProvider': {'use_tf32': '0'}}
"""Options of execution providers: float32 is float32 on a GPU too."""


class OnnxRuntimeBackend(Backend):
    """
    One session of ONNX Runtime.

    :param threads: threads within an operator; None: ONNX Runtime's choice.
    :param providers: one execution provider, or several in order of preference.
    :raises ConfigError: for an unknown provider, or a graph that breaks the contract.
    :raises BackendError: when ONNX Runtime is not installed or refuses the graph.
    """

    name = 'onnxruntime'

    def __init__(self, model: ModelDirectory, *, threads: int | None = None,
                 providers: str | Sequence[str] = 'CPUExecutionProvider') -> None:
        check_threads(threads)
        providers = [providers] if isinstance(providers, str) else list(providers)
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(f'onnxruntime cannot be imported: {error}; '
                               'run: pip install onnxruntime') from None
        available = onnxruntime.get_available_providers()
        for provider in providers:
            if provider not in available:
                raise ConfigError(f'execution provider {provider!r} is not in this ONNX Runtime; '
                                  f'choose from {", ".join(available)}')
        options = onnxruntime.SessionOptions()
        # It warns of every tensor that it optimized away; errors are exceptions.
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = onnxruntime.InferenceSession(
                str(model.onnx_path), options,
                providers=[(p, _PROVIDER_OPTIONS.get(p, {})) for p in providers])
        # Its exceptions have no other common base.
        except Exception as error:
            raise BackendError(f'{model.onnx_path}: ONNX Runtime {onnxruntime.__version__} '
                               f'cannot load it: {_one_line(error)}; '
                               'update onnxruntime or export the model again') from None
        # ONNX Runtime leaves out providers that fail to start, and runs on the CPU.
        missing = [p for p in providers if p not in session.get_providers()]
        if missing:
            raise BackendError(f'execution provider {missing[0]!r} of ONNX Runtime '
                               f'{onnxruntime.__version__} cannot be started here; check its '
                               'libraries and the driver, or leave it out')
        model.check_graph(_specs(session.get_inputs()), _specs(session.get_outputs()))
        self._model = model
        self._session: Any = session

    def _run(self, inputs: Arrays) -> Arrays:
        names = list(self._model.info.graph_outputs())
        try:
            return dict(zip(names, self._session.run(names, inputs), strict=True))
        except Exception as error:
            raise BackendError(f'{self._model.onnx_path}: ONNX Runtime failed: '
                               f'{_one_line(error)}; run the self-test of the model') from None

    def _release(self) -> None:
        self._session = None


def _specs(nodes: Sequence[Any]) -> dict[str, TensorSpec]:
    """Names, dtypes and shapes of the session; a symbolic size is None."""
    return {node.name: (_NUMPY_NAME.get(node.type, node.type),
                        tuple(n if isinstance(n, int) else None for n in node.shape))
            for node in nodes}


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())
