# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever a picture comes as, the model says the same of it as the pipeline of the frame."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import panoptic_depth_core as pd
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.io.bags.drive_bags import write_drive_bag
from panoptic_depth_core.structures import GroundTruth, Sample

Image = NDArray[np.uint8]
Reference = Callable[..., pd.PanopticDepth]


def assert_same(result: pd.Result, wanted: pd.PanopticDepth) -> None:
    """Bit by bit the same maps and instances."""
    np.testing.assert_array_equal(result.panoptic, wanted.panoptic)
    np.testing.assert_array_equal(result.depth, wanted.depth)
    # Of numbers that may be NaN.
    assert repr((result.segments, result.distances)) == repr((wanted.segments, wanted.distances))
    assert result.intrinsics == wanted.intrinsics


class TestOnePicture:
    """Pictures as a person has them."""

    @pytest.mark.parametrize('kind', [str, Path])
    def test_path(self, model, pictures, image, reference: Reference, kind) -> None:
        result = model(kind(pictures / 'a.png'), fov=70)
        assert isinstance(result, pd.Result) and isinstance(result, pd.PanopticDepth)
        assert_same(result, reference(image))
        assert (result.name, result.frame.intrinsics_source) == ('a', 'user')
        assert result.stamp_ns == 0
        np.testing.assert_array_equal(result.image, image)

    def test_frame(self, model, image, reference: Reference) -> None:
        camera = pd.Intrinsics(60.0, 61.0, 40.0, 20.0, 96, 48)
        frame = pd.Frame(image, camera, 5, 'front', 'one')
        result = model(frame)
        assert_same(result, reference(image, camera))
        assert result.frame is frame and (result.name, result.stamp_ns) == ('one', 5)
        with pytest.raises(pd.ConfigError, match="frame 'one' has intrinsics; leave fx, fov and"):
            model(frame, fov=70)

    @pytest.mark.parametrize('change', [
        lambda image: image,
        lambda image: np.dstack([image, np.zeros(image.shape[:2], np.uint8)]),
        lambda image: image[:, ::-1][:, ::-1],
    ], ids=['rgb', 'rgba', 'view'])
    def test_array(self, model, image, reference: Reference, change) -> None:
        result = model(change(image), fov=70)
        assert_same(result, reference(image))
        assert (result.name, result.stamp_ns) == ('', 0)

    @pytest.mark.parametrize('shape', [(48, 96), (48, 96, 1)])
    def test_grey(self, model, image, reference: Reference, shape) -> None:
        grey = image[..., 1].reshape(shape)
        assert_same(model(grey, fov=70), reference(np.dstack([image[..., 1]] * 3)))

    def test_tensor(self, model, image, reference: Reference) -> None:
        torch = pytest.importorskip('torch')
        assert_same(model(torch.from_numpy(image), fov=70), reference(image))
        with pytest.raises(pd.ConfigError, match=r'channels come first; give image\.transpose'):
            model(torch.from_numpy(image).permute(2, 0, 1))
        with pytest.raises(pd.ConfigError, match='Tensor: cannot become a numpy array: .*detach'):
            model(torch.zeros(4, 4, 3, requires_grad=True))

    @pytest.mark.parametrize('orientation', range(1, 9))
    def test_pil_is_turned_like_the_file(self, model, image, tmp_path, orientation) -> None:
        pil = pytest.importorskip('PIL.Image')
        exif = pil.Exif()
        exif[0x0112] = orientation
        path = tmp_path / 'turned.png'
        pil.fromarray(image).save(path, exif=exif)
        with pil.open(path) as opened:
            result = model(opened, fov=70)
        assert result.name == 'turned'
        wanted = pytest.importorskip('PIL.ImageOps').exif_transpose(pil.open(path))
        np.testing.assert_array_equal(result.image, np.asarray(wanted))
        if cv2.imread(str(path)).shape[:2] == result.image.shape[:2] and orientation < 5:
            np.testing.assert_array_equal(result.image, model(path, fov=70).image)

    @pytest.mark.parametrize('mode', ['RGBA', 'L', 'P'])
    def test_pil_modes(self, model, image, mode) -> None:
        pil = pytest.importorskip('PIL.Image')
        picture = pil.fromarray(image).convert(mode)
        np.testing.assert_array_equal(model(picture).image, np.asarray(picture.convert('RGB')))
        with pytest.raises(pd.ConfigError, match='image is uint16.*image >> 8'):
            model(pil.fromarray(np.zeros((4, 4), np.uint16)))


