# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What several processes of one training share: started by torchrun, on one or more machines.

Every process works on its part of the same global batch. Its losses are divided by the counts of
all of them (normaliser), so that the mean of the gradients is the gradient of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn


def normaliser(count: Tensor | float, device: torch.device, least: float = 1.0) -> Tensor:
    """
    Divisor that makes the sum over this process's part of a batch a mean over the whole of it.

    The gradients of the processes are averaged, so it is the count of all of them, but at least
    the least one, over their number.

    :param count: of this process. :returns: () float32.
    """
    total = torch.as_tensor(count, dtype=torch.float32, device=device).clone()
    if not _are_several():
        return total.clamp(min=least)
    distributed.all_reduce(total)
    return total.clamp(min=least) / distributed.get_world_size()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """
    Mean of the processes' gradients, in place.

    One exchange per iteration in place of DDP's hooks, which wait for a gradient of every
    parameter: which ones have one depends here on the labels of a batch. A parameter that no
    process has a gradient of keeps none, as in a single process.
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
    Part from the other processes, once all of them have come here.

    Left to the end of the interpreter, the threads of the connections can abort it.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def _are_several() -> bool:
    return (distributed.is_available() and distributed.is_initialized()
            and distributed.get_world_size() > 1)
