# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Building engines where somebody watches: progress, and Ctrl-C between two steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from ..engines import BuildCancelled
from ..status import Watch
from .console import build_progress, out
from .interruption import stop_on_signal

if TYPE_CHECKING:
    from ..model_directory import ModelDirectory


@contextmanager
def watched_build() -> Iterator[Watch]:
    """Show the progress of a build; the first Ctrl-C cancels it and ends the command."""
    cancelled = False
    with stop_on_signal() as stopped, build_progress() as show:
        try:
            yield lambda done, what: show(done, what) and not stopped
        except BuildCancelled:
            if not stopped:
                raise
            cancelled = True
    if cancelled:
        out().print('Interrupted; the engine is not stored.', highlight=False)
        raise typer.Exit(stopped.exit_code)


def build_here(model: ModelDirectory, **options: str | int) -> None:
    """
    Load a model into TensorRT on this machine, which builds and tests the engine that is missing.

    :param options: of the backend.
    """
    from ..inference.backends import create_backend

    with watched_build() as watch:
        backend = create_backend('tensorrt', model, watch, **options)
    name = backend.engine_key
    backend.close()
    out().print(f'{model.info.model_id}: engine {name} fits', highlight=False, markup=False)
