# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How well track ids stay with things, in sequences whose results have any.

A thing of the truth is tracked in a frame by the predicted instance of its class whose mask has an
IoU > 0.5; there is one at most (Voigtlaender et al., MOTS: Multi-Object Tracking and Segmentation,
CVPR 2019). These are counted:

- misses, false positives, id switches, and MOTA (Bernardin and Stiefelhagen, Evaluating Multiple
  Object Tracking Performance: The CLEAR MOT Metrics, 2008): a switch is a thing whose track id
  differs from that when it was last tracked.
- fragments (Li, Huang, Nevatia, Learning to Associate, CVPR 2009): how often a thing that was
  tracked, and then missed where it can be seen, is tracked again, under whatever id.
- IDF1 (Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera
  Tracking, 2016): the F1 of the frames under the best assignment of one track to each thing.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from ...contract import NEEDS_INSTANCES
from ...errors import ConfigError
from ...inference.tracking import assignment_solver
from .base import Longs, Metric
from .frame import JudgedFrame, Rules
from .segment_overlaps import SegmentOverlaps, of_class
from .shown import MetricKind, Record

Key = tuple[str, int, int]
"""Sequence, class, and panoptic id of the truth or track id."""

_MISSED = -1
"""In the place of a track id."""


@dataclass(frozen=True)
class TrackingScores:
    """
    Metrics of a group of things; shares are NaN where there are none.

    :param things: of the truth; each counts once per sequence. tracks: ids that were given.
    :param seen: frames of the things, summed up: the denominator of MOTA.
    :param matched, missed, false_positives: instances, summed up over frames.
    :param switches: of ids; fragments: see the top of the module.
    :param mota: 1 - (missed + false_positives + switches) / seen; can be below 0.
    :param idf1: 0..1.
    :param detection_f1: F1 of the instances, whatever their ids: what IDF1 cannot exceed.
    """

    things: int
    tracks: int
    seen: int
    matched: int
    missed: int
    false_positives: int
    switches: int
    fragments: int
    mota: float
    idf1: float
    detection_f1: float


@dataclass(frozen=True)
class TrackingResult:
    """
    Metrics of a set of frames.

    :param by_class: by class id; only classes with things or tracks.
    """

    all: TrackingScores
    by_class: dict[int, TrackingScores]
    frames: int


