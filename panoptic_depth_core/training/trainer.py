# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: readable from top to bottom, resumable, one YAML per recipe."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..labels import CITYSCAPES, VOID_CLASS, class_of
from ..network import assembly_of, create_network
from .checkpoint import MODEL_FILE, TrainState, load_checkpoint, load_weights, save_checkpoint
from .losses import panoptic_depth_loss
from .samples import MixedSamples, expand
from .settings import TrainSettings
from .targets import Batch, collate


def train(settings: TrainSettings, run_dir: Path, *, resume: bool = False) -> Path:
    """
    Train and keep checkpoints.

    :param run_dir: receives ``last.pt`` (to resume), ``model.pt`` (averaged weights, to export),
        ``train.jsonl`` (losses) and ``recipe.json``.
    :returns: the path of ``model.pt``.
    :raises ConfigError: for wrong settings, missing data, or nothing to resume.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    fabric = Fabric(accelerator=settings.accelerator, devices=1, precision=settings.precision)
    fabric.seed_everything(settings.seed, verbose=False)
    state = _start(settings, fabric, run_dir, resume)
    (run_dir / 'recipe.json').write_text(settings.model_dump_json(indent=1), encoding='utf-8')
    balance = class_weights(settings).to(fabric.device)
    try:
        _iterate(settings, fabric, state, balance, run_dir)
    finally:
        # Also when the user stops the run: --resume then loses nothing.
        save_checkpoint(run_dir, settings, state)
    return run_dir / MODEL_FILE


def _iterate(settings: TrainSettings, fabric: Fabric, state: TrainState, balance: Tensor,
             run_dir: Path) -> None:
    started = time.monotonic() - state.seconds
    with (run_dir / 'train.jsonl').open('a', encoding='utf-8') as log:
        for batch in _batches(settings, state.iteration):
            progress = _progress(settings, state.iteration, time.monotonic() - started)
            if progress >= 1.0:
                break
            losses = _step(settings, fabric, state, batch, balance, progress)
            state.iteration += 1
            state.seconds = time.monotonic() - started
            if state.iteration % settings.log_every == 0:
                _log(log, state, losses, progress)
            if state.iteration % settings.save_every == 0:
                save_checkpoint(run_dir, settings, state)


def _start(settings: TrainSettings, fabric: Fabric, run_dir: Path, resume: bool) -> TrainState:
    backbone = settings.backbone_weights
    network = create_network(settings.network, settings.network_settings,
                             None if backbone is None else expand(backbone))
    # Wrong rules are to be found now, not when the run is exported.
    assembly_of(network, settings.assembly, 'recipe: assembly')
    if settings.initial_weights is not None:
        load_weights(network, Path(expand(settings.initial_weights)))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = create_network(settings.network, settings.network_settings)
    averaged.load_state_dict(network.state_dict())
    averaged.to(fabric.device)
    groups = _parameter_groups(network, settings)
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate,
                                  weight_decay=settings.weight_decay)
    wrapped, optimizer = fabric.setup(network, optimizer)
    state = TrainState(wrapped, averaged, optimizer)
    if resume:
        load_checkpoint(run_dir, state)
    return state


def _step(settings: TrainSettings, fabric: Fabric, state: TrainState, batch: Batch,
          balance: Tensor, progress: float) -> dict[str, float]:
    batch = batch.to(fabric.device)
    for group in state.optimizer.param_groups:
        group['lr'] = group['factor'] * learning_rate(settings, state.iteration, progress)
    # The loss draws kernels at random: the draw of a step must not depend on a restart.
    torch.manual_seed(settings.seed * 1_000_003 + state.iteration)
    losses = panoptic_depth_loss(state.network(batch.image, batch.intrinsics), batch,
                                 settings.loss, balance)
    total = torch.stack(list(losses.values())).sum()
    state.optimizer.zero_grad()
    if torch.isfinite(total):
        fabric.backward(total)
        fabric.clip_gradients(state.network, state.optimizer, max_norm=settings.clip,
                              error_if_nonfinite=False)
        state.optimizer.step()
        _average(settings, state)
    return {name: float(value.detach()) for name, value in losses.items()} | {
        'total': float(total.detach())}


def _average(settings: TrainSettings, state: TrainState) -> None:
    # Early averages would be of noise: let the decay grow with the age of the run.
    decay = min(settings.average, (1 + state.iteration) / (10 + state.iteration))
    with torch.no_grad():
        pairs = zip(state.averaged.parameters(), state.network.parameters(), strict=True)
        for mean, value in pairs:
            mean.lerp_(value.detach(), 1 - decay)


def learning_rate(settings: TrainSettings, iteration: int, progress: float) -> float:
    """Linear warm-up, then half a cosine down to 1 % at progress 1."""
    warm = min(1.0, (iteration + 1) / max(settings.warmup, 1))
    return settings.learning_rate * warm * (
        0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def class_weights(settings: TrainSettings, samples: int = 150) -> Tensor:
    """(C,) float32 weights from the class frequencies in the mix, mean 1 over seen pixels."""
    counts = np.ones(len(CITYSCAPES))
    probe = MixedSamples(settings, 1 << 40, samples)
    for index in range(samples):
        truth = probe[index].truth
        if truth.has_semantics and truth.panoptic is not None:
            classes = class_of(truth.panoptic)
            counts += np.bincount(classes[classes != VOID_CLASS], minlength=len(CITYSCAPES))
    share = counts / counts.sum()
    weights = np.maximum(share, 1e-4) ** -settings.loss.class_balance
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)


def _parameter_groups(network: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """Backbone slower than the rest; no decay on vectors (biases, norms)."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        key = (name.startswith('backbone.'), parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    return [{'params': parameters, 'factor': settings.backbone_factor if backbone else 1.0,
             'weight_decay': settings.weight_decay if decays else 0.0}
            for (backbone, decays), parameters in groups.items()]


def _batches(settings: TrainSettings, iteration: int) -> Iterator[Batch]:
    first = iteration * settings.batch_size
    length = (settings.iterations - iteration) * settings.batch_size
    return iter(DataLoader(
        MixedSamples(settings, first, length), batch_size=settings.batch_size,
        num_workers=settings.workers, worker_init_fn=_one_thread,
        collate_fn=partial(collate, settings=settings.loss.used_targets()),
        # A fork would copy locks of OpenCV's and OpenMP's threads, and hang.
        multiprocessing_context='spawn' if settings.workers else None,
        prefetch_factor=4 if settings.workers else None,
        pin_memory=torch.cuda.is_available()))


def _one_thread(_worker: int) -> None:
    import cv2
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _progress(settings: TrainSettings, iteration: int, seconds: float) -> float:
    """Share of the run that is done, 0..1, by iterations or by the clock."""
    done = iteration / settings.iterations
    if settings.minutes is not None:
        done = max(done, seconds / (60 * settings.minutes))
    return done


def _log(log: Any, state: TrainState, losses: dict[str, float], progress: float) -> None:
    row = {'iteration': state.iteration, 'seconds': round(state.seconds, 1),
           'progress': round(progress, 4), **{k: round(v, 4) for k, v in losses.items()}}
    log.write(json.dumps(row) + '\n')
    log.flush()
