#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``ros2 run panoptic_depth build_engine``, for installations without pip."""

from __future__ import annotations

import sys

from panoptic_depth_core.cli import main

if __name__ == '__main__':
    sys.exit(main(['build-engine', *sys.argv[1:]]))
