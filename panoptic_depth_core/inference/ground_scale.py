# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The scale of the depth from the ground, where the mounting of the camera is known."""

from __future__ import annotations


class ScaleFilter:
    """Smooths the scale over the frames of a camera."""
