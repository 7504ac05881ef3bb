# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: readable from top to bottom, resumable, one YAML per recipe."""

from __future__ import annotations

import json
import logging
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import ConfigError
from ..files import OutputFolder, lock_folder
from ..network import create_model
from ..network.base import Batch
from ..network.distributed import average_gradients, leave, mean_over_processes
from .checkpoint import (
    BEST_FILE,
    MODEL_FILE,
    TrainState,
    initial_network,
    load_checkpoint,
    require_no_run,
    save_checkpoint,
    save_model,
)
from .loading import Draws, MixedSamples, batches
from .recipe import PhaseSettings, TrainSettings, begins
from .validation import Validation, Validator

_log = logging.getLogger(__name__)

_END_FACTORS = {'cosine': 0.01, 'poly': 0.0}
_MOST_RESERVED = 0.25
"""Share of the time of a run that is left to its last validation, at most."""


@dataclass
class RunProgress:
    """Where a run is."""

    iteration: int
    done: float  # Share of it, 0..1, by iterations or by the clock.
    loss: float = math.nan  # The sum, at the last line of the log.
    images_per_s: float = math.nan  # Between the last two lines.
    metric_values: dict[str, float] = field(default_factory=dict)  # Of the last validation.


Watcher = Callable[[RunProgress], None]


def train(settings: TrainSettings, run_dir: Path, *, resume: bool = False,
          watch: Watcher | None = None, stop: Callable[[], bool] = lambda: False) -> Path:
    """
    Train and keep checkpoints.

    Under torchrun every process calls this, and the first one writes.

    :param run_dir: receives ``last.pt`` (to resume), ``model.pt`` (averaged weights, to export),
        ``best.pt`` (those with the best validation), ``train.jsonl`` (losses and validations),
        ``tensorboard`` and ``recipe.json``.
    :param watch: called with the progress after every iteration, in the first process.
    :param stop: called before every iteration, in the first process; true ends the run there, so
        that it can be resumed.
    :returns: the path of ``best.pt``; without validation, of ``model.pt``.
    :raises ConfigError: for wrong settings, missing data, nothing to resume, or the weights of
        another run in the folder.
    """
    with lock_folder(run_dir) if is_first_process() else nullcontext() as output:
        return _train(settings, run_dir, resume, watch, stop, output)


def _train(settings: TrainSettings, run_dir: Path, resume: bool, watch: Watcher | None,
           stop: Callable[[], bool], output: OutputFolder | None) -> Path:
    """See train; the folder is locked."""
    begun = monotonic()
    if not resume:
        require_no_run(run_dir)
    fabric = create_fabric(settings)
    fabric.seed_everything(settings.seed, verbose=False)
    state = start_state(settings, fabric, run_dir if resume else None)
    run = _Run(settings, fabric, state, run_dir, begun - state.seconds, stop)
    if not fabric.is_global_zero:
        run.iterate()
        leave()
        return run_dir / MODEL_FILE
    if settings.validation is not None:
        run.validator = Validator(settings, settings.validation, state.averaged, fabric.device)
    run.output = output
    (run_dir / 'recipe.json').write_text(settings.model_dump_json(indent=1), encoding='utf-8')
    run.log = _RunLog(run_dir, state, settings.tensorboard, watch)
    try:
        run.iterate()
    finally:
        # Also when the user stops the run: --resume then loses nothing.
        run.save()
        run.log.close()
    leave()
    best = run_dir / BEST_FILE
    return best if best.is_file() else run_dir / MODEL_FILE


