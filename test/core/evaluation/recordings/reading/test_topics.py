# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is found in recordings, what is left, and what users are told to choose."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.reading.topics import (
    BagTopics,
    find_node,
    find_topics,
)
from panoptic_depth_core.evaluation.settings import TopicSettings
from panoptic_depth_core.io.bags.storage import BagReader
from panoptic_depth_core.io.cameras.topics import SIBLINGS, InfoTopic
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import DETECTION_3D_ARRAY, POINT_CLOUD
from replay_bags import (
    DEPTH,
    IMAGE_TOPIC,
    INFO_TOPIC,
    LABELS,
    NODE,
    START_NS,
    Item,
    depth,
    drive,
    header,
    info,
    labels,
    picture,
    result_at,
    results,
    true_ids,
    values_item,
    write_items,
)
from simulated_drive import cloud_message

BOXES = '/truth/boxes'
INFO = InfoTopic(INFO_TOPIC, SIBLINGS[1].where, (INFO_TOPIC,))
EVERY_RESULT = ('panoptic', 'semantic', 'depth', 'camera_info', 'instances', 'detections_3d',
                'points', 'overlay', 'depth_color')


def cloud(topic: str) -> Item:
    """Return a point cloud."""
    points = np.ones((3, 3), np.float32)
    return Item(topic, POINT_CLOUD, cloud_message(header(0), points), START_NS)


def boxes(topic: str = BOXES) -> Item:
    """Return a message of no boxes."""
    message = make(DETECTION_3D_ARRAY, header=header(0), detections=[])
    return Item(topic, DETECTION_3D_ARRAY, message, START_NS)


def opened(path: Path, items: list[Item]) -> BagReader:
    """Write a bag and open it."""
    return BagReader(write_items(path / 'bag', items))


def find(path: Path, items: list[Item], **wanted: Any) -> tuple[BagTopics, list[str]]:
    """Return what is found in a bag, and what is noted."""
    notes: list[str] = []
    with closing(opened(path, items)) as bag:
        return find_topics(bag, TopicSettings(**wanted), notes.append), notes


def test_everything_has_its_usual_place(tmp_path: Path) -> None:
    items = [*drive(2, labels, depth), cloud('/velodyne_points'), boxes(),
             *results(0, names=EVERY_RESULT)]
    truth = {'labels': LABELS, 'depth': DEPTH, 'lidar': '/velodyne_points', 'boxes': BOXES}
    assert find(tmp_path, items) == (BagTopics(IMAGE_TOPIC, INFO, truth, NODE), [])


def test_only_images(tmp_path: Path) -> None:
    assert find(tmp_path, [picture(0)]) == (BagTopics(IMAGE_TOPIC), [])


def test_results_are_no_truth(tmp_path: Path) -> None:
    found, _ = find(tmp_path, [*drive(1), *results(0, names=EVERY_RESULT)])
    assert found == BagTopics(IMAGE_TOPIC, INFO, node=NODE)


def test_what_is_asked_for_is_taken(tmp_path: Path) -> None:
    ids = (true_ids() // 1000).astype(np.uint8)
    items = [*drive(1), values_item('/gt/semantic', ids, 'mono8', 0), cloud('/top'), cloud('/low'),
             boxes('/tracks'), *results(0)]
    # Classes as mono8 look like a picture.
    found, _ = find(tmp_path, items, labels='/gt/semantic', lidar='/low', boxes='/tracks',
                    depth=f'{NODE}/output/depth', node='panoptic_depth')
    assert found == BagTopics(IMAGE_TOPIC, INFO, {
        'labels': '/gt/semantic', 'depth': f'{NODE}/output/depth', 'lidar': '/low',
        'boxes': '/tracks'}, NODE)


def test_several_clouds_are_not_guessed(tmp_path: Path) -> None:
    found, notes = find(tmp_path, [*drive(1), cloud('/top'), cloud('/low')])
    assert found.truth == {}
    assert notes == ['2 topics could be lidar and none is taken; choose with topics.lidar: '
                     '/low (1 messages), /top (1 messages)']


def test_truth_of_another_type_is_noted(tmp_path: Path) -> None:
    found, notes = find(tmp_path, [*drive(1), cloud(DEPTH)])
    assert found.truth == {'lidar': DEPTH}
    assert notes[0].startswith(f'{DEPTH} has 1 {POINT_CLOUD}, so it is no truth')


@pytest.mark.parametrize(('wanted', 'words'), [
    ({'labels': '/none'}, r'topic /none of labels is not there; .* are: /camera/image_raw'),
    ({'depth': '/top'}, r'/top of depth has 1 sensor_msgs/msg/PointCloud2; topics of sensor_msgs'),
    ({'lidar': IMAGE_TOPIC}, r'of lidar has 1 sensor_msgs/msg/Image; .* are: /top \(1 messages\)'),
    ({'boxes': '/top'}, r'topics of vision_msgs.* or panoptic_depth.* are: .*, /truth/boxes'),
    ({'node': '/other'}, r'no results of a node /other; nodes with results are: /panoptic_depth'),
    ({'image': '/none'}, r'image topic /none is not there'),
    ({'camera_info': '/none'}, r'camera info topic /none is not there'),
])
def test_what_is_asked_for_and_missing(wanted: dict[str, str], words: str, tmp_path: Path) -> None:
    items = [*drive(1), cloud('/top'), boxes(), *results(0)]
    with pytest.raises(ConfigError, match=words):
        find(tmp_path, items, **wanted)


def test_recordings_of_results(tmp_path: Path) -> None:
    items = [info(0), *results(0, names=EVERY_RESULT)]
    assert result_at(0).model_id == 'some-model'
    with closing(opened(tmp_path, items)) as bag:
        assert find_node(bag, '', print) == NODE
    with pytest.raises(ConfigError, match='not the images they are of; .*--results'):
        find(tmp_path / 'again', items)
