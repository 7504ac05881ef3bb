# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From a path, an array or a PIL image to frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, with_count
from ..io.cameras.camera_options import CameraOptions
from ..io.pictures import turned
from ..io.sources.frame_source import FrameSource
from ..io.sources.open_source import ACCEPTED, NO_TF, NO_TOPICS, SourceOptions, open_with
from ..io.sources.picture_source import PICTURE_SUFFIXES
from ..structures import Frame

_log = logging.getLogger(__name__)

_EXIF_ORIENTATION = 0x0112


def is_one_picture(source: Any) -> bool:
    """Whether a source is one picture rather than a stream of pictures."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir()
    return isinstance(source, Frame) or _is_pil(source) or (
        hasattr(source, '__array__') and getattr(source, 'ndim', 0) in (2, 3))


def frames_of(source: Any, options: SourceOptions) -> Iterator[Frame]:
    """
    Frames of a source, or of the sources in a list or a generator, read one at a time.

    Frames of arrays have no name.

    :param options: the camera applies to all frames but those that are a Frame already.
    :raises ConfigError: the source cannot be used; for one in a list, when its turn comes.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        return _read(open_with(path, options), path)
    kind = type(source).__name__
    if is_one_picture(source):
        if options.image_topic or options.camera_info_topic:
            raise ConfigError(f'{kind}: {NO_TOPICS}')
        if options.mounting.ground_frame:
            raise ConfigError(f'{kind}: {NO_TF}')
        return iter([_frame(source, options)])
    if isinstance(source, (bytes, Mapping)) or not isinstance(source, Iterable):
        raise ConfigError(f'{kind} is no source; give {ACCEPTED}, an (H, W, 3) uint8 RGB array, a '
                          'PIL image, a Frame, or a list or generator of them')
    return chain.from_iterable(frames_of(item, options) for item in source)


def rgb_image(source: Any) -> NDArray[np.uint8]:
    """
    Pixels of one picture.

    :param source: a PIL image, which is rotated by its EXIF orientation; or uint8 as (H, W, 3)
        RGB, (H, W, 4) RGBA whose alpha is dropped, (H, W) or (H, W, 1) grey. BGR cannot be told
        from RGB.
    :returns: (H, W, 3) uint8 RGB, without a copy if possible.
    :raises ConfigError: anything else.
    """
    if _is_pil(source):
        # convert('RGB') would clip more than 8 bits; unconverted, they are refused below.
        deep = source.mode.startswith(('I', 'F'))
        array = turned(np.asarray(source if deep else source.convert('RGB')),
                         source.getexif().get(_EXIF_ORIENTATION, 1))
    else:
        try:
            array = np.asarray(source)
        # Tensors on a GPU, or with a gradient.
        except (TypeError, RuntimeError) as error:
            raise ConfigError(f'{type(source).__name__}: cannot become a numpy array: {error}'
                              ) from None
    what = f'image is {array.dtype} {array.shape}'
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] > 4:
        raise ConfigError(f'{what}: its channels come first; give image.transpose(1, 2, 0)')
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)) or not array.size:
        raise ConfigError(f'{what}; give (H, W, 3) RGB')
    if array.dtype != np.uint8:
        remedy = {'f': '(255 * image).astype(numpy.uint8) if it is 0..1',
                  'u': '(image >> 8).astype(numpy.uint8) if it has 16 bits'}.get(
            array.dtype.kind, 'image.astype(numpy.uint8)')
        raise ConfigError(f'{what}; give uint8, 0..255: {remedy}')
    grey = array.ndim == 2 or array.shape[2] == 1
    return np.ascontiguousarray(
        array.reshape(*array.shape[:2], 1).repeat(3, axis=2) if grey else array[..., :3])


def _is_pil(source: Any) -> bool:
    """Whether it is a PIL image; PIL itself is not a dependency."""
    return hasattr(source, 'getexif')


def _frame(source: Any, options: SourceOptions) -> Frame:
    if isinstance(source, Frame):
        if options.camera != CameraOptions():
            raise ConfigError(f'frame {source.name!r} has intrinsics; leave fx, fov and camera '
                              'out')
        if options.mounting.fixed is not None:
            raise ConfigError(f'frame {source.name!r} says itself how its camera is mounted; '
                              'give Frame(..., mounting=...)')
        return source
    image = rgb_image(source)
    camera, origin = options.camera.resolve(image.shape[1], image.shape[0])
    return Frame(image, camera, name=Path(getattr(source, 'filename', '')).stem,
                 intrinsics_source=origin, mounting=options.mounting.fixed)


def _read(frames: FrameSource, path: str) -> Iterator[Frame]:
    """Read a source to its end; warn about skipped frames."""
    used = False
    with frames:
        for frame in frames:
            used = True
            yield frame
    reasons = [with_count(reason, count)
               for reason, count in (frames.skipped + frames.notes).items()]
    if frames.ended_early:
        reasons.append(f'ended early: {frames.ended_early}')
    if not used:
        raise ConfigError(f'{path}: no frame could be used: '
                          f'{"; ".join(reasons) or "the source has none"}')
    for reason in reasons:
        _log.warning('%s: %s', path, reason)
