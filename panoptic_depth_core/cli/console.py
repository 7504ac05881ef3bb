# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Results on standard output; progress and warnings on standard error.

What the encoding of the console does not have is shown in plain characters, and no error.
"""

from __future__ import annotations

import codecs
import io
import logging
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable
from rich.text import Text

from ..status import Watch
from ..structures import InstanceDistance, PanopticDepth
from ..tables import Table

_errors = Console(stderr=True, soft_wrap=True, emoji=False)


_PLAIN = {'±': '+/-', '…': '...', '×': 'x', '·': '.', '°': ' degrees', '→': '->', '≥': '>=',
          '≤': '<=', '•': '*', **dict.fromkeys('–—─━╸╺╴╶', '-'), **dict.fromkeys('│┃', '|'),
          **dict.fromkeys('‘’', "'"), **dict.fromkeys('“”', '"'), '\u00a0': ' ', '\u202f': ' '}
_PLAINER = 'panoptic_depth_plain'


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded, also bytes of a file name that are no text."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return ''.join(
        f'\\x{ord(c) - 0xDC00:02x}' if '\udc80' <= c <= '\udcff' else
        _PLAIN.get(c, c.encode('ascii', 'backslashreplace').decode())
        for c in error.object[error.start:error.end]), error.end


codecs.register_error(_PLAINER, _plainer)


def use_plain_characters() -> None:
    """Let the console take every text."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_PLAINER)


def _shown(text: str) -> str:
    """A text as it will be on standard output, so that its width is known."""
    encoding = getattr(sys.stdout, 'encoding', None) or 'utf-8'
    return text.encode(encoding, _PLAINER).decode(encoding)


def out() -> Console:
    """Standard output as it is now; what is not a terminal gets lines of any length."""
    return Console(soft_wrap=True, emoji=False)


def warn(message: str) -> None:
    """Print a warning on standard error, above a progress bar if there is one."""
    _errors.print(f'[yellow]warning:[/] {escape(message)}', highlight=False)


class _ConsoleHandler(logging.Handler):
    """Log records among the warnings, so that they do not tear a progress bar apart."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            warn(record.getMessage())
        else:
            _errors.print(f'{record.name}: {record.getMessage()}', markup=False, highlight=False)


def log_to_console(logger: logging.Logger, level: int) -> None:
    """Show records of a logger from a level on; a second call only sets the level."""
    logger.setLevel(level)
    if not any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(_ConsoleHandler())


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Frames per second."""
        speed = task.finished_speed or task.speed
        return Text('- frames/s' if speed is None else f'{speed:.1f} frames/s')


@contextmanager
def frame_progress(title: str, total: int | None) -> Iterator[Progress]:
    """
    Show a progress bar with rate and remaining time; call advance() on task 0 per frame.

    :param total: frames to come, None where it is not known.
    """
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
               _RateColumn(), TimeElapsedColumn(), TextColumn('ETA'), TimeRemainingColumn())
    with Progress(*columns, console=_errors) as progress:
        progress.add_task(title, total=total)
        yield progress


@contextmanager
def run_progress(title: str) -> Iterator[Callable[[float, str], None]]:
    """
    Show the progress of a run that ends by iterations or by the clock.

    :returns: a function of the share that is done, 0..1, and a note to show beside it.
    """
    columns = (TextColumn('{task.description}'), BarColumn(), TaskProgressColumn(),
               TextColumn('{task.fields[note]}', markup=False), TimeElapsedColumn(),
               TextColumn('ETA {task.fields[eta]}'))
    with Progress(*columns, console=_errors) as progress:
        task = progress.add_task(title, total=1.0, note='', eta='-:--:--')
        begun = math.nan

        def show(done: float, note: str) -> None:
            # A resumed run does not begin at 0.
            nonlocal begun
            begun = done if math.isnan(begun) else begun
            progress.update(task, completed=done, note=note)
            if done > begun:
                left = (progress.tasks[task].elapsed or 0.0) * (1.0 - done) / (done - begun)
                progress.update(task, eta=timedelta(seconds=max(0, round(left))))

        yield show


@contextmanager
def build_progress() -> Iterator[Watch]:
    """Show the progress of an engine while one is being built."""
    with ExitStack() as stack:
        shown: list[Callable[[float, str], None]] = []

        def watch(done: float, what: str) -> bool:
            if not shown:
                shown.append(stack.enter_context(run_progress('engine')))
            shown[0](0.0 if math.isnan(done) else done, what)
            return True

        yield watch


def print_table(table: Table, *, text: bool = False) -> None:
    """
    Print a table with every cell in full; a narrow terminal wraps the lines.

    :param text: the cells are words, not numbers, and there is no header.
    """
    shown = RichTable(title=_shown(table.title), box=SIMPLE_HEAD, title_justify='left',
                      show_header=not text)
    for index, name in enumerate(table.header):
        shown.add_column(_shown(name), justify='right' if index and not text else 'left',
                         no_wrap=True)
    for row in table.rows:
        shown.add_row(*(escape(_shown(cell)) for cell in row))
    console = out()
    console.width = max(console.width, console.measure(
        shown, options=console.options.update(max_width=1000)).maximum)
    console.print(shown)


def number(value: float, digits: int = 2, unit: str = '') -> str:
    """Text of a number; '?' where it is not known."""
    return '?' if math.isnan(value) else f'{value:.{digits}f}{unit}'


def nearest(result: PanopticDepth) -> str:
    """Title of its list."""
    what = 'regions' if 'regions' in result.abilities else 'instances'
    return f'Nearest {what}' if 'depth' in result.tasks else what.capitalize()


def instance_table(result: PanopticDepth, most: int = 10) -> Table:
    """Nearest instances; meters, in the camera's frame, of a model with depth."""
    columns: dict[str, Callable[[InstanceDistance], str]] = {
        'instance': lambda d: d.class_name + (
            f' {d.segment.instance_id}' if d.segment.instance_id else '')}
    if 'depth' in result.tasks:
        columns |= {
            'distance m': lambda d: number(d.distance_m),
            '±': lambda d: number(d.distance_stddev_m),
            'near m': lambda d: number(d.distance_near_m),
            'x y z m': lambda d: ' '.join(number(float(v)) for v in d.position_m)}
    columns |= {
        'score': lambda d: f'{d.segment.score:.2f}',
        'flags': lambda d: ' '.join(d.flags.names)}
    return Table(f'{nearest(result)} of frame {result.name}', tuple(columns), [
        tuple(text(d) for text in columns.values()) for d in result.distances[:most]])
