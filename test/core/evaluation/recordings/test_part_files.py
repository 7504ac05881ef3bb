# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts on the disk: what comes back, what is not there, and what a forged one can do."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import pickle
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.metrics.base import Floats, Longs
from panoptic_depth_core.evaluation.metrics.distance import InstanceRecord
from panoptic_depth_core.evaluation.metrics.frame import RecordedFrame
from panoptic_depth_core.evaluation.metrics.table import METRICS
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagPart, BagSummary
from panoptic_depth_core.evaluation.recordings.part_files import (
    file_name,
    load_part,
    remove_parts,
    save_part,
)
from panoptic_depth_core.evaluation.recordings.scoring import BagScore
from panoptic_depth_core.evaluation.recordings.stored_values import from_bytes, to_bytes
from panoptic_depth_core.evaluation.recordings.worst_frames import WorstFrame, WorstRecord
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.labels import CITYSCAPES
from replay_bags import frame_at, result_at

SETTINGS = RecordingSettings()
NAMES = ['drive', '../../etc/passwd', '/absolute', '..', '', 'a\\b', 'a\0b', 'Straße 5',
         'x' * 5000, 'CON', 'Drive', 'drive/', 'a\nb', '\udc80', 'a.part']


@cache
def score() -> BagScore:
    found = BagScore(CITYSCAPES, SETTINGS)
    found.add(RecordedFrame(frame_at(100)), result_at(100), 'a')
    found.metrics['distance'].append(InstanceRecord(13, 200, 8.0, True, 9.0, 0.1))
    return found


def part(name: str = 'a') -> BagPart:
    found = BagPart(name, BagSummary(
        name=name, path=f'/{name}', frames=1, duration_s=0.5, truth=['labels'],
        skipped={'no stamp': 1}, missing=2, ended_early='gone', notes={}, error=None), score(),
        gzip.compress(json.dumps({'bag': name, 'stamp_ns': 1}).encode(), mtime=0))
    found.times.add({'read': 1.5})
    record = WorstRecord(bag=name, name='f', stamp_ns=1, figure='labels.pq', value=0.5)
    found.worst.append(WorstFrame('labels', 0.5, record, b'\xff\xd8'))
    return found


def same(one: BagPart | None, other: BagPart) -> bool:
    return one is not None and to_bytes(one, BagPart, blank()) == to_bytes(other, BagPart, blank())


def blank(name: str = 'a') -> BagPart:
    return BagPart(name, part(name).summary, BagScore(CITYSCAPES, SETTINGS))


class Pair(NamedTuple):
    name: str
    values: NDArray[np.int32]


class Options(TypedDict, total=False):
    path: str
    limit: int


class Counted:
    total: NDArray[np.float64]
    by_name: dict[str, Floats]
    seen: Counter[tuple[str, int]]
    kept: list[Pair]
    inner: Inner

    def __init__(self, bins: int = 3) -> None:
        self.bins = bins
        self.total, self.by_name, self.seen = np.zeros(bins), {}, Counter()
        self.kept, self.inner = [], Inner()


class Inner:
    found: frozenset[Literal['a', 'b']] = frozenset()
    packed: bytearray
    ids: Longs

    def __init__(self) -> None:
        self.packed, self.ids = bytearray(), array('q')


@dataclass(frozen=True)
class Whole:
    flag: bool
    number: float
    nothing: int | None
    text: str
    pairs: dict[tuple[int, float], tuple[str, ...]]
    options: Options
    data: bytes
    anything: Any
    counted: Counted


def whole() -> Whole:
    counted = Counted()
    counted.total += [np.nan, -0.0, 5e-324]
    counted.by_name['a'] = array('f', [0.1, float('-inf')])
    counted.seen['a', 1] += 2
    counted.kept += [Pair('x', np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),),
                     Pair('y', np.zeros((2, 0), np.int32))]
    counted.inner.found = frozenset('ab')
    counted.inner.packed += b'\0\n'
    counted.inner.ids.append(-2**63)
    return Whole(True, 0.1 + 0.2, None, 'Straße\udc80', {(1, float('inf')): ('a', 'b')},
                 {'limit': 3}, b'\n\n', [1, {'a': None}], counted)


def empty() -> Whole:
    return Whole(False, 0.0, None, '', {}, {}, b'', None, Counted())


def test_everything_that_parts_are_made_of_comes_back() -> None:
    found, given = from_bytes(to_bytes(whole(), Whole, empty()), Whole, empty()), whole()
    for name in ('flag', 'number', 'nothing', 'text', 'pairs', 'options', 'data', 'anything'):
        assert getattr(found, name) == getattr(given, name)
        assert type(getattr(found, name)) is type(getattr(given, name))
    ours, theirs = found.counted, given.counted
    assert ours.total.tobytes() == theirs.total.tobytes() and ours.total.flags.writeable
    assert (ours.by_name, ours.seen) == (theirs.by_name, theirs.seen)
    assert ours.by_name['a'].typecode == 'f' and type(ours.seen) is Counter
    for mine, other in zip(ours.kept, theirs.kept, strict=True):
        assert mine.name == other.name and mine.values.dtype == other.values.dtype
        np.testing.assert_array_equal(mine.values, other.values)
    assert vars(ours.inner) == vars(theirs.inner) and ours.bins == 3


