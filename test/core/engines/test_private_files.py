# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders and files that somebody else could have written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from panoptic_depth_core.engines.private_files import (
    check_private_folder,
    make_private_folder,
    read_private,
)
from panoptic_depth_core.errors import ConfigError

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason='only root can give files away')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of engines that is to be trusted."""
    path = tmp_path / 'cache' / 'engines'
    make_private_folder(path)
    return path


@pytest.fixture
def engine(folder: Path) -> Path:
    """File in it, likewise."""
    path = folder / 'a.engine'
    path.write_bytes(b'plan')
    path.chmod(0o600)
    return path


def test_a_folder_is_made_for_this_user_alone(folder: Path, tmp_path: Path) -> None:
    for path in (folder, folder.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    make_private_folder(folder)
    assert [p.name for p in tmp_path.iterdir()] == ['cache']


@pytest.mark.parametrize('mode', [0o750, 0o705, 0o755, 0o720, 0o701, 0o777, 0o1777])
def test_a_folder_for_others_is_refused(mode: int, folder: Path) -> None:
    folder.chmod(mode)
    with pytest.raises(ConfigError, match=rf'engines: others may use it \(mode {mode:04o}\).*'
                       f'chmod 700 {folder}'):
        make_private_folder(folder)


def test_a_link_to_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / 'link'
    link.symlink_to(folder)
    with pytest.raises(ConfigError, match='link: is a symbolic link.*name the folder'):
        make_private_folder(link)
    link.unlink()
    link.symlink_to(tmp_path / 'nowhere')
    with pytest.raises(ConfigError, match='link: is a symbolic link'):
        make_private_folder(link)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='file: is not a folder'):
        make_private_folder(tmp_path / 'file')
    with pytest.raises(ConfigError, match='below: cannot be created: Not a directory; change'):
        make_private_folder(tmp_path / 'file' / 'below')


def test_a_folder_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_private_folder(tmp_path / 'nowhere')


@needs_root
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(ConfigError, match=r'engines: belongs to \w+ \(uid 65534\), not to root'):
        check_private_folder(folder)


@needs_root
def test_a_folder_in_one_of_another_user_is_refused(folder: Path) -> None:
    os.chown(folder.parent, NOBODY, -1)
    with pytest.raises(ConfigError, match=r'cache: belongs to .*who could replace engines'):
        check_private_folder(folder)


def test_a_folder_in_one_that_all_may_write_is_refused(folder: Path) -> None:
    folder.parent.chmod(0o757)
    with pytest.raises(ConfigError, match=r'cache: others may write it \(mode 0757\).*'
                       f'chmod go-w {folder.parent}'):
        check_private_folder(folder)
    # As /tmp: all may write, but only owners may rename.
    folder.parent.chmod(0o1777)
    check_private_folder(folder)


@needs_root
def test_a_folder_in_one_that_a_group_may_write_is_refused(folder: Path) -> None:
    os.chown(folder.parent, -1, NOBODY)
    folder.parent.chmod(0o770)
    with pytest.raises(ConfigError, match='cache: others may write it'):
        check_private_folder(folder)


def test_a_file_is_read(engine: Path) -> None:
    assert read_private(engine) == read_private(engine, 4) == b'plan'
    # Others may read it, as after a copy: what counts is who could have written it.
    engine.chmod(0o644)
    assert read_private(engine) == b'plan'


def test_a_file_of_another_size_is_not_read(engine: Path) -> None:
    with pytest.raises(ConfigError, match=r'a\.engine: has 4 bytes, not 5'):
        read_private(engine, 5)


@pytest.mark.parametrize('mode', [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_read(mode: int, engine: Path) -> None:
    engine.chmod(mode)
    with pytest.raises(ConfigError, match=f'others may write it .mode {mode:04o}'):
        read_private(engine)


def test_what_is_no_plain_file_is_not_read(engine: Path, folder: Path) -> None:
    (folder / 'link').symlink_to(engine)
    with pytest.raises(ConfigError, match='link: is a symbolic link'):
        read_private(folder / 'link')
    os.mkfifo(folder / 'pipe', 0o600)
    with pytest.raises(ConfigError, match='pipe: is not a regular file'):
        read_private(folder / 'pipe')
    with pytest.raises(IsADirectoryError):
        read_private(folder)
    with pytest.raises(FileNotFoundError):
        read_private(folder / 'nothing')


@needs_root
def test_a_file_of_another_user_is_not_read(engine: Path) -> None:
    os.chown(engine, NOBODY, NOBODY)
    with pytest.raises(ConfigError, match=r' belongs to \w+ \(uid 65534\)'):
        read_private(engine)
