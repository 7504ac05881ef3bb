# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts on the disk: what comes back, what is taken for not there, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import pickle
import struct
from collections import Counter, deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import Evaluator
from panoptic_depth_core.evaluation.metrics.calibration import CalibrationMetric
from panoptic_depth_core.evaluation.metrics.distance import DistanceMetric, InstanceRecord
from panoptic_depth_core.evaluation.recordings.part_files import (
    file_name,
    load_part,
    remove_parts,
    save_part,
)
from panoptic_depth_core.evaluation.settings import EvaluationSettings, RecordingSettings
from panoptic_depth_core.labels import CITYSCAPES
from panoptic_depth_core.structures import DistanceFlag

NAMES = ['drive', '../../etc/passwd', '/absolute', '..', '', 'a\\b', 'a\0b', 'Straße 5',
         'x' * 5000, 'CON', 'Drive', 'drive/', 'a\nb', '\udc80', 'a.part']


def test_everything_that_parts_are_made_of_comes_back(tmp_path: Path) -> None:
    score = Evaluator(EvaluationSettings(depth_cap_m=50))
    distance = DistanceMetric()
    distance.append(InstanceRecord(13, 200, 8.0, True, 9.0, 0.1))
    part = {
        'score': score, 'distance': distance, 'settings': RecordingSettings(),
        'flag': DistanceFlag(3), 'counts': Counter(a=2), 'queue': deque([1.5], 3), 'set': {1},
        'classes': CITYSCAPES, 'bytes': b'\0' * 10, 'nothing': (None, float('inf')),
        'arrays': [np.arange(6.0).reshape(2, 3), np.zeros((2, 0), np.bool_), np.float32(2),
                   np.asfortranarray(np.ones((3, 2), np.uint8))]}
    save_part(tmp_path / 'parts', 'a', part, 'key')
    found = load_part(tmp_path / 'parts', 'a', 'key')
    for name in ('settings', 'flag', 'counts', 'queue', 'set', 'classes', 'bytes', 'nothing'):
        assert found[name] == part[name]
    for ours, theirs in zip(found['arrays'], part['arrays'], strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert found['distance'].result().all == distance.result().all
    found['score'].merge(score)
    assert found['score'].rules.settings.depth_cap_m == 50


@pytest.mark.parametrize('name', NAMES)
def test_a_name_is_one_file_in_the_folder(name: str, tmp_path: Path) -> None:
    path = save_part(tmp_path / 'parts', name, [name])
    assert path.resolve().parent == tmp_path / 'parts'
    assert list((tmp_path / 'parts').iterdir()) == [path]
    assert len(path.name) < 100 and path.name.isascii()
    assert load_part(tmp_path / 'parts', name) == [name]
    assert load_part(tmp_path / 'parts', name + ' ') is None


@given(st.text(), st.text())
def test_names_have_files_of_their_own(one: str, other: str) -> None:
    assert (file_name(one).lower() == file_name(other).lower()) == (one == other)
    assert os.sep not in file_name(one)


def test_what_is_not_there(tmp_path: Path) -> None:
    assert load_part(tmp_path / 'nowhere', 'a') is None
    save_part(tmp_path, 'a', 1, 'one model')
    assert load_part(tmp_path, 'a', 'another model') is None
    assert load_part(tmp_path, 'a', 'one model') == 1


def test_the_file_of_another_name_is_not_taken(tmp_path: Path) -> None:
    save_part(tmp_path, 'a', 1).rename(tmp_path / file_name('b'))
    assert load_part(tmp_path, 'b') is None


def damages(whole: bytes) -> list[bytes]:
    middle = len(whole) // 2
    return [b'', b'\n', b'{}\n', b'[]\n', b'\xff\xfe', whole[:10], whole[:middle], whole[:-1],
            whole + b'x', whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:],
            b'\0' * len(whole)]


@pytest.mark.parametrize('number', range(len(damages(b'0' * 20))))
def test_damaged_files_are_not_there(number: int, tmp_path: Path,
                                     caplog: pytest.LogCaptureFixture) -> None:
    path = save_part(tmp_path, 'a', {'score': list(range(100))})
    path.write_bytes(damages(path.read_bytes())[number])
    assert load_part(tmp_path, 'a') is None
    assert [(r.levelno, 'is run again' in r.message) for r in caplog.records] == [
        (logging.WARNING, True)]
    save_part(tmp_path, 'a', 2)
    assert load_part(tmp_path, 'a') == 2


