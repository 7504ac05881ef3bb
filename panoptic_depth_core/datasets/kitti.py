# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
KITTI: KittiDepth, KittiEigen, KittiSemantics, KittiHalf and SemKittiDvps, each with its files.

Formats are those of the development kits of https://www.cvlibs.net/datasets/kitti; depth is uint16
meters * 256, 0 where unknown. What is missing or wrong raises ConfigError.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.cameras.shapes import scaled_to
from ..labels import (
    CLASS_ID,
    LABEL_DIVISOR,
    SEMKITTI,
    THING_CLASSES,
    VOID_CLASS,
    VOID_ID,
    thing_classes,
)
from ..structures import Frame, GroundTruth, Intrinsics, Mounting, Sample
from ..untrusted import reading
from . import label_files as files

SELECTION = 'val_selection'
_ODOMETRY_CAMERAS = (
    Intrinsics(718.856, 718.856, 607.1928, 185.2157, 1241, 376),
    Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375),
    Intrinsics(707.0912, 707.0912, 601.8873, 183.1104, 1226, 370),
)
"""P2 of KITTI odometry's calib.txt: sequences 0..2 and 13..21, 3, 4..12."""

DEFAULT_CAMERA = Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375)
"""P_rect_02 of the day that most of the pictures of KITTI 2015 are from."""

MOUNTING = Mounting(height_m=1.65)
"""
Of all cameras of the car: 1.65 m above the road (Geiger et al., Vision meets Robotics: The KITTI
Dataset, IJRR 2013, figure 3).

The pitch is not published. Planes fitted to the labeled road and the depth of the 31 frames of
KITTI 2015 in the split train of kitti_half are at 1.665 m (16 to 84 %: 1.637 to 1.701), with a
pitch of 0.0 degrees (-0.5 to 0.4) and a roll of 0.7 (0.3 to 1.2), which is that of the crowned
road: it is different in every frame, so it is no part of the mounting.
"""

INSTANCE_CLASSES = (CLASS_ID['person'], CLASS_ID['car'])
"""KITTI MOTS labels instances of cars and pedestrians only."""

_DEPTH = '_groundtruth_depth_'
_CALIBRATION = 'calib_cam_to_cam'
_SIDES = {'l': '02', 'r': '03'}
_HOLD_OUT = 10
_MOTS_CLASSES = np.full(len(files.VALUES), VOID_CLASS)
_MOTS_CLASSES[[1, 2]] = CLASS_ID['car'], CLASS_ID['person']
_MOTS_IGNORE = 10000

