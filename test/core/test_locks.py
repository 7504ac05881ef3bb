# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A lock file has one holder, and none once the holder is gone."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from panoptic_depth_core import locks
from panoptic_depth_core.locks import lock_holder, try_lock, wait_for_lock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Lock file that does not exist yet."""
    return tmp_path / 'folder.lock'


def test_only_one_has_the_lock(path: Path) -> None:
    first = try_lock(path)
    assert first is not None and lock_holder(path).split(' (')[0] == str(os.getpid())
    assert try_lock(path) is None
    os.close(first)
    second = try_lock(path)
    assert second is not None
    os.close(second)


def test_waiting_ends_with_the_holder(path: Path) -> None:
    first, told = try_lock(path), []

    def keep_waiting(holder: str) -> bool:
        told.append(holder)
        if len(told) == 2:
            os.close(first)
        return True

    handle = wait_for_lock(path, keep_waiting)
    assert handle is not None and told == [lock_holder(path)] * 2
    os.close(handle)


def test_waiting_can_be_given_up(path: Path) -> None:
    first = try_lock(path)
    assert wait_for_lock(path, lambda holder: False) is None
    os.close(first)


def test_a_killed_holder_leaves_no_lock(path: Path, repository: Path) -> None:
    code = ('import sys; from pathlib import Path; from panoptic_depth_core.locks import try_lock;'
            'assert try_lock(Path(sys.argv[1])); print(flush=True); sys.stdin.read()')
    with subprocess.Popen([sys.executable, '-c', code, str(path)], cwd=repository,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b'\n'
        assert lock_holder(path) == f'{process.pid} (-c {path})'
        assert try_lock(path) is None
        process.kill()
        process.wait(60)
    handle = try_lock(path)
    assert handle is not None
    os.close(handle)


def test_a_lock_that_was_removed_is_not_held_by_two(path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder may remove the file; whoever has opened that one must not believe to have it."""
    path.touch()
    real, removed = fcntl.flock, []

    def remove_first(handle: int, how: int) -> None:
        if not removed:
            removed.append(path.unlink())
        real(handle, how)

    monkeypatch.setattr(fcntl, 'flock', remove_first)
    first = try_lock(path)
    assert removed and first is not None
    assert try_lock(path) is None
    os.close(first)


def test_a_link_in_place_of_a_lock_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / 'victim').write_text('kept')
    path.symlink_to(tmp_path / 'victim')
    with pytest.raises(OSError, match='symbolic'):
        try_lock(path)
    assert (tmp_path / 'victim').read_text() == 'kept'


def test_a_holder_has_a_command_without_passwords(path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', ['/bin/panoptic-depth', 'predict', 'rtsp://me:secret@cam/1',
                                      '-o', 'a\nb \x1b[31m', 'x' * 500])
    handle = try_lock(path)
    holder = lock_holder(path)
    assert holder.startswith(f"{os.getpid()} (panoptic-depth predict rtsp://cam/1 -o 'a?b ?[31m'")
    assert holder.endswith('x ...)') and len(holder) < 150
    monkeypatch.setattr(locks.socket, 'gethostname', lambda: 'other')
    assert re.match(rf'{os.getpid()} on \S+ \(', lock_holder(path))
    os.close(handle)


def test_an_unknown_holder_is_a_question_mark(path: Path) -> None:
    assert lock_holder(path) == '?'
    path.write_bytes(b'\xff')
    assert lock_holder(path) == '?'
