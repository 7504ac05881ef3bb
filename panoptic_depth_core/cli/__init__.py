# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The command line: the list of commands, errors on one line, exit codes.

Exit codes: 0 success; 1 done, but not complete (the source ended early, too many frames were
skipped), a limit is missed, or a fault of this program, which says so; 2 an error that the user
can mend, such as an option, a file or an output folder that is gone; 128 + signal interrupted.
Heavy modules are imported when a command runs, and only those that it needs.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, cast

import typer

from ..errors import BackendError, ConfigError
from .benchmark import benchmark
from .build_engine import build_engine
from .calibrate_mounting import calibrate_mounting
from .camera import camera
from .card import card
from .console import log_to_console, use_plain_characters
from .demo import demo
from .evaluate import calibrate, evaluate, evaluate_tracking
from .evaluate_bag import evaluate_bag
from .export import convert, export
from .interruption import Terminated, ended_by_signals
from .predict import predict
from .pseudo_label import pseudo_label
from .train import pack, train

NAME = 'panoptic-depth'
EXIT_FAULT = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 130

_UsageError = cast('type[Exception]', typer.BadParameter.__mro__[2])
"""Base class of errors in arguments; newer releases of typer no longer expose that of click."""

_log = logging.getLogger('panoptic_depth_core')

app = typer.Typer(
    name=NAME, add_completion=False, pretty_exceptions_enable=False,
    help='Panoptic labels, metric depth and a distance per instance from one camera image.')
for _command in (predict, camera, demo, evaluate, evaluate_bag, evaluate_tracking, card,
                 benchmark, train, pack, pseudo_label, export, calibrate, calibrate_mounting,
                 convert, build_engine):
    app.command()(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f'{NAME} {version(NAME)}')
        except PackageNotFoundError:
            typer.echo(f'{NAME} (not installed with pip: version unknown)')
        raise typer.Exit


@app.callback()
def _options(
        verbose: Annotated[bool, typer.Option(
            '--verbose', '-v', help='Show tracebacks and debug messages.')] = False,
        _version: Annotated[bool, typer.Option(
            '--version', callback=_show_version, is_eager=True,
            help='Show the version and exit.')] = False) -> None:
    log_to_console(_log, logging.DEBUG if verbose else logging.WARNING)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    :param arguments: without the name of the program; None: those of the process.
    :returns: the exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    use_plain_characters()
    try:
        with ended_by_signals():
            return app(given or ['--help'], prog_name=NAME, standalone_mode=False) or 0
    except Terminated as error:
        return int(str(error.code))
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Such as head; the rest of the output is dropped.
        sys.stdout = open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115 - to the end
        return 0
    except _UsageError as error:
        wrong: Any = error
        command = wrong.ctx.command_path if getattr(wrong, 'ctx', None) else NAME
        _complain(f'{wrong.format_message()} (see {command} --help)')
    except (ConfigError, BackendError) as error:
        _complain(str(error))
    except OSError as error:
        _complain(f'{error.filename}: {error.strerror}' if error.filename else str(error))
    except Exception as error:
        _complain(f'{type(error).__name__}: {error}; this is a fault of {NAME}: '
                  'please report it with the output of -v')
        return EXIT_FAULT
    return EXIT_USER


def _complain(message: str) -> None:
    """Print one line on standard error, with -v after the traceback."""
    if _log.isEnabledFor(logging.DEBUG):
        traceback.print_exc()
    # Not typer.echo, which would show what cannot be encoded as question marks.
    print(f'{NAME}: error: ' + ' '.join(message.split()), file=sys.stderr)
