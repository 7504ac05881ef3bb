# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""NYU Depth V2: indoor pictures with the depth of a Kinect, without labels."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..io.cameras.shapes import scaled_to
from ..structures import Intrinsics, Sample
from . import label_files as files

CAMERA = Intrinsics(518.8579, 519.4696, 325.5824, 253.7362, 640, 480)
"""Color camera of the toolbox (camera_params.m)."""

_MILLIMETRES = 1000.0


class NyuDepth(files.FrameReader):
    """
    NYUv2 as folders of pictures and PNGs of depth: uint16 millimeters, 0 where unknown.

    Splits are ``train``, ``val`` and ``test``, as far as there are files. Frames without a depth
    are left out, with a warning. Files below the root:

    - a list, the first there is of ``nyudepthv2_SPLIT_files_with_gt.txt`` (BTS),
      ``nyu2_SPLIT.csv`` (DenseDepth) and ``nyu_SPLIT.txt``: lines of the path of a picture and of
      its depth, between them a space or comma; what follows is not read
    - these files at the root or in ``official_splits/SPLIT``, ``sync`` or ``SPLIT``
    - without a list, all of ``official_splits/SPLIT/ROOM/rgb_N.{jpg,png}`` with
      ``sync_depth_N.png``: the 654 pictures of the official test

    The depth of DenseDepth's training pictures has 8 bits and no unit; it is refused.
    """

    classes = ()

    def __init__(self, root: Path | str, split: str = 'test') -> None:
        files.require_split('nyu', split, (*files.SPLITS, 'test'))
        self.root = Path(root)
        official = self.root / 'official_splits' / split
        pictures = [path.relative_to(official) for path in sorted(official.glob('*/rgb_*.*'))]
        lines = files.read_split_list('nyu', self.root, split, (
            'nyudepthv2_SPLIT_files_with_gt.txt', 'nyu2_SPLIT.csv', 'nyu_SPLIT.txt'), otherwise=[
                [str(path), str(path.with_name(path.name.replace('rgb', 'sync_depth', 1))
                                .with_suffix('.png'))] for path in pictures])
        folders = self.root, official, self.root / 'sync', self.root / split
        self._frames = files.with_depth('nyu', split, [_frame(folders, line) for line in lines])
        self.names = [frame.listed for frame in self._frames]

    def __getitem__(self, index: int) -> Sample:
        frame = self._frames[index]
        image = files.read_image(frame.image)
        size = image.shape[:2]
        return files.make_sample(image, scaled_to(CAMERA, size[1], size[0]), frame.listed,
                                 depth=files.read_depth(frame.depth, size, _MILLIMETRES))


def _frame(folders: tuple[Path, ...], line: list[str]) -> files.ListedFrame:
    if len(line) < 2:
        raise ConfigError(f'nyu: line {line[0]!r} of the list has one entry; give the path of a '
                          'picture and that of its depth')
    image, depth = (part.strip('/') for part in line[:2])
    return files.ListedFrame(
        '_'.join(Path(image).with_suffix('').parts),
        files.first_existing([folder / image for folder in folders]),
        files.first_existing([folder / depth for folder in folders]))
