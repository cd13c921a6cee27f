"""Looking several times: mirrored and in tiles, by the Detector and over a whole data set."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import Config, replace
from edet.geometry.anchors import make_anchors
from edet.geometry.coding import encode_boxes
from edet.inference.detector import Detector, make_predictor
from edet.inference.predictor import of_pixels
from edet.inference.run import make_dataset_predictor
from edet.input.windows import make_eval_dataset, make_window_dataset
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from tests.small import small_model

MODEL = small_model(labels={3: "a", 7: "b", 9: "c"})  # 64 x 96 pixels
DRAWN = 0.4  # what a person is shown


def config_with(**detect) -> Config:
    return replace(Config(), model=vars(MODEL), detect=detect)


class BoxOfLight:
    """Stands in for a network: finds the light pixels of an image, with their bounding box."""

    def __init__(self):
        self.anchors = tf.constant(make_anchors(MODEL.image_size, MODEL.levels, MODEL.anchors))
        self.batches: list[int] = []

    def __call__(self, images: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        tf.py_function(lambda n: self.batches.append(int(n)), [tf.shape(images)[0]], [])
        is_light = images[..., 0] > 0.5
        height, width = MODEL.image_size
        rows, columns = tf.reduce_any(is_light, 2), tf.reduce_any(is_light, 1)
        first = lambda line: tf.argmax(line, 1, tf.int32)  # noqa: E731
        box = [
            first(rows), first(columns),
            height - first(rows[:, ::-1]), width - first(columns[:, ::-1]),
        ]  # fmt: skip
        box = tf.cast(tf.stack(box, 1)[:, None], tf.float32)
        found = tf.where(tf.reduce_any(rows, 1), 4.0, -20.0)[:, None, None]  # a score of 0.98
        rest = tf.fill([tf.shape(images)[0], len(self.anchors) - 1, 3], -20.0)
        logits = tf.concat([tf.concat([found, rest[:, :1, :2]], 2), rest], 1)
        deltas = encode_boxes(tf.repeat(box, len(self.anchors), axis=1), self.anchors)
        return {"class_logits": logits, "box_deltas": deltas}


@functools.cache
def detector_of_light(**detect) -> Detector:
    return Detector(BoxOfLight(), config_with(**detect))


def picture_with_light(height: int, width: int, box: tuple[int, ...]) -> np.ndarray:
    image = np.zeros((height, width, 3), "uint8")
    image[box[0] : box[2], box[1] : box[3]] = 255
    return image


def shown(found: dict[str, np.ndarray]) -> np.ndarray:
    """The boxes of one picture that a person would be shown."""
    assert found["classes"][0, 0] == 3
    return found["boxes"][0][found["scores"][0] >= DRAWN]


@pytest.mark.parametrize(("nms", "flip"), [("hard", False), ("gaussian", True)])
@pytest.mark.parametrize(
    "box",
    [
        pytest.param((20, 70, 40, 86), id="whole in two tiles"),
        pytest.param((20, 50, 40, 74), id="cut by one tile"),
        pytest.param((10, 30, 50, 130), id="cut by every tile"),
        pytest.param((0, 0, 20, 20), id="at the edge of the picture"),
        pytest.param((44, 140, 64, 160), id="at the other edge"),
    ],
)
def test_a_thing_is_reported_once_however_the_tiles_lie(box, flip, nms):
    """Tiles of 64 x 96 over 64 x 160 lie at 0 and 64, so they share the columns 64 to 96."""
    detector = detector_of_light(tile=(64, 96), flip=flip, nms=nms)
    boxes = shown(detector([picture_with_light(64, 160, box)]))
    assert len(boxes) == 1
    np.testing.assert_allclose(boxes[0], box, atol=2)


@pytest.mark.parametrize("size", [(64, 96), (200, 90), (60, 301), (64, 40)])
def test_a_mirrored_look_finds_a_thing_where_it_is(size):
    """Most of these are padded; mirroring about the padded input would put the box elsewhere."""
    height, width = size
    box = (height // 4, width // 8, height // 2, width // 2)
    detector = detector_of_light(flip=True, nms="hard")
    boxes = shown(detector([picture_with_light(height, width, box)]))
    assert len(boxes) == 1
    scale = max(1, height / 64, width / 96)  # pixels of the picture in one of the input
    np.testing.assert_allclose(boxes[0], box, atol=1.5 * scale)


def test_a_large_picture_is_looked_at_a_few_tiles_at_a_time():
    """Tiles start at 0, 42, 85, 128 and at 0, 64, 128, 192: 16, and the whole."""
    network = BoxOfLight()
    config = replace(config_with(tile=(64, 96)), data={"eval_batch_size": 4})
    detector = Detector(network, config)
    boxes = shown(detector([picture_with_light(192, 288, (99, 132, 120, 156))]))
    assert network.batches == [4, 4, 4, 4, 1]
    np.testing.assert_allclose(boxes, [[99, 132, 120, 156]], atol=2)


KERNEL = np.random.default_rng(7).normal(0, 0.1, (8, 8, 3, 9 * (3 + 4))).astype("float32")


def network(images: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
    """Stands in for a network: each cell of level 3 answers for its 8 x 8 pixels, no other does."""
    values = tf.reshape(tf.nn.conv2d(images, KERNEL, 8, "VALID"), [-1, 9 * 8 * 12, 3 + 4])
    rest = [[0, 0], [0, 9 * (4 * 6 + 2 * 3)], [0, 0]]
    logits = tf.pad(values[..., :3], rest, constant_values=-20.0)
    return {"class_logits": logits, "box_deltas": tf.pad(0.2 * values[..., 3:], rest)}


@pytest.mark.parametrize("size", [(64, 96), (50, 30), (1, 96)])
def test_a_picture_no_larger_than_a_tile_gives_exactly_the_untiled_detections(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), "uint8")
    untiled = Detector(network, config_with())([image])
    tiled = Detector(network, config_with(tile=(64, 96)))([image])
    assert untiled["num_detections"][0] > 0
    for name, value in untiled.items():
        np.testing.assert_array_equal(tiled[name], value, err_msg=name)


def test_pictures_of_one_call_do_not_mix():
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (*size, 3), "uint8") for size in ((80, 120), (30, 20))]
    detector = Detector(network, config_with(tile=(64, 96), flip=True))
    both = detector(images)
    for row, image in enumerate(images):
        for name, value in detector([image]).items():
            np.testing.assert_array_equal(both[name][row], value[0], err_msg=name)


@pytest.mark.parametrize("detect", [{"flip": True}, {"tile": (40, 48)}, {}])
def test_a_data_set_and_single_pictures_are_detected_alike(tmp_path, detect):
    """Views of several pictures share a batch of the network there, and no two are mixed up."""
    write_records(SyntheticSet(5, size=72, seed=3), str(tmp_path / "set"), num_shards=2)
    files = sorted(str(path) for path in tmp_path.glob("*.tfrecord"))
    config = replace(config_with(**detect), data={"eval_batch_size": 3})
    detector = Detector(network, config)
    images = [
        tf.io.decode_image(tf.train.Example.FromString(record.numpy())
        .features.feature["image/encoded"].bytes_list.value[0]).numpy()
        for record in tf.data.TFRecordDataset(files)
    ]  # fmt: skip
    pictures = tf.data.Dataset.from_tensor_slices(
        {"image": np.stack(images), "image_index": np.arange(5, dtype="int32")}
    )
    predictor = make_predictor(of_pixels(network, config.model), config)
    here, windows = tf.distribute.get_strategy(), predictor.windows
    run = make_dataset_predictor(here, predictor)
    of_records = lambda context: make_eval_dataset(MODEL, files, 3, context, windows)  # noqa: E731
    of_pictures = lambda _: make_window_dataset(pictures, MODEL, 3, windows=windows)  # noqa: E731
    for make in (of_records, of_pictures):
        batches = list(run(here.distribute_datasets_from_function(make)))
        index = np.concatenate([batch["image_index"] for batch in batches])
        assert index.tolist() == [0, 1, 2, 3, 4]
        scores = np.concatenate([batch["scores"] for batch in batches])
        for k, image in enumerate(images):
            alone = detector([image])
            np.testing.assert_allclose(scores[k], alone["scores"][0], rtol=1e-3)
