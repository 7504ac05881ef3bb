# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""LapDepth: against vectors of the original, checkpoints in its format, and our default."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from golden import each_golden  # noqa: E402
from golden_lapdepth import golden_shapes, golden_weights  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network import create_model, from_published  # noqa: E402
from panoptic_depth_core.network.lapdepth.blocks import (  # noqa: E402
    Block,
    ChannelAffine,
    StandardizedConv,
)
from panoptic_depth_core.network.lapdepth.checkpoint import (  # noqa: E402
    published_names,
)
from panoptic_depth_core.network.lapdepth.decoder import picture_residuals  # noqa: E402
from panoptic_depth_core.network.lapdepth.network import (  # noqa: E402
    KITTI_FOCAL_PX,
    NYU_FOCAL_PX,
    PUBLISHED_SETTINGS,
    LapDepth,
)
from panoptic_depth_core.network.published_names import published_shape  # noqa: E402
from panoptic_depth_core.network.torch_backend import LowerPrecision  # noqa: E402
from torch import nn  # noqa: E402
from torchvision.ops import FrozenBatchNorm2d  # noqa: E402

CAMERA = torch.tensor([[KITTI_FOCAL_PX, KITTI_FOCAL_PX, 127.5, 63.5]])
TINY = {'width': 64}


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Weights are random, but the same in each run."""
    torch.manual_seed(0)


def _distance(a: torch.Tensor, b: np.ndarray | torch.Tensor) -> float:
    b = torch.as_tensor(b)
    return float((a.double() - b.double()).norm() / b.double().norm())


def _image(height: int = 32, width: int = 64, count: int = 1) -> torch.Tensor:
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8,
                         generator=torch.Generator().manual_seed(0))


def _moving_norms(network: nn.Module) -> nn.Module:
    """Give every norm something to do."""
    torch.manual_seed(1)
    for module in network.modules():
        for name, value in [*module.named_parameters(recurse=False),
                            *module.named_buffers(recurse=False)]:
            if isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d) and value.ndim:
                value.data.uniform_(0.5, 1.5) if name in ('weight', 'running_var') else (
                    value.data.normal_(std=0.1))
    return network


class TestGolden:
    """The authors' code, run with the same weights."""

    @each_golden('lapdepth_network')
    def test_equals_the_original(self, path) -> None:
        golden = np.load(path)
        norm = path.stem.split('_')[2]
        weights = golden_weights(norm, int(golden['seed']), golden)
        network = LapDepth.from_published(
            weights, path.name, {'max_depth_m': float(golden['max_depth'])}).eval()
        image = torch.from_numpy(golden['image_rgb'][None])
        with torch.inference_mode():
            features = network.backbone.with_stem(network.normalised(image))
            output = network(image, CAMERA)
            found = {'depth': output.depth[0], 'aspp': network.decoder.context(features[-1])[0]}
            network.settings = network.settings.model_copy(update={'flip_average': True})
            found['depth_flip_mean'] = network(image, CAMERA).depth[0]
        found |= {f'mean_feature_{i}': x[0].mean((1, 2)) for i, x in enumerate(features)}
        found |= {f'residual_{5 - i}': x[0, 0] for i, x in enumerate(output.residuals)}
        compared = {name for name in golden.files if not name.startswith('stats/')}
        assert set(found) == compared - {'seed', 'max_depth', 'image_rgb'}
        for name, value in found.items():
            distance = _distance(value, golden[name])
            print(f'{path.stem} {name}: {distance:.1e}')
            assert distance < 1e-4, name

    @pytest.mark.parametrize(('norm', 'ours'), [('bn', 'batch'), ('gn', 'group')])
    def test_names_and_shapes_are_those_of_the_checkpoints(self, norm, ours) -> None:
        settings = PUBLISHED_SETTINGS.model_copy(update={'norm': ours})
        with torch.device('meta'):
            network = LapDepth(settings)
        wanted = {name: value for name, value in network.state_dict().items()
                  if not name.endswith('num_batches_tracked')}
        names = published_names(ours)
        assert sorted(names.values()) == sorted(wanted)
        assert {name: published_shape(wanted[to]) for name, to in names.items()} == (
            golden_shapes(norm))

        def count(part: nn.Module) -> int:
            return sum(tensor.numel() for name, tensor in part.state_dict().items()
                       if name.endswith(('weight', 'bias')))

        assert count(network.backbone) == 57_996_608
        assert count(network.decoder) == 15_572_864


