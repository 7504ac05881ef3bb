# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``calibrate`` as its user meets it: a known factor is found, stored and in effect."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core import datasets
from panoptic_depth_core.cli import main
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.labels import CITYSCAPES
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Sample

FACTOR = 2.5
FRAMES = 60


class Known:
    """Frames of the painted model, whose errors are a Laplace FACTOR times what it expects."""

    classes = CITYSCAPES

    def __init__(self, model: ModelDirectory, image: NDArray[np.uint8]) -> None:
        height, width = image.shape[:2]
        self.frame = Frame(image, Intrinsics.from_focal(50, width, height), name='painted')
        with Pipeline(model, 'onnxruntime') as pipeline:
            found = pipeline(self.frame)
        self._depth = found.depth
        self._scale = np.full(found.depth.shape, 0.1)
        for segment in found.segments:
            if segment.log_depth_scale > 0:
                self._scale[found.panoptic == segment.panoptic_id] = segment.log_depth_scale
        assert (found.depth < 80).sum() > 500

    def __len__(self) -> int:
        return FRAMES

    def __getitem__(self, index: int) -> Sample:
        if index % 4 == 0:
            return Sample(self.frame, GroundTruth())
        errors = np.random.default_rng(index).laplace(0, FACTOR * self._scale)
        depth = np.asarray(self._depth * np.exp(errors), np.float32)
        return Sample(self.frame, GroundTruth(depth=depth))


@pytest.fixture
def known(painted_model: ModelDirectory, painted_image: Callable[[int, int], NDArray[np.uint8]],
          monkeypatch: pytest.MonkeyPatch) -> Known:
    """The data set as 'known', whatever its root."""
    made = Known(painted_model, painted_image(32, 64))
    monkeypatch.setitem(datasets.DATASETS, 'known', lambda root, split: made)
    return made


def run(model: ModelDirectory, *more: str) -> int:
    return main(['calibrate', str(model.path), 'anywhere', '-d', 'known', '--threads', '1', *more])


def test_the_known_factor_is_found_stored_and_shown(
        painted_model: ModelDirectory, known: Known, capsys: pytest.CaptureFixture[str]) -> None:
    others = {p.name: p.read_bytes() for p in painted_model.path.iterdir()
              if p.name != 'model.json'}
    assert run(painted_model) == 0
    stored = ModelDirectory.load(painted_model.path)
    assert stored.info.log_depth_temperature == pytest.approx(FACTOR, rel=0.01)
    fitted = stored.info.log_depth_calibration
    assert fitted is not None and (fitted.data, fitted.frames) == ('known, val', 45)
    assert fitted.coverage_68 == pytest.approx(0.68, abs=0.01)
    assert fitted.coverage_95 == pytest.approx(0.95, abs=0.01)
    assert {p.name: p.read_bytes() for p in stored.path.iterdir()
            if p.name != 'model.json'} == others
    shown = capsys.readouterr().out
    rows = {line.strip().partition('  ')[0]: line.split()[-4:] for line in shown.splitlines()}
    # 1 - exp(-1.139 / 2.5) and 1 - exp(-2.996 / 2.5) of the errors are within.
    before = [float(rows['as model.json has it'][i]) for i in (0, 2)]
    assert before == pytest.approx([36.6, 69.8], abs=1.0)
    after = [float(rows['on frames that the fit left out'][i]) for i in (0, 2)]
    assert after == pytest.approx([100 * fitted.coverage_68, 100 * fitted.coverage_95], abs=0.06)
    assert 'px in 45 of 60 frames' in shown
    assert f'log_depth_temperature {stored.info.log_depth_temperature:g}, was 1' in shown


