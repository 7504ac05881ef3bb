# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""LapDepth (Song, Lim and Kim, TCSVT 2021): depth alone, from a Laplacian pyramid."""
