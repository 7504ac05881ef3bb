# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The command line; app.py has the list of commands.

Heavy modules are imported when a command runs, and only those that it needs.
"""

from .app import main

__all__ = ['main']