@dataclass
class _Run:
    """The loop of one process."""

    settings: TrainSettings
    fabric: Fabric
    state: TrainState
    run_dir: Path
    begun: float  # Monotonic time at which the run would have begun without breaks.
    stop: Callable[[], bool]
    log: _RunLog | None = None  # Of the first process, as the validator.
    validator: Validator | None = None
    output: OutputFolder | None = None

    def seconds(self) -> float:
        """Since the run began, without those between its sessions."""
        return monotonic() - self.begun

    def share_done(self) -> float:
        state = self.state
        return share_done(self.settings, state.iteration, state.seconds, state.validation_seconds)

    def progress(self) -> float:
        """Share of the run that is done, 0..1, as the first process sees it; 1 to stop."""
        return self.fabric.broadcast(1.0 if self.stop() else self.share_done())

    def iterate(self) -> None:
        settings, fabric, state, log = self.settings, self.fabric, self.state, self.log
        prepare(settings, state)
        draws = Draws(settings, state.iteration, fabric.global_rank, fabric.world_size)
        parts = batches(settings, draws, state.model.targets())
        if settings.minutes is not None and state.validated < 0 and self.validator is not None:
            # Says how much time to leave for the last one, and what has to be improved on.
            self.validate()
            if state.validation_seconds > 60 * settings.minutes * _MOST_RESERVED:
                _log.warning('a validation takes %.0f s of the %.0f s of this run, which will end '
                             'later; give more --minutes, or a lower limit to the data of '
                             'validation', state.validation_seconds, 60 * settings.minutes)
        since, images = self.seconds(), 0
        while (progress := self.progress()) < 1.0:
            losses = train_step(settings, fabric, state, draws, parts, progress)
            rate = learning_rate(settings, state.iteration, progress)
            state.iteration += 1
            state.seconds = self.seconds()
            images += settings.batch_size
            if state.iteration % settings.log_every == 0:
                # A mean over processes, which all of them have to ask for.
                values = mean_over_processes(torch.stack(list(losses.values()))).tolist()
                if log is not None:
                    log.losses(dict(zip(losses, values, strict=True)), progress, rate,
                               images / (self.seconds() - since))
                since, images = self.seconds(), 0
            if log is None:
                continue
            log.step(self.share_done())
            self.check_output()
            is_due = state.iteration % settings.save_every == 0
            if self.validator is not None and state.iteration % self.validator.every == 0:
                self.validate()
                since, images, is_due = self.seconds(), 0, True
            if is_due:
                self.save()
        if self.validator is not None and state.validated != state.iteration and not self.stop():
            self.validate()

    def check_output(self) -> None:
        """Raise ConfigError where the folder of the run is gone."""
        if self.output is not None:
            self.output.check()

    def save(self) -> None:
        """Write the checkpoints."""
        self.check_output()
        save_checkpoint(self.run_dir, self.settings, self.state)

    def validate(self) -> None:
        """Measure the averaged weights, and keep them if they are the best so far."""
        assert self.log is not None and self.validator is not None
        state, since = self.state, self.seconds()
        validation = self.validator()
        state.validated, state.seconds = state.iteration, self.seconds()
        state.validation_seconds = state.seconds - since
        self.log.validation(validation)
        # Written so that NaN is never the best.
        if validation.score > (float('-inf') if state.best is None else state.best):
            state.best = validation.score
            save_model(self.run_dir / BEST_FILE, self.settings, state)


class _RunLog:
    """Writes train.jsonl and TensorBoard, and calls a watcher after every iteration."""

    def __init__(self, run_dir: Path, state: TrainState, tensorboard: bool,
                 watch: Watcher | None = None) -> None:
        self._state, self._watch = state, watch
        self._file = (run_dir / 'train.jsonl').open('a', encoding='utf-8')
        self._board = _open_board(run_dir, state.iteration) if tensorboard else None
        self._progress = RunProgress(state.iteration, 0.0)

    def step(self, done: float) -> None:
        """Note that an iteration is done."""
        self._progress.iteration, self._progress.done = self._state.iteration, done
        if self._watch is not None:
            self._watch(self._progress)

    def losses(self, losses: dict[str, float], progress: float, rate: float,
               images_per_s: float) -> None:
        """Write one line of losses."""
        self._progress.loss, self._progress.images_per_s = losses['total'], images_per_s
        self._write({'progress': round(progress, 4), 'learning_rate': rate,
                     'images_per_s': round(images_per_s, 2), **_plain(losses)},
                    {**{f'loss/{name}': value for name, value in losses.items()},
                     'learning_rate': rate, 'images_per_s': images_per_s})

    def validation(self, validation: Validation) -> None:
        """Write the metrics and the picture of a validation."""
        metric_values = {**validation.metric_values, 'score': validation.score}
        self._progress.metric_values = metric_values
        self._write({'validation': _plain(metric_values), 'by_data': {
            label: _plain(found) for label, found in validation.by_data.items()}},
            {f'{label}/{name}': value for label, found in (
                ('validation', metric_values), *validation.by_data.items())
             for name, value in found.items()})
        if self._board is not None and validation.picture is not None:
            self._board.add_image('validation', validation.picture, self._state.iteration,
                                  dataformats='HWC')

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def _write(self, row: dict[str, Any], scalars: dict[str, float]) -> None:
        """:param scalars: for TensorBoard."""
        state = self._state
        self._file.write(json.dumps({'iteration': state.iteration,
                                     'seconds': round(state.seconds, 1), **row}) + '\n')
        self._file.flush()
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


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    """Round for JSON, which has no NaN."""
    return {name: round(value, 4) if math.isfinite(value) else None
            for name, value in values.items()}


