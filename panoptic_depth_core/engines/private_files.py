# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Ownership and permissions of files that only this user can have written. POSIX only.

An engine is executable code: whoever can replace it can run code as this user. So its folder
belongs to this user alone, and only this user or root can rename that folder or one above it, as
sshd requires of ~/.ssh.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from ..errors import ConfigError


def make_private_folder(path: Path) -> None:
    """Create a folder and its parents with mode 0700 if they are missing; then check it."""
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be created: {error.strerror}; change its permissions '
                          'or choose another folder for engines') from None
    check_private_folder(path)


def check_private_folder(path: Path) -> None:
    """
    Raise ConfigError for a folder that another user could put an engine into.

    :param path: absolute, without symbolic links above it.
    :raises FileNotFoundError: when it does not exist.
    """
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode):
        raise ConfigError(f'{path}: is a symbolic link, which engines are not loaded through; '
                          'name the folder that it points to')
    if not stat.S_ISDIR(state.st_mode):
        raise ConfigError(f'{path}: is not a folder; choose another one for engines')
    if state.st_uid != os.geteuid():
        raise ConfigError(f'{path}: belongs to {_user(state.st_uid)}, not to '
                          f'{_user(os.geteuid())}; an engine is code: choose a folder of your own')
    if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f'{path}: others may use it (mode {_mode(state)}), and an engine is '
                          f'code; if everything in it is your own: chmod 700 {path}')
    # Nobody else may rename the folder, or one above it.
    for parent in path.parents:
        state = parent.stat()
        if state.st_uid not in (0, os.geteuid()):
            raise ConfigError(f'{parent}: belongs to {_user(state.st_uid)}, who could replace '
                              'engines below it; choose another folder for engines')
        # In a sticky folder such as /tmp only the owner of an entry may rename it.
        if not state.st_mode & stat.S_ISVTX and (state.st_mode & stat.S_IWOTH or (
                state.st_mode & stat.S_IWGRP and not _is_own_group(state.st_gid))):
            raise ConfigError(f'{parent}: others may write it (mode {_mode(state)}) and could '
                              f'replace engines below it; chmod go-w {parent}, or choose another '
                              'folder for engines')


def read_private(path: Path, size: int | None = None) -> bytes:
    """
    Read a file that only this user can have written; the open file itself is checked.

    :param size: required size in bytes.
    :raises ConfigError: for a symbolic link, another owner, write permission for others, or
        another size.
    :raises OSError: when it cannot be read.
    """
    try:
        with open(path, 'rb', opener=_open_itself) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise ConfigError(f'{path.name}: is not a regular file')
            if state.st_uid != os.geteuid():
                raise ConfigError(f'{path.name}: belongs to {_user(state.st_uid)}')
            if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ConfigError(f'{path.name}: others may write it (mode {_mode(state)})')
            if size is not None and state.st_size != size:
                raise ConfigError(f'{path.name}: has {state.st_size} bytes, not {size}')
            return file.read()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise ConfigError(f'{path.name}: is a symbolic link') from None
        raise


def _open_itself(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a named pipe would wait for a writer.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _is_own_group(gid: int) -> bool:
    """Whether a group is root's or has this user alone, as where each user has a group."""
    if gid == 0:
        return True
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return (gid, group.gr_name) == (user.pw_gid, user.pw_name) \
        and set(group.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return f'{pwd.getpwuid(uid).pw_name} (uid {uid})'
    except KeyError:
        return f'uid {uid}'


def _mode(state: os.stat_result) -> str:
    return f'{stat.S_IMODE(state.st_mode):04o}'
