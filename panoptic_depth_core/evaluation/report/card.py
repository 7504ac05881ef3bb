# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A model card as files: card.json has all numbers, MODEL_CARD.md and card.html are made of it.

``python -m panoptic_depth_core.evaluation.report.card FOLDER/card.json DOCUMENT...`` puts the
first table of a card into documents, between the lines ``<!-- card FOLDER: begin -->`` and
``<!-- card FOLDER: end -->``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ...errors import ConfigError
from ...files import make_folder, write_atomic
from ...io.generated_text import row, with_part
from ...untrusted import reading
from ..metrics.shown import Record
from . import card_tables
from .card_plots import card_plots
from .pages import escape, to_html, to_markdown
from .plots import Plot

JSON, MARKDOWN, HTML = 'card.json', 'MODEL_CARD.md', 'card.html'


def write_card(card: Record, folder: Path) -> tuple[list[Path], ImportError | None]:
    """
    Write the files of a card; those of an earlier one are replaced.

    :param card: of benchmark.card.measure_card, or read back from card.json.
    :returns: their paths, and why the page has no plots.
    :raises ConfigError: they cannot be written.
    """
    make_folder(folder)
    plots, missing = list[Plot](), None
    try:
        plots = card_plots(card)
    except ImportError as error:
        missing = error
    texts = {JSON: json.dumps(card, indent=1, allow_nan=False) + '\n',
             MARKDOWN: card_markdown(card),
             HTML: to_html('card.j2', **_content(card), plots=plots,
                           missing=missing and (missing.name or missing))}
    for name, text in texts.items():
        write_atomic(folder / name, text.encode('utf-8', 'replace'))
    return [folder / name for name in texts], missing


def card_markdown(card: Record) -> str:
    """MODEL_CARD.md."""
    return to_markdown('card.j2', **_content(card))


def _content(card: Record) -> Record:
    return {'card': card, 't': card_tables, 'weak': card_tables.limits(card)}


def read_card(path: Path) -> Record:
    """
    Read card.json.

    :raises ConfigError: it is none.
    """
    with reading(path, 'card.json', 'give that of panoptic-depth card'):
        card: Record = json.loads(path.read_text(encoding='utf-8'))
        if card['format'] == 1 and card['model']['model_id'] and card['data']:
            return card
    raise ConfigError(f'{path}: is of another version; measure the card again')


def main_table_text(card: Record) -> str:
    """The first table in Markdown."""
    table = card_tables.main_table(card)
    return '\n'.join(row(*cells) for cells in (
        [escape(name) for name in table.header], ['---', *['---:'] * (len(table.header) - 1)],
        *([escape(text) for text in cells] for cells in table.rows)))


def update(card: Record, name: str, document: Path) -> None:
    """
    Put the first table of a card into a document.

    :param name: in the markers.
    :raises ConfigError: the document has not these markers.
    """
    try:
        text = with_part(document.read_text(encoding='utf-8'), f'card {name}',
                         main_table_text(card))
    except (OSError, ValueError) as error:
        raise ConfigError(f'{document}: {error}') from error
    write_atomic(document, text.encode())


def main(paths: Sequence[str]) -> None:
    """
    Update documents, or print the table.

    :raises ConfigError: see read_card and update.
    """
    if not paths:
        raise ConfigError('no card is given; give FOLDER/card.json, and documents')
    path, *documents = map(Path, paths)
    card = read_card(path)
    if not documents:
        print(main_table_text(card))
    for document in documents:
        update(card, path.resolve().parent.name, document)


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except ConfigError as error:
        sys.exit(f'error: {error}')