def is_first_process() -> bool:
    """Whether this process is the one that writes files and says something."""
    return os.environ.get('RANK', '0') == '0'


def create_fabric(settings: TrainSettings) -> Fabric:
    """Join the processes that torchrun started, if any; they have to share the batch evenly."""
    world = int(os.environ.get('WORLD_SIZE', '1'))
    local = int(os.environ.get('LOCAL_WORLD_SIZE', '1'))
    if settings.batch_size % (world * settings.accumulate):
        raise ConfigError(f'batch_size is {settings.batch_size}, but {world} processes with '
                          f'accumulate {settings.accumulate} share it; give a multiple of '
                          f'{world * settings.accumulate}')
    fabric = Fabric(accelerator=settings.accelerator, precision=settings.precision, devices=local,
                    num_nodes=world // local, strategy='ddp' if world > 1 else 'auto')
    fabric.launch()
    return fabric


def start_state(settings: TrainSettings, fabric: Fabric, run_dir: Path | None) -> TrainState:
    """Networks and optimiser as a recipe begins, or as the run in a folder goes on."""
    network = initial_network(settings)
    averaged = create_model(settings.network, settings.network_settings)
    averaged.load_state_dict(network.state_dict())
    # The annotations of Module.to lack memory_format, here and below.
    averaged.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner: nn.Module = network
    if fabric.world_size > 1 and any(isinstance(m, nn.BatchNorm2d) for m in network.modules()):
        if fabric.device.type != 'cuda':  # As PyTorch's SyncBatchNorm needs it.
            raise ConfigError(f'backbone_norm: batch norm over {fabric.world_size} processes '
                              f'needs GPUs, not {fabric.device.type}; use one process, or frozen')
        learner = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for phase in settings.phases:  # A wrong name shows now, not when its turn comes.
        freeze(learner, (*settings.freeze, *phase.freeze))
    freeze(learner, settings.freeze)
    learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, optimizer = fabric.setup(learner, create_optimizer(learner, settings))
    state = TrainState(network, wrapped, averaged.eval(), optimizer, fabric.strategy.precision)
    if run_dir is not None:
        load_checkpoint(run_dir, state)
    return state


def train_step(settings: TrainSettings, fabric: Fabric, state: TrainState, draws: Draws,
               parts: Iterator[Batch], progress: float) -> dict[str, Tensor]:
    """
    One iteration: the parts of a batch, then one step of the optimiser.

    :param progress: share of the run, 0..1.
    :returns: () float32 each: the losses, their total and the norm of the gradient.
    """
    for group in state.optimizer.param_groups:
        group['lr'] = group['factor'] * learning_rate(settings, state.iteration, progress)
    # Every iteration starts its generators anew: no state of them has to be stored.
    seed = settings.seed * 1_000_003 + state.iteration
    random.seed(seed)
    np.random.seed(seed % 2 ** 32)
    torch.manual_seed(seed)
    state.optimizer.zero_grad()
    phase = phase_of(settings, state.iteration, progress)
    if settings.phases:
        freeze(state.model, (*settings.freeze, *(phase.freeze if phase else ())))
    sums: dict[str, Tensor] = {}
    for part in range(settings.accumulate):
        batch = next(parts).to(fabric.device)
        # What is drawn for an image depends on it alone, not on who works on it.
        seeds = [settings.seed * 1_000_003 + d for d in draws.of(state.iteration, part)]
        # Gradients are exchanged once, below. The annotation asks for Fabric's own wrapper.
        with fabric.no_backward_sync(state.network):  # type: ignore[arg-type]
            losses = state.model.losses(state.network(**batch.inputs()), batch, seeds)
            losses['total'] = total_of(losses, settings.phases, phase)
            # Nothing that learns may be in it, as where no frame has a depth or a mounting.
            if losses['total'].requires_grad:
                fabric.backward(losses['total'] / settings.accumulate)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.detach() / settings.accumulate
    average_gradients(state.network.parameters())
    norm = fabric.clip_gradients(state.network, state.optimizer, max_norm=settings.clip,
                                 error_if_nonfinite=False)
    assert norm is not None
    # In 16-mixed the scaler leaves out what is not finite, and lowers its scale for it.
    if settings.precision == '16-mixed' or torch.isfinite(norm):
        state.optimizer.step()
        average(state.averaged, state.network, settings.average, state.iteration)
    return {**sums, 'gradient_norm': norm.detach()}


def prepare(settings: TrainSettings, state: TrainState, samples: int = 150) -> None:
    """Show the model some draws of the mix that no iteration has."""
    probe = MixedSamples(settings, 1 << 40, samples)
    state.model.prepare_losses(probe[index] for index in range(samples))


def phase_of(settings: TrainSettings, iteration: int, progress: float) -> PhaseSettings | None:
    """Phase whose turn it is; None while everything learns."""
    if not settings.phases or progress < settings.phases_after:
        return None
    place = iteration % sum(phase.iterations for phase in settings.phases)
    for phase in settings.phases:
        if place < phase.iterations:
            break
        place -= phase.iterations
    return phase


def total_of(losses: dict[str, Tensor], phases: Sequence[PhaseSettings],
             phase: PhaseSettings | None) -> Tensor:
    """
    () float32 sum of the losses that count in a phase.

    :raises ConfigError: when any phase counts a loss that is none.
    """
    counted = (phase.losses if phase else ()) or tuple(losses)
    if unknown := [name for p in phases for name in p.losses if name not in losses]:
        raise ConfigError(f'phases: losses: there is no {unknown[0]!r}; this network has '
                          f'{", ".join(losses)}')
    return torch.stack([losses[name] for name in counted]).sum()


def freeze(network: nn.Module, prefixes: Sequence[str]) -> None:
    """
    Train all parameters but those below these names, with the statistics of their batch norms.

    :raises ConfigError: for a name that none begins with, or when nothing is left to learn.
    """
    parameters = dict(network.named_parameters())
    for prefix in prefixes:
        if not any(begins(name, prefix) for name in parameters):
            known = dict.fromkeys(name.partition('.')[0] for name in parameters)
            raise ConfigError(f'freeze: no parameter begins with {prefix!r}; there are: '
                              f'{", ".join(known)}, and what is below them')

    def rests(name: str) -> bool:
        return any(begins(name, prefix) for prefix in prefixes)

    for name, parameter in parameters.items():
        parameter.requires_grad_(not rests(name))
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm):
            module.train(not rests(name))
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise ConfigError('freeze: nothing is left to learn; name fewer parts')


