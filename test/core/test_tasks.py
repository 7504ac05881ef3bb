# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Models that do not do everything: what they do not do is nowhere, all else is as ever."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import panoptic_depth_core as pd
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.cli import main
from panoptic_depth_core.contract import TASKS, Needs, lacking
from panoptic_depth_core.evaluation.metrics.frame import RecordedFrame
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.recordings.worst_frames import draw
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.io.bags.result_bags import NODE
from panoptic_depth_core.io.bags.storage import BagReader
from panoptic_depth_core.io.results.result_folder import DEFAULT_FORMATS, FORMATS, formats_for
from panoptic_depth_core.io.visualization import depth_color, label_text
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.model_directory import ModelInfo, save_model_directory
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, PanopticDepth

TASKS_OF = {'depth_only': ['depth'], 'segmentation': ['instances', 'semantic'],
            'regions': ['depth', 'semantic']}
FILES = {
    'depth_only': {'depth', 'overlay'},
    'segmentation': {'panoptic', 'panoptic.json', 'panoptic_segments.jsonl', 'instances.jsonl',
                     'overlay'},
    'regions': {'panoptic', 'panoptic.json', 'panoptic_segments.jsonl', 'depth', 'overlay'}}
TOPICS = {
    'depth_only': {'output/depth', 'debug/depth_color'},
    'segmentation': {'output/panoptic', 'output/semantic', 'output/instances', 'debug/overlay',
                     'output/label_info'},
    'regions': {'output/panoptic', 'output/semantic', 'output/depth', 'debug/overlay',
                'debug/depth_color', 'output/label_info'}}
FOXGLOVE = {
    'depth_only': {'output/depth', 'output/points'},
    'segmentation': {'output/panoptic', 'output/semantic', 'output/instances',
                     'debug/overlay/compressed', 'foxglove/annotations', 'output/label_info'},
    'regions': {'output/panoptic', 'output/semantic', 'output/depth', 'output/points',
                'debug/overlay/compressed', 'output/label_info'}}
NAMES = list(TASKS_OF)
FX = 80.0

Predict = Callable[..., int]


@pytest.fixture(scope='module')
def models(tmp_path_factory: pytest.TempPathFactory, make_info: Callable[..., ModelInfo],
           painted_onnx: Callable[[ModelInfo], bytes]) -> dict[str, Path]:
    """Painted models by name, each with the outputs of its tasks alone."""
    folder = tmp_path_factory.mktemp('models')
    for name, tasks in TASKS_OF.items():
        info = make_info(model_id=name, tasks=tasks,
                         **({} if 'semantic' in tasks else {'classes': ()}))
        save_model_directory(folder / name, info, painted_onnx(info))
    return {name: folder / name for name in TASKS_OF}


@pytest.fixture
def predict(models: dict[str, Path], pictures: Path, tmp_path: Path) -> Predict:
    """Return predict on the pictures by a model, with more arguments."""
    return lambda name, *more: main(['predict', str(pictures), '-o', str(tmp_path / 'out'),
                                     '-m', str(models[name]), '--fx', str(FX), *more])


@pytest.fixture
def result_of(models: dict[str, Path],
              painted_image: Callable[[int, int], NDArray[np.uint8]]) -> Callable[..., pd.Result]:
    """Return the result of a model for a picture, by the front door."""
    return lambda name: pd.load(models[name], 'onnxruntime')(painted_image(48, 96), fx=FX)


def topics_of(bag: Path) -> set[str]:
    """Topics of the node that have messages, but for that of the camera."""
    reader = BagReader(bag)
    found = {name.removeprefix(f'{NODE}/') for name, topic in reader.topics.items()
             if name.startswith(NODE) and topic.count}
    reader.close()
    return found - {'output/camera_info'}


