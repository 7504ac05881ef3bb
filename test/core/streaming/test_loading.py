# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Loading the model: at the start, after a failure, and by reload()."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings, Thresholds
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.model_directory import (
    ModelDirectory,
    SelfTest,
    save_model_directory,
    write_model_info,
)
from panoptic_depth_core.status import StreamState
from panoptic_depth_core.streaming import stream
from panoptic_depth_core.structures import Frame, Intrinsics
from streaming_doubles import PATIENCE_S, Rig, Script, ScriptedBackend, eventually, throwing


def state(rig: Rig) -> tuple[StreamState, str]:
    status = rig.stream.status()
    return status.state, status.message


@pytest.mark.parametrize(('error', 'words'), [
    (ConfigError('model.json: gone'), 'the model cannot be loaded: model.json: gone'),
    (BackendError('no GPU'), 'the model cannot be loaded: no GPU'),
    (MemoryError(), 'the model cannot be loaded: MemoryError: '),
])
def test_a_load_that_fails_is_tried_again(error: Exception, words: str, rig: Rig,
                                          caplog: pytest.LogCaptureFixture) -> None:
    tried = []

    def fail(settings: InferenceSettings) -> Pipeline:
        tried.append(settings)
        raise error

    plain, rig.open = rig.open, fail
    rig.stream.start()
    eventually(lambda: len(tried) > 3, 'a fourth attempt')
    assert state(rig) == (StreamState.ERROR, words) and not rig.stream.loaded
    # It is said once, not with every attempt.
    assert [r.message for r in caplog.records] == [words]
    rig.open = plain
    eventually(lambda: rig.stream.loaded)
    assert state(rig) == (StreamState.READY, '')
    rig.stream.set_active(True)
    rig.run(0)
    assert rig.stamps == [0]


def test_an_engine_that_is_built_is_seen(rig: Rig) -> None:
    go_on = threading.Event()

    def build(settings: InferenceSettings) -> Pipeline:
        assert rig.watch(0.25, 'engine is built: tactics')
        assert go_on.wait(PATIENCE_S)
        backend = ScriptedBackend(rig.script)
        backend.engine_key, backend.gpu_memory_bytes = 'fast-sm_86', 300 * 2**20
        return Pipeline(rig.model, backend, settings)

    rig.open = build
    rig.stream.start()
    eventually(lambda: state(rig) == (StreamState.BUILDING, 'engine is built: tactics'))
    status = rig.stream.status()
    assert status.build_progress == 0.25 and status.engine_key == ''
    assert not rig.stream.loaded
    go_on.set()
    eventually(lambda: rig.stream.loaded)
    status = rig.stream.status()
    assert (status.state, status.message) == (StreamState.READY, '')
    assert np.isnan(status.build_progress)
    assert (status.engine_key, status.gpu_memory_bytes) == ('fast-sm_86', 300 * 2**20)


