"""TFRecord shards -> training batches on the host: shuffle, decode, augment, pad.

What a training batch is depends on the configuration, the number of hosts and the step alone: the
order of a host is a function of (seed, epoch), the augmentation of (seed, epoch, place in the
epoch). So a run that is resumed goes on with the batches that the broken one would have seen,
whatever the threads do. On another number of hosts the files are shared out anew: some images of
the epoch under way come again, others wait for the next.

Shapes: B images of a batch · h, w pixels of the network input · N padded boxes.
Boxes are [ymin, xmin, ymax, xmax].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from edet.config.labels import class_ids, mask_labels_of
from edet.config.schema import Config
from edet.errors import UserError
from edet.image.letterbox import pad_bottom_right, resize
from edet.input import augment, color, mosaic
from edet.input.masks import index_mask, place_mask
from edet.input.reading import (
    Tensors,
    decode_examples,
    image_name,
    ordered_options,
    read_file,
    replica_batch_size,
    without_autograph,
)
from edet.records.shards import RecordSet, check_not_empty

_FILES_AT_ONCE = 16  # shards read side by side


@without_autograph
def make_train_dataset(
    config: Config,
    records: RecordSet | Sequence[str],
    input_context: tf.distribute.InputContext | None = None,
    skip_steps: int = 0,
    total_steps: int | None = None,
) -> tf.data.Dataset:
    """Makes the endless stream of training batches of one host.

    Epochs follow each other without a gap; a batch may lie across two. An image that cannot be
    decoded is named on stderr and its place is taken by another image of its batch (by an image
    of the mean colour without boxes if there is none), so that the steps of an epoch stay the
    same. An unknown class id, a record of another schema and a damaged file end the iteration;
    `edet.input.reading.user_errors` puts those in words.

    Args:
      config: `data.batch_size` is global; `train.seed` decides the order and the augmentation.
      records: TFRecord shards in a fixed order, as `check_records` has found them; paths are
        counted here.
      input_context: as `Strategy.distribute_datasets_from_function` gives it. Each of n hosts
        reads files of its own if n divides their number, otherwise every n-th record of each.
      skip_steps: steps that an earlier run has done. Whole epochs are leapt over; records of the
        last one are read but not decoded.
      total_steps: of the run, the last of which are without mosaics (`augment.mosaic_off`); None:
        none of them.

    Returns:
      A dataset of dicts, B images of one replica in each:
        "images": uint8 [B, h, w, 3] raw pixels; `normalize_images` belongs on the device.
          Rounding moves a pixel by at most 0.5 of 255, in the padding too: the mean colour
          becomes at most 0.009 instead of 0.
        "gt_boxes": float32 [B, N, 4] in pixels of the network input, padded with 0.
        "gt_classes": int32 [B, N] class indices, padded with -1.
        "image_ids": int64 [B]; `edet.input.ground_truth.describe_images` names them. Of a mosaic
          it is the first of its four images; the others are of the same step and host.
        "num_dropped_boxes": int32 [B], boxes beyond N, in a mosaic or in one of its images.
        "gt_masks": uint8 [B, h, w] indices of the segmentation's logits, 255 where the pixel does
          not count: of a network that segments. One that does nothing else has no boxes.
        "is_replaced": bool [B], true where the image stands in for an undecodable one.

    Raises:
      UserError: no records or none for this host, or a batch size that the replicas cannot share
        or that is too small for mosaics.
    """
    host = _Host.of(RecordSet.of(records), config.data.batch_size, input_context)
    if config.augment.mosaic:
        mosaic.check_enough(host.images_per_step, host.num_hosts)
    first_epoch, skipped_records = divmod(skip_steps * host.images_per_step, host.count())
    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    serialized = epochs.flat_map(lambda epoch: _shuffled_epoch(host, epoch, config))
    examples = _augmented(serialized.skip(skipped_records), host, config)
    batches = _batched(examples, host, config, skip_steps, total_steps)
    # Told that no batch can be the last, several workers need not agree on it before every step.
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    options = ordered_options()
    options.experimental_warm_start = True  # the first batch is made while the step is built
    return batches.apply(endless).prefetch(tf.data.AUTOTUNE).with_options(options)


class _Host(NamedTuple):
    """The part of the records that one host reads, and how it batches them."""

    index: int  # of this host
    num_hosts: int
    records: RecordSet  # of all hosts
    batch_size: int  # images of one replica
    images_per_step: int  # images that all replicas of this host take in one step

    @classmethod
    def of(
        cls, records: RecordSet, batch_size: int, context: tf.distribute.InputContext | None
    ) -> _Host:
        """Returns the part of the host of `context`; `batch_size` is that of all replicas.

        Raises:
          UserError: it has no records; the endless stream would wait for one for ever.
        """
        context = context or tf.distribute.InputContext()
        own = replica_batch_size(batch_size, context)
        check_not_empty(records.files)
        host = cls(
            index=context.input_pipeline_id,
            num_hosts=context.num_input_pipelines,
            records=records,
            batch_size=own,
            images_per_step=batch_size // context.num_input_pipelines,
        )
        if not host.count():
            raise UserError(
                f"host {host.index} of {host.num_hosts} gets no records of {len(records.files)} "
                f"files ({records.files[0]}, ...); write a number of shards that {host.num_hosts} "
                "divides, with records in each."
            )
        return host

    @property
    def has_own_files(self) -> bool:
        """Whether hosts read different files; otherwise they share out the records of each.

        Unequal numbers of files would show the images of some hosts more often than others.
        """
        return len(self.records.files) % self.num_hosts == 0

    @property
    def file_numbers(self) -> list[int]:
        """The files that this host reads."""
        numbers = list(range(len(self.records.files)))
        return numbers[self.index :: self.num_hosts] if self.has_own_files else numbers

    def read_file(self, number: tf.Tensor) -> tf.data.Dataset:
        """Reads this host's records of one file."""
        records = read_file(self.records.files, number)
        return records if self.has_own_files else records.shard(self.num_hosts, self.index)

    def count(self) -> int:
        """Returns the number of records that this host reads in an epoch."""
        counts = self.records.counts
        if self.has_own_files:
            return sum(counts[number] for number in self.file_numbers)
        return sum(len(range(self.index, count, self.num_hosts)) for count in counts)


