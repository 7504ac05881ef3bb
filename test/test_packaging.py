# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that no module imports: package descriptions, configurations, documents."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import yaml
from panoptic_depth_core.config import InferenceSettings, Settings, load_settings
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_ros.environment import RECEIVE_BUFFER_BYTES
from panoptic_depth_ros.parameters import settings_from

REPOSITORY = Path(__file__).resolve().parents[1]
PARAMETER_FILES = sorted((REPOSITORY / 'config/ros').glob('*.yaml'))
CONFIGS = sorted({*(REPOSITORY / 'config').rglob('*.yaml')} - {
    *PARAMETER_FILES, REPOSITORY / 'config/replay/thresholds.yaml'})
DOCUMENTS = sorted([*REPOSITORY.glob('*.md'), *(REPOSITORY / 'doc').rglob('*.md')])
MESSAGES = sorted((REPOSITORY / 'msg').glob('*.msg'))


def text_of(name: str) -> str:
    """A file at the top of the repository."""
    return (REPOSITORY / name).read_text(encoding='utf-8')


def settings_class(path: Path) -> type[Settings]:
    """What a configuration is read into, by the folder it is in."""
    folder = path.relative_to(REPOSITORY / 'config').parts[0]
    if folder == 'training':
        pytest.importorskip('torch')
        from panoptic_depth_core.training.recipe import RecipeFile
        return RecipeFile
    if folder == 'export':
        pytest.importorskip('torch')
        from panoptic_depth_core.network.base import ModelDescription
        return ModelDescription
    if folder == 'replay':
        return RecordingSettings
    assert folder == 'inference', f'config/{folder} is not known; say here what reads it'
    return InferenceSettings


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_configurations_load(path: Path) -> None:
    """Every YAML in config/ has known keys and allowed values."""
    load_settings(settings_class(path), path)


@pytest.mark.parametrize('path', PARAMETER_FILES, ids=lambda path: path.name)
def test_parameter_files_load(path: Path) -> None:
    """Every ROS parameter file holds known parameters, at their defaults."""
    values = yaml.safe_load(path.read_text(encoding='utf-8'))['/**']['ros__parameters']
    assert settings_from(values) == settings_from({})


def test_rviz_shows_topics_of_the_node() -> None:
    """Displays listen to what is published, with a quality of service that fits."""
    path = REPOSITORY / 'config/rviz/panoptic_depth.rviz'
    displays = yaml.safe_load(path.read_text(encoding='utf-8'))['Visualization Manager'][
        'Displays']
    shown = {display['Topic']['Value'] for display in displays if 'Topic' in display}
    assert shown == {f'/panoptic_depth/{OUTPUTS[name].name}'
                     for name in ('points', 'markers', 'overlay', 'depth_color')}


def test_cyclonedds_asks_for_what_is_checked_before() -> None:
    """Cyclone DDS does not start where the kernel refuses what it asks for at least."""
    size = ElementTree.fromstring(text_of('config/cyclonedds.xml')).find(
        './/{https://cdds.io/config}SocketReceiveBufferSize')
    assert size.get('min') == '4MB'
    assert RECEIVE_BUFFER_BYTES == 4 << 20


def test_versions_agree() -> None:
    """package.xml, pyproject.toml, CHANGELOG.rst and CITATION.cff name one version."""
    version = ElementTree.fromstring(text_of('package.xml')).findtext('version')
    assert version
    assert re.search(r"^version = '(.+)'$", text_of('pyproject.toml'), re.M)[1] == version
    assert re.search(r'^(\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)\n-+$',
                     text_of('CHANGELOG.rst'), re.M)[1] == version
    assert yaml.safe_load(text_of('CITATION.cff'))['version'] == version


