# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds: of depth, color and labels of an image, and read from any message."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...labels import VOID_ID, class_of
from ...structures import PanopticDepth
from ...views import kept_rays
from .maker import MessageMaker
from .types import POINT_CLOUD, POINT_FIELD

POINT = np.dtype([('x', 'f4'), ('y', 'f4'), ('z', 'f4'), ('rgb', 'u4'), ('label', 'u2'),
                  ('instance', 'u2')])
"""A point in memory; rgb is 0x00RRGGBB, whose bits RViz and PCL expect as a FLOAT32."""

COORDINATES = {7: 'f4', 8: 'f8'}  # sensor_msgs/PointField.FLOAT32 and FLOAT64
RINGS = {2: 'u1', 4: 'u2', 6: 'u4'}  # UINT8, UINT16, UINT32


def points_of(image: NDArray[np.uint8], result: PanopticDepth, stride: int = 1
              ) -> NDArray[np.void]:
    """
    The points that have a finite depth.

    :param image: (H, W, 3) uint8 RGB, the size of the result.
    :param stride: of rows and columns; 2 is a quarter of the points.
    :returns: (N,) POINT in raster order, meters in the optical frame; label is the class id,
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
    if camera.lens is None:
        x = ((np.arange(depth.shape[1]) * stride - camera.cx) / camera.fx)[u]
        y = ((np.arange(depth.shape[0]) * stride - camera.cy) / camera.fy)[v]
    else:
        x, y = kept_rays(camera, stride)[v, u].T
    points['x'] = x * z
    points['y'] = y * z
    points['z'] = z
    points['rgb'] = rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]
    points['label'] = class_of(ids, result.label_divisor)
    points['instance'] = np.where(ids == VOID_ID, 0, ids % result.label_divisor)
    return points


def point_cloud(make: MessageMaker, head: Any, image: NDArray[np.uint8], result: PanopticDepth,
                stride: int = 1) -> Any:
    """sensor_msgs/PointCloud2 of points_of; head is in the camera's optical frame."""
    points = points_of(image, result, stride)
    constants = make.message_class(POINT_FIELD)
    # By size: rgb, too, is declared as FLOAT32.
    fields = [make(POINT_FIELD, name=name, offset=offset, count=1,
                   datatype=constants.UINT16 if kind.itemsize == 2 else constants.FLOAT32)
              for name, (kind, offset, *_) in (POINT.fields or {}).items()]
    return make(POINT_CLOUD, header=head, height=1, width=points.size, fields=fields,
                is_bigendian=sys.byteorder == 'big', point_step=POINT.itemsize,
                row_step=POINT.itemsize * points.size, data=make.sequence(points.view(np.uint8)),
                is_dense=True)


def xyz_of(message: Any) -> NDArray[np.float32]:
    """
    Coordinates of the points of a sensor_msgs/PointCloud2 that are finite.

    :returns: (N, 3) float32 meters in the message's frame and order, axis by axis in memory.
    :raises ConfigError: no x, y, z as FLOAT32 or FLOAT64, or less data than it says.
    """
    flat = _coordinates(message)
    finite = np.isfinite(flat).all(axis=0)
    return (flat if finite.all() else flat[:, finite]).T


def ring_of(message: Any) -> NDArray[np.intp] | None:
    """(N,) number of the ring of the points of xyz_of; None where the cloud has none."""
    field = next((f for f in message.fields if f.name == 'ring' and f.datatype in RINGS), None)
    if field is None:
        return None
    rings = _values(message, field, RINGS[field.datatype]).ravel()
    return rings[np.isfinite(_coordinates(message)).all(axis=0)].astype(np.intp)


def _coordinates(message: Any) -> NDArray[np.float32]:
    """(3, N) float32, also of the points that are not finite."""
    fields = {field.name: field for field in message.fields}
    missing = [axis for axis in 'xyz' if axis not in fields]
    if missing:
        raise ConfigError(f'point cloud: has no field {", ".join(missing)}, but '
                          f'{", ".join(fields) or "none"}; give a cloud of x, y, z')
    axes = []
    for axis in 'xyz':
        field = fields[axis]
        if field.datatype not in COORDINATES:
            raise ConfigError(f'point cloud: {axis} has datatype {field.datatype}; give FLOAT32 '
                              '(7) or FLOAT64 (8)')
        axes.append(_values(message, field, COORDINATES[field.datatype]))
    # Not before the size is checked, which a damaged message may have grown.
    points = np.empty((3, *axes[0].shape), np.float32)
    with np.errstate(over='ignore'):
        for values, axis_values in zip(points, axes, strict=True):
            values[:] = axis_values
    return points.reshape(3, -1)


def _values(message: Any, field: Any, kind: str) -> NDArray[Any]:
    """(rows, columns) values of a field; a view on the message."""
    rows, columns, step = int(message.height), int(message.width), int(message.point_step)
    # A single row needs no pitch, and drivers are careless with it.
    pitch = int(message.row_step) if rows > 1 else columns * step
    need = (rows - 1) * pitch + columns * step if rows and columns else 0
    if pitch < columns * step or len(message.data) < need:
        raise ConfigError(f'point cloud: {columns}x{rows} points of {step} bytes, row_step '
                          f'{message.row_step}, do not fit its {len(message.data)} bytes of data; '
                          'the message is damaged')
    dtype = np.dtype(('>' if message.is_bigendian else '<') + kind)
    if field.offset + dtype.itemsize > step:
        raise ConfigError(f'point cloud: {field.name} at offset {field.offset} does not fit '
                          f'point_step {step}; the message is damaged')
    if not need:
        return np.empty((rows, columns), dtype)
    return np.ndarray((rows, columns), dtype, message.data, field.offset, (pitch, step))