def test_what_would_be_lost_is_not_stored() -> None:
    class Forgotten(Inner):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

    one = Forgotten()
    to_bytes(one, Inner, Forgotten())
    one.count = 1
    with pytest.raises(TypeError, match='Forgotten.count counts, but its class does not say'):
        to_bytes(one, Inner, Forgotten())


def changed(data: bytes, change: Callable[[Any], None]) -> bytes:
    tree, _, blobs = data.partition(b'\n')
    values = json.loads(tree)
    change(values)
    return json.dumps(values).encode() + b'\n' + blobs


@pytest.mark.parametrize('change', [
    lambda v: v.update(flag=1), lambda v: v.update(number='1'), lambda v: v.update(number=True),
    lambda v: v.update(text=1), lambda v: v.update(nothing=0.5), lambda v: v.update(more=1),
    lambda v: v.pop('text'), lambda v: v['options'].update(more=1), lambda v: v.update(data=-1),
    lambda v: v.update(data=10**12), lambda v: v.update(data='x'), lambda v: v.update(pairs=5),
    lambda v: v.update(pairs=[[[1], ['a']]]), lambda v: v.update(options=[]),
    lambda v: v['counted'].update(total=[2]), lambda v: v['counted'].update(total=[10**12]),
    lambda v: v['counted'].update(bins=4), lambda v: v['counted'].update(__class__='Path'),
    lambda v: v['counted']['kept'].append(['x', [-1, -1]]),
    lambda v: v['counted']['kept'].append(['x', [2**40, 2**40]]),
    lambda v: v['counted']['kept'].append(['x', [1.5]]),
    lambda v: v['counted']['kept'].append(None),
    lambda v: v['counted']['inner'].update(found=['c']),
    lambda v: v['counted']['inner'].update(ids=[1, 2]),
    lambda v: v.update(counted=None)])
def test_what_is_of_another_type_is_not_read(change: Callable[[Any], None]) -> None:
    data = to_bytes(whole(), Whole, empty())
    assert from_bytes(changed(data, lambda v: None), Whole, empty()).text == whole().text
    with pytest.raises((TypeError, ValueError, AttributeError)):
        from_bytes(changed(data, change), Whole, empty())


def test_a_part_comes_back(tmp_path: Path) -> None:
    save_part(tmp_path / 'parts', 'a', part(), 'key')
    assert same(load_part(tmp_path / 'parts', 'a', SETTINGS, 'key'), part())


@pytest.mark.parametrize('name', NAMES)
def test_a_name_is_one_file_in_the_folder(name: str, tmp_path: Path) -> None:
    path = save_part(tmp_path / 'parts', name, part(name))
    assert path.resolve().parent == tmp_path / 'parts'
    assert list((tmp_path / 'parts').iterdir()) == [path]
    assert len(path.name) < 100 and path.name.isascii()
    found = load_part(tmp_path / 'parts', name, SETTINGS)
    assert found is not None and found.name == name
    assert load_part(tmp_path / 'parts', name + ' ', SETTINGS) is None


@given(st.text(), st.text())
def test_names_have_files_of_their_own(one: str, other: str) -> None:
    assert (file_name(one).lower() == file_name(other).lower()) == (one == other)
    assert os.sep not in file_name(one)


def test_what_is_not_there(tmp_path: Path) -> None:
    assert load_part(tmp_path / 'nowhere', 'a', SETTINGS) is None
    save_part(tmp_path, 'a', part(), 'one model')
    assert load_part(tmp_path, 'a', SETTINGS, 'another model') is None
    assert same(load_part(tmp_path, 'a', SETTINGS, 'one model'), part())


def test_the_file_of_another_name_is_not_taken(tmp_path: Path) -> None:
    save_part(tmp_path, 'a', part()).rename(tmp_path / file_name('b'))
    assert load_part(tmp_path, 'b', SETTINGS) is None


def damages(whole: bytes) -> list[bytes]:
    middle = len(whole) // 2
    return [b'', b'\n', b'{}\n', b'[]\n', b'\xff\xfe', whole[:10], whole[:middle], whole[:-1],
            whole + b'x', whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:],
            b'\0' * len(whole)]


