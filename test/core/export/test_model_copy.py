# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Copies of model directories, and the command that makes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.export.model_copy import copy_model
from panoptic_depth_core.model_directory import ModelDirectory


def test_copy_has_all_but_engines(tmp_path: Path) -> None:
    """Graph, self-test and licence are the same; engines stay where they were built."""
    first = copy_model(ModelDirectory.default(), tmp_path / 'first')
    (first.path / 'engines').mkdir()
    second = copy_model(first, tmp_path / 'second')
    assert second.info == first.info == ModelDirectory.default().info
    for name in ('model.onnx', 'model.json', 'LICENSE.txt'):
        assert (second.path / name).read_bytes() == (first.path / name).read_bytes()
    assert (second.load_self_test().output.depth == first.load_self_test().output.depth).all()
    assert not (second.path / 'engines').exists()


def test_copy_onto_itself(painted_model: ModelDirectory) -> None:
    """There is nothing to do, and nothing is written."""
    before = {path: path.stat().st_mtime_ns for path in painted_model.path.iterdir()}
    link = painted_model.path.parent / 'link'
    link.symlink_to(painted_model.path)
    assert copy_model(painted_model, link) is painted_model
    assert {path: path.stat().st_mtime_ns for path in painted_model.path.iterdir()} == before


def test_where_nothing_can_be_written(painted_model: ModelDirectory, tmp_path: Path) -> None:
    """A file in place of the folder is named."""
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='file: cannot be written'):
        copy_model(painted_model, tmp_path / 'file')


def test_command(painted_model: ModelDirectory, tmp_path: Path, capsys) -> None:
    """``export`` of a model directory is a copy, and its graph cannot be changed."""
    out_dir = str(tmp_path / 'copy')
    assert main(['export', str(painted_model.path), '-o', out_dir]) == 0
    assert 'painted, input 64x32' in capsys.readouterr().out
    assert ModelDirectory.load(out_dir).info == painted_model.info
    assert main(['export', str(painted_model.path), '-o', out_dir, '--size', '64x128']) == 2
    assert '--size is 64x128, but' in capsys.readouterr().err
    assert main(['export', str(tmp_path), '-o', out_dir]) == 2
    assert 'model.json: cannot be read' in capsys.readouterr().err