@pytest.mark.parametrize(('needs', 'tasks', 'words'), [
    ((), {'depth'}, ''),
    (({'depth'},), {'depth'}, ''),
    (({'depth'},), {'semantic'}, 'depth'),
    (({'semantic', 'instances'},), {'instances'}, ''),
    (({'semantic', 'instances'}, {'depth'}), {'semantic'}, 'depth'),
    (({'instances', 'semantic'},), {'depth'}, 'instances or semantic'),
    (({'instances'}, {'depth'}), {'semantic'}, 'instances, depth'),
])
def test_what_is_lacking_in_words(needs: Needs, tasks: set[Any], words: str) -> None:
    assert lacking(needs, frozenset(tasks)) == words


def test_a_model_that_does_everything_lacks_nothing() -> None:
    assert formats_for(TASKS) == DEFAULT_FORMATS
    assert formats_for(TASKS, list(FORMATS)) == tuple(FORMATS)


class TestPredict:
    """Files and words of the command."""

    @pytest.mark.parametrize('name', NAMES)
    def test_only_what_the_model_does(self, predict: Predict, name: str, tmp_path: Path) -> None:
        assert predict(name) == 0
        assert {p.name for p in (tmp_path / 'out').iterdir()} == FILES[name] | {'run.json'}
        assert len(list((tmp_path / 'out/overlay').iterdir())) == 3

    def test_depth_alone(self, predict: Predict, tmp_path: Path, capsys) -> None:
        assert predict('depth_only', '--formats', 'depth_npy,overlay,video') == 0
        assert 'instances' not in capsys.readouterr().out
        depth = np.load(tmp_path / 'out/depth_npy/a.npy')
        assert depth.shape == (48, 96) and np.isfinite(depth).any()
        shown = cv2.imread(str(tmp_path / 'out/overlay/a.png'))[..., ::-1]
        np.testing.assert_array_equal(shown, depth_color(depth))

    def test_without_depth(self, predict: Predict, tmp_path: Path, capsys) -> None:
        """Instances are there, their distances are not known."""
        assert predict('segmentation', '--track') == 0
        shown = capsys.readouterr().out
        assert 'Instances of frame c' in shown and 'person 1' in shown
        assert 'distance m' not in shown and 'near m' not in shown
        records = [json.loads(line) for line in
                   (tmp_path / 'out/instances.jsonl').read_text().splitlines()]
        assert [len(record['instances']) for record in records] == [3, 3, 3]
        for instance in (i for record in records for i in record['instances']):
            assert instance['class_name'] in ('car', 'person') and instance['score'] > 0
            assert instance['distance'] is instance['depth'] is instance['distance_stddev'] is None
            assert instance['position'] == instance['size'] == [None, None, None]
        ids = [{i['track_id'] for i in record['instances']} for record in records]
        assert ids[0] == ids[1] == ids[2] and min(ids[0]) >= 0

    @pytest.mark.parametrize(('name', 'asked', 'words'), [
        ('depth_only', 'overlay,panoptic',
         'panoptic needs a model with the task instances or semantic, but this one has depth; '
         'leave panoptic out or choose another model'),
        ('depth_only', 'instances', 'needs a model with the task instances, but'),
        ('segmentation', 'depth_npy',
         'needs a model with the task depth, but this one has instances, semantic; leave'),
        ('regions', 'instances', 'with the task instances, but this one has depth, semantic'),
    ])
    def test_asked_for_what_it_does_not_do(self, predict: Predict, name: str, asked: str,
                                           words: str, tmp_path: Path, capsys) -> None:
        assert predict(name, '--formats', asked) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / 'out').exists()

    @pytest.mark.parametrize('name', ['depth_only', 'regions'])
    def test_nothing_to_track(self, predict: Predict, name: str, tmp_path: Path, capsys) -> None:
        assert predict(name, '--track') == 2
        assert (f'tracking needs a model with the task instances, but {name} has depth'
                in capsys.readouterr().err)

    def test_no_metrics_of_tracks(self, models: dict[str, Path], capsys) -> None:
        assert main(['evaluate-tracking', 'nowhere', '-d', 'kitti_half',
                     '-m', str(models['regions'])]) == 2
        assert ('tracking needs a model with the task instances, but regions has depth, semantic; '
                'choose another model' in capsys.readouterr().err)

    @pytest.mark.parametrize('name', NAMES)
    def test_goes_on(self, predict: Predict, name: str, capsys) -> None:
        """A frame is done when every format has it that the model can fill."""
        assert predict(name, '--limit', '2', '--bag') == 0
        assert predict(name, '--bag') == 0
        assert '1 frames done' in capsys.readouterr().out
        assert predict(name, '--bag') == 0
        assert '0 frames done' in capsys.readouterr().out

    @pytest.mark.parametrize('name', NAMES)
    def test_topics(self, predict: Predict, name: str, tmp_path: Path) -> None:
        viewers = ['bag', 'foxglove', *(['rrd'] if importlib.util.find_spec('rerun') else [])]
        assert predict(name, '--formats', ','.join(viewers)) == 0
        assert topics_of(tmp_path / 'out/bag') == TOPICS[name]
        assert topics_of(tmp_path / 'out/foxglove') == FOXGLOVE[name]

    @pytest.mark.parametrize(('name', 'entities'), [
        ('depth_only', {'depth'}), ('segmentation', {'classes', 'instances'}),
        ('regions', {'classes', 'depth'})])
    def test_entities(self, predict: Predict, name: str, entities: set[str],
                      tmp_path: Path) -> None:
        pytest.importorskip('rerun', reason='rerun is in the extra [viz]')
        from rerun.chunk import RrdReader

        assert predict(name, '--formats', 'rrd') == 0
        (path,) = (tmp_path / 'out/rerun').glob('*.rrd')
        paths = {str(chunk.entity_path) for chunk in RrdReader(path).store().stream()}
        assert {p.removeprefix('/scene/camera/') for p in paths
                if p.startswith('/scene/camera/')} == entities | {'image'}
        assert '/scene/boxes' not in paths

    def test_help_says_so(self, capsys) -> None:
        assert main(['predict', '--help']) == 0
        shown = ' '.join(capsys.readouterr().out.replace('│', ' ').split())
        assert 'The first four need a model with the task' in shown
        assert 'those of panoptic, depth, instances, overlay that the model supports' in shown