@pytest.mark.parametrize('number', range(len(damages(b'0' * 20))))
def test_damaged_files_are_not_there(number: int, tmp_path: Path,
                                     caplog: pytest.LogCaptureFixture) -> None:
    path = save_part(tmp_path, 'a', part())
    path.write_bytes(damages(path.read_bytes())[number])
    assert load_part(tmp_path, 'a', SETTINGS) is None
    assert [(r.levelno, 'is run again' in r.message) for r in caplog.records] == [
        (logging.WARNING, True)]
    save_part(tmp_path, 'a', part())
    assert same(load_part(tmp_path, 'a', SETTINGS), part())


def test_a_folder_in_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / file_name('a')).mkdir()
    assert load_part(tmp_path, 'a', SETTINGS) is None
    assert 'cannot be read' in caplog.text
    with pytest.raises(ConfigError, match='cannot be written'):
        save_part(tmp_path, 'a', part())


def forge(folder: Path, content: bytes, key: str = '') -> Path:
    """Put something into the file of a part, with the right digest."""
    path = save_part(folder, 'a', part(), key)
    header = json.loads(path.read_bytes().partition(b'\n')[0])
    header['sha256'] = hashlib.sha256(content).hexdigest()
    path.write_bytes(json.dumps(header).encode() + b'\n' + content)
    return path


CONTENT = tuple[tuple[type(CITYSCAPES[0]), ...], bytes]


def forged(folder: Path, change: Callable[[Any], None], classes: Any = CITYSCAPES) -> Path:
    """Change the values of a part."""
    inside = changed(to_bytes(part(), BagPart, blank()), change)
    return forge(folder, to_bytes((classes, inside), CONTENT))


def metrics(change: Callable[[dict[str, Any]], None]) -> Callable[[Any], None]:
    return lambda values: change(dict(values['score']['metrics']))


@pytest.mark.parametrize('change', [
    lambda v: v.update(score=None), lambda v: v.update(summary={}), lambda v: v.update(run={}),
    lambda v: v['summary'].update(skipped={'a': 'b'}), lambda v: v.update(lines=3),
    lambda v: v['worst'][0]['record'].update(figure='labels.nothing'),
    lambda v: v['score']['metrics'].pop(), lambda v: v['score']['metrics'].append(['near', {}]),
    lambda v: v['score'].update(frames=2), lambda v: v['score'].update(tasks=['walk']),
    metrics(lambda m: m['depth'].update(update='x')),
    metrics(lambda m: m['depth']['_more'].append(['delta1', 10**12])),
    metrics(lambda m: m['video'].update(_windows=[])),
    metrics(lambda m: m['video'].update(_head=[['a', [[2**40], [2**40], [2**40, 4]], [19]]]))])
def test_a_forged_part_is_not_there(change: Callable[[Any], None], tmp_path: Path,
                                    caplog: pytest.LogCaptureFixture) -> None:
    path = forged(tmp_path, change)
    assert load_part(tmp_path, 'a', SETTINGS) is None
    assert f'{path}: is damaged or is not a part of a report' in caplog.text
    assert 'is run again' in caplog.text


def test_a_forged_part_gives_wrong_numbers(tmp_path: Path) -> None:
    forged(tmp_path, metrics(lambda m: m['depth'].update(frames=77)))
    found = load_part(tmp_path, 'a', SETTINGS)
    assert found is not None and found.score is not None
    assert found.score.metrics['depth'].frames == 77


def test_lines_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                caplog: pytest.LogCaptureFixture) -> None:
    found = part()
    found.lines = gzip.compress(b' ' * 1_000_000)
    save_part(tmp_path, 'a', found)
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '900000')
    assert load_part(tmp_path, 'a', SETTINGS) is None
    assert 'its frames are decompressed: more than 900000 bytes' in caplog.text
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '1000')
    assert load_part(tmp_path, 'a', SETTINGS) is None
    assert 'has: more than 1000 bytes' in caplog.text


def test_parts_of_earlier_versions_are_run_again(tmp_path: Path,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    for name in 'ab':
        data = pickle.dumps(METRICS['depth'])
        (tmp_path / file_name(name)).write_bytes(json.dumps({
            'format': 'panoptic_depth_core part', 'name': name, 'key': '',
            'sha256': hashlib.sha256(data).hexdigest()}).encode() + b'\n' + data)
        assert load_part(tmp_path, name, SETTINGS) is None
    assert [record.message for record in caplog.records] == [
        f'{tmp_path}: holds parts of another version of this program; their recordings are run '
        'again']


def test_remove(tmp_path: Path) -> None:
    folder = tmp_path / 'parts'
    remove_parts(folder)
    save_part(folder, 'a', part())
    (folder / 'notes.txt').write_text('mine')
    remove_parts(folder)
    assert [path.name for path in folder.iterdir()] == ['notes.txt']
    (folder / 'notes.txt').unlink()
    save_part(folder, 'b', part('b'))
    remove_parts(folder)
    assert not folder.exists()
