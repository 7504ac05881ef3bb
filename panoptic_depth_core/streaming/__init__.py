# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Frames that come in while others are being worked on: mailbox, worker thread, statistics, health.

No ROS here: the node puts jobs in and gets results out; so everything that has to do with time,
threads and failing runtimes can be tested without it.
"""