class TestPublished:
    """Checkpoints in the authors' format."""

    @pytest.fixture(scope='class', params=['batch', 'group'])
    @staticmethod
    def weights(request) -> dict[str, torch.Tensor]:
        """Random ones, with a counter for each norm that counts."""
        torch.manual_seed(0)
        network = _moving_norms(LapDepth(PUBLISHED_SETTINGS.model_copy(
            update={'norm': request.param})))
        ours = network.state_dict()
        weights = {f'module.{name}': ours[to].reshape(published_shape(ours[to]))
                   for name, to in published_names(request.param).items()}
        return weights | {name.replace('running_var', 'num_batches_tracked'): torch.tensor(7)
                          for name in weights if name.endswith('running_var')}

    def test_file(self, weights, tmp_path) -> None:
        path = tmp_path / 'best_model.pkl'
        torch.save(weights, path)
        network = from_published(path)
        assert isinstance(network, LapDepth)
        s = network.settings
        assert (s.norm == 'batch') == any('decoder1.0.module.0.running_var' in n for n in weights)
        assert (s.max_depth_m, s.output, s.canonical_focal_px) == (80.0, 'sigmoid', 721.5)
        names = published_names(s.norm)
        ours = network.state_dict()
        for name, to in names.items():
            assert torch.equal(ours[to].flatten(), weights[f'module.{name}'].flatten()), name

    @pytest.mark.parametrize(('change', 'words'), [
        (lambda w: w.pop('module.decoder.decoder1.0.module.2.weight'),
         'missing: decoder.decoder1.0.module.2.weight;'),
        (lambda w: w.update({'module.encoder.encoder.layer4.0.conv1.weight': torch.ones(1)}),
         'unknown: encoder.encoder.layer4.0.conv1.weight;'),
        (lambda w: w.update({'module.decoder.ASPP.reduction1.weight': torch.ones(8, 4, 1, 1)}),
         r'of another shape: decoder.ASPP.reduction1.weight is \(8, 4, 1, 1\), not \(512, 1024,'),
        (lambda w: w.update({
            'module.decoder.decoder1.4.module.0.bias': torch.full((32,), torch.nan)}),
         'not finite: decoder.decoder1.4.module.0.bias;'),
    ])
    def test_says_what_does_not_fit(self, weights, change, words) -> None:
        changed = dict(weights)
        change(changed)
        with pytest.raises(ConfigError, match=f'a.pkl: no checkpoint of LapDepth.*{words}'):
            LapDepth.from_published(changed, 'a.pkl')

    @pytest.mark.parametrize(('settings', 'words'), [
        ({'width': 256}, 'of another shape'),
        ({'laplacian': False}, 'without a place in a network of these settings'),
        ({'merged_batch_norm': True}, 'without a place in a network of these settings'),
    ])
    def test_says_which_setting_does_not_fit(self, weights, settings, words) -> None:
        with pytest.raises(ConfigError, match=f'{words}.*no setting that changes its layers'):
            LapDepth.from_published(weights, 'a.pkl', settings)

    def test_other_files(self, tmp_path) -> None:
        assert not LapDepth.reads_published({'backbone.bottom_up.stem.conv1.weight'})
        with pytest.raises(ConfigError, match=r'a.pkl: no checkpoint of LapDepth.*missing'):
            LapDepth.from_published({'a': torch.ones(1)}, 'a.pkl')
        torch.save({'a': torch.ones(1)}, tmp_path / 'a.pkl')
        with pytest.raises(ConfigError, match=r"a.pkl: .*'a', .*a .pkl of LapDepth with ResNeX"):
            from_published(tmp_path / 'a.pkl')

    def test_settings_in_place_of_those_that_the_weights_do_not_tell(self, weights) -> None:
        def settings(**given):
            return LapDepth.from_published(weights, 'a.pkl', given).settings

        nyu = settings(max_depth_m=10)
        assert (nyu.max_depth_m, nyu.canonical_focal_px) == (10.0, NYU_FOCAL_PX)
        assert settings(max_depth_m=10, canonical_focal_px=600).canonical_focal_px == 600
        assert settings(camera='unknown').camera == 'unknown'
        with pytest.raises(ConfigError, match='a.pkl: .*wide'):
            settings(wide=3)


