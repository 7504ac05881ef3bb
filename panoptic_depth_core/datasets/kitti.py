# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
KITTI: KittiDepth, KittiSemantics and KittiHalf, each with its files in its docstring.

Formats are those of the development kits of https://www.cvlibs.net/datasets/kitti; depth is uint16
metres * 256, 0 where unknown.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.sources.camera import scaled_to
from ..labels import CLASS_ID, LABEL_DIVISOR, THING_CLASSES, VOID_CLASS
from ..structures import Frame, GroundTruth, Intrinsics, Sample
from .label_files import (
    SPLITS,
    VALUES,
    FrameReader,
    classes_of_label_ids,
    file_stems,
    look_up,
    make_sample,
    panoptic_ids,
    read_depth,
    read_disparity,
    read_image,
    read_labels,
    require_folder,
    require_split,
)

SELECTION = 'val_selection'
DEFAULT_CAMERA = Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375)
"""P_rect_02 of the day that most of the pictures of KITTI 2015 are from."""

INSTANCE_CLASSES = (CLASS_ID['person'], CLASS_ID['car'])
"""KITTI MOTS labels instances of cars and pedestrians only."""

_DEPTH = '_groundtruth_depth_'
_CALIBRATION = 'calib_cam_to_cam'
_HOLD_OUT = 10
_MOTS_CLASSES = np.full(len(VALUES), VOID_CLASS)
_MOTS_CLASSES[[1, 2]] = CLASS_ID['car'], CLASS_ID['person']
_MOTS_IGNORE = 10000

