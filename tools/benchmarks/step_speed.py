"""How long one training step takes: two checkouts of edet, in turns.

    python tools/benchmarks/step_speed.py OLD NEW [model] [size] [batch] [rounds]

Each checkout trains its network on the same random pictures and boxes, in a process of its own that
waits while the other one works. Printed are the time to the end of the first step, from the start
of the process, the median of the others, wall clock and CPU, and the losses of the last step, which
must agree. A checkout without `for_cpu` trains what Keras makes.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

WORKER = """
import inspect, json, resource, sys, time
import keras, numpy as np, tensorflow as tf
from edet.config.loading import load_config
from edet.models.efficientdet import build_network
from edet.training.recipe import resolve_recipe
from edet.training.step import TrainingStep
from edet.training.tasks import tasks_of
from edet.training.variables import TrainingVariables

name, size, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sets = [f"model.image_size={size}", "model.labels={1: a, 2: b, 3: c}", f"data.batch_size={batch}",
        "train.steps=100",
        "train.learning_rate=0.08"]  # by which a checkout with several recipes knows the paper's
config = load_config(name, overrides=sets)
keras.utils.set_random_seed(0)
fast = {"for_cpu": True} if "for_cpu" in inspect.signature(build_network).parameters else {}
network = build_network(config.model, **fast)
variables = TrainingVariables(network)
is_new = "tasks" in inspect.signature(TrainingStep).parameters
learnt = tasks_of(config) if is_new else config
step = TrainingStep(network, learnt, resolve_recipe(config, 100))
rng = np.random.default_rng(0)
first = rng.uniform(0, 0.7 * size, (batch, 20, 2))
boxes = np.concatenate([first, first + rng.uniform(10, 0.3 * size, first.shape)], -1)
pictures = {
    "images": tf.constant(rng.integers(0, 256, (batch, size, size, 3)), tf.uint8),
    "gt_boxes": tf.constant(np.pad(boxes, ((0, 0), (0, 80), (0, 0))), tf.float32),
    "gt_classes": tf.constant(
        np.pad(rng.integers(0, 3, (batch, 20)), ((0, 0), (0, 80)), constant_values=-1), tf.int32),
}
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

@tf.function(autograph=False)
def update(pictures):
    state, metrics = step(variables.read(), pictures)
    variables.assign(state)
    return metrics["total_loss"]

for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    loss = float(update(pictures))
    print(json.dumps({"loss": loss, "wall": time.perf_counter() - wall,
                      "cpu": time.process_time() - cpu,
                      "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}),
          flush=True)
"""


def _step(worker: subprocess.Popen) -> dict[str, float]:
    print("step", file=worker.stdin, flush=True)
    return json.loads(worker.stdout.readline())


def main(
    old: str, new: str, model: str = "efficientdet-d0", size: str = "256", batch: str = "4",
    rounds: str = "15",
) -> None:  # fmt: skip
    """Measures and prints."""
    with contextlib.ExitStack() as stack:
        workers, first = [], []
        for checkout in (old, new):
            started = time.perf_counter()
            worker = stack.enter_context(subprocess.Popen(
                [sys.executable, "-c", WORKER, model, size, batch], cwd=checkout, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": checkout, "TF_CPP_MIN_LOG_LEVEL": "3"},
            ))  # fmt: skip
            workers.append(worker)
            _step(worker)
            first.append(time.perf_counter() - started)
        steps = [[_step(worker) for worker in workers] for _ in range(int(rounds))]
    print(f"first step: {first[0]:.1f} -> {first[1]:.1f} s, ratio {first[1] / first[0]:.2f}")
    for key, scale, unit in (("wall", 1000, "ms"), ("cpu", 1000, "ms of CPU"), ("mib", 1, "MiB")):
        before, after = (scale * statistics.median(r[k][key] for r in steps) for k in range(2))
        print(f"a step: {before:.0f} -> {after:.0f} {unit}, ratio {after / before:.2f}")
    print(
        "loss of the last step: {loss:.6g}".format(**steps[-1][0]),
        "->",
        "{loss:.6g}".format(**steps[-1][1]),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
