# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves to look at: train.jsonl, TensorBoard, and its progress."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .checkpoint import TrainState
from .validation import Validation

_log = logging.getLogger(__name__)


@dataclass
class RunProgress:
    """
    Where a run is.

    :param done: share of it, 0..1, by iterations or by the clock.
    :param loss: the sum, at the last line of the log; NaN before.
    :param images_per_s: since the line before; NaN before.
    :param figures: of the last validation.
    """

    iteration: int
    done: float
    loss: float = math.nan
    images_per_s: float = math.nan
    figures: dict[str, float] = field(default_factory=dict)


Watcher = Callable[[RunProgress], None]


class RunLog:
    """
    Writes the files of one run, and tells a watcher.

    :param watch: called after every iteration.
    """

    def __init__(self, run_dir: Path, state: TrainState, tensorboard: bool,
                 watch: Watcher | None = None) -> None:
        self._file = (run_dir / 'train.jsonl').open('a', encoding='utf-8')
        self._board = _open_board(run_dir, state.iteration) if tensorboard else None
        self._watch = watch
        self._progress = RunProgress(state.iteration, 0.0)

    def step(self, iteration: int, done: float) -> None:
        """Note that an iteration is done."""
        self._progress.iteration, self._progress.done = iteration, done
        if self._watch is not None:
            self._watch(self._progress)

    def losses(self, state: TrainState, losses: dict[str, float], progress: float,
               rate: float, images_per_s: float) -> None:
        """Write one line of losses."""
        self._progress.loss, self._progress.images_per_s = losses['total'], images_per_s
        self._write({'iteration': state.iteration, 'seconds': round(state.seconds, 1),
                     'progress': round(progress, 4), 'learning_rate': rate,
                     'images_per_s': round(images_per_s, 2),
                     **{name: _plain(value) for name, value in losses.items()}})
        scalars = {f'loss/{name}': value for name, value in losses.items()}
        self._add_scalars(state, {**scalars, 'learning_rate': rate, 'images_per_s': images_per_s})

    def validation(self, state: TrainState, validation: Validation) -> None:
        """Write the figures and the picture of a validation."""
        figures = {**validation.figures, 'score': validation.score}
        self._progress.figures = figures
        self._write({'iteration': state.iteration, 'seconds': round(state.seconds, 1),
                     'validation': {name: _plain(value) for name, value in figures.items()},
                     'by_data': {label: {name: _plain(value) for name, value in found.items()}
                                 for label, found in validation.by_data.items()}})
        for label, found in {'validation': figures, **validation.by_data}.items():
            self._add_scalars(state, {f'{label}/{name}': v for name, v in found.items()})
        if self._board is not None and validation.picture is not None:
            self._board.add_image('validation', validation.picture, state.iteration,
                                  dataformats='HWC')

    def close(self) -> None:
        """Finish the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row) + '\n')
        self._file.flush()

    def _add_scalars(self, state: TrainState, scalars: dict[str, float]) -> None:
        if self._board is not None:
            for name, value in scalars.items():
                self._board.add_scalar(name, value, state.iteration)


def _open_board(run_dir: Path, iteration: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _log.warning("no TensorBoard: it is not installed; run: pip install "
                     "'panoptic-depth[train]', or set tensorboard: false in the recipe")
        return None
    # What an interrupted run wrote after its last checkpoint is hidden.
    return SummaryWriter(str(run_dir / 'tensorboard'), purge_step=iteration + 1)


def _plain(value: float) -> float | None:
    """Round for JSON, which has no NaN."""
    return round(value, 4) if math.isfinite(value) else None
