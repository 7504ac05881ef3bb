# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results that are recorded: in the bag itself, in another one, to be scored or compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.metrics.frame import RecordedFrame
from panoptic_depth_core.evaluation.recordings.reading.reader import NO_RESULT, RecordingReader
from panoptic_depth_core.evaluation.settings import (
    RecordingSettings,
    SyncSettings,
    TopicSettings,
)
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import LABEL_INFO
from panoptic_depth_core.labels import CITYSCAPES, SEMKITTI, ClassInfo
from replay_bags import (
    INFO_TOPIC,
    MS,
    NODE,
    START_NS,
    STORAGES,
    Item,
    drive,
    frame_at,
    header,
    labels,
    moments,
    result_at,
    results,
    write_items,
)


def label_info(classes: tuple[ClassInfo, ...] = CITYSCAPES, ms: float = 0) -> Item:
    """Return the table of classes."""
    return Item(f'{NODE}/output/label_info', LABEL_INFO, make.label_info(header(ms), classes),
                START_NS + round(ms * MS))


def of(count: int, factor: float = 1.0, leave_out: tuple[int, ...] = (), **options: Any,
       ) -> list[Item]:
    """Return the results of a drive."""
    return [item for ms in moments(count) if ms not in leave_out
            for item in results(ms, factor, **options)]


def read(bag: Path, settings: RecordingSettings | None = None, **options: Any,
         ) -> tuple[list[RecordedFrame], RecordingReader]:
    """Return all frames and their reader."""
    with RecordingReader(bag, settings or RecordingSettings(), **options) as reader:
        return list(reader), reader


