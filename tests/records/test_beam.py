"""Records written on Beam are those of the local path, byte for byte, reports and all."""

import json
import os

import numpy as np
import pytest

from edet.cli.common import call, parsed
from edet.cli.create_tfrecords import create, define_flags
from edet.errors import UserError
from edet.records import beam as edet_beam
from edet.records.beam import OnBeam, make_pipeline, write_ordered_shard
from edet.records.schema import Example
from edet.records.sources.example_set import ExampleSet
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from tests.pictures import encoded

pytest.importorskip("apache_beam")


def pictures(folder, count=5):
    """An ExampleSet of files: one is damaged, one has a box without area."""
    examples = []
    for number in range(count):
        colour = np.full((10 + number, 20, 3), 40 * number, np.uint8)
        path = folder / f"{number}.png"
        path.write_bytes(encoded(colour) if number != 2 else b"no picture")
        boxes = [[0, 0, 5, 5], [3, 3, 3, 9]][: 1 + (number == 3)]
        examples.append(
            Example(str(path), str(number), np.array(boxes), np.array([7] * len(boxes)))
        )
    return ExampleSet(examples, {7: "seven"})


def files_of(folder):
    """Bytes by name; the report says its own place, which is taken out."""
    found = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}
    report = json.loads(found.pop("x.report.json"))
    report["shards"] = [os.path.basename(path) for path in report["shards"]]
    return found, report


@pytest.mark.parametrize("make", [pictures, lambda _: SyntheticSet(7, 48, seed=3)])
def test_beam_and_threads_write_the_same_bytes(make, tmp_path):
    source = make(tmp_path)
    local, distributed = tmp_path / "local", tmp_path / "beam"
    write_records(source, str(local / "x"), num_shards=3)
    report = write_records(
        source, str(distributed / "x"), num_shards=3, write_shards=OnBeam(str(distributed / "x"))
    )
    assert files_of(local) == files_of(distributed)
    assert not list(distributed.glob("*.orders"))
    assert report.kept == 0


def test_shards_that_an_interrupted_job_has_written_count(tmp_path, monkeypatch):
    source = SyntheticSet(6, 32)
    write_records(source, str(tmp_path / "local/x"), num_shards=3)
    output = str(tmp_path / "beam/x")
    given = []

    def run_half(self, source, shards):
        given.append([shard.index for shard in shards])
        write_ordered_shard(self._give_order(source, shards[0]))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(OnBeam, "_run", run_half)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                write_records(source, output, num_shards=3, write_shards=OnBeam(output))
    assert given == [[0, 1, 2], [1, 2]]
    assert write_records(source, output, num_shards=3, write_shards=OnBeam(output)).kept == 1
    assert files_of(tmp_path / "beam") == files_of(tmp_path / "local")


def test_an_order_of_other_annotations_is_not_taken_for_done(tmp_path, monkeypatch):
    output = str(tmp_path / "x")

    def run_and_end(self, source, shards):
        for shard in shards:
            write_ordered_shard(self._give_order(source, shard))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(OnBeam, "_run", run_and_end)
        with pytest.raises(KeyboardInterrupt):
            write_records(SyntheticSet(2, 32), output, 1, write_shards=OnBeam(output))
    write_records(SyntheticSet(2, 32, seed=9), output, 1, write_shards=OnBeam(output))
    beam = files_of(tmp_path)
    os.remove(f"{output}.manifest.json")
    write_records(SyntheticSet(2, 32, seed=9), output, 1)
    assert files_of(tmp_path) == beam


def test_a_job_that_writes_nothing_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(OnBeam, "_run", lambda *_: None)
    output = str(tmp_path / "x")
    with pytest.raises(UserError, match=r"has not written .*x-00000-of-00001.tfrecord"):
        write_records(SyntheticSet(2, 32), output, 1, write_shards=OnBeam(output))


def test_options_reach_beam(tmp_path):
    pipeline = edet_beam.make_pipeline(["direct_num_workers=3", "--job_name=records"])
    options = pipeline.options.get_all_options(drop_default=True)
    assert (options["direct_num_workers"], options["job_name"]) == (3, "records")


def test_the_tool_runs_on_beam_by_a_flag(tmp_path, capsys):
    def tool(*arguments):
        flags = ["--format=synthetic", "--num_images=3", "--image_size=32", *arguments]
        return call(create, parsed(define_flags, [f"--output={tmp_path}/x", *flags]), [])

    assert tool("--runner=beam", "--beam=direct_num_workers=1") == 0
    assert "1 shards; " in capsys.readouterr().out
    assert tool("--beam=direct_num_workers=1") == 2
    assert "means nothing without --runner=beam" in capsys.readouterr().err


def test_an_option_that_beam_refuses_is_a_sentence():
    with pytest.raises(UserError, match="--beam=runner=Nonsense is refused by Beam"):
        make_pipeline(["runner=Nonsense"])