class TestCamera:
    """Meters for any focal length."""

    @pytest.mark.parametrize(('camera', 'factor'), [('canonical', 2.0), ('unknown', 1.0)])
    def test_scales_meters(self, camera, factor) -> None:
        network = create_model('lapdepth', {**TINY, 'camera': camera}).eval()
        focal = 2 * network.settings.canonical_focal_px
        with torch.inference_mode():
            output = network(_image(), torch.tensor([[focal, focal, 31.5, 15.5]]))
            depth = network.assemble(output, torch.zeros(4))['depth']
        assert output.metric.tolist() == [factor]
        assert depth.shape == (1, 16, 32) and (depth > 0).all()

    def test_sees_the_rays(self) -> None:
        """Depth depends on where the horizon is; as published it does not."""
        high, low = (torch.tensor([[500.0, 500.0, 31.5, cy]]) for cy in (4.0, 28.0))
        for settings, is_same in (({}, False), ({'rays': False}, True)):
            network = create_model('lapdepth', {**TINY, **settings}).eval()
            with torch.inference_mode():
                first, second = (network(_image(), camera).depth for camera in (high, low))
            assert torch.equal(first, second) == is_same
        assert not PUBLISHED_SETTINGS.rays

    def test_published_output_never_reaches_the_near_range(self) -> None:
        """The default does; that is why."""
        published = create_model('lapdepth', {**TINY, 'output': 'sigmoid'})
        lowest, highest = (published._depth(torch.full((1, 1, 1, 1), total)).item()
                           for total in (-4.0, 5.0))
        assert (lowest, highest) == pytest.approx((1.44, 79.46), abs=0.01)
        default = create_model('lapdepth', TINY)
        assert default._depth(torch.full((1, 1, 1, 1), -4.0)).item() < 0.25


