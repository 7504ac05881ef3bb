# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The folder of a report, written whole.

All files but ``times.json``, and the section of times at the end of each page, have the same bytes
for the same recordings, results and settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import ConfigError
from ...files import disk_errors, make_folder, write_atomic
from ..metrics.shown import Record
from . import files, tables
from .baseline import Comparison, compare, require_baseline
from .files import REPORT, WORST, Frames, frame_line, read_json, read_times
from .pages import to_html, to_markdown
from .plots import Plot, metric_plots, plots_over_time, time_plots
from .thresholds import Gate, Thresholds, check


@dataclass(frozen=True)
class Written:
    """A report that was written; ``no_plots``: why it has none."""

    paths: tuple[Path, ...]
    gates: tuple[Gate, ...]
    comparison: Comparison | None
    no_plots: ImportError | None

    @property
    def passed(self) -> bool:
        """Whether every limit is met."""
        return all(gate.passed for gate in self.gates)


def claim_folder(folder: Path, begun: bool) -> None:
    """
    Make the folder of a report before the work of hours.

    :param begun: whether an earlier run has left its parts there.
    :raises ConfigError: it cannot be made, or there are files in it that would be replaced and
        are not those of a report.
    """
    make_folder(folder)
    if begun or (folder / REPORT).is_file() and 'format' in read_json(folder / REPORT):
        return
    for name in files.FILES:
        if (folder / name).exists():
            raise ConfigError(f'{folder / name}: is there already and not of a report of '
                              'evaluate-bag; it is not replaced: choose another folder')


def write_report(folder: Path, report: Record, times: Record,
                 frames: Iterable[Record | bytes], pictures: Mapping[str, bytes], *,
                 baseline: Path | None = None, thresholds: Thresholds | None = None) -> Written:
    """
    Write all files of a report; those of an earlier one in the folder are replaced.

    :param report, times: of ``report.json`` and ``times.json``, without NaN.
    :param frames: records, or finished lines with their end, in the order of the recordings;
        they are taken one by one.
    :param pictures: 'worst/NAME.jpg' -> JPEG.
    :param baseline: folder of another report to compare with.
    :raises ConfigError: the folder cannot be written, or the baseline is no report.
    """
    if baseline is not None:
        require_baseline(baseline, folder)
    make_folder(folder)
    # Until the end there is no report: one of two halves would be believed.
    for path in (*(folder / name for name in files.FILES if name != files.FRAMES),
                 *(folder / WORST).glob('[0-9]*.jpg')):
        with disk_errors(path):
            path.unlink(missing_ok=True)
    for name, data in pictures.items():
        make_folder(folder / WORST)
        write_atomic(folder / name, data)
    write_atomic(folder / files.FRAMES, lambda path: _write_frames(path, frames))
    _write_json(folder / REPORT, {'format': files.FORMAT, **report})
    try:
        comparison, gates = None, list[Gate]()
        if baseline is not None:
            times = {**times, 'baseline': read_times(baseline)}
            comparison = compare(folder, baseline)
            _write_json(folder / files.COMPARISON, asdict(comparison))
        if thresholds is not None:
            _write_json(folder / files.THRESHOLDS, thresholds.model_dump(exclude_none=True))
            gates = check(thresholds, report, times, comparison)
        _write_json(folder / files.TIMES, times)
        missing = _write_pages(folder, report, times, pictures, comparison, gates)
    except BaseException:
        with suppress(OSError):
            (folder / REPORT).unlink()
        raise
    return Written(tuple(folder / name for name in files.FILES if (folder / name).is_file()),
                   tuple(gates), comparison, missing)


def _write_pages(folder: Path, report: Record, times: Record, pictures: Mapping[str, bytes],
                 comparison: Comparison | None, gates: list[Gate]) -> ImportError | None:
    """Write the pages; without matplotlib they have no plots, and say what to install."""
    frames, plots, of_time, missing = Frames(folder), list[Plot](), list[Plot](), None
    try:
        plots = metric_plots(report['detail'], comparison) + plots_over_time(
            {bag: frames.lines(bag, len(report['bags'])) for bag in frames.counts}, comparison)
        of_time = time_plots(times)
    except ImportError as error:
        plots, missing = [], error
    content = {
        'tables': tables, 'report': report, 'times': times, 'comparison': comparison,
        'gates': gates, 'skipped': sum(sum(bag['skipped'].values()) for bag in report['bags']),
        'pictures': pictures, 'plots': plots, 'time_plots': of_time,
        'missing': missing and (missing.name or missing)}
    for name, write in ((files.MARKDOWN, to_markdown), (files.HTML, to_html)):
        write_atomic(folder / name, write('report.j2', **content).encode('utf-8', 'replace'))
    return missing


def _write_json(path: Path, values: Record) -> None:
    write_atomic(path, (json.dumps(values, indent=1, allow_nan=False) + '\n').encode())


def _write_frames(path: Path, frames: Iterable[Record | bytes]) -> None:
    with path.open('wb') as file:
        for frame in frames:
            file.write(frame if isinstance(frame, bytes) else frame_line(frame))
