"""What it takes until a program shows something: two checkouts of edet, in turns.

    python tools/benchmarks/start_up.py OLD NEW [rounds]

`inspect` prints what D0 costs; `SavedModel` loads the D0 that its checkout has exported and detects
in one picture, `edet.load` does so by edet's own way (a checkout without one: as before);
`first step` trains D0 at 256 pixels for one step of 4, and its seconds end when that step is said;
`TensorFlow` imports it and adds two numbers, below which nothing else can be. Every run is a
process of its own; the least of the rounds is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

EXPORT = """
import sys
from edet import workflows
from edet.config.loading import load_config
from edet.weights.report import LoadReport
from edet.workflows import common
common.load_weights = lambda network, source: LoadReport("random weights", (), (), ())
workflows.export(load_config("efficientdet-d0"), "", "random", sys.argv[1])
"""
LOAD = """
import sys
import edet
import numpy as np
import tensorflow as tf
detect = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
picture = tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
print(detect(image_bytes=picture[None])["scores"].numpy()[0, 0])
"""
LOAD_BY_EDET = """
import sys
import edet
import numpy as np
picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
(found,) = edet.load(sys.argv[1]).predict([picture])
print(found.scores[0])
"""
SCENES = """
import sys
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
write_records(SyntheticSet(16, size=256, seed=0), sys.argv[1])
"""
FLOOR = "import tensorflow as tf; print(tf.constant(1) + 1)"


def run(checkout: str, *arguments: str) -> tuple[float, float, float]:
    """Runs Python in a checkout: seconds, seconds of CPU, and MiB of memory at the peak.

    The seconds are those to its end, or until it says that a step is done.
    """
    started, seconds = time.perf_counter(), 0.0
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-u", *arguments], cwd=checkout, stdout=subprocess.PIPE, stderr=errors,
            env=os.environ | {"PYTHONPATH": checkout, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        for line in process.stdout:
            if line.startswith(b"step 1/") and not seconds:
                seconds = time.perf_counter() - started
        _, status, used = os.wait4(process.pid, 0)
        if status:
            errors.seek(0)
            raise SystemExit(f"{checkout} failed:\n{errors.read().decode()[-3000:]}")
    seconds = seconds or time.perf_counter() - started
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def loads(checkout: str) -> bool:
    """Whether a checkout has `edet.load`."""
    with open(os.path.join(checkout, "edet", "__init__.py"), encoding="utf-8") as file:
        return '"load"' in file.read()


def main(old: str, new: str, rounds: str = "3") -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        exported = {checkout: os.path.join(folder, str(k)) for k, checkout in enumerate((old, new))}
        for checkout, target in exported.items():
            run(checkout, "-c", EXPORT, target)
        scenes = os.path.join(folder, "scenes")
        run(new, "-c", SCENES, scenes)
        for what, arguments in {
            "TensorFlow": lambda checkout: ("-c", FLOOR),
            "inspect": lambda checkout: ("main.py", "--mode=inspect", "--model=efficientdet-d0"),
            "SavedModel": lambda checkout: ("-c", LOAD, os.path.join(exported[checkout], "1")),
            "edet.load": lambda checkout: (
                "-c", LOAD_BY_EDET if loads(checkout) else LOAD,
                os.path.join(exported[checkout], "1"),
            ),
            "first step": lambda checkout: (
                "main.py", "--mode=train", "--model=efficientdet-d0",
                f"--workdir={tempfile.mkdtemp(dir=folder)}", f"--set=data.train_records={scenes}-*",
                "--set=model.labels={1: disc, 2: square, 3: triangle}", "--set=train.steps=1",
                "--set=model.image_size=256", "--set=data.batch_size=4",
                "--set=train.learning_rate=0.08",  # by which a checkout knows the paper's recipe
            ),
        }.items():  # fmt: skip
            runs = {old: [], new: []}
            for checkout in (old, new) * int(rounds):
                runs[checkout].append(run(checkout, *arguments(checkout)))
            least = [[min(v) for v in zip(*measured, strict=True)] for measured in runs.values()]
            for unit, before, after in zip(("s", "s of CPU", "MiB"), *least, strict=True):
                print(
                    f"{what}: {before:.1f} -> {after:.1f} {unit}, ratio {after / before:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main(*sys.argv[1:])