class TrackingMetric(Metric[TrackingResult | None]):
    """Collects the track ids of every thing, frame by frame, in the order of the frames."""

    name, title, part, place, root = 'tracking', 'Tracking', '', 7, 'all.'
    recordings_only = True
    truth, needs = frozenset(('instances',)), NEEDS_INSTANCES
    kinds = {
        'switches': MetricKind('id switches, true labels', 'count', 'lower',
                               'Things whose track id changed since last tracked.'),
        'fragments': MetricKind('tracks interrupted (fragments), true labels', 'count', 'lower',
                                'Things that are tracked again after they were missed.'),
        'mota': MetricKind('tracking accuracy (MOTA), true labels', 'share', 'higher',
                           '1 - (missed + false positives + switches) / true instances.'),
        'idf1': MetricKind('F1 of track ids (IDF1), true labels', 'share', 'higher', 'F1 of '
                           'instances under the best assignment of one track to each thing.',
                           is_key=True)}
    meanings = {'': 'Tracking: track ids against the instance ids of true labels, which must stay '
                    'with a thing from frame to frame.'}

    _things: dict[Key, Longs]
    _false: Counter[Key]
    _lengths: Counter[str]
    _tracked: set[str]

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        # A thing's track id in each frame that it can be seen in, 8 bytes each.
        self._things = {}
        self._false = Counter()
        # Frames of each sequence, and those sequences in which anything is tracked.
        self._lengths = Counter()
        self._tracked = set()

    def update(self, frame: JudgedFrame) -> None:
        self.count(frame.overlaps, frame.truth.instance_classes,
                   {d.segment.panoptic_id: d.track_id for d in frame.result.distances},
                   frame.sequence)

    def count(self, overlaps: SegmentOverlaps, judged: Sequence[int],
              track_ids: Mapping[int, int], sequence: str = '') -> None:
        """
        Count the next frame of a sequence; where nothing is tracked, all in it was missed.

        An unmatched prediction mostly on void, or on unknown instances, is no false positive.

        :param judged: classes whose true instances are all known.
        :param track_ids: panoptic id of the prediction -> track id, unique in a sequence; absent
            or -1 where it is not tracked.
        :raises ValueError: when a class is not in the table, or a track id is there twice.
        """
        is_thing = self.rules.is_thing
        overlaps.require_classes(len(is_thing))
        claims = {column: track for column, pid in enumerate(overlaps.predicted_id.tolist())
                  if overlaps.predicted_class[column] in judged
                  and (track := track_ids.get(pid, -1)) >= 0}
        if len(set(claims.values())) < len(claims):
            raise ValueError(f'track ids {sorted(claims.values())}: one is there twice in a '
                             'frame; an id is of one thing')
        rows, columns, _ = overlaps.matches()
        match = dict(zip(rows.tolist(), columns.tolist(), strict=True))
        wanted = ~overlaps.truth_void & np.isin(overlaps.truth_class, judged) & (
            overlaps.truth_instance > 0)
        used = set()
        for row in np.flatnonzero(wanted).tolist():
            key = (sequence, int(overlaps.truth_class[row]), int(overlaps.truth_id[row]))
            column = match.get(row, -1)
            used.add(column)
            self._ids_of(key).append(claims.get(column, _MISSED))
        crowd = of_class(is_thing, overlaps.truth_class) & ~wanted
        excused = overlaps.excused(crowd[:, None])
        for column, track in claims.items():
            if column not in used and not excused[column]:
                self._false[sequence, int(overlaps.predicted_class[column]), track] += 1
        self._lengths[sequence] += 1
        if max(track_ids.values(), default=-1) >= 0:
            self._tracked.add(sequence)

    def merge(self, other: TrackingMetric) -> None:
        """Add the part that follows; a sequence may go on in it, if its track ids do."""
        super().merge(other)
        for key, ids in other._things.items():
            self._ids_of(key).extend(ids)
        self._false.update(other._false)
        self._lengths.update(other._lengths)
        self._tracked |= other._tracked

    def _ids_of(self, thing: Key) -> array[int]:
        return self._things.setdefault(thing, array('q'))

    def result(self) -> TrackingResult | None:
        """Of tracked sequences; None without any, or without scipy, which assigns tracks."""
        try:
            return self.scores(self._tracked) if self._tracked else None
        except ConfigError:
            return None

    def scores(self, sequences: Set[str] | None = None) -> TrackingResult:
        """
        All metrics of the frames so far.

        :param sequences: None: all.
        :raises ConfigError: where scipy is not installed.
        """
        chosen = self._lengths.keys() if sequences is None else sequences
        found = sorted({key[1] for key in (*self._things, *self._false) if key[0] in chosen})
        return TrackingResult(
            self._scores(chosen, found), {c: self._scores(chosen, [c]) for c in found},
            sum(count for name, count in self._lengths.items() if name in chosen))

    def _scores(self, sequences: Set[str], classes: Sequence[int]) -> TrackingScores:
        def chosen(key: Key) -> bool:
            return key[0] in sequences and key[1] in classes

        things = {key: ids for key, ids in self._things.items() if chosen(key)}
        false = {key: count for key, count in self._false.items() if chosen(key)}
        shared = Counter((key, (*key[:2], track)) for key, ids in things.items()
                         for track in ids if track != _MISSED)
        tracks = {track for _, track in shared} | set(false)
        seen, matched = sum(map(len, things.values())), shared.total()
        claimed = matched + sum(false.values())
        switches = sum(_switches(ids) for ids in things.values())
        wrong = seen - matched + sum(false.values()) + switches
        return TrackingScores(
            things=len(things), tracks=len(tracks), seen=seen, matched=matched,
            missed=seen - matched, false_positives=claimed - matched, switches=switches,
            fragments=sum(_fragments(ids) for ids in things.values()),
            mota=1.0 - wrong / seen if seen else np.nan,
            idf1=_f1(_best_shared(shared), seen, claimed),
            detection_f1=_f1(matched, seen, claimed))

    @property
    def measured(self) -> bool:
        return self.found is not None

    def on(self, end: str) -> str:
        assert self.found is not None
        return f'{self.found.frames} frames, {self.found.all.things} things'

    def detail(self) -> Record:
        assert self.found is not None
        return asdict(self.found.all)


def _switches(ids: Iterable[int]) -> int:
    return sum(a != b for a, b in pairwise(i for i in ids if i != _MISSED))


def _fragments(ids: Sequence[int]) -> int:
    resumed = sum(a == _MISSED and b != _MISSED for a, b in pairwise(ids))
    return resumed - (ids[0] == _MISSED and resumed > 0)


def _best_shared(shared: Mapping[tuple[Key, Key], int]) -> int:
    """Frames that things and tracks share, under the best assignment of one to the other."""
    solve = assignment_solver()
    # Only those of one sequence and class share frames: one table of all would grow with the
    # square of the number of recordings.
    groups: dict[tuple[str, int], dict[tuple[Key, Key], int]] = {}
    for pair, count in shared.items():
        groups.setdefault(pair[0][:2], {})[pair] = count
    best = 0
    for group in groups.values():
        things, tracks = (list(dict.fromkeys(keys)) for keys in zip(*group, strict=True))
        counts = np.array([[group.get((thing, track), 0) for track in tracks]
                           for thing in things], np.int64)
        best += int(counts[solve(counts, maximize=True)].sum())
    return best


def _f1(right: int, seen: int, claimed: int) -> float:
    return 2.0 * right / (seen + claimed) if seen + claimed else float('nan')
