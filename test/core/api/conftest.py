# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A loaded model and a picture of it, for the tests of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import panoptic_depth_core as pd
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.model_directory import ModelInfo, save_model_directory


@pytest.fixture(scope='session')
def model_path(tmp_path_factory: pytest.TempPathFactory, make_info: Callable[..., ModelInfo],
               painted_onnx: Callable[[ModelInfo], bytes]) -> Path:
    """Directory of the painted model."""
    path = tmp_path_factory.mktemp('model') / 'painted'
    save_model_directory(path, make_info(), painted_onnx(make_info()))
    return path


@pytest.fixture
def model(model_path: Path) -> Iterator[pd.Model]:
    """Return the painted model, loaded by the API."""
    with pd.load(model_path, 'onnxruntime') as model:
        yield model


@pytest.fixture(scope='session')
def image(painted_image: Callable[[int, int], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """(48, 96, 3) uint8 RGB picture of two cars and a person."""
    return painted_image(48, 96)


@pytest.fixture
def pictures(tmp_path: Path, image: NDArray[np.uint8]) -> Path:
    """Folder of the picture, of its mirror image, and of it again, as a.png, b.png and c.png."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for name, pixels in zip('abc', (image, image[:, ::-1], image), strict=True):
        cv2.imwrite(str(folder / f'{name}.png'), pixels[..., ::-1])
    return folder


@pytest.fixture
def reference(model: pd.Model) -> Callable[..., pd.PanopticDepth]:
    """Return what the pipeline itself says of an image; the lens has 70 degrees by default."""
    def run(image: NDArray[np.uint8], camera: pd.Intrinsics | None = None) -> pd.PanopticDepth:
        height, width = image.shape[:2]
        return model.pipeline(pd.Frame(image, camera or pd.Intrinsics.from_fov(70, width, height)))
    return run
