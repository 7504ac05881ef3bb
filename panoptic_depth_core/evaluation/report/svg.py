# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A matplotlib figure as an <svg> element of a page, with the page's own colors and font.

Bytes depend on what is drawn alone: ids are hashed with a salt, and there is no date in it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from .format import html_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GRID, BASELINE, OTHER = '#0b0e01', '#0b0e02', '#0b0e03', '#0b0e04'
COLORS = tuple(f'#0c0e0{i}' for i in range(1, 9))
"""Stand-ins; the page says what they look like, in the light and in the dark."""

DASHES = 0, (3, 1.5)
"""Of lines of a baseline."""

_VARIABLES = {INK: 'currentColor', GRID: 'var(--line)', BASELINE: 'var(--baseline)',
              OTHER: 'var(--other)',
              **{color: f'var(--s{i})' for i, color in enumerate(COLORS, 1)}}

SIZE_IN = 4.6, 3.0
"""So narrow that its text can be read on a phone, which is not much wider."""

_STYLE: dict[str, Any] = {
    'svg.fonttype': 'none', 'svg.hashsalt': 'panoptic_depth', 'text.parse_math': False,
    'font.family': 'DejaVu Sans', 'font.size': 10.0, 'axes.labelsize': 10.0,
    'xtick.labelsize': 9.5, 'ytick.labelsize': 9.5,
    'text.color': INK, 'axes.labelcolor': INK, 'xtick.color': INK, 'ytick.color': INK,
    'axes.edgecolor': GRID, 'grid.color': GRID, 'grid.linewidth': 0.8, 'axes.linewidth': 0.8,
    'axes.grid': True, 'axes.axisbelow': True, 'axes.spines.top': False,
    'axes.spines.right': False, 'axes.spines.left': False, 'xtick.major.size': 0.0,
    'ytick.major.size': 0.0, 'xtick.minor.size': 0.0, 'ytick.minor.size': 0.0,
    'lines.linewidth': 1.6, 'axes.formatter.useoffset': False, 'axes.unicode_minus': False,
}


def draw(name: str, alt: str, paint: Callable[[Axes], None],
         size_in: tuple[float, float] = SIZE_IN) -> str:
    """
    Draw a plot.

    :param name: unique on the page; all ids begin with it.
    :param alt: what it shows, in words.
    :param paint: draws on the axes, in COLORS, BASELINE and OTHER.
    :raises ImportError: when matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    file = io.StringIO()
    with matplotlib.rc_context():
        # A matplotlibrc of the user is not part of the report.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast(Any, _STYLE))
        figure = Figure(figsize=size_in, layout='constrained')
        FigureCanvasSVG(figure)
        paint(figure.subplots())
        figure.savefig(file, format='svg', transparent=True, metadata={'Date': None})
    return _inline(file.getvalue(), name, alt)


def _inline(svg: str, name: str, alt: str) -> str:
    """Make a file an element: no prolog, own ids, colors and font of the page."""
    svg = svg[svg.index('<svg'):]
    svg = re.sub(r'\s*<metadata>.*?</metadata>', '', svg, flags=re.DOTALL)
    # A style in here would be one of the whole page.
    svg = re.sub(r'\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>', '', svg, count=1,
                 flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    svg = (f'<svg class="plot" role="img" aria-label="{html_text(alt)}" viewBox="{box[1]}">'
           + svg[svg.index('>') + 1:])
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    svg = svg.replace('url(#', f'url(#{name}-')
    svg = re.sub(r'font: ([\d.]+)px [^;"]*', r'font-size: \1px', svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg.strip()
