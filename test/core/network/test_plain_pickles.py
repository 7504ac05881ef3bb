# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights in plain pickles, as the model zoo of detectron2 has them: arrays, and no code."""

from __future__ import annotations

import codecs
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network.weights import read_state_dict  # noqa: E402


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_arrays_are_read(protocol, tmp_path):
    rng = np.random.default_rng(0)
    arrays = OrderedDict(a=rng.random((3, 4)).astype(np.float32), b=np.arange(3),
                         c=np.asfortranarray(rng.random((2, 5))), n=np.array(7))
    path = tmp_path / 'model.pkl'
    path.write_bytes(pickle.dumps({
        'model': arrays, '__author__': 'somebody', 'best': np.float64(3.5),
        'matching_heuristics': True}, protocol=protocol))
    weights = read_state_dict(path, 'give another file')
    assert list(weights) == list(arrays)
    for name, value in arrays.items():
        assert np.array_equal(weights[name].numpy(), value)


def test_arrays_of_python_2_are_read(tmp_path):
    """Its texts are bytes; so is the content of its arrays."""
    values = np.array([1.5, -2.0], '<f4')
    path = tmp_path / 'model.pkl'
    path.write_bytes(
        b'\x80\x02}U\x05model}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n'
        b'K\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R'
        b'(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08'
        + values.tobytes() + b'tbss.')
    assert read_state_dict(path, '')['a'].tolist() == [1.5, -2.0]


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments) -> None:
        self._call = function, arguments

    def __reduce__(self):
        """See pickle."""
        return self._call


@pytest.mark.parametrize(('make', 'words'), [
    (lambda mark: Calls(exec, f'open({str(mark)!r}, "w")'), 'builtin.*exec'),
    (lambda mark: Calls(Path, str(mark)), 'pathlib'),
    (lambda mark: Calls(np.save, str(mark), np.zeros(2)), 'numpy.*save'),
    (lambda mark: Calls(codecs.encode, 'a', 'rot13'), "encoding 'rot13'"),
])
def test_code_is_refused_and_not_run(make, words, tmp_path):
    mark = tmp_path / 'mark'
    hostile = make(mark)
    for protocol in (2, 4):
        path = tmp_path / 'model.pkl'
        path.write_bytes(pickle.dumps({'model': {'a': hostile}}, protocol=protocol))
        with pytest.raises(ConfigError, match=f'model.pkl: .*a checkpoint.*it holds .*{words}'):
            read_state_dict(path, 'give another file')
    assert not mark.exists()
    if 'exec' in words:
        pickle.loads(path.read_bytes())
        assert mark.exists(), 'the test can fail'


def _text(text: bytes) -> bytes:
    return b'X' + struct.pack('<I', len(text)) + text


def _made_up_dtype(code: bytes) -> bytes:
    """An array whose dtype says that its bytes are pointers, or are not."""
    return (b'\x80\x03cnumpy\ndtype\n(' + _text(code) + b'\x89\x88tR(K\x03' + _text(b'|')
            + b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftbq\x010'
            b'}' + _text(b'a') + b'cnumpy.core.multiarray\n_reconstruct\n'
            b'(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01K\x01\x85h\x01\x89C\x08AAAAAAAAtbs.')


def test_bytes_of_a_file_are_no_pointers(tmp_path):
    """Numpy's own types would follow them, and crash."""
    path = tmp_path / 'model.pkl'
    path.write_bytes(_made_up_dtype(b'O8'))
    with pytest.raises(ConfigError, match="it holds an array of dtype 'O8'"):
        read_state_dict(path, 'give another file')
    path.write_bytes(_made_up_dtype(b'f8'))
    value = read_state_dict(path, '')['a']
    assert value.tolist() == np.frombuffer(b'A' * 8, np.float64).tolist(), 'flags are ignored'


def test_torch_files_have_the_same_arrays(tmp_path):
    """Also of other byte orders, with the names that DataParallel gives."""
    path = tmp_path / 'model.pth'
    torch.save({'state_dict': {'module.a': np.arange(3, dtype='>f4'),
                               'module.b': torch.ones(2)}}, path)
    weights = read_state_dict(path, '')
    assert {name: value.tolist() for name, value in weights.items()} == {
        'a': [0.0, 1.0, 2.0], 'b': [1.0, 1.0]}
    torch.save({'a': np.array([object()])}, path)
    with pytest.raises(ConfigError, match=r'not a checkpoint of tensors .*: it '):
        read_state_dict(path, 'give another file')


@pytest.mark.parametrize(('content', 'words'), [
    (pickle.dumps({'model': {'a': np.zeros(99)}})[:-40], 'not a checkpoint of tensors or'),
    (pickle.dumps({'model': {'a': np.array(['x'])}}), "it holds an array of dtype 'U1'"),
    (pickle.dumps({'model': {'a': np.zeros(2, np.longdouble)}}), 'it holds an array of dtype'),
    (pickle.dumps({'a': 1}, protocol=0), 'it is cut off, or neither a file of PyTorch nor a pic'),
    (pickle.dumps({'model': {'a': 3}}), "entry 'a' is a int"),
    (pickle.dumps([1]), 'holds a list and no weights'),
    (b'\x80\x02cnumpy\ndtype\n(U\x03???tR.', 'not a checkpoint of tensors or'),
])
def test_what_is_no_checkpoint(content, words, tmp_path):
    path = tmp_path / 'model.pkl'
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_state_dict(path, 'give another file')


def test_a_small_file_takes_little_memory(tmp_path):
    resource = pytest.importorskip('resource')
    path = tmp_path / 'model.pkl'
    # LONG_BINPUT: a name of 2^31, for which the unpickler in C makes a table of as many.
    path.write_bytes(b'\x80\x02}r\xff\xff\xff\x7f.')
    limit = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), limit[1]))
    try:
        with pytest.raises(ConfigError, match='holds a dict and no weights'):
            read_state_dict(path, 'give another file')
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


def test_a_file_of_torch_holds_no_more_than_its_bytes(tmp_path):
    path, bomb = tmp_path / 'model.pth', tmp_path / 'bomb.pth'
    torch.save({'a': torch.zeros(100_000)}, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(
            bomb, 'w', zipfile.ZIP_DEFLATED) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    with pytest.raises(ConfigError, match='it holds more than it has bytes'):
        read_state_dict(bomb, 'give another file')
    torch.save({'a': torch.zeros(1).expand(1000, 1000)}, path)
    with pytest.raises(ConfigError, match="'a' has more numbers than are in the file"):
        read_state_dict(path, 'give another file')
