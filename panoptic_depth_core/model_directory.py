# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A model directory, the unit of deployment: model.onnx, model.json (ModelInfo) and self_test.npz.

The self-test is a reference input with its outputs in PyTorch; it tests every runtime on every
machine against the export.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from .config import parse_settings
from .contract import Arrays, GraphOutput
from .errors import BackendError, ConfigError
from .files import disk_errors, make_folder, write_atomic
from .model_info import FORMAT_VERSION, INFO_NAME, Precision, TensorSpec
from .model_info import ModelInfo as ModelInfo
from .model_info import WeightsData as WeightsData
from .untrusted import arrays_of, parse_json, reading

PRECISION_TOLERANCE: dict[Precision, tuple[float, float]] = {
    'float32': (1.0, 0.0),
    'float16': (0.95, 0.02),
    'bfloat16': (0.75, 0.25),
    'int8': (0.75, 0.4),
}
"""
Precision -> least share of equal ids and greatest relative depth error of a self-test; for float32
the limits of the self-test itself apply.
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
    Reference inputs, their outputs, and the tolerance for a runtime.

    :param inputs: of the graph by name, without the batch axis.
    :param min_equal_ids: least share of pixels with an equal segment index.
    :param max_depth_error: greatest relative depth error, at the 99th percentile of the pixels
        with equal segment index (another segment has another depth by design).
    """

    inputs: Arrays
    output: GraphOutput
    min_equal_ids: float = 0.999
    max_depth_error: float = 1e-3

    def save(self, file: Path | BinaryIO) -> None:
        """Write an npz of inputs, outputs and limits, each under its own name."""
        # No allow_pickle: below 2.2, numpy stores it as one more array.
        arrays: dict[str, Any] = {**vars(self.output), **self.inputs}
        np.savez_compressed(file, min_equal_ids=self.min_equal_ids,
                            max_depth_error=self.max_depth_error, **arrays)

    @classmethod
    def read(cls, path: Path) -> SelfTest:
        """
        Read what save wrote.

        :raises ConfigError: it is damaged.
        """
        with reading(path, 'a readable self-test', 'copy or export the model again'):
            arrays = arrays_of(path)
            limits = {name: float(arrays.pop(name))
                      for name in ('min_equal_ids', 'max_depth_error')}
            output = GraphOutput(**{field.name: arrays.pop(field.name)
                                    for field in fields(GraphOutput)})
            if output.depth.shape != output.segment_index.shape or any(
                    array.dtype.kind not in 'biuf' for array in vars(output).values()):
                raise ValueError('its arrays are no maps of a graph')
            return cls(arrays, output, **limits)


@dataclass(frozen=True)
class SelfTestReport:
    """Deviation of a runtime from the reference; see SelfTest for the two measures."""

    backend: str
    equal_ids: float
    depth_error: float


def compare(backend: GraphRunner, test: SelfTest) -> SelfTestReport:
    """
    Run the input of a self-test and compare the outputs.

    :raises BackendError: for maps of another size.
    """
    output, reference = backend.run(test.inputs), test.output
    if output.segment_index.shape != reference.segment_index.shape:
        raise BackendError(f'self-test on {backend.name}: the maps are '
                           f'{output.segment_index.shape}, not {reference.segment_index.shape}; '
                           'export the model again')
    equal = output.segment_index == reference.segment_index
    found, wanted = output.depth[equal], reference.depth[equal]
    # Where the model has no depth, both are NaN.
    both_nan = np.isnan(found) & np.isnan(wanted)
    error = np.append(np.abs(found / wanted - 1.0)[~both_nan], 0.0)
    return SelfTestReport(backend.name, float(equal.mean()), float(np.percentile(error, 99)))


DEFAULT_MODEL = 'fast'

MODE = 0o644
"""Permissions of its files: everybody may read a deployed model."""


