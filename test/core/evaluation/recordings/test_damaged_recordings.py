# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a recording: what is good is scored as ever, the rest has a reason."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob
from panoptic_depth_core.evaluation.recordings.evaluate_bags import evaluate_bags
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import CAMERA_INFO, IMAGE
from replay_bags import (
    CAMERA,
    DEPTH,
    IMAGE_TOPIC,
    INFO_TOPIC,
    LABELS,
    MS,
    NODE,
    STORAGES,
    Item,
    depth,
    drive,
    header,
    labels,
    moments,
    only_file,
    results,
    write_items,
)

pytestmark = pytest.mark.usefixtures('no_plots')

FRAMES = 12
PANOPTIC, METRES, INSTANCES = (f'{NODE}/output/{name}'
                               for name in ('panoptic', 'depth', 'instances'))
UNSTAMPED = 'has no stamps; the time of recording is taken for them'
NO_RESULT = 'no recorded result for this stamp'

Change = Callable[[list[Item]], Sequence[Item] | None]


class Scored(NamedTuple):
    """What a report says of its one recording."""

    frames: int
    skipped: dict[str, int]
    notes: dict[str, int]
    metric_values: dict[str, float]


def recorded(count: int = FRAMES) -> list[Item]:
    """Images, truth and results 5 % too far, in the order of recording."""
    made = [*drive(count, labels, depth), *(item for ms in moments(count)
                                            for item in results(ms, 1.05))]
    return sorted(made, key=lambda item: item.recorded_ns)


def at(items: list[Item], topic: str) -> list[Any]:
    """Return the messages of a topic."""
    return [item.message for item in items if item.topic == topic]


def score_or_refuse(bag: Path, folder: Path) -> Scored | None:
    """Evaluate a recording in which there may be nothing; then there is no report either."""
    try:
        return score(bag, folder)
    except ConfigError as refused:
        error = str(refused)
    assert 'no recording could be scored: bag: ConfigError' in error
    assert not (folder / 'report.json').exists()
    return None


def score(bag: Path, folder: Path) -> Scored:
    """Evaluate one recording, and see that its report is whole."""
    written = evaluate_bags([BagJob('bag', bag, RecordingSettings())], folder)
    assert written is not None
    report = json.loads((folder / 'report.json').read_text())
    (entry,) = report['bags']
    assert entry['error'] is None
    lines = [json.loads(line) for line in (folder / 'frames.jsonl').read_text().splitlines()]
    assert len(lines) == entry['frames']
    assert [line['stamp_ns'] for line in lines] == sorted({line['stamp_ns'] for line in lines})
    return Scored(entry['frames'], entry['skipped'], entry['notes'],
                  {name: found['value'] for name, found in report['figures'].items()})


def score_changed(change: Change, tmp_path: Path, storage: str = 'mcap') -> Scored:
    """Write the recording with a change, and evaluate it."""
    items = recorded()
    return score(write_items(tmp_path / 'bag', change(items) or items, storage),
                 tmp_path / 'report')


def assert_good_are_as_ever(found: Scored, frames: int) -> None:
    """Check that so many frames have the metrics of the undamaged recording."""
    assert found.frames == frames
    assert found.metric_values['panoptic.pq'] == 1.0
    assert found.metric_values['depth.abs_rel'] == pytest.approx(0.05, abs=1e-6)


def only(counts: dict[str, int], words: str) -> int:
    """Return how often the one reason with these words was seen."""
    (count,) = (n for reason, n in counts.items() if words in reason)
    return count


