"""A workdir with every section of the page, made without a network."""

import functools

import numpy as np

from edet.evaluation.coco import evaluate_coco
from edet.evaluation.matching import match
from edet.files import write_json, write_text
from edet.report.evaluation import evaluation_data, lowest_listed, numbers
from edet.report.page import save_section
from edet.report.pictures import Shown, grouped
from edet.workdir import Workdir
from tests.evaluation.test_errors import drawn_data

FOREIGN = "</script><script>document.body.dataset.hurt = 'yes'</script>"  # a class's name

_HISTORY = """step,total_loss,learning_rate,process_mib,device_mib
0,2.5,0.1,1500,700
1,1.5,0.05,1600,900
"""


def color_of(image: int) -> tuple[int, int, int]:
    """A colour of its own for each picture, far enough from the next for JPEG."""
    return 40 + 30 * (image % 6), 40 + 30 * (image // 6), 90


def plain(color, height=240, width=320) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def write_evaluation(workdir: Workdir, seed: int = 0, share: float = 1.0):
    """Writes eval.json and its section; returns result and matches.

    Args:
      workdir: of the run.
      seed: of the pictures' objects and of what is found.
      share: of the detections that this run has.
    """
    dataset, detections = drawn_data(seed)
    kept = np.random.default_rng(0).random(len(detections)) < share
    detections = [one for one, is_kept in zip(detections, kept, strict=True) if is_kept]
    dataset["categories"][1]["name"] = FOREIGN
    floor = lowest_listed(detections, len(dataset["images"]), 0.4)
    result, matches = evaluate_coco(dataset, detections), match(dataset, detections, floor)
    data = evaluation_data(dataset, matches, result, 0.4)
    reasons = [f"The labels hold {FOREIGN}."]
    entries = {**result.as_dict(), "diagnosis": reasons, **numbers(data)}
    write_json(workdir.result_file("eval"), entries)
    reads = [functools.partial(plain, color_of(image)) for image in data["pictures"]]
    save_section(workdir, "evaluation", data, lambda: reads)
    return result, matches


def write_run(path) -> Workdir:
    workdir = Workdir(str(path))
    write_evaluation(workdir)
    write_text(workdir.history_file, _HISTORY)
    write_text(workdir.evaluations_file, "step,AP,APs\n1,0.2,0.1\n2,0.3,0.2\n")
    write_json(workdir.best_file, {"step": 2, "AP": 0.3})
    write_json(workdir.recipe_file, {"total_steps": 2, "learning_rate": 0.1})
    start = {"time": "2026-01-01 10:00", "step": 0, "expected_memory": {"weights": 2**20}}
    again = {**start, "step": 1, "changed": ["train.steps was 1, now it is 2"]}
    write_json(workdir.starts_file, [{**start, "changed": []}, again])
    write_json(workdir.result_file("check_data"), _checked())
    shown = [Shown("a", 48, 64, lambda: plain((200, 0, 0)), [[1, 2, 3, 4, FOREIGN]], "too small")]
    data, reads = grouped({"Pictures with most problems": shown, "Pictures that look alike": []})
    save_section(workdir, "data", data, lambda: reads)
    write_json(
        workdir.result_file("predict"), {"images": 1, "videos": 0, "failed": {"b.jpg": "empty"}}
    )
    data, reads = grouped({"Pictures": shown})
    save_section(workdir, "predict", data, lambda: reads)
    write_json(workdir.result_file("models"), {"m.tflite": {"format": "litert", "bytes": 2e6}})
    times = dict.fromkeys(("prepare", "network", "suppress", "total"), 2.0)
    row = {"name": "onnx", "batch": 1, "peak_memory": None, **times}
    write_json(workdir.result_file("benchmark"), {"rows": [row], "machine": {"cores": 2}})
    return workdir


def _checked():
    sides = {"heights": {"0-4": 1, "4-8": 3}, "widths": {"0-4": 4}}
    classes = [{"id": 1, "name": FOREIGN, "boxes": 4, "images": 2}]
    problems = [{"file": "a", "what": "box without area"}]
    row = {"id": 1, "name": FOREIGN, "boxes": 4, "recall": 0.75}
    return {
        "sentences": ["Anchors reach only 75% of it."],
        "train": {"images": 2, "boxes": 4, "classes": classes, "problems": problems, **sides},
        "anchors": {"classes": [row], "all": {"sides": {"4-8": {"boxes": 4, "recall": 0.75}}}},
    }
