# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The root of the package, and ``load``: what there is, when it is imported, and wrong words."""

from __future__ import annotations

import ast
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import panoptic_depth_core as pd
import pytest
from panoptic_depth_core.config import DepthSettings
from panoptic_depth_core.inference.backends import BACKENDS, backend_options

HEAVY = {'numpy', 'pydantic', 'cv2', 'onnxruntime', 'torch', 'rosbags', 'yaml'}


def run_python(code: str) -> str:
    """Run code in a fresh process; return what it prints."""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=120, check=False, cwd=Path(pd.__file__).parents[1])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_else() -> None:
    heavy = 'sorted({name.partition(".")[0] for name in sys.modules} & ' + repr(HEAVY) + ')'
    assert run_python(f'import sys, panoptic_depth_core; print({heavy})') == '[]\n'
    printed = run_python('import sys, panoptic_depth_core as pd\n'
                         'pd.load\n'
                         f'print({heavy}, "load" in vars(pd))')
    assert 'torch' not in printed and 'onnxruntime' not in printed
    assert printed.endswith('True\n')


def test_exports() -> None:
    """Every name is there, by itself, by a star and for type checkers."""
    assert {'load', 'Pipeline', 'Frame', 'Intrinsics', 'PanopticDepth'} <= set(pd.__all__)
    assert dir(pd) == sorted([*pd.__all__, '__version__'])
    assert all(getattr(pd, name).__name__ == name for name in pd.__all__)
    found: dict[str, object] = {}
    exec('from panoptic_depth_core import *', found)
    assert set(found) - {'__builtins__'} == set(pd.__all__)
    tree = ast.parse(Path(pd.__file__).read_text())
    checked = [alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
               and node.level for alias in node.names]
    assert sorted(filter(None, checked)) == sorted(pd.__all__)
    assert (Path(pd.__file__).parent / 'py.typed').is_file()


def test_other_names() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        pd.lod  # noqa: B018 - asking is the test
    assert not hasattr(pd, '__wrapped__')
    from panoptic_depth_core import structures
    assert structures.Frame is pd.Frame


def test_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata
    monkeypatch.setattr(metadata, 'version', lambda name: f'{name} 1.2.3')
    assert pd.__version__ == 'panoptic-depth 1.2.3'

    def missing(_: str) -> str:
        raise metadata.PackageNotFoundError
    monkeypatch.setattr(metadata, 'version', missing)
    with pytest.raises(AttributeError, match='no version known'):
        pd.__version__  # noqa: B018 - asking is the test


def test_the_shipped_model_by_its_name() -> None:
    with pd.load('fast', 'onnxruntime', threads=1) as model:
        assert repr(model) == f'<Model {model.pipeline.model.info.model_id} on onnxruntime>'
        assert [c.name for c in model.classes][:2] == ['road', 'sidewalk']


class TestSettings:
    """Settings by name, from a file and as an object."""

    def test_by_name(self, model_path: Path) -> None:
        settings = pd.load(model_path, 'onnxruntime', threads=1, score=0.5, output_size='network',
                           depth=DepthSettings(max_m=50)).pipeline.settings
        assert settings == pd.InferenceSettings(
            thresholds=pd.Thresholds(score=0.5), output_size='network',
            depth=DepthSettings(max_m=50))
        assert settings.thresholds.model_fields_set == {'score'}

    def test_names_win_over_an_object(self, model_path: Path) -> None:
        given = pd.InferenceSettings(thresholds=pd.Thresholds(score=0.1, void=0.2), fit='crop')
        settings = pd.load(model_path, 'onnxruntime', given, score=0.6,
                           max_instances=3).pipeline.settings
        assert settings == pd.InferenceSettings(
            thresholds=pd.Thresholds(score=0.6, void=0.2), fit='crop', max_instances=3)
        assert settings.thresholds.model_fields_set == {'score', 'void'}
        assert pd.load(model_path, 'onnxruntime', given).pipeline.settings == given

    def test_of_a_file(self, model_path: Path, tmp_path: Path) -> None:
        path = tmp_path / 'settings.yaml'
        path.write_text('thresholds: {overlap: 0.4}\n')
        settings = pd.load(model_path, 'onnxruntime', path, score=0.6).pipeline.settings
        assert settings.thresholds == pd.Thresholds(overlap=0.4, score=0.6)

    @pytest.mark.parametrize('backend', BACKENDS)
    def test_names_mean_one_thing(self, backend: str) -> None:
        """No option of a backend is called like a setting."""
        if backend == 'torch':
            pytest.importorskip('torch')
        assert not set(backend_options(backend)) & {
            *pd.InferenceSettings.model_fields, *pd.Thresholds.model_fields}

    @pytest.mark.parametrize(('options', 'words'), [
        ({'score': 2}, 'load: score is 2: Input should be less than or equal to 1'),
        ({'fit': 'stretch'}, "load: fit is 'stretch': Input should be 'letterbox' or 'crop'"),
        ({'scroe': 0.5}, "load: option 'scroe' is not known; known are threads, .*score, .*fit"),
        ({'settings': 'no.yaml'}, 'no.yaml: cannot be read'),
        ({'settings': {'fit': 'crop'}}, 'settings is of type dict; give InferenceSettings, or'),
        ({'threads': '2'}, "threads is '2'; give 1 or more"),
        ({'threads': 1.5}, 'threads is 1.5; give 1 or more'),
        ({'backend': 'onxruntime'}, "backend 'onxruntime' is not known"),
    ])
    def test_wrong_ones(self, model_path: Path, options: dict, words: str) -> None:
        with pytest.raises(pd.ConfigError, match=words):
            pd.load(model_path, **{'backend': 'onnxruntime', **options})

    def test_what_names_no_model(self, tmp_path: Path) -> None:
        with pytest.raises(pd.ConfigError, match='model is of type int; give the name of a shi'):
            pd.load(3)  # type: ignore[arg-type]
        with pytest.raises(pd.ConfigError, match=f'^{tmp_path}/model.json: cannot be read'):
            pd.load(tmp_path / 'model.json')

    def test_options_of_a_backend_of_ones_own(self, model: pd.Model) -> None:
        with pytest.raises(pd.ConfigError, match="option 'threads' is not known"):
            pd.load(model.pipeline.model, model.pipeline.backend, threads=1)
        assert pd.load(model.pipeline.model, model.pipeline.backend).classes == model.classes


def test_threads_take_turns(model: pd.Model, image, reference) -> None:
    images = [np.roll(image, 3 * i, axis=1) for i in range(24)]
    running, most = 0, 0
    run = model.pipeline.backend.run

    def counted(*inputs):
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return run(*inputs)
        finally:
            running -= 1
    model.pipeline.backend.run = counted
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda image: model(image, fov=70), images))
    assert most == 1
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result.panoptic, reference(image).panoptic)
        assert np.shares_memory(result.image, image)


def test_closed(model: pd.Model, image) -> None:
    with model:
        pass
    with pytest.raises(pd.BackendError, match='the backend is closed'):
        model(image)
