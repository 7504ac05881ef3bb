# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Corruptions of images: each does what it says, more with severity, the same each time."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    Corrupted,
    parse_corruption,
)
from panoptic_depth_core.labels import CITYSCAPES
from panoptic_depth_core.structures import Sample

GRAY = np.full((40, 60, 3), 100, np.uint8)


def corrupt(name: str, severity: int, image: np.ndarray, seed: int = 3) -> np.ndarray:
    return CORRUPTIONS[name](image, severity, np.random.default_rng(seed))


def picture(height: int = 97, width: int = 161) -> np.ndarray:
    """Ramps, patches and noise in middle tones."""
    rng = np.random.default_rng(0)
    patches = cv2.resize(rng.uniform(50, 170, (7, 11, 3)), (width, height),
                         interpolation=cv2.INTER_NEAREST)
    ramp = np.linspace(-25, 25, width)[None, :, None]
    fine = rng.uniform(-12, 12, (height, width, 1))
    return np.clip(patches + ramp + fine, 0, 255).astype(np.uint8)


class Photos:
    """A data set of given samples."""

    classes = CITYSCAPES

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]


def test_there_are_the_fifteen() -> None:
    assert len(CORRUPTIONS) == 15 and list(SEVERITIES) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize('name', CORRUPTIONS)
