# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Why frames are left out, and what else the user should know: counted, one line per reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

OTHER_REASONS = 'other reasons'

_MOST_REASONS = 20
# Numbers and sizes, but not 16UC1, /camera/1 or frame_12; names of frames.
_VARIES = re.compile(r"\bframe '[^']*'|(?<![\w/.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
                     r'(?:x\d+(?:\.\d+)?)?(?![\w/])')


def kind_of(text: str) -> str:
    """The text without what changes from frame to frame: two of one kind are one reason."""
    return _VARIES.sub('...', text)


class Reasons(Counter[str]):
    """
    Reason -> how often.

    Texts of one kind share the entry of the first one, and those beyond the first few kinds share
    one entry: 3,000 damaged files are one line.
    """

    def __init__(self, given: Mapping[str, int] | Iterable[str] = ()) -> None:
        self._first: dict[str, str] = {}
        super().__init__(given)

    def add(self, text: str, example: object = '', count: int = 1) -> None:
        """
        Count a reason.

        :param example: what it was found at, such as a file; only the first one is shown. Where
            the text begins with it, it is left out there.
        """
        named = str(example)
        text = text.removeprefix(f'{named}: ') if named else text
        kind = kind_of(text)
        if kind not in self._first and len(self) >= _MOST_REASONS:
            kind = text = OTHER_REASONS
            named = ''
        shown = self._first.setdefault(kind, f'{text} (first: {named})' if named else text)
        self[shown] += count

    def update(self, given: Any = (), /, **counts: int) -> None:
        """Add other reasons, counted or not."""
        for text, count in (given.items() if isinstance(given, Mapping) else
                            ((text, 1) for text in given)):
            self.add(text, count=count)
        for text, count in counts.items():
            self.add(text, count=count)


def count_reason(reasons: Reasons, text: str, example: object = '') -> None:
    """Count a reason; see Reasons.add."""
    reasons.add(text, example)
