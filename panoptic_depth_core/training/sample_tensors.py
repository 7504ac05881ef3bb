# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A sample as tv_tensors: one call of torchvision.transforms.v2 moves picture, labels and camera.

Their kernels stand here where those of torchvision do not fit: labels and depth take the nearest
pixel center (torchvision's masks are off by up to half a pixel), what lies beyond the picture is
unknown in place of 0, and the camera moves too. Rotation is OpenCV's, which is 5 to 12 times as
fast (doc/training.md, Augmentation).

resize, crop, horizontal_flip and rotate move the camera; other functionals that move pixels are
refused, where torchvision would hand the camera through unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ..contract import PADDING_RGB
from ..errors import ConfigError
from ..labels import VOID_ID
from ..structures import Intrinsics, Mounting, Sample

# Each kind of tensor knows the value of pixels beyond the picture.


class Picture(tv_tensors.Image):  # (3, H, W) uint8 RGB.
    beyond = PADDING_RGB


class Panoptic(tv_tensors.Mask):  # (H, W) int32 panoptic ids.
    beyond = VOID_ID


class Ignore(tv_tensors.Mask):  # (H, W) bool: not even the absence of an instance is known.
    beyond = True


class Depth(tv_tensors.Mask):  # (H, W) float32 meters along Z; NaN unknown, +Inf sky.
    beyond = math.nan


class Camera(tv_tensors.TVTensor):
    """(6,) float64: fx, fy, cx, cy, width, height in px, the fields of Intrinsics in order."""

    @classmethod
    def of(cls, intrinsics: Intrinsics) -> Camera:
        if intrinsics.lens is not None:
            raise ConfigError('training: a picture has a lens with distortion; rectify it first')
        return torch.tensor(astuple(intrinsics)[:-1], dtype=torch.float64).as_subclass(cls)

    def intrinsics(self) -> Intrinsics:
        fx, fy, cx, cy, width, height = self.tolist()
        return Intrinsics(fx, fy, cx, cy, int(width), int(height))


class Stand(tv_tensors.TVTensor):
    """(3,) float64: height in meters, pitch and roll in degrees, the fields of Mounting."""

    @classmethod
    def of(cls, mounting: Mounting) -> Stand:
        return torch.tensor(astuple(mounting), dtype=torch.float64).as_subclass(cls)

    def mounting(self) -> Mounting:
        return Mounting(*self.tolist())


def to_tensors(sample: Sample) -> dict[str, Any]:
    """Image, camera, and of mounting and labels those that are there; memory is shared."""
    labels = {name: _tensor(array).as_subclass(kind) for name, kind in (
        ('panoptic', Panoptic), ('ignore', Ignore), ('depth', Depth))
        if (array := getattr(sample.truth, name)) is not None}
    frame = sample.frame
    stand = {} if frame.mounting is None else {'mounting': Stand.of(frame.mounting)}
    return {'image': _tensor(frame.image).permute(2, 0, 1).as_subclass(Picture),
            'camera': Camera.of(frame.intrinsics), **stand, **labels}


def to_sample(tensors: dict[str, Any], sample: Sample) -> Sample:
    """Put moved tensors in place of those of the sample that they came from."""
    labels = {name: tensor.as_subclass(Tensor).numpy() for name, tensor in tensors.items()
              if name not in ('image', 'camera', 'mounting')}
    image = tensors['image'].as_subclass(Tensor).numpy().transpose(1, 2, 0)
    return replace(sample, truth=replace(sample.truth, **labels), frame=replace(
        sample.frame, image=image, intrinsics=tensors['camera'].intrinsics(),
        mounting=tensors['mounting'].mounting() if 'mounting' in tensors else None))


def move(sample: Sample, functional: Callable[..., Any], *args: Any, **kwargs: Any) -> Sample:
    """Apply a functional of torchvision.transforms.v2 to all tensors of a sample alike."""
    return to_sample({name: functional(tensor, *args, **kwargs)
                      for name, tensor in to_tensors(sample).items()}, sample)


def _tensor(array: NDArray[Any]) -> Tensor:
    # Torch takes neither read-only arrays (without a warning) nor negative strides.
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    return torch.from_numpy(np.require(array, requirements='W'))


def _resize_labels(tensor: Any, size: Sequence[int], **_: Any) -> Any:
    plain = tensor.as_subclass(Tensor)
    # The bits are only copied; torch has no kernels for these types but slow ones.
    as_known = {torch.int32: torch.float32, torch.bool: torch.uint8}.get(plain.dtype, plain.dtype)
    resized = F.resize(plain.view(as_known)[None], list(size), InterpolationMode.NEAREST_EXACT)
    return resized[0].view(plain.dtype).as_subclass(type(tensor))


def _crop(tensor: Any, top: int, left: int, height: int, width: int) -> Any:
    plain = tensor.as_subclass(Tensor)
    y0, x0 = max(top, 0), max(left, 0)
    inside = plain[..., y0:max(top + height, 0), x0:max(left + width, 0)]
    if inside.shape[-2:] == (height, width):
        return inside.as_subclass(type(tensor))
    if isinstance(tensor, Picture):
        pixel = torch.tensor(tensor.beyond, dtype=torch.uint8)
        result = pixel.expand(height, width, 3).contiguous().permute(2, 0, 1)
    else:
        result = torch.full((height, width), tensor.beyond, dtype=tensor.dtype)
    y, x = y0 - top, x0 - left
    result[..., y:y + inside.shape[-2], x:x + inside.shape[-1]] = inside
    return result.as_subclass(type(tensor))


def _rotate(tensor: Any, angle: float, center: Sequence[float] | None = None, **_: Any) -> Any:
    plain = tensor.as_subclass(Tensor)
    height, width = plain.shape[-2:]
    is_picture = isinstance(tensor, Picture)
    array = (plain.permute(1, 2, 0) if is_picture else plain).numpy()
    turned = cv2.warpAffine(
        array.view(np.uint8) if array.dtype == np.bool_ else array,
        _rotation(angle, center, width, height), (width, height),
        flags=cv2.INTER_LINEAR if is_picture else cv2.INTER_NEAREST,
        borderValue=tensor.beyond if is_picture else (float(tensor.beyond),))
    result = torch.from_numpy(turned.view(array.dtype))
    return (result.permute(2, 0, 1) if is_picture else result).as_subclass(type(tensor))


def _rotation(angle: float, center: Sequence[float] | None, width: int, height: int
              ) -> NDArray[np.float64]:
    """
    Matrix (2, 3) of a rotation, counter-clockwise as one sees it, in degrees.

    :param center: as in torchvision, from the corner of the first pixel; the middle when None.
    """
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    u, v = ((width / 2, height / 2) if center is None else center)
    u, v = u - 0.5, v - 0.5
    return np.array([[cos, sin, (1 - cos) * u - sin * v], [-sin, cos, sin * u + (1 - cos) * v]])


def _resize_camera(camera: Camera, size: Sequence[int], **_: Any) -> Camera:
    k, (height, width) = camera.intrinsics(), size
    return Camera.of(k.transformed(width / k.width, height / k.height, 0, 0, width, height))


def _crop_camera(camera: Camera, top: int, left: int, height: int, width: int) -> Camera:
    return Camera.of(camera.intrinsics().transformed(1, 1, -left, -top, width, height))


def _flip_camera(camera: Camera) -> Camera:
    k = camera.intrinsics()
    return Camera.of(replace(k, cx=k.width - 1 - k.cx))


def _rotate_camera(camera: Camera, angle: float, center: Sequence[float] | None = None, **_: Any
                   ) -> Camera:
    k = camera.intrinsics()
    cx, cy = _rotation(angle, center, k.width, k.height) @ (k.cx, k.cy, 1.0)
    return Camera.of(replace(k, cx=float(cx), cy=float(cy)))


def _same_stand(stand: Stand, *_: Any, **__: Any) -> Stand:
    return stand


def _flip_stand(stand: Stand) -> Stand:
    return Stand.of(replace(stand.mounting(), roll_deg=-stand.mounting().roll_deg))


def _rotate_stand(stand: Stand, angle: float, **_: Any) -> Stand:
    # A picture turns counter-clockwise when its camera turns clockwise, right side down.
    return Stand.of(replace(stand.mounting(), roll_deg=stand.mounting().roll_deg + angle))


def _refuse(camera: Camera, *_: Any, **__: Any) -> Camera:
    raise TypeError('this change of an image has no rule for its camera; use resize, crop, '
                    'horizontal_flip or rotate of torchvision.transforms.v2.functional')


for _kind in (Picture, Panoptic, Ignore, Depth):
    F.register_kernel(F.crop, _kind)(_crop)
    F.register_kernel(F.rotate, _kind)(_rotate)
    if _kind is not Picture:
        F.register_kernel(F.resize, _kind)(_resize_labels)
for _functional, _of_camera, _of_stand in (
        (F.resize, _resize_camera, _same_stand), (F.crop, _crop_camera, _same_stand),
        (F.horizontal_flip, _flip_camera, _flip_stand), (F.rotate, _rotate_camera, _rotate_stand),
        *((change, _refuse, _refuse) for change in (
            F.affine, F.center_crop, F.elastic, F.pad, F.perspective, F.resized_crop,
            F.vertical_flip))):
    F.register_kernel(_functional, Camera)(_of_camera)
    F.register_kernel(_functional, Stand)(_of_stand)
