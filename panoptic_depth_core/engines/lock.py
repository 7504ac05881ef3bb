# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A lock between processes that the system frees when its holder ends, however that was."""

from __future__ import annotations

import fcntl
import math
import os
import time
from contextlib import suppress
from pathlib import Path

from ..status import Watch
from . import BuildCancelled

_POLL_S = 0.1


def wait_for_lock(path: Path, watch: Watch, what: str) -> int:
    """
    Lock a file, waiting for it while another process has it.

    :param path: made if it is not there.
    :param watch: is told ten times a second that it is waited for, and may end that.
    :param what: what the holder does, for the words.
    :returns: the descriptor, which holds the lock until it is closed.
    :raises BuildCancelled: when watch ended the waiting.
    :raises OSError: when there is no such file and none can be made, or it cannot be locked.
    """
    while (handle := try_lock(path)) is None:
        if not watch(math.nan, f'waiting for process {_holder(path)}, {what}'):
            raise BuildCancelled(f'waiting for process {_holder(path)}, {what}, was cancelled')
        time.sleep(_POLL_S)
    # For the words of those who wait; the lock itself needs no room on the disk.
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def try_lock(path: Path) -> int | None:
    """
    Lock a file if nobody else does.

    :returns: the descriptor, which holds the lock until it is closed; None where another has it.
    :raises OSError: as for wait_for_lock.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its former holder may have removed the file, and a third one made it anew.
            if os.path.samestat(os.fstat(handle), os.stat(path)):
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


def _holder(path: Path) -> str:
    """Id of the process that has a lock, '?' where it did not say."""
    try:
        return path.read_text(encoding='ascii') or '?'
    except (OSError, ValueError):
        return '?'
