# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Steps of the pipeline by runtime, graphs against references, and what goes wrong."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from panoptic_depth_core.benchmark.pipeline import (
    ROUND_FRAMES,
    measure_pipeline,
    pictures,
    split_model,
    street_image,
    take_turns,
    time_pipeline,
)
from panoptic_depth_core.benchmark.report import NOT_RUN
from panoptic_depth_core.benchmark.worker import Worker
from panoptic_depth_core.cli import main
from panoptic_depth_core.config import InferenceSettings, Thresholds
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.pipeline import STEPS
from panoptic_depth_core.model_directory import save_model_directory
from panoptic_depth_core.structures import Frame, Intrinsics


def test_run(painted_model, painted_image):
    """Frames of one's own; a backend that is not there does not stop the others."""
    frame = Frame(painted_image(64, 128), Intrinsics.from_focal(100.0, 128, 64))
    report = measure_pipeline(
        painted_model.path, ('onnxruntime', 'nonesuch'), frames=[frame], warmup=1,
        repeats=ROUND_FRAMES + 1, threads=1,
        settings=InferenceSettings(thresholds=Thresholds(score=0.5)))
    *good, bad = report.rows
    assert [row['step'] for row in good] == [*STEPS, 'host', 'total']
    for row in good:
        assert 0 < row['median_ms'] <= row['p95_ms'] <= row['p99_ms'] and row['ratio'] == 1.0
    median = {row['step']: row['median_ms'] for row in good}
    assert median['graph'] < median['total']
    about = report.details['backends'][0]
    assert (about['frames'], about['instances']) == (ROUND_FRAMES + 1, 3)
    assert about['load_ms'] > 0 and about['peak_mib'] > 10
    assert bad['backend'] == 'nonesuch' and "'nonesuch' is not known" in bad[NOT_RUN]
    assert report.title == 'painted: image 128x64, network input 64x32, threads 1'
    assert report.notes[0].startswith(f'onnxruntime: {ROUND_FRAMES + 1} frames, about 3 instances '
                                      'each, loaded in ')
    assert '| onnxruntime | host |' in report.to_markdown()


def test_models_of_several_precisions(painted_model, make_info, painted_onnx, tmp_path):
    """Rows are labeled by what was asked for; an input of another size is no comparison."""
    other = save_model_directory(tmp_path / 'other', painted_model.info,
                                 painted_model.onnx_path.read_bytes())
    small = make_info(input_width=128)
    wide = save_model_directory(tmp_path / 'wide', small, painted_onnx(small))
    named = f'onnxruntime:threads=1:model={other.path}'
    report = measure_pipeline(
        painted_model.path, ('onnxruntime', named, f'onnxruntime:model={wide.path}'),
        frames=pictures(None, (32, 64)), warmup=0, repeats=1, threads=2)
    assert {row['backend'] for row in report.rows if 'median_ms' in row} == {'onnxruntime', named}
    assert f'| {named} | graph |' in report.to_markdown()
    assert ('the input is 32x128, that of the others 32x64; time models of one size'
            in report.rows[-1][NOT_RUN])


@pytest.mark.parametrize(('spec', 'parts'), [
    ('torch', ('torch', None)), ('torch:device=cuda', ('torch:device=cuda', None)),
    ('onnxruntime:model=a/b:threads=2', ('onnxruntime:threads=2', 'a/b'))])
def test_model_of_a_backend(spec, parts):
    assert split_model(spec) == parts


def test_agreement_with_references(painted_model):
    """A reference that differs in one pixel shows."""
    test = painted_model.load_self_test()
    index = test.output.segment_index.copy()
    index[0, 0] ^= 1
    other = replace(test, output=replace(test.output, segment_index=index))
    with Worker(time_pipeline, painted_model.path, 'onnxruntime', pictures(None, (32, 64)),
                InferenceSettings(), {}, (32, 64), [test, other]) as worker:
        timing, = take_turns([worker], 1, 3, limit_s=60)
    assert len(timing.samples) == 3
    assert timing.about['equal_ids'] == pytest.approx(1 - 1 / index.size)
    assert timing.about['depth_error'] == pytest.approx(0.0, abs=1e-6)
    assert timing.about['gpu_mib'] == 0


def test_no_backend_at_all(painted_model):
    with pytest.raises(BackendError, match="no backend could run: nonesuch: backend 'nonesuch'"):
        measure_pipeline(painted_model.path, ('nonesuch',), frames=pictures(None, (32, 64)))


def test_minutes_are_kept(painted_model):
    begun = time.monotonic()
    report = measure_pipeline(painted_model.path, ('onnxruntime',), repeats=10 ** 6,
                              frames=pictures(None, (32, 64)), minutes=0.1)
    assert time.monotonic() - begun < 20
    assert 0 < report.details['backends'][0]['frames'] < 10 ** 6


@pytest.mark.parametrize('changes', [{'repeats': 0}, {'warmup': -1}, {'minutes': 0}])
def test_numbers_that_make_no_sense(painted_model, changes):
    with pytest.raises(ConfigError, match='give at least 1, 0 and more than 0'):
        measure_pipeline(painted_model.path, ('onnxruntime',), frames=[], **changes)


def test_frames_of_several_sizes(painted_model):
    frames = [Frame(np.zeros((h, 64, 3), np.uint8), Intrinsics.from_focal(50, 64, h))
              for h in (32, 48)]
    with pytest.raises(ConfigError, match=r'frames of sizes .*32, 64.*48, 64.* of one size'):
        measure_pipeline(painted_model.path, ('onnxruntime',), frames=frames)


def test_street_image():
    image = street_image(48, 96, 3)
    assert image.shape == (48, 96, 3) and image.dtype == np.uint8
    assert (image == street_image(48, 96, 3)).all()
    assert (image != street_image(48, 96, 4)).any()
    assert image[:8, :, 2].mean() > image[-8:, :, 2].mean()


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--what', 'replay', '--backend', 'torch'], '--backend has no effect with --what replay; it '
     'is for pipeline'),
    (['--frames', '5'], '--frames has no effect with --what pipeline; it is for replay, scoring'),
    (['--size', '64x128,128x128'], 'give one size, several are for --what runtimes'),
    (['--what', 'x'], "--what is 'x'; choose pipeline, runtimes"),
])
def test_options_that_would_be_ignored_are_refused(arguments, words, capsys):
    assert main(['benchmark', *arguments]) == 2
    assert words in capsys.readouterr().err
