# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""One GPU: context, memory, copies and CUDA graphs."""

from .bindings import Gpu as Gpu
from .bindings import find_gpu as find_gpu
from .bindings import visible_gpus as visible_gpus
from .device import Device as Device
from .device import Executor as Executor