_SEMANTIC_IDS = files.cityscapes_ids(files.VALUES, np.zeros_like(files.VALUES))
_INSTANCE_IDS = files.cityscapes_ids(files.VALUES // 256, files.VALUES % 256)
_PANOPTIC_IDS = files.cityscapes_ids(files.VALUES // LABEL_DIVISOR, files.VALUES % LABEL_DIVISOR)
# Tracks of MOTS count from 0, instances from 1.
_MOTS_IDS = files.panoptic_ids(_MOTS_CLASSES[files.VALUES // LABEL_DIVISOR],
                               files.VALUES % LABEL_DIVISOR + 1)


def read_calibration(path: Path, width: int, height: int, number: str = '02'
                     ) -> tuple[Intrinsics, float]:
    """
    Read a camera of calib_cam_to_cam.txt for a picture's size, and the distance of 02 to 03.

    :param number: 02 (left) or 03. :returns: the camera; meters.
    """
    with reading(path, 'calib_cam_to_cam.txt of KITTI', 'copy it again'):
        lines = path.read_text(encoding='utf-8').splitlines()
        values = {key: line for key, _, line in (line.partition(':') for line in lines)}
        columns, rows = (float(v) for v in values[f'S_rect_{number}'].split())
        left, right = ([float(v) for v in values[f'P_rect_{i}'].split()] for i in ('02', '03'))
        own = right if number == '03' else left
        camera = Intrinsics(own[0], own[5], own[2], own[6], int(columns), int(rows))
        # Entries (0, 3) are -fx times the place of the camera along x.
        return scaled_to(camera, width, height), (left[3] - right[3]) / left[0]


@dataclass(frozen=True)
class _Files:
    name: str
    image: Path
    depth: Path
    camera: Path
    sequence: str = ''


class KittiDepth(files.FrameReader):
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
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        files.require_split('kitti_depth', split, (*files.SPLITS, SELECTION))
        read = _selected(Path(root)) if split == SELECTION else _drives(Path(root), split)
        self._frames = {frame.name: frame for frame in read}
        self.names = list(self._frames)

    def __getitem__(self, index: int) -> Sample:
        frame = self._frames[self.names[index]]
        jpeg = frame.image.with_suffix('.jpg')
        image = files.read_image(jpeg if jpeg.is_file() else frame.image)
        size = image.shape[:2]
        camera = (_read_matrix(frame.camera, size[1], size[0]) if frame.camera.stem != _CALIBRATION
                  else read_calibration(frame.camera, size[1], size[0])[0])
        return files.make_sample(image, camera, frame.name, sequence=frame.sequence,
                                 mounting=MOUNTING, depth=files.read_depth(frame.depth, size))


def _drives(root: Path, split: str) -> Iterator[_Files]:
    """Frames of the left camera, drive by drive."""
    folder = files.require_folder(
        'kitti_depth', root / split, 'the folder that holds train, val and the recordings by date '
        f'(split {SELECTION} has files of its own)')
    paths = sorted(folder.glob('*/proj_depth/groundtruth/image_02/*.png'))
    if not paths:
        raise ConfigError(f'kitti_depth: no */proj_depth/groundtruth/image_02/*.png in {folder}; '
                          'unpack data_depth_annotated there')
    for path in paths:
        drive = path.relative_to(folder).parts[0]
        date = root / drive.partition('_drive_')[0]
        yield _Files(f'{drive}_{path.stem}', date / drive / 'image_02' / 'data' / path.name, path,
                     date / f'{_CALIBRATION}.txt', drive)


def _selected(root: Path) -> Iterator[_Files]:
    """Frames of both cameras, each from another moment."""
    outer = root / 'depth_selection'
    folder = files.require_folder(
        'kitti_depth', (outer if outer.is_dir() else root) / 'val_selection_cropped',
        'the folder that holds depth_selection or val_selection_cropped')
    for stem in files.file_stems('kitti_depth', folder / 'groundtruth_depth', '.png'):
        image = stem.replace(_DEPTH, '_image_')
        yield _Files(stem.replace(_DEPTH, '_'), folder / 'image' / f'{image}.png',
                     folder / 'groundtruth_depth' / f'{stem}.png',
                     folder / 'intrinsics' / f'{image}.txt')


def _read_matrix(path: Path, width: int, height: int) -> Intrinsics:
    """Camera of a file of nine numbers, the rows of its matrix."""
    with reading(path, 'intrinsics of KITTI depth', 'copy it again'):
        fx, _, cx, _, fy, cy, *_ = (float(v) for v in path.read_text(encoding='utf-8').split())
        return Intrinsics(fx, fy, cx, cy, width, height)


class KittiEigen(files.FrameReader):
    """
    Eigen's split of the KITTI recordings (NIPS 2014) with the improved depth, without labels.

    Splits are ``train``, ``val`` and ``test``, as far as there are lists. Of the 697 test frames
    652 have a depth. Frames without one are left out, with a warning. Files below the root,
    DRIVE = DATE_drive_NNNN_sync, C = 2 or 3:

    - a list, the first there is of ``eigen_SPLIT_files_with_gt.txt``, ``eigen_SPLIT_files.txt``,
      ``eigen_SPLIT.txt``, ``SPLIT_files.txt``. A line is ``DATE/DRIVE/image_0C/data/FFFFFFFFFF.png
      DRIVE/proj_depth/groundtruth/image_0C/FFFFFFFFFF.png FOCAL`` (BTS, LapDepth), of which the
      first entry is enough, or ``DATE/DRIVE FRAME l`` or ``r`` (Monodepth2)
    - the raw recordings: ``DATE/DRIVE/image_0C/data/FFFFFFFFFF.png`` (or .jpg) and
      ``DATE/calib_cam_to_cam.txt``, which the focal length is taken from
    - data_depth_annotated: ``DRIVE/proj_depth/groundtruth/image_0C/FFFFFFFFFF.png`` at the root or
      in ``train`` or ``val``: of the test split some are in either
    """

    classes = ()

    def __init__(self, root: Path | str, split: str = 'test') -> None:
        files.require_split('kitti_eigen', split, (*files.SPLITS, 'test'))
        self.root = Path(root)
        lines = files.read_split_list('kitti_eigen', self.root, split, (
            'eigen_SPLIT_files_with_gt.txt', 'eigen_SPLIT_files.txt', 'eigen_SPLIT.txt',
            'SPLIT_files.txt'))
        self._frames = files.with_depth('kitti_eigen', split, [
            self._frame(line) for line in lines])
        self.names = [frame.listed for frame in self._frames]

    def _frame(self, line: list[str]) -> files.ListedFrame:
        listed = line[0].strip('/')
        if len(line) == 3 and line[2] in _SIDES:
            listed = f'{listed}/image_{_SIDES[line[2]]}/data/{line[1].zfill(10)}.png'
        parts = Path(listed).parts
        if len(parts) != 5:
            raise ConfigError(f'kitti_eigen: line {" ".join(line)!r} of the list names no '
                              "DATE/DRIVE/image_02/data/FFFFFFFFFF.png; give Eigen's list")
        _, drive, camera, _, name = parts
        image = self.root / listed
        depth = Path(drive, 'proj_depth', 'groundtruth', camera, name).with_suffix('.png')
        return files.ListedFrame(
            f'{drive}_{Path(name).stem}' + ('' if camera == 'image_02' else f'_{camera}'),
            files.first_existing([image, image.with_suffix('.jpg'), image.with_suffix('.png')]),
            files.first_existing([self.root / part / depth for part in ('', *files.SPLITS)]))

    def __getitem__(self, index: int) -> Sample:
        frame = self._frames[index]
        image = files.read_image(frame.image)
        size = image.shape[:2]
        folder = frame.image.parent.parent
        camera, _ = read_calibration(folder.parents[1] / f'{_CALIBRATION}.txt', size[1], size[0],
                                     folder.name.removeprefix('image_'))
        # Its frames do not follow each other.
        return files.make_sample(image, camera, frame.listed, mounting=MOUNTING,
                                 depth=files.read_depth(frame.depth, size))


class KittiSemantics(files.FrameReader):
    """
    KITTI 2015: 200 pictures with semantics and instances, and depth from the stereo benchmark.

    Splits are ``train`` (180 of the pictures with labels) and ``val``: every tenth, from the first
    on. Neighbors can be of one recording, so val is easier than new streets. Files below the
    root, N = 000000..000199, of data_semantics and data_scene_flow with its calibration:

    - ``training/image_2/N_10.png``; those of ``testing`` have no labels
    - ``training/semantic/N_10.png``: uint8 Cityscapes label id
    - ``training/instance/N_10.png``, optional folder: uint16 label id * 256 + instance from 1, 0
      where not known
    - ``training/disp_occ_0/N_10.png``, optional: uint16 disparity in px * 256, 0 where unknown
    - ``training/calib_cam_to_cam/N.txt``, optional; without it there is no depth, and the camera
      is DEFAULT_CAMERA
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        files.require_split('kitti_semantics', split)
        images = files.require_folder('kitti_semantics', Path(root) / 'training' / 'image_2',
                                'the folder that holds training/image_2 and training/semantic')
        self.folder = images.parent
        # Later frames of the same scenes (_11) have no labels.
        stems = files.file_stems('kitti_semantics', images, '_10.png')
        self.names = [f'{stem}_10' for i, stem in enumerate(stems)
                      if (i % _HOLD_OUT == 0) == (split == 'val')]
        self._has_instances = (self.folder / 'instance').is_dir()

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        file_name = f'{name}.png'
        image = files.read_image(self.folder / 'image_2' / file_name)
        size = image.shape[:2]
        calibration = self.folder / 'calib_cam_to_cam' / f'{name.partition("_")[0]}.txt'
        disparity = self.folder / 'disp_occ_0' / file_name
        camera, depth = scaled_to(DEFAULT_CAMERA, size[1], size[0]), None
        if calibration.is_file():
            camera, baseline_m = read_calibration(calibration, size[1], size[0])
            if disparity.is_file():
                depth = files.read_disparity(disparity, size, camera.fx * baseline_m)
        path = self.folder / 'semantic' / file_name
        panoptic = files.read_panoptic(path, size, np.uint8, _SEMANTIC_IDS)
        if self._has_instances:
            path = self.folder / 'instance' / file_name
            instances = files.read_panoptic(path, size, np.uint16, _INSTANCE_IDS)
            # Where the two disagree, the class is known and the instance is not.
            panoptic = np.where(instances // 1000 == panoptic // 1000, instances, panoptic)
        return files.make_sample(image, camera, name, panoptic=panoptic, depth=depth,
                                 mounting=MOUNTING,
                                 instance_classes=THING_CLASSES if self._has_instances else ())


class KittiHalf(files.FrameReader):
    """
    KITTI at half resolution: real frames with some of the labels each.

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
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        self.root = Path(root)
        path = self.root / 'splits.json'
        if not path.exists():
            raise ConfigError(f'{path}: is missing; give the folder kitti_half')
        with reading(path, 'that of kitti_half', 'give the folder kitti_half'):
            splits = json.loads(path.read_text(encoding='utf-8'))
            (size, known), = splits['intrinsics'].items()
            width, height = map(int, size.split('x'))
            fx, fy, cx, cy = (float(known[key]) for key in ('fx', 'fy', 'cx', 'cy'))
            self._camera = Intrinsics(fx, fy, cx, cy, width, height)
            of_split = {name: list(map(str, splits[name])) for name in ('train', 'val')}
            sequences = list(map(str, splits['sequences_train']))
        split, _, label = split.partition(':')
        self._folder = split if split in sequences else 'kitti15'
        if split in of_split:
            self.names = of_split[split]
        elif self._folder == split:
            self.names = sorted(p.stem for p in (self.root / split / 'image').glob('*.jpg'))
        else:
            raise ConfigError(f'kitti_half: unknown split {split!r}; known: '
                              f'{", ".join([*of_split, *sequences])}')
        if label:
            folder = {'depth': 'depth_x256'}.get(label, label)
            self.names = [name for name in self.names
                          if (self.root / self._folder / folder / f'{name}.png').exists()]
        if not self.names:
            raise ConfigError(f'kitti_half: no frames with {label!r} in split {split!r}; '
                              'labels are depth, panoptic, semantic')
        # Frame -> Cityscapes panoptic id -> meters.
        self._depths: dict[str, dict[int, float]] = {}
        path = self.root / 'kitti15_instance_depth.csv'
        with reading(path, 'that of kitti_half', 'copy it again'), \
                path.open(newline='', encoding='utf-8') as file:
            for row in csv.DictReader(file):
                if row['median_gt_depth_m']:
                    self._depths.setdefault(row['frame'], {})[int(row['panoptic_id'])] = float(
                        row['median_gt_depth_m'])

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        folder = self.root / self._folder
        image = files.read_image(folder / 'image' / f'{name}.jpg')
        size = image.shape[:2]
        # A few recordings are a pixel or two larger or smaller, with cameras equal to 0.5 %.
        camera = replace(self._camera, width=size[1], height=size[0])
        frame = Frame(image, camera, name=f'{self._folder}_{name}', intrinsics_source='data set',
                      mounting=MOUNTING)
        depth_file = folder / 'depth_x256' / f'{name}.png'
        depth = files.read_depth(depth_file, size) if depth_file.exists() else None

        if self._folder != 'kitti15':
            path = folder / 'instance' / f'{name}.png'
            stored = files.read_labels(path, size, np.uint16)
            return Sample(frame, GroundTruth(
                files.require_known(path, stored, _MOTS_IDS[stored]), depth=depth,
                instance_classes=INSTANCE_CLASSES, ignore=stored == _MOTS_IGNORE), self._folder)
        path = folder / 'panoptic' / f'{name}.png'
        if not path.exists():
            path = folder / 'semantic' / f'{name}.png'
            return Sample(frame, GroundTruth(files.read_panoptic(
                path, size, np.uint8, _SEMANTIC_IDS), has_semantics=True, depth=depth))
        return Sample(frame, GroundTruth(
            files.read_panoptic(path, size, np.uint16, _PANOPTIC_IDS), has_semantics=True,
            instance_classes=INSTANCE_CLASSES, depth=depth, instance_depth_m={
                int(_PANOPTIC_IDS[label]): meters
                for label, meters in self._depths.get(name, {}).items()}))


class SemKittiDvps(files.VideoReader):
    """
    SemKITTI-DVPS: the drives of KITTI odometry, see files.VideoReader.

    Files are ``SSSSSS_FFFFFF_{leftImg8bit,gtFine_class,gtFine_instance,depth_FOCAL}.png``; class
    uint8, table SEMKITTI, 255 void; instance uint8 or uint16, 0 where not known; the focal length
    in px is in the name of the depth file. Labels are as sparse as lidar.
    """

    data_set = 'semkitti_dvps'
    classes = SEMKITTI

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = files.read_image(self.folder / f'{name}{self.image}')
        size = image.shape[:2]
        class_file = self.folder / f'{name}_gtFine_class.png'
        classes = files.read_labels(class_file, size, np.uint8)
        instances = files.read_labels(self.folder / f'{name}_gtFine_instance.png', size,
                                np.uint8, np.uint16)
        panoptic = files.require_known(class_file, classes, files.panoptic_ids(
            classes, within_divisor(classes, instances), SEMKITTI))
        depth_file = self._depth_files.get(name)
        if depth_file is None:
            raise ConfigError(f'{self.folder / name}_depth_FOCAL.png: missing; '
                              'copy the data set again')
        try:
            focal_px = float(depth_file.stem.rpartition('_')[2])
        except ValueError:
            raise ConfigError(f'{depth_file}: the name does not end on _depth_FOCAL.png with the '
                              'focal length in px; copy the data set again') from None
        return files.make_sample(
            image, camera_of(focal_px, size[1], size[0]), name, panoptic=panoptic,
            instance_classes=thing_classes(SEMKITTI), depth=files.read_depth(depth_file, size),
            # Where the lidar has no point, not even the absence of a thing is known.
            ignore=panoptic == VOID_ID, sequence=name.partition('_')[0], mounting=MOUNTING)

    @cached_property
    def _depth_files(self) -> dict[str, Path]:
        return {path.name.partition('_depth_')[0]: path
                for path in self.folder.glob('*_depth_*.png')}


def camera_of(focal_px: float, width: int, height: int) -> Intrinsics:
    """Calibration of KITTI odometry with that focal length and image size; else centered."""
    for camera in _ODOMETRY_CAMERAS:
        if abs(camera.fx - focal_px) < 1e-3 and (camera.width, camera.height) == (width, height):
            return camera
    return Intrinsics.from_focal(focal_px, width, height)


def within_divisor(classes: NDArray[Any], instances: NDArray[Any]) -> NDArray[np.int32]:
    """
    Instance ids 0..LABEL_DIVISOR - 1, the same for one instance in all frames.

    Larger ones wrap around. Two of one class that meet in a frame become a crowd, since to take
    them for one instance would be wrong.

    :param classes: (H, W) uint8. :param instances: (H, W) unsigned, 0 where not known.
    :returns: (H, W) int32.
    """
    wide = instances.astype(np.int32)
    if wide.max() < LABEL_DIVISOR:
        return wide

    def wrap(ids: NDArray[Any]) -> NDArray[Any]:
        return np.where(ids > 0, (ids - 1) % (LABEL_DIVISOR - 1) + 1, 0)

    wrapped = wrap(wide)
    keys = np.unique(classes.astype(np.int64) << 32 | wide)
    pairs = zip((keys >> 32).tolist(), wrap(keys & 0xFFFFFFFF).tolist(), strict=True)
    for (class_id, instance), count in Counter(pairs).items():
        if count > 1:
            wrapped[(classes == class_id) & (wrapped == instance)] = 0
    return wrapped