class TestCamera:
    """Where the meters come from."""

    @pytest.mark.parametrize('of', ['fx', 'camera', 'file'])
    def test_as_said(self, model, image, tmp_path, reference: Reference, of) -> None:
        camera = pd.Intrinsics.from_focal(80.0, 96, 48)
        path = tmp_path / 'mine.json'
        path.write_text(json.dumps(vars(camera)))
        about = {'fx': {'fx': 80.0}, 'camera': {'camera': camera}, 'file': {'camera': path}}[of]
        assert_same(model(image, **about), reference(image, camera))
        half = model(np.ascontiguousarray(image[::2, ::2]), **about)
        assert half.intrinsics.fx == (80.0 if of == 'fx' else 40.0)

    def test_of_the_file_beside_the_picture(self, model, pictures, image, reference) -> None:
        camera = pd.Intrinsics.from_focal(90.0, 96, 48)
        (pictures / 'camera.json').write_text(json.dumps(vars(camera)))
        result = model(pictures / 'a.png')
        assert_same(result, reference(image, camera))
        assert result.frame.intrinsics_source == 'sidecar'

    def test_not_known(self, model, image, caplog: pytest.LogCaptureFixture) -> None:
        """The default is said, once, and stays with the result."""
        with caplog.at_level(logging.WARNING):
            results = [model(image), model(image)]
        assert [r.frame.intrinsics_source for r in results] == ['default'] * 2
        assert caplog.text.count('a horizontal field of view of 70 degrees is assumed') == 1
        assert results[0].intrinsics == pd.Intrinsics.from_fov(70, 96, 48)


class TestStream:
    """Many pictures, one at a time."""

    def test_list_of_all_kinds(self, model, pictures, image, reference: Reference) -> None:
        results = list(model([str(pictures / 'b.png'), image, pictures, image[None]], fov=70))
        assert [r.name for r in results] == ['b', '000001', 'a', 'b', 'c', '000005']
        for result in results:
            assert_same(result, reference(result.image))

    def test_frames_without_a_name_get_one(self, model, image) -> None:
        frame = pd.Frame(image, pd.Intrinsics.from_fov(70, 96, 48))
        names = [(r.name, r.frame.name) for r in model([frame, replace(frame, name='x')])]
        assert names == [('000000', '000000'), ('x', 'x')]

    @pytest.mark.parametrize('batch', [1, 3])
    def test_batch(self, model, image, reference: Reference, batch) -> None:
        results = list(model(np.stack([image] * batch), fov=70))
        assert [r.name for r in results] == [f'{i:06d}' for i in range(batch)]
        assert_same(results[-1], reference(image))

    def test_nothing_is_taken_ahead(self, model, image) -> None:
        taken = []

        def camera() -> Iterator[Image]:
            for number in range(1_000_000):
                taken.append(number)
                yield image
        results = model(camera(), fov=70)
        assert taken == []
        assert [next(results).name for _ in range(2)] == ['000000', '000001']
        assert taken == [0, 1]

    def test_folder(self, model, pictures, image, caplog) -> None:
        """Of a folder, what cannot be read is passed over, and said."""
        (pictures / 'b.png').write_bytes(b'no picture')
        assert [r.name for r in model(pictures, fov=70)] == ['a', 'c']
        assert 'b.png' in caplog.text and 'is no picture' in caplog.text

    def test_video(self, model, image, tmp_path, reference: Reference) -> None:
        path = tmp_path / 'drive.avi'
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10.0, (96, 48))
        for _ in range(3):
            writer.write(image[..., ::-1])
        writer.release()
        results = list(model(str(path), fov=70))
        assert [r.name for r in results] == ['000000', '000001', '000002']
        assert_same(results[2], reference(results[2].image))

    def test_bag(self, model, image, tmp_path, reference: Reference) -> None:
        camera = pd.Intrinsics(60.0, 61.0, 40.0, 20.0, 96, 48)
        write_drive_bag([Sample(pd.Frame(image, camera, 10 ** 9 * (i + 1)), GroundTruth())
                         for i in range(2)], tmp_path / 'bag')
        results = list(model(tmp_path / 'bag', image_topic='/camera/image_raw'))
        assert [r.stamp_ns for r in results] == [10 ** 9, 2 * 10 ** 9]
        assert results[0].frame.intrinsics_source == 'camera_info'
        assert_same(results[0], reference(image, camera))

    def test_mounting(self, model, image, pictures, tmp_path) -> None:
        given = pd.Mounting(1.3, 2.0)
        assert model(image, fov=70, mounting=given).mounting == given
        assert [r.mounting for r in model.stream(pictures, fov=70, mounting=given)] == 3 * [given]
        assert model(image, fov=70).mounting is None
        (tmp_path / 'mounting.yaml').write_text('{height_m: 1.3, pitch_deg: 2.0}')
        assert model(image, fov=70, mounting=tmp_path / 'mounting.yaml').mounting == given
        camera = pd.Intrinsics(60.0, 61.0, 40.0, 20.0, 96, 48)
        frame = pd.Frame(image, camera, 10 ** 9, mounting=given)
        assert model(frame).mounting == given
        with pytest.raises(pd.ConfigError, match=r'give Frame\(..., mounting=...\)'):
            model(frame, mounting=given)
        write_drive_bag([Sample(frame, GroundTruth())], tmp_path / 'bag')
        (result,) = model(tmp_path / 'bag')
        assert vars(result.mounting) == pytest.approx(vars(given))
        (result,) = model(tmp_path / 'bag', ground_frame='base_footprint', ground_offset_m=0.2)
        assert result.mounting.height_m == pytest.approx(1.5)

    def test_one_picture_as_a_stream(self, model, pictures) -> None:
        assert [r.name for r in model.stream(pictures / 'a.png', fov=70)] == ['a']

    def test_tracks(self, model_path, image) -> None:
        pytest.importorskip('scipy')
        model = pd.load(model_path, 'onnxruntime', tracking={'enabled': True})
        first, second = model([image, np.roll(image, 2, axis=1)], fov=70)
        tracks = {i.segment.panoptic_id: i.track_id for i in first.instances}
        assert sorted(tracks.values()) == [0, 1, 2]
        assert {i.segment.panoptic_id: i.track_id for i in second.instances} == tracks
        assert {i.track_id for i in model(image, fov=70).instances} == {-1}