def test_a_build_is_cancelled_by_stop(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    answers = []

    def build(settings: InferenceSettings) -> Pipeline:
        while rig.watch(np.nan, 'waits for another build'):
            time.sleep(0.001)
        answers.append('cancelled')
        raise BackendError('the build was cancelled')

    rig.open = build
    rig.stream.start()
    eventually(lambda: state(rig)[0] == StreamState.BUILDING)
    assert rig.stream.stop(PATIENCE_S)
    assert answers == ['cancelled']
    # Nobody has to be told of what they asked for.
    assert not caplog.records


def test_a_build_that_fails_is_an_error(rig: Rig) -> None:
    def build(settings: InferenceSettings) -> Pipeline:
        rig.watch(0.9, 'engine is built')
        raise BackendError('out of memory')

    rig.open = build
    rig.stream.start()
    eventually(lambda: state(rig) == (StreamState.ERROR,
                                      'the model cannot be loaded: out of memory'))
    assert np.isnan(rig.stream.status().build_progress)


def test_reload_does_not_wait_for_the_next_attempt(
        rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, 'RETRY_S', 3600.0)
    plain, rig.open = rig.open, throwing(ConfigError('not there'))
    rig.stream.start()
    eventually(lambda: state(rig)[0] == StreamState.ERROR)
    rig.open = plain
    rig.stream.reload()
    eventually(lambda: rig.stream.loaded)
    assert state(rig) == (StreamState.READY, '')


def test_stop_does_not_wait_for_the_next_attempt(
        rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, 'RETRY_S', 3600.0)
    rig.open = throwing(ConfigError('not there'))
    rig.stream.start()
    eventually(lambda: state(rig)[0] == StreamState.ERROR)
    assert rig.stream.stop(60.0)


def test_reload(rig: Rig) -> None:
    rig.start()
    rig.hang(0)
    rig.configure(InferenceSettings(thresholds=Thresholds(score=0.75)))
    rig.stream.reload()
    # The frame in hand is not given up.
    assert len(rig.script.opened) == 1
    rig.script.release.set()
    eventually(lambda: len(rig.script.opened) == 2 and rig.stream.loaded)
    assert rig.script.opened[0].closed
    rig.run(1)
    assert rig.stamps == [0, 1]
    # Settings that were changed meanwhile are kept.
    assert rig.script.score_thresholds == pytest.approx([0.3, 0.75])


def test_reload_while_loading_loads_once_more(rig: Rig) -> None:
    """What was changed on the disk since the load began is not to be missed."""
    plain = rig.open

    def reloading(settings: InferenceSettings) -> Pipeline:
        rig.open = plain
        rig.stream.reload()
        return plain(settings)

    rig.open = reloading
    rig.stream.start()
    eventually(lambda: len(rig.script.opened) == 2 and rig.stream.loaded)
    rig.stream.set_active(True)
    rig.run(0)
    assert [backend.closed for backend in rig.script.opened] == [True, False]


@pytest.fixture
def tested_model(make_info, tmp_path: Path) -> ModelDirectory:
    """Return a model directory with a self-test that scripted runtimes pass when they are well."""
    info = make_info()
    return save_model_directory(tmp_path / 'tested', info, b'graph', SelfTest({
        'image': np.zeros((info.input_height, info.input_width, 3), np.uint8),
        'intrinsics': np.array([50, 50, 31.5, 15.5], np.float32),
        'thresholds': info.thresholds.as_vector()}, Script(info).output()))


def test_the_self_test_runs_at_load(make_rig, tested_model: ModelDirectory) -> None:
    with make_rig(tested_model) as rig:
        rig.start()
        assert len(rig.script.score_thresholds) == 1
        rig.run(0)
        assert len(rig.script.score_thresholds) == 2


@pytest.mark.parametrize(('what', 'words'), [
    ('nan', 'self-test of painted on scripted 0: 100.000% of the ids are equal'),
    ('fail', 'the model cannot be loaded: device lost'),
])
def test_a_self_test_that_fails(what: str, words: str, make_rig, tested_model: ModelDirectory,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    with make_rig(tested_model) as rig:
        monkeypatch.setattr(stream, 'RETRY_S', 3600.0)
        rig.script.todo.append(what)
        rig.stream.start()
        eventually(lambda: state(rig)[0] == StreamState.ERROR)
        assert words in state(rig)[1] and not rig.stream.loaded
        eventually(lambda: rig.script.opened[0].closed)
        rig.stream.reload()
        eventually(lambda: rig.stream.loaded)
        assert state(rig) == (StreamState.READY, '')


def test_a_self_test_that_hangs(make_rig, tested_model: ModelDirectory) -> None:
    with make_rig(tested_model) as rig:
        rig.script.todo.append('hang')
        rig.stream.start()
        eventually(lambda: rig.script.hanging)
        rig.watch_after(15.0)
        assert 'inference hangs' in state(rig)[1] and 'scripted 0' in state(rig)[1]
        eventually(lambda: rig.stream.loaded)
        rig.stream.set_active(True)
        rig.run(0)
        assert state(rig) == (StreamState.RUNNING, '')
        # It was no frame that hung.
        assert rig.stream.status().frames_dropped_error == 0


def test_a_model_directory_that_is_broken(rig: Rig, painted_model, painted_image,
                                          tmp_path: Path) -> None:
    """With the real runtime: ERROR and the reason, until somebody mends it."""
    graph = painted_model.onnx_path.read_bytes()
    painted_model.onnx_path.write_bytes(graph[:-1])
    rig.open = lambda settings: Pipeline(painted_model.path, 'onnxruntime', settings, threads=1)
    rig.stream.start()
    eventually(lambda: state(rig)[0] == StreamState.ERROR)
    assert 'it was cut off or replaced: copy or export the model again' in state(rig)[1]
    painted_model.onnx_path.write_bytes(graph)
    eventually(lambda: rig.stream.loaded)
    rig.stream.set_active(True)
    rig.put(5, lambda: Frame(painted_image(32, 64), Intrinsics.from_focal(50.0, 64, 32), 5))
    rig.settle()
    (frame, result), = rig.sent
    assert [d.depth_m for d in result.distances] == [5.0, 10.0, 20.0]
    status = rig.stream.status()
    assert (status.backend, status.model_id) == ('onnxruntime', 'painted')

    # What is broken later is noticed when it is loaded again.
    write_model_info(painted_model.path, painted_model.info.model_copy(
        update={'self_test': 'gone.npz'}))
    rig.stream.reload()
    eventually(lambda: 'gone.npz' in state(rig)[1])
    write_model_info(painted_model.path, painted_model.info)
    eventually(lambda: rig.stream.loaded)
    assert state(rig)[0] == StreamState.RUNNING


def test_a_runtime_that_comes_after_the_end_is_closed(rig: Rig) -> None:
    made = []

    def late(settings: InferenceSettings) -> Pipeline:
        rig.stream._worker.end()
        made.append(ScriptedBackend(rig.script))
        return Pipeline(rig.model, made[0], settings)

    rig.open = late
    rig.stream.start()
    eventually(lambda: made and made[0].closed)
