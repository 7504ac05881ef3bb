# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Runtimes for the exported graph: one file and one line in BACKENDS each.

Only the chosen one is imported and has to be installed.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from numbers import Integral
from typing import Any, cast, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ...contract import COLUMN, NO_SEGMENT, SEGMENT_COLUMNS, Arrays, GraphOutput
from ...errors import BackendError, ConfigError
from ...model_directory import ModelDirectory
from ...model_info import ModelInfo, Precision
from ...status import Watch


class Backend:
    """
    Runs the graph of one model directory.

    A backend takes the ModelDirectory and its own keyword options, and raises ConfigError for a
    graph that breaks the contract, BackendError for a runtime that fails. It implements ``_run``
    and ``_release``.
    """

    name: str
    precision: Precision = 'float32'
    """Arithmetic of the runtime for a float32 graph."""
    engine_key: str = ''
    """Name of the engine in the cache, for runtimes that build one."""
    gpu_memory_bytes: int = 0
    """Memory on the GPU."""

    _model: ModelDirectory
    _is_closed = False

    def run(self, inputs: Arrays) -> GraphOutput:
        """
        Run the graph on one image.

        :param inputs: those of contract.py by name, contiguous, without the batch axis.
        :raises BackendError: for inputs that the graph does not take, or when the runtime fails.
        """
        if self._is_closed:
            raise BackendError(f'{self.name}: the backend is closed; make a new one')
        info = self._model.info
        return GraphOutput.of(self._run(batched(info, inputs)), info.map_size())

    def close(self) -> None:
        """Free memory and threads; the backend cannot be used any more."""
        self._is_closed = True
        self._release()

    def _run(self, inputs: Arrays) -> Arrays:
        """
        Run the graph.

        :param inputs: in the order, types and shapes of ModelInfo.graph_inputs.
        :returns: arrays of ModelInfo.graph_outputs, which the caller owns.
        """
        raise RuntimeError(f'{type(self).__name__} has no _run method')

    def _release(self) -> None:
        """Free what the runtime holds."""


BACKENDS: dict[str, str] = {
    'onnxruntime': '.onnxruntime_backend:OnnxRuntimeBackend',
    'openvino': '.openvino_backend:OpenVinoBackend',
    'tensorrt': '.tensorrt_backend:TensorRtBackend',
    'torch': '...network.torch_backend:TorchBackend',
}
"""Name -> module (relative to this package) and class."""

WATCH = 'watch'
"""Option of backends that build an engine, set by callers, not users."""

WITHOUT_GPU = 'onnxruntime'
"""Backend of 'auto' where TensorRT cannot run; every installation has it."""

_log = logging.getLogger(__name__)


def create_backend(spec: str, model: ModelDirectory, watch: Watch | None = None,
                   **options: Any) -> Backend:
    """
    Load a model into a runtime.

    :param spec: a key of BACKENDS or 'auto', and options as text: 'openvino:precision=bfloat16'.
    :param watch: follows the build of an engine, and may cancel it.
    :param options: of the backend, for instance threads.
    :raises ConfigError: for an unknown name or option, or a graph that breaks the contract.
    :raises BackendError: when the runtime is not installed or cannot load the graph.
    """
    name, written = parse_backend(spec)
    known = backend_options(name)
    for option in options:
        if option not in known:
            raise _unknown(name, option)
    if WATCH in inspect.signature(_factory(name)).parameters:
        options[WATCH] = watch
    return _factory(name)(model, **written, **options)


def parse_backend(spec: str) -> tuple[str, dict[str, Any]]:
    """
    Read 'NAME' or 'NAME:OPTION=VALUE:OPTION=VALUE'.

    :returns: key of BACKENDS, 'auto' resolved, and its options.
    :raises ConfigError: for an unknown name or option, or a value that an option cannot have.
    """
    name, *parts = spec.split(':')
    name = chosen_backend(name)
    known = backend_options(name)
    options = {}
    for part in parts:
        option, equals, text = part.partition('=')
        if option not in known:
            raise _unknown(name, option)
        if not equals:
            raise ConfigError(f'backend {spec!r}: {option} has no value; '
                              f'write {name}:{option}=VALUE')
        try:
            options[option] = TypeAdapter(known[option]).validate_python(text)
        except ValidationError as error:
            raise ConfigError(f'backend {spec!r}: {option} is {text!r}: '
                              f'{error.errors()[0]["msg"]}') from None
    return name, options


def chosen_backend(name: str) -> str:
    """Resolve 'auto' to a key of BACKENDS; a ConfigError for an unknown name."""
    if name == 'auto':
        return _automatic()
    if name not in BACKENDS:
        raise ConfigError(f'backend {name!r} is not known; choose auto, {", ".join(BACKENDS)}')
    return name


