"""Making records of photos: how long two checkouts of edet take, in turns.

    python tools/benchmarks/make_records.py OLD NEW ANNOTATIONS IMAGES [photos] [rounds]

ANNOTATIONS is a COCO file of the pictures in IMAGES; they are repeated up to the number of photos.
Every run is a process of its own, from its start to its end. Beside it: one that only decodes each
photo once, with as many threads, which bounds it. The medians of the rounds, and of each round's
ratios, are printed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

DECODE = """
import concurrent.futures, os, sys, time
import tensorflow as tf
files = [entry.path for entry in os.scandir(sys.argv[1])]
started = time.perf_counter()
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    decode = lambda file: tf.io.decode_jpeg(tf.io.read_file(file), channels=3).shape
    for _ in pool.map(decode, files):
        pass
print(time.perf_counter() - started)
"""


def repeat(annotations: str, images: str, photos: int, folder: str) -> None:
    """Makes a set of `photos` links to the pictures, each with the boxes of its own."""
    with open(annotations) as file:
        data = json.load(file)
    objects: dict[int, list[dict]] = {}
    for item in data["annotations"]:
        objects.setdefault(item["image_id"], []).append(item)
    made: dict[str, list[dict]] = {
        "images": [],
        "annotations": [],
        "categories": data["categories"],
    }
    os.mkdir(os.path.join(folder, "photos"))
    for k in range(photos):
        image = data["images"][k % len(data["images"])]
        source = os.path.abspath(os.path.join(images, image["file_name"]))
        os.symlink(source, os.path.join(folder, "photos", f"{k}.jpg"))
        made["images"].append(image | {"id": k, "file_name": f"{k}.jpg"})
        for item in objects.get(image["id"], []):
            made["annotations"].append(item | {"id": len(made["annotations"]), "image_id": k})
    with open(os.path.join(folder, "set.json"), "w") as file:
        json.dump(made, file)


def seconds(checkout: str, folder: str) -> float:
    """Returns how long a checkout's create_tfrecords takes."""
    with tempfile.TemporaryDirectory() as output:
        command = ["tools/create_tfrecords.py", "--format=coco", f"--output={output}/r"]
        command += [f"--annotations={folder}/set.json", f"--images={folder}/photos"]
        return timed(command, cwd=checkout, env=os.environ | {"PYTHONPATH": checkout})[0]


def timed(command: list[str], **options: Any) -> tuple[float, str]:
    """Runs Python with these arguments; returns the seconds it took, and what it printed."""
    started = time.perf_counter()
    command = [sys.executable, *command]
    done = subprocess.run(command, check=True, capture_output=True, text=True, **options)
    return time.perf_counter() - started, done.stdout


def main(old: str, new: str, annotations: str, images: str, *numbers: str) -> None:
    """Measures and prints."""
    photos, rounds = int(numbers[0]) if numbers else 5000, int(numbers[1]) if numbers[1:] else 3
    with tempfile.TemporaryDirectory() as folder:
        repeat(annotations, images, photos, folder)
        runs = []
        for _ in range(rounds):
            decoding, inside = timed(["-c", DECODE, os.path.join(folder, "photos")])
            runs.append((seconds(old, folder), seconds(new, folder), decoding, float(inside)))
    before, after, decoding, inside = map(statistics.median, zip(*runs, strict=True))
    of_old, of_decoding = (statistics.median(run[1] / run[k] for run in runs) for k in (0, 2))
    print(f"{photos} photos: {before:.1f} -> {after:.1f} s, ratio {of_old:.2f}")
    print(
        f"a process that decodes them: {decoding:.1f} s ({inside:.1f} without start and end), "
        f"ratio {of_decoding:.2f}"
    )


if __name__ == "__main__":
    from edet.cli.common import exit_code_of

    sys.exit(exit_code_of(lambda: main(*sys.argv[1:])))
