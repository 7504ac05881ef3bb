# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The ROS 2 skin of panoptic_depth_core: node, parameters, conversions, markers, diagnostics.

What is here turns messages into Frame and PanopticDepth into messages, and keeps to the rules of
topics, quality of service and lifecycle. Mathematics, thresholds and file formats are
panoptic_depth_core's, which never imports anything from here.
"""
