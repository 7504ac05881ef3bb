# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m panoptic_depth_core.cli``."""

import sys

from . import main

if __name__ == '__main__':
    sys.exit(main())
