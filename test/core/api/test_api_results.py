# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A result draws itself, and saves itself as ``predict`` would have."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import panoptic_depth_core as pd
import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.io.visualization import depth_color, overlay
from panoptic_depth_core.labels import CLASS_ID, VOID_CLASS, VOID_ID


@pytest.fixture
def result(model: pd.Model, pictures: Path) -> pd.Result:
    """Return that of a.png."""
    return model(pictures / 'a.png', fx=80.0)


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the note of what made them."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*')
            if path.is_file() and path.name != 'run.json'}


def names(folder: Path) -> list[str]:
    """Names in the lists of a folder, which are the same in both."""
    lines = [json.loads(line)['name'] for line in (folder / 'instances.jsonl').open()]
    assert [i['id'] for i in json.loads((folder / 'panoptic.json').read_text())['images']] == lines
    return lines


def without(result: pd.Result, *tasks: str) -> pd.Result:
    """Return what a model of fewer tasks would have said."""
    nothing: dict[str, object] = {}
    if 'depth' in tasks:
        nothing = {'depth': np.full_like(result.depth, np.nan)}
    if {'semantic', 'instances'} <= set(tasks):
        nothing |= {'panoptic': np.full_like(result.panoptic, VOID_ID), 'segments': ()}
    return replace(result, tasks=result.tasks - set(tasks),
                   distances=() if 'instances' in tasks else result.distances, **nothing)


class TestShown:
    """What a result says of itself."""

    def test_instances(self, result: pd.Result) -> None:
        assert [i.class_name for i in result.instances] == ['person', 'car', 'car']
        distances = [i.distance_m for i in result.instances]
        assert distances == sorted(distances)
        assert repr(result).startswith("<Result 'a' 96x48 px of painted: person ")

    def test_stuff_with_a_distance_is_no_instance(self, model_path, image) -> None:
        model = pd.load(model_path, 'onnxruntime', distance={'include_stuff': True})
        result = model(image)
        assert len(result.distances) > len(result.instances) == 3

    def test_semantic(self, result: pd.Result) -> None:
        assert result.semantic.dtype == np.uint8 and result.semantic.shape == (48, 96)
        assert set(np.unique(result.semantic)) - {VOID_CLASS} == {
            CLASS_ID[name] for name in ('road', 'sky', 'car', 'person')}
        assert [c.name for c in result.classes][13] == 'car'

    def test_plot(self, result: pd.Result) -> None:
        np.testing.assert_array_equal(result.plot(), overlay(result.image, result))
        np.testing.assert_array_equal(result.plot('depth'), depth_color(result.depth))
        picture = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(picture[..., ::-1], result.plot())
        with pytest.raises(pd.ConfigError, match="plot: 'panoptic' is not known; give 'overlay'"):
            result.plot('panoptic')

    def test_at_the_size_of_the_network(self, model_path, image) -> None:
        result = pd.load(model_path, 'onnxruntime', output_size='network')(image)
        assert result.plot().shape == (*result.panoptic.shape, 3) == (16, 32, 3)

    def test_of_a_model_with_depth_alone(self, result: pd.Result) -> None:
        result = without(result, 'semantic', 'instances')
        np.testing.assert_array_equal(result.plot(), depth_color(result.depth))
        assert result.instances == () and set(np.unique(result.semantic)) == {VOID_CLASS}
        assert 'no instances' in repr(result)

    def test_of_a_model_without_depth(self, result: pd.Result) -> None:
        result = without(result, 'depth')
        assert result.plot().shape == (48, 96, 3)
        with pytest.raises(pd.ConfigError, match='painted has no depth to draw; its tasks are '
                           'instances, semantic'):
            result.plot('depth')


