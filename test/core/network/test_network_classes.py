# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks that have classes, with a table of another size and order than that of Cityscapes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from panoptic_depth_core.contract import COLUMN  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.labels import CLASS_TABLES, ClassInfo  # noqa: E402
from panoptic_depth_core.network import MODELS, create_model, model_type  # noqa: E402
from panoptic_depth_core.network.base import Model, ModelDescription, describe  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.assembly import assemble, find_peaks  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.model import DynamicKernelModel  # noqa: E402

IS_THING = (False, True, False, True, True)
FEW = tuple(ClassInfo(i, f'class {i}', (i, i, i), is_thing)
            for i, is_thing in enumerate(IS_THING))
THINGS = (1, 3, 4)
WITH_CLASSES = [n for n in MODELS if 'class_table' in model_type(n).settings_type.model_fields]
WITH_KERNELS = [n for n in MODELS if issubclass(model_type(n), DynamicKernelModel)]


@pytest.fixture(params=WITH_CLASSES)
def network(request, monkeypatch) -> Model:
    monkeypatch.setitem(CLASS_TABLES, 'few', FEW)
    torch.manual_seed(0)
    return create_model(request.param, {'class_table': 'few'}).eval()


@pytest.mark.parametrize('network', WITH_KERNELS, indirect=True)
@torch.inference_mode()
def test_things_and_regions_are_those_of_its_table(network):
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    output = network(image, torch.tensor([[60.0, 60.0, 32.0, 32.0]]))
    assert {centers.shape[1] for centers in output.centers} == {len(THINGS)}
    assert {regions.shape[1] for regions in output.regions} == {len(FEW)}
    assert output.thing_classes == THINGS
    assert output.is_thing().tolist() == list(IS_THING)
    for channel, class_id in enumerate(THINGS):
        centers = [torch.full_like(level, -9.0) for level in output.centers]
        centers[0][0, channel, 4, 4] = 9.0
        things = find_peaks(output._replace(centers=centers), network.rules)
        assert things.class_id[0, 0] == class_id
    table = assemble(output, torch.zeros(4), network.rules)[2][0]
    regions = table[table[:, COLUMN['is_thing']] == 0]
    assert regions[:, COLUMN['class_id']].tolist() == [0, 1, 2, 3, 4]


def test_the_table_has_them_by_their_names():
    assert {name: model_type(name).name for name in MODELS} == {name: name for name in MODELS}


def test_parameters_that_hold_classes_are_named(network):
    other = create_model(network.name).state_dict()
    sized = {n for n, value in network.state_dict().items() if value.shape != other[n].shape}
    named = {n for n in other for part in network.class_parameters if n.startswith(f'{part}.')
             or n == part}
    assert sized == named and sized


def test_the_model_says_which_classes_it_has(network):
    info = describe(network, ModelDescription())
    assert info.network_settings['class_table'] == 'few'
    assert [(c.name, c.color, c.is_thing) for c in info.classes] == [
        (c.name, c.color, c.is_thing) for c in FEW]


def test_an_unknown_table_is_refused():
    with pytest.raises(ConfigError, match="class_table is 'coco': .*known: cityscapes, semkitti"):
        create_model('fast', {'class_table': 'coco'})
