"""Evaluation and prediction with both heads: how long two checkouts of edet take, in turns.

    python tools/benchmarks/one_pass.py OLD NEW [pictures] [rounds]

D0 at 256 pixels with random weights, over drawn scenes. Every run is a process of its own, without
its imports; the medians of the rounds, and of each round's ratio, are printed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile

RUN = """
import glob, json, resource, sys, tempfile, time
import tensorflow as tf
from edet import workflows
from edet.config.loading import load_config
from edet.weights.report import LoadReport
from edet.workflows import common

folder = sys.argv[1]
common.load_weights = lambda network, source: LoadReport("random weights", (), (), ())
config = load_config("efficientdet-d0", overrides=[
    "model.image_size=256", "model.heads=[detection,segmentation]",
    "model.labels={1: disc, 2: square, 3: triangle}",
    "model.segmentation.labels={0: background, 1: disc, 2: square, 3: triangle}",
    f"data.eval_records={folder}/scenes-*", "detect.draw_threshold=0.9",
])
strategy = tf.distribute.get_strategy()

def seconds(call):
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    call()
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return [time.perf_counter() - started, spent.ru_utime - before.ru_utime]

with tempfile.TemporaryDirectory() as output:
    print("RESULT" + json.dumps({
        "evaluation": seconds(lambda: workflows.evaluate(config, "", strategy, "random")),
        "prediction": seconds(
            lambda: workflows.predict(config, "", "random", [f"{folder}/*.png"], output, strategy)
        ),
    }))
"""


def make_scenes(folder: str, count: int) -> None:
    """Writes drawn scenes of 256 x 256 as records and as files."""
    from PIL import Image

    from edet.records.sources.synthetic import SyntheticSet, make_scene
    from edet.records.writing import write_records

    write_records(SyntheticSet(count, size=256, seed=0), os.path.join(folder, "scenes"))
    for k in range(count):
        Image.fromarray(make_scene(k, 256)[0]).save(os.path.join(folder, f"{k}.png"))


def run(checkout: str, folder: str) -> dict[str, list[float]]:
    """Returns {what: [seconds, seconds of user CPU]} of one process of a checkout."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, folder], cwd=checkout, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": checkout, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise SystemExit(f"{checkout} failed:\n{done.stderr[-3000:]}")
    return json.loads(lines[0].removeprefix("RESULT"))


def main(old: str, new: str, pictures: str = "128", rounds: str = "3") -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        make_scenes(folder, int(pictures))
        pairs = [(run(old, folder), run(new, folder)) for _ in range(int(rounds))]
    for what in ("evaluation", "prediction"):
        for k, kind in enumerate(("seconds", "user CPU seconds")):
            both = [(before[what][k], after[what][k]) for before, after in pairs]
            before, after = (statistics.median(values) for values in zip(*both, strict=True))
            ratio = statistics.median(b / a for a, b in both)
            print(f"{what}, {kind}: {before:.1f} -> {after:.1f}, ratio {ratio:.2f}")


if __name__ == "__main__":
    from edet.cli.common import exit_code_of

    sys.exit(exit_code_of(lambda: main(*sys.argv[1:])))
