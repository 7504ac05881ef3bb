# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: for CPUs that compute in bfloat16 or int8 faster than in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ...contract import Arrays
from ...errors import BackendError, ConfigError
from ...model_directory import ModelDirectory
from ...model_info import TensorSpec
from . import Backend, check_threads

_HINTS = {'float32': 'f32', 'bfloat16': 'bf16'}
_NUMPY_NAME = {'u8': 'uint8', 'f32': 'float32'}


class OpenVinoBackend(Backend):
    """
    One compiled model of OpenVINO on the CPU, for one frame at a time.

    :param threads: of computation; None: OpenVINO's choice.
    :param precision: arithmetic for float32 parts of the graph. OpenVINO itself would choose
        bfloat16 where the processor has it, also for assembly and depth.
    :raises ConfigError: when the processor has no bfloat16, or for a graph that breaks the
        contract.
    :raises BackendError: when OpenVINO is not installed or refuses the graph.
    """

    name = 'openvino'

    def __init__(self, model: ModelDirectory, *, threads: int | None = None,
                 precision: Literal['float32', 'bfloat16'] = 'float32') -> None:
        check_threads(threads)
        try:
            import openvino
        except ImportError as error:
            raise BackendError(f'openvino cannot be imported: {error}; '
                               "run: pip install 'panoptic-depth[openvino]'") from None
        core = openvino.Core()
        capabilities = core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        if precision == 'bfloat16' and 'BF16' not in capabilities:
            raise ConfigError('openvino: precision is bfloat16, but this processor computes in '
                              f'{", ".join(capabilities)}; choose float32')
        options: dict[str, Any] = {
            'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': _HINTS[precision]}
        if threads is not None:
            options['INFERENCE_NUM_THREADS'] = threads
        try:
            compiled = core.compile_model(str(model.onnx_path), 'CPU', options)
        except RuntimeError as error:
            raise BackendError(f'{model.onnx_path}: OpenVINO {openvino.__version__} cannot load '
                               f'it: {_reason(error)}; {_remedy(error)}') from None
        model.check_graph(_specs(compiled.inputs), _specs(compiled.outputs))
        self.precision = precision
        self._model = model
        self._request: Any = compiled.create_infer_request()

    def _run(self, inputs: Arrays) -> Arrays:
        try:
            self._request.infer(inputs, share_inputs=True)
            # Copied, as the next run writes into the same memory.
            return {name: self._request.get_tensor(name).data.copy()
                    for name in self._model.info.graph_outputs()}
        except RuntimeError as error:
            raise BackendError(f'{self._model.onnx_path}: OpenVINO failed: {_reason(error)}; '
                               'run the self-test of the model') from None

    def _release(self) -> None:
        self._request = None


def _specs(ports: Sequence[Any]) -> dict[str, TensorSpec]:
    """Names, dtypes and shapes of the compiled model; a symbolic size is None."""
    return {port.any_name: (
        _NUMPY_NAME.get(port.element_type.get_type_name(), port.element_type.get_type_name()),
        tuple(size.get_length() if size.is_static else None for size in port.partial_shape))
        for port in ports}


def _remedy(error: RuntimeError) -> str:
    if 'DeformConv' in str(error) or 'DeformableConvolution' in str(error):
        return 'convert the model with grid_sample in place of that (--deformable)'
    return 'update openvino, export the model again or choose another backend'


def _reason(error: RuntimeError) -> str:
    """Message without the lines that name OpenVINO's source files."""
    lines = [line.strip() for line in str(error).splitlines()]
    return ' '.join(line for line in lines if line and not line.startswith(
        ('Exception from', 'Check '))) or 'it gives no reason'
