# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Miniature data sets in the formats of the real ones, and the truth that readers have to find.

The encodings are written out here on their own, so that a reader is compared with the format.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from panoptic_depth_core.labels import (
    CITYSCAPES,
    LABEL_DIVISOR,
    SEMKITTI,
    VOID_CLASS,
    VOID_ID,
    ClassInfo,
)

Size = tuple[int, int]
SIZE = (24, 48)
CAMERA_JSON = {
    'extrinsic': {'baseline': 0.25, 'pitch': 0.04, 'roll': 0.0, 'x': 1.7, 'y': 0.1, 'yaw': 0.0,
                  'z': 1.2},
    'intrinsic': {'fx': 2048.0, 'fy': 2050.0, 'u0': 1000.0, 'v0': 500.0}}
KITTI_CALIBRATION = """calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_rect_02: {width:e} {height:e}
P_rect_02: 6.4e+01 0.0 2.5e+01 1.6e+01 0.0 6.5e+01 1.1e+01 2.0e-01 0.0 0.0 1.0 2.7e-03
S_rect_03: {width:e} {height:e}
P_rect_03: 6.4e+01 0.0 2.5e+01 -1.6e+01 0.0 6.5e+01 1.1e+01 2.0e+00 0.0 0.0 1.0 2.7e-03
"""
KITTI_BASELINE_M = 0.5


@dataclass(frozen=True)
class TrueFrame:
    """
    What a reader has to return.

    :param image: (H, W, 3) uint8 RGB. :param classes: (H, W) int32, VOID_CLASS where void.
    :param instances: (H, W) int32, 0 for stuff, crowds and void.
    :param stored_depth: (H, W) uint16 meters * 256 or disparity, 0 where unknown.
    """

    image: NDArray[np.uint8]
    classes: NDArray[np.int32]
    instances: NDArray[np.int32]
    stored_depth: NDArray[np.uint16]
    sequence: str = ''

    @property
    def panoptic(self) -> NDArray[np.int32]:
        """(H, W) int32 ids as in GroundTruth."""
        return np.where(self.classes == VOID_CLASS, VOID_ID,
                        self.classes * LABEL_DIVISOR + self.instances)

    @property
    def depth(self) -> NDArray[np.float32]:
        """(H, W) float32 meters of stored_depth, NaN where unknown."""
        return np.where(self.stored_depth > 0, self.stored_depth / 256.0, np.nan).astype(
            np.float32)


