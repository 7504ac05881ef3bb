# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Distributed training with torchrun, on one or more machines.

Every process works on its part of the same global batch. Losses are divided by counts over all
processes (normaliser), so that the mean of the gradients is the gradient of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn


def normaliser(count: Tensor | float, device: torch.device, least: float = 1.0) -> Tensor:
    """
    Divisor that turns the sum over this process's part of a batch into a mean over the batch.

    Gradients of processes are averaged, so it is the total count, at least ``least``, over the
    number of processes.

    :param count: of this process. :returns: () float32.
    """
    total = torch.as_tensor(count, dtype=torch.float32, device=device).clone()
    if not _are_several():
        return total.clamp(min=least)
    distributed.all_reduce(total)
    return total.clamp(min=least) / distributed.get_world_size()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """
    Average the gradients over the processes, in place.

    One exchange per iteration instead of DDP's hooks, which wait for a gradient of every
    parameter: here the labels of a batch decide which parameters have one. Without a gradient in
    any process a parameter keeps none, as in a single process.
    """
    if not _are_several():
        return
    learned = [p for p in parameters if p.requires_grad]
    has = torch.tensor([float(p.grad is not None) for p in learned], device=learned[0].device)
    flat = torch.cat([has, *(
        (torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learned)])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    used, *means = flat.split([len(learned), *(p.numel() for p in learned)])
    for parameter, is_used, mean in zip(learned, used.tolist(), means, strict=True):
        if is_used:
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            parameter.grad.copy_(mean.view(parameter.shape))


def mean_over_processes(values: Tensor) -> Tensor:
    """Mean of each element."""
    if _are_several():
        values = values.clone()
        distributed.all_reduce(values)
        values /= distributed.get_world_size()
    return values


def leave() -> None:
    """
    Wait for all processes and end the process group.

    Its threads could abort the interpreter at exit otherwise.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def _are_several() -> bool:
    return (distributed.is_available() and distributed.is_initialized()
            and distributed.get_world_size() > 1)
