# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a reader has to know of the figures of a report: what they are of, and what not."""

from __future__ import annotations

from .files import Record

MEANINGS = {
    'panoptic.': 'Panoptic quality: predicted segments against true labels, whose class ids must '
    'be those of the results. PQ = SQ x RQ for each class, then the mean over classes; a match '
    'has the class and an IoU above 0.5.',
    'depth_aware.': 'Depth-aware PQ: PQ in which predicted pixels count as void where their depth '
    'is too far off.',
    'semantic.': 'mIoU: overlap of the classes by pixel, whatever the instances.',
    'depth.': 'Depth, depth images: predicted depth (Z) of every pixel with a true one, all '
    'pixels of all frames together. Nothing is scaled to fit the truth.',
    'lidar.': 'Depth, LiDAR: the same at the pixels that a point falls on, which are few and '
    'mostly low in the image. The motion of the vehicle between cloud and image is taken out '
    'where tf has odometry, that of other things is not; errors of tf and of the calibration '
    'between the sensors count as errors of depth.',
    'distance.labels.': 'Distances, true labels: median depth (Z) of the predicted instance that '
    'matches a true one, against the median true depth of the mask of the latter.',
    'distance.lidar.': 'Distances, LiDAR: median depth (Z) of a predicted instance against the '
    'median of the points on its predicted mask. What was not predicted is not among them, and '
    'the points on a wrong mask are no better than the mask.',
    'distance.boxes.': 'Distances, true boxes: Euclidean distance of the predicted instance whose '
    'rectangle overlaps that of the box most, against that of the surface of the box on the ray '
    'to its centre. That is not the median of what is to be seen: perfect results are some '
    'percent off, too.',
    'calibration.': 'Uncertainty: share of the pixels or points whose true depth is in the range '
    'that the model gives them. 68 % of them should be in the 68 % range; fewer: it is too sure.',
    'tracking.': 'Tracking: track ids against the instance ids of true labels, which must stay '
    'with a thing from frame to frame.',
    'consistency.': 'Consistency: results against those of the frames before, along the optical '
    'flow of the images, without any truth. It says how steady results are, not whether they are '
    'right: what is always wrong is steady.',
    'consistency.ground_': 'Ground: a plane through the predicted depth of the ground. The height '
    'of the camera above it can be checked with a rule, and should be the same in every frame.',
    'agreement.': 'Agreement: two results of the same images against each other. Neither of them '
    'is the truth.',
}
"""Beginning of the names of figures -> what they mean."""


def meanings(figures: Record) -> list[str]:
    """Lines on every group of figures that is known."""
    return [text for group, text in MEANINGS.items() if any(
        name.startswith(group) and figure.get('value') is not None
        for name, figure in figures.items())]


def conventions(report: Record) -> list[str]:
    """Lines on the rules and limits by which this report was measured."""
    detail = report['detail']
    settings = report['run'].get('evaluation') or {}
    lines = [str(line) for line in (detail.get('evaluation') or {}).get('conventions') or ()]
    lidar, boxes, consistency = (settings.get(key) or {} for key in (
        'lidar', 'boxes', 'consistency'))
    if detail.get('lidar') and lidar:
        lines.append(
            f'LiDAR: points from {lidar["min_m"]:g} to {lidar["max_m"]:g} m; a point is hidden by '
            f'one within {lidar["occlusion_window_px"]} columns around it, 1.5 times as many rows '
            'above it and a quarter below, that is nearer by more than '
            f'{100 * lidar["occlusion_ratio"]:g} % of its depth. Instances have at least '
            f'{lidar["min_instance_points"]} points.')
    if (detail.get('distance') or {}).get('boxes') and boxes:
        lines.append(
            f'True boxes: at least {boxes["min_height_px"]} px high, not hidden by another one, '
            'their centre in the image; answered by the instance of their class with an IoU of '
            f'the rectangles of at least {boxes["min_iou"]:g}.')
    if detail.get('consistency') and consistency:
        lines.append(
            f'Consistency: frames at most {consistency["max_gap_s"]:g} s apart are compared, '
            'where the flow forth and back comes to the same pixel; instances of at least '
            f'{consistency["min_instance_pixels"]} px.')
    return lines
