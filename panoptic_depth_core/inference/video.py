# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline on the frames of one camera in their order, with what lasts from frame to frame."""

from __future__ import annotations

from dataclasses import replace

from ..structures import UNSTAMPED_PERIOD_NS, Frame, PanopticDepth
from .ground_scale import ScaleFilter
from .pipeline import Pipeline
from .tracking import Tracker


class Video:
    """
    Runs the frames of a camera: the scale by the ground is smoothed, things keep their track_id.

    Use one per camera, from one thread. Frames with stamp 0 count as UNSTAMPED_PERIOD_NS apart.
    What is turned off in the settings of the pipeline costs
    nothing.

    :ivar pipeline: may be replaced between frames, as by one with a reloaded model.
    :ivar next_id: that the next new thing gets.
    :param first_id: of the tracks.
    :raises ConfigError: tracking is on, and scipy is not installed.
    """

    def __init__(self, pipeline: Pipeline, first_id: int = 0) -> None:
        self.pipeline = pipeline
        self.next_id = first_id
        self._scale = ScaleFilter()
        self._unstamped = 0
        self._tracker: Tracker | None = None
        self._prepare()

    def __call__(self, frame: Frame) -> PanopticDepth:
        """Result of the next frame; see Pipeline.__call__."""
        self._prepare()
        if frame.stamp_ns:
            result = self.pipeline(frame, self._scale)
        else:
            counted = replace(frame, stamp_ns=self._unstamped * UNSTAMPED_PERIOD_NS)
            result = replace(self.pipeline(counted, self._scale), stamp_ns=0)
            self._unstamped += 1
        if self._tracker is not None and self.pipeline.settings.tracking.enabled:
            result = self._tracker.update(result)
            self.next_id = self._tracker.next_id
        return result

    def _prepare(self) -> None:
        tracking = self.pipeline.settings.tracking
        if tracking.enabled:
            self._tracker = self._tracker or Tracker(first_id=self.next_id)
            self._tracker.settings = tracking