def test_a_second_fit_is_the_same(painted_model: ModelDirectory, known: Known,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """It is of the model's own scale, not on top of the first fit."""
    assert run(painted_model) == 0
    first = (painted_model.path / 'model.json').read_bytes()
    assert run(painted_model) == 0
    assert (painted_model.path / 'model.json').read_bytes() == first
    assert capsys.readouterr().out.count('as model.json has it') == 2


def test_a_runtime_sees_it(painted_model: ModelDirectory, known: Known) -> None:
    """In the segments, and from there in the spread of the distances."""
    with Pipeline(painted_model.path, 'onnxruntime') as pipeline:
        plain = pipeline(known.frame)
    assert run(painted_model) == 0
    factor = ModelDirectory.load(painted_model.path).info.log_depth_temperature
    with Pipeline(painted_model.path, 'onnxruntime') as pipeline:
        found = pipeline(known.frame)
    old, new = ({s.panoptic_id: s.log_depth_scale for s in r.segments} for r in (plain, found))
    assert {i: factor * b for i, b in old.items()} == pytest.approx(new, nan_ok=True)
    cars = [[d for d in r.distances if d.class_name == 'car'] for r in (plain, found)]
    assert len(cars[0]) == 2
    for before, after in zip(*cars, strict=True):
        surface = before.distance_stddev_m ** 2 - 2 * (
            before.segment.log_depth_scale * before.distance_m) ** 2
        expected = surface + 2 * (after.segment.log_depth_scale * after.distance_m) ** 2
        assert after.distance_stddev_m ** 2 == pytest.approx(expected, rel=1e-3)
        assert after.distance_stddev_m > 1.5 * before.distance_stddev_m
    rays = [c[0].position_m / c[0].distance_m for c in cars]
    along = [r @ c[0].position_covariance @ r for r, c in zip(rays, cars, strict=True)]
    assert along == pytest.approx([c[0].distance_stddev_m ** 2 for c in cars], rel=1e-3)


def test_a_dry_run_writes_nothing(painted_model: ModelDirectory, known: Known,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Also where nothing could be written."""
    (painted_model.path / 'model.json.sig').write_bytes(b'signature')
    before = (painted_model.path / 'model.json').read_bytes()
    assert run(painted_model, '--dry-run', '--limit', '6', '--backend', 'onnxruntime') == 0
    captured = capsys.readouterr()
    assert (painted_model.path / 'model.json').read_bytes() == before
    assert 'Dry run' in captured.out and 'px in 4 of 6 frames' in captured.out
    assert 'warning: 4 frames are few' in captured.err


def test_a_signed_model_is_refused_before_the_first_frame(
        painted_model: ModelDirectory, known: Known, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    (painted_model.path / 'model.json.sig').write_bytes(b'signature')
    monkeypatch.setattr(Pipeline, '__call__', lambda *_: pytest.fail('a frame was run'))
    assert run(painted_model) == 2
    assert 'model.json.sig is a signature' in capsys.readouterr().err


def test_an_interrupted_write_leaves_the_old_model(
        painted_model: ModelDirectory, known: Known, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    before = sorted((p.name, p.read_bytes()) for p in painted_model.path.iterdir())
    monkeypatch.setattr('panoptic_depth_core.files.os.fsync', full)
    assert run(painted_model) == 2
    captured = capsys.readouterr()
    assert 'model.json: cannot be written: No space left' in captured.err
    assert 'on frames that the fit left out' in captured.out
    assert sorted((p.name, p.read_bytes()) for p in painted_model.path.iterdir()) == before


def test_refusals(painted_model: ModelDirectory, known: Known, tmp_path: Path,
                  capsys: pytest.CaptureFixture[str]) -> None:
    """No depth in the frames, no such folder, a graph that was exchanged, an unknown data set."""
    def error(*arguments: str) -> str:
        assert main(['calibrate', *arguments]) == 2
        last: str = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith('panoptic-depth: error: ')
        return last

    path = str(painted_model.path)
    assert 'painted: no pixel with a true depth and an expected error' in error(
        path, 'anywhere', '-d', 'known', '--limit', '1')
    assert 'model.json: cannot be read' in error(str(tmp_path / 'none'), 'x', '-d', 'known')
    assert "unknown name 'mine'" in error(path, 'anywhere', '-d', 'mine')
    copy = tmp_path / 'copy'
    shutil.copytree(painted_model.path, copy)
    (copy / 'model.onnx').write_bytes(b'other graph')
    assert 'it was cut off or replaced' in error(str(copy), 'anywhere', '-d', 'known')