@dataclass(frozen=True)
class ModelDirectory:
    """A model directory with all files, and a graph with the hash of model.json."""

    path: Path
    info: ModelInfo

    @classmethod
    def load(cls, path: Path | str) -> ModelDirectory:
        """
        Read and check a model directory.

        :raises ConfigError: when a file is missing or unreadable, model.json is wrong, or the
            graph is not the one that model.json describes.
        """
        path = Path(path)
        info = _read_info(path / INFO_NAME)
        _check_graph_file(path / info.onnx_file, info)
        if info.self_test and not (path / info.self_test).is_file():
            raise ConfigError(f'{path / info.self_test}: the self-test of {INFO_NAME} is '
                              'missing; copy the whole model directory')
        return cls(path, info)

    @classmethod
    def default(cls) -> ModelDirectory:
        """Model shipped with the package; a ConfigError when it was installed without it."""
        path = shipped_models().get(DEFAULT_MODEL)
        if path is None:
            raise ConfigError('the weights of the default model are not in this installation; '
                              'install the package again or name a model directory')
        return cls.load(path)

    @property
    def onnx_path(self) -> Path:
        """Path of the graph."""
        return self.path / self.info.onnx_file

    def check_graph(self, inputs: Mapping[str, TensorSpec],
                    outputs: Mapping[str, TensorSpec]) -> None:
        """
        Compare the graph, as a runtime reports it, with the contract; backends call it at load.

        :raises ConfigError: naming the first input or output that is missing or different.
        """
        known = self.info.graph_inputs()
        for kind, wanted, found in (('input', known, inputs),
                                    ('output', self.info.graph_outputs(), outputs)):
            for name, spec in wanted.items():
                if name not in found:
                    raise ConfigError(
                        f'{self.onnx_path}: {kind} {name!r} is missing, the graph has '
                        f'{", ".join(found) or "none"}; export the model again')
                if not _fits(spec, found[name]):
                    raise ConfigError(
                        f'{self.onnx_path}: {kind} {name!r} is {_shown(found[name])}, but '
                        f'{INFO_NAME} and the contract ask for {_shown(spec)}; '
                        'export the model again')
        if unknown := [name for name in inputs if name not in known]:
            raise ConfigError(f'{self.onnx_path}: input {unknown[0]!r} is not in the contract '
                              f'({", ".join(known)}); export the model again')

    def load_self_test(self) -> SelfTest:
        """
        Read the reference input and outputs.

        :raises ConfigError: when the model has none or it cannot be read.
        """
        if self.info.self_test is None:
            raise ConfigError(f'{self.path}: the model has no self-test; export it with one')
        return SelfTest.read(self.path / self.info.self_test)

    def self_test(self, backend: GraphRunner) -> SelfTestReport:
        """
        Run the reference input, and refuse a runtime that deviates too much.

        Low precision of the graph or of the runtime widens the limits; see PRECISION_TOLERANCE.

        :raises BackendError: with the deviation and the limits.
        """
        test = self.load_self_test()
        report = compare(backend, test)
        limits = [PRECISION_TOLERANCE[p] for p in (self.info.precision, backend.precision)]
        least = min(test.min_equal_ids, *(ids for ids, _ in limits))
        most = max(test.max_depth_error, *(error for _, error in limits))
        # Written so that NaN fails.
        if not (report.equal_ids >= least and report.depth_error <= most):
            raise BackendError(
                f'self-test of {self.info.model_id} on {backend.name}: {report.equal_ids:.3%} of '
                f'the ids are equal (least {least:.3%}), relative depth error '
                f'{report.depth_error:.2g} (most {most:.2g}); choose another backend or '
                'precision, or export the model again')
        return report


def shipped_models() -> dict[str, Path]:
    """Name -> directory of the models that are in this installation."""
    folder = Path(str(importlib.resources.files(__package__))) / 'models'
    return {path.parent.name: path.parent for path in sorted(folder.glob(f'*/{INFO_NAME}'))}


def open_model(model: ModelDirectory | Path | str | None) -> ModelDirectory:
    """
    Load a model directory by name or path.

    :param model: a model directory, its path or that of its model.json or graph, or the name of a
        shipped model (a directory of that name takes precedence); None: the default model.
    :raises ConfigError: as ModelDirectory.load.
    """
    if model is None:
        return ModelDirectory.default()
    if isinstance(model, ModelDirectory):
        return model
    path = Path(model)
    if path.name == INFO_NAME or (path.is_file() and path.suffix in ('.json', '.onnx')):
        path = path.parent
    elif not (path / INFO_NAME).exists():
        path = shipped_models().get(str(model), path)
    return ModelDirectory.load(path)