def stamps(frames: list[RecordedFrame]) -> list[int]:
    """Return milliseconds after the start."""
    return [(f.frame.stamp_ns - START_NS) // MS for f in frames]


@pytest.mark.parametrize('storage', sorted(STORAGES))
def test_results_of_the_bag_itself(storage: str, tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', [*drive(6, labels), label_info(ms=400), *of(6)], storage)
    frames, reader = read(bag, recorded=True, reference=bag)
    assert stamps(frames) == list(moments(6)) and not reader.skipped and not reader.notes
    assert reader.model_id == 'some-model' and reader.classes == CITYSCAPES
    for item in frames:
        assert item.recorded is not None and item.reference is item.recorded
        assert item.truth.panoptic is not None
        np.testing.assert_array_equal(item.recorded.depth, result_at(0).depth)
        assert item.recorded.stamp_ns == item.frame.stamp_ns
        assert item.recorded.name == item.frame.name


def test_dropped_frames_are_counted(tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', [*drive(12), label_info(),
                                         *of(12, leave_out=(0, 300, 400, 1100))])
    frames, reader = read(bag, recorded=True)
    assert stamps(frames) == [ms for ms in moments(12) if ms not in (0, 300, 400, 1100)]
    assert reader.skipped == {NO_RESULT: 4}


def test_half_a_result_is_none(tmp_path: Path) -> None:
    items = [item for item in of(6) if not (item.topic.endswith('depth')
                                            and item.recorded_ns == START_NS + 262_500_000)]
    frames, reader = read(write_items(tmp_path / 'bag', [*drive(6), label_info(), *items]),
                          recorded=True)
    assert stamps(frames) == [0, 100, 300, 400, 500] and reader.skipped == {NO_RESULT: 1}


@pytest.mark.parametrize('most', [1, 3, 64])
def test_results_of_another_recording(most: int, tmp_path: Path) -> None:
    """A recording that begins later, has holes, a longer end, and images of its own."""
    played = write_items(tmp_path / 'drive', drive(10, labels))
    recording = write_items(tmp_path / 'recording', [
        *drive(14), label_info(), *of(14, 1.5, leave_out=(0, 100, 500))])
    settings = RecordingSettings(sync=SyncSettings(max_waiting=most))
    frames, reader = read(played, settings, results=recording)
    assert stamps(frames) == [200, 300, 400, 600, 700, 800, 900]
    assert reader.skipped == {NO_RESULT: 3} and reader.model_id == 'some-model'
    assert all(f.recorded is not None and f.recorded.distances[0].distance_m == 11.25
               for f in frames)
    # With room for one image, it is given out before its labels come.
    assert all((f.truth.panoptic is None) == (most == 1) for f in frames)


def test_a_reference_is_compared_with_only(tmp_path: Path) -> None:
    played = write_items(tmp_path / 'drive', [*drive(8), label_info(), *of(8)])
    other = write_items(tmp_path / 'other', [label_info(), *of(8, 2.0, leave_out=(300,))])
    frames, reader = read(played, recorded=True, reference=other)
    assert stamps(frames) == list(moments(8)) and not reader.skipped
    assert [f.reference is None for f in frames] == [ms == 300 for ms in moments(8)]
    assert {f.recorded.distances[0].distance_m for f in frames if f.recorded} == {7.5}
    assert {f.reference.distances[0].distance_m for f in frames if f.reference} == {15.0}
    assert reader.notes == {'the reference has no result of this stamp; the frame is not '
                            'compared': 1}
    # A model's run against what the same bag holds.
    frames, reader = read(played, reference=played)
    assert all(f.recorded is None and f.reference is not None for f in frames)


def test_results_in_memory_stay_few(tmp_path: Path) -> None:
    """Neither results long before the drive nor half ones pile up."""
    early = [item for ms in moments(60) for item in results(
        ms - 60_000, names=('panoptic', 'depth') if ms % 200 else ('panoptic',))]
    recording = write_items(tmp_path / 'recording', [label_info(), *early, *of(10)])
    played = write_items(tmp_path / 'drive', drive(10))
    settings = RecordingSettings(sync=SyncSettings(max_waiting=8))
    with RecordingReader(played, settings, results=recording) as reader:
        assert reader._results is not None
        held = [len(reader._results._results) for _ in reader]
    assert len(held) == 10 and max(held) <= 8


def test_which_node(tmp_path: Path) -> None:
    two = [*drive(3), *of(3), *of(3, 3.0, node='/front/panoptic_depth')]
    bag = write_items(tmp_path / 'bag', two)
    with pytest.raises(ConfigError, match='no results of a node, or of several and topics.node'):
        read(bag, recorded=True)
    settings = RecordingSettings(topics=TopicSettings(node='front/panoptic_depth'))
    frames, reader = read(bag, settings, recorded=True)
    assert reader.topics.node == '/front/panoptic_depth'
    assert frames[0].recorded and frames[0].recorded.distances[0].distance_m == 22.5
    assert any('label_info is not recorded' in note for note in reader.notes)
    frames, reader = read(bag)
    assert len(frames) == 3 and any('results of 2 nodes are recorded and none are taken; choose '
                                    'with topics.node' in note for note in reader.notes)


def test_what_is_asked_for_must_be_there(tmp_path: Path) -> None:
    plain = write_items(tmp_path / 'plain', drive(2))
    with pytest.raises(ConfigError, match=r'plain: holds no results .* with --results'):
        read(plain, recorded=True)
    with pytest.raises(ConfigError, match='plain: holds no results'):
        read(plain, reference=plain)
    with pytest.raises(ConfigError, match='both asked for; give one of them'):
        read(plain, recorded=True, results=plain)
    with pytest.raises(ConfigError, match='is no bag'):
        read(plain, results=tmp_path / 'missing.txt')
    only = write_items(tmp_path / 'only', [label_info(), *of(2)])
    with pytest.raises(ConfigError, match=r'only: holds results but not the images .*--results'):
        read(only, recorded=True)


def test_what_is_not_recorded_is_not_known(tmp_path: Path) -> None:
    items = [*drive(2), label_info(), *of(2, names=('panoptic',))]
    frames, reader = read(write_items(tmp_path / 'bag', items), recorded=True)
    assert len(frames) == 2 and len(reader.notes) == 2
    for item in frames:
        assert item.recorded is not None and np.isnan(item.recorded.depth).all()
        assert item.recorded.distances == () and len(item.recorded.segments) == 3


def test_tables_of_classes(tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'kitti', [*drive(1), label_info(SEMKITTI, ms=50), *of(1)])
    assert read(bag, recorded=True)[1].classes == SEMKITTI
    mine = (*CITYSCAPES[:-1], ClassInfo(18, 'tram', (1, 2, 3), True))
    bag = write_items(tmp_path / 'mine', [*drive(1), label_info(mine), *of(1)])
    assert read(bag, recorded=True, classes=mine)[1].classes == mine
    _, reader = read(bag, recorded=True)
    assert reader.classes[:18] == CITYSCAPES[:18] and not reader.classes[18].is_thing
    assert any('tram: no known classes; they count as stuff' in note for note in reader.notes)


def test_results_of_another_size(tmp_path: Path) -> None:
    small = [Item(item.topic, item.type, item.message, item.recorded_ns) for item in of(1)]
    pictures = [item for item in drive(1) if item.topic != INFO_TOPIC]
    pictures[0].message.height, pictures[0].message.data = 10, pictures[0].message.data[:960]
    frames, reader = read(write_items(tmp_path / 'bag', [*pictures, label_info(), *small]),
                          recorded=True)
    assert frame_at(0).image.shape == (20, 32, 3) and not frames
    assert [*reader.skipped] == ['recorded results are of 32x20 px and show another part than the '
                                 'image of 32x10 px']
