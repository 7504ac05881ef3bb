# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Labeled pictures of anyone, in COCO's panoptic format, with any classes.

Files below the root, NAME as in the JSON; where two places are given, the first that is there:

- ``panoptic_SPLIT.json``, ``annotations/panoptic_SPLIT.json`` (as COCO has it) or
  ``SPLIT/panoptic.json`` (as ``panoptic-depth predict -o ROOT/SPLIT`` writes it): images,
  annotations, and categories with id, name, isthing and, optionally, color
- a folder beside the JSON with its name, without the suffix: PNGs of segment ids, R + 256 G +
  65536 B, 0 where not labeled
- ``images/SPLIT/``, ``images/`` or ``SPLIT/``: the pictures, under the file name in the JSON, or
  with another suffix
- ``depth/SPLIT/`` or ``SPLIT/depth_npy/`` (of ``predict`` again), optional: ``NAME.npy``, float
  meters along the optical axis, or ``NAME.png``, uint16; both are unknown where 0, the array also
  where NaN
- ``camera.json``, optional: fx, fy, cx, cy, width, height in px. A camera of one split lies beside
  its pictures, that of one picture is ``camera/SPLIT/NAME.json``. Without any, a horizontal field
  of view of 70 degrees is assumed
- ``dataset.yaml``, optional: DatasetFile

Classes are the categories in the order of their ids, or those of a table that have their names.
A split with no thing category teaches semantics alone. A picture without an annotation is taken if
it has a depth.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path

from pydantic import Field

from ..class_tables import class_infos, parse_class_rows
from ..config import Settings, load_settings
from ..errors import ConfigError, warn_once
from ..io.cameras.camera_files import SIDECAR_NAMES, read_camera_file, sidecar
from ..io.cameras.camera_options import DEFAULT_FOV_DEG, CameraOptions
from ..io.sources.picture_source import PICTURE_SUFFIXES
from ..labels import VOID_CLASS, ClassInfo
from ..structures import Intrinsics, Sample
from . import label_files as files

_SETTINGS = 'dataset.yaml'
_REMEDY = 'see the documentation, doc/own_data.md, for a script that writes one'
_log = logging.getLogger(__name__)


class DatasetFile(Settings):
    """What the files do not say themselves."""

    depth_scale: float | None = Field(None, gt=0, allow_inf_nan=False, description='value of '
                                      'depth PNGs per meter, such as 1000 for millimeters')


