#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Latency, processor time and memory of the node, measured from outside.

Starts the node, sends it pictures with the present time as their stamp, listens to its results
and prints a table at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from ament_index_python.packages import get_package_share_directory
from panoptic_depth_core.benchmark.report import Report
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_core.io.messages.types import CAMERA_INFO, IMAGE
from panoptic_depth_core.io.sources.picture_source import read_picture
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.streaming.monitoring import PERCENTILES
from panoptic_depth_core.structures import Intrinsics
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class, profile
from panoptic_depth_ros.environment import environment
from rclpy.executors import ExternalShutdownException

RESULTS = ('panoptic', 'semantic', 'depth', 'camera_info', 'instances', 'detections_3d')
SAMPLE_S = 5.0
"""How often memory and processor time are read."""


@dataclass
class Measured:
    """
    What the node said and took.

    :param samples: time since the start in s, resident memory in MiB, processor time in s.
    :param status: the last InferenceStatus. :param latency: of the diagnostics, texts.
    """

    sent: int = 0
    samples: list[tuple[float, float, float]] = field(default_factory=list)
    status: Any = None
    latency: dict[str, str] = field(default_factory=dict)

    def report(self, title: str) -> Report:
        """Table of everything, without the first fifth of the samples."""
        status, latency = self.status, self.latency
        times_s, resident, cpu_s = np.array(self.samples[len(self.samples) // 5:]).T
        found = {
            'images sent': self.sent, 'results': status.frames_processed,
            'dropped for a newer image': status.frames_dropped_queue,
            'failed': status.frames_dropped_error,
            **{f'{name} p50, p95, p99 ms': ', '.join(
                latency[f'{name}_p{percent}_ms'] for percent in PERCENTILES)
                for name in ('latency', 'inference', 'overhead')},
            'processor, share of one core':
                f'{(cpu_s[-1] - cpu_s[0]) / (times_s[-1] - times_s[0]):.2f}',
            'resident memory MiB: least, most': f'{resident.min():.1f}, {resident.max():.1f}',
            'resident memory, slope MiB/h': f'{np.polyfit(times_s / 3600, resident, 1)[0]:+.1f}'}
        return Report('node', title, {'measured': '', 'value': ''},
                      [{'measured': name, 'value': value} for name, value in found.items()],
                      details={'samples': self.samples})


def usage(pid: int) -> tuple[float, float]:
    """Resident memory in MiB and processor time in s of a process, as Linux has them."""
    stat = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    # Fields 14, 15 (processor time in ticks) and 24 (pages) of proc(5), after the first two.
    cpu_s = (int(stat[11]) + int(stat[12])) / os.sysconf('SC_CLK_TCK')
    return int(stat[21]) * os.sysconf('SC_PAGE_SIZE') / 2**20, cpu_s


def run(options: argparse.Namespace) -> Measured:
    """Send, listen and measure."""
    node = rclpy.create_node('panoptic_depth_benchmark')
    make, found = ROS_MESSAGES, Measured()
    picture = (read_picture(options.image) if options.image
               else ModelDirectory.default().load_self_test().inputs['image'])
    image = cv2.resize(picture, (options.width, options.height))
    camera = Intrinsics.from_fov(70.0, options.width, options.height)
    qos = profile(1, best_effort=options.best_effort)
    images = node.create_publisher(message_class(IMAGE), '/panoptic_depth/input/image', qos)
    infos = node.create_publisher(message_class(CAMERA_INFO),
                                  '/panoptic_depth/input/camera_info', profile(1))
    message = make.image(make.header(0, 'camera'), np.asarray(image, np.uint8), 'rgb8')

    def listen(diagnostics: Any) -> None:
        for status in diagnostics.status:
            if status.name.endswith(': latency'):
                found.latency = {value.key: value.value for value in status.values}

    for name in options.topics.split(','):
        node.create_subscription(message_class(OUTPUTS[name].type),
                                 f'/panoptic_depth/{OUTPUTS[name].name}', lambda _: None,
                                 profile(1, best_effort=True))
    node.create_subscription(message_class('panoptic_depth/msg/InferenceStatus'),
                             '/panoptic_depth/output/status',
                             lambda status: setattr(found, 'status', status), profile(1))
    node.create_subscription(message_class('diagnostic_msgs/msg/DiagnosticArray'),
                             '/diagnostics', listen, profile(10))

    def send() -> None:
        message.header.stamp = node.get_clock().now().to_msg()
        infos.publish(make.camera_info(message.header, camera))
        images.publish(message)
        found.sent += 1

    share = Path(get_package_share_directory('panoptic_depth'))
    process = subprocess.Popen([sys.executable, '-m', 'panoptic_depth_ros.node', '--ros-args',
                                *options.parameters], env={**os.environ, **environment(share)})
    spinning = threading.Thread(target=_spin, args=(node,), daemon=True)
    spinning.start()
    try:
        while found.status is None or found.status.state < found.status.STATE_RUNNING:
            if process.poll() is not None:
                raise SystemExit(process.returncode)
            time.sleep(0.1)
        timer = node.create_timer(1.0 / options.rate, send)
        start_s = time.monotonic()
        while (elapsed_s := time.monotonic() - start_s) < options.seconds:
            found.samples.append((elapsed_s, *usage(process.pid)))
            time.sleep(min(SAMPLE_S, options.seconds / 20))
        node.destroy_timer(timer)
        time.sleep(2.0)
    finally:
        process.terminate()
        process.wait(10)
    return found


def _spin(node: Any) -> None:
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--width', type=int, default=640)
    parser.add_argument('--height', type=int, default=480)
    parser.add_argument('--image', type=Path, help='picture to send')
    parser.add_argument('--rate', type=float, default=5.0, help='images per second')
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--topics', default=','.join(RESULTS), help='results to listen to')
    parser.add_argument('--best-effort', action='store_true', help='send images best effort')
    parser.add_argument('--json', type=Path,
                        help='also write FILE.json, or benchmark.json and .md into a folder')
    parser.add_argument('parameters', nargs='*', help='for the node, after --: -p name:=value')
    options = parser.parse_args()
    rclpy.init(args=[])
    found = run(options)
    rclpy.try_shutdown()
    report = found.report(f'image {options.width}x{options.height} at {options.rate:g} Hz')
    print(report.to_markdown(), end='')
    if options.json:
        report.write(options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
