# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What figures of time were measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

_PACKAGES = ('numpy', 'opencv-python-headless', 'onnxruntime', 'torch')


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, 'sched_getaffinity', None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def machine() -> dict[str, str]:
    """Model and number of usable cores of the processor, and the system."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                cpu = line.partition(':')[2].strip()
                break
    except OSError:
        pass
    return {'cpu': cpu, 'cores': f'{cores()} cores', 'system': platform.system()}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the times depend on, where installed."""
    found = {'python': platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