def save_model_directory(path: Path | str, info: ModelInfo, onnx_bytes: bytes,
                         self_test: SelfTest | None = None) -> ModelDirectory:
    """
    Write a model directory, size and hash of the graph filled in, and load it again.

    model.json comes last: an interrupted write leaves a directory that load refuses.

    :raises ConfigError: when it cannot be written, or would not load.
    """
    path = make_folder(Path(path))
    info = info.model_copy(update={
        'onnx_sha256': hashlib.sha256(onnx_bytes).hexdigest(), 'onnx_bytes': len(onnx_bytes),
        'self_test': None if self_test is None else 'self_test.npz'})
    write_atomic(path / info.onnx_file, onnx_bytes, sync=True, mode=MODE)
    if self_test is not None:
        buffer = io.BytesIO()
        self_test.save(buffer)
        write_atomic(path / 'self_test.npz', buffer.getvalue(), sync=True, mode=MODE)
    write_model_info(path, info)
    return ModelDirectory.load(path)


def write_model_info(path: Path | str, info: ModelInfo) -> None:
    """
    Write model.json into a model directory, for instance with a new calibration.

    :raises ConfigError: when it cannot be written; what was there before is kept.
    """
    text = json.dumps(info.model_dump(mode='json'), indent=1) + '\n'
    write_atomic(Path(path) / INFO_NAME, text.encode(), sync=True, mode=MODE)


def _read_info(path: Path) -> ModelInfo:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; '
                          'give a directory that `panoptic-depth export` wrote, or a shipped '
                          f'model: {", ".join(shipped_models()) or "none here"}') from None
    values = parse_json(data, path, remedy='copy or export the model again')
    if not isinstance(values, dict):
        raise ConfigError(f'{path}: holds a {type(values).__name__}, not an object; '
                          'copy or export the model again')
    version = values.get('format_version')
    if version != FORMAT_VERSION:
        raise ConfigError(f'{path}: format_version is {version!r}, this program reads '
                          f'{FORMAT_VERSION}; export the model with this version')
    return parse_settings(ModelInfo, values, str(path))


def _check_graph_file(path: Path, info: ModelInfo) -> None:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size == info.onnx_bytes else b''
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; '
                          'copy the whole model directory') from None
    if size != info.onnx_bytes:
        raise ConfigError(f'{path}: {size} bytes, but {INFO_NAME} says {info.onnx_bytes}; '
                          'it was cut off or replaced: copy or export the model again')
    found = hashlib.sha256(data).hexdigest()
    if found != info.onnx_sha256:
        raise ConfigError(f'{path}: sha256 is {found}, but {INFO_NAME} says '
                          f'{info.onnx_sha256}; the file was damaged or replaced: '
                          'copy or export the model again')


def _fits(wanted: TensorSpec, found: TensorSpec) -> bool:
    return (wanted[0] == found[0] and len(wanted[1]) == len(found[1])
            and all(a is None or a == b for a, b in zip(wanted[1], found[1], strict=True)))


def _shown(spec: TensorSpec) -> str:
    return f'{spec[0]} ({", ".join("any" if n is None else str(n) for n in spec[1])})'


def copy_model(model: ModelDirectory, out_dir: Path | str) -> ModelDirectory:
    """
    Copy a model directory, without its engines, unless it is there already.

    :raises ConfigError: when it cannot be written.
    """
    out_dir = Path(out_dir)
    if out_dir.resolve() == model.path.resolve():
        return model
    test = model.load_self_test() if model.info.self_test else None
    copy = save_model_directory(out_dir, model.info, model.onnx_path.read_bytes(), test)
    copy_licences(model, out_dir)
    return copy


def copy_licences(model: ModelDirectory, out_dir: Path) -> None:
    """Copy the licence texts of a model, without which it may not be redistributed."""
    with disk_errors(out_dir):
        for path in sorted(model.path.glob('LICENSE*')):
            write_atomic(out_dir / path.name, path.read_bytes(), sync=True, mode=MODE)
