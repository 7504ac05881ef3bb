# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
KITTI depth prediction 2017: drives with the depth of accumulated lidar points, without labels.

Files below the root (https://www.cvlibs.net/datasets/kitti, depth benchmark; formats from its
devkit; depth is uint16 metres * 256, 0 where unknown), DRIVE = DATE_drive_NNNN_sync:

- splits ``train`` and ``val`` of data_depth_annotated: ``SPLIT/DRIVE/proj_depth/groundtruth/
  image_02/FFFFFFFFFF.png``, with the raw recordings ``DATE/DRIVE/image_02/data/FFFFFFFFFF.png``
  (or .jpg) and ``DATE/calib_cam_to_cam.txt``
- split ``val_selection``, the 1000 cropped frames of data_depth_selection, at the root or in
  ``depth_selection``: ``val_selection_cropped/{image,groundtruth_depth,intrinsics}`` with files
  ``DRIVE_{image,groundtruth_depth}_FFFFFFFFFF_image_0C.png`` and 3x3 matrices as .txt, named like
  the pictures
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..labels import CITYSCAPES
from ..structures import Frame, GroundTruth, Intrinsics, Sample
from .cityscapes import SPLITS
from .kitti_calibration import read_calibration
from .label_files import file_stems, read_depth, read_image, require_folder, require_split

SELECTION = 'val_selection'

_DEPTH = '_groundtruth_depth_'


@dataclass(frozen=True)
class _Files:
    name: str
    image: Path
    depth: Path
    camera: Path
    sequence: str = ''


class KittiDepth:
    """
    One split: ``train``, ``val``, or ``val_selection``.

    :raises ConfigError: when the root or the split is not there.
    """

    classes = CITYSCAPES

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split('kitti_depth', split, (*SPLITS, SELECTION))
        self._is_selection = split == SELECTION
        files = _selected(Path(root)) if self._is_selection else _drives(Path(root), split)
        self._files = {file.name: file for file in files}
        self.names = list(self._files)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        files = self._files[self.names[index]]
        jpeg = files.image.with_suffix('.jpg')
        image = read_image(jpeg if jpeg.is_file() else files.image)
        size = image.shape[:2]
        if self._is_selection:
            camera = _read_matrix(files.camera, size[1], size[0])
        else:
            camera, _ = read_calibration(files.camera, size[1], size[0])
        frame = Frame(image, camera, name=files.name, intrinsics_source='data set')
        return Sample(frame, GroundTruth(depth=read_depth(files.depth, size)), files.sequence)


def _drives(root: Path, split: str) -> list[_Files]:
    """Frames of the left camera, drive by drive."""
    folder = require_folder('kitti_depth', root / split, 'the folder that holds train, val and '
                            f'the recordings by date (split {SELECTION} has files of its own)')
    files = []
    for path in sorted(folder.glob('*/proj_depth/groundtruth/image_02/*.png')):
        drive = path.relative_to(folder).parts[0]
        date = drive.partition('_drive_')[0]
        files.append(_Files(
            f'{drive}_{path.stem}', root / date / drive / 'image_02' / 'data' / path.name, path,
            root / date / 'calib_cam_to_cam.txt', drive))
    if not files:
        raise ConfigError(f'kitti_depth: no */proj_depth/groundtruth/image_02/*.png in {folder}; '
                          'unpack data_depth_annotated there')
    return files


def _selected(root: Path) -> list[_Files]:
    """Frames of both cameras, each from another moment."""
    outer = root / 'depth_selection'
    folder = require_folder(
        'kitti_depth', (outer if outer.is_dir() else root) / 'val_selection_cropped',
        'the folder that holds depth_selection or val_selection_cropped')
    files = []
    for stem in file_stems('kitti_depth', folder / 'groundtruth_depth', '.png'):
        image = stem.replace(_DEPTH, '_image_')
        files.append(_Files(
            stem.replace(_DEPTH, '_'), folder / 'image' / f'{image}.png',
            folder / 'groundtruth_depth' / f'{stem}.png', folder / 'intrinsics' / f'{image}.txt'))
    return files


def _read_matrix(path: Path, width: int, height: int) -> Intrinsics:
    """Camera of a file of nine numbers, the rows of its matrix."""
    try:
        fx, _, cx, _, fy, cy, *_ = (float(v) for v in path.read_text(encoding='utf-8').split())
        return Intrinsics(fx, fy, cx, cy, width, height)
    except (OSError, ValueError) as error:
        raise ConfigError(f'{path}: no intrinsics of KITTI depth: {error}; '
                          'copy it again') from None
