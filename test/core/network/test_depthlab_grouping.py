# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Grouping of pixels: against vectors of the original, exported, and rule by rule."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from golden import each_golden  # noqa: E402
from panoptic_depth_core.contract import COLUMN, NO_SEGMENT  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID  # noqa: E402
from panoptic_depth_core.network import segment_table  # noqa: E402
from panoptic_depth_core.network.depthlab import grouping  # noqa: E402
from panoptic_depth_core.network.depthlab.grouping import (  # noqa: E402
    PUBLISHED_RULES,
    GroupingRules,
    group,
)
from panoptic_depth_core.network.segment_table import resize  # noqa: E402

PUBLISHED = PUBLISHED_RULES.model_copy(update={'output_stride': 1})
STUFF_AREA_PX = 2048


class Published(torch.nn.Module):
    """The rules as published, also for pictures that are cropped and shown at another size."""

    def __init__(self, size_in, size_out) -> None:
        super().__init__()
        self.size_in, self.size_out = size_in, size_out

    def forward(self, logits, heat, offset, thresholds):
        """Maps at stride 4 to segments."""
        rows, columns = self.size_in
        larger = [4 * side for side in logits.shape[-2:]]
        shown = [resize(resize(maps, larger)[..., :rows, :columns], self.size_out)
                 for maps in (logits, heat, 4 * offset)]
        made = group(*shown, thresholds, PUBLISHED, CITYSCAPES)
        return made['segment_index'], made['segments']


