# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether two processes, or two machines, run the same program."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the source of this package; a version number does not change with every edit."""
    package = Path(__file__).resolve().parents[3]
    digest = hashlib.sha256()
    for source in sorted(package.rglob('*.py')):
        digest.update(source.read_bytes())
    return digest.hexdigest()
