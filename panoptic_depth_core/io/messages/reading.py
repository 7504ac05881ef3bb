# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is in a message, be it an object of rosbags or of rclpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .image_encodings import decode_compressed, decode_image, decode_map


def stamp_of(message: Any) -> int:
    """Stamp of a header in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def pixels_of(message: Any) -> NDArray[np.uint8]:
    """
    RGB of an Image or CompressedImage.

    :returns: (H, W, 3) uint8 RGB; of a dense rgb8 image a view on the message's data.
    :raises ConfigError: see decode_image and decode_compressed.
    """
    if hasattr(message, 'format'):
        return decode_compressed(message.format, message.data)
    return decode_image(message.encoding, message.width, message.height, message.step,
                        message.is_bigendian, message.data)


def values_of(message: Any) -> NDArray[Any]:
    """
    Values of an Image of depth or ids as they are.

    :raises ConfigError: see decode_map.
    """
    return decode_map(message.encoding, message.width, message.height, message.step,
                      message.is_bigendian, message.data)
