# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Everything that is to be known of a GPU, in one command: what runs there, how fast, how exact.

Each piece of work on the GPU is a process of its own with a limit of time (tasks.py,
evaluation/benchmark_process.py): what fails or hangs is a row with its reason. check.py is the
order of the work, report.py the table.
"""
