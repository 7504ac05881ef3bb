# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Nested phases of a build as one share of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.engines.build import BuildProgress

Phase = tuple[int, list['Phase']]
"""Steps that are completed, and phases inside of each of them."""

PHASES = st.recursive(st.tuples(st.integers(0, 5), st.just([])),
                      lambda inner: st.tuples(st.integers(0, 5), st.lists(inner, max_size=4)))


def run(progress: BuildProgress, phase: Phase, steps: int, name: str = 'all',
        parent: str | None = None) -> None:
    """Go through a phase as TensorRT does, which may leave out steps."""
    done, inner = phase
    progress.phase_start(name, parent, steps)
    for step in range(done):
        for index, child in enumerate(inner):
            run(progress, child, 5, f'{name}.{index}', name)
        progress.step_complete(name, step)
    progress.phase_finish(name)


@given(PHASES)
def test_share_only_grows(phase: Phase) -> None:
    """Whatever phases there are, the share goes from 0 to 1."""
    shares: list[float] = []

    def watch(share: float, what: str) -> bool:
        shares.append(share)
        return True

    run(BuildProgress(watch), phase, 5)
    assert shares == sorted(shares)
    assert shares[0] == 0.0 and shares[-1] == 1.0


def test_shares_by_hand() -> None:
    """A step of two is a half; the first phase in a step is half of it, the next a quarter."""
    told: list[tuple[float, str]] = []
    progress = BuildProgress(lambda share, what: told.append((share, what)) or True)
    progress.report('reading')
    progress.phase_start('all', None, 2)
    assert progress.step_complete('all', 0)
    progress.phase_start('inner', 'all', 2)
    assert progress.step_complete('inner', 0)
    progress.phase_finish('inner')
    progress.phase_start('next', 'all', 1)
    progress.phase_finish('next')
    assert progress.step_complete('all', 1)
    progress.phase_finish('all')
    assert told == [
        (0.0, 'reading'), (0.0, 'all'), (0.5, 'all'), (0.5, 'inner'), (0.625, 'inner'),
        (0.75, 'inner'), (0.75, 'next'), (0.875, 'next'), (1.0, 'all'), (1.0, 'all')]


def test_cancelled_for_good() -> None:
    """After the watch has said so it is not asked again, and no step goes on."""
    asked = []
    progress = BuildProgress(lambda share, what: bool(asked.append(what)))
    progress.phase_start('all', None, 2)
    assert progress.cancelled
    assert not progress.step_complete('all', 0)
    progress.phase_finish('all')
    assert asked == ['all']


def test_unknown_phases_are_no_fault() -> None:
    """TensorRT may name what it never started."""
    progress = BuildProgress(lambda share, what: True)
    progress.phase_start('inner', 'never started', 2)
    assert progress.step_complete('never started', 3)
    progress.phase_finish('never started')
    assert progress.step_complete('inner', 0)
    assert progress.share == 0.5


def test_watch_that_fails() -> None:
    """Its exception is kept, as none gets through TensorRT, and ends the build."""
    def fail(share: float, what: str) -> bool:
        raise KeyboardInterrupt

    progress = BuildProgress(fail)
    progress.report('reading')
    assert progress.cancelled and isinstance(progress.failure, KeyboardInterrupt)