def _augmented(serialized: tf.data.Dataset, host: _Host, config: Config) -> tf.data.Dataset:
    """Decodes records with their draws and makes examples of a fixed shape."""
    model, files = config.model, host.records.files
    masks = "none"
    if model.segments:
        masks = "optional" if model.detects else "required"
    examples = decode_examples(serialized, files, True, masks, model.white_level, model.fit)
    return examples.map(
        lambda example: _training_example(example, config, files),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _batched(
    examples: tf.data.Dataset, host: _Host, config: Config, first_step: int, total_steps: int | None
) -> tf.data.Dataset:
    """Batches augmented examples, with mosaics among them and none that cannot be decoded."""
    # Mosaics are of a whole step, so that they do not depend on the number of replicas.
    size = host.images_per_step if config.augment.mosaic else host.batch_size
    batches = examples.batch(size, drop_remainder=True, num_parallel_calls=tf.data.AUTOTUNE).map(
        _replace_undecodable
    )
    if config.augment.mosaic:
        batches = mosaic.with_mosaics(
            batches, config, first_step, total_steps, (host.index, host.num_hosts)
        )
    if size != host.batch_size:
        batches = batches.rebatch(host.batch_size, drop_remainder=True)
    return batches


def _shuffled_epoch(host: _Host, epoch: tf.Tensor, config: Config) -> tf.data.Dataset:
    """Reads the host's records once, in an order that follows from (seed, epoch)."""
    # Holds inside this function's graph: the process-wide seed must not change the order.
    # TensorFlow compares seeds in Python where this one is 0, which a tensor does not allow.
    tf.random.set_seed(1 + config.train.seed % 2**30)
    numbers = tf.data.Dataset.from_tensor_slices(tf.constant(host.file_numbers, tf.int64))
    numbers = numbers.shuffle(len(host.file_numbers), epoch, reshuffle_each_iteration=False)
    records = numbers.interleave(
        host.read_file, cycle_length=_FILES_AT_ONCE, num_parallel_calls=tf.data.AUTOTUNE
    )
    records = records.shuffle(config.data.shuffle_buffer, epoch, reshuffle_each_iteration=False)

    def add_draws(place: tf.Tensor, record: Tensors) -> Tensors:
        """Adds the random numbers of the image at a place of this host's epoch, int64 []."""
        # Two numbers of 64 bits that no other image of any host and epoch has.
        low, high = config.train.seed, epoch * 2**40 + place * host.num_hosts + host.index
        seed = tf.stack([low, high])
        draws = augment.draw(seed, config.augment)
        record = {**record, "draws": draws}
        if config.augment.changes_colors:
            record["color_matrix"] = color.draw_matrix(seed, config.augment)
        if config.data.scaled_decode:
            record["target"] = augment.target_size(draws, config.model.image_size)
        return record

    return records.enumerate().map(add_draws)


def _training_example(example: Tensors, config: Config, files: Sequence[str]) -> Tensors:
    """Augments one decoded example and brings it to a fixed shape."""
    model = config.model
    image_size = tf.shape(example["image"])[:2]
    geometry = augment.make_geometry(example["draws"], image_size, model.image_size, model.fit)
    # An image that could not be decoded becomes nothing but padding.
    rows = tf.where(example["is_decoded"], geometry.size[0], 0)
    image = resize(augment.cut(example["image"], geometry), geometry.size)
    if config.augment.changes_colors:
        image = color.recolor(image, example["color_matrix"])
    image = tf.cast(tf.round(image[:rows]), tf.uint8)
    batch = {
        "images": pad_bottom_right(image, model.image_size, model.pad_color),
        "image_ids": example["image_id"],
        "num_dropped_boxes": tf.constant(0),
        "is_replaced": ~example["is_decoded"],
    }
    if config.augment.mosaic:
        batch["shown_size"] = geometry.size
    if model.detects:
        batch |= _boxes(example, geometry, config, lambda: image_name(example, files))
    if model.segments:
        mask = place_mask(example["mask"], image_size, geometry, model.image_size)
        values = list(mask_labels_of(model))
        batch["gt_masks"] = index_mask(mask, values, lambda: image_name(example, files))
    return batch


def _boxes(
    example: Tensors, geometry: augment.Geometry, config: Config,
    name_image: Callable[[], tf.Tensor],
) -> Tensors:  # fmt: skip
    """Moves the boxes of one example with its pixels, and leaves out those that do not count."""
    size, image_size = config.model.image_size, tf.shape(example["image"])[:2]
    whole = augment.move_boxes(example["boxes"], image_size, geometry)
    boxes, is_kept = augment.clip_boxes(whole, size, config.augment.min_visible)
    is_kept &= example["is_decoded"]
    if config.data.skip_crowd:
        is_kept &= ~example["is_crowd"]
    known_ids = class_ids(config.model)
    classes = augment.class_indices(example["class_ids"], known_ids, name_image)
    classes, count = tf.boolean_mask(classes, is_kept), config.data.max_boxes

    def padded(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return augment.pad_ground_truth(tf.boolean_mask(boxes, is_kept), classes, count)

    # A mosaic cuts once more, and what is visible is a share of the whole box.
    whole_boxes = {"whole_boxes": padded(whole)[0]} if config.augment.mosaic else {}
    boxes, classes, num_dropped = padded(boxes)
    truth = {"gt_boxes": boxes, "gt_classes": classes, "num_dropped_boxes": num_dropped}
    return truth | whole_boxes


def _replace_undecodable(batch: Tensors) -> Tensors:
    """Puts another image of the batch in the place of each one that could not be decoded."""
    is_bad = batch["is_replaced"]
    places = tf.range(tf.size(is_bad))
    rows = tf.where(is_bad, tf.argmin(tf.cast(is_bad, tf.int32), output_type=tf.int32), places)
    replaced = tf.cond(
        tf.reduce_any(is_bad),
        lambda: {key: tf.gather(value, rows) for key, value in batch.items()},
        lambda: batch,
    )
    return {**replaced, "is_replaced": is_bad}
