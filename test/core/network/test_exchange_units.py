# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Units between semantics and depth: the vectors of the published form, and the geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from golden import each_golden  # noqa: E402
from panoptic_depth_core.network.exchange_units import (  # noqa: E402
    ROOT_EPSILON,
    DepthToSemantic,
    SemanticToDepth,
    depth_of_size,
    size_at_depth,
)
from torch import nn  # noqa: E402

PARTS = {'conv': '0.weight', 'gamma': '1.weight', 'beta': '1.bias', 'mean': '1.running_mean',
         'var': '1.running_var'}


class Vectors:
    """
    A file of vectors.

    What is not read is told by ``unread``.
    """

    def __init__(self, path) -> None:
        self._file = np.load(path)
        self.unread = set(self._file.files)

    def __getitem__(self, name: str):
        """Take an array as a tensor."""
        self.unread.discard(name)
        return torch.from_numpy(self._file[name])

    def block(self, theirs: str, ours: str) -> dict[str, torch.Tensor]:
        """Weights of a convolution and its norm, by our names."""
        return {f'{ours}.{name}': self[f'weight/{theirs}.{part}'] for part, name in PARTS.items()}

    def branch(self, theirs: str, ours: str) -> dict[str, torch.Tensor]:
        """Weights of two blocks."""
        return {name: value for i in (0, 1)
                for name, value in self.block(f'{theirs}.{i}', f'{ours}.{i}').items()}

    def head(self, theirs: str, ours: str) -> nn.Conv2d:
        """Last convolution of a task."""
        weight = self[f'weight/{theirs}.conv']
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=1)
        conv.load_state_dict({'weight': weight, 'bias': self[f'weight/{theirs}.bias']})
        return conv


def _load(unit: nn.Module, weights: dict[str, torch.Tensor]) -> nn.Module:
    counters = {name: value for name, value in unit.state_dict().items()
                if name.endswith('num_batches_tracked')}
    unit.load_state_dict({**weights, **counters})
    for module in unit.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.eps == 1e-5
    return unit.eval()


def _agrees(found, expected) -> None:
    torch.testing.assert_close(found[0], expected, rtol=1e-5, atol=1e-5)


@each_golden('sosd_units')
@torch.no_grad()
def test_every_map_of_the_published_units(path):
    given = Vectors(path)
    common, semantic, depth = (given[name][None] for name in ('common', 'semantic', 'depth'))
    assert float(given['eps']) == ROOT_EPSILON and float(given['bn_eps']) == 1e-5

    to_depth = _load(SemanticToDepth(16, 16, 'batch'), {
        **given.branch('s2d.size3d', 'size_3d'), **given.branch('s2d.size2d', 'inverse_size_2d')})
    _agrees(to_depth.size_3d(common), given['s2d_map3d'])
    _agrees(to_depth.inverse_size_2d(semantic), given['s2d_map2d'])
    clue = to_depth(common, semantic)
    _agrees(clue, given['s2d_clue'])
    _agrees(given.head('s2d.out', 'head')(torch.cat([depth, clue], 1)), given['s2d_depth'])

    to_semantic = _load(DepthToSemantic(16, 16, 32, 'batch'), {
        **given.branch('d2s.size3d', 'size_3d'),
        **given.branch('d2s.invdepth2', 'inverse_depth_2'),
        **given.block('d2s.clue', 'clue')})
    size_3d, inverse = to_semantic.size_3d(common), to_semantic.inverse_depth_2(depth)
    _agrees(size_3d, given['d2s_latent3d'])
    _agrees(inverse, given['d2s_latent_inverse_depth2'])
    _agrees(size_at_depth(size_3d, inverse), given['d2s_product'])
    clue = to_semantic(common, depth)
    _agrees(clue, given['d2s_clue'])
    _agrees(given.head('d2s.out', 'head')(torch.cat([semantic, clue], 1)), given['d2s_logits'])
    assert given.unread == {'seed', 'geometry', 'geometry_columns'}, 'the last two are below'


@each_golden('sosd_units')
def test_geometry(path):
    """Size to depth, and depth to size, for each row of the table."""
    given = np.load(path)
    names = given['geometry_columns'].tolist()
    assert len(given['geometry']) >= 3
    for row in given['geometry']:
        fx, fy, width_m, height_m, depth, du, dv, again = row
        assert names[:5] == ['fx', 'fy', 'dX', 'dY', 'depth'], names
        assert (du, dv) == pytest.approx((fx * width_m / depth, fy * height_m / depth))
        size, focal = torch.tensor(width_m * height_m), math.sqrt(fx * fy)
        found = depth_of_size(size, torch.tensor(1 / (du * dv)), focal, epsilon=0.0)
        assert float(found) == pytest.approx(again, rel=1e-6) == pytest.approx(depth, rel=1e-6)
        assert float(size_at_depth(size, torch.tensor(depth ** -2), focal)) == pytest.approx(
            du * dv, rel=1e-6)


def test_a_car_by_hand():
    """1.8 m by 1.5 m at f 500 px, 90 px by 75 px large: 10 m."""
    size = torch.tensor(1.8 * 1.5)
    assert float(depth_of_size(size, torch.tensor(1 / (90 * 75.0)), 500.0, 0.0)) == pytest.approx(
        10.0)
    # Twice the focal length: the same picture is of what is twice as far.
    assert float(depth_of_size(size, torch.tensor(1 / (90 * 75.0)), 1000.0, 0.0)) == pytest.approx(
        20.0)
    assert float(size_at_depth(size, torch.tensor(0.01), 500.0)) == pytest.approx(90 * 75)


@pytest.mark.parametrize('norm', ['group', 'batch'])
def test_the_focal_length_is_a_factor_and_its_square(norm):
    torch.manual_seed(0)
    common, semantic, depth = (torch.randn(2, c, 6, 8) for c in (8, 16, 24))
    focal = torch.tensor([1.0, 2.0])
    to_depth = SemanticToDepth(8, 16, norm).eval()
    plain = to_depth(common, semantic)
    assert plain.shape == (2, to_depth.channels, 6, 8) and (plain >= 0).all()
    torch.testing.assert_close(to_depth(common, semantic, focal),
                               plain * torch.tensor([1.0, 2.0])[:, None, None, None])
    to_semantic = DepthToSemantic(8, 24, 16, norm).eval()
    seen = []
    to_semantic.clue.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    assert to_semantic(common, depth).shape == (2, 16, 6, 8)
    to_semantic(common, depth, focal)
    torch.testing.assert_close(seen[1], seen[0] * torch.tensor([1.0, 4.0])[:, None, None, None])


def test_zeros_have_a_gradient():
    """ReLU makes them, where the root alone would give an infinite one, and NaN behind it."""
    size = torch.zeros(3, requires_grad=True)
    depth_of_size(size, torch.ones(3)).sum().backward()
    assert torch.isfinite(size.grad).all() and (size.grad > 0).all()


def test_sizes_keep_their_scale_without_batch_norm():
    """A norm over one channel of a picture would make every clue alike."""
    torch.manual_seed(0)
    unit = SemanticToDepth(8, 8).eval()
    with torch.no_grad():
        unit.size_3d[-2].bias.fill_(3.0)
        far = unit(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 4, 4))
        unit.size_3d[-2].bias.fill_(0.5)
        near = unit(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 4, 4))
    assert (far > 1.5 * near).all()
