# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Losses of the published PanopticDepth against golden values of its own code.

With golden weights the offsets of deformable convolutions are hundreds of cells long: most
samples lie outside of the map, and the center scores of most cells of a thing are equal but for
rounding. Which seven of them answer for the thing is then chance, also there, and with it the
losses of depth (about 6 %). So the rounding is measured here, as the change of the scores when
the first weights change by half a unit in the last place, and the losses are drawn with scores
that differ by as much. A loss that this hardly moves has to agree. Those that it moves by more
than a hundredth have to agree all at once for one of the draws; that finds a wrong unit or factor,
but not six cells in place of seven, for which there are the tests by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from golden import each_golden  # noqa: E402
from golden_published import golden_weights  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, THING_CLASSES, VOID_ID  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.targets import collate  # noqa: E402
from panoptic_depth_core.network.panoptic_depth.checkpoint import published_names  # noqa: E402
from panoptic_depth_core.network.panoptic_depth.losses import (  # noqa: E402
    PUBLISHED_TARGETS,
    PublishedLossSettings,
    published_loss,
)
from panoptic_depth_core.network.panoptic_depth.network import (  # noqa: E402
    FOCAL_PX,
    PublishedNetwork,
)
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Sample  # noqa: E402

NAMES = {'center': 'loss_pos_th', 'region': 'loss_pos_st', 'mask': 'loss_seg_th',
         'region_mask': 'loss_seg_st', 'depth': 'loss_depth', 'instance_depth': 'loss_depth_ins'}
SETTINGS = PublishedLossSettings()
LEAST, MOST = 1e-4, 1e-2
DEVIATIONS = 4.0
MEASURED, DRAWS = 20, 3000

# Gradients of layers before a head pass its deformable convolutions: rounding alone moves that
# of backbone.fpn_lateral3.weight by its own size.
BEHIND_DEFORMABLE = ('backbone.',)


def _batch(golden):
    ids = golden['panoptic'].astype(np.int32)
    height, width = ids.shape
    depth = (np.round(golden['depth'] * 256) / 256).astype(np.float32)
    frame = Frame(np.ascontiguousarray(golden['image_bgr'][..., ::-1]),
                  Intrinsics.from_focal(FOCAL_PX, width, height), name='golden')
    truth = GroundTruth(
        panoptic=np.where(ids // 1000 >= len(CITYSCAPES), VOID_ID, ids), has_semantics=True,
        instance_classes=THING_CLASSES, depth=np.where(depth > 0, depth, np.float32(np.nan)))
    return collate([Sample(frame, truth)], PUBLISHED_TARGETS)


def _head_parameters(network, golden):
    """Golden gradient norm -> the parameter; all others frozen."""
    names = [key.removeprefix('gradnorm/') for key in golden.files if key.startswith('gradnorm/')]
    ours, parameters = published_names(), dict(network.named_parameters())
    network.requires_grad_(False)
    heads = {name: parameters[ours[name]] for name in names
             if not name.startswith(BEHIND_DEFORMABLE)}
    for parameter in heads.values():
        parameter.requires_grad_(True)
    return heads


def _rounding(network, batch, output):
    """Per level, how much rounding changes each center score."""
    weight = network.backbone.stem.conv1.weight
    original = weight.clone()
    generator = torch.Generator().manual_seed(0)
    weight.mul_(1 + (torch.rand(weight.shape, generator=generator) - 0.5) * 2 ** -22)
    with torch.no_grad():
        changed = network(batch.image, batch.intrinsics)
    weight.copy_(original)
    return [(a - b).abs() + 1e-6 for a, b in zip(output.centers, changed.centers, strict=True)]


def _draw(output, batch, rounding, seed):
    generator = torch.Generator().manual_seed(seed)
    centers = [logits + size.detach() * torch.randn(logits.shape, generator=generator)
               for logits, size in zip(output.centers, rounding, strict=True)]
    return published_loss(output._replace(centers=centers), batch, SETTINGS)


def _agrees(values, golden):
    """Compare the mean of draws; false where rounding moves them too much to tell."""
    values = np.asarray(values) / golden
    noise = DEVIATIONS * values.std()
    if noise > MOST:
        return False
    assert values.mean() == pytest.approx(1.0, abs=max(noise, LEAST))
    return True


@pytest.mark.slow
@each_golden('loss')
def test_losses_and_gradients_agree(path):
    golden = np.load(path)
    network = PublishedNetwork.from_published(golden_weights(int(golden['seed'])), path.name)
    heads = _head_parameters(network, golden)
    batch = _batch(golden)
    output = network(batch.image, batch.intrinsics)
    rounding = _rounding(network, batch, output)

    wanted = {name: float(golden[f'loss/{theirs}']) for name, theirs in NAMES.items()}
    with torch.no_grad():
        draws = [_draw(output, batch, rounding, seed) for seed in range(MEASURED)]
    open_names = [name for name, value in wanted.items()
                  if not _agrees([draw[name].item() for draw in draws], value)]
    assert not {'center', 'region', 'region_mask'} & set(open_names), 'no chance in these'
    with torch.no_grad():
        assert any(_all_close(_draw(output, batch, rounding, seed), wanted, open_names)
                   for seed in range(DRAWS)), f'{open_names}: no draw is near all of {wanted}'

    drawn = []
    for seed in range(4):
        total = torch.stack(list(_draw(output, batch, rounding, seed).values())).sum()
        gradients = torch.autograd.grad(total, list(heads.values()), retain_graph=True)
        drawn.append([float(gradient.norm()) for gradient in gradients])
    for name, norms in zip(heads, np.transpose(drawn), strict=True):
        norm = float(golden[f'gradnorm/{name}'])
        if not _agrees(norms, norm):
            assert 'out_inst' not in name and 'stuff' not in name, 'no chance in these'
            assert norms.mean() == pytest.approx(norm, rel=0.5), name


def _all_close(losses, wanted, names):
    return all(losses[name].item() == pytest.approx(wanted[name], rel=MOST) for name in names)