def _ids(index: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Ids as in the original: class * 1000 + number within the class, void -1."""
    ids, seen = np.full(256, -1), dict.fromkeys(range(19), 0)
    for row, values in enumerate(table):
        if values[COLUMN['valid']]:
            class_id = int(values[COLUMN['class_id']])
            is_thing = values[COLUMN['is_thing']] > 0
            seen[class_id] += is_thing
            ids[row] = class_id * 1000 + (seen[class_id] if is_thing else 0)
    return ids[index]


def _exported(module, inputs):
    ort = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript', reason='the export needs the extra [export]')
    program = torch.onnx.export(module.eval(), inputs, dynamo=True, opset_version=18,
                                verbose=False)
    session = ort.InferenceSession(program.model_proto.SerializeToString(),
                                   providers=['CPUExecutionProvider'])
    feed = dict(zip([node.name for node in session.get_inputs()],
                    [value.numpy() for value in inputs], strict=True))
    return lambda *_: [torch.from_numpy(value) for value in session.run(None, feed)]


@pytest.mark.parametrize('runtime', ['torch', 'onnxruntime'])
@each_golden('depthlab_post')
def test_equals_the_original(path, runtime):
    """Ids on more than 99.9 % of the pixels, classes, boxes, scores and mean depths."""
    golden = np.load(path)
    used = {'seed'}
    for case in ('a', 'b', 'c'):
        def get(name, case=case):
            used.add(f'{case}/{name}')
            return golden[f'{case}/{name}']

        size_in, size_out = (tuple(get(name).tolist()) for name in ('size_in', 'size_out'))
        module = Published(size_in, size_out)
        inputs = (*(torch.from_numpy(get(name)[None]) for name in (
            'sem_logits', 'center', 'offset')), torch.tensor(
                [0.0, 0.0, STUFF_AREA_PX / (size_out[0] * size_out[1]), 0.0]))
        run = module if runtime == 'torch' else _exported(module, inputs)
        index, table = (value[0].numpy() for value in run(*inputs))
        ids = _ids(index, table)
        equal = (ids == get('panoptic')).mean()
        print(f'{case}: {100 * equal:.4f} % of the ids are equal')
        assert equal > 0.999
        logits = inputs[0]
        larger = [4 * side for side in logits.shape[-2:]]
        label = resize(resize(logits, larger)[..., :size_in[0], :size_in[1]], size_out)
        assert (label[0].argmax(0).numpy() == get('semantic')).mean() > 0.999
        assert set(np.unique(ids[ids >= 0])) == set(get('segment_id').tolist())
        depth = resize(torch.from_numpy(get('depth')[None]), larger)[0].numpy()
        if f'{case}/depth_full' in golden:
            assert np.abs(depth - get('depth_full')).max() < 1e-4
        if f'{case}/segment_mean_depth' in golden:
            means = [depth[0][ids == i].mean(dtype=float) for i in get('segment_id')]
            assert np.abs(np.array(means) - get('segment_mean_depth')).max() < 1e-4
        things = table[(table[:, COLUMN['valid']] > 0) & (table[:, COLUMN['is_thing']] > 0)]
        if f'{case}/instance_classes' not in golden:
            assert not len(things)
            continue
        order = np.argsort(things[:, COLUMN['class_id']], kind='stable')
        assert things[order, COLUMN['class_id']].tolist() == get('instance_classes').tolist()
        assert np.abs(things[order, COLUMN['score']] - get('instance_scores')).max() < 1e-5
        found = [np.nonzero(ids == i) for i in np.unique(ids) if i >= 0 and i % 1000]
        boxes = [(x.min(), y.min(), x.max() + 1, y.max() + 1) for y, x in found]
        assert np.array_equal(boxes, get('instance_boxes'))
    assert used == set(golden.files)


ROAD, CAR, TRUCK, SKY = (CLASS_ID[name] for name in ('road', 'car', 'truck', 'sky'))
LIMITS = torch.tensor([0.3, 0.0, 0.001, 0.0])


def scene(height: int = 16, width: int = 32):
    """Two cars side by side on a road, below the sky; offsets to centers at (10, 8), (10, 20)."""
    label = torch.full((height, width), SKY)
    label[6:] = ROAD
    label[8:13, 4:13] = CAR
    label[8:13, 13:25] = CAR
    logits = 9.0 * torch.nn.functional.one_hot(label, 19).permute(2, 0, 1)[None].float()
    heat, offset = torch.zeros(1, 1, height, width), torch.zeros(1, 2, height, width)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    for value, column, first, last in ((0.9, 8, 4, 13), (0.8, 20, 13, 25)):
        heat[0, 0, 10, column] = value
        offset[0, :, :, first:last] = torch.stack([10 - rows, column - columns])[:, :, first:last]
    return logits, heat, offset


def rules(**changes) -> GroupingRules:
    return GroupingRules(**{'output_stride': 4, 'max_things': 8, **changes})


def run(logits, heat, offset, limits=LIMITS, of=None):
    made = group(logits, heat, offset, limits, of or rules(), CITYSCAPES)
    return made['segment_index'][0], made['segments'][0]


def test_two_cars_side_by_side():
    index, table = run(*scene())
    assert index[10, 4:25].tolist() == [0] * 9 + [1] * 12
    assert table[:2, COLUMN['class_id']].tolist() == [CAR, CAR]
    assert table[:2, COLUMN['score']].tolist() == pytest.approx(
        [0.9 ** 0.5, 0.8 ** 0.5], abs=0.01)
    assert index[15, 0] == 8 + ROAD and index[0, 0] == 8 + SKY
    assert table[2:8, COLUMN['valid']].sum() == 0
    assert table[:, COLUMN['area']].sum() == pytest.approx(1.0)


def test_groups_at_stride_4_and_shows_finer():
    logits, heat, offset = scene()
    index, _ = run(resize(logits, (32, 64)), heat, offset, of=rules(output_stride=2))
    assert index.shape == (32, 64)
    assert index[20, 10:48].tolist() == [0] * 16 + [1] * 22


def test_majority_names_the_thing():
    logits, heat, offset = scene()
    logits[0, TRUCK, 8:13, 4:8] = 20.0  # 20 of the 45 pixels
    _, table = run(logits, heat, offset)
    assert table[0, COLUMN['class_id']] == CAR
    logits[0, TRUCK, 8:13, 4:9] = 20.0
    _, table = run(logits, heat, offset)
    assert table[0, COLUMN['class_id']] == TRUCK
    # Its score is that of its own class over all of its pixels.
    assert float(table[0, COLUMN['score']]) == pytest.approx(
        (0.9 * 25 / 45) ** 0.5, abs=0.01)


@pytest.mark.parametrize('form', ['ours', 'published'])
def test_without_a_center(form):
    logits, _, offset = scene()
    index, table = run(logits, torch.zeros(1, 1, 16, 32), offset, of=rules(form=form))
    assert index[10, 10] == (NO_SEGMENT if form == 'published' else 8 + CAR)
    assert index[0, 0] == 8 + SKY
    assert not table[:8, COLUMN['valid']].any()


def test_thing_of_low_score_is_a_region_of_its_class():
    logits, heat, offset = scene()
    limits = LIMITS.clone()
    limits[0] = 0.92
    index, table = run(logits, heat, offset, limits)
    assert index[10, 10] == 0 and index[10, 20] == 8 + CAR
    assert table[1, COLUMN['valid']] == 0
    published = PUBLISHED.model_copy(update={'max_things': 8})
    index, _ = run(logits, heat, offset, limits, published)
    assert index[10, 20] == 1


def test_void_and_small_regions():
    logits, heat, offset = scene()
    logits[0, :, 0, :4] = 0.0  # 1/19 each
    logits[0, SKY, 1, 1] = 0.0
    logits[0, 3, 1, 1] = 9.0
    index, _ = run(logits, heat, offset, torch.tensor([0.3, 0.0, 2 / 512, 0.5]))
    assert (index[0, :4] == NO_SEGMENT).all() and index[1, 1] == NO_SEGMENT
    index, _ = run(logits, heat, offset, torch.tensor([0.3, 0.0, 1 / 512, 0.5]))
    assert index[1, 1] == 8 + 3


def test_peaks_are_apart_and_the_last_of_too_many_is_none():
    logits, heat, offset = scene()
    heat[0, 0, 9, 7] = 0.7  # beside that of the first car
    _, table = run(logits, heat, offset)
    assert table[:, COLUMN['valid']][:8].sum() == 2
    index, table = run(logits, heat, offset, of=rules(max_things=2))
    assert index[10, 20] == 1
    index, table = run(logits, heat, offset, of=rules(max_things=2, form='published'))
    assert index[10, 20] == 0 and not table[1, COLUMN['valid']]


def test_parts_make_no_difference(monkeypatch):
    inputs = scene()
    whole = run(*inputs)
    for module in (grouping, segment_table):
        monkeypatch.setattr(module, 'PART', 100)
    for a, b in zip(run(*inputs), whole, strict=True):
        assert torch.allclose(a.float(), b.float(), equal_nan=True, atol=1e-6)


def test_images_of_a_batch_do_not_mix():
    a, b = scene(), [value.flip(3) for value in scene()]
    b[2][:, 1] *= -1
    both = group(*(torch.cat(pair) for pair in zip(a, b, strict=True)), LIMITS, rules(),
                 CITYSCAPES)
    for number, single in enumerate((a, b)):
        index, table = run(*single)
        assert torch.equal(both['segment_index'][number], index)
        assert torch.allclose(both['segments'][number], table, equal_nan=True)
