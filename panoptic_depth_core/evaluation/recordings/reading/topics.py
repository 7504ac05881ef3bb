# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a recording holds: images, truth of several kinds, results of the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ....errors import ConfigError
from ....io.bags.result_bags import TASKS_OF_TOPIC
from ....io.bags.storage import BagReader, Topic
from ....io.cameras.topics import InfoTopic
from ....io.messages.outputs import NODE_TOPICS, OUTPUTS
from ....io.messages.types import (
    COMPRESSED_IMAGE,
    DETECTION_3D_ARRAY,
    IMAGE,
    INSTANCE_DISTANCE_ARRAY,
    POINT_CLOUD,
)
from ....io.sources.bag_source import IMAGE_TYPES, choose_camera_info_topic, choose_image_topic
from ...settings import TopicSettings

TRUTH_TYPES = {'labels': (IMAGE,), 'depth': (IMAGE, COMPRESSED_IMAGE), 'lidar': (POINT_CLOUD,),
               'boxes': (DETECTION_3D_ARRAY, INSTANCE_DISTANCE_ARRAY)}
USUAL = {'labels': '/truth/panoptic', 'depth': '/truth/depth', 'boxes': '/truth/boxes'}
"""Where truth is looked for when no topic is given."""

Note = Callable[[str], None]
"""Counts what the user should know, such as what was not chosen and how to choose it."""

_RESULTS = tuple(f'/{name}' for name in NODE_TOPICS)
_MAPS = tuple(f'/{OUTPUTS[name].name}' for name in TASKS_OF_TOPIC)


@dataclass(frozen=True)
class BagTopics:
    """
    Names of topics; None where there is none, or none was chosen.

    :param truth: kind of truth, one of TRUTH_TYPES -> topic.
    :param node: name of the node whose results are recorded.
    """

    image: str
    camera_info: InfoTopic = InfoTopic()
    truth: dict[str, str] = field(default_factory=dict)
    node: str | None = None


def find_topics(bag: BagReader, wanted: TopicSettings, note: Note) -> BagTopics:
    """
    Find what a recording holds; results of this program are neither images nor truth.

    :raises ConfigError: a wanted topic is not there or of another type, or there are no images or
        too many.
    """
    node = find_node(bag, wanted.node, note)
    images = [t.name for t in bag.topics.values() if t.type in IMAGE_TYPES and t.count]
    if images and not wanted.image and all(name.endswith(_RESULTS) for name in images):
        raise ConfigError(f'{bag.path}: holds results but not the images they are of; give the '
                          'drive that was played, and this recording with --results')
    found = {kind: _truth(bag, kind, getattr(wanted, kind), note) for kind in TRUTH_TYPES}
    truth = {kind: topic for kind, topic in found.items() if topic is not None}
    image = choose_image_topic(bag, wanted.image or None, set(truth.values()))
    info = choose_camera_info_topic(bag, image.name, wanted.camera_info or None)
    return BagTopics(image.name, info, truth, node)


def find_node(bag: BagReader, wanted: str, note: Note) -> str | None:
    """
    Name of the node whose results are there.

    :param wanted: its name; empty: the only one.
    :raises ConfigError: when a wanted node has no results there.
    """
    nodes = sorted({name.removesuffix(end) for name, topic in bag.topics.items() for end in _MAPS
                    if name.endswith(end) and topic.type == IMAGE and topic.count})
    if wanted:
        name = '/' + wanted.strip('/')
        if name not in nodes:
            raise ConfigError(f'{bag.path}: has no results of a node {name}; nodes with results '
                              f'are: {", ".join(nodes) or "none"}')
        return name
    if len(nodes) > 1:
        note(f'results of {len(nodes)} nodes are recorded and none are taken; choose with '
             f'topics.node: {", ".join(nodes)}')
    return nodes[0] if len(nodes) == 1 else None


def _truth(bag: BagReader, kind: str, wanted: str, note: Note) -> str | None:
    """Topic of one kind of truth."""
    types = TRUTH_TYPES[kind]
    fitting = [t for t in bag.topics.values() if t.type in types and t.count]
    if wanted:
        topic = bag.topics.get(wanted)
        if topic is None or topic not in fitting:
            state = 'is not there' if topic is None else f'has {topic.count} {topic.type}'
            raise ConfigError(f'{bag.path}: topic {wanted} of {kind} {state}; topics of '
                              f'{" or ".join(types)} are: {_listed(fitting)}')
        return wanted
    if kind in USUAL:
        usual = bag.topics.get(USUAL[kind])
        if usual is not None and usual not in fitting:
            note(f'{usual.name} has {usual.count} {usual.type}, so it is no truth; '
                 f'{kind} must be {" or ".join(types)}')
        return usual.name if usual in fitting else None
    fitting = [t for t in fitting if not t.name.endswith(_RESULTS)]
    if len(fitting) > 1:
        note(f'{len(fitting)} topics could be {kind} and none is taken; choose with '
             f'topics.{kind}: {_listed(fitting)}')
    return fitting[0].name if len(fitting) == 1 else None


def _listed(topics: list[Topic]) -> str:
    return ', '.join(f'{t.name} ({t.count} messages)'
                     for t in sorted(topics, key=lambda t: t.name)) or 'none'
