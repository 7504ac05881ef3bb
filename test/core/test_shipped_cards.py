# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The cards in doc/cards are of the shipped models, and README has their figures."""

from __future__ import annotations

from pathlib import Path

import panoptic_depth_core
import pytest
from panoptic_depth_core.evaluation.report import card as pages
from panoptic_depth_core.model_directory import open_model

MODELS = sorted(path.parent.name for path in
                Path(panoptic_depth_core.__file__).parent.glob('models/*/model.json'))


@pytest.mark.parametrize('name', MODELS)
def test_card_is_of_this_model(name: str, repository: Path) -> None:
    folder = repository / 'doc/cards' / name
    if not folder.is_dir():
        pytest.skip(f'{folder} is not there: panoptic-depth card {name} -o doc/cards/{name}')
    card = pages.read_card(folder / pages.JSON)
    info = open_model(name).info
    assert card['model']['onnx_sha256'] == info.onnx_sha256, 'measure the card again'
    assert (folder / pages.MARKDOWN).read_text(encoding='utf-8') == pages.card_markdown(card)
    readme = (repository / 'README.md').read_text(encoding='utf-8')
    if f'<!-- card {name}: begin -->' in readme:
        assert pages.main_table_text(card) in readme, (
            'python -m panoptic_depth_core.evaluation.report.card '
            f'doc/cards/{name}/card.json README.md')
