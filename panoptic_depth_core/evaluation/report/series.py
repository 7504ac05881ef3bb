# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Figures of frames over time, thinned to what a plot can show.

Memory is bounded by the points of a line and does not grow with the length of a recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..metrics.table import kinds_over_time

Line = list[list[float | None]]
"""Points: seconds since the first frame of the recording, and a mean or None."""

MOST_POINTS = 1000
_MOST_ON_A_PLOT = 8000
_FEWEST_POINTS = 50


def of_frame(record: Mapping[str, Any], name: str) -> float | None:
    """Return a figure of a frame by its name, as 'depth.abs_rel'; None where not known."""
    part, _, figure = name.partition('.')
    value = (record.get(part) or {}).get(figure)
    return value if isinstance(value, (int, float)) else None


class ThinnedLines:
    """
    Means over bins of equally many frames; where they become too many, neighbours are merged.

    :param most: bins at most.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = max(2, most - most % 2)
        self._names = list(kinds_over_time())
        self._width = 1
        self._first_ns: int | None = None
        # Frames, sum of seconds, then number and sum of the known values of each figure.
        self._bins: list[list[float]] = []

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the next frame of a recording."""
        if self._first_ns is None:
            self._first_ns = record['stamp_ns']
        if not self._bins or self._bins[-1][0] == self._width:
            if len(self._bins) == self._most:
                self._halve()
            self._bins.append([0.0] * (2 + 2 * len(self._names)))
        last = self._bins[-1]
        last[0] += 1
        last[1] += (record['stamp_ns'] - self._first_ns) / 1e9
        for i, name in enumerate(self._names):
            value = of_frame(record, name)
            if value is not None:
                last[2 + 2 * i] += 1
                last[3 + 2 * i] += value

    def _halve(self) -> None:
        self._bins = [[sum(column) for column in zip(*self._bins[i:i + 2], strict=True)]
                      for i in range(0, len(self._bins), 2)]
        self._width *= 2

    def lines(self) -> dict[str, Line]:
        """Every figure that is known of any frame."""
        found: dict[str, Line] = {}
        for i, name in enumerate(self._names):
            known = [(b[0], b[1], b[2 + 2 * i], b[3 + 2 * i]) for b in self._bins]
            if any(count for _, _, count, _ in known):
                found[name] = [[round(seconds / frames, 6),
                                round(total / count, 9) if count else None]
                               for frames, seconds, count, total in known]
        return found


def lines_of(frames: Iterable[Mapping[str, Any]], bags: int) -> dict[str, dict[str, Line]]:
    """
    Collect the lines of every recording.

    :param frames: those of a recording one after the other, in their order.
    :param bags: how many recordings there are: the more, the fewer points each has.
    :returns: recording -> figure in kinds_over_time -> line.
    """
    most = max(_FEWEST_POINTS, min(MOST_POINTS, _MOST_ON_A_PLOT // max(1, bags)))
    found: dict[str, dict[str, Line]] = {}
    name, thinned = None, ThinnedLines(most)
    for record in frames:
        if record['bag'] != name:
            if name is not None:
                found[name] = thinned.lines()
            name, thinned = record['bag'], ThinnedLines(most)
        thinned.add(record)
    if name is not None:
        found[name] = thinned.lines()
    return found