def draw_frame(rng: np.random.Generator, size: Size = SIZE,
               table: Sequence[ClassInfo] = CITYSCAPES, shift: int = 0, crowd: bool = True,
               sequence: str = '') -> TrueFrame:
    """
    Bands of stuff, two things of one class, one of another, a crowd, a void border; sparse depth.

    :param shift: columns that the things have moved to the right.
    """
    height, width = size
    stuff = [c.class_id for c in table if not c.is_thing]
    things = [c.class_id for c in table if c.is_thing]
    classes = np.empty(size, np.int32)
    for row in range(height):
        classes[row] = stuff[row * len(stuff) // height]
    instances = np.zeros(size, np.int32)
    boxes = ((things[2], 1, 0.05), (things[2], 2, 0.3), (things[0], 1, 0.55))
    for class_id, instance, left in boxes:
        start = int(left * width) + shift
        box = slice(height // 4, 3 * height // 4), slice(start, start + width // 6)
        classes[box], instances[box] = class_id, instance
    if crowd:
        classes[height // 2:, -width // 8:] = things[1]
    classes[-2:], instances[-2:] = VOID_CLASS, 0
    stored = rng.integers(300, 65536, size, dtype=np.uint16)
    stored[rng.random(size) < 0.3] = 0
    return TrueFrame(rng.integers(0, 256, (*size, 3), dtype=np.uint8), classes, instances,
                     stored, sequence)


def write_png(path: Path, image: NDArray[Any]) -> None:
    """Write a picture (RGB) or an image of numbers, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def write_cityscapes_dvps(root: Path, sequences: int = 2, frames: int = 3, size: Size = SIZE,
                          seed: int = 0, split: str = 'val') -> dict[str, TrueFrame]:
    """
    Write video_sequence/SPLIT of Cityscapes-DVPS; instances count from 0 there.

    :returns: frame name -> truth, in the order of the data set.
    """
    rng = np.random.default_rng(seed)
    written = {}
    for s in range(sequences):
        for f in range(frames):
            true = draw_frame(rng, size, shift=f, crowd=False, sequence=f'{s:06d}')
            name = f'{s:06d}_{f:06d}_frankfurt_{s:06d}_{5 * f:06d}'
            stored = np.where(true.classes == VOID_CLASS, 32000, true.classes * 1000 + np.maximum(
                true.instances - 1, 0)).astype(np.uint16)
            stem = str(root / 'video_sequence' / split / name)
            write_png(Path(f'{stem}_leftImg8bit.png'), true.image)
            write_png(Path(f'{stem}_gtFine_instanceTrainIds.png'), stored)
            write_png(Path(f'{stem}_depth.png'), true.stored_depth)
            written[name] = true
    return written


def write_semkitti_dvps(root: Path, sequences: int = 2, frames: int = 3, size: Size = SIZE,
                        seed: int = 0, split: str = 'val', focal: str = '718.8560180664062',
                        first_instance: int = 1) -> dict[str, TrueFrame]:
    """Write video_sequence/SPLIT of SemKITTI-DVPS; instances in the files count from the first."""
    rng = np.random.default_rng(seed)
    written = {}
    for s in range(sequences):
        for f in range(frames):
            true = draw_frame(rng, size, SEMKITTI, shift=f, sequence=f'{s:06d}')
            name = f'{s:06d}_{f:06d}'
            stem = str(root / 'video_sequence' / split / name)
            write_png(Path(f'{stem}_leftImg8bit.png'), true.image)
            write_png(Path(f'{stem}_gtFine_class.png'), true.classes.astype(np.uint8))
            write_png(Path(f'{stem}_gtFine_instance.png'), np.where(
                true.instances > 0, true.instances + first_instance - 1, 0).astype(np.uint16))
            write_png(Path(f'{stem}_depth_{focal}.png'), true.stored_depth)
            written[name] = true
    return written


def label_ids(true: TrueFrame) -> NDArray[np.int32]:
    """(H, W) int32 Cityscapes label ids; 4 (static) where void."""
    lut = np.full(256, 4, np.int32)
    lut[[c.class_id for c in CITYSCAPES]] = [c.cityscapes_id for c in CITYSCAPES]
    return lut[true.classes]


def _instance_ids(true: TrueFrame) -> NDArray[np.int32]:
    """As *_gtFine_instanceIds.png: instances from 0, plain label ids where there is none."""
    labels = label_ids(true)
    return np.where(true.instances > 0, labels * 1000 + true.instances - 1, labels)


def write_cityscapes(root: Path, frames: int = 3, size: Size = SIZE, seed: int = 0,
                     split: str = 'val', panoptic: bool = True, disparity: bool = True,
                     camera: bool = True) -> dict[str, TrueFrame]:
    """
    Write leftImg8bit, gtFine and, if asked for, disparity and camera of one city.

    :param panoptic: the JSON and PNGs of createPanopticImgs.py; otherwise *_instanceIds.png.
    :returns: frame name -> truth; stored_depth is the disparity in px * 256, without its + 1.
    """
    rng = np.random.default_rng(seed)
    written, annotations = {}, []
    for f in range(frames):
        true = draw_frame(rng, size)
        name = f'bonn_{f:06d}_000019'
        folder = Path(split) / 'bonn'
        write_png(root / 'leftImg8bit' / folder / f'{name}_leftImg8bit.png', true.image)
        ids = _instance_ids(true)
        if panoptic:
            file_name = f'{name}_gtFine_panoptic.png'
            kept = np.where(true.classes == VOID_CLASS, 0, ids)
            write_png(root / 'gtFine' / f'cityscapes_panoptic_{split}' / file_name, np.stack(
                [kept % 256, kept // 256, np.zeros_like(kept)], -1).astype(np.uint8))
            things = {c.cityscapes_id for c in CITYSCAPES if c.is_thing}
            annotations.append({'image_id': name, 'file_name': file_name, 'segments_info': [
                {'id': int(i), 'category_id': int(i if i < 1000 else i // 1000),
                 'iscrowd': int(i < 1000 and int(i) in things)} for i in np.unique(kept) if i]})
        else:
            write_png(root / 'gtFine' / folder / f'{name}_gtFine_instanceIds.png',
                      ids.astype(np.uint16))
        if disparity:
            known = np.minimum(true.stored_depth, 65534)
            stored = np.where(known > 0, known + 1, 0).astype(np.uint16)
            stored[0, 0] = 1
            true.stored_depth[:] = np.where(stored == 1, 0, known)
            write_png(root / 'disparity' / folder / f'{name}_disparity.png', stored)
        if camera:
            path = root / 'camera' / folder / f'{name}_camera.json'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(CAMERA_JSON))
        written[name] = true
    if panoptic:
        (root / 'gtFine' / f'cityscapes_panoptic_{split}.json').write_text(
            json.dumps({'images': [], 'annotations': annotations, 'categories': []}))
    return written


def _write_calibration(path: Path, size: Size) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(KITTI_CALIBRATION.format(width=size[1], height=size[0]))


def write_kitti_semantics(root: Path, frames: int = 12, size: Size = SIZE, seed: int = 0,
                          instances: bool = True, disparity: bool = True,
                          calibration: bool = True) -> dict[str, TrueFrame]:
    """Write training/ of KITTI 2015; stored_depth of the truth is the disparity in px * 256."""
    rng = np.random.default_rng(seed)
    written = {}
    for f in range(frames):
        true, name = draw_frame(rng, size), f'{f:06d}_10'
        training, labels = root / 'training', label_ids(true)
        write_png(training / 'image_2' / f'{name}.png', true.image)
        write_png(training / 'semantic' / f'{name}.png', labels.astype(np.uint8))
        if instances:
            write_png(training / 'instance' / f'{name}.png',
                      (labels * 256 + true.instances).astype(np.uint16))
        if disparity:
            write_png(training / 'disp_occ_0' / f'{name}.png', true.stored_depth)
        if calibration:
            _write_calibration(training / 'calib_cam_to_cam' / f'{f:06d}.txt', size)
        written[name] = true
    return written


def write_kitti_depth_drives(root: Path, frames: int = 3, size: Size = SIZE, seed: int = 0,
                             split: str = 'val') -> dict[str, TrueFrame]:
    """Write two drives of the annotated depth maps with their raw recordings, one of them JPEG."""
    rng = np.random.default_rng(seed)
    written = {}
    for date, drive, suffix in (('2011_09_26', 2, 'png'), ('2011_09_28', 37, 'jpg')):
        sequence = f'{date}_drive_{drive:04d}_sync'
        _write_calibration(root / date / 'calib_cam_to_cam.txt', size)
        for f in range(5, 5 + frames):
            true = draw_frame(rng, size, sequence=sequence)
            write_png(root / date / sequence / 'image_02' / 'data' / f'{f:010d}.{suffix}',
                      true.image)
            write_png(root / split / sequence / 'proj_depth' / 'groundtruth' / 'image_02'
                      / f'{f:010d}.png', true.stored_depth)
            written[f'{sequence}_{f:010d}'] = true
    return written


def write_kitti_eigen(root: Path, frames: int = 3, size: Size = SIZE, seed: int = 0,
                      split: str = 'val') -> dict[str, TrueFrame]:
    """
    Write two drives, their depth in train and in val, and a list of them; one frame has no depth.

    :returns: frame name -> truth, in the order of the list.
    """
    written: dict[str, TrueFrame] = {}
    for part in ('train', 'val'):
        written |= write_kitti_depth_drives(root, frames, size, seed, part)
    # The second drive is in val only.
    for path in sorted((root / 'train').glob('2011_09_28*/**/*.png')):
        path.unlink()
    listed = [name.rpartition('_')[::2] for name in written]
    lines = [f'{drive[:10]}/{drive}/image_02/data/{number}.png '
             f'{drive}/proj_depth/groundtruth/image_02/{number}.png 721.5377'
             for drive, number in listed]
    drive = listed[0][0]
    lines.append(f'{drive[:10]}/{drive}/image_02/data/0000000099.png None 721.5377')
    (root / f'eigen_{split}_files_with_gt.txt').write_text('\n'.join(lines) + '\n')
    return written


def write_nyu(root: Path, frames: int = 3, size: Size = SIZE, seed: int = 0,
              split: str = 'val') -> dict[str, TrueFrame]:
    """
    Write a list and official_splits/SPLIT; one frame has no depth.

    :returns: frame name -> truth; stored_depth in millimeters.
    """
    rng = np.random.default_rng(seed)
    folder, written = root / 'official_splits' / split, {}
    for room in ('bathroom', 'study_room_0004'):
        for f in range(frames):
            true = draw_frame(rng, size)
            write_png(folder / room / f'rgb_{f:05d}.png', true.image)
            write_png(folder / room / f'sync_depth_{f:05d}.png', true.stored_depth)
            written[f'{room}_rgb_{f:05d}'] = true
    write_png(folder / 'bathroom' / 'rgb_00099.png', true.image)
    listed = [name.split('_rgb_') for name in (*written, 'bathroom_rgb_00099')]
    lines = [f'/{room}/rgb_{number}.png /{room}/sync_depth_{number}.png 518.8579'
             for room, number in listed]
    (root / f'nyudepthv2_{split}_files_with_gt.txt').write_text('\n'.join(lines) + '\n')
    return written


def write_kitti_depth_selection(root: Path, frames: int = 3, size: Size = SIZE,
                                seed: int = 0) -> dict[str, TrueFrame]:
    """Write depth_selection/val_selection_cropped, the last frame from the right camera."""
    rng = np.random.default_rng(seed)
    folder = root / 'depth_selection' / 'val_selection_cropped'
    (folder / 'intrinsics').mkdir(parents=True)
    written = {}
    for f in range(frames):
        true = draw_frame(rng, size)
        drive = '2011_09_26_drive_0002_sync'
        frame = f'{5 + f:010d}_image_{3 if f == frames - 1 else 2:02d}'
        write_png(folder / 'image' / f'{drive}_image_{frame}.png', true.image)
        write_png(folder / 'groundtruth_depth' / f'{drive}_groundtruth_depth_{frame}.png',
                  true.stored_depth)
        (folder / 'intrinsics' / f'{drive}_image_{frame}.txt').write_text(
            '64.0 0.0 25.0 0.0 65.0 11.0 0.0 0.0 1.0\n')
        written[f'{drive}_{frame}'] = true
    return written


def write_kitti_half(root: Path) -> None:
    """Write frame 1 with all labels, frame 2 with semantics only; one frame of a sequence."""
    (root / 'splits.json').write_text(json.dumps({
        'train': ['000001', '000002'], 'val': ['000002'], 'sequences_train': ['seq0009'],
        'intrinsics': {'16x8': {'fx': 9.0, 'fy': 9.0, 'cx': 7.0, 'cy': 3.0}}}))
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[..., 0] = 255
    semantic = np.full((8, 16), 7, np.uint8)
    semantic[:, 8:] = 26
    semantic[:, 15:] = 4
    panoptic = semantic.astype(np.uint16) * 1000
    panoptic[:, 8:12] += 5
    for name in ('000001', '000002'):
        write_png(root / f'kitti15/image/{name}.jpg', picture)
        write_png(root / f'kitti15/semantic/{name}.png', semantic)
    write_png(root / 'kitti15/panoptic/000001.png', panoptic)
    write_png(root / 'kitti15/depth_x256/000001.png', np.full((8, 16), 2560, np.uint16))
    tracks = np.zeros((8, 16), np.uint16)
    tracks[:4, :4], tracks[4:, :4], tracks[:, 14:] = 1000, 2003, 10000
    write_png(root / 'seq0009/image/000000.jpg', picture)
    write_png(root / 'seq0009/instance/000000.png', tracks)
    (root / 'kitti15_instance_depth.csv').write_text(
        'frame,panoptic_id,pixels,pixels_with_gt_depth,median_gt_depth_m,label_02_box_centre_z_m\n'
        '000001,26005,32,32,10.5,11.2\n000001,26006,32,0,,11.2\n')


CAMVID_LABELS = (7, 8, 17, 23, 24, 11, 13, 20, 21, 25, 26, 255)
"""Label ids of the 11 classes, those that are several classes of Cityscapes last, and void."""


def write_camvid(root: Path, split: str = 'val', frames: int = 2) -> None:
    """Write frames with a column of four pixels for each of CAMVID_LABELS."""
    labels = np.repeat(np.array(CAMVID_LABELS, np.uint8), 4)[None].repeat(24, 0)
    for f in range(frames):
        write_png(root / split / f'image/0001TP_{f:06d}.jpg', np.full((*labels.shape, 3), 90,
                                                                     np.uint8))
        write_png(root / split / f'semantic/0001TP_{f:06d}.png', labels)


def write_pictures(root: Path, frames: int = 2, size: Size = SIZE) -> None:
    """Write pictures without labels."""
    for f in range(frames):
        write_png(root / f'rear_{f}.jpg', np.full((*size, 3), 40 * f, np.uint8))


FARM = tuple(ClassInfo(i, *row) for i, row in enumerate((
    ('field', (90, 140, 60), False), ('sky', (70, 130, 180), False),
    ('hedge', (20, 90, 30), False), ('cow', (120, 10, 30), True),
    ('tractor', (230, 60, 200), True), ('dog', (200, 160, 90), True))))
"""Classes that are not those of Cityscapes."""

FARM_CAMERA = {'fx': 40.0, 'fy': 41.0, 'cx': 25.0, 'cy': 11.0}


def write_coco_panoptic(root: Path, frames: int = 3, size: Size = SIZE, seed: int = 0,
                        split: str = 'val', table: Sequence[ClassInfo] = FARM
                        ) -> dict[str, TrueFrame]:
    """
    Write panoptic_SPLIT.json and what belongs to it, also classes.yaml; ids are any of 24 bits.

    :returns: frame name -> truth, in the order of the data set.
    """
    rng = np.random.default_rng(seed)
    written: dict[str, TrueFrame] = {}
    images, annotations = [], []
    for f in range(frames):
        true, name = draw_frame(rng, size, table), f'{split}_{f:03d}'
        codes = np.where(true.classes == VOID_CLASS, 0, true.panoptic + 1)
        given = dict(zip(np.unique(codes).tolist(), [0, *sorted(rng.integers(
            1, 1 << 24, len(np.unique(codes)) - 1).tolist())], strict=True))
        ids = np.vectorize(given.get)(codes)
        write_png(root / 'images' / split / f'{name}.png', true.image)
        write_png(root / f'panoptic_{split}' / f'{name}.png', np.stack(
            [ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8))
        write_png(root / 'depth' / split / f'{name}.png', true.stored_depth)
        images.append({'id': f, 'file_name': f'{name}.jpg', 'width': size[1], 'height': size[0]})
        annotations.append({'image_id': f, 'file_name': f'{name}.png', 'segments_info': [
            {'id': number, 'category_id': 3 + 10 * ((code - 1) // 1000), 'area': 1, 'iscrowd': int(
                table[(code - 1) // 1000].is_thing and (code - 1) % 1000 == 0)}
            for code, number in given.items() if code]})
        written[name] = true
    categories = [{'id': 3 + 10 * c.class_id, 'name': c.name, 'isthing': int(c.is_thing),
                   'color': c.color, 'supercategory': 'farm'} for c in table]
    (root / f'panoptic_{split}.json').write_text(json.dumps({
        'info': {}, 'images': images, 'annotations': annotations,
        'categories': categories[::-1]}))
    (root / 'camera.json').write_text(json.dumps({
        **FARM_CAMERA, 'width': size[1], 'height': size[0]}))
    (root / 'dataset.yaml').write_text('depth_scale: 256\n')
    (root / 'classes.yaml').write_text(json.dumps([
        {'name': c.name, 'color': c.color, 'is_thing': c.is_thing} for c in table]))
    return written
