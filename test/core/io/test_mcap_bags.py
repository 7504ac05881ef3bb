# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""MCAP files without what the format leaves open, of other worlds, and made to do harm."""

from __future__ import annotations

import resource
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import lz4.frame
import pytest
from bag_makers import image
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.bags.compression import zstd
from panoptic_depth_core.io.bags.storage import BagReader
from panoptic_depth_core.io.messages.types import IMAGE, typestore
from panoptic_depth_core.io.sources.open_source import open_source

MAGIC = b'\x89MCAP0\r\n'
COMPRESS = {'': bytes, 'zstd': zstd.compress, 'lz4': lz4.frame.compress}
DAMAGED = 'damaged or not closed; what can be read is read'


def record(code: int, content: bytes) -> bytes:
    return struct.pack('<BQ', code, len(content)) + content


def text(value: str) -> bytes:
    return struct.pack('<I', len(value)) + value.encode()


def channel(number: int = 1, topic: str = '/image', encoding: str = 'cdr', kind: str = IMAGE,
            schema: str = 'ros2msg') -> bytes:
    return (record(3, struct.pack('<H', number) + text(kind) + text(schema) + text(''))
            + record(4, struct.pack('<HH', number, number) + text(topic) + text(encoding)
                     + text('')))


def message(stamp_ns: int, number: int = 1, data: bytes | None = None) -> bytes:
    content = b'\0\1\0\0' + bytes([stamp_ns % 256]) * 100 if data is None else data
    return record(5, struct.pack('<HIQQ', number, 0, stamp_ns, stamp_ns) + content)


def chunk(records: bytes, compression: str = 'zstd', size: int | None = None,
          checksum: int | None = None) -> bytes:
    return chunk_of(COMPRESS.get(compression, bytes)(records), records, compression, size,
                    checksum)


def chunk_of(data: bytes, records: bytes, compression: str = 'zstd', size: int | None = None,
             checksum: int | None = None) -> bytes:
    return record(6, struct.pack(
        '<QQQI', 0, 0, len(records) if size is None else size,
        zlib.crc32(records) if checksum is None else checksum)
        + text(compression) + struct.pack('<Q', len(data)) + data)


HEADER = MAGIC + record(1, text('ros2') + text(''))
DATA_END = record(15, bytes(4))
END = DATA_END + record(2, bytes(20)) + MAGIC


def read(path: Path, content: bytes) -> tuple[list[int], list[str]]:
    """Times of the messages of a file, and what is wrong with it."""
    path.write_bytes(content)
    with closing(BagReader(path)) as bag:
        found = list(bag.messages(set(bag.topics)))
        assert len(found) <= sum(topic.count for topic in bag.topics.values())
        return [message.stamp_ns for message in found], list(bag.problems)


BODIES = {
    'messages': channel() + b''.join(message(stamp) for stamp in range(9)),
    'zstd': chunk(channel() + message(0)) + b''.join(
        chunk(message(stamp) + message(stamp + 1)) for stamp in range(1, 9, 2)),
    'lz4': chunk(channel()) + b''.join(chunk(message(stamp), 'lz4') for stamp in range(9)),
    'frames': chunk(channel()) + b''.join(
        chunk_of(zstd.compress(message(stamp)[:50]) + zstd.compress(message(stamp)[50:]),
                 message(stamp)) for stamp in range(5)),
    'plain chunks': b''.join(chunk(channel() + message(stamp), '') for stamp in range(9)),
    'mixed': channel() + message(0) + chunk(message(1) + message(2)) + message(3),
    'attachment': channel() + message(0) + record(9, bytes(200)) + record(12, bytes(99))
    + record(0x81, b'private') + message(1),
}


@pytest.mark.parametrize('end', [END, DATA_END, b''])
@pytest.mark.parametrize('body', BODIES)
def test_without_summary_or_end(body: str, end: bytes, tmp_path: Path) -> None:
    stamps, problems = read(tmp_path / 'a.mcap', HEADER + BODIES[body] + end)
    assert stamps == list(range(len(stamps))) and len(stamps) >= 2
    assert problems == ([] if end else [f'a.mcap: {DAMAGED}'])


@pytest.mark.parametrize('body', BODIES)
def test_cut_anywhere(body: str, tmp_path: Path) -> None:
    whole = HEADER + BODIES[body] + END
    most = 0
    for length in range(0, len(whole), 11):
        stamps, problems = [], []
        with suppress(ConfigError):
            stamps, problems = read(tmp_path / 'a.mcap', whole[:length])
        assert stamps == list(range(len(stamps))) and len(problems) <= 1
        assert len(stamps) >= most
        most = len(stamps)


