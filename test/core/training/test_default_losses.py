# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the default losses have not of the published ones' faults, on the published network."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from hand_output import DEPTH_CHANNELS, DEPTH_M, one_car, published_output  # noqa: E402
from miniature import make_sample  # noqa: E402
from panoptic_depth_core.labels import CLASS_ID, THING_CLASSES  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.losses import (  # noqa: E402
    LossSettings,
    panoptic_depth_loss,
    sample_kernels,
    training_regions,
)
from panoptic_depth_core.network.dynamic_kernels.targets import TargetSettings, collate  # noqa: E402
from panoptic_depth_core.structures import GroundTruth, Sample  # noqa: E402

CAR, ROAD, POLE = (CLASS_ID[name] for name in ('car', 'road', 'pole'))
SETTINGS = LossSettings(depth=1.0, instance_depth=1.0)


def _losses(output, samples, settings=SETTINGS):
    return panoptic_depth_loss(output, collate(samples), settings)


@pytest.mark.parametrize('kernels_per_thing', [1, 7])
def test_every_pixel_weighs_the_same(kernels_per_thing):
    settings = SETTINGS.model_copy(update={'kernels_per_thing': kernels_per_thing})
    losses = _losses(published_output(1, 128, 256), [one_car()], settings)
    # The car is at twice the predicted depth, the road is right.
    assert losses['depth'].item() == pytest.approx(log(2) * 80 * 100 / (128 * 256), rel=1e-5)
    assert losses['instance_depth'].item() == pytest.approx(log(2), rel=1e-5)
    assert losses['fallback_depth'] == losses['depth_scale'] == 0, 'the network has neither'


def test_the_published_error_of_pixels_can_be_had():
    settings = SETTINGS.model_copy(update={'depth_error': 'published'})
    losses = _losses(published_output(1, 128, 256), [one_car()], settings)
    share = 80 * 100 / (128 * 256)
    wanted = 5 * (share * log(2) ** 2 - (share * log(2)) ** 2) + (share * 0.5 ** 2) ** 0.5
    assert losses['depth'].item() == pytest.approx(wanted, rel=1e-5)
    assert losses['instance_depth'].item() == pytest.approx(log(2), rel=1e-5), 'as before'


def test_only_cells_inside_of_a_thing_answer_for_its_depth():
    car = one_car((64, 32, 80, 40))
    depth = np.where(car.truth.panoptic == 1000 * CAR + 1, car.truth.depth, np.float32(np.nan))
    sample = one_car((64, 32, 80, 40), depth=depth)
    for seed in range(20):
        torch.manual_seed(seed)
        output = published_output(1, 128, 256, seed=seed)
        losses = _losses(output, [sample])
        (losses['depth'] + losses['instance_depth']).backward()
        touched = [level.grad.any(1)[0].nonzero().tolist() if level.grad is not None else []
                   for level in output.depth_kernels]
        assert sum(map(len, touched)) == 1, 'one kernel is drawn'
        assert touched[0] in ([[4, 8]], [[4, 9]]), 'the two cells that it covers'


def test_the_cell_of_a_centre_answers_for_its_thing_alone():
    """Of a car behind a person, the middle of what is seen is on the person."""
    panoptic = np.full((128, 256), 1000 * ROAD, np.int32)
    panoptic[40:88, 64:128] = 1000 * CAR + 1
    panoptic[8:88, 88:104] = 1000 * CLASS_ID['person'] + 1
    batch = collate([one_car(panoptic=panoptic)])
    car = batch.thing_channel[0].tolist().index(THING_CLASSES.index(CAR))
    row, column = (batch.thing_middle[0][car] / 8).long().tolist()
    assert panoptic[row * 8 + 4, column * 8 + 4] == 1000 * CLASS_ID['person'] + 1
    output = published_output(1, 128, 256)
    output.centers[0].data[0, :, row, column] = 9.0
    chosen = sample_kernels(output, batch, 0, 3, TargetSettings(finest_px=1e4))
    owners = chosen.thing[chosen.cell == row * 32 + column].tolist()
    assert owners == [car]
    best = chosen.weight[chosen.cell == row * 32 + column]
    assert best == chosen.weight[chosen.thing == car].max(), 'it is where the score is best'


def test_crowds_and_void_teach_nothing_about_centers(sample):
    output = published_output(1, 64, 128)
    gradient, = torch.autograd.grad(_losses(output, [sample])['center'], output.centers[0])
    assert not gradient[0, :, 4:, :2].any(), 'the crowd'
    truck = THING_CLASSES.index(CLASS_ID['truck'])
    known = collate([sample]).center_known()[0, truck]
    assert torch.equal(gradient[0, truck] != 0, known[4::8, 4::8])