class TestRegions:
    """Distances of regions, of a model without instances, where they are asked for."""

    LISTED: ClassVar = {'output/instances', 'output/detections_3d', 'debug/markers'}

    @pytest.fixture
    def asked(self, tmp_path: Path) -> list[str]:
        """Return the arguments that ask for them."""
        path = tmp_path / 'settings.yaml'
        path.write_text('distance: {include_stuff: true}')
        return ['--config', str(path)]

    def test_files_and_table(self, predict: Predict, asked: list[str], tmp_path: Path,
                             capsys) -> None:
        assert predict('regions', *asked) == 0
        assert {p.name for p in (tmp_path / 'out').iterdir()} == FILES['regions'] | {
            'instances.jsonl', 'run.json'}
        shown = capsys.readouterr().out
        assert 'Nearest regions of frame c' in shown
        assert re.search(r'road +\d+\.\d', shown), 'without a number of an instance'
        records = [json.loads(line) for line in
                   (tmp_path / 'out/instances.jsonl').read_text().splitlines()]
        for record in records:
            # The painted graph paints things, too.
            road, = (i for i in record['instances'] if i['class_name'] == 'road')
            assert len(record['instances']) == 5 and road['instance_id'] == 0
            assert road['distance'] > 0 and None not in road['position']

    def test_topics(self, predict: Predict, asked: list[str], tmp_path: Path) -> None:
        assert predict('regions', '--formats', 'bag,foxglove', *asked) == 0
        assert topics_of(tmp_path / 'out/bag') == TOPICS['regions'] | self.LISTED
        assert self.LISTED - {'debug/markers'} <= topics_of(tmp_path / 'out/foxglove')
        with RecordingReader(tmp_path / 'out/bag', RecordingSettings(), recorded=True) as reader:
            frame = next(iter(reader))
        assert frame.recorded is not None
        assert 'road' in {d.class_name for d in frame.recorded.distances}

    def test_saved_by_the_front_door(self, models: dict[str, Path], painted_image,
                                     tmp_path: Path) -> None:
        result = pd.load(models['regions'], 'onnxruntime',
                         distance={'include_stuff': True})(painted_image(48, 96), fx=FX)
        assert 'road' in {d.class_name for d in result.distances}
        result.save(tmp_path, name='a')
        assert 'instances.jsonl' in {p.name for p in tmp_path.iterdir()}
        assert len(result.to_dict()['instances']) == len(result.distances)

    def test_how_to_ask_is_said(self, predict: Predict, capsys) -> None:
        assert predict('regions', '--formats', 'instances') == 2
        assert ('leave instances out or choose another model, or set distance.include_stuff to '
                'list regions' in ' '.join(capsys.readouterr().err.split()))

    @pytest.mark.parametrize('name', ['depth_only', 'segmentation'])
    def test_of_no_other_model(self, predict: Predict, asked: list[str], name: str,
                               tmp_path: Path) -> None:
        assert predict(name, '--bag', *asked) == 0
        assert {p.name for p in (tmp_path / 'out').iterdir()} == FILES[name] | {'bag', 'run.json'}
        assert topics_of(tmp_path / 'out/bag') == TOPICS[name]


