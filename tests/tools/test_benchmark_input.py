"""The tool measures what it says and reckons cores as one does by hand."""

import json

import numpy as np
import pytest
import tensorflow as tf

from edet.cli.common import call, parsed
from edet.records.schema import Example, encode_example, parse_example
from edet.records.shards import read_records
from tests.pictures import encoded
from tools.benchmarks import benchmark_input
from tools.benchmarks.benchmark_input import benchmark, define_flags, needed_cores, write_large


def tool(*arguments: str) -> int:
    return call(benchmark, parsed(define_flags, list(arguments)), [])


PIXELS = np.full((24, 32, 3), 90, np.uint8)


def write(path, kind: str) -> str:
    box = np.array([[2, 2, 20, 20]], np.float32)
    with tf.io.TFRecordWriter(str(path)) as writer:
        example = Example(encoded(PIXELS, kind), "1", box, np.array([7]), 24, 32)
        writer.write(encode_example(example, {7: "thing"}, kind))
    return str(path)


# It measures, which takes its time.
@pytest.mark.thorough
def test_every_pipeline_is_measured_beside_decoding(tmp_path, capsys):
    records, output = write(tmp_path / "a.tfrecord", "jpeg"), tmp_path / "figures.json"
    arguments = [f"--records={records}", f"--output={output}", "--sizes=32", "--rounds=1"]
    assert tool(*arguments, "--batch_size=2", "--images=4", "--global_batch=64") == 0
    figures = json.loads(output.read_text())
    rows = figures["pipelines"]
    assert [(row["pipeline"], row["size"]) for row in rows] == [
        ("training", 32),
        ("evaluation", 32),
    ]
    for rate in (figures["decode_jpeg"], *(row["images_per_second"] for row in rows)):
        assert rate["all"] > 0 and rate["core"] > 0
    # 64 images in 50 ms.
    assert figures["needed_images_per_second"] == 1280
    core = rows[0]["images_per_second"]["core"]
    assert figures["needed_cores"] == pytest.approx(1280 / core)
    assert len(figures["load_average_before_and_after"]) == 2
    assert "1280 images/s" in capsys.readouterr().out


def test_rates_are_medians_and_ratios_those_of_the_same_round(tmp_path, monkeypatch):
    # Three rounds: decoding 100, 200, 10 and the pipelines half, half and a tenth of it.
    rates = iter([100, 50, 100, 50, 200, 100, 200, 100, 10, 1, 10, 1])
    monkeypatch.setattr(
        benchmark_input, "measure", lambda *_: dict.fromkeys(("all", "core"), next(rates))
    )
    for pipeline in ("make_train_dataset", "make_eval_dataset"):
        monkeypatch.setattr(benchmark_input, pipeline, lambda *_: None)
    options = parsed(define_flags, ["--rounds=3"])
    figures = benchmark_input.measure_all([write(tmp_path / "a", "jpeg")], [32], options)
    assert figures["decode_jpeg"]["all"] == 100
    for row in figures["pipelines"]:
        assert row["images_per_second"]["all"] == 50 and row["of_decoding"]["all"] == 0.5


def test_cores_by_hand():
    row = {"pipeline": "training", "size": 512, "images_per_second": {"core": 200.0}}
    figures = needed_cores({"pipelines": [row]}, 512, global_batch=100, step_time_ms=25)
    assert figures["needed_images_per_second"] == 4000 and figures["needed_cores"] == 20


def test_photos_fill_a_large_picture_without_gaps(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(PIXELS, "jpeg"))
    path = write_large([str(tmp_path / "a.jpg")], 80, str(tmp_path / "large"))
    examples = [parse_example(record) for record in read_records(path)]
    assert len(examples) == 8
    pixels = tf.io.decode_jpeg(examples[0]["encoded"]).numpy()
    assert pixels.shape == (60, 80, 3)
    assert np.abs(pixels.astype(int) - 90).max() <= 2
    np.testing.assert_array_equal(examples[0]["boxes"], [[0, 0, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --records or --pictures"),
        (["--records={png}", "--pictures={png}"], "and not both"),
        (["--records={png}"], "png, record 0 holds no JPEG"),
        (["--pictures={png}"], "png is no picture"),
        (["--records={png}", "--sizes=512,large"], "--sizes has 'large'"),
        (["--records={png}.missing"], "--records"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments, message, tmp_path, capsys):
    png = write(tmp_path / "png", "png")
    assert tool(*(argument.format(png=png) for argument in arguments)) == 2
    assert message in capsys.readouterr().err
