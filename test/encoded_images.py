# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A slow encoder of images, by the words of the definitions, which decoders are tried on."""

from __future__ import annotations

import numpy as np

BAYER = {f'bayer_{order}{bits}': order
         for order in ('rggb', 'bggr', 'gbrg', 'grbg') for bits in (8, 16)}
SMOOTH = {*BAYER, 'yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21'}
"""Encodings that lose something, tried on one color per image."""

DEEP = {*(name for name in BAYER if name.endswith('16')), 'rgb16', 'bgr16', 'rgba16', 'bgra16',
        'mono16', '16UC1', '16UC3', '16UC4'}


def random_image(encoding: str, width: int, height: int, seed: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB image that the encoding can hold."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    if encoding in SMOOTH:
        image[:] = rng.integers(0, 256, 3, np.uint8)
    elif encoding in ('mono8', '8UC1', 'mono16', '16UC1'):
        image[:] = image[..., :1]
    return image


def _yuv(rgb: np.ndarray) -> tuple[int, int, int]:
    """BT.601, studio range: Recommendation ITU-R BT.601-7, section 2.5."""
    r, g, b = (float(v) / 255.0 for v in rgb)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return (round(16 + 219 * y), round(128 + 224 * (b - y) / 1.772),
            round(128 + 224 * (r - y) / 1.402))


def pixel_rows(encoding: str, image: np.ndarray, big: bool) -> list[bytes]:
    """Rows of bytes, pixel by pixel, by the words of the definition."""
    def pixel(v: int, u: int) -> bytes:
        r, g, b = (int(value) for value in image[v, u])
        y, cb, cr = _yuv(image[v, u])
        packed = {
            'rgb8': (r, g, b), 'bgr8': (b, g, r), '8UC3': (b, g, r), 'rgba8': (r, g, b, 7),
            'bgra8': (b, g, r, 7), '8UC4': (b, g, r, 7), 'mono8': (r,), '8UC1': (r,),
            'yuv422': ((cb, cr)[u % 2], y), 'uyvy': ((cb, cr)[u % 2], y),
            'yuv422_yuy2': (y, (cb, cr)[u % 2]), 'yuyv': (y, (cb, cr)[u % 2]),
            'nv12': (y,), 'nv21': (y,),
        }
        if encoding in BAYER:
            color = BAYER[encoding][2 * (v % 2) + u % 2]
            values: tuple[int, ...] = ({'r': r, 'g': g, 'b': b}[color],)
        else:
            values = packed[encoding.replace('16', '8')]
        if encoding in DEEP:
            values = tuple(byte for value in values for byte in ((value, 99) if big
                                                                 else (99, value)))
        return bytes(values)

    height, width = image.shape[:2]
    rows = [b''.join(pixel(v, u) for u in range(width)) for v in range(height)]
    if encoding in ('nv12', 'nv21'):
        for v in range(0, height, 2):
            chroma = [_yuv(image[v, u])[1:] for u in range(0, width, 2)]
            rows.append(b''.join(bytes(c if encoding == 'nv12' else c[::-1]) for c in chroma))
    return rows
