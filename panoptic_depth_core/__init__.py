# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic labels, metric depth and a distance per instance from one camera image.

    import panoptic_depth_core as pd
    model = pd.load('fast')
    result = model('street.png', fov=70)

Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.model import Model as Model
    from .api.model import load as load
    from .api.result import Result as Result
    from .api.result import Results as Results
    from .config import InferenceSettings as InferenceSettings
    from .config import Thresholds as Thresholds
    from .errors import BackendError as BackendError
    from .errors import ConfigError as ConfigError
    from .inference.pipeline import Pipeline as Pipeline
    from .structures import Frame as Frame
    from .structures import InstanceDistance as InstanceDistance
    from .structures import Intrinsics as Intrinsics
    from .structures import Mounting as Mounting
    from .structures import PanopticDepth as PanopticDepth

    __version__: str

_HOMES = {
    'api.model': ('Model', 'load'),
    'api.result': ('Result', 'Results'),
    'config': ('InferenceSettings', 'Thresholds'),
    'errors': ('BackendError', 'ConfigError'),
    'inference.pipeline': ('Pipeline',),
    'structures': ('Frame', 'InstanceDistance', 'Intrinsics', 'Mounting', 'PanopticDepth'),
}
"""Module -> exported names; the same as for type checkers above."""

__all__ = [name for names in _HOMES.values() for name in names]


if not TYPE_CHECKING:  # type checkers would accept any name
    def __getattr__(name: str) -> Any:
        """Import a name; __version__ is that of the installed package."""
        if name == '__version__':
            from importlib.metadata import PackageNotFoundError, version
            try:
                return version('panoptic-depth')
            except PackageNotFoundError:
                raise AttributeError('not installed with pip: no version known') from None
        for home, names in _HOMES.items():
            if name in names:
                from importlib import import_module
                return globals().setdefault(
                    name, getattr(import_module(f'.{home}', __name__), name))
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    """List what can be used, imported or not."""
    return sorted([*__all__, '__version__'])
