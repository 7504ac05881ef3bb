# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What every source of frames offers, whatever it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import ClassVar

from ...structures import Frame

Skip = Callable[[str], bool]

_MOST_REASONS = 20
OTHER_REASONS = 'other reasons'


def skip_none(_: str) -> bool:
    """Skip no frame."""
    return False


def count_reason(counter: Counter[str], reason: str) -> None:
    """Count a reason; those beyond the first few share one entry."""
    if reason not in counter and len(counter) >= _MOST_REASONS:
        reason = OTHER_REASONS
    counter[reason] += 1


class FrameSource(ABC):
    """
    Frames in order, read one at a time.

    A frame that cannot be read is counted in ``skipped`` and passed over. Its name depends only
    on its place in the source, so that a run can be resumed.

    :ivar skipped: reason -> frames passed over because of it.
    :ivar notes: what the user should know of the source -> how often it was seen.
    :ivar len_hint: frames it is expected to have, None where that cannot be known.
    :param skip: name -> True for frames that are done: they are not decoded.
    """

    kind: ClassVar[str]

    def __init__(self, skip: Skip | None = None) -> None:
        self.skip: Skip = skip or skip_none
        self.skipped: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.len_hint: int | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Give the frames that are not skipped."""

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open
        """Let go of files and devices."""

    def _skipped(self, error: Exception) -> None:
        """Count a frame that is passed over; reasons beyond the first few share one entry."""
        count_reason(self.skipped, str(error))

    def __enter__(self) -> FrameSource:
        """Be usable in a with statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close at the end of a with statement."""
        self.close()
