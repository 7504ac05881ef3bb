# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth card`` with the painted model: its numbers, its files, its errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.benchmark.card import PARTS, CardSettings
from panoptic_depth_core.benchmark.evaluation import write_frames
from panoptic_depth_core.cli import main
from panoptic_depth_core.config import parse_settings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.corruptions import CORRUPTIONS
from panoptic_depth_core.evaluation.report import card as pages
from panoptic_depth_core.evaluation.report import card_tables
from panoptic_depth_core.model_directory import ModelInfo, save_model_directory

FRAMES = 6
SIZE = (64, 128)
USE = 'Painted pictures'


@pytest.fixture(scope='module')
def places(tmp_path_factory: pytest.TempPathFactory, make_info: Callable[..., ModelInfo],
           painted_onnx: Callable[[ModelInfo], bytes],
           painted_image: Callable[[int, int], NDArray[np.uint8]]) -> tuple[Path, Path]:
    """A Cityscapes-DVPS of painted frames, and the painted model."""
    top = tmp_path_factory.mktemp('card')
    write_frames(top / 'dvps', top / 'results', FRAMES, SIZE)
    for path in (top / 'dvps/video_sequence/val').glob('*_leftImg8bit.png'):
        path.unlink()
        cv2.imwrite(str(path), painted_image(*SIZE)[..., ::-1])
    info = make_info(description='It is painted.', intended_use=(USE,),
                     known_limits=('All <b>others</b>',), parameters=3_000_000,
                     weights_data=({'name': 'paint', 'licence': 'CC0-1.0'},))
    save_model_directory(top / 'painted', info, painted_onnx(info))
    return top / 'dvps', top / 'painted'


def run(places: tuple[Path, Path], out: Path, *options: str) -> int:
    data, model = places
    return main(['card', str(model), '-d', f'cityscapes_dvps:{data}', '--draws', '20',
                 '--corruption-frames', '1', '--severities', '2', '--threads', '1', '-o',
                 str(out), *options])


