# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a builder says of its nested phases, as one share that only grows."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ..status import Watch


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: float = 0.0


class BuildProgress:
    """
    Share of a build that is done; tells a watch, and whether to go on.

    A phase has steps, which all count the same, as nobody knows how long they take. In a step, the
    phase around may have phases inside of it, nobody knows how many: each takes half of what is
    left of the step. TensorRT may call from any thread.

    :ivar share: 0..1.
    :ivar cancelled: the watch said so, or failed.
    :ivar failure: what the watch raised; exceptions do not get through TensorRT.
    """

    def __init__(self, watch: Watch) -> None:
        self.share = 0.0
        self.cancelled = False
        self.failure: BaseException | None = None
        self._watch = watch
        self._lock = threading.Lock()
        self._phases: dict[str, _Phase] = {}

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Begin a phase of so many steps inside of another one."""
        with self._lock:
            self._phases[name] = _Phase(parent, steps)
            self._tell(name)

    def step(self, name: str, step: int) -> bool:
        """
        End a step, counted from 0.

        :returns: whether to go on.
        """
        with self._lock:
            if phase := self._phases.get(name):
                phase.done = step + 1
            self._tell(name)
            return not self.cancelled

    def finish(self, name: str) -> None:
        """End a phase, also one that has not gone through all of its steps."""
        with self._lock:
            if phase := self._phases.get(name):
                phase.done = phase.steps
                self._tell(name)
                del self._phases[name]
                if around := self._phases.get(phase.parent or ''):
                    around.done += _rest_of_step(around) / 2

    def tell(self, what: str) -> None:
        """Tell of work that is no phase."""
        with self._lock:
            self._tell(what)

    def _tell(self, what: str) -> None:
        if self.cancelled:
            return
        self.share = max(self.share, self._share_of(what))
        try:
            self.cancelled = not self._watch(self.share, what)
        except BaseException as failure:
            self.failure, self.cancelled = failure, True

    def _share_of(self, name: str | None) -> float:
        """Share of the outermost phase around the one that is named."""
        share = 0.0
        while name is not None and (phase := self._phases.get(name)):
            share = min((phase.done + share * _rest_of_step(phase) / 2) / max(phase.steps, 1), 1.0)
            name = phase.parent
        return share


def _rest_of_step(phase: _Phase) -> float:
    """Share of the step at which a phase is that is not done yet, 0..1."""
    return 1.0 - phase.done % 1.0


def progress_monitor(module: Any, progress: BuildProgress) -> Any:
    """Return an IProgressMonitor of a TensorRT module; it must outlive the build."""
    class ProgressMonitor(module.IProgressMonitor):
        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """Is called by TensorRT."""
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Is called by TensorRT; False ends the build."""
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            """Is called by TensorRT."""
            progress.finish(phase_name)

    return ProgressMonitor()
