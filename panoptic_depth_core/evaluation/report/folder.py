# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The folder of a report: written whole, and its pages made again from its JSON files alone.

All files but ``times.json``, and the section of times at the end of each page, have the same bytes
for the same recordings, results and settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import ConfigError
from ...files import disk_errors, make_folder, write_atomic
from .baseline import Comparison, compare, require_baseline
from .blocks import Plot
from .files import (
    COMPARISON,
    FORMAT,
    FRAMES,
    HTML,
    MARKDOWN,
    REPORT,
    THRESHOLDS,
    TIMES,
    WORST,
    Record,
    frame_line,
    read_frames,
    read_json,
    read_optional,
    read_report,
)
from .html import to_html
from .markdown import to_markdown
from .page import Content, build_page
from .plots import figure_plots
from .series import lines_of
from .thresholds import Gate, Thresholds, check
from .time_plots import plots_over_time, time_plots


@dataclass(frozen=True)
class Written:
    """
    What became of a report.

    :param paths: files of the report, the pages last.
    :param gates: limits that were given and whether they are met.
    :param no_plots: why there are no plots; None where there are.
    """

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
    for name in (REPORT, FRAMES, TIMES, MARKDOWN, HTML, COMPARISON, THRESHOLDS):
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
    :raises ConfigError: when the folder cannot be written, or the baseline is no report.
    """
    if baseline is not None:
        require_baseline(baseline, folder)
    make_folder(folder)
    # Until the end there is no report: one of two halves would be believed.
    for name in (REPORT, HTML, MARKDOWN, COMPARISON, THRESHOLDS, TIMES):
        _remove(folder / name)
    _write_pictures(folder, pictures)
    write_atomic(folder / FRAMES, lambda path: _write_frames(path, frames))
    _write_json(folder / REPORT, {'format': FORMAT, **report})
    try:
        if thresholds is not None:
            _write_json(folder / THRESHOLDS, thresholds.to_dict())
        if baseline is not None:
            times = {**times, 'baseline': read_optional(baseline / TIMES)}
            _write_json(folder / COMPARISON, compare(folder, baseline).to_dict())
        _write_json(folder / TIMES, times)
        return render(folder)
    except BaseException:
        with suppress(ConfigError):
            _remove(folder / REPORT)
        raise


def render(folder: Path) -> Written:
    """
    Make ``report.md`` and ``report.html`` from the JSON files of a folder.

    Without matplotlib they have no plots, and say what to install.

    :raises ConfigError: when it is no report, or cannot be written.
    """
    report = read_report(folder)
    times = read_optional(folder / TIMES) or {}
    compared, limits = read_optional(folder / COMPARISON), read_optional(folder / THRESHOLDS)
    comparison = None if compared is None else Comparison.from_dict(compared, times)
    gates = [] if limits is None else check(Thresholds.from_dict(limits), report, times,
                                            comparison)
    plots: list[Plot] = []
    of_time: list[Plot] = []
    missing = None
    try:
        plots = figure_plots(report['detail'], comparison)
        plots += plots_over_time(lines_of(read_frames(folder), len(report['bags'])), comparison)
        of_time = time_plots(times)
    except ImportError as error:
        missing = error
        plots, of_time = [], []
    no_plots = '' if missing is None else (
        f'There are no plots, since {missing.name or missing} is not installed; install the '
        "extra: pip install 'panoptic-depth[plots]'")
    page = build_page(Content(report, times, comparison, tuple(gates),
                              _pictures(folder, report), tuple(plots), tuple(of_time), no_plots))
    for name, text in ((MARKDOWN, to_markdown(page)), (HTML, to_html(page))):
        write_atomic(folder / name, text.encode('utf-8', 'replace'))
    names = (REPORT, FRAMES, TIMES, COMPARISON, THRESHOLDS, MARKDOWN, HTML)
    return Written(tuple(folder / name for name in names if (folder / name).is_file()),
                   tuple(gates), comparison, missing)


def _write_json(path: Path, values: Record) -> None:
    write_atomic(path, (json.dumps(values, indent=1, allow_nan=False) + '\n').encode())


def _write_frames(path: Path, frames: Iterable[Record | bytes]) -> None:
    with path.open('wb') as file:
        for frame in frames:
            file.write(frame if isinstance(frame, bytes) else frame_line(frame))


def _write_pictures(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Write the pictures of the worst frames, and remove those of an earlier report."""
    for name in pictures:
        if not _is_picture(name):
            raise ValueError(f'picture {name!r}: give {WORST}/NAME.jpg')
    for path in sorted((folder / WORST).glob('[0-9]*.jpg')):
        _remove(path)
    if pictures:
        make_folder(folder / WORST)
    for name, data in pictures.items():
        write_atomic(folder / name, data)


def _remove(path: Path) -> None:
    with disk_errors(path):
        path.unlink(missing_ok=True)


def _is_picture(name: str) -> bool:
    """Whether it is directly in the folder of pictures: a report may come from anywhere."""
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[0] == WORST and parts[1] != '..' and name.endswith('.jpg')


def _pictures(folder: Path, report: Record) -> dict[str, bytes]:
    """Pictures that report.json names and that are there."""
    found = {}
    for frame in report['worst']:
        name = str(frame.get('picture'))
        if _is_picture(name):
            with suppress(OSError):
                found[name] = (folder / name).read_bytes()
    return found
