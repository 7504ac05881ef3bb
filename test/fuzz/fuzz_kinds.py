# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Kinds of input: how one is made from a generator, and what reads it.

A kind's function makes the input in an empty folder, reads it as a user's command would and gives
the number of things that were accepted. Refusing is a ConfigError or a BackendError.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from bag_makers import Entry, write_bag
from encoded_images import pixel_rows, random_image
from fuzz_mutations import (
    Rng,
    mutated,
    mutated_text,
    number,
    with_other_pixels,
    with_right_checksums,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.inference.preprocess import prepare
from panoptic_depth_core.io.bags.storage import BagReader
from panoptic_depth_core.io.cameras.camera_info import camera_of_info
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.reading import ENCODINGS, decode_compressed, pixels_of
from panoptic_depth_core.io.sources.measured_depth import open_measured_depth, read_depth
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.structures import Frame, Intrinsics
from rosbags.rosbag2 import CompressionMode

CASES = Path(__file__).resolve().parents[1] / 'cases'
MOST_FRAMES = 20
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Kind:
    """
    A kind of input.

    :param per_round: inputs in a round.
    :param read: makes and reads one.
    :param seconds: that one may take on a machine with other work.
    :param megabytes: that one may take beyond what was there before.
    """

    per_round: int
    read: Callable[[Rng, Path], int]
    seconds: float = 20.0
    megabytes: int = 200


KINDS: dict[str, Kind] = {}
"""Name -> kind; 'picture.png' is of the group 'picture'."""


def kind(name: str, per_round: int, **limits: Any) -> Callable[[Any], Any]:
    """Enter a function into the table."""
    def enter(read: Callable[[Rng, Path], int]) -> Callable[[Rng, Path], int]:
        KINDS[name] = Kind(per_round, read, **limits)
        return read
    return enter


# Pictures -----------------------------------------------------------------------------------

SUFFIXES = ('png', 'jpg', 'bmp', 'tiff', 'webp')


@cache
def pictures(suffix: str) -> tuple[bytes, ...]:
    """Small pictures: color, gray, 16 bits, smooth, with an EXIF orientation."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), (48, 32))
    images = [smooth, smooth[..., 0], rng.integers(0, 256, (17, 23, 3), np.uint8)]
    if suffix in ('png', 'tiff'):
        images += [smooth.astype(np.uint16) * 16, smooth[..., 1].astype(np.uint16) * 257,
                   np.dstack([smooth, smooth[..., 0]])]
    if suffix == 'tiff':
        images.append(smooth[..., 0].astype(np.float32))
    options: dict[str, list[list[int]]] = {'jpg': [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
                                                   [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]]}
    found = [cv2.imencode(f'.{suffix}', image, option)[1].tobytes()
             for image in images for option in options.get(suffix, [[]])]
    if suffix == 'jpg':
        found += [path.read_bytes() for path in (CASES / '08_latin1_terminal/picture.jpg',
                                                 CASES / '07_jpeg_damaged/zeros.jpg')]
    return tuple(found)


def _chosen(rng: Rng, values: Any) -> Any:
    return values[int(rng.integers(0, len(values)))]


def _picture(rng: Rng, suffix: str) -> bytes:
    seeds = pictures(suffix)
    seed = _chosen(rng, seeds)
    if suffix == 'png' and rng.random() < 0.3:
        return with_other_pixels(rng, seed)
    data = mutated(rng, seed, _chosen(rng, seeds))
    return with_right_checksums(data) if suffix == 'png' and rng.random() < 0.6 else data


def _frames(source: Any) -> int:
    """Read on as predict does; what is refused is told by reason."""
    with source:
        count = 0
        for frame in source:
            _checked(frame)
            count += 1
            if count >= MOST_FRAMES:
                break
        _told([*source.skipped, *source.notes])
    return count


def _told(texts: Iterable[str]) -> None:
    """What the user is told does not blame the program."""
    for text in texts:
        assert text.strip() and 'Traceback' not in text and 'fault of' not in text, text


def _checked(frame: Frame) -> None:
    """A frame is what a pipeline takes."""
    image = frame.image
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert image.shape[:2] == (frame.intrinsics.height, frame.intrinsics.width)
    prepare(frame, 64, 32)


def _of_files(suffix: str) -> Callable[[Rng, Path], int]:
    def read(rng: Rng, folder: Path) -> int:
        (folder / f'a.{suffix}').write_bytes(_picture(rng, suffix))
        return _frames(open_source(folder, fov_deg=70.0))
    return read


def _of_messages(suffix: str) -> Callable[[Rng, Path], int]:
    def read(rng: Rng, _: Path) -> int:
        name = str(rng.choice((suffix, f'rgb8; {suffix} compressed bgr8', 'bayer_rggb8; png '
                               'compressed', 'mono16; png compressed ', '', 'h264')))
        pixels = decode_compressed(name, np.frombuffer(_picture(rng, suffix), np.uint8))
        assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
        return 1
    return read


for _suffix in SUFFIXES:
    kind(f'picture.{_suffix}', 20)(_of_files(_suffix))
    kind(f'compressed.{_suffix}', 100)(_of_messages(_suffix))


@kind('raw image', 400)
def raw_image(rng: Rng, _: Path) -> int:
    """An Image of any encoding with numbers that do not fit."""
    encoding = _chosen(rng, sorted(ENCODINGS))
    width, height = (int(rng.integers(1, 12)) for _ in range(2))
    try:
        rows = pixel_rows(encoding, random_image(encoding, width, height, 0), False)
        data, step = b''.join(rows), len(rows[0])
    except (KeyError, IndexError):
        # Encodings that the slow encoder does not write, sizes that they do not have.
        step = 8 * width
        data = rng.bytes(step * height)
    message = SimpleNamespace(encoding=encoding, width=width, height=height, step=step,
                              is_bigendian=int(rng.integers(0, 2)), data=data)
    for name in ('width', 'height', 'step', 'is_bigendian'):
        if rng.random() < 0.3:
            setattr(message, name, int(_chosen(rng, (0, 1, 2, 3, 7, 16, 255, 65536, 2 ** 31,
                                                     2 ** 32 - 1))))
    if rng.random() < 0.5:
        message.data = mutated(rng, data)
    if rng.random() < 0.1:
        message.encoding = _chosen(rng, ('', 'rgb8 ', 'bayer_xxxx8', '64FC9', '32FC1', '\0', 'é'))
    pixels = pixels_of(message)
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    return 1


# Recordings ---------------------------------------------------------------------------------

BAGS = sorted({path.parent for path in CASES.rglob('*.db3')})


@cache
def entries() -> tuple[tuple[Entry, ...], ...]:
    """The messages of every recording of test/cases, as bytes."""
    found = []
    for path in [*BAGS, CASES / '11_mcap_not_ros2/cdr_no_profile.mcap']:
        with closing(BagReader(path)) as bag:
            found.append(tuple(Entry(m.topic, m.type, bytes(m.data), m.stamp_ns)
                               for m in bag.messages(bag.topics)))
    return tuple(found)


def _recording(path: Path) -> int:
    """What predict, measured depth and evaluate-bag do with a recording."""
    before = {p.name: p.stat().st_mtime_ns for p in path.parent.rglob('*')}
    count, refusals = 0, []
    topics: tuple[str, ...] = ()
    try:
        with closing(BagReader(path)) as bag:
            topics = tuple(bag.topics)
            depth = [name for name in topics if 'depth' in name or 'points' in name]
            _told(bag.problems)
        count += _frames(open_source(path))
    except ConfigError as error:
        refusals.append(str(error))
    if topics:
        try:
            reader = RecordingReader(path, RecordingSettings())
            with closing(reader):
                for number, _ in zip(range(MOST_FRAMES), reader, strict=False):
                    count += number >= 0
                _told([*reader.skipped, *reader.notes])
        except ConfigError as error:
            refusals.append(str(error))
        for topic in depth[:1]:
            try:
                with open_measured_depth(topic, path) as measured:
                    frame = Frame(np.zeros((96, 192, 3), np.uint8),
                                  Intrinsics.from_focal(170.0, 192, 96), 10 ** 9)
                    measured.points(frame)
                    _told(measured.notes)
            except ConfigError as error:
                refusals.append(str(error))
    _told(refusals)
    after = {p.name: p.stat().st_mtime_ns for p in path.parent.rglob('*')}
    assert after == before, f'the folder of the user was changed: {set(after) ^ set(before)}'
    if not count and refusals:
        raise ConfigError(refusals[0])
    return count


@kind('bag.sqlite3', 3, megabytes=300)
def bag_of_sqlite3(rng: Rng, folder: Path) -> int:
    """Damaged files of a folder with a database."""
    bag = folder / 'bag'
    shutil.copytree(_chosen(rng, BAGS), bag)
    files = sorted(bag.iterdir())
    path = _chosen(rng, files) if rng.random() < 0.3 else next(bag.glob('*.db3'))
    data = path.read_bytes()
    if path.suffix == '.yaml':
        path.write_bytes(mutated_text(rng, data.decode()))
    else:
        path.write_bytes(mutated(rng, data))
    return _recording(bag if rng.random() < 0.7 else next(bag.glob('*.db3')))


def _written(rng: Rng, folder: Path, storage: str, compression: CompressionMode,
             damaged: float) -> Path:
    """A bag of the messages of a case, of which some are damaged."""
    found = [Entry(e.topic, e.type, mutated(rng, e.message) if rng.random() < damaged
                   else e.message, e.time_ns) for e in _chosen(rng, entries())]
    return write_bag(folder / 'bag', found, storage, compression)


@kind('bag.mcap', 4, megabytes=300)
def bag_of_mcap(rng: Rng, folder: Path) -> int:
    """Damaged MCAP files, of one chunk or of several, compressed or not."""
    if rng.random() < 0.3:
        source = _chosen(rng, sorted((CASES / '11_mcap_not_ros2').iterdir()))
        path = folder / 'a.mcap'
        path.write_bytes(mutated(rng, source.read_bytes()))
        return _recording(path)
    mode = _chosen(rng, list(CompressionMode))
    bag = _written(rng, folder, 'mcap', CompressionMode.NONE if mode == CompressionMode.STORAGE
                   else mode, 0.0)
    path = _chosen(rng, sorted(bag.iterdir()))
    path.write_bytes(mutated(rng, path.read_bytes()))
    return _recording(bag)


@kind('bag.messages', 3, megabytes=300)
def bag_of_damaged_messages(rng: Rng, folder: Path) -> int:
    """A whole bag of damaged messages: images, packets, CameraInfo, clouds, tf."""
    storage = _chosen(rng, ('mcap', 'sqlite3'))
    return _recording(_written(rng, folder, storage, CompressionMode.NONE, 0.7))


@cache
def videos() -> dict[str, bytes]:
    """H.264 in mp4, Motion JPEG in AVI."""
    path = CASES / '09_video_damaged_middle/damaged.mp4'
    found = {'mp4': path.read_bytes()}
    temporary = Path(tempfile.mkdtemp()) / 'a.avi'
    writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*'MJPG'), 20.0, (64, 48))
    for index in range(12):
        writer.write(np.full((48, 64, 3), (200, 20, 10 * index), np.uint8))
    writer.release()
    if temporary.is_file():
        found['avi'] = temporary.read_bytes()
    shutil.rmtree(temporary.parent)
    return found


@kind('video', 2, megabytes=400)
def video(rng: Rng, folder: Path) -> int:
    """A damaged video file."""
    suffix = _chosen(rng, sorted(videos()))
    path = folder / f'a.{suffix}'
    path.write_bytes(mutated(rng, videos()[suffix]))
    return _frames(open_source(path, fov_deg=70.0))


# Cameras, models, depth ---------------------------------------------------------------------


@kind('camera file', 40)
def camera_file(rng: Rng, folder: Path) -> int:
    """Files of camera_calibration, Kalibr and our own, with other text."""
    source = CASES / _chosen(rng, ('13_camera_yaml/ost.yaml', '13_camera_yaml/camchain.yaml',
                                   '05_camera_file_shape/camera.json'))
    path = folder / source.name
    path.write_bytes(mutated_text(rng, source.read_text()))
    image = np.full((24, 48, 3), 90, np.uint8)
    (folder / 'a.png').write_bytes(cv2.imencode('.png', image)[1].tobytes())
    if rng.random() < 0.5:
        return _frames(open_source(folder / 'a.png', intrinsics_file=path))
    return _frames(open_source(folder))


@kind('CameraInfo', 200)
def camera_info(rng: Rng, _: Path) -> int:
    """Numbers that no camera has."""
    camera = Intrinsics(50.0, 51.0, 19.0, 11.0, 40, 24)
    info = make.camera_info(make.header(0, 'optical'), camera)
    for name, size in (('k', 9), ('p', 12), ('r', 9)):
        values = np.array(getattr(info, name), np.float64)
        for _ in range(int(rng.integers(0, 3))):
            values[int(rng.integers(0, size))] = number(rng)
        setattr(info, name, values)
    if rng.random() < 0.5:
        info.distortion_model = str(_chosen(rng, (
            '', 'plumb_bob', 'rational_polynomial', 'equidistant', 'fisheye', 'x')))
        count = int(_chosen(rng, (0, 1, 4, 5, 8, 12, 14)))
        info.d = np.array([number(rng) if rng.random() < 0.4 else rng.normal() * 0.1
                           for _ in range(count)])
    for name in ('width', 'height', 'binning_x', 'binning_y'):
        if rng.random() < 0.2:
            setattr(info, name, int(_chosen(rng, (0, 1, 2, 48, 80, 2 ** 31, 2 ** 32 - 1))))
    for name in ('x_offset', 'y_offset', 'width', 'height'):
        if rng.random() < 0.2:
            setattr(info.roi, name, int(_chosen(rng, (0, 1, 20, 40, 2 ** 32 - 1))))
    found = camera_of_info(info, 40, 24, rectified=bool(rng.integers(0, 2)),
                           use=_chosen(rng, ('auto', 'k', 'p')))
    _told(found.notes)
    if found.camera is None:
        raise ConfigError(found.reason)
    stated, origin = CameraOptions().resolve(40, 24, found.camera, 'camera_info')
    _checked(Frame(np.zeros((24, 40, 3), np.uint8), stated, 1, intrinsics_source=origin))
    return 1


@kind('model directory', 4, megabytes=400)
def model_directory(rng: Rng, folder: Path) -> int:
    """Damaged files of a model, of which the hash may be right."""
    source = ModelDirectory.default().path
    path = folder / 'model'
    path.mkdir()
    for file in sorted(source.iterdir()):
        (path / file.name).symlink_to(file)
    name = str(rng.choice(('model.json', 'self_test.npz')))
    data = (source / name).read_bytes()
    (path / name).unlink()
    (path / name).write_bytes(mutated_text(rng, data.decode()) if name == 'model.json'
                              else mutated(rng, data))
    model = ModelDirectory.load(path)
    model.load_self_test()
    return 1


@cache
def depths() -> dict[str, tuple[bytes, ...]]:
    """Measured depth as files."""
    values = np.linspace(0.5, 60, 32 * 48, dtype=np.float32).reshape(32, 48)
    array = io.BytesIO()
    np.save(array, values)
    return {'npy': (array.getvalue(),), 'png': (
        cv2.imencode('.png', (values * 1000).astype(np.uint16))[1].tobytes(),),
        'tiff': (cv2.imencode('.tiff', values)[1].tobytes(),)}


@kind('measured depth', 40)
def measured_depth(rng: Rng, folder: Path) -> int:
    """A depth picture or array beside a frame."""
    suffix = _chosen(rng, sorted(depths()))
    data = mutated(rng, depths()[suffix][0])
    path = folder / f'a.{suffix}'
    path.write_bytes(with_right_checksums(data) if suffix == 'png' and rng.random() < 0.6
                     else data)
    found = read_depth(path)
    assert found.dtype == np.float32 and found.ndim == 2
    return 1




# What the run has to find; of no round.


@kind('check.error', 0)
def check_error(_: Rng, __: Path) -> int:
    """An error that is no ConfigError."""
    return [1][1]


@kind('check.crash', 0)
def check_crash(_: Rng, __: Path) -> int:
    """The end of the process."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return 1


@kind('check.hang', 0, seconds=0.5)
def check_hang(_: Rng, __: Path) -> int:
    """No end."""
    time.sleep(600)
    return 1


@kind('check.memory', 0, megabytes=50)
def check_memory(_: Rng, __: Path) -> int:
    """More memory than the kind may take."""
    return int(np.ones(100 * MEGABYTE, np.uint8)[-1])


@kind('check.allocation', 0)
def check_allocation(_: Rng, __: Path) -> int:
    """More memory than the process may have."""
    return int(np.ones(8192 * MEGABYTE, np.uint8)[-1])
