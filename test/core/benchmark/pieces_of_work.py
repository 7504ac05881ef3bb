# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Functions for worker processes: good ones, and what can go wrong."""

from __future__ import annotations

import os
import sys
import time

from panoptic_depth_core.benchmark import pipeline
from panoptic_depth_core.errors import ConfigError

PUBLISHED = {'network_ms': 60.0, 'published_ms': 40.0, 'ours_ms': 2.0, 'equal_ids': 1.0,
             'things': 14}


def double(value):
    print('not for the parent')
    return 2 * value


def counting(start):
    yield 'loading'
    added = yield {'total': start}
    while True:
        start += added
        added = yield {'total': start}


def wrong(name):
    raise ConfigError(f'{name} is wrong;\n mend it')


def faulty():
    return {}['nonesuch']


def die(*_):
    print('last words', file=sys.stderr, flush=True)
    os._exit(3)


def hang(*_):
    yield {'load_ms': 1.0}
    time.sleep(600)


def never(*_):
    time.sleep(600)


def steady(ms=1.0):
    count, _ = yield {'load_ms': 1.0}
    while True:
        count, _ = yield {'samples': [{'graph': ms}] * count}


def published(*_):
    return dict(PUBLISHED)


def know_tiny_models():
    # What needs no PyTorch is not to wait for it.
    from panoptic_depth_core.network import MODELS

    MODELS['tiny_semantic'] = 'tiny_models:TinySemantic'


def references(*arguments):
    """Those of a model that only tests know."""
    from panoptic_depth_core.benchmark import graphs

    know_tiny_models()
    return graphs.references(*arguments)


def time_pipeline(model, backend, *others):
    """Do that, but TensorRT dies."""
    if backend == 'tensorrt':
        die()
    if backend == 'torch':
        know_tiny_models()
    yield from pipeline.time_pipeline(model, backend, *others)


def gpu(device):
    return 'cuda', 'Abacus 3'


def cpu(device):
    return 'cpu', 'cpu'
