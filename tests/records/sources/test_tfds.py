"""A tensorflow-datasets set becomes examples; the set is made here, nothing is downloaded."""

import itertools
import sys

import numpy as np
import pytest

from edet.errors import UserError
from edet.records.sources.tfds import read_tfds
from edet.records.writing import write_records


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Two prepared sets: "pets" with objects, "digits" without."""
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("importlib_resources")
    folder = str(tmp_path_factory.mktemp("tfds"))
    feature = tfds.features
    objects = {
        "bbox": feature.BBoxFeature(),
        "label": feature.ClassLabel(names=["cat", "dog"]),
        "is_crowd": np.bool_,
        "area": np.float32,
    }
    features = {
        "image": feature.Image(shape=(None, None, 3)),
        "image/id": np.int64,
        "objects": feature.Sequence(objects),
    }

    def pet(i):
        box = feature.BBox(ymin=0.1, xmin=0.2, ymax=0.5, xmax=0.6)
        item = {"bbox": box, "label": i % 2, "is_crowd": i == 5, "area": 12.5}
        image = np.full((20, 30, 3), i, np.uint8)
        return i, {"image": image, "image/id": 100 + i, "objects": [item] * (i % 3)}

    def prepare(name, features, items):
        tfds.dataset_builders.AdhocBuilder(
            name=name,
            version="1.0.0",
            features=feature.FeaturesDict(features),
            split_datasets={"train": items},
            data_dir=folder,
        ).download_and_prepare()

    prepare("pets", features, [pet(i) for i in range(7)])
    digit = {"image": np.zeros((4, 4, 3), np.uint8), "label": 1}
    prepare(
        "digits",
        {"image": feature.Image(shape=(4, 4, 3)), "label": feature.ClassLabel(num_classes=10)},
        [(0, digit)],
    )
    return folder


def test_boxes_are_in_pixels_and_labels_from_one(data_dir):
    source = read_tfds("pets", "train", data_dir)
    assert source.labels == {1: "cat", 2: "dog"}
    examples = {example.source_id: example for example in source.shard(0, 1)}
    assert sorted(examples) == [str(100 + i) for i in range(7)]
    two = examples["105"]  # 5 % 3 = 2 objects of class 5 % 2 = 1, "dog"
    np.testing.assert_allclose(two.boxes, [[2, 6, 10, 18]] * 2, rtol=1e-6)
    assert two.class_ids.tolist() == [2, 2]
    assert two.is_crowd.tolist() == [True, True]
    assert two.areas.tolist() == [12.5, 12.5]
    assert len(examples["103"].boxes) == 0


def test_shards_part_the_split(data_dir):
    source = read_tfds("pets", "train", data_dir)
    parts = [[example.source_id for example in source.shard(i, 3)] for i in range(3)]
    assert sorted(itertools.chain(*parts)) == [str(100 + i) for i in range(7)]
    assert all(parts)
    assert len(read_tfds("pets", "train[:3]", data_dir)) == 3


def test_records_are_written_once(data_dir, tmp_path):
    source = read_tfds("pets", "train", data_dir)
    report = write_records(source, str(tmp_path / "pets"), 2)
    assert report.tally.images["written"] == len(source) == 7
    assert report.tally.boxes["written"] == sum(i % 3 for i in range(7))
    # The made-up boxes repeat.
    assert {problem["what"] for problem in report.tally.problems} <= {
        "the same box and class twice (kept)"
    }
    assert write_records(source, str(tmp_path / "pets"), 2).kept == 2


def test_unknown_sets_and_splits_and_other_kinds_are_refused(data_dir):
    with pytest.raises(UserError, match="--tfds_name 'petz' is no set of TFDS"):
        read_tfds("petz", "train", data_dir)
    with pytest.raises(UserError, match="pets has no split 'nope'; it has train"):
        read_tfds("pets", "nope", data_dir)
    with pytest.raises(UserError, match="digits has no objects with a bbox"):
        read_tfds("digits", "train", data_dir)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match=r"pip install 'edet\[tfds\]'"):
        read_tfds("voc/2007", "train")