def backend_options(name: str) -> dict[str, Any]:
    """Options of a backend with their types; a ConfigError for an unknown backend."""
    factory: Any = _factory(chosen_backend(name))
    hints = get_type_hints(vars(factory).get('__init__', factory))
    return {p.name: hints.get(p.name, Any) for p in inspect.signature(factory).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name != WATCH}


@cache
def _automatic() -> str:
    """TensorRT where it can run, checked once per process."""
    try:
        problem = str(_module('tensorrt').usable())
    except BackendError as error:
        problem = str(error)
    _log.info('backend auto: %s', f'{WITHOUT_GPU}, since {problem}' if problem else 'tensorrt')
    return WITHOUT_GPU if problem else 'tensorrt'


def _unknown(name: str, option: str) -> ConfigError:
    return ConfigError(f'backend {name}: option {option!r} is not known; '
                       f'known: {", ".join(backend_options(name))}')


def _factory(name: str) -> Callable[..., Backend]:
    attribute = BACKENDS[name].partition(':')[2]
    return cast(Callable[..., Backend], getattr(_module(name), attribute))


def _module(name: str) -> Any:
    module = BACKENDS[name].partition(':')[0]
    try:
        return import_module(module, __package__)
    except ImportError as error:
        raise BackendError(f'the backend {name} cannot be imported: {error}; install what it '
                           f"needs (torch: pip install 'panoptic-depth[export]'), or choose the "
                           f'backend {WITHOUT_GPU}') from None


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads that a runtime would silently take for its default."""
    if threads is not None and not (isinstance(threads, Integral) and threads >= 1):
        raise ConfigError(f'threads is {threads!r}; give 1 or more, or leave it out')


def batched(info: ModelInfo, inputs: Arrays) -> Arrays:
    """
    Give the inputs their batch axis, and check that the graph of this model takes them.

    :raises BackendError: naming the input.
    """
    wanted = info.graph_inputs()
    if wrong := sorted(inputs.keys() ^ wanted.keys()):
        raise BackendError(f'input {wrong[0]!r} is not given or not known: {info.model_id} takes '
                           f'{", ".join(wanted)}')
    feed = {}
    for name, (dtype, shape) in wanted.items():
        array = inputs[name] if name == 'thresholds' else inputs[name][None]
        if array.dtype != dtype or array.shape != shape:
            raise BackendError(f'{name} is {array.dtype} {array.shape} with its batch axis, but '
                               f'{info.model_id} takes {dtype} {shape}; use '
                               'preprocess.graph_inputs, and fitting Frame.extra_inputs')
        feed[name] = array
    return feed


def check_output(output: GraphOutput, info: ModelInfo, backend: str) -> None:
    """
    Refuse impossible outputs, before they become distances.

    :raises BackendError: for a wrong shape or type, a depth or table that is not finite, an
        unknown class id.
    """
    size = info.map_size()
    for name, array in (('segment_index', output.segment_index), ('depth', output.depth)):
        if array.shape != size:
            raise BackendError(f'{backend}: output {name} has shape {array.shape}, but '
                               f'{info.model_id} gives {size}; export the model again')
    if output.segment_index.dtype != np.uint8:
        raise BackendError(f'{backend}: output segment_index is {output.segment_index.dtype}, not '
                           'uint8; export the model again')
    table = output.segments
    if table.ndim != 2 or table.shape[1] != len(SEGMENT_COLUMNS):
        raise BackendError(f'{backend}: output segments has shape {table.shape}, not '
                           f'(rows, {len(SEGMENT_COLUMNS)}); export the model again')
    known = 'depth' in info.tasks and (
        info.depth_of == 'pixels' or output.segment_index != NO_SEGMENT)
    if (~np.isfinite(output.depth) & known).any():
        raise BackendError(f'{backend}: depths are not finite; run the self-test of the model or '
                           'use another precision')
    valid = table[table[:, COLUMN['valid']] > 0.5]
    classes = valid[:, COLUMN['class_id']]
    known = (classes >= 0) & (classes < len(info.classes)) & (classes == np.rint(classes))
    if not known.all():
        raise BackendError(f'{backend}: a class id in output segments is none of 0..'
                           f'{len(info.classes) - 1}, which {info.model_id} has; '
                           'run the self-test of the model')
    for name, values in (('valid', table), ('score', valid), ('is_thing', valid)):
        if not np.isfinite(values[:, COLUMN[name]]).all():
            raise BackendError(f'{backend}: {name} in output segments is not finite; '
                               'run the self-test of the model or use another precision')
