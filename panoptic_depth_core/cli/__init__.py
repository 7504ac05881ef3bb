# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The command line: one file per command; app.py puts them together.

Nothing heavy is imported before a command runs, and nothing but what that command needs.
"""

from .app import main

__all__ = ['main']
