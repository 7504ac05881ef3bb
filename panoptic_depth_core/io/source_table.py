# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The list of sources in README.md, made from the tables that decide what is read.

Run it with the path of the document after one of them has changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from .bags.bag_files import STORAGES
from .bags.compression import COMPRESSIONS, FILE_SUFFIXES
from .cameras.camera_files import SIDECAR_NAMES
from .generated_text import row, with_part
from .messages.reading import ENCODINGS
from .messages.types import COMPRESSED_IMAGE, IMAGE, POINT_CLOUD
from .messages.video_packets import CODECS, PACKET_TYPES
from .pictures import PILLOW_SUFFIXES
from .sources.live_sources import SCHEMES
from .sources.measured_depth import SUFFIXES as DEPTH_SUFFIXES
from .sources.picture_source import PICTURE_SUFFIXES
from .sources.video_files import VIDEO_SUFFIXES

NAME = 'sources'


def source_table() -> str:
    """Markdown table of every kind of source: what is read of it, and with which extra."""
    pictures = [suffix for suffix in PICTURE_SUFFIXES if suffix not in PILLOW_SUFFIXES]
    rows = [
        ('source', 'what is read', 'extra'), ('---',) * 3,
        ('picture, folder of pictures', f'{_code(pictures)}, of 8 or 16 bits', ''),
        ('', _code(PILLOW_SUFFIXES), '`heif`'),
        ('video file', f'{_code(VIDEO_SUFFIXES)}; read on behind damaged places', ''),
        ('', 'the same, without the pictures that the decoder knows to be damaged', '`video`'),
        ('camera of this computer', '`camera:0`, `/dev/video0`', ''),
        ('stream', f'{_code(f"{scheme}://" for scheme in SCHEMES)}; connected again when it is '
         'lost', ''),
        ('rosbag2 of Foxy to Lyrical', f'{_code(STORAGES)}, whole, split, damaged, unfinished or '
         f'growing; messages, chunks and files compressed by {_words(COMPRESSIONS)}, files also '
         f'as {_code(FILE_SUFFIXES)}', ''),
        ('images in a bag or of a topic', f'{_short(IMAGE)}: {_code(ENCODINGS)}', ''),
        ('', f'{_short(COMPRESSED_IMAGE)}: all that image_transport writes', ''),
        ('video packets in a bag or of a topic', f'{", ".join(map(_short, PACKET_TYPES))}, '
         f'{_short(COMPRESSED_IMAGE)}: {_words(CODECS)}', '`video`'),
        ('measured or true depth', f'{_short(POINT_CLOUD)}, {_short(IMAGE)} of `16UC1` or '
         f'`32FC1`, compressedDepth (PNG, RVL); files {_code(DEPTH_SUFFIXES)}', ''),
        ('camera', f'CameraInfo; {_code(SIDECAR_NAMES)} beside the pictures or as `--camera`', ''),
    ]
    return '\n'.join(row(*cells) for cells in rows)


def _code(names: Iterable[str]) -> str:
    return ' '.join(f'`{name}`' for name in names)


def _words(names: Iterable[str]) -> str:
    *first, last = names
    return f'{", ".join(first)} and {last}' if first else last


def _short(kind: str) -> str:
    return kind.rpartition('/')[2]


def main(paths: list[str]) -> None:
    """Put the table into documents, or print it."""
    if not paths:
        print(source_table())
    for path in map(Path, paths):
        path.write_text(with_part(path.read_text(encoding='utf-8'), NAME, source_table()),
                        encoding='utf-8')


if __name__ == '__main__':
    main(sys.argv[1:])
