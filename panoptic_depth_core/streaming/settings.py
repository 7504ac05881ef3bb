# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of a live stream: queue and watchdog, source of the camera, diagnostics."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator

from ..config import Settings
from ..io.cameras.camera_info import Use


class StreamSettings(Settings):
    """Queue of the images and watchdog of the runtime."""

    queue_policy: Literal['latest', 'fifo'] = Field('latest', description='latest: the newest '
                                                    'frame wins; fifo: up to 10 frames wait')
    max_input_age_ms: float = Field(0.0, ge=0, description='frames that are older when it is '
                                    'their turn are dropped; 0: no limit')
    max_rate_hz: float = Field(0.0, ge=0, description='maximum frames per second that are '
                               'processed; 0: no limit')
    watchdog_timeout_s: float = Field(10.0, gt=0, description='an inference that takes longer is '
                                      'abandoned, and the model is loaded again')

    @property
    def capacity(self) -> int:
        """Number of frames that may wait."""
        return 1 if self.queue_policy == 'latest' else 10


class CameraInfoSettings(Settings):
    """Where the intrinsics of an image come from."""

    policy: Literal['require', 'fallback', 'ignore'] = Field(
        'require', description='require: images without a camera_info are skipped; fallback: '
        'they use fallback_k; ignore: all images use fallback_k')
    fallback_k: tuple[float, ...] = Field(
        (), description='K as in CameraInfo, 9 numbers row by row, in px of the image; empty: a '
        'field of view of 70 degrees is assumed, and distances are relative')
    use: Use = Field('auto', description='matrix of camera_info to use; auto: P where the name of '
                     'the image or camera_info topic has the word rect or rectified, else K with '
                     'the lens; k: the images are not rectified; p: they are')
    max_age_s: float = Field(0.0, ge=0, description='a camera_info whose stamp differs more from '
                             'that of the image counts as missing; 0: no limit')

    @field_validator('fallback_k')
    @classmethod
    def _is_k(cls, k: tuple[float, ...]) -> tuple[float, ...]:
        if k and not (len(k) == 9 and all(map(math.isfinite, k)) and k[0] > 0 and k[4] > 0):
            raise ValueError('give 9 finite numbers, row by row: fx 0 cx 0 fy cy 0 0 1, with '
                             'fx and fy > 0, or none')
        return k


class DiagnosticsSettings(Settings):
    """When the diagnostics warn."""

    period_s: float = Field(1.0, ge=0.1, le=3600, description='period of /diagnostics and '
                            '~/output/status')
    input_timeout_s: float = Field(2.0, gt=0, description='without an image for this long, the '
                                   'state is STALLED')
    max_latency_ms: float = Field(0.0, ge=0, description='warn when the 95th percentile of the '
                                  'time from stamp to publication is above; 0: never')
    min_output_rate_hz: float = Field(0.0, ge=0, description='warn when fewer results per second '
                                      'are published; 0: never')
    scale_drift: float = Field(0.15, gt=0, allow_inf_nan=False, description='warn when the scale '
                               'by the ground has changed by this share since the start')
    # The shipped model sees the ground 2.9 times too far from 0.5 m, and 0.77 times from 2.1 m.
    scale_low: float = Field(0.3, gt=0, le=1, description='warn when the scale by the ground is '
                             'below')
    scale_high: float = Field(1.8, ge=1, allow_inf_nan=False, description='warn when the scale by '
                              'the ground is above')
    scale_refused_s: float = Field(10.0, gt=0, description='warn when the ground gives no scale '
                                   'for this long, though the mounting is known')