@pytest.mark.parametrize('storage', sorted(STORAGES))
def test_truncated_anywhere(storage: str, tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', recorded(), storage)
    data = only_file(bag).read_bytes()
    last = 0
    for step in range(17):
        only_file(bag).write_bytes(data[:len(data) * step // 16])
        found = score_or_refuse(bag, tmp_path / str(step))
        if found is not None:
            assert_good_are_as_ever(found, found.frames)
        frames = 0 if found is None else found.frames
        assert frames >= last
        last = frames
    assert last == FRAMES


@pytest.mark.parametrize('storage', sorted(STORAGES))
@pytest.mark.parametrize('seed', range(4))
def test_flipped_bytes(seed: int, storage: str, tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', recorded(), storage)
    data = bytearray(only_file(bag).read_bytes())
    chosen = random.Random(seed)
    for _ in range(20):
        data[chosen.randrange(len(data))] ^= chosen.randrange(1, 256)
    only_file(bag).write_bytes(data)
    (bag / 'metadata.yaml').write_text(['', '{', 'a: [', '- 1'][seed])
    found = score_or_refuse(bag, tmp_path / 'report')
    assert found is None or 0 < found.frames <= FRAMES


@pytest.mark.parametrize('field', ['name', 'type'])
def test_a_topic_that_is_no_text(field: str, tmp_path: Path) -> None:
    """SQLite gives out such text only when it is asked for bytes."""
    bag = write_items(tmp_path / 'bag', recorded(), 'sqlite3')
    data = only_file(bag).read_bytes()
    old = DEPTH.encode() if field == 'name' else b'sensor_msgs/msg/CameraInfo'
    only_file(bag).write_bytes(data.replace(old, b'\xab' + old[1:]))
    found = score(bag, tmp_path / 'report')
    assert found.frames == FRAMES and found.metric_values['panoptic.pq'] == 1.0
    assert any('the name of a topic or of its type is damaged' in note for note in found.notes)


@pytest.mark.parametrize(('metadata', 'note'), [
    (None, ''), ('no: metadata', 'cannot be read'), ('\x00', 'cannot be read'),
    ('rosbag2_bagfile_information: {relative_file_paths: [other.mcap]}', 'names none of')])
def test_wrong_metadata(metadata: str | None, note: str, tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', recorded())
    (bag / 'metadata.yaml').unlink()
    if metadata is not None:
        (bag / 'metadata.yaml').write_text(metadata)
    found = score(bag, tmp_path / 'report')
    assert_good_are_as_ever(found, FRAMES)
    assert any(note in text for text in found.notes)


@pytest.mark.parametrize('storage', sorted(STORAGES))
@pytest.mark.parametrize('items', [(), (Item(IMAGE_TOPIC, IMAGE, b'', 5),)])
def test_nothing_in_it(items: Sequence[Item], storage: str, tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', items, storage)
    with pytest.raises(ConfigError, match='no recording could be scored: bag: ConfigError: .*bag'):
        score(bag, tmp_path / 'report')
    assert not (tmp_path / 'report/report.json').exists()


def no_stamps(items: list[Item]) -> None:
    """Leave the stamps of images and truth out; those are recorded at once."""
    for item in items:
        if not item.topic.startswith(NODE):
            item.message.header.stamp.sec = item.message.header.stamp.nanosec = 0


def delayed(items: list[Item]) -> list[Item]:
    """Up to a quarter of a second, each by itself."""
    moved = [item._replace(recorded_ns=item.recorded_ns + random.Random(i).randrange(250) * MS)
             for i, item in enumerate(items)]
    return sorted(moved, key=lambda item: item.recorded_ns)


def looped(items: list[Item]) -> list[Item]:
    """Play it again after a minute."""
    return items + [item._replace(recorded_ns=item.recorded_ns + 60_000 * MS) for item in items]


@pytest.mark.parametrize(('change', 'skipped', 'noted'), [
    (delayed, {}, {}),
    (looped, {'of the same stamp came before': FRAMES}, {}),
    (lambda items: sorted(2 * items, key=lambda i: i.recorded_ns),
     {'of the same stamp came before': FRAMES}, {}),
    (no_stamps, {}, {f'{topic}: {UNSTAMPED}': FRAMES for topic in (IMAGE_TOPIC, LABELS, DEPTH)}),
    (lambda items: [i for i in items if i.topic != INFO_TOPIC], {},
     {'the camera is not known': FRAMES}),
    (lambda items: [i for i in items if i.topic != INFO_TOPIC or i.recorded_ns > 17e17 + 8e8],
     {}, {}),
])
def test_every_frame_is_good(change: Change, skipped: dict[str, int], noted: dict[str, int],
                             tmp_path: Path) -> None:
    found = score_changed(change, tmp_path)
    assert_good_are_as_ever(found, FRAMES)
    for counts, expected in ((found.skipped, skipped), (found.notes, noted)):
        assert {words: only(counts, words) for words in expected} == expected
    assert len(found.skipped) == len(skipped)


def test_wild_disorder(tmp_path: Path) -> None:
    def shuffled(items: list[Item]) -> list[Item]:
        order = random.Random(1).sample(items, len(items))
        return [item._replace(recorded_ns=17 * 10**17 + i * MS) for i, item in enumerate(order)]

    found = score_changed(shuffled, tmp_path)
    assert found.frames > 0 and found.frames + sum(found.skipped.values()) == FRAMES
    assert found.metric_values['depth.abs_rel'] == pytest.approx(0.05, abs=1e-6)
    assert all('came after images of later stamps' in reason or NO_RESULT in reason
               for reason in found.skipped)


def values(array: np.ndarray) -> dict[str, Any]:
    """Return the fields of an Image with these values, but for the encoding."""
    height, width = array.shape
    return {'width': width, 'height': height, 'step': array.strides[0],
            'data': array.view(np.uint8).ravel()}


def ids(number: int) -> dict[str, Any]:
    """Return the fields of an Image of one id."""
    return {'data': np.full(CAMERA.width * CAMERA.height, number, np.uint16).view(np.uint8)}


@pytest.mark.parametrize(('topic', 'fields', 'reason'), [
    (IMAGE_TOPIC, {'encoding': 'rgb9'}, 'encoding is not known'),
    (IMAGE_TOPIC, {'width': 0, 'height': 0}, 'has no pixels'),
    (IMAGE_TOPIC, {'height': 2**31}, 'is truncated'),
    (PANOPTIC, {'encoding': 'mono8'}, "recorded panoptic image is 'mono8'"),
    (PANOPTIC, ids(30_000), 'holds the id 30000, of class 30, but there are 19 classes'),
    (PANOPTIC, {'data': np.zeros(9, np.uint8)}, 'is truncated'),
    (METRES, values(np.ones((5, 8), np.float32)), 'recorded depth is 8x5 px'),
    (METRES, {'encoding': '16UC1'}, "recorded depth is '16UC1'"),
    (INSTANCES, {'label_divisor': 0}, 'label_divisor 0'),
    (INSTANCES, {'label_divisor': 1}, 'but there are 19 classes'),
    (INSTANCES, {'label_divisor': 1001}, 'damaged: 13001 is with instance id 1 of class 13'),
    (INSTANCES, {'class_id': 200}, 'damaged: 13001 is of class 200, but there are 19'),
    (INSTANCES, {'panoptic_id': 13_007}, 'damaged: 13007 is with instance id 1'),
    (INSTANCES, {'panoptic_id': 13_002, 'instance_id': 2}, 'damaged: 13002 is there twice'),
    (INSTANCES, {'distance': np.inf}, 'damaged: 13001 is at a distance of inf m'),
    (INSTANCES, {'distance': 0.0}, 'damaged: 13001 is at a distance of 0 m'),
    (INSTANCES, {'depth': -3.0}, 'damaged: 13001 is at a distance of .* depth -3 m'),
    (INSTANCES, {'x_offset': 2**32 - 1}, 'damaged: 13001 is outside of the 32x20 px'),
])
def test_one_frame_that_is_none(topic: str, fields: dict[str, Any], reason: str,
                                tmp_path: Path) -> None:
    def change(items: list[Item]) -> None:
        message = at(items, topic)[4]
        for name, value in fields.items():
            owners = [message, *(o for i in getattr(message, 'instances', ())[:1]
                                 for o in (i, i.roi))]
            setattr(next(owner for owner in owners if hasattr(owner, name)), name, value)

    found = score_changed(change, tmp_path)
    assert_good_are_as_ever(found, FRAMES - 1)
    ((told, count),) = found.skipped.items()
    assert count == 1
    pytest.raises(ConfigError, _raise, told).match(reason)


def _raise(text: str) -> None:
    raise ConfigError(text)


@pytest.mark.parametrize('topic', [LABELS, DEPTH])
@pytest.mark.parametrize(('fields', 'reason'), [
    (values(np.zeros((4, 4), np.uint16)), 'is of 4x4 px, the image of 32x20 px'),
    ({'encoding': ''}, 'not a map of values'), ({'encoding': '64FC1'}, 'not a map of values'),
    ({'data': np.zeros(3, np.uint8)}, 'is truncated')])
def test_truth_that_is_none(fields: dict[str, Any], reason: str, topic: str,
                            tmp_path: Path) -> None:
    def change(items: list[Item]) -> None:
        for name, value in fields.items():
            setattr(at(items, topic)[4], name, value)

    found = score_changed(change, tmp_path)
    assert_good_are_as_ever(found, FRAMES)
    assert only(found.notes, reason) == 1 and any(note.startswith(topic) for note in found.notes)


def test_results_for_a_part_of_the_frames(tmp_path: Path) -> None:
    found = score_changed(lambda items: [i for i in items if not i.topic.startswith(NODE)
                                         or i.message.header.stamp.nanosec < 5e8], tmp_path)
    frames = sum(ms % 1000 < 500 for ms in moments(FRAMES))
    assert_good_are_as_ever(found, frames)
    assert only(found.skipped, NO_RESULT) == FRAMES - frames


@pytest.mark.parametrize('topic', [METRES, INSTANCES])
def test_results_of_another_type(topic: str, tmp_path: Path) -> None:
    info = make.camera_info(header(0), CAMERA)
    found = score_changed(lambda items: [
        i._replace(type=CAMERA_INFO, message=info) if i.topic == topic else i for i in items],
        tmp_path)
    assert found.frames == FRAMES and found.metric_values['panoptic.pq'] == 1.0
    assert only(found.notes, f'{topic} has sensor_msgs/msg/CameraInfo, not ') == 1


def test_results_of_two_nodes(tmp_path: Path) -> None:
    other = [item for ms in moments(FRAMES) for item in results(ms, node='/other')]
    with pytest.raises(ConfigError, match='or of several and topics.node is not set'):
        score_changed(lambda items: items + other, tmp_path)


def test_images_of_another_size_in_between(tmp_path: Path) -> None:
    """Truth and results of the old size belong to none of them."""
    def change(items: list[Item]) -> None:
        for message in at(items, IMAGE_TOPIC)[8:]:
            vars(message).update(width=50, height=50, step=150,
                                 data=np.zeros(7500, np.uint8))

    found = score_changed(change, tmp_path)
    assert_good_are_as_ever(found, 8)
    assert only(found.skipped, 'of 32x20 px and show another part than the image of 50x50 px'
                ) == FRAMES - 8


@pytest.mark.parametrize('count', [1, 2])
def test_short_ones(count: int, tmp_path: Path) -> None:
    found = score(write_items(tmp_path / 'bag', recorded(count)), tmp_path / 'report')
    assert_good_are_as_ever(found, count)
    assert not found.skipped
