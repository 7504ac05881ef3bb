# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Validation while training: metrics, the best weights, TensorBoard, progress."""

from __future__ import annotations

import json
import math
import sys

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.training import trainer  # noqa: E402
from panoptic_depth_core.training.checkpoint import read_checkpoint  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.validation import Validation  # noqa: E402

MODEL = {'height': 64, 'width': 128}


@pytest.fixture
def validated(recipe):
    recipe['validation'] = {'data': [{'name': 'miniature', 'root': '-', 'limit': 2}], 'every': 2,
                            'model': MODEL}
    return recipe


def _run(recipe, folder, watch=None, resume=False, **changes):
    settings = parse_settings(TrainSettings, {**recipe, **changes}, 'test')
    return trainer.train(settings, folder, watch=watch, resume=resume)


def _validations(folder):
    rows = [json.loads(line) for line in (folder / 'train.jsonl').read_text().splitlines()]
    return {row['iteration']: row['validation'] for row in rows if 'validation' in row}


def test_metrics_come_from_the_pipeline(validated, tmp_path):
    seen = []
    path = _run(validated, tmp_path, lambda run: seen.append(
        (run.iteration, run.done, dict(run.metric_values))), iterations=5)
    found = _validations(tmp_path)
    assert list(found) == [2, 4, 5], 'and at the end'
    for metric_values in found.values():
        assert 0 <= metric_values['pq'] <= 1
        # Weights that have learned next to nothing may call all of it sky: without a depth.
        assert metric_values['score'] == pytest.approx(
            metric_values['pq'] + metric_values.get('delta1', 0.0), abs=2e-4)
    assert any(metric_values.get('abs_rel', 0.0) > 0 for metric_values in found.values())
    best = max(found, key=lambda iteration: found[iteration]['score'])
    assert path.name == 'best.pt' and read_checkpoint(path)['iteration'] == best
    assert [row[:2] for row in seen] == [(i, pytest.approx(i / 5)) for i in range(1, 6)]
    assert not seen[1][2] and seen[2][2]['score'] == pytest.approx(found[2]['score'], abs=1e-4)


def test_the_metrics_are_those_of_the_export(validated, tmp_path):
    pytest.importorskip('onnxscript', reason='needs the extra [export]')
    from miniature import Miniature
    from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
    from panoptic_depth_core.export.onnx_export import export_checkpoint
    from panoptic_depth_core.inference.pipeline import Pipeline
    from panoptic_depth_core.network.base import ModelDescription
    path = _run(validated, tmp_path / 'run', iterations=2)
    described = ModelDescription(**MODEL, weight_type='float32')
    with Pipeline(export_checkpoint(path, tmp_path / 'model', described)) as pipeline:
        result = evaluate(pipeline, [Miniature()[0], Miniature()[3]])
    metric_values = _validations(tmp_path / 'run')[2]
    assert result.depth.per_image.abs_rel == pytest.approx(metric_values['abs_rel'], abs=2e-3)
    assert result.panoptic.all.pq == pytest.approx(metric_values['pq'], abs=2e-3)


def test_the_best_is_kept_also_over_a_resume(validated, tmp_path, monkeypatch):
    scores = iter([0.5, 0.9, 0.2, math.nan, 0.8])

    def validator(*_args):
        def measure():
            score = next(scores)
            return Validation({} if math.isnan(score) else {
                'a': {'pq': score}}, None)
        measure.every = 2
        return measure

    monkeypatch.setattr(trainer, 'Validator', validator)
    _run(validated, tmp_path, iterations=6)
    assert read_checkpoint(tmp_path / 'best.pt')['iteration'] == 4
    path = _run(validated, tmp_path, iterations=10, resume=True)
    assert read_checkpoint(path)['iteration'] == 4 and next(scores, None) is None
    assert _validations(tmp_path)[8]['score'] is None
    assert read_checkpoint(tmp_path / 'last.pt')['best'] == 0.9


def test_wrong_validation_data_is_found_at_the_start(validated, tmp_path):
    validated['validation']['data'][0]['name'] = 'minature'
    with pytest.raises(ConfigError, match="unknown name 'minature'"):
        _run(validated, tmp_path)


def test_a_size_that_no_export_has_is_found_at_the_start(validated, tmp_path):
    validated['validation']['model'] = {'height': 100, 'width': 128}
    with pytest.raises(ConfigError, match='128x100; give multiples of 64 px'):
        _run(validated, tmp_path)


def test_data_sets_count_the_same_and_missing_labels_do_not_count():
    found = Validation({'real': {'pq': 0.2}, 'made': {'pq': 0.6, 'delta1': 0.5}}, None)
    assert found.metric_values == {'pq': pytest.approx(0.4), 'delta1': 0.5}
    assert found.score == pytest.approx(0.9)


def test_each_data_set_has_its_metrics(validated, tmp_path):
    validated['validation']['data'] *= 2
    with pytest.raises(ConfigError, match='miniature:val is there twice'):
        _run(validated, tmp_path, iterations=2)
    validated['validation']['data'] = [
        {'name': 'miniature', 'root': '-', 'split': split, 'limit': 1} for split in 'ab']
    _run(validated, tmp_path, iterations=2)
    row = json.loads((tmp_path / 'train.jsonl').read_text().splitlines()[-1])
    by_data = row['by_data']
    assert list(by_data) == ['miniature:a', 'miniature:b']
    assert row['validation']['abs_rel'] == pytest.approx(
        sum(found['abs_rel'] for found in by_data.values()) / 2, abs=2e-4)


def test_tensorboard_has_scalars_and_pictures(validated, tmp_path):
    reader = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    _run(validated, tmp_path, iterations=2, tensorboard=True)
    events = reader.EventAccumulator(str(tmp_path / 'tensorboard'))
    events.Reload()
    assert {'loss/total', 'loss/depth', 'learning_rate', 'images_per_s',
            'validation/pq', 'miniature:val/abs_rel'} <= set(events.Tags()['scalars'])
    assert [e.step for e in events.Scalars('loss/total')] == [1, 2]
    picture = events.Images('validation')[0]
    assert (picture.height, picture.width) == (64, 128)


def test_without_tensorboard_one_line_says_so(recipe, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    _run(recipe, tmp_path, iterations=1, tensorboard=True)
    assert [r.getMessage() for r in caplog.records if 'TensorBoard' in r.getMessage()] == [
        "no TensorBoard: it is not installed; run: pip install 'panoptic-depth[train]', or set "
        'tensorboard: false in the recipe']
    assert not (tmp_path / 'tensorboard').exists()


def test_the_command_shows_where_it_is(validated, tmp_path, capsys):
    from panoptic_depth_core.cli import main
    from panoptic_depth_core.cli.console import run_progress
    path = tmp_path / 'recipe.yaml'
    path.write_text(json.dumps(validated))
    assert main(['train', str(path), '-o', str(tmp_path / 'run')]) == 0
    shown = capsys.readouterr()
    assert 'best.pt; make a model directory' in shown.out
    assert '100% it 6' in shown.err and 'images/s' in shown.err
    with run_progress('train') as progress:
        progress(0.5, 'resumed')
        progress(0.75, 'half of the rest')
    assert 'ETA 0:00:00' in capsys.readouterr().err
