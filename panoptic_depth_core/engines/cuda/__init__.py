# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A GPU through pycuda or cuda-python, whichever is installed, behind one small interface."""

from .device import Device as Device
from .device import open_device as open_device
from .driver import Gpu as Gpu
from .driver import find_gpu as find_gpu
from .executor import Executor as Executor
