# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Small videos made with PyAV, whose pictures tell their number."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

REASON = "PyAV is not installed: pip install 'panoptic-depth[video]'"


def picture(index: int, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; its mean grows with the index, and its lower half has an edge."""
    image = np.full((height, width, 3), 20 + 5 * index, np.uint8)
    image[height // 2:, 2 * index % width:] += 40
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """Index of a picture after it was encoded."""
    return round((float(image[:image.shape[0] // 2 - 2].mean()) - 20) / 5)


def encoder(name: str, width: int = 96, height: int = 64, **options: str) -> Any:
    """Return a codec context of PyAV that writes a bare stream."""
    av = pytest.importorskip('av', reason=REASON)
    # SVT-AV1 writes about itself on the terminal.
    os.environ.setdefault('SVT_LOG', '0')
    try:
        context = av.CodecContext.create(name, 'w')
    except ValueError:
        pytest.skip(f'this PyAV has no {name}')
    context.width, context.height = width, height
    context.pix_fmt = 'yuvj420p' if name == 'mjpeg' else 'yuv420p'
    context.time_base, context.framerate = Fraction(1, 10), Fraction(10)
    context.options = options
    return context


def packets(name: str, count: int, **options: Any) -> list[tuple[int, bool, bytes]]:
    """Encoded pictures in the order of the stream: index of the picture, whether a key, bytes."""
    context = encoder(name, **options)
    import av

    found = []
    for index in [*range(count), None]:
        frame = None
        if index is not None:
            frame = av.VideoFrame.from_ndarray(picture(index, context.width, context.height),
                                               format='rgb24')
            frame.pts = index
        found += [(p.pts, p.is_keyframe, bytes(p)) for p in context.encode(frame)]
    return found


def write_video(path: Path, count: int, codec: str = 'libx264', times: list[int] | None = None,
                size: tuple[int, int] = (96, 64), rotation: int = 0,
                **options: str) -> list[tuple[int, int]]:
    """
    Write a video of 10 Hz.

    :param times: of the pictures in tenths of a second; 0, 1, 2 ... by default.
    :returns: place and length of each packet in the file, in the order of the stream.
    """
    av = pytest.importorskip('av', reason=REASON)
    data = []
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height = size
        stream.bit_rate = 2_000_000
        stream.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format='rgb24')
            frame.pts = index if times is None else times[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        data = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    return data


def damage(path: Path, first: int, length: int) -> None:
    """Overwrite a part of a file with what no decoder likes."""
    whole = bytearray(path.read_bytes())
    whole[first:first + length] = np.random.default_rng(0).bytes(length)
    path.write_bytes(whole)
