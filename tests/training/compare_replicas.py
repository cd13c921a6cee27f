"""N replicas and N workers against one: the largest difference of any variable after eight steps.

  python -m tests.training.compare_replicas --shape=d0 --output=replicas.json

Every run is on the same global batches, and in processes of its own (two for two workers with
MultiWorkerMirroredStrategy on 127.0.0.1): synchronised batch norm, clipping that clips, weight
decay, moving averages, drop connect.
The figures in docs/memory.md are from here; tests/training/test_replicas.py runs two of the cases.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np

from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from tests.conftest import REPOSITORY

CASES = {
    "float32": {},
    "augmented": {"augment": True},
    "augmented, micro-batches, remat": {"augment": True, "micro_batches": 2, "remat": True},
    "augmented, bfloat16": {"augment": True, "precision": "bfloat16"},
}
KINDS = ("mirrored 2", "mirrored 4", "2 workers")


def start(cases: dict[pathlib.Path, dict], **environment: str) -> subprocess.Popen:
    """Starts one process of tests/training/run_replicas.py, which writes a file a case."""
    script = REPOSITORY / "tests" / "training" / "run_replicas.py"
    return subprocess.Popen(
        [sys.executable, script, json.dumps({str(file): case for file, case in cases.items()})],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
    )


def start_workers(folder: pathlib.Path, case: dict, count: int = 2) -> list[subprocess.Popen]:
    """Starts as many workers on this machine; worker k writes worker<k>.npz."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    configs = [
        {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        for index in range(count)
    ]
    return [
        start({folder / f"worker{index}.npz": case}, TF_CONFIG=json.dumps(config))
        for index, config in enumerate(configs)
    ]


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def differences(found: pathlib.Path, expected: pathlib.Path) -> dict[str, float]:
    """Returns the largest absolute difference of any variable in each group of the state."""
    found, expected = (dict(np.load(file)) for file in (found, expected))
    assert found.keys() == expected.keys()
    largest: dict[str, float] = {}
    for name, value in expected.items():
        if "/" in name:
            group = name.partition("/")[0]
            difference = float(np.abs(found[name] - value).max())
            largest[group] = max(largest.get(group, 0.0), difference)
    return largest


def main() -> None:
    """Runs the whole matrix, one process after the other, and writes its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="d0")
    parser.add_argument("--output", required=True)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        write_records(SyntheticSet(num_images=40, size=192), str(folder / "scenes"), num_shards=1)
        (records,) = folder.glob("scenes*.tfrecord")
        one = folder / "one.npz"
        for name, case in CASES.items():
            case = {"shape": options.shape, "records": str(records)} | case
            assert start({one: case}).wait() == 0
            for kind in KINDS:
                started, file = time.monotonic(), folder / "many.npz"
                if kind == "2 workers":
                    assert [run.wait() for run in start_workers(folder, case)] == [0, 0]
                    file = folder / "worker0.npz"
                    assert max(differences(folder / "worker1.npz", file).values()) == 0
                else:
                    replicas = {"replicas": int(kind.split()[-1])}
                    assert start({file: case | replicas}).wait() == 0
                rows.append({"case": name, "replicas": kind} | differences(file, one))
                clipped = bool(json.loads(str(np.load(one)["clipped"])))
                print(rows[-1], "clipped" if clipped else "NOT CLIPPED",
                      f"{time.monotonic() - started:.0f} s", flush=True)  # fmt: skip
                pathlib.Path(options.output).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