class TestSaved:
    """One result after the other into a folder."""

    def test_as_predict_writes_it(self, model, model_path, pictures, tmp_path) -> None:
        formats = ('panoptic', 'depth', 'depth_npy', 'instances', 'overlay')
        assert main(['predict', str(pictures), '-o', str(tmp_path / 'predict'), '-m',
                     str(model_path), '--fx', '80', '--formats', ','.join(formats)]) == 0
        wanted = files(tmp_path / 'predict')
        assert len(wanted) == 3 * 4 + 3
        assert model(pictures, fx=80).save(tmp_path / 'stream', formats) == tmp_path / 'stream'
        for name in 'abc':
            model(pictures / f'{name}.png', fx=80).save(str(tmp_path / 'each'), formats)
        assert files(tmp_path / 'stream') == files(tmp_path / 'each') == wanted
        runs = [json.loads((tmp_path / folder / 'run.json').read_text())
                for folder in ('predict', 'stream', 'each')]
        assert runs[1] == runs[2] == {'source': 'Python', **{
            key: runs[0][key] for key in ('model', 'model_sha256', 'settings')}}

    def test_line(self, result: pd.Result, tmp_path) -> None:
        result.save(tmp_path)
        assert json.loads((tmp_path / 'instances.jsonl').read_text()) == result.to_dict()

    def test_again_changes_nothing(self, model, result: pd.Result, pictures, tmp_path) -> None:
        result.save(tmp_path / 'out')
        before = files(tmp_path / 'out')
        result.save(tmp_path / 'out')
        model(pictures / 'a.png', fx=80).save(tmp_path / 'out')
        assert files(tmp_path / 'out') == before

    def test_again_with_more_formats(self, result: pd.Result, tmp_path) -> None:
        result.save(tmp_path / 'two', ['depth'])
        result.save(tmp_path / 'two')
        result.save(tmp_path / 'one')
        assert files(tmp_path / 'two') == files(tmp_path / 'one')

    def test_arrays_accumulate(self, model, image, tmp_path) -> None:
        """Pictures without a name are told apart by their pixels."""
        for pixels in (image, image[:, ::-1], image):
            model(pixels).save(tmp_path)
        first, second = names(tmp_path)
        assert first.startswith('image_') and second.startswith('image_') and first != second

    def test_under_a_name(self, model, image, tmp_path) -> None:
        model(image).save(tmp_path, name='left')
        model(image).save(tmp_path, name='right')
        assert names(tmp_path) == ['left', 'right']
        with pytest.raises(pd.ConfigError, match=r"frame 'a/b': the name cannot name files"):
            model(image).save(tmp_path, name='a/b')

    @pytest.mark.parametrize('formats', [None, ['depth'], ['panoptic'], ['overlay'],
                                         ['depth_npy'], ['instances']])
    def test_another_one_of_the_same_name(self, model, image, tmp_path, formats) -> None:
        model(image, fov=70).save(tmp_path, formats, name='x')
        before = files(tmp_path)
        other = model(np.roll(image, 9, axis=1), fov=70)
        with pytest.raises(pd.ConfigError, match="has another result of the name 'x'; choose"):
            other.save(tmp_path, formats, name='x')
        assert files(tmp_path) == before

    def test_another_camera(self, model, result: pd.Result, pictures, tmp_path) -> None:
        result.save(tmp_path)
        with pytest.raises(pd.ConfigError, match="has another result of the name 'a'"):
            model(pictures / 'a.png', fx=81).save(tmp_path)

    def test_results_of_other_settings_are_not_mixed(self, model_path, result, image,
                                                     tmp_path) -> None:
        result.save(tmp_path)
        other = pd.load(model_path, 'onnxruntime', score=0.5)(image)
        with pytest.raises(pd.ConfigError, match='has results with settings.thresholds.score = '
                           '0.3, this run has 0.5; remove them or choose another folder'):
            other.save(tmp_path)
        assert names(tmp_path) == ['a']

    def test_into_a_folder_of_predict(self, result, model_path, pictures, tmp_path) -> None:
        assert main(['predict', str(pictures), '-o', str(tmp_path), '-m', str(model_path)]) == 0
        with pytest.raises(pd.ConfigError, match='has results with source = .*, this run has '
                           '"Python"'):
            result.save(tmp_path)

    def test_unknown_format(self, result: pd.Result, tmp_path) -> None:
        with pytest.raises(pd.ConfigError, match='formats: tiff; known are panoptic, depth'):
            result.save(tmp_path, ['tiff'])
        with pytest.raises(pd.ConfigError, match="formats: 'depth' is a text; give a list of"):
            result.save(tmp_path, 'depth')

    def test_by_threads(self, model, image, tmp_path) -> None:
        images = [np.roll(image, 3 * i, axis=1) for i in range(12)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda pixels: model(pixels).save(tmp_path), images))
        assert len(names(tmp_path)) == 12

    @pytest.mark.parametrize(('tasks', 'wanted'), [
        (('semantic', 'instances'), {'depth', 'overlay'}),
        (('depth',), {'panoptic', 'panoptic.json', 'panoptic_segments.jsonl', 'instances.jsonl',
                      'overlay'}),
        (('instances', 'depth'), {'panoptic', 'panoptic.json', 'panoptic_segments.jsonl',
                                  'overlay'}),
    ])
    def test_what_the_model_does_not_do_is_absent(self, result, tmp_path, tasks, wanted) -> None:
        without(result, *tasks).save(tmp_path / 'out')
        assert {path.name for path in (tmp_path / 'out').iterdir()} == wanted | {'run.json'}


class TestSavedStream:
    """A stream into a folder, each frame as soon as it is there."""

    def test_what_was_done_stays(self, model, image, tmp_path) -> None:
        def broken():
            yield image
            yield image[:, ::-1]
            raise RuntimeError('the camera is gone')
        with pytest.raises(RuntimeError, match='the camera is gone'):
            model(broken(), fov=70).save(tmp_path)
        assert names(tmp_path) == ['000000', '000001']
        model([image, image[:, ::-1], image], fov=70).save(tmp_path)
        assert names(tmp_path) == ['000000', '000001', '000002']

    def test_another_stream(self, model, image, tmp_path) -> None:
        model([image], fov=70).save(tmp_path)
        with pytest.raises(pd.ConfigError, match="another result of the name '000000'"):
            model([image[:, ::-1]], fov=70).save(tmp_path)

    def test_of_nothing(self, model, tmp_path) -> None:
        model([]).save(tmp_path / 'out')
        assert not (tmp_path / 'out').exists()

    def test_what_is_left(self, model, image, tmp_path) -> None:
        results = model([image, image[:, ::-1]], fov=70)
        next(results)
        results.save(tmp_path, ['instances', 'overlay', 'video', 'bag'])
        assert {path.name for path in (tmp_path / 'overlay').iterdir()} == {'000001.png'}
        assert (tmp_path / 'overlay.mp4').is_file() and (tmp_path / 'bag').is_dir()
