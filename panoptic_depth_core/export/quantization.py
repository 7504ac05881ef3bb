# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Ranges of activations over frames, and convolutions in int8 by them (Q/DQ of ONNX Runtime)."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    create_calibrator,
    quantize_static,
)

from .low_precision import LowPrecisionNodes

Feed = Mapping[str, NDArray[Any]]
"""Input of the graph -> its value."""

_QUANTISED = ['Add', 'Clip', 'Concat', 'Conv', 'Relu', 'Resize']


def quantize(model: onnx.ModelProto, low: LowPrecisionNodes, feeds: Iterable[Feed], *,
             symmetric: bool) -> onnx.ModelProto:
    """
    Compute convolutions in int8: weights per channel, activations per tensor by their extremes.

    Extremes, since the other calibrators of ONNX Runtime lose more here or come to the same.

    :param model: float32, nodes named, constants folded.
    :param symmetric: activations are int8 about zero, quantised before each convolution, as
        TensorRT asks; else they are uint8 with a zero point, quantised on both sides, which ONNX
        Runtime and OpenVINO need to be fast.
    """
    if symmetric:
        nodes, operators = low.convolutions, ['Conv']
        options: dict[str, Any] = {
            'ActivationSymmetric': True, 'QuantizeBias': False,
            'OpTypesToExcludeOutputQuantization': ['Conv']}
    else:
        # What bounds the result of a convolution becomes part of its quantised range.
        nodes, operators = low.convolutions + low.pointwise, _QUANTISED
        options = {}
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / 'model.onnx'
        quantize_static(
            model, path, _Reader(feeds), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=operators, nodes_to_quantize=list(nodes), per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
            extra_options=options)
        return onnx.load(path)


def greatest_activations(model: onnx.ModelProto, low: LowPrecisionNodes,
                         feeds: Iterable[Feed]) -> dict[str, float]:
    """
    Measure the largest numbers that these nodes work with.

    :returns: tensor -> greatest absolute value over all feeds.
    """
    nodes = [node for node in model.graph.node if node.name in low.nodes]
    names = {name for node in nodes for name in (*node.input, *node.output)}
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / 'model.onnx'
        onnx.save(model, path)
        calibrator = create_calibrator(
            path, sorted({node.op_type for node in nodes}),
            augmented_model_path=str(Path(folder) / 'augmented.onnx'),
            calibrate_method=CalibrationMethod.MinMax)
        calibrator.collect_data(_Reader(feeds))
        ranges = calibrator.compute_data()
    return {name: float(np.abs(ranges[name].range_value).max())
            for name in ranges.keys() & names}


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        """Inputs of the next run, None after the last."""
        return next(self._feeds, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's tools print and log to the root logger what concerns only their authors."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
