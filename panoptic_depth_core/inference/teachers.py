# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Networks of others as ONNX graphs of a fixed size: classes of pixels, and boxes of things.

Both see a picture through tiles where it is larger, or wider, than what they take.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engines.cache import default_directory
from ..errors import BackendError, ConfigError
from ..files import make_folder, write_atomic
from ..untrusted import gunzip, reading

_WIDER = 1.25
_TEACHER_OVERLAP = 0.25

COCO_CLASSES = {0: 'person', 1: 'bicycle', 2: 'car', 3: 'motorcycle', 5: 'bus', 6: 'train',
                7: 'truck'}
"""Those of COCO's 80 classes that are things on a street."""

_STRIDES = 8, 16, 32
_PADDING = 114
_BOX_OVERLAP = 0.4
_CUT_PX = 3
_LEAST_SCORE = 0.25
_SAME_BOX = 0.5
_MOST_ENLARGED = 2.0


@dataclass(frozen=True)
class Graph:
    """An ONNX graph with one input of one picture; ``size`` is (H, W) in px."""

    sha256: str
    size: tuple[int, int]
    output_shape: tuple[Any, ...]
    names: tuple[str, str]  # Of the input and of the output.
    session: Any

    @classmethod
    def load(cls, path: Path, output: str | None = None, threads: int | None = None) -> Graph:
        """
        Load a graph, which may be a .gz.

        Graphs with a node per weight take ONNX Runtime a minute to simplify: the result is kept in
        the cache of the user.

        :param output: name of the output to take; None: the first one.
        :raises ConfigError: no such file, or a graph with other inputs or outputs.
        :raises BackendError: ONNX Runtime refuses it.
        """
        with reading(path, 'a graph or a .gz of one', 'copy the file again'):
            data = path.read_bytes()
            if path.suffix == '.gz':
                data = gunzip(data, f'{path}: is decompressed')
        import onnxruntime

        digest = hashlib.sha256(data).hexdigest()
        folder = default_directory().parent / 'teachers'
        kept = folder / f'{digest}.{onnxruntime.__version__}.onnx'
        level = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False
        if threads is not None:
            options.intra_op_num_threads = threads

        def simplify(part: Path) -> None:
            options.optimized_model_filepath = str(part)
            onnxruntime.InferenceSession(data, options, providers=['CPUExecutionProvider'])

        remedy = f'remove {kept}' if kept.is_file() else 'export it again'
        try:
            if not kept.is_file():
                options.graph_optimization_level = level.ORT_ENABLE_BASIC
                make_folder(folder)
                write_atomic(kept, simplify)
            options.graph_optimization_level = level.ORT_DISABLE_ALL
            options.optimized_model_filepath = ''
            session = onnxruntime.InferenceSession(str(kept), options,
                                                   providers=['CPUExecutionProvider'])
        except ConfigError:
            raise
        # Its exceptions have no other common base.
        except Exception as error:
            raise BackendError(f'{path}: ONNX Runtime {onnxruntime.__version__} cannot load it: '
                               f'{" ".join(str(error).split())}; {remedy}') from None
        inputs, outputs = session.get_inputs(), session.get_outputs()
        shape = inputs[0].shape
        if (len(inputs) != 1 or inputs[0].type != 'tensor(float)' or len(shape) != 4
                or shape[:2] != [1, 3] or not all(isinstance(n, int) for n in shape)):
            raise ConfigError(f'{path}: its inputs are '
                              f'{", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)}; give '
                              'a graph of one float32 picture of a fixed size, 1x3xHxW')
        found = outputs[0] if output is None else next(
            (node for node in outputs if node.name == output), None)
        if found is None:
            raise ConfigError(f'{path}: has no output {output!r}, but '
                              f'{", ".join(node.name for node in outputs)}; name it so')
        return cls(digest, (shape[2], shape[3]), tuple(found.shape),
                   (inputs[0].name, found.name), session)

    def __call__(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W, 3) float32 of the graph's size -> its output, without the batch axis."""
        given = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
        found, = self.session.run([self.names[1]], {self.names[0]: given})
        return np.asarray(found[0], np.float32)


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixels of tiles that cover a length, evenly, with at least this share in common."""
    if length <= tile:
        return [0]
    steps = math.ceil((length - tile) / (tile * (1 - overlap)))
    return [round(i * (length - tile) / steps) for i in range(steps + 1)]


class SemanticTeacher:
    """
    A network of classes: input 1x3xHxW float32 RGB 0..255, output ``probs`` 1xCxHxW.

    :param classes: how many it has to have.
    """

    def __init__(self, path: Path, classes: int, threads: int | None = None) -> None:
        self.graph = Graph.load(path, 'probs', threads)
        if self.graph.output_shape != (1, classes, *self.graph.size):
            raise ConfigError(f'{path}: probs is {self.graph.output_shape}; give a network of '
                              f'{classes} classes, whose output has the size of its input')

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """
        (H, W, 3) uint8 RGB -> (H, W, C) float32 probabilities.

        A picture that is much wider than the network's is seen in tiles, which fade into each
        other.
        """
        height, width = image.shape[:2]
        tile = round(height * self.graph.size[1] / self.graph.size[0])
        if width <= _WIDER * tile:
            return self._seen(image)
        ramp = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + np.float32(1)
        total = np.zeros((height, width, self.graph.output_shape[1]), np.float32)
        weight = np.zeros((width, 1), np.float32)
        for left in tile_starts(width, tile, _TEACHER_OVERLAP):
            part = slice(left, left + tile)
            total[:, part] += self._seen(image[:, part]) * ramp[:, None]
            weight[part] += ramp[:, None]
        return np.asarray(total / weight)

    def _seen(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows, columns = self.graph.size
        how = cv2.INTER_AREA if image.shape[0] > rows else cv2.INTER_LINEAR
        given = cv2.resize(image, (columns, rows), interpolation=how).astype(np.float32)
        found = np.ascontiguousarray(self.graph(given).transpose(1, 2, 0))
        return np.asarray(cv2.resize(found, image.shape[1::-1]), np.float32)


class BoxDetector:
    """
    YOLOX (Ge et al. 2021) on COCO: input 1x3xSxS float32 BGR 0..255, output 1xNx85.

    Of each cell of the strides 8, 16 and 32: center (cells from its corner) and logarithms of
    width and height (strides), objectness, scores of 80 classes.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.graph = Graph.load(path, threads=threads)
        side = self.graph.size[0]
        cells = [side // stride for stride in _STRIDES]
        if self.graph.output_shape != (1, sum(n * n for n in cells), 85) or (
                self.graph.size[1] != side):
            raise ConfigError(f'{path}: its output is {self.graph.output_shape}; give a YOLOX of '
                              "COCO's 80 classes with a square input")
        self._cells = np.concatenate([
            np.stack([*(axis.ravel() for axis in np.meshgrid(np.arange(n), np.arange(n))),
                      np.full(n * n, stride)], -1)
            for n, stride in zip(cells, _STRIDES, strict=True)]).astype(np.float32)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """
        (H, W, 3) uint8 RGB -> (N, 6) float32 x0, y0, x1, y1 in px, score, class of COCO_CLASSES.

        Small pictures are enlarged; all are seen in tiles and once as a whole. Boxes that the
        edge of a tile cuts are those of another tile.
        """
        side = self.graph.size[0]
        enlarged = min(_MOST_ENLARGED, max(1.0, side / min(image.shape[:2])))
        if enlarged > 1:
            image = np.asarray(cv2.resize(image, None, fx=enlarged, fy=enlarged), np.uint8)
        height, width = image.shape[:2]
        tiles = [(x, y, side, 1.0) for y in tile_starts(height, side, _BOX_OVERLAP)
                 for x in tile_starts(width, side, _BOX_OVERLAP)]
        longest = max(height, width)
        # Of a strip that is narrower no row would be left.
        if side < longest < side * min(height, width):
            tiles.append((0, 0, longest, side / longest))
        found = []
        for x, y, length, scale in tiles:
            part = image[y:y + length, x:x + length]
            boxes = self._seen(part, scale)
            boxes[:, :4] += [x, y, x, y]
            first = np.array([x, y])
            end = first + part.shape[1::-1]
            cut = ((boxes[:, :2] < first + _CUT_PX) & (first > 0)) | (
                (boxes[:, 2:4] > end - _CUT_PX) & (end < (width, height)))
            found.append(boxes[~cut.any(1)])
        every = np.concatenate(found)
        every[:, :4] /= enlarged
        return _distinct(every)

    def _seen(self, part: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
        """Boxes of a part of a picture, in its px, which is reduced by ``scale``."""
        if scale < 1:
            part = np.asarray(cv2.resize(part, None, fx=scale, fy=scale,
                                         interpolation=cv2.INTER_AREA), np.uint8)
        given = np.full((*self.graph.size, 3), _PADDING, np.float32)
        given[:part.shape[0], :part.shape[1]] = part[..., ::-1]
        raw = self.graph(given)
        middle = (raw[:, :2] + self._cells[:, :2]) * self._cells[:, 2:]
        half = np.exp(raw[:, 2:4]) * self._cells[:, 2:] / 2
        scores = raw[:, 4] * raw[:, 5:].max(1)
        classes = raw[:, 5:].argmax(1)
        wanted = (scores > _LEAST_SCORE) & np.isin(classes, list(COCO_CLASSES))
        corners = np.concatenate([middle - half, middle + half], 1) / scale
        boxes: NDArray[np.float32] = np.column_stack([corners, scores, classes]).astype(np.float32)
        return np.asarray(boxes[wanted])


def _distinct(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of boxes of one class that are the same, that of the highest score."""
    kept = [boxes[:0]]
    for number in np.unique(boxes[:, 5]):
        of_class = boxes[boxes[:, 5] == number]
        corners = np.concatenate([of_class[:, :2], of_class[:, 2:4] - of_class[:, :2]], 1)
        chosen = cv2.dnn.NMSBoxes(corners.tolist(), of_class[:, 4].tolist(), _LEAST_SCORE,
                                  _SAME_BOX)
        kept.append(of_class[np.asarray(chosen, np.int64).ravel()])
    return np.concatenate(kept)
