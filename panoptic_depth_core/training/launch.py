# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""One process, or those that torchrun started; devices and precision."""

from __future__ import annotations

import os

from lightning.fabric import Fabric
from torch import nn

from ..errors import ConfigError
from .settings import TrainSettings


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


def synchronised(network: nn.Module, fabric: Fabric) -> nn.Module:
    """
    Let batch norm see the whole batch where several processes train.

    :raises ConfigError: on CPUs, which PyTorch's SyncBatchNorm does not support.
    """
    has_norms = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    if fabric.world_size == 1 or not has_norms:
        return network
    if fabric.device.type != 'cuda':
        raise ConfigError(f'backbone_norm: batch norm over {fabric.world_size} processes needs '
                          f'GPUs, not {fabric.device.type}; use one process, or frozen')
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)
