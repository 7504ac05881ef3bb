# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""SOSD-Net: semantics and depth, with units that exchange clues between them."""
