# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The machine and the packages that times were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = ('numpy', 'opencv-python-headless', 'onnxruntime', 'onnxruntime-gpu', 'openvino',
             'torch', 'tensorrt', 'tensorrt_rtx', 'cuda-bindings', 'pycuda')
_GPU_TIMEOUT_S = 20


def cores() -> int:
    """Count the cores that this process may use."""
    affinity = getattr(os, 'sched_getaffinity', None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def machine() -> dict[str, str]:
    """Processor, number of usable cores, system, and GPUs if there are any."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                cpu = line.partition(':')[2].strip()
                break
    except OSError:
        pass
    found = {'cpu': cpu, 'cores': f'{cores()} cores', 'system': platform.system()}
    gpus = gpu_names()
    return {**found, 'gpu': '; '.join(gpus)} if gpus else found


def gpu_names() -> tuple[str, ...]:
    """Name, driver and memory of each GPU by nvidia-smi; none where that is not installed."""
    program = shutil.which('nvidia-smi')
    if program is None:
        return ()
    try:
        answer = subprocess.run(
            [program, '--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'],
            capture_output=True, text=True, timeout=_GPU_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [[part.strip() for part in line.split(',')] for line in answer.splitlines()]
    return tuple(f'{row[0]} (driver {row[1]}, {row[2]})' for row in rows if len(row) == 3)


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that times depend on."""
    found = {'python': platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
