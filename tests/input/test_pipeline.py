"""Batches: what is in them, in which order, and what happens to bad records."""

import functools
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet.config import schema
from edet.errors import StorageError, UserError
from edet.image.decode import decode_image
from edet.image.letterbox import letterbox, normalize_images
from edet.input import pipeline, reading
from edet.input.pipeline import make_train_dataset
from edet.input.reading import user_errors
from edet.input.windows import make_eval_dataset, make_windows
from edet.records.schema import Example, encode_example, parse_example
from tests.pictures import encoded
from tests.records.small_records import UNKNOWN_FIELD

LABELS = {1: "one", 3: "three"}


def config(size=32, batch_size=4, seed=0, max_boxes=5, shuffle_buffer=4, **augment):
    return schema.replace(
        schema.Config(),
        model={"image_size": size, "num_classes": len(LABELS), "labels": LABELS},
        data={
            "batch_size": batch_size,
            "max_boxes": max_boxes,
            "shuffle_buffer": shuffle_buffer,
        },
        augment=augment,
        train={"seed": seed},
    )


def still(**others):
    """A configuration that augments nothing."""
    return config(horizontal_flip=False, jitter_min=1.0, jitter_max=1.0, **others)


def png(height, width, value):
    return encoded(np.full((height, width, 3), value, np.uint8))


def record(number, image=None, class_ids=(1, 3), size=(24, 32), **others):
    """An image filled with its number; its k-th box is 10 pixels wide and lies at x = 2 k."""
    boxes = [[4, 2 * k, 12, 2 * k + 10] for k in range(len(class_ids))]
    example = Example(
        image=png(*size, number) if image is None else image,
        source_id=f"photo-{number}",
        boxes=np.array(boxes, np.float32),
        class_ids=np.array(class_ids),
        height=size[0],
        width=size[1],
        **others,
    )
    return encode_example(example, LABELS)