class TestRecorded:
    """Results out of bags, with the tasks of what made them."""

    @pytest.mark.parametrize(('name', 'tasks', 'notes'), [
        ('depth_only', {'depth'}, {'panoptic is not recorded: labels are not known',
                                   'instances is not recorded: distances are not known'}),
        ('segmentation', {'semantic', 'instances'}, {
            'depth is not recorded: depths are not known'})])
    def test_read_back(self, predict: Predict, name: str, tasks: set[str], notes: set[str],
                       tmp_path: Path) -> None:
        assert predict(name, '--bag', '--formats', 'bag') == 0
        with RecordingReader(tmp_path / 'out/bag', RecordingSettings(), recorded=True) as reader:
            frames = list(reader)
            assert set(reader.notes) == {f'{NODE}/output/{note}' for note in notes}
        assert len(frames) == 3
        for item in frames:
            found = item.recorded
            assert found is not None and found.tasks == tasks
            assert np.isnan(found.depth).all() == ('depth' not in tasks)
            assert (found.panoptic == VOID_ID).all() == (tasks == {'depth'})
            assert len(found.distances) == (0 if tasks == {'depth'} else 3)

    @pytest.mark.parametrize('name', ['depth_only', 'segmentation'])
    def test_evaluate_bag(self, predict: Predict, name: str, tmp_path: Path) -> None:
        assert predict(name, '--formats', 'bag') == 0
        assert main(['evaluate-bag', str(tmp_path / 'out/bag'), '--results', 'recorded', '-o',
                     str(tmp_path / 'report'), '--rrd' if importlib.util.find_spec('rerun')
                     else '--mcap']) == 0
        report = json.loads((tmp_path / 'report/report.json').read_text())
        assert report['bags'][0]['frames'] == 3

    @pytest.mark.parametrize(('name', 'rows'), [
        ('depth_only', 1), ('segmentation', 1), ('regions', 2)])
    def test_picture_of_the_worst(self, result_of, name: str, rows: int) -> None:
        result = result_of(name)
        truth = GroundTruth(np.zeros((48, 96), np.int32), depth=np.ones((48, 96), np.float32))
        for item, columns in ((GroundTruth(), 1), (truth, 2)):
            jpeg = draw(RecordedFrame(result.frame, item), result, result.classes)
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert picture.shape == (48 * rows, 96 * columns, 3)


