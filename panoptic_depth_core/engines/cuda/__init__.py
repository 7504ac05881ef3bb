# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""One GPU: memory, copies and CUDA graphs, through pycuda or cuda-python."""

from .device import Device as Device
from .device import Executor as Executor
from .device import open_device as open_device
from .driver import Gpu as Gpu
from .driver import find_gpu as find_gpu
