"""Batches of evaluation and prediction: every picture whole, or also in tiles and mirrored.

A view is a window of a picture, mirrored or not, fitted into the network input. What is found
in a view is placed in the frame of its picture, the pixels that the whole picture has in the
network input; there, one suppression serves all views. The whole picture, not mirrored, is placed
by x * 1 + 0, so a picture that needs no other view is treated exactly as without any of this.

Shapes: B views of a batch · V views of a picture · H, W pixels of a picture · h, w pixels of the
network input · M boxes of a view. Boxes and windows are [ymin, xmin, ymax, xmax].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from edet.config.schema import DetectConfig, ModelConfig
from edet.image.decode import WHITE_LEVEL
from edet.image.letterbox import fit, letterbox
from edet.input.reading import (
    Tensors,
    decode_examples,
    image_name,
    ordered_options,
    read_file,
    replica_batch_size,
    without_autograph,
)
from edet.records.shards import check_not_empty

# A box that ends this close to where a tile was cut, in pixels of the network input, is taken for
# the visible part of a larger thing. On pictures put together of four of BCCD's, 0 and 2 gave the
# same AP, 4 and 8 less.
CUT_MARGIN = 2.0

Windows = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def make_windows(height: tf.Tensor, width: tf.Tensor, detect: DetectConfig) -> tf.Tensor:
    """Returns where the views of a picture lie: int32 [V, 5], the window's box and 1 if mirrored.

    The first is the whole picture. Tiles follow if the picture is larger than one; they are as
    large as `detect.tile` (or the picture's side, where that is smaller), evenly spread, cover
    every pixel, and share at least `detect.tile_overlap` with the next. With `detect.flip` all of
    them come once more, mirrored.

    Args:
      height, width: int32 scalars, pixels of the picture.
      detect: `tile`, `tile_overlap` and `flip` are used.
    """
    windows = tf.stack([0, 0, height, width])[None]
    if any(detect.tile):
        sides = [tf.minimum(detect.tile[0], height), tf.minimum(detect.tile[1], width)]
        tops = _starts(height, detect.tile[0], detect.tile_overlap)
        lefts = _starts(width, detect.tile[1], detect.tile_overlap)
        top, left = (tf.reshape(t, [-1]) for t in tf.meshgrid(tops, lefts, indexing="ij"))
        tiles = tf.stack([top, left, top + sides[0], left + sides[1]], axis=1)
        is_larger = (height > detect.tile[0]) | (width > detect.tile[1])
        windows = tf.concat([windows, tiles[: tf.where(is_larger, tf.size(top), 0)]], 0)
    plain = tf.pad(windows, [[0, 0], [0, 1]])
    mirrored = tf.pad(windows, [[0, 0], [0, 1]], constant_values=1)
    return tf.concat([plain, mirrored], 0) if detect.flip else plain


def _starts(length: tf.Tensor, tile: int, overlap: float) -> tf.Tensor:
    """Returns where tiles start along a side, at most `tile * (1 - overlap)` apart."""
    farthest = max(1, int(tile * (1 - overlap)))
    rest = tf.maximum(length - tile, 0)
    steps = (rest + farthest - 1) // farthest
    return tf.range(steps + 1) * rest // tf.maximum(steps, 1)


def cut_view(image: tf.Tensor, window: tf.Tensor, model: ModelConfig) -> Tensors:
    """Fits one window of a picture into the network input.

    A view is mirrored about the middle of what it shows. (The reference mirrors boxes about the
    middle of the padded input, which is right only for a picture of the input's shape.)

    Args:
      image: uint8 [H, W, 3], the picture.
      window: int32 [5], a row of `make_windows`.
      model: its input size, colour of the padding and `fit` are used.

    Returns:
      "images": float32 [h, w, 3] raw pixels.
      "image_scales": float32 [2], pixels of the frame / pixels of the picture, of y and x.
      "placements": float32 [4], for `place_boxes`.
      "limits": float32 [4], for `is_uncut`: the part of the frame whose boxes are whole.
    """
    size = tf.shape(image)[:2]
    frame_scales, _ = fit(size[0], size[1], tf.constant(model.image_size), model.fit)
    corners, is_mirrored = window[:4], window[4] == 1
    shown = image[corners[0] : corners[2], corners[1] : corners[3]]
    shown = tf.cond(is_mirrored, lambda: tf.reverse(shown, [1]), lambda: shown)
    pixels, scales, size_shown = letterbox(shown, model.image_size, model.pad_color, model.fit)
    factors = frame_scales / scales
    edges = tf.cast(corners, tf.float32) * tf.tile(frame_scales, [2])
    mirror = tf.where(is_mirrored, tf.cast(size_shown[1], tf.float32), 0.0)
    margins = CUT_MARGIN * factors
    return {
        "images": pixels,
        "image_scales": frame_scales,
        "placements": tf.concat(
            [
                tf.where([False, is_mirrored], -factors, factors),
                edges[:2] + tf.stack([0.0, mirror]) * factors,
            ],
            0,
        ),
        "limits": tf.concat(
            [
                tf.where(corners[:2] > 0, edges[:2] + margins, -float("inf")),
                tf.where(corners[2:] < size, edges[2:] - margins, float("inf")),
            ],
            0,
        ),
    }


def place_boxes(boxes: tf.Tensor, placements: tf.Tensor) -> tf.Tensor:
    """Moves boxes [B, M, 4] from the pixels of their view to the frame of their picture.

    Args:
      placements: float32 [B, 4], the factors of y and x and then their offsets. A negative factor
        mirrors; mirroring twice gives the same box again.
    """
    factors, offsets = tf.split(placements[:, None], 2, axis=-1)  # each [B, 1, 2]
    first, last = boxes[..., :2] * factors + offsets, boxes[..., 2:] * factors + offsets
    return tf.concat([tf.minimum(first, last), tf.maximum(first, last)], axis=-1)


def is_uncut(boxes: tf.Tensor, limits: tf.Tensor) -> tf.Tensor:
    """Returns bool [B, M]: the box does not end where its tile was cut out of the picture.

    Args:
      boxes: [B, M, 4] in the frame.
      limits: float32 [B, 4]; infinite at the edges of the picture.
    """
    limits = limits[:, None]
    inside = (boxes[..., :2] >= limits[..., :2]) & (boxes[..., 2:] <= limits[..., 2:])
    return tf.reduce_all(inside, axis=-1)


@without_autograph
def make_eval_dataset(
    model: ModelConfig,
    files: Sequence[str],
    batch_size: int,
    input_context: tf.distribute.InputContext | None = None,
    windows: Windows | None = None,
) -> tf.data.Dataset:
    """Makes one pass over the pictures of records, as `make_window_dataset`.

    Of n hosts each decodes every n-th picture, so that each is decoded once in all. Ground truth
    does not pass through here: it is never truncated, and stays on the host
    (`ground_truth.read_ground_truth`, same running numbers).

    Args:
      model: its input size and colour of the padding are used.
      files: TFRecord shards, in a fixed order.
      batch_size: windows of a step over all replicas.
      input_context: as `Strategy.distribute_datasets_from_function` gives it.
      windows: see `make_window_dataset`.

    Raises:
      UserError: no records, or a batch size that the replicas cannot share.
      tf.errors.InvalidArgumentError: while iterating, for an image that cannot be decoded; its
        message names the image.
    """
    context = input_context or tf.distribute.InputContext()
    check_not_empty(files)
    pictures = read_pictures(files, context, model.white_level)
    return make_window_dataset(pictures, model, batch_size, context, windows)


@without_autograph
def make_window_dataset(
    pictures: tf.data.Dataset,
    model: ModelConfig,
    batch_size: int,
    input_context: tf.distribute.InputContext | None = None,
    windows: Windows | None = None,
) -> tf.data.Dataset:
    """Makes batches of the windows of pictures, in order; a whole picture is one window.

    Args:
      pictures: this host's, dicts of "image" uint8 [H, W, 3] and "image_index" int32.
      model: its input size and colour of the padding are used.
      batch_size: windows of a step over all replicas, divisible by their number.
      input_context: as `Strategy.distribute_datasets_from_function` gives it. The last step is
        filled up; one of several hosts goes on filling for ever, because others may have more
        windows: a step of nothing else is the end of all. Without a context the batches are those
        of one replica, and the last may be smaller.
      windows: gives those of a picture by its height and width, as `make_windows`; by default the
        whole picture is the only one.

    Returns:
      A dataset of dicts of what `cut_view` returns, B windows of one replica in each, and
      "num_views" int32 [B], V of the picture, and "image_index" int32 [B], -1 in what fills up.

    Raises:
      UserError: a batch size that the replicas cannot share.
    """

    def whole(picture: Tensors) -> Tensors:
        window = tf.concat([[0, 0], tf.shape(picture["image"])[:2], [0]], 0)
        return {**picture, "num_views": 1, "window": window}

    def several(picture: Tensors) -> tf.data.Dataset:
        size = tf.shape(picture["image"])
        all_windows = windows(size[0], size[1])
        picture = {**picture, "num_views": tf.shape(all_windows)[0]}
        # The picture is passed on, not copied.
        one_each = tf.data.Dataset.from_tensor_slices(all_windows)
        return one_each.map(lambda window: {**picture, "window": window})

    def cut(view: Tensors) -> Tensors:
        counted = {name: view[name] for name in ("image_index", "num_views")}
        return {**cut_view(view["image"], view["window"], model), **counted}

    views = pictures.flat_map(several) if windows else pictures.map(whole)
    views = views.map(cut, num_parallel_calls=tf.data.AUTOTUNE)
    if input_context is None:
        batches = views.batch(batch_size)
    else:
        blank = {"image": tf.zeros([1, 1, 3], tf.uint8), "window": tf.constant([0, 0, 1, 1, 0])}
        filler = tf.data.Dataset.from_tensors({**blank, "image_index": -1, "num_views": 1})
        batches = _full_steps(views, filler.map(cut).cache(), batch_size, input_context)
    return batches.prefetch(2).with_options(ordered_options())


def _full_steps(
    views: tf.data.Dataset,
    filler: tf.data.Dataset,
    batch_size: int,
    context: tf.distribute.InputContext,
) -> tf.data.Dataset:
    """Batches one host's views for its replicas, filled up to whole steps, or for ever."""
    own = replica_batch_size(batch_size, context)
    if context.num_input_pipelines > 1:
        # Told that no batch can be the last, workers need not agree on it before every step.
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return views.concatenate(filler.repeat()).batch(own, drop_remainder=True).apply(endless)
    steps = views.concatenate(filler.repeat(batch_size - 1)).batch(batch_size, drop_remainder=True)
    return steps if own == batch_size else steps.rebatch(own, drop_remainder=True)


@without_autograph
def read_pictures(
    files: Sequence[str], input_context: tf.distribute.InputContext,
    white_level: int = WHITE_LEVEL,
) -> tf.data.Dataset:  # fmt: skip
    """Reads one host's pictures of records as `make_window_dataset` takes them.

    They are numbered over all files and hosts; of n hosts each decodes every n-th. Raises as
    `decode_pictures`.
    """
    records = tf.data.Dataset.range(len(files)).flat_map(lambda number: read_file(files, number))
    numbered = records.enumerate().map(
        lambda index, record: {**record, "image_index": tf.cast(index, tf.int32)}
    )
    own = numbered.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
    return decode_pictures(own, files, white_level)


def decode_pictures(
    records: tf.data.Dataset, files: Sequence[str], white_level: int = WHITE_LEVEL
) -> tf.data.Dataset:
    """Decodes records of `read_file` with an "image_index" as `make_window_dataset` takes them.

    Raises:
      tf.errors.InvalidArgumentError: while iterating, for an image that cannot be decoded; its
        message names the image.
    """

    def checked(example: Tensors) -> Tensors:
        sentence = tf.strings.join([image_name(example, files), " cannot be decoded"])
        with tf.control_dependencies([tf.debugging.Assert(example["is_decoded"], [sentence])]):
            return {"image": tf.identity(example["image"]), "image_index": example["image_index"]}

    return decode_examples(records, files, False, white_level=white_level).map(checked)
