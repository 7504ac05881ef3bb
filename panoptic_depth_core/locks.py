# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A lock file between processes; the system frees it when its holder ends, even if killed.

Only the holder of the lock may remove the file. POSIX only: elsewhere the import of this module
raises ModuleNotFoundError, so import it where it is used.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_POLL_S = 0.1
_MOST_OF_A_COMMAND = 120


def try_lock(path: Path) -> int | None:
    """
    Lock a file unless another process (or another descriptor of this one) holds it.

    :param path: created if missing; a symbolic link is refused.
    :returns: a descriptor; the lock lasts until it is closed. None: somebody else has the lock.
    :raises OSError: when the file cannot be created or locked.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file, and somebody else created it again.
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                # For messages only; the lock itself needs no space on the disk.
                with suppress(OSError):
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, _holder().encode('utf-8', 'replace'), 0)
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def wait_for_lock(path: Path, keep_waiting: Callable[[str], bool]) -> int | None:
    """
    Lock a file, waiting while somebody else holds the lock.

    :param keep_waiting: called ten times a second with the lock_holder; False gives up.
    :returns: as try_lock; None when keep_waiting gave up.
    :raises OSError: as try_lock.
    """
    while (handle := try_lock(path)) is None:
        if not keep_waiting(lock_holder(path)):
            return None
        time.sleep(_POLL_S)
    return handle


def lock_holder(path: Path) -> str:
    """Id of the process that has a lock, with its computer and command; '?' where unknown."""
    try:
        number, *more = path.read_text(encoding='utf-8').split('\n', 2)
    except (OSError, ValueError):
        return '?'
    host, command = more if len(more) == 2 else ('', '')
    where = f' on {host}' if host not in ('', socket.gethostname()) else ''
    return f'{number or "?"}{where}{command and f" ({command})"}'


def _holder() -> str:
    """What lock_holder reads: the id of this process, its computer, its command."""
    program = Path(sys.argv[0] if sys.argv else '')
    words = [(program.parent if program.stem == '__main__' else program).name, *sys.argv[1:]]
    # An address may hold a password.
    command = re.sub(r'//[^/@\s]*@', '//', shlex.join(words))
    command = ' '.join(''.join(c if c.isprintable() else '?' for c in command).split())
    if len(command) > _MOST_OF_A_COMMAND:
        command = f'{command[:_MOST_OF_A_COMMAND]} ...'
    return f'{os.getpid()}\n{socket.gethostname()}\n{command}'
