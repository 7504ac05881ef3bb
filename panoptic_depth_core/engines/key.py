# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engine belongs to: graph, library, GPU, driver, system and how it was built."""

from __future__ import annotations

import hashlib
import json
import platform
import re

from pydantic import ConfigDict, Field

from ..config import Settings
from ..errors import ConfigError
from ..model_directory import ModelDirectory
from ..model_info import INFO_NAME

ANY = 'any'
"""Part of the key of an engine that does not depend on it."""

_SHOWN_HEX = 12
_LONGEST_ID = 64


class EngineKey(Settings):
    """
    All that an engine depends on; it runs where every part is equal.

    Nobody checks this for us: a runtime refuses an engine of another version or architecture at
    best, and runs one of another graph without a word.
    """

    model_config = ConfigDict(protected_namespaces=())

    model_id: str = Field(min_length=1)
    onnx_sha256: str = Field(pattern='^[0-9a-f]{64}$')
    model_json_sha256: str = Field(pattern='^[0-9a-f]{64}$')
    library: str = Field(min_length=1, description='tensorrt or tensorrt_rtx')
    library_version: str = Field(min_length=1)
    gpu: str = Field(min_length=1, description='name of the GPU, or any')
    compute_capability: str = Field(pattern=r'^\d+\.\d$')
    driver: str = Field(min_length=1, description='version of the driver, or any')
    cuda: str = Field(min_length=1, description='version of CUDA that the driver has, or any')
    system: str = Field(min_length=1, description='operating system and architecture of the CPU')
    options: dict[str, str] = Field({}, description='how it was built')

    @classmethod
    def of(cls, model: ModelDirectory, library: str, library_version: str,
           compute_capability: str, *, gpu: str = ANY, driver: str = ANY, cuda: str = ANY,
           workspace_mib: int = 0) -> EngineKey:
        """
        Key of a model on a GPU that is driven from this machine.

        :param library: 'tensorrt' or 'tensorrt_rtx'.
        :param compute_capability: as in '8.6'.
        :param gpu, driver, cuda: of this machine; 'any' for an engine built ahead of time.
        :param workspace_mib: most memory of the GPU while building and running; 0: no limit.
        :raises ConfigError: when model.json cannot be read.
        """
        path = model.path / INFO_NAME
        try:
            described = path.read_bytes()
        except OSError as error:
            raise ConfigError(f'{path}: cannot be read: {error.strerror}; '
                              'copy the whole model directory') from None
        return cls(
            model_id=model.info.model_id, onnx_sha256=model.info.onnx_sha256,
            model_json_sha256=hashlib.sha256(described).hexdigest(),
            library=library, library_version=library_version, gpu=gpu,
            compute_capability=compute_capability, driver=driver, cuda=cuda,
            system=this_system(), options={'workspace_mib': str(workspace_mib)})

    @property
    def digest(self) -> str:
        """SHA-256 over all parts, as hex."""
        text = json.dumps(self.model_dump(), sort_keys=True, separators=(',', ':'))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def target(self) -> str:
        """Architecture of the GPU in CUDA's words, as in 'sm_86'."""
        return target_of(self.compute_capability)

    @property
    def name(self) -> str:
        """Name of its files, for people to read: MODEL-sm_86-tensorrt10.3.0-0123456789ab."""
        parts = (self.model_id[:_LONGEST_ID], self.target, self.library + self.library_version,
                 self.digest[:_SHOWN_HEX])
        return file_name('-'.join(parts))

    def portable(self) -> EngineKey:
        """Key of the engine for any GPU of this compute capability."""
        return self.model_copy(update={'gpu': ANY, 'driver': ANY, 'cuda': ANY})

    def differences(self, wanted: EngineKey) -> list[str]:
        """Name each part in which another key differs, as 'driver: stored 535.1, wanted 570'."""
        stored, asked = _flat(self), _flat(wanted)
        return [f'{part}: stored {_shown(stored.get(part))}, wanted {_shown(asked.get(part))}'
                for part in dict.fromkeys([*stored, *asked])
                if stored.get(part) != asked.get(part)]


def this_system() -> str:
    """Operating system and architecture of the CPU, as in 'linux x86_64'."""
    return f'{platform.system()} {platform.machine()}'.lower()


def target_of(compute_capability: str) -> str:
    """'sm_86' of '8.6', 'sm_120' of '12.0'."""
    return 'sm_' + compute_capability.replace('.', '')


def capability_of(target: str) -> str:
    """
    '8.6' of 'sm_86', '12.0' of 'sm_120'.

    :raises ConfigError: when it is no such name.
    """
    match = re.fullmatch(r'sm_(\d{1,2})(\d)', target)
    if match is None:
        raise ConfigError(f'target {target!r} is no architecture; give one as in sm_86, '
                          'for compute capability 8.6')
    return f'{match[1]}.{match[2]}'


def file_name(text: str) -> str:
    """Text as one component of a path: what is not a letter, digit or one of ._- becomes _."""
    return re.sub(r'[^A-Za-z0-9._-]', '_', text).lstrip('.') or '_'


def _flat(key: EngineKey) -> dict[str, str]:
    """Every part by its name, options as 'options.workspace_mib'."""
    parts = key.model_dump()
    return {**{name: value for name, value in parts.items() if name != 'options'},
            **{f'options.{name}': value for name, value in parts['options'].items()}}


def _shown(value: str | None) -> str:
    if value is None:
        return 'nothing'
    return value[:_SHOWN_HEX] if re.fullmatch('[0-9a-f]{64}', value) else value
