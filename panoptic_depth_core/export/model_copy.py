# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A model directory once more, with all that belongs to it."""

from __future__ import annotations

from pathlib import Path

from ..files import disk_errors, write_atomic
from ..model_directory import MODE, ModelDirectory, save_model_directory


def copy_model(model: ModelDirectory, out_dir: Path | str) -> ModelDirectory:
    """
    Copy a model directory; engines stay, as they belong to where they were built.

    :param out_dir: where the model is already, nothing is done.
    :raises ConfigError: when it cannot be written.
    """
    out_dir = Path(out_dir)
    if out_dir.resolve() == model.path.resolve():
        return model
    test = model.load_self_test() if model.info.self_test else None
    copy = save_model_directory(out_dir, model.info, model.onnx_path.read_bytes(), test)
    copy_licences(model, out_dir)
    return copy


def copy_licences(model: ModelDirectory, out_dir: Path) -> None:
    """
    Copy the licence texts of a model, without which it may not be handed on.

    :raises ConfigError: when they cannot be written.
    """
    with disk_errors(out_dir):
        for path in sorted(model.path.glob('LICENSE*')):
            write_atomic(out_dir / path.name, path.read_bytes(), sync=True, mode=MODE)
