# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Every command that writes refuses an output into which another program writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.files import lock_file, lock_folder
from panoptic_depth_core.model_directory import shipped_models

FAST = str(shipped_models()['fast'])
RECIPE = 'config/training/fast.yaml'
FOLDERS = {
    'benchmark': ('benchmark', '--size', '64x128'), 'card': ('card', '-d', 'synthetic'),
    'convert': ('convert', 'checkpoint.pth'), 'demo': ('demo',),
    'evaluate': ('evaluate', '1', '-d', 'synthetic'), 'export': ('export', FAST),
    'train': ('train', RECIPE)}
FILES = {'benchmark': ('benchmark', '--size', '64x128'), 'pack': ('pack', RECIPE)}


@pytest.mark.parametrize(('name', 'is_file'), [
    *((name, False) for name in FOLDERS), *((name, True) for name in FILES)])
def test_the_second_program_is_refused(name: str, is_file: bool, tmp_path: Path,
                                       repository: Path, monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    if name in ('train', 'pack'):
        pytest.importorskip('torch')
        pytest.importorskip('lightning')
    if name in ('convert', 'export'):
        pytest.importorskip('onnxscript')
    monkeypatch.chdir(repository)
    out = tmp_path / ('out.json' if is_file else 'out')
    (lock, commands) = (lock_file, FILES) if is_file else (lock_folder, FOLDERS)
    with lock(out):
        before = sorted(tmp_path.rglob('*'))
        assert main([*commands[name], '-o', str(out)]) == 2
        assert sorted(tmp_path.rglob('*')) == before
    said = capsys.readouterr().err
    assert f'{out}: process {os.getpid()} (' in said and 'writes into it; wait' in said