def test_the_crowd_of_a_class_is_not_a_thing(sample):
    assert THING_CLASSES.index(CLASS_ID['person']) not in collate([sample]).thing_channel[0]


@pytest.mark.parametrize('truth', [
    GroundTruth(),
    make_sample(depth=None).truth,
    make_sample(panoptic=None, has_semantics=False, instance_classes=()).truth,
    make_sample(panoptic=make_sample().truth.panoptic * 0 + 1000 * CLASS_ID['sky']).truth,
    make_sample(panoptic=make_sample().truth.panoptic * 0 + 1000 * CAR + 1).truth,
    one_car((35, 8, 37, 56), 64, 128).truth,
], ids=['nothing', 'no depth', 'depth alone', 'sky', 'one thing', 'two columns'])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_images_that_lack_something_can_be_learned_from(truth, batch_size):
    output = published_output(batch_size, 64, 128, seed=0)
    samples = [Sample(make_sample().frame, truth), make_sample(seed=1), make_sample(seed=2)]
    losses = _losses(output, samples[:batch_size])
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(value) for value in losses.values())
    for level in (*output.centers, *output.kernels, *output.depth_kernels):
        assert level.grad is None or torch.isfinite(level.grad).all()


def test_a_thing_between_the_samples_of_stride_4_has_a_mask_and_a_kernel():
    batch = collate([one_car((35, 8, 37, 56), 64, 128)])
    kernels = sample_kernels(published_output(1, 64, 128), batch, 0, 3, SETTINGS.targets)
    assert kernels.masks.sum() > 0 and len(kernels.thing) > 0
    assert float(kernels.weight.sum()) == pytest.approx(1.0)


def test_regions_come_from_cells_where_their_class_is_labelled():
    sample = one_car()
    batch = collate([sample])
    output = published_output(1, 128, 256)
    maps = []
    for level in output.depth_kernels:
        is_left = torch.arange(level.shape[3]) < level.shape[3] // 2
        maps.append(torch.where(is_left, 1.0, 3.0).expand_as(level).clone())
    sample.truth.panoptic[:, :128] = 1000 * POLE
    output = output._replace(depth_kernels=maps)
    regions = training_regions(output, collate([sample]))
    assert regions.labelled[0].nonzero()[:, 0].tolist() == [ROAD, POLE, CAR]
    assert torch.equal(regions.present, regions.labelled)
    assert regions.depth_kernels[0, POLE].allclose(torch.ones(2 + DEPTH_CHANNELS))
    assert regions.depth_kernels[0, ROAD].allclose(torch.full((2 + DEPTH_CHANNELS,), 3.0))
    assert training_regions(output, batch).labelled[0].nonzero()[:, 0].tolist() == [ROAD, CAR]


def test_thin_classes_have_cells_too():
    sample = one_car()
    sample.truth.panoptic[:, 200:203] = 1000 * POLE
    assert training_regions(published_output(1, 128, 256), collate([sample])).labelled[0, POLE]


def test_without_labels_the_regions_of_the_network_answer_for_depth():
    sample = one_car(panoptic=None, has_semantics=False, instance_classes=())
    sample.truth.depth[:] = 2 * DEPTH_M
    output = published_output(1, 128, 256)
    regions = [torch.full_like(level, -3.0) for level in output.regions]
    output = output._replace(regions=regions)
    assert _losses(output, [sample])['depth'] == 0, 'it finds none'
    for level in regions:
        level[:, ROAD] = 3.0
    losses = _losses(output, [sample])
    assert losses['depth'].item() == pytest.approx(log(2), rel=1e-5)


def test_region_masks_are_compared_where_semantics_are_known():
    sample = make_sample()
    output = published_output(1, 64, 128, seed=2)
    gradient, = torch.autograd.grad(_losses(output, [sample])['semantic'], output.mask_embedding)
    assert gradient[0, :, :15].any(0).all()
    sample.truth.panoptic[-32:] = 65535
    gradient, = torch.autograd.grad(_losses(output, [sample])['semantic'], output.mask_embedding)
    assert not gradient[0, :, 8:].any()


def test_weights_without_depth_learn_segmentation():
    output = published_output(1, 64, 128, seed=0, depth_embedding=None, depth_kernels=[])
    losses = _losses(output, [make_sample()])
    assert not {'depth', 'instance_depth', 'depth_scale'} & set(losses)
    assert losses['mask'] > 0 and losses['semantic'] > 0
