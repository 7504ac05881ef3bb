# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The ROS 2 node around panoptic_depth_core: parameters, topics, QoS, lifecycle and diagnostics.

The core never imports it.
"""
