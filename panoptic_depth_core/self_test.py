# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A reference input of a model with its outputs: whether a runtime does what PyTorch did.

It is an npz beside model.json, so that every runtime on every machine can be compared with the one
that exported the model.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from .contract import Arrays, GraphOutput
from .errors import BackendError
from .model_info import Precision

PRECISION_TOLERANCE: dict[Precision, tuple[float, float]] = {
    'float32': (1.0, 0.0),
    'float16': (0.95, 0.02),
    'bfloat16': (0.75, 0.25),
    'int8': (0.75, 0.4),
}
"""
Precision -> least share of equal ids and greatest relative error of depth that it excuses in a
self-test; float32 excuses nothing beyond what the self-test itself allows.
"""


class GraphRunner(Protocol):
    """The part of a backend that the self-test needs."""

    name: str
    precision: Precision

    def run(self, inputs: Arrays) -> GraphOutput:
        """Run the graph on one image; inputs by name, without the batch axis."""
        ...


@dataclass(frozen=True)
class SelfTest:
    """
    Reference inputs, the outputs that belong to them, and how far a runtime may be off.

    :param inputs: of the graph by name, without the batch axis.
    :param min_equal_ids: least share of pixels with an equal segment index.
    :param max_depth_error: greatest relative depth error, at the 99th percentile of the pixels
        whose segment index is equal (another segment is another depth by design).
    """

    inputs: Arrays
    output: GraphOutput
    min_equal_ids: float = 0.999
    max_depth_error: float = 1e-3

    def save(self, file: Path | BinaryIO) -> None:
        """Write an npz of inputs, outputs and limits, each under its own name."""
        np.savez_compressed(file, allow_pickle=False, min_equal_ids=self.min_equal_ids,
                            max_depth_error=self.max_depth_error, **vars(self.output),
                            **self.inputs)

    @classmethod
    def read(cls, path: Path) -> SelfTest:
        """
        Read what save wrote.

        :raises OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile: when it is no such
            file.
        """
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        limits = {name: float(arrays.pop(name)) for name in ('min_equal_ids', 'max_depth_error')}
        output = GraphOutput(**{field.name: arrays.pop(field.name)
                                for field in fields(GraphOutput)})
        return cls(arrays, output, **limits)


@dataclass(frozen=True)
class SelfTestReport:
    """How far a runtime is from the reference; see SelfTest for the two measures."""

    backend: str
    equal_ids: float
    depth_error: float


def compare(backend: GraphRunner, test: SelfTest) -> SelfTestReport:
    """
    Run the input of a self-test and measure how far the outputs are from those it holds.

    :raises BackendError: for maps of another size.
    """
    output, reference = backend.run(test.inputs), test.output
    if output.segment_index.shape != reference.segment_index.shape:
        raise BackendError(f'self-test on {backend.name}: the maps are '
                           f'{output.segment_index.shape}, not {reference.segment_index.shape}; '
                           'export the model again')
    equal = output.segment_index == reference.segment_index
    found, wanted = output.depth[equal], reference.depth[equal]
    # A depth that the model does not have is to be NaN here and there.
    nowhere = np.isnan(found) & np.isnan(wanted)
    error = np.append(np.abs(found / wanted - 1.0)[~nowhere], 0.0)
    return SelfTestReport(backend.name, float(equal.mean()), float(np.percentile(error, 99)))
