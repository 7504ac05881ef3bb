# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What several models are built of: backbones, pyramids, and how the camera comes in."""
