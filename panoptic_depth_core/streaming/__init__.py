# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Live streams of images: mailbox, worker thread, watchdog, statistics and diagnostics.

No ROS here: the node puts jobs in and receives results, so that timing, threads and failing
runtimes are tested without ROS.
"""