class TestDecoder:
    """Parts of the decoder, by hand."""

    def test_standardized_weights(self) -> None:
        conv = StandardizedConv(6, 5, 3)
        weight = conv.weight.detach().numpy().astype(np.float64).reshape(5, -1)
        expected = (weight - weight.mean(1, keepdims=True)) / (
            weight.std(1, ddof=1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(conv.standardized().detach().reshape(5, -1), expected,
                                   rtol=1e-4, atol=1e-5)

    def test_pyramid_of_a_picture_adds_up(self) -> None:
        picture = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
        residuals = picture_residuals(picture, 3)
        assert [tuple(r.shape[-2:]) for r in residuals] == [(32, 48), (16, 24), (8, 12)]
        again = nn.functional.avg_pool2d(picture, 8)
        for residual in reversed(residuals):
            again = nn.functional.interpolate(again, scale_factor=2, mode='bilinear') + residual
        torch.testing.assert_close(again, picture)

    def test_starts_near_a_plain_depth(self) -> None:
        network = create_model('lapdepth').eval()
        with torch.inference_mode():
            depth = network(_image(96, 192), CAMERA).depth
        assert 9 < depth.median() < 16 and depth.log().std() < 0.3

    @pytest.mark.parametrize('laplacian', [True, False])
    def test_shapes_for_every_size(self, laplacian) -> None:
        network = create_model('lapdepth', {**TINY, 'laplacian': laplacian}).eval()
        with torch.inference_mode():
            output = network(_image(48, 80, 2), CAMERA.expand(2, -1))
        sizes = [(48 >> k, 80 >> k) for k in (4, 3, 2, 1, 0)] if laplacian else [(48, 80)]
        assert [tuple(r.shape) for r in output.residuals] == [(2, 1, *size) for size in sizes]
        assert [tuple(r.shape) for r in output.sums] == [(2, 1, *size) for size in sizes]
        assert output.depth.shape == (2, 48, 80)

    def test_plain_decoder_has_the_same_layers(self) -> None:
        """What differs is what the ablation is about."""
        def layers(**settings) -> dict[str, tuple[int, ...]]:
            return {n: tuple(p.shape) for n, p in create_model(
                'lapdepth', settings).named_parameters() if n.endswith('conv.weight')}

        ours, plain = layers(), layers(laplacian=False)
        gone = {name for name in ours if name not in plain}
        assert set(plain) < set(ours)
        assert {name.split('.')[1] for name in gone} == {'coarsest', 'levels'}
        assert not any('levels.3' in name for name in gone)
        # Four more features in place of three residuals of the picture and one of depth.
        changed = {n: (ours[n][0], plain[n][0]) for n in plain if ours[n] != plain[n]}
        assert changed == {f'decoder.levels.{level}.{part}.conv.weight': (n - 4, n) for
                           level, part, n in ((0, 'skip', 64), (1, 'skip', 32), (2, 'skip', 16),
                                              (3, 'up', 16))}

    def test_flip_average(self) -> None:
        """The same depth, mirrored, for the mirrored picture; not while it learns."""
        network = create_model('lapdepth', {**TINY, 'flip_average': True}).eval()
        image = _image()
        views = [(image, torch.tensor([[400.0, 400.0, 20.0, 15.5]])),
                 (image.flip(2), torch.tensor([[400.0, 400.0, 43.0, 15.5]]))]
        with torch.inference_mode():
            depth, mirrored = (network(*view).depth for view in views)
            assert _distance(mirrored.flip(2), depth) < 1e-5
            network.train()
            plain, other = (network(*view).depth for view in views)
        assert _distance((plain + other.flip(2)) / 2, depth) < 1e-5
        assert _distance(plain, depth) > 1e-4


class TestDeployed:
    """What only training needs is folded into the convolutions."""

    @pytest.mark.parametrize('settings', [
        {'norm': 'group'}, {'norm': 'batch'}, {'norm': 'batch', 'laplacian': False},
        {'norm': 'batch', 'backbone': 'resnet50'}])
    def test_the_same_numbers(self, settings) -> None:
        network = _moving_norms(create_model('lapdepth', {**TINY, **settings})).eval()
        image = _image()
        with torch.inference_mode():
            before = network(image, CAMERA).sums[-1]
        deployed = network.deployed()
        with torch.inference_mode():
            assert _distance(deployed(image, CAMERA).sums[-1], before) < 1e-4
        kinds = {type(module) for module in deployed.modules()}
        assert not kinds & {StandardizedConv, nn.BatchNorm2d, FrozenBatchNorm2d}
        assert not list(deployed.buffers())
        rebuilt = create_model('lapdepth', deployed.settings.model_dump())
        rebuilt.load_state_dict(deployed.state_dict())
        with torch.inference_mode():
            assert _distance(rebuilt.eval()(image, CAMERA).sums[-1], before) < 1e-4

    def test_batch_norm_is_merged_where_a_convolution_is_before_it_alone(self) -> None:
        network = create_model('lapdepth', {**TINY, 'norm': 'batch'}).deployed()
        blocks = {name: module for name, module in network.decoder.named_modules()
                  if isinstance(module, Block)}
        merged = {name for name, block in blocks.items() if isinstance(block.norm, nn.Identity)}
        kept = {name for name, block in blocks.items() if isinstance(block.norm, ChannelAffine)}
        assert merged | kept == set(blocks) and len(blocks) == 33
        assert merged == {
            *(f'context.branches.{i}.1' for i in range(4)),
            *(f'coarsest.{i}' for i in range(1, 5)),
            'levels.0.refine.1', 'levels.0.refine.2', 'levels.1.refine.1', 'levels.3.refine.0',
            'levels.3.refine.1'}


@pytest.mark.parametrize(('precision', 'most'), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_lower_precision_is_near(precision, most) -> None:
    network = create_model('lapdepth', TINY).eval()
    with torch.inference_mode():
        exact = network(_image(), CAMERA)
        found = LowerPrecision(network, precision)(_image(), CAMERA)
    assert all(sums.dtype == torch.float32 for sums in found.sums)
    assert 0 < (found.depth / exact.depth).log().abs().mean() < most


def test_losses_that_the_output_cannot_have() -> None:
    with pytest.raises(ConfigError, match='levels is 0.5, but .* set it to 0, or .*exponential'):
        create_model('lapdepth', {**TINY, 'output': 'sigmoid'}, loss={'levels': 0.5})
