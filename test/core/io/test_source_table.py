# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The list of sources in README.md is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

from panoptic_depth_core.io.generated_text import markers
from panoptic_depth_core.io.source_table import NAME, source_table

REPOSITORY = Path(__file__).resolve().parents[3]


def test_readme_lists_what_is_read() -> None:
    """`python -m panoptic_depth_core.io.source_table README.md` after a change."""
    text = (REPOSITORY / 'README.md').read_text(encoding='utf-8')
    begin, end = markers(NAME)
    assert text.partition(begin)[2].partition(end)[0].strip() == source_table()


def test_extras_are_there() -> None:
    """Each that is named can be installed."""
    extras = re.findall(r'^([\w-]+) = \[', (REPOSITORY / 'pyproject.toml').read_text(), re.M)
    named = {line.rsplit('|', 2)[1].strip(' `') for line in source_table().splitlines()[2:]}
    assert named - {''} <= set(extras) and 'video' in named