class TestEach:
    def test_changes_the_image_more_with_severity(self, name: str) -> None:
        image = picture()
        kept = image.copy()
        outs = [corrupt(name, severity, image) for severity in SEVERITIES]
        change = [float(np.abs(out.astype(float) - kept).mean()) for out in outs]
        assert all(out.shape == kept.shape and out.dtype == np.uint8 for out in outs)
        # Published parameters of these trade contrast for light, or alias.
        steps = slice(None, None, 4 if name in ('snow', 'frost', 'fog', 'pixelate') else None)
        assert change[0] > 0.5 and change[steps] == sorted(change[steps])
        assert len(set(change)) == len(change)
        assert np.array_equal(image, kept)

    def test_is_the_same_for_the_same_generator(self, name: str) -> None:
        image = picture()
        first, again, other = (corrupt(name, 3, image, seed) for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        random = name not in ('defocus_blur', 'zoom_blur', 'brightness', 'contrast', 'pixelate',
                              'jpeg_compression')
        assert np.array_equal(first, other) != random

    @pytest.mark.parametrize('shape', [(1, 1), (1, 37), (23, 1), (2, 2), (31, 17)])
    def test_takes_any_size(self, name: str, shape: tuple[int, int]) -> None:
        image = picture()[:shape[0], :shape[1]]
        for severity in SEVERITIES:
            out = corrupt(name, severity, image)
            assert out.shape == image.shape and out.dtype == np.uint8


class TestValues:
    def test_gaussian_noise(self) -> None:
        noise = corrupt('gaussian_noise', 1, np.full((200, 200, 3), 128, np.uint8)) - 128.0
        assert abs(noise.mean()) < 0.3 and noise.std() == pytest.approx(0.08 * 255, rel=0.02)

    def test_shot_noise(self) -> None:
        half = np.full((200, 200, 3), 51, np.uint8)
        noisy = corrupt('shot_noise', 2, half) / 255
        assert noisy.mean() == pytest.approx(0.2, rel=0.02)
        assert noisy.std() == pytest.approx(np.sqrt(0.2 / 25), rel=0.02)

    def test_impulse_noise(self) -> None:
        out = corrupt('impulse_noise', 4, np.full((300, 300, 3), 128, np.uint8))
        assert [(out == value).mean() for value in (0, 255)] == pytest.approx(
            [0.085, 0.085], rel=0.05)
        assert set(np.unique(out)) == {0, 128, 255}

    @pytest.mark.parametrize('name', ['defocus_blur', 'glass_blur', 'motion_blur', 'zoom_blur',
                                      'elastic_transform', 'pixelate'])
    def test_what_moves_light_keeps_an_even_image(self, name: str) -> None:
        assert np.abs(corrupt(name, 5, GRAY).astype(int) - 100).max() <= 1

    @pytest.mark.parametrize('name', ['defocus_blur', 'motion_blur', 'zoom_blur'])
    def test_blur_moves_no_center_of_mass(self, name: str) -> None:
        image = np.zeros((121, 121, 3), np.uint8)
        image[58:63, 58:63] = 255
        out = corrupt(name, 3, image)[..., 0].astype(float)
        y, x = np.mgrid[:121, :121]
        assert [(out * at).sum() / out.sum() for at in (y, x)] == pytest.approx([60, 60], abs=0.3)

    def test_brightness_and_contrast(self) -> None:
        assert np.abs(corrupt('brightness', 3, GRAY).astype(float) - 176.5).max() < 0.6
        image = np.concatenate([GRAY, GRAY + 100])
        low = corrupt('contrast', 2, image)
        assert (low[0, 0, 0], low[-1, 0, 0]) == (135, 165)

    def test_pixelate_makes_blocks(self) -> None:
        out = corrupt('pixelate', 2, picture(40, 60))
        blocks = out.reshape(20, 2, 30, 2, 3)
        assert np.all(blocks == blocks[:, :1, :, :1])
        assert not np.all(out[:, 1:-1] == out[:, 2:])

    def test_fog_keeps_the_range(self) -> None:
        image = np.zeros((64, 64, 3), np.uint8)
        image[:, 32:] = 200
        foggy = corrupt('fog', 3, image)
        assert foggy.max() <= 200 and foggy[:, :31].mean() > 40
        # 200 max / (max + 2.5), whatever the fog, max = 200 / 255.
        step = foggy[:, 32:34].mean() - foggy[:, 30:32].mean()
        assert step == pytest.approx(47.8, abs=2)


class TestParse:
    def test_names_and_severities(self) -> None:
        assert parse_corruption('fog:3') == ('fog', 3)

    @pytest.mark.parametrize(('text', 'words'), [
        ('rain:3', "corruption 'rain' is unknown; known: gaussian_noise"),
        ('fog', 'give fog:SEVERITY, from fog:1 to fog:5'), ('fog:0', 'fog:SEVERITY'),
        ('fog:6', 'fog:SEVERITY'), ('fog:2.5', 'fog:SEVERITY'), ('fog:²', 'fog:SEVERITY')])
    def test_others_are_errors(self, text: str, words: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(words)):
            parse_corruption(text)


class TestCorrupted:
    def test_changes_images_alone(self, samples: list[Sample]) -> None:
        data = Corrupted(Photos(samples), 'gaussian_noise', 2)
        assert len(data) == len(samples) and data.classes is CITYSCAPES
        for index, clean in enumerate(samples):
            one = data[index]
            assert one.truth is clean.truth and one.frame.name == clean.frame.name
            assert not np.array_equal(one.frame.image, clean.frame.image)
            assert np.array_equal(one.frame.image, data[index].frame.image)

    def test_frames_of_other_names_have_other_noise(self, samples: list[Sample]) -> None:
        twins = [replace(samples[0], frame=replace(samples[0].frame, name=name))
                 for name in ('a', 'b')]
        first, second = (Corrupted(Photos(twins), 'gaussian_noise', 2)[i].frame.image
                         for i in (0, 1))
        assert not np.array_equal(first, second)

    def test_an_unknown_one_is_an_error(self, samples: list[Sample]) -> None:
        with pytest.raises(ConfigError, match='sleet'):
            Corrupted(Photos(samples), 'sleet', 1)
        with pytest.raises(ConfigError, match='fog:1 to fog:5'):
            Corrupted(Photos(samples), 'fog', 9)


def test_not_with_stored_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['evaluate', '1', '-d', 'synthetic', '--predictions', str(tmp_path),
                 '--corruption', 'fog:1']) == 2
    assert 'leave --predictions out' in ' '.join(capsys.readouterr().err.split())
