# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The table of parameters in doc/ros_interface.md, made from the settings; no ROS needed.

Run it with the path of the document after a parameter has changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from panoptic_depth_core.io.generated_text import markers, row, with_part
from panoptic_depth_ros.settings import parameters

NAME = 'parameters'
BEGIN, END = markers(NAME)


def parameter_table() -> str:
    """Markdown table of every parameter: name, type and limits, default, when it may change."""
    rows = [('parameter', 'type', 'default', 'changes', 'meaning'), ('---',) * 5]
    rows += [(f'`{p.name}`', p.kind, f'`{json.dumps(p.default)}`',
              'fixed' if p.fixed else 'dynamic', p.description) for p in parameters()]
    return '\n'.join(row(*cells) for cells in rows)


def with_table(document: str) -> str:
    """
    Text of a document with the table between the two markers.

    :raises ValueError: a marker is missing or there twice.
    """
    return with_part(document, NAME, parameter_table())


def main(arguments: list[str]) -> None:
    """Put the table into a document, or print it."""
    if not arguments:
        print(parameter_table())
    for path in map(Path, arguments):
        path.write_text(with_table(path.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    main(sys.argv[1:])
