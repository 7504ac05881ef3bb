# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
``panoptic-depth benchmark``: how fast the pipeline, runtimes, evaluation and training are.

pipeline.py, runtimes.py, evaluation.py, training.py and lenses.py each return a report.Report.
What may fail, crash or hang runs in a process of its own (worker.py).
"""
