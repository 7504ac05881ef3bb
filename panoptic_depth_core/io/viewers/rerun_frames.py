# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What a frame is in the terms of rerun: entities below /scene, figures below /figures.

/scene is the optical frame of the camera, /scene/camera its image. rerun projects with pixel
centres at integers, as is done here, and draws pixel (0, 0) from (0, 0) to (1, 1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import (
    NEEDS_DEPTH,
    NEEDS_INSTANCES,
    NEEDS_LABELS,
    NEEDS_POSITIONS,
    Needs,
    Task,
    lacking,
)
from ...labels import VOID_CLASS, ClassInfo, class_of
from ...structures import Frame, Intrinsics, PanopticDepth
from ..messages.image_encodings import encode_jpeg
from ..messages.maker import located
from ..messages.markers import UP_OPTICAL, box_size, tracked_text
from ..messages.point_clouds import points_of
from ..visualization import picture_of

NEEDS: dict[str, Needs] = {
    'scene/camera/classes': NEEDS_LABELS, 'scene/camera/depth': NEEDS_DEPTH,
    'scene/camera/instances': NEEDS_INSTANCES, 'scene/boxes': NEEDS_POSITIONS}
"""Entity -> what a model has to do for it; the others are of every frame."""

LIDAR_COLOR = (255, 160, 0)
LIDAR_RADIUS_PX = 1.5
IMAGE_PLANE_M = 3.0
DEPTH_SHOWN_M = (2.0, 80.0)
EYE_M, LOOK_AT_M = (0.0, -6.0, -10.0), (0.0, 0.0, 15.0)
"""The scene is seen from above and behind the camera at first."""


def set_time(stream: Any, number: int, stamp_ns: int) -> None:
    """Set the number of the frame, and its stamp where it has one."""
    stream.reset_time()
    stream.set_time('frame', sequence=number)
    if stamp_ns > 0:
        stream.set_time('stamp', timestamp=np.datetime64(stamp_ns, 'ns'))


def log_classes(rr: Any, stream: Any, classes: Sequence[ClassInfo]) -> None:
    """Axes of the camera's frame, and names and colours of the classes."""
    known = [(info.class_id, info.name, info.color) for info in classes]
    stream.log('scene', rr.ViewCoordinates.RDF,
               rr.AnnotationContext([*known, (VOID_CLASS, 'void', (0, 0, 0))]), static=True,
               strict=True)


def log_camera(rr: Any, stream: Any, camera: Intrinsics) -> None:
    """Pinhole of the images."""
    stream.log('scene/camera', rr.Pinhole(
        focal_length=[camera.fx, camera.fy], principal_point=[camera.cx, camera.cy],
        resolution=[camera.width, camera.height], camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=IMAGE_PLANE_M), strict=True)


def log_frame(rr: Any, stream: Any, frame: Frame, result: PanopticDepth,
              lidar_depth: NDArray[np.float32] | None, has_lidar: bool,
              figures: Mapping[str, float]) -> None:
    """
    Log everything of one frame at the time that is set.

    What the model does not do is left out. Depth has 16 bits, i.e. steps of 0.05 %: half the size
    of 32.

    :param has_lidar: whether there are points of earlier frames to be replaced.
    """
    picture = picture_of(frame, result)
    things = [d for d in result.distances if d.segment.is_thing]
    solid = located(result)
    known: dict[str, Any] = {
        'scene/camera/image': rr.EncodedImage(contents=encode_jpeg(picture).tobytes(),
                                              media_type='image/jpeg'),
        'scene/camera/classes': rr.SegmentationImage(
            class_of(result.panoptic, result.label_divisor), opacity=0.5),
        # NaN and infinities are what the viewer leaves out of the points.
        'scene/camera/depth': rr.DepthImage(result.depth.astype(np.float16), meter=1.0,
                                            depth_range=DEPTH_SHOWN_M),
        'scene/camera/instances': rr.Boxes2D(
            array=np.array([d.roi for d in things], np.float32).reshape(-1, 4),
            array_format=rr.Box2DFormat.XYWH,
            labels=[tracked_text(d, result.tasks) for d in things],
            class_ids=[d.segment.class_id for d in things]),
        'scene/boxes': rr.Boxes3D(
            centers=np.array([d.position_m for d in solid], np.float32).reshape(-1, 3),
            sizes=np.array([box_size(d) for d in solid], np.float32).reshape(-1, 3),
            labels=[tracked_text(d) for d in solid],
            class_ids=[d.segment.class_id for d in solid]),
    }
    if has_lidar:
        points = np.empty((0, 3), np.float32)
        if lidar_depth is not None:
            measured = points_of(picture, replace(result, depth=lidar_depth))
            points = np.stack([measured[axis] for axis in 'xyz'], axis=1)
        known['scene/lidar'] = rr.Points3D(points, colors=LIDAR_COLOR,
                                           radii=rr.Radius.ui_points(LIDAR_RADIUS_PX))
    for path, entity in known.items():
        if not lacking(NEEDS.get(path, ()), result.tasks):
            stream.log(path, entity, strict=True)
    for name, value in figures.items():
        stream.log(['figures', *name.split('.')], rr.Scalars(value), strict=True)


def send_layout(rr: Any, stream: Any, figures: Collection[str], tasks: frozenset[Task]) -> None:
    """Set what the viewer shows at first: the scene, image and depth, and the figures by group."""
    layout = rr.blueprint
    shown = {'image': ['$origin/image', '$origin/classes', '$origin/instances']}
    if 'depth' in tasks:
        shown['depth'] = ['$origin/depth']
    camera = layout.Vertical(*(
        layout.Spatial2DView(origin='/scene/camera', name=name, contents=contents)
        for name, contents in shown.items()))
    scene = layout.Horizontal(
        layout.Spatial3DView(
            origin='/scene', name='scene',
            contents=['$origin/**', '- $origin/camera/classes', '- $origin/camera/instances'],
            eye_controls=layout.EyeControls3D(position=EYE_M, look_target=LOOK_AT_M,
                                              eye_up=UP_OPTICAL)), camera)
    groups = sorted({name.split('.')[0] for name in figures})
    plots = [layout.TimeSeriesView(origin=rr.new_entity_path(['figures', group]), name=group)
             for group in groups]
    if plots:
        scene = layout.Vertical(scene, layout.Horizontal(*plots), row_shares=[3, 1])
    stream.send_blueprint(layout.Blueprint(scene, collapse_panels=True))