@pytest.mark.parametrize('index', range(8))
def test_whatever_a_writer_leaves_out(index: int, tmp_path: Path) -> None:
    """Indexes of attachments, chunks and messages, repeated channels, statistics, checksums."""
    mcap = pytest.importorskip('mcap.writer')
    types = list(mcap.IndexType)
    with (tmp_path / 'a.mcap').open('wb') as file:
        writer = mcap.Writer(
            file, chunk_size=1000, index_types=types[index % len(types)],
            repeat_channels=bool(index & 1), repeat_schemas=bool(index & 2),
            use_statistics=bool(index & 4), enable_crcs=index < 4, use_chunking=index != 6)
        writer.start(profile='ros2')
        schema = writer.register_schema(IMAGE, 'ros2msg', b'')
        number = writer.register_channel('/image', 'cdr', schema)
        for stamp in (2, 1, 0, *range(3, 40)):
            writer.add_message(number, stamp, b'\0\1\0\0' + bytes(300), stamp)
        writer.finish()
    stamps, problems = read(tmp_path / 'a.mcap', (tmp_path / 'a.mcap').read_bytes())
    assert stamps == list(range(40)) and not problems


@pytest.mark.parametrize(('name', 'words'), [
    ('protobuf', 'the messages of /CAM_FRONT/image_rect_compressed are protobuf, not ROS 2'),
    ('ros1', 'are ROS 1 messages, not ROS 2 messages .* convert the ROS 1 bag with rosbags-conv'),
])
def test_messages_of_other_worlds(name: str, words: str, case: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        open_source(case(f'11_mcap_not_ros2/{name}.mcap'))
    assert 'damaged' not in str(error.value)


def test_cdr_of_no_stated_profile(case: Callable[[str], Path]) -> None:
    with open_source(case('11_mcap_not_ros2/cdr_no_profile.mcap')) as source:
        assert len(list(source)) == 2 and not source.notes and not source.skipped


@pytest.mark.parametrize('encoding', ['json', 'protobuf', 'flatbuffer', 'ros1', 'cbor', ''])
def test_channels_beside_the_images(encoding: str, tmp_path: Path) -> None:
    content = channel() + channel(2, '/pose', encoding) + message(0) + message(0, 2) + message(1)
    stamps, problems = read(tmp_path / 'a.mcap', HEADER + content + END)
    assert stamps == [0, 1]
    assert len(problems) == 1 and 'the messages of /pose are' in problems[0]


@pytest.mark.parametrize(('kind', 'schema'), [
    ('sensor_msgs/Image', 'ros2msg'), (IMAGE, 'ros2idl'), ('sensor_msgs::msg::Image', 'omgidl'),
    ('sensor_msgs::msg::dds_::Image_', 'omgidl')])
def test_names_of_a_type(kind: str, schema: str, tmp_path: Path) -> None:
    data = bytes(typestore().serialize_cdr(image(0).message, IMAGE))
    path = tmp_path / 'a.mcap'
    path.write_bytes(HEADER + channel(kind=kind, schema=schema) + message(1, data=data) + END)
    assert len(list(open_source(path))) == 1


ZEROS = bytes(64 << 20)
BOMB = chunk(channel() + message(0, data=ZEROS))


@pytest.mark.parametrize(('damage', 'words'), [
    (BOMB, 'is decompressed: more than 1000000 bytes'),
    (chunk(message(0, data=ZEROS), 'lz4'), 'more than 1000000 bytes'),
    (chunk(message(0, data=ZEROS), size=1000), 'of another size than stated'),
    (chunk(message(0), size=10 ** 18), 'more than 1000000 bytes'),
    (chunk(message(0), size=9), 'of another size than stated'),
    (chunk(message(0), checksum=5), 'wrong checksum'),
    (chunk(message(0), '', checksum=5), 'wrong checksum'),
    (chunk(message(0), 'snappy'), "compressed as 'snappy'; zstd, lz4 are read"),
    (chunk(message(0), 'x' * 5000), "compressed as 'xxxx|a chunk is damaged"),
    (record(6, b'short'), 'a chunk is damaged'),
    (chunk(chunk(channel() + message(0))), ''),
    (record(5, b'short'), DAMAGED),
    (record(4, struct.pack('<HHI', 9, 9, 1 << 31)), DAMAGED),
])
def test_damage_between_sound_chunks(damage: bytes, words: str, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '1000000')
    sound = chunk(channel() + message(1) + message(2)), chunk(message(3))
    stamps, problems = read(tmp_path / 'a.mcap', HEADER + sound[0] + damage + sound[1] + END)
    assert stamps == [1, 2, 3]
    assert bool(problems) == bool(words)
    if problems:
        assert any(part in '; '.join(problems) for part in words.split('|'))
    assert len('; '.join(problems)) < 400


@pytest.mark.parametrize('form', ['compressed', 'plain', 'no chunks'])
@pytest.mark.parametrize('damage', [
    bytes(5000), b'\x06' * 9000, b'\x0f' * 40, b'\xff' * 5000, b'\5' * 99, b'\5' + bytes(60),
    struct.pack('<BQ', 5, 1 << 63), struct.pack('<BQ', 6, 1 << 63), struct.pack('<BQ', 3, 1 << 40),
    chunk(message(0))[:40]])
def test_what_follows_damage_is_found_again(damage: bytes, form: str,
                                            tmp_path: Path) -> None:
    body = chunk(message(3)) + chunk(message(4), 'lz4')
    if form == 'plain':
        body = chunk(message(3), '') + chunk(message(4), '')
    # Behind what looks like a chunk, chunks are looked for.
    if form == 'no chunks' and damage[0] != 6:
        body = message(3) + message(4)
    content = HEADER + chunk(channel() + message(1) + message(2)) + damage + body + END
    stamps, problems = read(tmp_path / 'a.mcap', content)
    assert stamps == [1, 2, 3, 4] and 'damaged' in problems[0]


def test_zeros_take_no_time(tmp_path: Path) -> None:
    begin = time.process_time()
    stamps, _ = read(tmp_path / 'a.mcap', HEADER + channel() + message(1) + bytes(20 << 20))
    assert stamps == [1] and time.process_time() - begin < 2


def test_a_damaged_index_is_not_believed(tmp_path: Path) -> None:
    mcap = pytest.importorskip('mcap.writer')
    path = tmp_path / 'a.mcap'
    with path.open('wb') as file:
        writer = mcap.Writer(file, chunk_size=500)
        writer.start(profile='ros2')
        number = writer.register_channel('/image', 'cdr',
                                         writer.register_schema(IMAGE, 'ros2msg', b''))
        for stamp in range(20):
            writer.add_message(number, stamp, b'\0\1\0\0' + bytes(300), stamp)
        writer.finish()
    content = path.read_bytes()
    summary, = struct.unpack_from('<Q', content, len(content) - 28)
    for place in range(summary, len(content) - 8, 11):
        changed = bytearray(content)
        changed[place] ^= 0x15
        stamps, problems = read(path, bytes(changed))
        assert stamps == list(range(20)) and (problems or place >= len(content) - 37)
        # Without the checksum of the index, too.
        changed[-12:-8] = bytes(4)
        with suppress(ConfigError):
            stamps, _ = read(path, bytes(changed))
            assert len(set(stamps)) == len(stamps) and set(stamps) <= set(range(20))


def test_chunks_that_overlap_are_not_all_in_memory(tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', str(1 << 20))
    body = b''.join(chunk(channel() + message(0, data=bytes(1 << 19)) + message(1))
                    for _ in range(400))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stamps, _ = read(tmp_path / 'a.mcap', HEADER + body + END)
    assert len(stamps) == 800
    # In kB; the messages themselves are 200 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 260_000


@pytest.mark.parametrize('time_ns', [1 << 62, 1 << 63, (1 << 64) - 1])
def test_times_that_ros_has_not(time_ns: int, tmp_path: Path) -> None:
    stamps, problems = read(tmp_path / 'a.mcap',
                            HEADER + channel() + message(1) + message(time_ns) + END)
    assert stamps == [1, (1 << 31) * 10 ** 9 - 1] and 'after 2038' in problems[0]


def test_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / 'a.mcap'
    path.write_bytes(HEADER + channel() + b''.join(message(stamp) for stamp in range(5)) + b'\5')
    with closing(BagReader(path)) as bag, path.open('ab') as file:
        messages = bag.messages(['/image'])
        next(messages)
        file.write(bytes(8) + message(9) + END)
        file.flush()
        assert [message.stamp_ns for message in messages] == [1, 2, 3, 4]
        assert list(bag.problems) == [
            f'a.mcap: {DAMAGED}',
            'a.mcap: was written to while it was read; its newest messages may be missing']
