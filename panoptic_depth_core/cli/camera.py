# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth camera``: which camera the images of a source get, and why."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from ..tables import Table
from . import options
from .console import number, print_table, warn
from .options import say

if TYPE_CHECKING:
    from ..io.sources.camera_report import CameraReport

EXIT_NOT_KNOWN = 2


def camera(
        source: Annotated[str, typer.Argument(
            help="Rosbag2, picture, folder of pictures, video, or 'camera:0'.")],
        fx: options.Fx = None,
        fov: options.Fov = None,
        camera_file: options.Camera = None,
        image_topic: options.ImageTopic = None,
        camera_info_topic: options.CameraInfoTopic = None,
        camera_info_use: options.CameraInfoUse = 'auto',
        as_json: Annotated[bool, typer.Option('--json', help='Print JSON.')] = False) -> None:
    """
    Show which camera the images of a source get, and why: the first thing to run on a new robot.

    Exit code 2 if the camera of some images is not known.
    """
    from ..io.cameras.camera_options import CameraOptions
    from ..io.sources.camera_report import camera_reports
    from ..io.sources.open_source import SourceOptions

    if source.startswith('/') and not Path(source).exists():
        raise ConfigError(f'{source}: does not exist; for a topic that is published now: '
                          f'ros2 run panoptic_depth camera {source}')
    reports = list(camera_reports(source, SourceOptions(
        CameraOptions(fx, fov, camera_file, use=camera_info_use), image_topic,
        camera_info_topic)))
    if as_json:
        say(json.dumps([_values(report) for report in reports], indent=2))
    else:
        for report in reports:
            _show(report)
    if not all(report.known for report in reports):
        raise typer.Exit(EXIT_NOT_KNOWN)


def _values(report: CameraReport) -> dict[str, Any]:
    """Report as JSON; null is not known."""
    found, info = report.camera, report.info
    lens = found.lens if found is not None else None
    return {
        'images': report.images, 'frames': report.frames, 'frame_id': report.frame_id,
        'known': report.known, 'origin': report.origin, 'why': report.why,
        'matrix': report.matrix or None, 'why_matrix': report.why_matrix or None,
        'camera': None if found is None else {
            **{key: getattr(found, key) for key in ('fx', 'fy', 'cx', 'cy', 'width', 'height')},
            'lens': None if lens is None else {
                'model': lens.model, 'coefficients': list(lens.coefficients)}},
        'field_of_view_deg': None if report.field_of_view_deg is None else [
            None if math.isnan(angle) else angle for angle in report.field_of_view_deg],
        'camera_info_topic': report.info_topic or None,
        'camera_info': None if info is None else {
            'width': int(info.width), 'height': int(info.height),
            'frame_id': info.header.frame_id, 'distortion_model': info.distortion_model,
            **{key: [float(v) if math.isfinite(v) else None for v in getattr(info, key)]
               for key in ('d', 'k', 'r', 'p')},
            'binning': [int(info.binning_x), int(info.binning_y)],
            'roi': [int(getattr(info.roi, key))
                    for key in ('x_offset', 'y_offset', 'width', 'height')]},
        'camera_info_topics': list(report.info_topics), 'notes': list(report.notes)}


def _show(report: CameraReport) -> None:
    """Print a table, then the notes."""
    found, info = report.camera, report.info
    rows = [('camera', 'none: no image could be used')] if found is None else []
    if found is not None:
        source = (f'CameraInfo {report.info_topic}: {report.why}'
                  if report.origin == 'camera_info' else report.why)
        rows += [('camera', source)]
        if report.matrix:
            rows += [('matrix', f'{report.matrix}: {report.why_matrix}')]
        wide, high = report.field_of_view_deg or (math.nan, math.nan)
        rows += [
            ('fx, fy', f'{found.fx:.2f}, {found.fy:.2f} px'),
            ('cx, cy', f'{found.cx:.2f}, {found.cy:.2f} px'),
            ('image', f'{found.width}x{found.height} px'),
            ('field of view', f'{number(wide, 1)} x {number(high, 1)} degrees'),
            ('lens', 'none' if found.lens is None else
             f'{found.lens.model} {" ".join(f"{c:g}" for c in found.lens.coefficients)}'),
            ('frame_id', report.frame_id)]
    if info is not None:
        roi = info.roi
        part = ('none' if not (roi.width and roi.height) else
                f'{roi.width}x{roi.height} px at {roi.x_offset}, {roi.y_offset}')
        rows += [
            ('of CameraInfo', f'{info.width}x{info.height} px, binning '
             f'{max(info.binning_x, 1)}x{max(info.binning_y, 1)}, region of interest {part}'),
            ('', f'{info.distortion_model or "no"} distortion model, D '
             f'{" ".join(f"{v:g}" for v in info.d) or "empty"}'),
            ('', f'frame_id {info.header.frame_id}')]
    rows += [('CameraInfo topics', ' '.join(report.info_topics) or 'none')] * (
        report.info is not None or bool(report.info_topics) or not report.known)
    rows += [('distances', 'in meters by this camera' if report.known else
              'relative: off by the factor that the focal length is off; give --camera, --fov '
              'or --fx')]
    print_table(Table(f'{report.images} ({report.frames} images)', ('', ''), rows), text=True)
    for note in report.notes:
        warn(note)