_SEMANTIC_IDS = panoptic_ids(classes_of_label_ids(VALUES), np.zeros_like(VALUES))
_INSTANCE_IDS = panoptic_ids(classes_of_label_ids(VALUES // 256), VALUES % 256)
_PANOPTIC_IDS = panoptic_ids(classes_of_label_ids(VALUES // LABEL_DIVISOR), VALUES % LABEL_DIVISOR)
# Tracks of MOTS count from 0, instances from 1.
_MOTS_IDS = panoptic_ids(_MOTS_CLASSES[VALUES // LABEL_DIVISOR], VALUES % LABEL_DIVISOR + 1)


def read_calibration(path: Path, width: int, height: int) -> tuple[Intrinsics, float]:
    """
    Read the left colour camera (02) of the rectified pictures from calib_cam_to_cam.txt.

    See Geiger et al., Vision meets Robotics: The KITTI Dataset, 2013.

    :param width, height: px of the picture.
    :returns: the camera, and the distance in metres to the right one (03).
    :raises ConfigError: when the file cannot be read or lacks these.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
        values = {key: line for key, _, line in (line.partition(':') for line in lines)}
        columns, rows = (float(v) for v in values['S_rect_02'].split())
        left, right = ([float(v) for v in values[f'P_rect_{i}'].split()] for i in ('02', '03'))
        camera = Intrinsics(left[0], left[5], left[2], left[6], int(columns), int(rows))
        # Entries (0, 3) are -fx times the place of the camera along x.
        return scaled_to(camera, width, height), (left[3] - right[3]) / left[0]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ConfigError(f'{path}: no calib_cam_to_cam.txt of KITTI: {error!r}; '
                          'copy it again') from None


@dataclass(frozen=True)
class _Files:
    name: str
    image: Path
    depth: Path
    camera: Path
    sequence: str = ''


class KittiDepth(FrameReader):
    """
    KITTI depth prediction 2017: drives with the depth of accumulated lidar points, without labels.

    Files below the root, DRIVE = DATE_drive_NNNN_sync:

    - splits ``train`` and ``val`` of data_depth_annotated: ``SPLIT/DRIVE/proj_depth/groundtruth/
      image_02/FFFFFFFFFF.png``, with the raw recordings ``DATE/DRIVE/image_02/data/
      FFFFFFFFFF.png`` (or .jpg) and ``DATE/calib_cam_to_cam.txt``
    - split ``val_selection``, the 1000 cropped frames of data_depth_selection, at the root or in
      ``depth_selection``: ``val_selection_cropped/{image,groundtruth_depth,intrinsics}`` with
      files ``DRIVE_{image,groundtruth_depth}_FFFFFFFFFF_image_0C.png`` and 3x3 matrices as .txt,
      named like the pictures

    :raises ConfigError: when the root or the split is not there.
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split('kitti_depth', split, (*SPLITS, SELECTION))
        read = _selected(Path(root)) if split == SELECTION else _drives(Path(root), split)
        self._files = {files.name: files for files in read}
        self.names = list(self._files)

    def __getitem__(self, index: int) -> Sample:
        files = self._files[self.names[index]]
        jpeg = files.image.with_suffix('.jpg')
        image = read_image(jpeg if jpeg.is_file() else files.image)
        size = image.shape[:2]
        camera = (_read_matrix(files.camera, size[1], size[0]) if files.camera.stem != _CALIBRATION
                  else read_calibration(files.camera, size[1], size[0])[0])
        return make_sample(image, camera, files.name, depth=read_depth(files.depth, size),
                           sequence=files.sequence)


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
            root / date / f'{_CALIBRATION}.txt', drive))
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


class KittiSemantics(FrameReader):
    """
    KITTI 2015: 200 pictures with semantics and instances, and depth from the stereo benchmark.

    Splits are ``train`` (180 of the pictures with labels) and ``val``: every tenth, from the first
    on. Neighbours can be of one recording, so val is easier than new streets. Files below the
    root, N = 000000..000199, of data_semantics and data_scene_flow with its calibration:

    - ``training/image_2/N_10.png``; those of ``testing`` have no labels
    - ``training/semantic/N_10.png``: uint8 Cityscapes label id
    - ``training/instance/N_10.png``, optional folder: uint16 label id * 256 + instance from 1, 0
      where not known
    - ``training/disp_occ_0/N_10.png``, optional: uint16 disparity in px * 256, 0 where unknown
    - ``training/calib_cam_to_cam/N.txt``, optional; without it there is no depth, and the camera
      is DEFAULT_CAMERA

    :raises ConfigError: when the root or the split is not there.
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split('kitti_semantics', split)
        images = require_folder('kitti_semantics', Path(root) / 'training' / 'image_2',
                                'the folder that holds training/image_2 and training/semantic')
        self.folder = images.parent
        # Later frames of the same scenes (_11) have no labels.
        stems = file_stems('kitti_semantics', images, '_10.png')
        self.names = [f'{stem}_10' for i, stem in enumerate(stems)
                      if (i % _HOLD_OUT == 0) == (split == 'val')]
        self._has_instances = (self.folder / 'instance').is_dir()

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        file_name = f'{name}.png'
        image = read_image(self.folder / 'image_2' / file_name)
        size = image.shape[:2]
        calibration = self.folder / 'calib_cam_to_cam' / f'{name.partition("_")[0]}.txt'
        disparity = self.folder / 'disp_occ_0' / file_name
        camera, depth = scaled_to(DEFAULT_CAMERA, size[1], size[0]), None
        if calibration.is_file():
            camera, baseline_m = read_calibration(calibration, size[1], size[0])
            if disparity.is_file():
                depth = read_disparity(disparity, size, camera.fx * baseline_m)
        return make_sample(image, camera, name, panoptic=self._panoptic(file_name, size),
                           instance_classes=THING_CLASSES if self._has_instances else (),
                           depth=depth)

    def _panoptic(self, file_name: str, size: tuple[int, int]) -> NDArray[np.int32]:
        path = self.folder / 'semantic' / file_name
        semantic = look_up(path, read_labels(path, size, np.uint8), _SEMANTIC_IDS)
        if not self._has_instances:
            return semantic
        path = self.folder / 'instance' / file_name
        instances = look_up(path, read_labels(path, size, np.uint16), _INSTANCE_IDS)
        # Where the two disagree, the class is known and the instance is not.
        return np.where(instances // 1000 == semantic // 1000, instances, semantic)


class KittiHalf(FrameReader):
    """
    KITTI at half resolution, a folder of real frames of which each holds only some of the labels.

    Splits are ``train``, ``val`` (frames of KITTI 2015) and sequences such as ``seq0000``. Files
    below the root (PNG, except where said):

    - ``splits.json``: frame names per split, intrinsics by image size
    - ``kitti15/image/*.jpg``, ``kitti15/semantic`` uint8 Cityscapes label id,
      ``kitti15/panoptic`` uint16 label id * 1000 + instance (a thing id with instance 0 is a
      crowd), ``kitti15/depth_x256``
    - ``seqNNNN/image/*.jpg``, ``seqNNNN/instance`` uint16 class * 1000 + track (KITTI MOTS:
      1 car, 2 pedestrian, 10000 ignore), ``seqNNNN/depth_x256``
    - ``kitti15_instance_depth.csv``: median depth of the visible surface per instance

    :param split: ``train:depth`` and ``train:panoptic`` are the frames of a split that have that
        label, so that a recipe can show the rare ones more often.
    :raises ConfigError: when the root or the split is not there.
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        self.root = Path(root)
        try:
            splits = json.loads((self.root / 'splits.json').read_text(encoding='utf-8'))
        except OSError as error:
            raise ConfigError(
                f'{self.root}: no readable splits.json ({error.strerror}); '
                'give the folder kitti_half') from None
        (size, known), = splits['intrinsics'].items()
        self._camera = Intrinsics(**known, width=int(size.split('x')[0]),
                                  height=int(size.split('x')[1]))
        split, _, label = split.partition(':')
        self._folder = split if split in splits['sequences_train'] else 'kitti15'
        if split in ('train', 'val'):
            self.names: list[str] = list(splits[split])
        elif self._folder == split:
            self.names = sorted(p.stem for p in (self.root / split / 'image').glob('*.jpg'))
        else:
            known = ', '.join(['train', 'val', *splits['sequences_train']])
            raise ConfigError(f'kitti_half: unknown split {split!r}; known: {known}')
        if label:
            folder = {'depth': 'depth_x256'}.get(label, label)
            self.names = [name for name in self.names
                          if (self.root / self._folder / folder / f'{name}.png').exists()]
        if not self.names:
            raise ConfigError(f'kitti_half: no frames with {label!r} in split {split!r}; '
                              'labels are depth, panoptic, semantic')
        self._depths = _read_depths(self.root / 'kitti15_instance_depth.csv')

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        folder = self.root / self._folder
        image = read_image(folder / 'image' / f'{name}.jpg')
        size = image.shape[:2]
        # A few recordings are a pixel or two larger or smaller, with cameras equal to 0.5 %.
        camera = replace(self._camera, width=size[1], height=size[0])
        frame = Frame(image, camera, name=f'{self._folder}_{name}', intrinsics_source='data set')
        labels = self._sequence_labels if self._folder != 'kitti15' else self._kitti15_labels
        depth_file = folder / 'depth_x256' / f'{name}.png'
        depth = read_depth(depth_file, size) if depth_file.exists() else None
        sequence = self._folder if self._folder != 'kitti15' else ''
        return Sample(frame, GroundTruth(**labels(folder, name, size), depth=depth), sequence)

    def _kitti15_labels(self, folder: Path, name: str, size: tuple[int, int]) -> dict[str, Any]:
        path = folder / 'panoptic' / f'{name}.png'
        if not path.exists():
            path = folder / 'semantic' / f'{name}.png'
            semantic = look_up(path, read_labels(path, size, np.uint8), _SEMANTIC_IDS)
            return {'panoptic': semantic, 'has_semantics': True}
        panoptic = look_up(path, read_labels(path, size, np.uint16), _PANOPTIC_IDS)
        depths = {int(_PANOPTIC_IDS[label]): depth
                  for label, depth in self._depths.get(name, {}).items()}
        return {'panoptic': panoptic, 'has_semantics': True,
                'instance_classes': INSTANCE_CLASSES, 'instance_depth_m': depths}

    def _sequence_labels(self, folder: Path, name: str, size: tuple[int, int]) -> dict[str, Any]:
        path = folder / 'instance' / f'{name}.png'
        stored = read_labels(path, size, np.uint16)
        return {'panoptic': look_up(path, stored, _MOTS_IDS),
                'instance_classes': INSTANCE_CLASSES, 'ignore': stored == _MOTS_IGNORE}


def _read_depths(path: Path) -> dict[str, dict[int, float]]:
    """Frame -> Cityscapes panoptic id -> metres."""
    depths: dict[str, dict[int, float]] = {}
    with path.open(newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if row['median_gt_depth_m']:
                depths.setdefault(row['frame'], {})[int(row['panoptic_id'])] = float(
                    row['median_gt_depth_m'])
    return depths
