# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A renderer in place of the network, the frames for it, and what there is to be seen."""

from __future__ import annotations

import numpy as np
from panoptic_depth_core.contract import GraphOutput
from panoptic_depth_core.structures import Frame, Intrinsics

GROUND_M = 1.5
PLATES = {  # row of the table: left, right, top, bottom, depth in meters
    3: (-1.0, 1.0, -0.5, 1.5, 10.0),
    2: (3.0, 6.0, -1.0, 1.5, 20.0),
    4: (-4.0, -2.0, -0.3, 1.5, 8.0),
}


class Renderer:
    """A Backend that casts the rays of its intrinsics into a scene of ground and plates."""

    name = 'renderer'

    def __init__(self, info, table):
        self.info, self.table = info, table
        self.closed = False
        self.calls = []

    def run(self, inputs):
        self.calls.append(tuple(inputs.values()))
        fx, fy, cx, cy = inputs['intrinsics']
        (height, width), stride = self.info.map_size(), self.info.output_stride
        x = ((np.arange(width) + 0.5) * stride - 0.5 - cx) / fx
        y = (((np.arange(height) + 0.5) * stride - 0.5 - cy) / fy)[:, None] + 0 * x
        depth = np.where(y > 0, GROUND_M / np.maximum(y, 1e-6), 1e5)
        index = np.where(depth < 500, 0, 1)
        for row, (left, right, top, bottom, z) in PLATES.items():
            hit = (x * z > left) & (x * z < right) & (y * z > top) & (y * z < bottom) & (z < depth)
            index[hit], depth[hit] = row, z
        return GraphOutput(index.astype(np.uint8), depth.astype(np.float32), self.table)

    def close(self):
        self.closed = True


def frame_at(scale=1.0, width=500, height=240, fx=300.0, **changes):
    """Camera at a resolution; the principal point is not in the middle."""
    base = Intrinsics(fx, fx, 0.45 * width, 0.4 * height, width, height)
    size = round(width * scale), round(height * scale)
    camera = base.transformed(size[0] / width, size[1] / height, 0, 0, *size)
    return Frame(np.zeros((size[1], size[0], 3), np.uint8), camera, **changes)


def by_id(result):
    return {d.segment.panoptic_id: d for d in result.distances}
