# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Consoles of other encodings: plainer characters, never an error."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from panoptic_depth_core.cli import app, main
from panoptic_depth_core.cli.console import print_table
from panoptic_depth_core.model_directory import ModelInfo, save_model_directory
from panoptic_depth_core.tables import Table

ENCODINGS = ['ascii', 'latin-1', 'cp437', 'utf-8']
COMMANDS = sorted((command.name or command.callback.__name__).replace('_', '-')
                  for command in app.registered_commands)


class Terminal:
    """Standard output and error of one encoding."""

    def __init__(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.encoding = encoding
        self._streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors='strict')
                         for name in ('stdout', 'stderr')}
        for name, stream in self._streams.items():
            monkeypatch.setattr(sys, name, stream)

    def __getattr__(self, name: str) -> str:
        stream = self._streams[name]
        stream.flush()
        return stream.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize('command', COMMANDS)
def test_help(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal('ascii', monkeypatch)
    assert main([command, '--help']) == 0
    assert '--help' in terminal.stdout and not terminal.stderr


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_results(encoding: str, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch,
                 make_info: Callable[..., ModelInfo],
                 painted_onnx: Callable[[ModelInfo], bytes]) -> None:
    """The bars of the progress, tables, and names of any letters or bytes."""
    terminal = Terminal(encoding, monkeypatch)
    save_model_directory(tmp_path / 'model', make_info(), painted_onnx(make_info()))
    (pictures / 'c.png').rename(pictures / 'caf\u00e9 \u4e2d\udcff.png')
    assert main(['predict', str(pictures), '-o', str(tmp_path / 'out'), '-m',
                 str(tmp_path / 'model'), '--fx', '80']) == 0
    plain = terminal.encoding == 'ascii'
    assert ('+/-' if plain else '\u00b1') in terminal.stdout or terminal.encoding == 'cp437'
    assert (r'caf\xe9 \u4e2d\xff' if plain else 'caf\u00e9 ') in terminal.stdout
    assert '3/3' in terminal.stderr


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_errors_name_files_of_any_letters(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(encoding, monkeypatch)
    assert main(['predict', 'caf\u00e9\udcff \u00b1.png', '-o', 'out']) == 2
    named = {'ascii': r'caf\xe9\xff +/-.png', 'utf-8': 'caf\u00e9\\xff \u00b1.png'}
    assert named.get(terminal.encoding, r'\xff') in terminal.stderr


def test_columns_stay_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal('ascii', monkeypatch)
    print_table(Table('\u00b1', ('a', '\u00b1'), [('b', '1'), ('\u4e2d', '22')]))
    lines = [line for line in terminal.stdout.splitlines() if '|' in line]
    assert len(lines) > 2 and len({len(line) for line in lines}) == 1


def test_of_a_process(repository: Path) -> None:
    """As a user starts it; the environment says what the terminal is."""
    done = subprocess.run(
        [sys.executable, '-m', 'panoptic_depth_core.cli', 'predict', b'\xff\xe9.png', '-o', 'out'],
        env={**os.environ, 'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'},
        cwd=repository, capture_output=True, check=False)
    assert done.returncode == 2 and rb'error: \xff\xe9.png: does not exist' in done.stderr
