# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Files that nobody but this user can have written.

An engine is executable code: whoever can put one in place of ours runs as us. So a folder of
engines belongs to this user alone, and whoever may rename it or a folder above it is this user
or root, as sshd asks of ~/.ssh. POSIX only.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from ..errors import ConfigError

_OTHERS_MAY_USE = 0o077
_OTHERS_MAY_WRITE = 0o022


class Untrusted(Exception):
    """A file that another user may have written, or that is no plain file; says why."""


def make_private(path: Path) -> None:
    """
    Make a folder for this user alone, with its parents, if it is not there, and check it.

    :raises ConfigError: when it cannot be made or is not to be trusted.
    """
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be made: {error.strerror}; change its permissions or '
                          'choose another folder for engines') from None
    check_private(path)


def check_private(path: Path) -> None:
    """
    Refuse a folder that somebody else could put an engine into.

    :param path: without symbolic links above it.
    :raises ConfigError: for a symbolic link, another owner, or permissions for others.
    """
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode):
        raise ConfigError(f'{path}: is a symbolic link, which engines are not loaded through; '
                          'name the folder that it leads to')
    if not stat.S_ISDIR(state.st_mode):
        raise ConfigError(f'{path}: is no folder; choose another one for engines')
    if state.st_uid != os.geteuid():
        raise ConfigError(f'{path}: belongs to {_user(state.st_uid)}, not to '
                          f'{_user(os.geteuid())}; an engine is code: choose a folder of your own')
    if state.st_mode & _OTHERS_MAY_USE:
        raise ConfigError(f'{path}: others may use it (mode {_mode(state)}), and an engine is '
                          f'code; if all in it is your own: chmod 700 {path}')
    for parent in path.parents:
        _check_parent(parent)


def read_private(path: Path, size: int | None = None) -> bytes:
    """
    Read a file that only this user can have written; what is checked is what is read.

    :param size: bytes that it must have.
    :raises FileNotFoundError: when there is none.
    :raises Untrusted: for a symbolic link, another owner, permissions for others, another size.
    :raises OSError: when it cannot be read.
    """
    try:
        # Without O_NONBLOCK a named pipe would wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise Untrusted('it is a symbolic link') from None
        raise
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise Untrusted('it is no plain file')
        if state.st_uid != os.geteuid():
            raise Untrusted(f'it belongs to {_user(state.st_uid)}')
        if state.st_mode & _OTHERS_MAY_WRITE:
            raise Untrusted(f'others may write it (mode {_mode(state)})')
        if size is not None and state.st_size != size:
            raise Untrusted(f'it has {state.st_size} bytes, not {size}')
        with os.fdopen(handle, 'rb', closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def _check_parent(path: Path) -> None:
    """Refuse a folder in which somebody else could rename what is below."""
    state = path.stat()
    if state.st_uid not in (0, os.geteuid()):
        raise ConfigError(f'{path}: belongs to {_user(state.st_uid)}, who could replace engines '
                          'below it; choose another folder for engines')
    # In a folder such as /tmp only the owner of an entry may rename it.
    if state.st_mode & stat.S_ISVTX:
        return
    if state.st_mode & stat.S_IWOTH or (
            state.st_mode & stat.S_IWGRP and not _is_own_group(state.st_gid)):
        raise ConfigError(f'{path}: others may write it (mode {_mode(state)}), and could replace '
                          f'engines below it; chmod go-w {path}, or choose another folder for '
                          'engines')


def _is_own_group(gid: int) -> bool:
    """Whether nobody but root and this user is in a group, as where each user has one."""
    if gid == 0:
        return True
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and group.gr_name == user.pw_name \
        and set(group.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return f'{pwd.getpwuid(uid).pw_name} (uid {uid})'
    except KeyError:
        return f'uid {uid}'


def _mode(state: os.stat_result) -> str:
    return f'{stat.S_IMODE(state.st_mode):04o}'
