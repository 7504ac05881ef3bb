# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Environment of the process of the node, for fast transport of large images."""

from __future__ import annotations

import os
from pathlib import Path

RECEIVE_BUFFER_BYTES = 4 << 20
"""Minimum in config/cyclonedds.xml; Cyclone DDS does not start where the kernel refuses it."""


def environment(share: Path) -> dict[str, str]:
    """
    Variables to set before the process starts.

    :param share: folder of config/cyclonedds.xml, which is used if the kernel allows its buffer
        and the user has not chosen a configuration.
    """
    # Otherwise glibc returns the memory of every image to the kernel: receiving 1080p at 30 Hz
    # took 38 % of a core, with both of these 10 %.
    found = {'MALLOC_MMAP_THRESHOLD_': '33554432', 'MALLOC_TRIM_THRESHOLD_': '1073741824'}
    try:
        allowed = int(Path('/proc/sys/net/core/rmem_max').read_text())
    except (OSError, ValueError):
        allowed = 0
    if 'CYCLONEDDS_URI' not in os.environ and allowed >= RECEIVE_BUFFER_BYTES:
        found['CYCLONEDDS_URI'] = f'file://{share}/config/cyclonedds.xml'
    return found
