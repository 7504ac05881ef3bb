# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Panoptic-DepthLab: a dense branch of depth beside Panoptic-DeepLab's grouping of pixels."""
