# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A piece of work in a process of its own, which may fail, crash or hang without harm to the rest.

This file is both sides: `python -m` of it is the process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from ...evaluation.benchmark_process import child_environment, last_words

TASKS = {
    'build': '.models:build_engine',
    'convert': '.models:convert',
    'device': '.limits:device',
    'export': '.models:export_model',
    'export_alone': '.models:export_network_alone',
    'pipelines': '.pipelines:compare_pipelines',
    'rates': '.limits:rates',
    'reference': '.models:write_references',
    'stages': '.stages:torch_stages',
}
"""Name -> module and function; it takes and returns what JSON can hold."""


def run_task(task: str, limit_s: float, /, **arguments: Any) -> dict[str, Any]:
    """
    Run one of TASKS and wait for it.

    :param limit_s: after which it is killed.
    :returns: what it returned, or {'error': why it did not}.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as errors:
        result = Path(folder) / 'result.json'
        try:
            code = subprocess.run(
                [sys.executable, '-m', __spec__.name, task, json.dumps(arguments), str(result)],
                stdout=errors, stderr=errors, stdin=subprocess.DEVNULL, check=False,
                timeout=max(limit_s, 1.0), env=child_environment()).returncode
        except subprocess.TimeoutExpired:
            return {'error': f'given up: it took more than {limit_s:.0f} s'}
        if result.is_file():
            return cast('dict[str, Any]', json.loads(result.read_text(encoding='utf-8')))
        return {'error': last_words(code, errors)}


def main(name: str, arguments: dict[str, Any], result: Path) -> None:
    """Run a task in this process; what it raises is its result."""
    module, _, attribute = TASKS[name].partition(':')
    try:
        function = cast('Callable[..., dict[str, Any]]',
                        getattr(import_module(module, __package__), attribute))
        found = function(**arguments)
    except Exception as error:
        found = {'error': f'{type(error).__name__}: {" ".join(str(error).split())}'}
    result.write_text(json.dumps(found), encoding='utf-8')


if __name__ == '__main__':
    main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
