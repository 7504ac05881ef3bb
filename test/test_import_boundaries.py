# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Who may import whom, read from the source; what that buys, tried in a process without torch.

See doc/architecture.md, "Layers".
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CORE = REPOSITORY / 'panoptic_depth_core'
MODULES = sorted(CORE.rglob('*.py'))
SOURCES = sorted(path for folder in ('panoptic_depth_core', 'panoptic_depth_ros', 'launch', 'test')
                 for path in (REPOSITORY / folder).rglob('*.py'))

MOST_LINES = 350

LAYERS = {
    'contract': 0, 'errors': 0, 'labels': 0, 'structures': 0, 'status': 0, 'config': 0,
    'class_tables': 0, 'files': 0,
    'model_info': 1, 'self_test': 1, 'model_directory': 1,
    'engines': 2, 'inference': 2, 'io': 2,
    'inference.pipeline': 3, 'evaluation': 3, 'datasets': 3, 'network': 3,
    'training': 4, 'streaming': 4, 'replay': 4, 'api': 4,
    'export': 5,
    'cli': 6,
}
"""Part of the core -> layer; a module may import from its own layer and from lower ones."""

APART = [{'inference', 'io'}, {'engines', 'io'}, {'inference.pipeline', 'network'},
         {'inference.pipeline', 'datasets'}, {'evaluation', 'datasets'}, {'network', 'datasets'},
         {'evaluation', 'network'}, {'streaming', 'training'}, {'streaming', 'evaluation'},
         {'replay', 'training'}, {'replay', 'streaming'}, {'api', 'training'},
         {'api', 'streaming'}, {'api', 'replay'}]
"""Parts of one layer that do not know each other."""

TORCH_PARTS = {'network', 'training', 'export'}
TORCH_LAZY = {'inference.backends.torch_backend'}
TORCH = {'torch', 'torchvision', 'torchmetrics', 'lightning', 'onnxscript', 'tensorboard'}
ROS = {'rclpy', 'rclpy_components', 'ament_index_python', 'cv_bridge', 'launch', 'launch_ros',
       'sensor_msgs', 'std_msgs', 'geometry_msgs', 'vision_msgs', 'visualization_msgs',
       'diagnostic_msgs', 'builtin_interfaces', 'rosidl_runtime_py', 'panoptic_depth',
       'panoptic_depth_ros', 'tf2_ros', 'rosbag2_py'}


class Import(NamedTuple):
    """One import: the whole name, and whether it runs when the module is imported."""

    name: str
    line: int
    at_import: bool


def dotted(path: Path) -> str:
    """Name of a module inside the core: 'inference.backends', '' for the core itself."""
    parts = path.relative_to(CORE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def part_of(module: str) -> str:
    """Longest key of LAYERS that a module belongs to, '' for the empty root."""
    names = module.split('.')
    return next(('.'.join(names[:i]) for i in range(len(names), 0, -1)
                 if '.'.join(names[:i]) in LAYERS), '')


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, the relative ones resolved, those for type checkers left out."""
    package = ['panoptic_depth_core', *path.relative_to(CORE).parts[:-1]]
    yield from _walk(ast.parse(path.read_text(encoding='utf-8')), package, True)


def _walk(node: ast.AST, package: list[str], at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_import)
        elif isinstance(child, ast.ImportFrom):
            base = package[:len(package) - child.level + 1] if child.level else []
            stem = '.'.join([*base, *filter(None, [child.module])])
            # 'from package import module' and 'from module import name' look the same.
            for alias in child.names:
                yield Import(f'{stem}.{alias.name}', child.lineno, at_import)
        elif isinstance(child, ast.If) and 'TYPE_CHECKING' in ast.unparse(child.test):
            for other in child.orelse:
                yield from _walk(other, package, at_import)
        else:
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _walk(child, package, at_import and not inside)


def broken_rules(path: Path) -> Iterator[str]:
    """What is wrong with the imports of one file, in words."""
    module = dotted(path)
    part = part_of(module)
    for item in imports(path):
        where = f'{path.relative_to(CORE.parent)}:{item.line} imports {item.name}'
        top = item.name.partition('.')[0]
        if top in ROS:
            yield f'{where}: the core does not know ROS'
        if top in TORCH and part.partition('.')[0] not in TORCH_PARTS:
            if module not in TORCH_LAZY and part != 'cli':
                yield f'{where}: only {sorted(TORCH_PARTS)} may use torch'
            elif item.at_import:
                yield f'{where}: import it in the function that needs it'
        if top != 'panoptic_depth_core' or not part:
            continue
        target = part_of(item.name.removeprefix('panoptic_depth_core').removeprefix('.'))
        if not target:
            continue
        if LAYERS[target] > LAYERS[part] and not (module in TORCH_LAZY and not item.at_import):
            yield f'{where}: {target} is above {part}'
        if any({target, part} == pair for pair in APART):
            yield f'{where}: {target} and {part} do not know each other'


def test_every_module_has_a_layer() -> None:
    """A new file or folder at the top of the core has to be put into LAYERS."""
    homeless = [dotted(path) for path in MODULES if dotted(path) and not part_of(dotted(path))]
    assert not homeless


@pytest.mark.parametrize('path', MODULES, ids=lambda path: dotted(path) or 'core')
def test_imports_go_down(path: Path) -> None:
    """Nothing imports upward, ROS or, outside of the torch folders, torch."""
    assert not list(broken_rules(path))


@pytest.mark.parametrize(('folder', 'line', 'words'), [
    ('inference', 'import torch', 'may use torch'),
    ('io', 'from ..inference.pipeline import Pipeline', 'is above'),
    ('io', 'from ..inference import segments', 'do not know each other'),
    ('network', 'from panoptic_depth_core.training import losses', 'is above'),
    ('evaluation', 'def f():\n    import rclpy', 'does not know ROS'),
    ('cli', 'import torch', 'import it in the function'),
])
def test_rules_find_what_breaks_them(folder: str, line: str, words: str,
                                     tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules can fail."""
    monkeypatch.setattr(sys.modules[__name__], 'CORE', tmp_path)
    path = tmp_path / folder / 'new.py'
    path.parent.mkdir()
    path.write_text(line + '\n')
    assert any(words in broken for broken in broken_rules(path))


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {blocked!r}:
            raise ImportError(name + ' is not part of the base installation')
sys.meta_path.insert(0, Block())
"""


@pytest.mark.parametrize('modules', [
    ['panoptic_depth_core.cli'],
    ['panoptic_depth_core.io.sources.open_source', 'panoptic_depth_core.io.results.sinks',
     'panoptic_depth_core.io.bags.result_bags', 'panoptic_depth_core.inference.pipeline',
     'panoptic_depth_core.inference.backends.onnxruntime_backend'],
    ['panoptic_depth_core.evaluation.' + path.stem
     for path in sorted((CORE / 'evaluation').glob('*.py')) if path.stem != '__init__'],
], ids=['cli', 'predict', 'evaluation'])
def test_runs_without_torch(modules: list[str]) -> None:
    """The base installation can import the command line, prediction and evaluation."""
    extras = {'embreex', 'scipy', 'numba', 'onnx', 'matplotlib'}
    code = BLOCKED.format(blocked=TORCH | ROS | extras)
    code += ''.join(f'import {module}\n' for module in modules)
    done = subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('path', SOURCES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_files_are_short(path: Path) -> None:
    """A file that outgrows this holds two things."""
    lines = len(path.read_text(encoding='utf-8').splitlines())
    assert lines <= MOST_LINES, f'{path.name} has {lines} lines; split it'
