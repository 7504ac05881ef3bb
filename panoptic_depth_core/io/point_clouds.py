# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth, colour and labels of one image as a point cloud."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..labels import VOID_ID, class_of
from ..structures import PanopticDepth
from .message_types import POINT_CLOUD, POINT_FIELD
from .messages import MessageMaker

POINT = np.dtype([('x', 'f4'), ('y', 'f4'), ('z', 'f4'), ('rgb', 'u4'), ('label', 'u2'),
                  ('instance', 'u2')])
"""A point in memory; rgb is 0x00RRGGBB, of which RViz and PCL expect the bits as a FLOAT32."""



def points_of(image: NDArray[np.uint8], result: PanopticDepth, stride: int = 1
              ) -> NDArray[np.void]:
    """
    The points that have a finite depth.

    :param image: (H, W, 3) uint8 RGB, the size of the result.
    :param stride: of rows and columns; 2 is a quarter of the points.
    :returns: (N,) POINT in raster order, metres in the optical frame; label is the class id,
        labels.VOID_CLASS where there is none; instance is 1.. within the class, 0 none.
    :raises ConfigError: an image of another size, or a stride below 1.
    """
    if image.shape[:2] != result.depth.shape:
        (height, width), (rows, columns) = image.shape[:2], result.depth.shape
        raise ConfigError(f'point cloud: the image is {width}x{height} px, but its depth '
                          f'{columns}x{rows} px; give the image that the depth belongs to')
    if stride < 1:
        raise ConfigError(f'point cloud: stride is {stride}; give 1 or more')
    camera = result.intrinsics
    depth = result.depth[::stride, ::stride]
    v, u = np.nonzero(np.isfinite(depth))
    z = depth[v, u]
    ids = result.panoptic[::stride, ::stride][v, u]
    rgb = image[::stride, ::stride][v, u].astype(np.uint32)
    points = np.empty(z.size, POINT)
    points['x'] = ((np.arange(depth.shape[1]) * stride - camera.cx) / camera.fx)[u] * z
    points['y'] = ((np.arange(depth.shape[0]) * stride - camera.cy) / camera.fy)[v] * z
    points['z'] = z
    points['rgb'] = rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]
    points['label'] = class_of(ids, result.label_divisor)
    points['instance'] = np.where(ids == VOID_ID, 0, ids % result.label_divisor)
    return points


def point_cloud(make: MessageMaker, head: Any, image: NDArray[np.uint8], result: PanopticDepth,
                stride: int = 1) -> Any:
    """
    sensor_msgs/PointCloud2 of points_of, without order and without points that are not finite.

    :param head: header in the optical frame of the camera.
    """
    points = points_of(image, result, stride)
    constants = make.message_class(POINT_FIELD)
    # Two bytes or four: rgb too goes by the name of FLOAT32.
    fields = [make(POINT_FIELD, name=name, offset=offset, count=1,
                   datatype=constants.UINT16 if kind.itemsize == 2 else constants.FLOAT32)
              for name, (kind, offset, *_) in (POINT.fields or {}).items()]
    return make(POINT_CLOUD, header=head, height=1, width=points.size, fields=fields,
                is_bigendian=sys.byteorder == 'big', point_step=POINT.itemsize,
                row_step=POINT.itemsize * points.size, data=make.sequence(points.view(np.uint8)),
                is_dense=True)
