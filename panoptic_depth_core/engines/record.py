# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is kept beside an engine: the JSON that says what it is and whether it was tested."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, Field

from ..config import Settings, parse_settings
from ..errors import ConfigError
from .key import EngineKey
from .trust import read_private

FORMAT_VERSION: Final = 1


class EngineSelfTest(Settings):
    """How far the engine was from the reference of the model; see model_directory.SelfTest."""

    equal_ids: float
    depth_error: float


class EngineRecord(Settings):
    """What NAME.json says of NAME.engine."""

    format_version: Literal[1] = FORMAT_VERSION
    key: EngineKey
    engine_bytes: int = Field(gt=0)
    engine_sha256: str = Field(pattern='^[0-9a-f]{64}$')
    built_at: AwareDatetime
    self_test: EngineSelfTest | None = Field(None, description='none: not run yet')
    rejected: str = Field('', description='why the engine is not used')

    def to_json(self) -> bytes:
        """Return the content of the file."""
        return (json.dumps(self.model_dump(mode='json'), indent=1) + '\n').encode()


def read_record(path: Path) -> EngineRecord:
    """
    Read and check NAME.json.

    :raises ConfigError: when it is of another version or damaged.
    :raises FileNotFoundError, Untrusted, OSError: as read_private does.
    """
    try:
        values = json.loads(read_private(path))
    except ValueError as error:
        raise ConfigError(f'{path.name}: not valid JSON: {error}') from None
    version = values.get('format_version') if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise ConfigError(f'{path.name}: format_version is {version!r}, this program reads '
                          f'{FORMAT_VERSION}')
    return parse_settings(EngineRecord, values, path.name)


@dataclass(frozen=True)
class StoredEngine:
    """
    An engine of the cache that was checked when it was read.

    :param engine: the plan, those very bytes that were checked: give them to the runtime, do not
        read the file again.
    """

    path: Path
    record: EngineRecord
    engine: bytes = field(repr=False)

    @property
    def key(self) -> EngineKey:
        """What it belongs to."""
        return self.record.key

    @property
    def is_tested(self) -> bool:
        """Whether the self-test of the model was passed with it on this machine."""
        return self.record.self_test is not None