def test_a_folder_in_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / file_name('a')).mkdir()
    assert load_part(tmp_path, 'a') is None
    assert 'cannot be read' in caplog.text
    with pytest.raises(ConfigError, match='cannot be written'):
        save_part(tmp_path, 'a', 1)


def forge(folder: Path, data: bytes) -> None:
    """Put a pickle into the file of a part, with the right digest."""
    path = save_part(folder, 'a', 1)
    header = json.loads(path.read_bytes().partition(b'\n')[0])
    header['sha256'] = hashlib.sha256(data).hexdigest()
    path.write_bytes(json.dumps(header).encode() + b'\n' + data)


def calls(module: str, name: str, *args: object) -> bytes:
    """Pickle, protocol 4, that calls something."""
    def text(value: str) -> bytes:
        return b'\x8c' + struct.pack('<B', len(value)) + value.encode()

    return (b'\x80\x04' + text(module) + text(name) + b'\x93' + b'('
            + b''.join(text(str(arg)) for arg in args) + b't' + b'R.')


@pytest.mark.parametrize(('module', 'name'), [
    ('os', 'remove'), ('posix', 'system'), ('builtins', 'eval'), ('builtins', 'getattr'),
    ('subprocess', 'Popen'), ('functools', 'partial'), ('pickle', 'loads'),
    ('numpy', 'load'), ('numpy', 'ndarray.tofile'), ('collections', 'abc.sys'),
    ('panoptic_depth_core.files', 'JsonLines'),
    ('panoptic_depth_core.files', 'write_atomic'),
    ('panoptic_depth_core.evaluation.recordings.part_files', 'remove_parts'),
    ('panoptic_depth_core.evaluation.recordings.part_files', 'os.system'),
    ('panoptic_depth_core.evaluation.recordings.part_files', 'pickle.loads'),
    ('panoptic_depth_core.evaluation.recordings.part_files', 'Path'),
    ('panoptic_depth_core.evaluation.dataset.parallel', 'run_jobs'),
    ('panoptic_depth_core.evaluation.metrics.calibration', 'CalibrationMetric.update'),
    ('panoptic_depth_core.evaluationx', 'anything'),
])
def test_a_pickle_that_wants_more_is_refused(module: str, name: str, tmp_path: Path) -> None:
    victim = tmp_path / 'victim'
    victim.write_text('no JSON')
    forge(tmp_path, calls(module, name, victim))
    with pytest.raises(ConfigError, match=f'holds {module}.{name}, which is not what this'):
        load_part(tmp_path, 'a')
    assert victim.read_text() == 'no JSON'


def test_the_pickles_of_that_test_do_what_they_say(tmp_path: Path) -> None:
    """Loaded by the usual means, one of them does its harm."""
    victim = tmp_path / 'victim'
    victim.write_text('mine')
    pickle.loads(calls('os', 'remove', victim))
    assert not victim.exists()


@pytest.mark.parametrize('data', [b'', b'.', b'\x80\x05', b'cos\n', b'\x80\x04]\x94(', b'(' * 100])
def test_a_pickle_that_is_none_is_not_there(data: bytes, tmp_path: Path) -> None:
    forge(tmp_path, data)
    assert load_part(tmp_path, 'a') is None


def test_a_class_that_is_gone_is_refused_by_name(tmp_path: Path) -> None:
    file = io.BytesIO()
    pickle.dump(CalibrationMetric(), file)
    forge(tmp_path, file.getvalue().replace(b'CalibrationMetric', b'CelebrationMetric'))
    with pytest.raises(ConfigError, match=r'metrics\.calibration\.Celebration'):
        load_part(tmp_path, 'a')


def test_remove(tmp_path: Path) -> None:
    folder = tmp_path / 'parts'
    remove_parts(folder)
    save_part(folder, 'a', 1)
    (folder / 'notes.txt').write_text('mine')
    remove_parts(folder)
    assert [path.name for path in folder.iterdir()] == ['notes.txt']
    (folder / 'notes.txt').unlink()
    save_part(folder, 'b', 1)
    remove_parts(folder)
    assert not folder.exists()