@pytest.fixture(scope='module')
def folder(places: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('out')
    assert run(places, out, '--skip', 'speed') == 0
    return out


@pytest.fixture
def card(folder: Path) -> dict[str, Any]:
    return pages.read_card(folder / 'card.json')


def test_numbers_are_those_of_evaluate(card: dict[str, Any], places: tuple[Path, Path],
                                       tmp_path: Path) -> None:
    data, model = places
    assert main(['evaluate', str(data), '-d', 'cityscapes_dvps', '-m', str(model), '--threads',
                 '1', '-o', str(tmp_path)]) == 0
    found = json.loads((tmp_path / 'evaluation.json').read_text())
    (own,) = card['data']
    assert own['frames'] == FRAMES
    values = {name: value['value'] for name, value in own['values'].items()}
    assert values['semantic.miou'] == pytest.approx(found['semantic']['miou'], rel=1e-5)
    assert values['panoptic.pq'] == pytest.approx(found['panoptic_quality']['all']['pq'], rel=1e-5)
    assert values['depth.abs_rel'] == pytest.approx(found['depth']['pooled']['abs_rel'], rel=1e-5)
    for value in own['values'].values():
        if value['low'] is not None and value['value'] is not None:
            assert value['low'] <= value['high']
    assert own['values']['depth.abs_rel']['low'] < values['depth.abs_rel'] < (
        own['values']['depth.abs_rel']['high'])
    assert values['risk.depth.risk_100'] > 0


def test_most_common_thing_has_a_row(card: dict[str, Any]) -> None:
    (data,) = card['data']
    by_class = {'true_positives': {'road': 99, 'person': 2, 'car': 5},
                'false_negatives': {'road': 0, 'person': 3, 'car': 1},
                'pq': {'road': 0.9, 'person': 0.3, 'car': 0.625},
                'frames': {'road': FRAMES, 'person': FRAMES, 'car': 5}}
    card = {**card, 'things': ['person', 'car'], 'data': [{
        **data, 'detail': {'panoptic': {'by_class': by_class}},
        'intervals': {'panoptic/by_class.pq.car': [0.5, 0.75]}}]}
    rows = [tuple(row) for row in card_tables.main_table(card).rows]
    at = rows.index(('PQ of car', '62.5 % (50.0 to 75.0; 5 frames)'))
    assert rows[at - 1][0] == 'PQ of things'
    assert not any('person' in row[0] for row in rows)


def test_coverage_with_the_mounting_known_is_beside_that_without(card: dict[str, Any]) -> None:
    (data,) = card['data']
    told = {**card, 'data': [{**data, 'with_mounting': {
        key: value for key, value in data.items() if key in ('values', 'frames')}}]}
    titles = [row[0] for row in card_tables.sure_table(told).rows]
    assert titles[1:4] == ['pixels in their 95 % range of depth',
                           'pixels in their 68 % range, mounting known',
                           'pixels in their 95 % range, mounting known']
    assert not any('mounting' in row[0] for row in card_tables.sure_table(
        {**card, 'data': [{**data, 'with_mounting': None}]}).rows)


def test_corruptions_are_relative_to_the_same_frame(card: dict[str, Any]) -> None:
    found = card['corruptions']
    assert list(found['by_name']) == list(CORRUPTIONS)
    assert found['severities'] == [2] and len(found['frames']) == 1
    for name, by_severity in found['by_name'].items():
        assert list(by_severity) == ['2'] and by_severity['2'] == found['mean'][name]
        for key, value in found['mean'][name].items():
            if found['clean'][key]:
                assert found['relative'][name][key] == pytest.approx(
                    value / found['clean'][key], rel=1e-4)
    # Noise changes the numbers that the painted model reads.
    assert found['relative']['gaussian_noise']['semantic.miou'] < 0.9
    assert 'heights' not in card and 'weather' not in card


def test_the_same_seed_gives_the_same_card(card: dict[str, Any], places: tuple[Path, Path],
                                           tmp_path: Path) -> None:
    assert run(places, tmp_path, '--skip', 'speed,corruptions') == 0
    again = pages.read_card(tmp_path / 'card.json')
    assert again['data'] == card['data'] and 'corruptions' not in again
    assert run(places, tmp_path, '--skip', 'speed,corruptions', '--seed', '5', '--limit',
               str(FRAMES)) == 0
    other = pages.read_card(tmp_path / 'card.json')
    assert other['data'][0]['intervals'] != card['data'][0]['intervals']
    assert other['data'][0]['detail'] == card['data'][0]['detail']
    command = other['run']['command']
    assert command.startswith('panoptic-depth card ') and '--seed 5' in command
    assert '-o' not in command.split() and '--skip speed,corruptions' in command


class Page(HTMLParser):
    """What a page loads, and its sections."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == 'section':
            self.sections.append(found['id'] or '')
        self.loaded += [value or '' for key, value in attrs if key in ('src', 'srcset')]
        if tag in ('script', 'link'):
            self.loaded.append(tag)


def test_pages(folder: Path, card: dict[str, Any]) -> None:
    """First what it is, how good, and where not to use it; nothing is loaded from elsewhere."""
    text = (folder / 'card.html').read_text()
    page = Page(text)
    assert page.loaded == []
    assert page.sections[:3] == ['figures', 'limits', 'model']
    assert set(page.sections) >= {'classes', 'ranges', 'uncertainty', 'corruptions', 'measured'}
    assert '<b>others' not in text and 'All &lt;b&gt;others' in text
    markdown = (folder / 'MODEL_CARD.md').read_text()
    assert markdown == pages.card_markdown(card)
    assert markdown.index('How good it is') < markdown.index('| mIoU |') < markdown.index(
        'Where not to use it') < markdown.index(USE) < markdown.index('By class')
    for page_text in (text, markdown):
        assert 'It is painted. Depth, instances, semantic; input' in page_text
    assert '| paint | CC0-1.0 | - |' in markdown and '3.0 million parameters' in markdown
    assert card['run']['command'] in markdown.replace('\\', '')


def test_data_behind_the_weights_that_nobody_states(card: dict[str, Any]) -> None:
    text = pages.card_markdown({**card, 'model': {
        **card['model'], 'weights_data': [], 'description': ''}})
    assert '### Trained on\n\nIts makers do not say.' in text
    assert '\n\nDepth, instances, semantic; input' in text


def test_without_intervals_none_are_explained(card: dict[str, Any]) -> None:
    def lines(draws: int) -> str:
        run = {**card['run'], 'settings': {**card['run']['settings'], 'draws': draws}}
        return '\n'.join(card_tables.how_measured({**card, 'run': run}))

    assert '95 % intervals of 20 resamples of the frames, seed 0' in lines(20)
    assert 'resamples' not in lines(0) and 'not computed' in lines(0)


def test_plots(folder: Path) -> None:
    pytest.importorskip('matplotlib')
    text = (folder / 'card.html').read_text()
    # By distance, coverage, two risks and corruptions; no cameras.
    assert text.count('<svg class="plot"') == 5


def test_without_matplotlib_the_page_says_so(card: dict[str, Any], tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    def no_plots(_: Any) -> None:
        raise ImportError('No module named matplotlib', name='matplotlib')

    monkeypatch.setattr(pages, 'card_plots', no_plots)
    paths, missing = pages.write_card(card, tmp_path)
    assert isinstance(missing, ImportError) and all(path.is_file() for path in paths)
    assert 'matplotlib is not installed' in (tmp_path / 'card.html').read_text()


def test_the_table_goes_into_documents(card: dict[str, Any], tmp_path: Path) -> None:
    folder, readme = tmp_path / 'fast', tmp_path / 'README.md'
    pages.write_card({**card, 'data': card['data'] * 2}, folder)
    readme.write_text('a\n<!-- card fast: begin -->\nold\n<!-- card fast: end -->\nb\n')
    pages.main([str(folder / 'card.json'), str(readme)])
    lines = readme.read_text().splitlines()
    assert lines[:2] == ['a', '<!-- card fast: begin -->']
    assert lines[-2:] == ['<!-- card fast: end -->', 'b'] and 'old' not in lines
    assert lines[2].count(f'cityscapes_dvps, val ({FRAMES} frames)') == 2
    assert any(line.startswith('| mIoU | ') for line in lines)
    with pytest.raises(ConfigError, match=r'card painted: begin'):
        pages.update(card, 'painted', readme)
    with pytest.raises(ConfigError, match='no card is given'):
        pages.main([])


@pytest.mark.parametrize(('text', 'words'), [
    ('{', 'is not card.json'), ('{"format": 1}', 'is not card.json'),
    ('{"format": 1, "model": {"model_id": "x"}}', 'is not card.json'),
    ('{"format": 0, "model": {"model_id": "x"}}', 'another version')])
def test_no_card(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / 'card.json').write_text(text)
    with pytest.raises(ConfigError, match=words):
        pages.read_card(tmp_path / 'card.json')


@pytest.mark.parametrize(('options', 'words'), [
    ([], 'give -d NAME:ROOT'), (['-d', 'kitti_half'], 'give NAME:ROOT'),
    (['-d', 'synthetic', '--severities', '1,6'], 'severities are 1 to 5'),
    (['-d', 'synthetic', '--severities', 'all'], 'give numbers'),
    (['-d', 'synthetic', '--skip', 'night'], "'night' is no part; known: mounting"),
    (['-d', 'synthetic', '-d', 'synthetic:24:val'], 'synthetic:24:val is given twice'),
    (['-d', 'nowhere:x'], 'unknown name')])
def test_errors(options: list[str], words: str, places: tuple[Path, Path], tmp_path: Path,
                capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['card', str(places[1]), '-o', str(tmp_path), *options]) == 2
    assert words in capsys.readouterr().err


def test_parts_are_named_in_the_help(capsys: pytest.CaptureFixture[str],
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('COLUMNS', '300')
    main(['card', '--help'])
    assert ', '.join(PARTS) in ' '.join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_synthetic_scenes_are_studied(places: tuple[Path, Path], tmp_path: Path) -> None:
    """Heights, focal lengths, weather and unknown objects, and the time of the pipeline."""
    pytest.importorskip('embreex', reason='needs the extra [synthetic]')
    assert main(['card', str(places[1]), '-d', 'synthetic', '--scenes', '1', '--study-scenes', '1',
                 '--skip', 'corruptions', '--draws', '5', '--threads', '1', '-o',
                 str(tmp_path)]) == 0
    card = pages.read_card(tmp_path / 'card.json')
    assert [found['height_m'] for found in card['heights']] == [0.4, 0.8, 1.2, 1.65, 2.2]
    assert all(found['with_mounting']['frames'] == 1 for found in card['focal'])
    assert [found['name'] for found in card['weather']] == ['day', 'night', 'fog', 'rain']
    assert any(name.startswith(card_tables.UNKNOWN_OBJECTS)
               for name in card['unknown_objects']['values'])
    assert card['speed']['steps']['total']['median_ms'] > 0
    page = Page((tmp_path / 'card.html').read_text())
    assert {'cameras', 'weather', 'unknown', 'speed'} <= set(page.sections)


def test_where_not_to_use_it() -> None:
    """Every rule speaks of what is bad, worst first, and of nothing else."""
    def values(**found: float) -> dict[str, Any]:
        names = {'miou': 'semantic.miou', 'abs_rel': 'depth.abs_rel',
                 'covered': 'calibration.labels.coverage_95',
                 'overlooked': 'unknown_objects.overlooked_share'}
        return {'values': {names[key]: {'value': value} for key, value in found.items()}}

    ranges = [{'near_m': 0.0, 'far_m': 10.0, 'abs_rel': 0.1},
              {'near_m': 10.0, 'far_m': 20.0, 'abs_rel': 0.3}]
    card = {
        'data': [{'name': 'town', **values(covered=0.95), 'with_mounting': values(covered=0.55),
                  'detail': {
            'semantic': {'by_class': {
                'iou': {'road': 0.9, 'pole': 0.3, 'fence': 0.1, 'bus': 0.0, 'train': None},
                'truth_share': {'road': 0.9, 'pole': 0.01, 'fence': 0.01, 'bus': 1e-5,
                                'train': 0.0}}},
            'depth': {'by_range': ranges}}}],
        'heights': [{'height_m': 0.4, **values(abs_rel=0.5, covered=0.6)},
                    {'height_m': 1.2, **values(abs_rel=0.1, covered=0.9)}],
        'unknown_objects': values(overlooked=0.2),
        'weather': [{'name': 'day', **values(miou=0.6)}, {'name': 'night', **values(miou=0.2)},
                    {'name': 'fog', **values(miou=0.5)}],
        'corruptions': {'relative': {'shot_noise': {'semantic.miou': 0.2},
                                     'fog': {'semantic.miou': 0.9, 'depth.abs_rel': 2.5},
                                     'snow': {'depth.abs_rel': 1.9}, 'mean': {}},
                        'mean': {'shot_noise': {'calibration.labels.coverage_95': 0.5},
                                 'fog': {}, 'mean': {}}}}
    assert card_tables.weak_spots(card) == [
        'Classes mostly missed or confused on town (IoU): fence 10.0 %, pole 30.0 %.',
        'Depth on town, mounting not told (absRel): 10 to 20 m 30.0 %.',
        'Depth of cameras whose mounting is not told, synthetic scenes (absRel): '
        '0.4 m high 50.0 %.',
        'Pictures that are disturbed; left of the mIoU is: shot noise 20.0 %, synthetic '
        'night 33.3 %.',
        'Pictures that are disturbed; absRel is, of that without: fog 250 %.',
        'Its uncertainty is too small; in the 95 % range are, of the pixels: shot noise 50.0 %, '
        'town with the mounting known 55.0 %, cameras 0.4 m high 60.0 %.',
        'Objects of no class on the road of synthetic scenes, called ground and seen as far as '
        'it: overlooked 20.0 %.']
    good = {'data': [{'name': 'town', **values(covered=0.95), 'detail': {}}]}
    assert card_tables.weak_spots(good) == []


def test_what_no_data_set_can_judge_is_said() -> None:
    def data(**shares: float) -> dict[str, Any]:
        return {'name': 'town', 'split': 'val', 'values': {'semantic.miou': {'value': 0.9}},
                'detail': {'semantic': {'by_class': {'iou': {}, 'truth_share': shares}}}}

    card = {'model': {'tasks': ['depth', 'semantic']}, 'classes': ['road', 'bus', 'train'],
            'data': [data(road=0.5, bus=0.0), data(bus=0.1)]}
    nothing_bad, *others = card_tables.limits(card)
    assert nothing_bad.startswith('No measured figure is bad')
    assert others == ['No data set of this card has the truth for these tasks: depth.',
                      'No data set of this card has the truth for these classes: train.']
    unlabeled = {'name': 'pictures', 'values': {}, 'detail': {}}
    assert card_tables.limits({**card, 'data': [unlabeled]}) == [
        'No data set of this card has the truth for these tasks: depth, semantic.']


def test_data_sets_of_one_name_are_told_apart(card: dict[str, Any], places: tuple[Path, Path],
                                              tmp_path: Path) -> None:
    (town,) = card['data']
    weak = {'semantic': {'by_class': {'iou': {'road': 0.1}, 'truth_share': {'road': 1.0}}}}
    two = {**card, 'data': [{**town, 'detail': weak}, {**town, 'split': 'test', 'detail': weak}]}
    assert ['cityscapes_dvps val (IoU)' in line or 'cityscapes_dvps test (IoU)' in line
            for line in card_tables.weak_spots(two)[:2]] == [True, True]
    other = tmp_path / 'other'
    other.symlink_to(places[0])
    out = tmp_path / 'out'
    assert run(places, out, '-d', f'cityscapes_dvps:{other}', '--limit', '1', '--skip',
               'speed,corruptions,mounting') == 0
    assert [data['name'] for data in pages.read_card(out / 'card.json')['data']] == [
        f'cityscapes_dvps {root}' for root in (places[0], other)]


@pytest.mark.parametrize(('value', 'limits', 'frames', 'text'), [
    (0.5, (0.4, 0.65), 20, '50.0 % (40.0 to 65.0)'), (0.5, (None, None), 20, '50.0 %'),
    (0.5, (0.4, 0.65), 7, '50.0 % (40.0 to 65.0; 7 frames)'), (0.5, None, 1, '50.0 % (1 frame)'),
    (None, (0.4, 0.65), 20, '-')])
def test_cells(value: float | None, limits: Any, frames: int, text: str) -> None:
    assert card_tables.cell(value, 'share', limits, frames, 20) == text


def test_settings_are_checked() -> None:
    found = parse_settings(CardSettings, {'data': ['synthetic'], 'severities': [5, 1, 5]}, 'card')
    assert found.severities == (1, 5)
