# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Which TensorRT is found, and what is said where there is none that works."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from panoptic_depth_core.engines.library import LIBRARIES, Library, find_library
from panoptic_depth_core.errors import BackendError, ConfigError
from tensorrt_graphs import rtx_library


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what installs modules of these names and sources, and hides all others."""
    def install(**sources: str) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        for name in LIBRARIES:
            # Also what is imported meanwhile is taken back.
            monkeypatch.setitem(sys.modules, name, None)
            if name in sources:
                (tmp_path / name).mkdir()
                (tmp_path / name / '__init__.py').write_text(sources[name])
                del sys.modules[name]
    return install


def test_without_any(installed) -> None:
    """The error says how to install each."""
    installed()
    with pytest.raises(BackendError, match=r'tensorrt is not installed: JetPack brings it.*'
                                           r'tensorrt_rtx is not installed.*\[tensorrt-rtx\]'):
        find_library()
    with pytest.raises(BackendError, match='^tensorrt is not installed') as caught:
        find_library('tensorrt')
    assert 'rtx' not in str(caught.value)


def test_unknown_name() -> None:
    """Only what is known is imported."""
    with pytest.raises(ConfigError, match="library is 'os'; choose tensorrt or tensorrt_rtx"):
        find_library('os')


@pytest.mark.parametrize(('source', 'words'), [
    ('raise ImportError("libnvinfer.so.10: cannot open shared object file")',
     'cannot be imported: libnvinfer.so.10: cannot open .* install it again'),
    ('import tensorrt_bindings_that_are_not_there',
     "cannot be imported: No module named 'tensorrt_bindings_that_are_not_there'"),
    ('raise OSError("too little memory to map it")', 'cannot be imported: too little memory'),
    ('', 'is not the module of NVIDIA; rename it'),
    ('__version__ = "8.6.1"', 'tensorrt is 8.6.1, but 10.3 is the oldest'),
    ('__version__ = "10.2.0.post1"', '10.3 is the oldest'),
])
def test_one_that_does_not_work(installed, source: str, words: str) -> None:
    """What is installed but of no use is told apart from what is not there."""
    installed(tensorrt=source)
    with pytest.raises(BackendError, match=words):
        find_library('tensorrt')


def test_full_tensorrt_comes_first(installed) -> None:
    """Where both are installed, engines are those of full TensorRT, which measures."""
    installed(tensorrt='__version__ = "10.14.1.48.post1"', tensorrt_rtx='__version__ = "1.7"')
    assert str(find_library()) == 'tensorrt 10.14.1.48.post1'
    assert str(find_library('tensorrt_rtx')) == 'tensorrt_rtx 1.7'


def test_the_other_one_is_taken(installed, caplog: pytest.LogCaptureFixture) -> None:
    """A broken TensorRT is worth a warning where the other one does; a missing one is not."""
    installed(tensorrt='raise ImportError("no libnvinfer")', tensorrt_rtx='__version__ = "1.7"')
    assert find_library().is_rtx
    assert 'no libnvinfer' in caplog.text and 'using tensorrt_rtx 1.7' in caplog.text
    caplog.clear()
    sys.modules['tensorrt'] = None
    assert find_library().is_rtx
    assert not caplog.text


def test_full_tensorrt_has_no_targets() -> None:
    """It builds for the GPU that is there."""
    assert not Library(None, 'tensorrt', '10.3.0').targets()


@pytest.mark.tensorrt
def test_targets() -> None:
    """Architectures in the words of CUDA, the oldest first; no data center GPU of Hopper."""
    targets = rtx_library().targets()
    assert {'sm_75', 'sm_86', 'sm_89', 'sm_120'} <= set(targets)
    assert 'sm_90' not in targets
    assert [int(target[3:]) for target in targets] == sorted(int(t[3:]) for t in targets)


@pytest.mark.tensorrt
def test_logger(caplog: pytest.LogCaptureFixture) -> None:
    """Errors of all threads reach whoever collects them; all messages reach logging."""
    library = rtx_library()
    severity = library.module.ILogger
    caplog.set_level(logging.DEBUG, logger='panoptic_depth_core')
    with library.errors() as outer:
        library.logger.log(severity.ERROR, 'first')
        with library.errors() as inner:
            library.logger.log(severity.WARNING, 'only a warning')
            thread = threading.Thread(
                target=library.logger.log, args=(severity.INTERNAL_ERROR, 'second'))
            thread.start()
            thread.join()
        library.logger.log(severity.VERBOSE, 'details')
    library.logger.log(severity.ERROR, 'too late')
    assert outer == ['first', 'second']
    assert inner == ['second']
    levels = {record.getMessage(): record.levelname for record in caplog.records}
    assert levels['tensorrt_rtx: only a warning'] == levels['tensorrt_rtx: too late'] == 'INFO'
    assert levels['tensorrt_rtx: details'] == 'DEBUG'


@pytest.mark.tensorrt
def test_one_logger_for_the_process() -> None:
    """TensorRT keeps the first logger that it is given, so there is no second one."""
    assert rtx_library().logger is find_library('tensorrt_rtx').logger