def create_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Optimiser of what is not frozen: backbone slower; no decay on vectors (biases, norms)."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith('backbone.'), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    decay, of_backbone = settings.weight_decay, settings.backbone_weight_decay
    rows: list[dict[str, Any]] = [
        {'params': parameters, 'factor': settings.backbone_factor if backbone else 1.0,
         'weight_decay': 0.0 if not decays else
         of_backbone if backbone and of_backbone is not None else decay}
        for (backbone, decays), parameters in groups.items()]
    kind = {'adamw': torch.optim.AdamW, 'adam': torch.optim.Adam}[settings.optimizer]
    return kind(rows, lr=settings.learning_rate, eps=settings.epsilon)


def learning_rate(settings: TrainSettings, iteration: int, progress: float) -> float:
    """Linear warm-up, times the schedule; ``progress`` is that of the run, 0..1."""
    start = settings.warmup_factor
    warm = min(1.0, start + (1 - start) * (iteration + 1) / max(settings.warmup, 1))
    left = 1.0 - min(progress / (1.0 - settings.hold), 1.0)
    end = settings.end_factor
    if end is None:
        end = _END_FACTORS[settings.schedule]
    shape = (left ** settings.poly_power if settings.schedule == 'poly'
             else 0.5 * (1 - math.cos(math.pi * left)))
    return settings.learning_rate * warm * (end + (1 - end) * shape)


def share_done(settings: TrainSettings, iteration: int, seconds: float,
               validation_seconds: float = 0.0) -> float:
    """
    Share of the run that is done, 0..1, by iterations or by the clock.

    :param validation_seconds: of the last validation; the clock leaves as much to the one at the
        end, but not more than a quarter of the time.
    """
    done = iteration / settings.iterations
    if settings.minutes is not None:
        time = 60 * settings.minutes
        done = max(done, seconds / (time - min(validation_seconds, _MOST_RESERVED * time)))
    return done


def average(mean: nn.Module, network: nn.Module, decay: float, iteration: int) -> None:
    """Move a moving average towards the weights, in place; statistics of batch norm too."""
    # Early averages would be of noise: let the decay grow with the age of the run.
    weight = 1 - min(decay, (1 + iteration) / (10 + iteration))
    with torch.no_grad():
        for old, new in zip([*mean.parameters(), *mean.buffers()],
                            [*network.parameters(), *network.buffers()], strict=True):
            if old.is_floating_point():
                old.lerp_(new.detach(), weight)
            else:
                old.copy_(new)
