# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Keys of engines for tests, and programs that use a cache in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from panoptic_depth_core.engines.key import EngineKey, this_system

ENGINE = bytes(range(256)) * 40

OTHER_PARTS = {
    'model_id': 'accurate', 'onnx_sha256': 'c' * 64, 'model_json_sha256': 'd' * 64,
    'library': 'tensorrt', 'library_version': '1.7.2.1', 'gpu': 'NVIDIA Thor',
    'compute_capability': '11.0', 'driver': '590.1', 'cuda': '13.1', 'system': 'linux aarch64',
    'options': {'workspace_mib': '512'}}
"""Every part of a key with another value than that of make_key."""


def make_key(**changes: object) -> EngineKey:
    """Key of an engine; keywords replace parts."""
    return EngineKey.model_validate({
        'model_id': 'fast', 'onnx_sha256': 'a' * 64, 'model_json_sha256': 'b' * 64,
        'library': 'tensorrt_rtx', 'library_version': '1.7.1.116', 'gpu': 'NVIDIA RTX A2000',
        'compute_capability': '8.6', 'driver': '580.65', 'cuda': '13.0', 'system': this_system(),
        'options': {'workspace_mib': '0'}, **changes})


_PROGRAM = """
import sys, time, os
from pathlib import Path
from engine_keys import ENGINE, make_key
from panoptic_depth_core.engines import BuiltEngine
from panoptic_depth_core.engines.cache import EngineCache
folder = Path(sys.argv[1])
cache, key = EngineCache(folder / 'engines'), make_key()
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    """Run code in another process, with a cache and a key; the folder is for signs of life."""
    paths = [str(Path(__file__).parent), *sys.path]
    return subprocess.Popen(
        [sys.executable, '-c', _PROGRAM + textwrap.dedent(code), str(folder)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))})


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for another process; the limit is only for tests that fail."""
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, 'the other process did not get there'
        time.sleep(0.01)
