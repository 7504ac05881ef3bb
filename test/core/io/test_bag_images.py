# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a replay needs to know of a bag."""

from __future__ import annotations

from pathlib import Path

import pytest
from bag_makers import (
    Entry,
    compressed,
    image,
    info,
    map_image,
    storage_file,
    text,
    write_bag,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.types import typestore
from panoptic_depth_core.io.sources.bag_source import BagImages, describe_images


def damaged(entry: Entry) -> Entry:
    """Return the same, cut off."""
    data = bytes(typestore().serialize_cdr(entry.message, entry.type))
    return Entry(entry.topic, entry.type, data[:7], entry.time_ns)


def test_the_only_images(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [info(0), image(0), text(0)])
    wanted = BagImages('/camera/image_raw', '/camera/camera_info', 'raw', 'optical',
                       ('/camera/camera_info', '/camera/image_raw', '/chatter'), 'optical',
                       '')
    for path in (bag, str(storage_file(bag))):
        found = describe_images(path)
        assert found._replace(topics=tuple(sorted(found.topics))) == wanted


def test_compressed_images(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [info(0), compressed(0)])
    assert describe_images(bag)[:4] == (
        '/camera/image_raw/compressed', '/camera/camera_info', 'compressed', 'optical')


def test_topics_that_were_asked_for(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [
        image(0, '/left/image_rect'), image(0, '/right/image_raw'),
        info(0, topic='/left/camera_info'), info(0, topic='/right/camera_info'),
        map_image(0, '/left/depth', '32FC1', 'f4')])
    found = describe_images(bag, '/left/image_rect')
    assert found[:2] == ('/left/image_rect', '/left/camera_info')
    assert describe_images(bag, '/left/image_rect', '/right/camera_info')[1] == (
        '/right/camera_info')
    with pytest.raises(ConfigError, match='3 image topics; choose one with --image-topic'):
        describe_images(bag)
    with pytest.raises(ConfigError, match='image topic /front is not there'):
        describe_images(bag, '/front')
    with pytest.raises(ConfigError, match='camera info topic /front is not there'):
        describe_images(bag, '/left/image_rect', '/front')


def test_a_damaged_message_is_not_the_one_that_tells(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [damaged(image(0)), image(1)])
    assert describe_images(bag).frame_id == 'optical'
    # Where none is readable there is still a topic.
    bag = write_bag(tmp_path / 'worse', [damaged(image(0))])
    assert describe_images(bag) == BagImages('/camera/image_raw', None, 'raw', '',
                                             ('/camera/image_raw',), '', '')


def test_no_images(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [text(0)])
    with pytest.raises(ConfigError, match='has no image topic; topics are: /chatter'):
        describe_images(bag)
    with pytest.raises(ConfigError, match='no_bag'):
        describe_images(tmp_path / 'no_bag')