ARRAYS = [
    (np.zeros((4, 6, 3), np.float32), r'float32 \(4, 6, 3\); give uint8.*255 \* image'),
    (np.zeros((4, 6, 3), np.uint16), 'uint16.*give uint8.*image >> 8'),
    (np.zeros((4, 6, 3), np.int64), r'int64.*image\.astype'),
    (np.zeros((3, 4, 6), np.uint8), r'its channels come first; give image\.transpose\(1, 2, 0\)'),
    (np.zeros((1, 3, 4, 6), np.uint8), 'its channels come first'),
    (np.zeros((4, 6, 2), np.uint8), r'\(4, 6, 2\); give \(H, W, 3\) RGB'),
    (np.zeros((0, 6, 3), np.uint8), r'\(0, 6, 3\); give \(H, W, 3\) RGB'),
    (np.zeros(3, np.uint8), 'uint8 is no source'),
]


@pytest.mark.parametrize(('array', 'words'), ARRAYS)
def test_wrong_arrays(model: pd.Model, array, words: str) -> None:
    with pytest.raises(pd.ConfigError, match=words):
        list([result] if isinstance(result := model(array), pd.Result) else result)


@pytest.mark.parametrize(('source', 'about', 'words'), [
    ('no.png', {}, 'no.png: does not exist; give a picture, a folder'),
    ('nowhere', {}, 'nowhere: does not exist'),
    ('', {}, "the source is ''; give a picture, a folder"),
    ('https://example.org/street.png', {}, 'is an address; download it'),
    ('rtsp://camera/1', {}, 'is an address'),
    (b'\x89PNG', {}, 'bytes is no source; give a picture.*uint8 RGB array, a PIL image'),
    (None, {}, 'NoneType is no source'),
    ({'image': 1}, {}, 'dict is no source'),
    (np.zeros((4, 4, 3), np.uint8), {'image_topic': '/a'}, 'ndarray: is no bag, so it has no'),
    (np.zeros((4, 4, 3), np.uint8), {'fx': 1, 'fov': 2}, 'fx and fov_deg both describe'),
    (np.zeros((4, 4, 3), np.uint8), {'camera': 'no.json'}, 'no.json: cannot be read'),
    (np.zeros((4, 4, 3), np.uint8), {'fov': '70'}, "fov is '70', a text; give a number"),
    (np.zeros((4, 4, 3), np.uint8), {'fx': '300'}, "fx is '300', a text; give a number"),
    (np.zeros((4, 4, 3), np.uint8), {'mounting': 'no.yaml'}, 'no.yaml: cannot be read'),
    (np.zeros((4, 4, 3), np.uint8), {'mounting': 1.2}, 'mounting is of type float; give Mounting'),
    (np.zeros((4, 4, 3), np.uint8), {'ground_frame': 'base_link'}, 'ndarray: is no bag, so it'),
    (np.zeros((4, 4, 3), np.uint8), {'ground_offset_m': 0.2}, 'ground_frame is not given'),
    (np.zeros((4, 4, 3), np.uint8), {'camera': np.eye(3)},
     r'camera is of type ndarray; give Intrinsics\(fx, fy.*or the path of a camera f'),
])
def test_wrong_sources(model: pd.Model, source, about: dict, words: str) -> None:
    """Said at the call, not when the first result is asked for."""
    with pytest.raises(pd.ConfigError, match=words):
        model(source, **about)


def test_pictures_that_cannot_be_read(model: pd.Model, pictures: Path) -> None:
    for path in pictures.iterdir():
        path.write_bytes(b'no picture')
    with pytest.raises(pd.ConfigError, match=r'a\.png: no frame could be used: .*is no picture'):
        model(pictures / 'a.png')
    with pytest.raises(pd.ConfigError, match='pictures: no frame could be used'):
        next(model(pictures))
    with pytest.raises(pd.ConfigError, match='int is no source'):
        next(model([3]))