@pytest.mark.parametrize('name', NAMES)
def test_benchmark(models: dict[str, Path], name: str, tmp_path: Path, capsys) -> None:
    assert main(['benchmark', '-m', str(models[name]), '--backend', 'onnxruntime', '--size',
                 '48x96', '--repeats', '2', '--warmup', '0', '-o', str(tmp_path / 'b.json')]) == 0
    assert ('instances each' in capsys.readouterr().out) == ('instances' in TASKS_OF[name])
    stored = json.loads((tmp_path / 'b.json').read_text())
    assert stored['details']['tasks'] == TASKS_OF[name]


class TestFrontDoor:
    """Results that draw and save themselves."""

    @pytest.mark.parametrize('name', NAMES)
    def test_saves_what_predict_writes(self, result_of, name: str, tmp_path: Path) -> None:
        result_of(name).save(tmp_path, name='a')
        assert {p.name for p in tmp_path.iterdir()} == FILES[name] | {'run.json'}

    def test_refuses_what_is_not_there(self, result_of, tmp_path: Path) -> None:
        with pytest.raises(pd.ConfigError, match='depth needs a model with the task depth'):
            result_of('segmentation').save(tmp_path, ['depth'])
        with pytest.raises(pd.ConfigError, match='panoptic needs a model with the task instances'):
            result_of('depth_only').save(tmp_path, ['panoptic'])
        assert not list(tmp_path.iterdir())

    def test_lines(self, result_of) -> None:
        assert 'instances' not in result_of('depth_only').to_dict()
        assert len(result_of('segmentation').to_dict()['instances']) == 3
        assert repr(result_of('segmentation')).endswith(': car, car, person>')

    def test_labels_without_depth_ask_for_none(self, result_of) -> None:
        result = result_of('segmentation')
        told = [label_text(instance, result.tasks) for instance in result.instances]
        assert sorted(told) == ['car', 'car', 'person']
        everything = replace(result, tasks=TASKS)
        assert not np.array_equal(result.plot(), everything.plot())


class TestExtraInputs:
    """What else is known of a frame, and what a graph gets where it is not."""

    @pytest.fixture
    def pipeline(self, make_info, painted_onnx, tmp_path: Path) -> Pipeline:
        """Return a model whose depth is all meters that it is told, else what it sees."""
        onnx = pytest.importorskip('onnx')
        info = make_info(tasks=['depth'], classes=(), extra_inputs=[
            {'name': 'told_m', 'shape': [1, 1]}])
        graph = onnx.load_from_string(painted_onnx(info))
        made = {node.output[0]: node for node in graph.graph.node}
        made['depth'].output[0] = 'seen'
        graph.graph.node.extend([
            onnx.helper.make_node('IsNaN', ['told_m'], ['unknown']),
            onnx.helper.make_node('Where', ['unknown', 'seen', 'told_m'], ['depth'])])
        model = save_model_directory(tmp_path / 'told', info, graph.SerializeToString())
        return Pipeline(model, 'onnxruntime')

    @staticmethod
    def run(pipeline: Pipeline, image: NDArray[np.uint8], **extra: Any) -> PanopticDepth:
        height, width = image.shape[:2]
        return pipeline(Frame(image, Intrinsics.from_focal(FX, width, height),
                              extra_inputs=extra))

    def test_reach_the_graph(self, pipeline: Pipeline, painted_image) -> None:
        image = painted_image(48, 96)
        seen = self.run(pipeline, image).depth
        assert len(np.unique(seen[np.isfinite(seen)])) > 1
        told = self.run(pipeline, image, told_m=np.full((1, 1), 7.5, np.float32)).depth
        np.testing.assert_allclose(told, np.full_like(told, 7.5), rtol=1e-6)
        # A model that does not know it is not disturbed by it.
        other = self.run(pipeline, image, weather=np.zeros(3, np.uint8)).depth
        np.testing.assert_array_equal(other, seen)
