"""Scenes of drawn shapes with exact boxes and masks: data for the demo and the tests, from a seed.

Three classes - disc, square, triangle - of any turn and size lie on a clouded, noisy ground, cover
one another and run over the border. Colour hints at the class, for each has its own part of the
colour circle; where two parts overlap the shape decides. One scene in ten is empty.

Shapes: H = W = size of the scene, n boxes.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from edet.config.labels import BACKGROUND
from edet.errors import UserError
from edet.records.masks import encode_mask
from edet.records.schema import Example, Mask
from edet.records.sources.example_set import Tally

LABELS = {1: "disc", 2: "square", 3: "triangle"}
MASK_LABELS = {0: BACKGROUND} | LABELS
_VERSION = 3  # of the drawing; a new one makes old records out of date
_NORMALS = {2: 4, 3: 3}  # edges of the square and the triangle
_HUES = 0.2  # half of a class's part of the colour circle; a sixth would not overlap
_MIN_VISIBLE = 0.5  # share of a shape that must be seen


def make_scene(seed: int | Sequence[int], size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws one scene.

    Args:
      seed: a number, or several; the same seed and size always give the same scene.
      size: height and width in pixels, at least 32.

    Returns:
      image: [H, W, 3] uint8.
      boxes: [n, 4] float32, yxyx in pixels, tight to the visible pixels of each shape.
      class_ids: [n] int64, keys of LABELS.
    """
    image, owners, class_ids = draw_scene(seed, size)
    return image, _boxes(owners, len(class_ids)), np.array(class_ids, np.int64)


def make_mask(owners: np.ndarray, class_ids: Sequence[int]) -> np.ndarray:
    """Returns the mask of a scene of `draw_scene`, [H, W] uint8, keys of MASK_LABELS."""
    return np.array([0, *class_ids], np.uint8)[owners + 1]


def _boxes(owners: np.ndarray, count: int) -> np.ndarray:
    boxes = [_tight_box(owners == index) for index in range(count)]
    return np.array(boxes, np.float32).reshape(-1, 4)


def draw_scene(seed: int | Sequence[int], size: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Returns the image, which shape each pixel shows ([H, W] int, -1 the ground), and the classes.

    Every shape in the map is seen by at least half of its area.
    """
    rng = np.random.default_rng(seed)
    image = _ground(rng, size)
    owners = np.full((size, size), -1)
    full: list[int] = []  # pixels of each shape if nothing hid it
    class_ids: list[int] = []
    wanted = 0 if rng.random() < 0.1 else rng.integers(1, 7)
    for _ in range(4 * wanted):  # A place that hides too much is given up; four tries a shape.
        if len(class_ids) == wanted:
            break
        class_id = int(rng.integers(1, 4))
        coverage, area = _shape(rng, size, class_id)
        colour = _shape_colour(rng, class_id)
        mask = coverage > 0.5
        after = np.where(mask, len(class_ids), owners)
        seen = np.bincount(after[after >= 0], minlength=len(class_ids) + 1)
        if (seen < _MIN_VISIBLE * np.array([*full, area])).any():
            continue
        image += coverage[:, :, None] * (colour - image)
        owners = after
        full.append(area)
        class_ids.append(class_id)
    image += rng.normal(0, rng.uniform(2, 10), image.shape)  # the noise of a camera
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), owners, class_ids


def _ground(rng: np.random.Generator, size: int) -> np.ndarray:
    """Clouds of muted colours, [H, W, 3] float: bright and dark patches with a little hue."""
    cells = int(rng.integers(3, 9))
    light = rng.normal(rng.uniform(60, 190), 30, (cells, cells, 1))
    small = light + rng.normal(0, 14, (cells, cells, 3))
    channels = [
        Image.fromarray(channel).resize((size, size), Image.Resampling.BICUBIC)
        for channel in small.transpose(2, 0, 1).astype(np.float32)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def _shape(rng: np.random.Generator, size: int, class_id: int) -> tuple[np.ndarray, int]:
    """Returns how much of each pixel [H, W] a shape covers, and its pixels if all were seen."""
    side = size * np.exp(rng.uniform(np.log(0.12), np.log(0.5)))
    centre = rng.uniform(0.08 * size, 0.92 * size, 2)
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size] + 0.5 - centre[:, None, None]
    if class_id == 1:
        radius = side / 2
        distance, area = np.hypot(y, x) - radius, np.pi * radius**2
    else:
        # A regular polygon: the largest distance to the lines of its edges.
        edges = _NORMALS[class_id]
        radius = side / 2 if edges == 4 else side / 3
        angles = turn + 2 * np.pi * np.arange(edges) / edges
        lines = [np.cos(angle) * y + np.sin(angle) * x for angle in angles]
        distance = np.max(lines, axis=0) - radius
        area = edges * np.tan(np.pi / edges) * radius**2
    return np.clip(0.5 - distance, 0, 1), int(area)


def _shape_colour(rng: np.random.Generator, class_id: int) -> np.ndarray:
    """A saturated colour, [3] in 0-255: the ground is muted."""
    hue = (class_id / len(LABELS) + rng.uniform(-_HUES, _HUES)) % 1
    hsv = hue, rng.uniform(0.65, 1), rng.uniform(0.6, 1)
    return 255 * np.array(colorsys.hsv_to_rgb(*hsv))


def _tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The yxyx box of the true pixels; the last row and column are inside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


class SyntheticSet:
    """A Source of scenes that are drawn while they are written.

    Args:
      num_images: scenes.
      size: height and width in pixels.
      seed: scene i has the seed (seed, i), so sets of different seeds share none.
    """

    labels, mask_labels = LABELS, MASK_LABELS

    def __init__(self, num_images: int, size: int = 128, seed: int = 0):
        if num_images < 1:
            raise UserError(f"--num_images is {num_images}; give at least 1.")
        if size < 32:
            raise UserError(f"--image_size is {size}; scenes need at least 32 pixels.")
        if seed < 0:
            raise UserError(f"--seed is {seed}; give 0 or more.")
        self.tally = Tally()
        self._num_images, self._size, self._seed = num_images, size, seed

    def __len__(self) -> int:
        return self._num_images

    def num_bytes(self) -> int:
        """About half a byte a pixel, as JPEG."""
        return self._num_images * self._size**2 // 2

    def shard(self, index: int, num_shards: int) -> Iterator[Example]:
        """Draws every num_shards-th scene from `index` on."""
        for number in range(index, self._num_images, num_shards):
            image, owners, class_ids = draw_scene((self._seed, number), self._size)
            file = io.BytesIO()
            Image.fromarray(image).save(file, "jpeg", quality=95)
            yield Example(
                image=file.getvalue(),
                source_id=f"{self._seed}-{number}",
                boxes=_boxes(owners, len(class_ids)),
                class_ids=class_ids,
                filename=f"{number:06d}.jpg",
                mask=Mask(encode_mask(make_mask(owners, class_ids))),
            )

    def fingerprint(self, index: int, num_shards: int) -> str:
        """The settings say all; the drawing is deterministic."""
        settings = (_VERSION, self._num_images, self._size, self._seed, index, num_shards)
        return f"synthetic {settings}"
