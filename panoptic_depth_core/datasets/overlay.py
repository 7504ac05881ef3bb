# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Pseudo-labels: what a machine says of frames, laid over any data set where that knows nothing.

A folder holds ``NAME.png`` for each frame, by Frame.name: uint16 class id * 1000 + instance id (0
for stuff, and for things whose instance is not known), 65535 where nothing is said; and
``pseudo_labels.json``, which says what made them (PseudoLabels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..class_tables import ClassTable, class_names, classes_differ, table_classes
from ..config import Settings, load_settings
from ..errors import ConfigError
from ..labels import LABEL_DIVISOR, VOID_CLASS, VOID_ID, ClassInfo, class_of, thing_classes
from ..structures import GroundTruth, Sample
from . import Dataset, Wrapped
from . import label_files as files

FILE_NAME = 'pseudo_labels.json'

_LEAST_SHARE = 0.5
"""Of the pixels of a pseudo-instance that the truth has to leave it, or it is a crowd."""


class PseudoLabels(Settings):
    """What is in a folder of pseudo-labels, and what made it."""

    class_table: ClassTable = 'cityscapes'
    instance_classes: tuple[int, ...] = Field(
        (), description='ids of the thing classes whose instances were looked for: all are there '
        'but in crowds and where nothing is said')
    dataset: str = Field('', description='whose frames these are')
    made_by: dict[str, Any] = Field(default_factory=dict, description='networks and thresholds')
    licenses: tuple[str, ...] = Field((), description='of the networks and their training data')


@runtime_checkable
class ClassLimits(Protocol):
    """A data set that knows which classes a pixel without a class may be of."""

    def possible_classes(self, index: int, size: tuple[int, int]
                         ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """
        Classes that the pixels of a sample may be of.

        :param size: (H, W) of its picture.
        :returns: (H, W) group of each pixel, and (G, C) whether a group has a class.
        """
        ...


def possible_classes(dataset: Dataset, index: int, truth: GroundTruth, size: tuple[int, int],
                     classes: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Groups as in ClassLimits, of any data set: where a class is labeled, it is that one."""
    if isinstance(dataset, ClassLimits):
        return dataset.possible_classes(index, size)
    table = np.ones((VOID_CLASS + 1, classes), np.bool_)
    table[:classes] = np.eye(classes, dtype=np.bool_)
    return (np.full(size, VOID_CLASS, np.uint8) if truth.panoptic is None
            else class_of(truth.panoptic)), table


class Overlaid(Wrapped):
    """
    A data set with pseudo-labels where it has no labels of its own, see overlaid.

    Its instances do not persist over frames, so it has no sequences.

    :raises ConfigError: when the folder is none of pseudo-labels, or has other classes.
    """

    def __init__(self, dataset: Dataset, folder: Path | str) -> None:
        super().__init__(dataset)
        self.folder = Path(folder)
        self.made = read_pseudo_labels(self.folder)
        known = table_classes(self.made.class_table)
        if classes_differ(dataset.classes, known):
            raise ConfigError(f'{self.folder}: has pseudo-labels of other classes than the data '
                              f'set: {class_names(known)}; not {class_names(dataset.classes)}')
        self._classes = dataset.classes or known
        # A run of hours should not end at the first frame without them.
        there = sum(1 for _ in self.folder.rglob('*.png'))
        if there < len(dataset):
            raise ConfigError(f'{self.folder}: has pseudo-labels of {there} frames, but the data '
                              f'set has {len(dataset)}; give the command panoptic-depth '
                              'pseudo-label again, it goes on where it ended')
        ids = files.panoptic_ids(files.VALUES // LABEL_DIVISOR, files.VALUES % LABEL_DIVISOR,
                                 self._classes)
        self._ids = np.where(files.VALUES == VOID_ID, VOID_ID, ids)

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        return self._classes

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        size = sample.frame.intrinsics.height, sample.frame.intrinsics.width
        path = self.folder / f'{sample.frame.name}.png'
        if not path.is_file():
            raise ConfigError(f'{path}: missing; give the folder that panoptic-depth pseudo-label '
                              'made of this data set and split')
        pseudo = files.read_panoptic(path, size, np.uint16, self._ids)
        possible = possible_classes(self.dataset, index, sample.truth, size, len(self._classes))
        return replace(sample, sequence='', truth=overlaid(
            sample.truth, pseudo, possible, self.made.instance_classes, self._classes))


def read_pseudo_labels(folder: Path) -> PseudoLabels:
    """Read and check what a folder says of its pseudo-labels."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise ConfigError(f'{path}: missing; give a folder that panoptic-depth pseudo-label made')
    return load_settings(PseudoLabels, path)  # JSON is YAML.


def overlaid(truth: GroundTruth, pseudo: NDArray[np.int32],
             possible: tuple[NDArray[np.uint8], NDArray[np.bool_]],
             found: Sequence[int], classes: Sequence[ClassInfo]) -> GroundTruth:
    """
    Fill what a frame has no labels of with pseudo-labels.

    - A void pixel gets a class that it may be of. Where the truth has all instances of a class,
      there is none of it in void, but in ignored areas a crowd.
    - A crowd gets instances of its class, where those of the truth are not complete.
    - An instance of which the truth leaves less than half is a crowd.
    - With new instances, what is still void is ignored: nobody looked for one there.

    :param pseudo: (H, W) int32 panoptic ids. :param possible: as in ClassLimits.
    :param found: class ids of PseudoLabels.instance_classes.
    """
    panoptic = truth.panoptic if truth.panoptic is not None else np.full_like(pseudo, VOID_ID)
    void, said = panoptic == VOID_ID, class_of(pseudo)
    groups, table = possible
    # A row of False for void.
    fits = np.pad(table, ((0, 0), (0, VOID_CLASS + 1 - table.shape[1])))[groups, said]
    complete = np.isin(np.arange(VOID_CLASS + 1), truth.instance_classes)
    is_thing = np.isin(np.arange(VOID_CLASS + 1), thing_classes(classes))
    crowd = ((panoptic % LABEL_DIVISOR == 0) & (said == class_of(panoptic))
             & (is_thing & ~complete)[said])
    absent = complete[said]
    if truth.ignore is not None:
        absent = absent & ~truth.ignore
    taken = crowd | (void & fits & ~absent)

    # What becomes of an id follows from the id: look it up.
    before, after = (np.bincount(ids, minlength=VOID_ID + 1)
                     for ids in (pseudo.ravel(), pseudo[taken]))
    ids = np.flatnonzero(after)
    of, number = ids // LABEL_DIVISOR, ids % LABEL_DIVISOR
    first = np.zeros(VOID_CLASS + 1, np.int64)
    own = np.unique(panoptic)
    np.maximum.at(first, class_of(own), own % LABEL_DIVISOR)
    number = number + first[of]
    stays = ((after[ids] >= _LEAST_SHARE * before[ids]) & ~complete[of]
             & (ids % LABEL_DIVISOR > 0) & (number < LABEL_DIVISOR))
    look_up = np.zeros(VOID_ID + 1, np.int32)
    look_up[ids] = of * LABEL_DIVISOR + np.where(stays, number, 0)
    panoptic = np.where(taken, look_up[pseudo], panoptic).astype(np.int32)

    ignore = truth.ignore
    if not set(found) <= set(truth.instance_classes):
        unknown = panoptic == VOID_ID
        ignore = unknown if ignore is None else ignore | unknown
    return replace(
        truth, panoptic=panoptic, has_semantics=True, ignore=ignore,
        instance_classes=tuple(sorted({*truth.instance_classes, *found})))
