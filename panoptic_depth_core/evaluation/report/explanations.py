# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a reader has to know of the figures of a report: what they are of, and what not."""

from __future__ import annotations

from ..metrics.table import METRICS, detail_of, in_place
from .files import Record


def meanings(figures: Record) -> list[str]:
    """Lines on every group of figures that is known; the same of several sources once."""
    return list(dict.fromkeys(
        text for metric in in_place() for group, text in metric.meanings.items()
        if any(name.startswith(f'{metric.prefix}.{group}') and figure.get('value') is not None
               for name, figure in figures.items())))


def conventions(report: Record) -> list[str]:
    """Lines on the rules and limits by which this report was measured."""
    detail, settings = report['detail'], report['run'].get('evaluation') or {}
    lines = [str(line) for line in (detail.get('evaluation') or {}).get('conventions') or ()]
    return lines + [line for metric in METRICS.values()
                    if metric.recordings_only and detail_of(metric, detail)
                    for line in metric.conventions(settings)]
