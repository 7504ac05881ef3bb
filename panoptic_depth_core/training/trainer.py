# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: readable from top to bottom, resumable, one YAML per recipe."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from ..errors import ConfigError
from ..files import make_folder
from ..network import create_model
from ..network.base import Batch
from ..network.processes import average_gradients, leave, mean_over_processes
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
from .optimization import (
    MOST_RESERVED,
    average,
    create_optimizer,
    freeze,
    learning_rate,
    share_done,
)
from .recipe import TrainSettings
from .run_log import RunLog, Watcher
from .validation import Validator

_log = logging.getLogger(__name__)


def train(settings: TrainSettings, run_dir: Path, *, resume: bool = False,
          watch: Watcher | None = None, stop: Callable[[], bool] = lambda: False) -> Path:
    """
    Train and keep checkpoints.

    Under torchrun every process calls this, and the first one writes.

    :param run_dir: receives ``last.pt`` (to resume), ``model.pt`` (averaged weights, to export),
        ``best.pt`` (those with the best validation), ``train.jsonl`` (losses and validations),
        ``tensorboard`` and ``recipe.json``.
    :param watch: told of the progress after every iteration, in the first process.
    :param stop: asked before every iteration, in the first process; true ends the run there, so
        that it can be resumed.
    :returns: the path of ``best.pt``; without validation, of ``model.pt``.
    :raises ConfigError: for wrong settings, missing data, nothing to resume, or the weights of
        another run in the folder.
    """
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
    make_folder(run_dir)
    (run_dir / 'recipe.json').write_text(settings.model_dump_json(indent=1), encoding='utf-8')
    run.log = RunLog(run_dir, state, settings.tensorboard, watch)
    try:
        run.iterate()
    finally:
        # Also when the user stops the run: --resume then loses nothing.
        save_checkpoint(run_dir, settings, state)
        run.log.close()
    leave()
    best = run_dir / BEST_FILE
    return best if best.is_file() else run_dir / MODEL_FILE


@dataclass
class _Run:
    """
    The loop of one process.

    :param begun: monotonic time at which the run would have begun without breaks.
    :param log, validator: of the first process; the others have none.
    """

    settings: TrainSettings
    fabric: Fabric
    state: TrainState
    run_dir: Path
    begun: float
    stop: Callable[[], bool]
    log: RunLog | None = None
    validator: Validator | None = None

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
            if state.validation_seconds > 60 * settings.minutes * MOST_RESERVED:
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
                    log.losses(state, dict(zip(losses, values, strict=True)), progress, rate,
                               images / (self.seconds() - since))
                since, images = self.seconds(), 0
            if log is None:
                continue
            log.step(state.iteration, self.share_done())
            is_due = state.iteration % settings.save_every == 0
            if self.validator is not None and state.iteration % self.validator.every == 0:
                self.validate()
                since, images, is_due = self.seconds(), 0, True
            if is_due:
                save_checkpoint(self.run_dir, settings, state)
        if self.validator is not None and state.validated != state.iteration and not self.stop():
            self.validate()

    def validate(self) -> None:
        """Measure the averaged weights, and keep them if they are the best so far."""
        assert self.log is not None and self.validator is not None
        state, since = self.state, self.seconds()
        validation = self.validator()
        state.validated, state.seconds = state.iteration, self.seconds()
        state.validation_seconds = state.seconds - since
        self.log.validation(state, validation)
        # Written so that NaN is never the best.
        if validation.score > (float('-inf') if state.best is None else state.best):
            state.best = validation.score
            save_model(self.run_dir / BEST_FILE, self.settings, state)


def is_first_process() -> bool:
    """Whether this process is the one that writes files and says something."""
    return os.environ.get('RANK', '0') == '0'


def create_fabric(settings: TrainSettings) -> Fabric:
    """
    Join the processes that torchrun started; a process that it did not start is alone.

    :raises ConfigError: when they cannot share the batch evenly.
    """
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
    """
    Networks and optimiser as a recipe begins, or as a run goes on.

    :param run_dir: the run that goes on.
    :raises ConfigError: for batch norm over several processes on CPUs, which PyTorch's
        SyncBatchNorm does not support.
    """
    network = initial_network(settings)
    averaged = create_model(settings.network, settings.network_settings)
    averaged.load_state_dict(network.state_dict())
    # The annotations of Module.to lack memory_format, here and below.
    averaged.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner: nn.Module = network
    if fabric.world_size > 1 and any(isinstance(m, nn.BatchNorm2d) for m in network.modules()):
        if fabric.device.type != 'cuda':
            raise ConfigError(f'backbone_norm: batch norm over {fabric.world_size} processes '
                              f'needs GPUs, not {fabric.device.type}; use one process, or frozen')
        learner = nn.SyncBatchNorm.convert_sync_batchnorm(network)
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
    sums: dict[str, Tensor] = {}
    for part in range(settings.accumulate):
        batch = next(parts).to(fabric.device)
        # What is drawn for an image depends on it alone, not on who works on it.
        seeds = [settings.seed * 1_000_003 + d for d in draws.of(state.iteration, part)]
        # Gradients are exchanged once, below. The annotation asks for Fabric's own wrapper.
        with fabric.no_backward_sync(state.network):  # type: ignore[arg-type]
            losses = state.model.losses(state.network(**batch.inputs()), batch, seeds)
            losses['total'] = torch.stack(list(losses.values())).sum()
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
