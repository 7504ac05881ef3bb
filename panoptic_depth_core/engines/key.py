# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The key of an engine: model, library, GPU, driver, system and build options."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping, Sequence

from pydantic import ConfigDict, Field

from ..config import Settings
from ..errors import ConfigError
from ..model_directory import ModelDirectory
from ..model_info import INFO_NAME
from .cuda import Gpu

_ANY = 'any'
_SHOWN_HEX = 12
_LONGEST_ID = 64


class EngineKey(Settings):
    """
    All that an engine depends on; it is used where every part is equal.

    No runtime checks all of this: at best it refuses another version or architecture, and it runs
    the engine of another graph without a warning.
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
    cuda: str = Field(min_length=1, description='CUDA version of the driver, or any')
    system: str = Field(min_length=1, description='operating system and architecture of the CPU')
    options: dict[str, str] = Field({}, description='build options')

    @classmethod
    def of(cls, model: ModelDirectory, library: str, library_version: str,
           compute_capability: str, *, gpu: str = _ANY, driver: str = _ANY, cuda: str = _ANY,
           workspace_mib: int = 0) -> EngineKey:
        """
        Key of a model on a GPU, with the operating system and CPU of this machine.

        :param gpu, driver, cuda: of this machine; 'any' for an engine built ahead of time.
        :raises ConfigError: when model.json cannot be read.
        """
        path = model.path / INFO_NAME
        try:
            model_json = path.read_bytes()
        except OSError as error:
            raise ConfigError(f'{path}: cannot be read: {error.strerror}; '
                              'copy the whole model directory') from None
        return cls(
            model_id=model.info.model_id, onnx_sha256=model.info.onnx_sha256,
            model_json_sha256=hashlib.sha256(model_json).hexdigest(),
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
        """Architecture of the GPU as CUDA names it: 'sm_86'."""
        return f'sm_{self.compute_capability.replace(".", "")}'

    @property
    def name(self) -> str:
        """Name of its files, readable for people: MODEL-sm_86-tensorrt10.3.0-0123456789ab."""
        return file_name(f'{self.model_id[:_LONGEST_ID]}-{self.target}-'
                         f'{self.library}{self.library_version}-{self.digest[:_SHOWN_HEX]}')

    def portable(self) -> EngineKey:
        """Key of the engine for any GPU of this compute capability."""
        return self.model_copy(update=dict.fromkeys(('gpu', 'driver', 'cuda'), _ANY))

    def differences(self, wanted: EngineKey) -> list[str]:
        """Name each part in which another key differs: 'driver: stored 535.1, wanted 570'."""
        mine, other = self._flat(), wanted._flat()
        return [f'{part}: stored {_shown(mine.get(part))}, wanted {_shown(other.get(part))}'
                for part in mine | other if mine.get(part) != other.get(part)]

    def why_unfit(self, model: ModelDirectory, gpus: Sequence[Gpu],
                  versions: Mapping[str, str]) -> str:
        """
        Name the parts that differ from those of this machine; empty if none does.

        :param model: another state of this model does not fit; other models are not compared.
        :param gpus: empty: GPUs and drivers are not compared.
        :param versions: of the installed libraries; others are not compared.
        """
        known = {'system': this_system()}
        if self.library in versions:
            known['library_version'] = versions[self.library]
        if self.model_id == model.info.model_id:
            current = EngineKey.of(model, self.library, self.library_version,
                                   self.compute_capability)
            known |= {'onnx_sha256': current.onnx_sha256,
                      'model_json_sha256': current.model_json_sha256}
        wanted = self.model_copy(update=known)
        candidates = [wanted.model_copy(update={
            'gpu': gpu.name, 'compute_capability': gpu.compute_capability, 'driver': gpu.driver,
            'cuda': gpu.cuda}) for gpu in gpus] or [wanted]
        if self == self.portable():
            candidates = [one.portable() for one in candidates]
        nearest = min([self.differences(one) for one in candidates], key=len)
        return '; '.join(nearest)

    def _flat(self) -> dict[str, str]:
        """Every part by its name, options as 'options.workspace_mib'."""
        return self.model_dump(exclude={'options'}) | {
            f'options.{name}': value for name, value in self.options.items()}


def this_system() -> str:
    """Operating system and architecture of the CPU: 'linux x86_64'."""
    return f'{platform.system()} {platform.machine()}'.lower()


def file_name(text: str) -> str:
    """Text as one component of a path: only letters, digits and ._- stay, the rest becomes _."""
    return re.sub(r'[^A-Za-z0-9._-]', '_', text).lstrip('.') or '_'


def _shown(value: str | None) -> str:
    if value is None:
        return 'nothing'
    return value[:_SHOWN_HEX] if re.fullmatch('[0-9a-f]{64}', value) else value
