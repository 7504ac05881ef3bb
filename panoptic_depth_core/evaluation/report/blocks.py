# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the page of a report is made of, whichever way it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..metrics.shown import Table

Mood = Literal['', 'good', 'bad']


@dataclass(frozen=True)
class Text:
    """A paragraph; a mood makes it stand out."""

    text: str
    mood: Mood = ''


@dataclass(frozen=True)
class Bullets:
    """A list of lines, under a title where it has one."""

    items: tuple[str, ...]
    title: str = ''


@dataclass(frozen=True)
class Card:
    """
    One of the key figures.

    :param on: what it was measured on.
    :param change: against the baseline, empty without one.
    """

    title: str
    value: str
    on: str
    change: str = ''
    mood: Mood = ''


@dataclass(frozen=True)
class Cards:
    """The key figures beside each other."""

    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Plot:
    """
    A picture of lines or bars.

    :param name: unique on the page.
    :param legend: label -> number of the color, or 'baseline' or 'other'.
    :param svg: an <svg> element whose colors are those of the page.
    :param alt: what it shows, in words.
    """

    name: str
    title: str
    legend: tuple[tuple[str, str], ...]
    svg: str
    alt: str
    note: str = ''


@dataclass(frozen=True)
class Plots:
    """Plots beside each other."""

    plots: tuple[Plot, ...]


@dataclass(frozen=True)
class Picture:
    """
    A picture of the report's folder.

    :param path: as in report.json, relative to the folder.
    :param data: its bytes, None where the file is not there.
    """

    path: str
    caption: str
    alt: str
    data: bytes | None


@dataclass(frozen=True)
class Folded:
    """Names and values that are only seen when asked for."""

    title: str
    items: tuple[tuple[str, str], ...]


Block = Text | Bullets | Cards | Table | Plots | Picture | Folded


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; its anchor is unique."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """All of it; the line under the title says what was evaluated."""

    title: str
    line: str
    sections: tuple[Section, ...]