class CocoPanoptic:
    """
    One split.

    :param split: any name.
    :raises ConfigError: when files are missing or say something else than they should.
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        self.root, self.split = Path(root), split
        files.require_folder('coco_panoptic', self.root,
                             'the folder that holds panoptic_SPLIT.json')
        self._json = self._find_json()
        content = files.read_panoptic_json(self._json, _REMEDY)
        self._categories = sorted(content.categories, key=lambda category: category.id)
        self._rows = {category.id: row for row, category in enumerate(self._categories)}
        if len(self._rows) < len(self._categories):
            raise ConfigError(f'{self._json}: two categories have one id; give each its own')
        settings = self.root / _SETTINGS
        self._scale = (load_settings(DatasetFile, settings).depth_scale
                       if settings.is_file() else None)
        pictures = self._folder(f'images/{split}', 'images', split)
        if pictures is None:
            raise ConfigError(f'coco_panoptic: no folder {self.root}/images/{split}; put the '
                              'pictures there')
        self._pictures = pictures
        self._depths = self._folder(f'depth/{split}', f'{split}/depth_npy')
        if self._depths is not None and self._scale is None and any(self._depths.rglob('*.png')):
            raise ConfigError(f'{self._depths}: the scale of its PNGs is not stated; write '
                              f'depth_scale: VALUES_PER_METRE into {settings}')
        self._camera = self._read_camera()
        annotations = {str(a.image_id): a for a in content.annotations}
        if lost := set(annotations) - {str(image.id) for image in content.images}:
            raise ConfigError(f'{self._json}: annotates image {min(lost)}, which is not among '
                              f'its images; {_REMEDY}')
        if len(annotations) < len(content.annotations):
            image, _ = Counter(str(a.image_id) for a in content.annotations).most_common(1)[0]
            raise ConfigError(f'{self._json}: annotates image {image} more than once; put all '
                              'its segments into one annotation')
        for annotation in content.annotations:
            if outside := {s.category_id for s in annotation.segments_info} - set(self._rows):
                raise ConfigError(
                    f'{self._json}: a segment of image {annotation.image_id} has the category_id '
                    f'{min(outside)}, which is not among its categories; add the category')
        found = ((image.file_name, annotations.get(str(image.id))) for image in content.images)
        self._frames = [(name, annotation) for name, annotation in found
                        if annotation is not None or self._depth_file(name) is not None]
        if not self._frames:
            raise ConfigError(f'{self._json}: no picture in it has an annotation or a depth; '
                              'label some')
        stems = Counter(_stem(name) for name, _ in self._frames)
        if twice := [stem for stem, count in stems.items() if count > 1]:
            raise ConfigError(f'{self._json}: two pictures are called {twice[0]}; rename one')

    @cached_property
    def classes(self) -> tuple[ClassInfo, ...]:
        """
        Those of the categories, unless as_classes has set others.

        :raises ConfigError: when they are no table.
        """
        if not self._categories:
            return ()
        return class_infos(parse_class_rows([
            {'name': category.name, 'is_thing': category.isthing,
             **({} if category.color is None else {'color': category.color})}
            for category in self._categories], f'{self._json}: categories'))

    def as_classes(self, classes: Sequence[ClassInfo]) -> CocoPanoptic:
        """See datasets.NamedClasses."""
        rows = {info.name: info.class_id for info in classes}
        void = [category.name for category in self._categories if category.name not in rows]
        if len(void) == len(self._categories) and void:
            raise ConfigError(f'{self._json}: none of its categories is a class of '
                              f'{", ".join(rows)}: {", ".join(void)}; rename them')
        if void:
            warn_once(_log, f'{self._json}: void, since they are no classes: {", ".join(void)}')
        other = copy(self)
        other._rows = {category.id: rows.get(category.name, VOID_CLASS)
                       for category in self._categories}
        other.classes = tuple(classes)
        return other

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        name, annotation = self._frames[index]
        image = files.read_image(self._picture(name))
        size = image.shape[:2]
        camera, source = CameraOptions().resolve(
            size[1], size[0], self._camera_of(name), 'data set')
        depth, stem = None, _stem(name).replace('/', '_')
        if (path := self._depth_file(name)) is not None:
            depth = (files.read_depth(path, size, self._scale)
                     if self._scale is not None and path.suffix == '.png'
                     else files.read_depth_array(path, size))
        if annotation is None:
            return files.make_sample(image, camera, stem, depth=depth, source=source)
        panoptic = files.read_segments(
            self._json.with_suffix('') / annotation.file_name, size, annotation.segments_info,
            lambda category: self._rows.get(category, files.OUTSIDE), self.classes)
        told_apart = {self._rows[c.id] for c in self._categories if c.isthing}
        return files.make_sample(
            image, camera, stem, panoptic=panoptic, depth=depth, source=source,
            instance_classes=tuple(c.class_id for c in self.classes
                                   if c.is_thing and c.class_id in told_apart))

    def _find_json(self) -> Path:
        places = 'panoptic_{0}.json', 'annotations/panoptic_{0}.json', '{0}/panoptic.json'
        for place in places:
            if (path := self.root / place.format(self.split)).is_file():
                return path
        found = [str(path.relative_to(self.root)) for place in places
                 for path in sorted(self.root.glob(place.format('*')))]
        there = f'there are {", ".join(found)}' if found else _REMEDY
        raise ConfigError(f'coco_panoptic: no panoptic_{self.split}.json in {self.root}; {there}; '
                          'give another root or split')

    def _folder(self, *names: str) -> Path | None:
        return next((self.root / name for name in names if (self.root / name).is_dir()), None)

    def _picture(self, name: str) -> Path:
        path = self._pictures / name
        others = (path.with_suffix(suffix) for suffix in PICTURE_SUFFIXES)
        return path if path.is_file() else next((p for p in others if p.is_file()), path)

    def _depth_file(self, name: str) -> Path | None:
        if self._depths is None:
            return None
        paths = (self._depths / f'{_stem(name)}{suffix}' for suffix in ('.npy', '.png'))
        return next((path for path in paths if path.is_file()), None)

    def _read_camera(self) -> Intrinsics | None:
        """Camera of the pictures that have none of their own."""
        for folder in (self._pictures, self.root):
            if (path := sidecar(folder)) is not None:
                return read_camera_file(path)
        if not (self.root / 'camera' / self.split).is_dir():
            warn_once(_log, f'coco_panoptic: no {SIDECAR_NAMES[0]} in {self.root}: a horizontal '
                      f'field of view of {DEFAULT_FOV_DEG:g} degrees is assumed, and every depth '
                      'is off by the factor that this is off')
        return None

    def _camera_of(self, name: str) -> Intrinsics | None:
        path = self.root / 'camera' / self.split / f'{_stem(name)}.json'
        return read_camera_file(path) if path.is_file() else self._camera


def _stem(name: str) -> str:
    """File name without its suffix, folders kept."""
    return Path(name).with_suffix('').as_posix()