def write(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for serialized in records:
            writer.write(serialized)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three shards of 5, 4 and 4 records, 13 images in all."""
    folder = tmp_path_factory.mktemp("records")
    shards = [range(5), range(5, 9), range(9, 13)]
    return [
        write(folder / f"{i}.tfrecord", [record(10 * (n + 1)) for n in numbers])
        for i, numbers in enumerate(shards)
    ]


def batches(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def ids(batch_list):
    return np.concatenate([batch["image_ids"] for batch in batch_list]).tolist()


def assert_same(first, second):
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def context(host, hosts, replicas=None):
    return tf.distribute.InputContext(hosts, host, replicas or hosts)


@pytest.fixture(scope="module")
def dataset(files):
    return make_train_dataset(config(), files)


@pytest.fixture(scope="module")
def stream(dataset):
    """13 batches of 4: four epochs of 13 images."""
    return batches(dataset, 13)


def test_a_training_batch_has_the_documented_shapes_and_types(dataset):
    spec = {k: (s.shape.as_list(), s.dtype.name) for k, s in dataset.element_spec.items()}
    assert spec == {
        "images": ([4, 32, 32, 3], "uint8"),
        "gt_boxes": ([4, 5, 4], "float32"),
        "gt_classes": ([4, 5], "int32"),
        "image_ids": ([4], "int64"),
        "num_dropped_boxes": ([4], "int32"),
        "is_replaced": ([4], "bool"),
    }


def test_boxes_and_classes_of_a_batch_worked_out_by_hand(tmp_path):
    crowd = {"is_crowd": np.array([False, True, False])}
    file = write(
        tmp_path / "a", [record(50, class_ids=(3, 1, 1), **crowd), record(60, class_ids=())]
    )
    (batch,) = batches(make_train_dataset(still(size=64, batch_size=2), [file]), 1)
    with_boxes = int(np.argmax(batch["image_ids"] == 0))
    # 24 x 32 becomes 48 x 64: twice. The crowd box, the second, is left out.
    np.testing.assert_allclose(
        batch["gt_boxes"][with_boxes],
        [[8, 0, 24, 20], [8, 8, 24, 28], *[[0, 0, 0, 0]] * 3],
        atol=1e-5,
    )
    np.testing.assert_array_equal(batch["gt_classes"][with_boxes], [1, 0, -1, -1, -1])
    assert (batch["images"][with_boxes][:48] == 50).all()
    assert (batch["images"][with_boxes][48:] == [124, 116, 104]).all()  # mean colour, rounded
    # An image without boxes is an example too.
    assert not batch["gt_boxes"][1 - with_boxes].any()
    np.testing.assert_array_equal(batch["gt_classes"][1 - with_boxes], [-1] * 5)


def test_boxes_beyond_max_boxes_are_left_out_and_counted(tmp_path, pngs):
    file = write(tmp_path / "a", [record(9, class_ids=(1,) * 5 + (3,) * 2)])
    (batch,) = batches(make_train_dataset(still(batch_size=1), [file]), 1)
    np.testing.assert_array_equal(batch["gt_classes"], [[0] * 5])
    np.testing.assert_array_equal(batch["num_dropped_boxes"], [2])


def test_an_epoch_holds_every_image_once_in_a_new_order(stream):
    epochs = np.reshape(ids(stream), [4, 13]).tolist()
    expected = sorted(f * 2**32 + n for f, shard in enumerate((5, 4, 4)) for n in range(shard))
    assert all(sorted(epoch) == expected for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_seed_alone_decides_order_and_augmentation(files, stream, monkeypatch):
    tf.random.set_seed(1234)  # of the process; it must not matter
    monkeypatch.setattr(reading, "_DECODED_AT_ONCE", 7)
    one_thread = tf.data.Options()
    one_thread.threading.private_threadpool_size = 1
    one_thread.autotune.enabled = False
    again = make_train_dataset(config(), files).with_options(one_thread)
    assert_same(stream[:8], batches(again, 8))
    assert_same(stream[:8], batches(again, 8))  # a second pass over the same dataset
    other = batches(make_train_dataset(config(seed=1), files), 8)
    assert ids(stream[:8]) != ids(other)


def test_an_image_is_augmented_anew_in_every_epoch(stream):
    seen = [
        (image_id, boxes.tobytes())
        for batch in stream
        for image_id, boxes in zip(batch["image_ids"], batch["gt_boxes"], strict=True)
        if boxes.any()  # not all cropped away
    ]
    # Pictures this small have about a hundred sizes and places, so that a few may be alike.
    assert len(set(seen)) > 3 * 13


@pytest.mark.parametrize("skip_steps", [1, 9])
def test_skipping_steps_equals_running_them(files, stream, skip_steps, pngs):
    # 13 images in batches of 4: step 9 begins with the last but three of the third epoch.
    resumed = make_train_dataset(config(), files, skip_steps=skip_steps)
    assert_same(stream[skip_steps : skip_steps + 4], batches(resumed, 4))


@pytest.fixture
def pngs(monkeypatch):
    """Pictures are decoded by one operation: to trace what tells all kinds apart takes a second."""

    def decode(example, *_):
        gone = ("encoded", "target")
        others = {name: value for name, value in example.items() if name not in gone}
        return others | {"image": tf.io.decode_png(example["encoded"], 3), "is_decoded": True}

    monkeypatch.setattr(reading, "decode_parsed", decode)


@pytest.fixture
def unread(monkeypatch):
    """Batches hold the numbers that pictures would be augmented by, in place of the pictures."""

    def drawn(record):
        known = {"image_ids": record["image_id"], "is_replaced": False}
        return known | record["draws"]._asdict()

    monkeypatch.setattr(pipeline, "_augmented", lambda records, *_: records.map(drawn))


@pytest.mark.parametrize(
    ("num_files", "counts"),
    [
        (3, [5, 4, 4]),  # a file for each host
        (2, [5, 4]),
        (3, [7, 6]),  # the records of each file are shared: 3 + 2 + 2 and 2 + 2 + 2
        (1, [2, 2, 1]),  # fewer files than hosts
        (3, [3, 3, 3, 3, 1]),
    ],
)
def test_hosts_share_out_an_epoch(files, num_files, counts, unread):
    seen, hosts, files = [], len(counts), files[:num_files]
    for host, count in enumerate(counts):
        share = make_train_dataset(config(batch_size=hosts), files, context(host, hosts))
        seen.append(ids(batches(share, 2 * count)))
        assert sorted(seen[host][:count]) == sorted(seen[host][count:])
    every = [i for images in seen for i in set(images)]
    assert len(every) == len(set(every)) == sum(counts) == sum((5, 4, 4)[:num_files])


def test_a_host_without_records_is_an_error_and_not_an_endless_wait(files, unread):
    make_train_dataset(config(batch_size=8), files, context(4, 8))  # has the first file's fifth
    with pytest.raises(UserError, match="host 5 of 8 gets no records of 3 files .* 8 divides"):
        make_train_dataset(config(batch_size=8), files, context(5, 8))


COLORS = {"hue": 0.1, "saturation": 0.5, "brightness": 0.4}


def still_with(batch_size=4, **augment):
    return schema.replace(still(batch_size=batch_size), augment=augment)


@pytest.fixture(scope="module")
def plain(files):
    """Ten steps of 4 images in which nothing is augmented."""
    return batches(make_train_dataset(still(), files), 10)


@pytest.fixture(scope="module")
def mosaics(files):
    """The same ten steps, all of them mosaics but in the last two."""
    settings = still_with(mosaic=1.0, mosaic_off=0.2)
    return batches(make_train_dataset(settings, files, total_steps=10), 10)


def test_colours_change_within_their_settings_and_leave_boxes_and_padding(files, plain, pngs):
    found = batches(make_train_dataset(still_with(**COLORS), files), 4)
    factors = []
    for one, other in zip(plain, found, strict=False):
        assert_same([{**other, "images": 0}], [{**one, "images": 0}])
        # Each image is a grey of its own: one factor for all of it, and none for the padding.
        np.testing.assert_array_equal(other["images"][:, 24:], one["images"][:, 24:])
        shown = other["images"][:, :24].reshape(4, -1)
        assert (shown.max(1) - shown.min(1) <= 1).all()
        factors += list(shown[:, 0] / one["images"][:, 0, 0, 0])
    assert 0.55 < min(factors) < 0.8 and 1.2 < max(factors) < 1.45


def test_a_mosaic_shows_its_image_and_the_next_three_of_the_step(plain, mosaics):
    """Images of constant values, 10 (n + 1) of the n-th record, fitted into 24 of 32 rows."""
    padding = 124
    for one, other in zip(plain[:8], mosaics[:8], strict=True):
        np.testing.assert_array_equal(one["image_ids"], other["image_ids"])
        values = one["images"][:, 0, 0, 0]
        for k, image in enumerate(other["images"][..., 0]):
            seen = [image[0, 0], image[0, -1], image[-1, 0], image[-1, -1]]
            expected = np.roll(values, -k)
            assert all(s in (e, padding) for s, e in zip(seen, expected, strict=True))
            assert set(image.flat) <= {*values, padding}
            assert {*expected[:2]} <= set(image.flat)
    for name in ("images", "gt_boxes", "gt_classes", "num_dropped_boxes"):
        assert all(a[name].shape == b[name].shape for a, b in zip(plain, mosaics, strict=True))
    assert_same(plain[8:], mosaics[8:])  # the last two tenths


def test_skipping_steps_with_mosaics_and_colours_equals_running_them(files, pngs):
    settings = schema.replace(config(), augment={"mosaic": 0.5, "mosaic_off": 0.2, **COLORS})
    whole = batches(make_train_dataset(settings, files, total_steps=10), 10)
    resumed = make_train_dataset(settings, files, skip_steps=5, total_steps=10)
    assert_same(whole[5:], batches(resumed, 5))


def test_replicas_of_one_host_share_the_mosaics_of_one_replica(files, mosaics, pngs):
    quarters = make_train_dataset(still_with(mosaic=1.0), files, context(0, 1, replicas=4))
    quarters = batches(quarters, 8)
    for key in mosaics[0]:
        joined = [np.concatenate([q[key] for q in quarters[i : i + 4]]) for i in (0, 4)]
        np.testing.assert_array_equal(joined, [m[key] for m in mosaics[:2]], err_msg=key)


def test_mosaics_need_four_images_of_a_host(files):
    settings = still_with(mosaic=0.5, batch_size=6)
    with pytest.raises(UserError, match="each of 2 hosts, which has 3; set data.batch_size to 8"):
        make_train_dataset(settings, files, context(0, 2))


def test_an_undecodable_image_is_in_no_mosaic(tmp_path):
    numbered = [record(10), record(20, image=b"no image"), record(30), record(40)]
    settings = schema.replace(
        still_with(mosaic=1.0), data={"shuffle_buffer": 1}, model={"image_size": [24, 32]}
    )
    (batch,) = batches(make_train_dataset(settings, [write(tmp_path / "a", numbered)]), 1)
    np.testing.assert_array_equal(batch["is_replaced"], [False, True, False, False])
    assert set(batch["images"].flat) == {10, 30, 40}


def test_large_jpegs_are_decoded_smaller_in_training_alone(tmp_path):
    """64 x 96 fits into 16 x 16 at 11 x 16: a quarter is decoded, 16 x 24."""
    y, x = np.mgrid[:64, :96]
    smooth = np.stack([3 * y, 2 * x, 190 - 2 * x], -1).astype(np.uint8)
    image = encoded(smooth, "JPEG", quality=95, subsampling=0)
    file = write(tmp_path / "a", [record(1, image=image, size=(64, 96))])

    def train(scaled_decode):
        settings = still(size=16, batch_size=1)
        settings = schema.replace(settings, data={"scaled_decode": scaled_decode})
        return batches(make_train_dataset(settings, [file]), 1)[0]

    scaled, whole = train(True), train(False)
    np.testing.assert_allclose(scaled["gt_boxes"], whole["gt_boxes"], atol=1e-5)
    difference = np.abs(scaled["images"].astype(int) - whole["images"])
    assert 0 < difference.max() <= 8  # a smooth picture: a quarter's pixel is the mean of 4 x 4
    # Where all pixels are needed, all are decoded.
    example = {"encoded": tf.constant(image), "height": 64, "width": 96}
    found = reading.decode_parsed(example | {"target": tf.constant([64, 64])})
    np.testing.assert_array_equal(found["image"], decode_image(image))
    (found,) = batches(make_eval_dataset(still(size=16).model, [file], 1), 1)
    expected, *_ = letterbox(decode_image(image), (16, 16), (123.675, 116.28, 103.53))
    np.testing.assert_array_equal(found["images"][0], expected)


@pytest.mark.parametrize("hosts", [2, 3])
def test_a_host_skips_its_own_records(files, hosts, unread):
    settings, own = config(batch_size=hosts), context(1, hosts)
    whole = batches(make_train_dataset(settings, files, own), 12)
    resumed = make_train_dataset(settings, files, own, skip_steps=9)
    assert_same(whole[9:], batches(resumed, 3))


def test_replicas_of_one_host_share_the_batch_of_one_replica(files, stream, pngs):
    halves = make_train_dataset(config(), files, context(0, 1, replicas=2))
    halves = batches(halves, 6)
    for key in stream[0]:
        joined = [np.concatenate([halves[i][key], halves[i + 1][key]]) for i in (0, 2, 4)]
        np.testing.assert_array_equal(joined, [batch[key] for batch in stream[:3]], err_msg=key)


def test_a_batch_that_the_replicas_cannot_share_is_refused(files):
    with pytest.raises(UserError, match="100 is not divisible by 8 replicas; use 96 or 104"):
        make_train_dataset(config(batch_size=100), files, context(0, 1, 8))
    with pytest.raises(UserError, match="4 is not divisible by 8 replicas; use 8"):
        make_eval_dataset(config().model, files, 4, context(0, 1, 8))


def test_no_records_are_an_error_and_not_an_endless_wait(tmp_path):
    empty = write(tmp_path / "empty", [])
    for make in (make_train_dataset, lambda c, f: make_eval_dataset(c.model, f, 2)):
        with pytest.raises(UserError, match=r"there are no records in .*empty"):
            make(config(), [empty])
        with pytest.raises(UserError, match=r"cannot read .*missing"):
            make(config(), [str(tmp_path / "missing")])


def test_an_undecodable_image_is_named_and_replaced_in_training(tmp_path, capfd):
    broken = png(24, 32, 5)[:-30]
    file = write(tmp_path / "a", [record(10), record(20, image=broken), record(30)])
    settings = still(batch_size=3, shuffle_buffer=1)
    (batch,) = batches(make_train_dataset(settings, [file]), 1)
    np.testing.assert_array_equal(batch["is_replaced"], [False, True, False])
    np.testing.assert_array_equal(batch["image_ids"], [0, 0, 2])
    np.testing.assert_array_equal(batch["images"][1], batch["images"][0])
    np.testing.assert_array_equal(batch["gt_boxes"][1], batch["gt_boxes"][0])
    expected = f"Skipped: image photo-20 (record 1 of {file}) cannot be decoded.\n"
    assert expected in capfd.readouterr().err
    # The places of the others stay, so skipping still equals running.
    whole = batches(make_train_dataset(settings, [file]), 3)
    assert_same(whole[2:], batches(make_train_dataset(settings, [file], skip_steps=2), 1))


def test_the_first_batch_is_made_before_it_is_asked_for(tmp_path, capfd):
    """A picture that cannot be decoded is named although nothing has been taken, within 20 s."""
    file = write(tmp_path / "r", [record(k, image=b"no image") for k in range(4)])
    iterator, seen = iter(make_train_dataset(config(), [file])), ""
    for _ in range(200):
        seen += capfd.readouterr().err
        if "photo-" in seen:
            break
        time.sleep(0.1)
    assert "photo-" in seen
    assert next(iterator)["is_replaced"].numpy().all()


def test_a_batch_without_any_readable_image_is_blank(tmp_path):
    file = write(tmp_path / "a", [record(10, image=b"no image")])
    (batch,) = batches(make_train_dataset(still(batch_size=2), [file]), 1)
    assert batch["is_replaced"].all()
    assert (batch["images"] == [124, 116, 104]).all()
    assert (batch["gt_classes"] == -1).all() and not batch["gt_boxes"].any()


def test_stopping_early_reports_no_image(dataset, capfd):
    for _ in range(2):
        batches(dataset, 1)
    assert "Skipped" not in capfd.readouterr().err


def test_an_unknown_class_id_ends_the_iteration_with_a_sentence(tmp_path, pngs):
    file = write(tmp_path / "größe", [record(10), record(20, class_ids=(1, 2))])
    with pytest.raises(UserError) as error, user_errors([file]):
        batches(make_train_dataset(config(batch_size=2), [file]), 1)
    assert str(error.value) == (
        f"image photo-20 (record 1 of {file}) has class ids that model.labels lacks (2); "
        "set model.labels to those of the data set."
    )


def test_a_damaged_file_ends_the_iteration_with_a_sentence(tmp_path):
    file = write(tmp_path / "a", [record(10), record(20)])
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[:-9])
    with (
        pytest.raises(UserError, match="a is cut off or damaged after 1 good records"),
        user_errors([file]),
    ):
        batches(make_train_dataset(config(batch_size=2), [file]), 1)


def test_a_record_of_another_schema_ends_the_iteration_with_a_sentence(tmp_path, pngs):
    file = write(tmp_path / "a", [record(10), tf.train.Example().SerializeToString()])
    with (
        pytest.raises(UserError, match="a, record 1 has no image/encoded"),
        user_errors([file]),
    ):
        batches(make_eval_dataset(config().model, [file], 2), 1)


def test_a_record_whose_error_quotes_bytes_ends_the_iteration_with_a_sentence(tmp_path, pngs):
    """Python cannot make TensorFlow's error of such a message and raises UnicodeDecodeError."""
    file = write(tmp_path / "a", [record(10), UNKNOWN_FIELD])
    words = "a, record 1 is not a tf.Example that TensorFlow parses"
    with pytest.raises(UserError, match=words), user_errors([file]):
        batches(make_eval_dataset(config().model, [file], 2), 1)
    with pytest.raises(UserError, match=words), user_errors([file]):
        parse_example(tf.constant(UNKNOWN_FIELD))


def test_other_errors_pass_through_as_they_are(files):
    with pytest.raises(tf.errors.InvalidArgumentError), user_errors(files):
        tf.reshape(tf.zeros([3]), [2])


def test_evaluation_keeps_the_order_and_marks_what_fills_up(files, pngs):
    dataset = make_eval_dataset(still().model, files, 4)
    spec = {key: (s.shape.as_list(), s.dtype.name) for key, s in dataset.element_spec.items()}
    assert spec == {
        "images": ([4, 32, 32, 3], "float32"),
        "image_scales": ([4, 2], "float32"),
        "image_index": ([4], "int32"),
        "num_views": ([4], "int32"),
        "placements": ([4, 4], "float32"),
        "limits": ([4, 4], "float32"),
    }
    found = list(dataset.as_numpy_iterator())
    index = np.concatenate([batch["image_index"] for batch in found])
    np.testing.assert_array_equal(index, [*range(13), -1, -1, -1])
    values = np.concatenate([batch["images"][:, 0, 0, 0] for batch in found])
    np.testing.assert_array_equal(values[:13], 10 * (index[:13] + 1))


@pytest.mark.parametrize(
    ("hosts", "replicas"), [(2, 4), pytest.param(3, 3, marks=pytest.mark.thorough), (1, 2)]
)
@pytest.mark.parametrize("detect", [{}, {"flip": True, "tile": (8, 16)}])
def test_evaluation_decodes_every_picture_once_over_all_hosts(files, hosts, replicas, detect, pngs):
    """And gives every host as many steps as the longest has: one host ends, several fill up."""
    model, windows = config(size=8).model, None
    if detect:
        windows = functools.partial(make_windows, detect=schema.DetectConfig(**detect))
    views = 1 if not detect else 2 * (1 + 4 * 3)  # of 24 x 32 pixels
    index = []
    for host in range(hosts):
        dataset = make_eval_dataset(model, files, 12, context(host, hosts, replicas), windows)
        steps = -(-13 // hosts) * views // (12 // hosts) + 1
        found = list(dataset.take(steps * replicas // hosts).as_numpy_iterator())
        assert all(len(batch["image_index"]) == 12 // replicas for batch in found)
        own = np.concatenate([batch["image_index"] for batch in found])
        own = own[: (own >= 0).sum()].tolist()  # what fills up comes last
        assert sorted(set(own)) == list(range(host, 13, hosts))
        index += own
        assert (dataset.cardinality() == tf.data.INFINITE_CARDINALITY) == (hosts > 1)
    assert sorted(index) == [i for i in range(13) for _ in range(views)]


def test_an_undecodable_image_is_an_error_in_evaluation(tmp_path):
    file = write(tmp_path / "a", [record(10), record(20, image=b"no image")])
    with (
        pytest.raises(UserError, match=r"^image photo-20 \(record 1 of .*a\) cannot be decoded\.$"),
        user_errors([file]),
    ):
        batches(make_eval_dataset(config().model, [file], 2), 1)


@pytest.fixture(scope="module")
def figures(golden):
    return np.load(golden / "preprocessing.npz")


def golden_config(**augment):
    model = {"image_size": 128}
    data = {"batch_size": 4, "max_boxes": 10}
    return schema.replace(schema.Config(), model=model, data=data, augment=augment)


def test_evaluation_images_equal_the_reference(golden, figures):
    settings = golden_config()
    file = str(golden / "tiny.tfrecord")
    (batch,) = batches(make_eval_dataset(settings.model, [file], 4), 1)
    images = normalize_images(batch["images"], settings.model).numpy()
    # The stored figures are every eighth pixel. 2e-6: float32 noise of normalising last.
    np.testing.assert_allclose(images[:, ::8, ::8], figures["pipeline_eval/images"], atol=2e-6)
    for scales in batch["image_scales"].T:
        np.testing.assert_array_equal(1 / scales, figures["pipeline_eval/image_scales"])


def test_training_batches_equal_the_reference_within_the_rounding_of_uint8(golden, figures):
    settings = golden_config(horizontal_flip=False, jitter_min=0.75, jitter_max=0.75)
    file = str(golden / "tiny.tfrecord")
    (batch,) = batches(make_train_dataset(settings, [file]), 1)
    order = np.argsort(batch["image_ids"])
    images = normalize_images(batch["images"], settings.model).numpy()[order]
    difference = np.abs(images[:, ::8, ::8] - figures["pipeline_train/images"])
    assert difference.max() < 0.5 / 57.12 + 1e-5
    # The reference gives its boxes in original pixels and its classes from 1, padded with -1.
    expected = figures["pipeline_train/groundtruth_data"]
    scales = figures["pipeline_train/image_scales"][:, None, None]
    is_box = expected[..., 6] > 0
    np.testing.assert_array_equal(batch["gt_classes"][order] >= 0, is_box)
    boxes = batch["gt_boxes"][order] * scales
    np.testing.assert_allclose(boxes[is_box], expected[is_box][:, :4], atol=1e-4)
    classes = batch["gt_classes"][order][is_box]
    np.testing.assert_array_equal(classes + 1, expected[is_box][:, 6])


def test_a_record_annotated_on_the_stored_pixels_is_not_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    # Both records hold the same file, stored 24 high and 32 wide; upright it is 32 x 24.
    image = encoded(Image.new("RGB", (32, 24), (7, 7, 7)), "JPEG", exif=exif)
    turned, kept = (record(1, image=image, size=s) for s in ((32, 24), (24, 32)))
    file = write(tmp_path / "a", [turned, kept])
    (batch,) = batches(make_eval_dataset(config().model, [file], 2), 1)
    is_padding = np.isclose(batch["images"][..., 0], 123.675)
    assert is_padding[0, :, 24:].all() and not is_padding[0, :, :24].any()
    assert is_padding[1, 24:].all() and not is_padding[1, :24].any()
    # A quarter of the size, too, of which the annotated size is four times as large.
    batch = batches(make_train_dataset(still(size=8, batch_size=2), [file]), 1)[0]
    is_padding = (batch["images"][np.argsort(batch["image_ids"])] == [124, 116, 104]).all(-1)
    assert is_padding[0, :, 6:].all() and not is_padding[0, :, :6].any()
    assert is_padding[1, 6:].all() and not is_padding[1, :6].any()


def test_a_bucket_that_does_not_answer_is_an_error_that_may_pass():
    no_answer = tf.errors.UnavailableError(None, None, "while reading gs://b/r: no answer")
    with pytest.raises(StorageError, match="gs://b/r: no answer"), user_errors(["gs://b/r"]):
        raise no_answer
    with pytest.raises(tf.errors.UnavailableError), user_errors(["gs://b/r"]):
        raise tf.errors.UnavailableError(None, None, "another worker is gone")
