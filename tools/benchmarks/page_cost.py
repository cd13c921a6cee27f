"""What a run's page costs: its share of an evaluation, and how long a browser takes to show it.

    python -m tools.benchmarks.page_cost write ANNOTATIONS IMAGES WORKDIR [pictures] [setting ...]
    python -m tools.benchmarks.page_cost show WORKDIR/report.html [times]

ANNOTATIONS is a COCO file of the pictures in IMAGES; they are repeated up to 1,000 pictures, each
with an id and bytes of its own. `write` evaluates D0 with random weights on them, which finds
`detect.max_detections` in each; settings are as those of --set. What the page needs is timed within
that one evaluation, by the clock and in CPU seconds of all threads: matching, the lists of objects
and detections, thumbnails, and the file itself. Its share is of the evaluation without it, first of
what the page alone needs, then with matching, which eval.json and confusion.png take, too.

`show` opens the page in headless Chromium, a new one each time, and prints the medians. Counted is
what the page itself sees: from the start of its loading to the second frame after its script has
ended, when charts, tables and counts are drawn. Pictures are drawn when they come into view.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

Spent = dict[str, list[float]]  # what: seconds by the clock, of CPU
_SHOWN = """
const watch = new MutationObserver(() => {
  if (!document.body?.dataset.ready) return;
  watch.disconnect();
  const ran = performance.now(), next = requestAnimationFrame;
  next(() => next(() => { window.shown = [ran, performance.now()]; }));
});
watch.observe(document, { subtree: true, childList: true, attributes: true });
"""


def repeated(annotations: str, images: str, count: int) -> Any:
    """Returns an ExampleSet of so many pictures: those of the file, again and again.

    A comment of its own behind a JPEG's first two bytes makes each file another.
    """
    from edet.records.sources.coco import read_coco

    source = read_coco(annotations, images, keep_unused=True)
    examples = []
    for k in range(count):
        example = source.examples[k % len(source.examples)]
        encoded = pathlib.Path(example.image).read_bytes()
        comment = b"\xff\xfe\x00\x0a%08d" % k
        encoded = encoded[:2] + comment + encoded[2:]
        examples.append(dataclasses.replace(example, image=encoded, source_id=str(k)))
    source.examples = examples
    return source


@contextlib.contextmanager
def timed(spent: Spent, *places: tuple[Any, str]) -> Iterator[None]:
    """Adds up the time that functions take while the context is open."""

    def wrapped(name: str, call: Callable) -> Callable:
        def measured(*arguments: Any, **named: Any) -> Any:
            started, before = time.perf_counter(), time.process_time()
            try:
                return call(*arguments, **named)
            finally:
                both = (time.perf_counter() - started, time.process_time() - before)
                spent[name] = [a + b for a, b in zip(spent.get(name, (0, 0)), both, strict=True)]

        return measured

    with contextlib.ExitStack() as stack:
        for owner, name in places:
            # The method of a class, or a function where a module has it under its name.
            stack.enter_context(
                mock.patch.object(owner, name, wrapped(name.strip("_"), getattr(owner, name)))
            )
        yield


def write(annotations: str, images: str, workdir: str, count: str = "1000", *settings: str) -> None:
    """Evaluates, and prints what the page's parts took."""
    import tensorflow as tf

    from edet import workflows
    from edet.config.loading import load_config
    from edet.records.writing import write_records
    from edet.weights.report import LoadReport
    from edet.workflows import common, evaluation

    records = os.path.join(workdir, "records", "val")
    write_records(repeated(annotations, images, int(count)), records)
    config = load_config(
        "efficientdet-d0",
        overrides=["model.labels=coco", f"data.eval_records={records}-*", *settings],
    )
    spent: Spent = {}
    parts = [(evaluation, name) for name in ("lowest_listed", "match", "evaluation_data")]
    parts += [(evaluation.Evaluation, "_save_section"), (common, "write_page")]
    random = LoadReport("random weights", (), (), ())
    with (
        mock.patch.object(common, "load_weights", lambda network, source: random),
        timed(spent, (workflows, "evaluate"), *parts),
    ):
        found = workflows.evaluate(config, workdir, tf.distribute.get_strategy(), "random")
    total = spent.pop("evaluate")
    page = [sum(values) for values in zip(*spent.values(), strict=True)]
    alone = [a - b for a, b in zip(page, spent["match"], strict=True)]
    rows = {**spent, "the evaluation": total}
    detections = sum(found["detections"].values())
    print(f"{found['images']:,} pictures, {detections:,} detections")
    for name, (clock, cpu) in rows.items():
        print(f"{name:16} {clock:8.2f} s {cpu:8.2f} s of CPU")
    for name, part in (("the page", alone), ("with matching", page)):
        shares = [100 * p / (t - p) for p, t in zip(part, total, strict=True)]
        print(f"{name} adds {shares[0]:.1f} % by the clock, {shares[1]:.1f} % of CPU")
    size = os.path.getsize(os.path.join(workdir, "report.html"))
    print(f"report.html has {size / 2**20:.1f} MiB")


def show(page: str, times: str = "5") -> None:
    """Opens the page so often, and prints the medians."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = own if os.path.exists(own) else shutil.which("chromium")
        measured = []
        for _ in range(int(times)):
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.add_init_script(_SHOWN)
            tab.goto(pathlib.Path(page).absolute().as_uri())
            tab.wait_for_function("window.shown")
            measured.append(tab.evaluate("window.shown"))
            browser.close()
    ran, shown = (statistics.median(values) for values in zip(*measured, strict=True))
    each = ", ".join(f"{last / 1000:.2f}" for _, last in measured)
    print(f"script done after {ran / 1000:.2f} s, shown after {shown / 1000:.2f} s ({each})")


if __name__ == "__main__":
    from edet.cli.common import exit_code_of

    commands = {"write": write, "show": show}
    sys.exit(exit_code_of(lambda: commands[sys.argv[1]](*sys.argv[2:])))
