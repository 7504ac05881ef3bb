# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics: what they compute and how they are shown; METRICS in table.py lists them."""
