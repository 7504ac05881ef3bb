# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The streets of the synthetic scenes and the ray caster that takes pictures of them."""