def test_package_xml() -> None:
    """Format 3, generates interfaces, and nothing that rosdep cannot install."""
    package = ElementTree.fromstring(text_of('package.xml'))
    assert package.get('format') == '3'
    assert package.findtext('name') == 'panoptic_depth'
    assert package.findtext('license') == 'Apache-2.0'
    assert package.findtext('member_of_group') == 'rosidl_interface_packages'
    assert package.findtext('export/build_type') == 'ament_cmake'
    keys = {e.text for e in package if e.tag.endswith('depend')}
    assert not keys & {'tensorrt', 'pycuda', 'onnx', 'onnxruntime', 'torch'}


def test_cmake_knows_every_message() -> None:
    """A message that is not listed would be missing in ROS only."""
    listed = re.findall(r'"msg/(\w+\.msg)"', text_of('CMakeLists.txt'))
    assert listed == [path.name for path in MESSAGES]
    depends = re.search(r'DEPENDENCIES ([\w ]+)', text_of('CMakeLists.txt'))[1].split()
    package = ElementTree.fromstring(text_of('package.xml'))
    assert set(depends) <= {e.text for e in package.findall('depend')}
    used = {match for path in MESSAGES for match in
            re.findall(r'^(\w+)/\w+', path.read_text(encoding='utf-8'), re.M)}
    assert used == set(depends)


def test_nothing_that_ament_trips_over() -> None:
    """Ament picks up a setup.cfg; a package of the ROS package's name clashes with messages."""
    assert not (REPOSITORY / 'setup.cfg').exists()
    assert not (REPOSITORY / 'panoptic_depth').exists()


def test_base_installation_has_no_torch() -> None:
    """Neither torch nor what brings it along is a plain dependency."""
    base = re.search(r'^dependencies = \[(.*?)^\]', text_of('pyproject.toml'), re.M | re.S)[1]
    assert 'numpy' in base
    assert not re.search(r"'(torch|lightning|onnxscript|onnx[>=])", base)


def test_torch_and_torchvision_are_pinned_as_a_pair() -> None:
    """An unpinned one of the two can be installed in a build that does not fit the other."""
    pins = text_of('constraints.txt')
    assert re.search(r'^torch==\d', pins, re.M)
    assert re.search(r'^torchvision==\d', pins, re.M)


class Block(NamedTuple):
    """A runnable block of a document."""

    document: Path
    line: int
    language: str
    code: str


def runnable_blocks() -> Iterator[Block]:
    """Every block of code that is marked with <!-- runnable -->."""
    for path in DOCUMENTS:
        text = path.read_text(encoding='utf-8')
        for match in re.finditer(r'<!-- runnable -->\n```(\w+)\n(.*?)```', text, re.S):
            yield Block(path, text.count('\n', 0, match.start()) + 1, match[1], match[2])


BLOCKS = list(runnable_blocks())


def test_readme_has_runnable_blocks() -> None:
    """One for the shell, one for Python."""
    assert {'sh', 'python'} <= {block.language for block in BLOCKS}


@pytest.mark.parametrize('block', BLOCKS, ids=lambda b: f'{b.document.name}:{b.line}')
def test_documented_code_runs(block: Block, tmp_path: Path) -> None:
    """What the documents promise works as written, beside a picture street.png."""
    picture = np.full((120, 240, 3), 110, np.uint8)
    picture[:60] = 200
    cv2.imwrite(str(tmp_path / 'street.png'), picture)
    if block.language == 'python':
        command = [sys.executable, '-c', block.code]
    else:
        # The script may not be installed where the tests run; the module always is.
        stand_in = f'panoptic-depth() {{ "{sys.executable}" -m panoptic_depth_core.cli "$@"; }}\n'
        command = ['bash', '-euo', 'pipefail', '-c', stand_in + block.code]
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get('PYTHONPATH')]))
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, 'PYTHONPATH': path},
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Relative links of the documents point at files that are there."""
    links = re.findall(r'\]\((?!https?:|#)([^)#]+)', document.read_text(encoding='utf-8'))
    assert not [link for link in links if not (document.parent / link).exists()]
