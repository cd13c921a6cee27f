"""Writers that are libraries of data sets: each writes one, and its own reader must agree with it.

As in tools/checks/annotation_writers.py, they run in the libraries' own environments.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

from tools.checks.annotation_layouts import Source, write_csv


def huggingface(source: Source, form: str, output: pathlib.Path) -> None:
    """Lines with numbers of classes in folders of splits, or a CSV with names; both are read back.

    `datasets` writes the lines and README.md; its CSV cannot be read again, so json writes the
    objects of that, as people do.
    """
    import datasets
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    is_csv, classes = form == "csv", list(source.classes.values())
    parts: dict[str, list[dict[str, Any]]] = {}
    for number, photo in enumerate(source.truth):
        place = "" if is_csv else "validation" if number % 2 else "train"
        found = source.objects(photo)
        boxes = [[x, y, xmax - x, ymax - y] for _, (x, y, xmax, ymax), _ in found]
        names = [name if is_csv else classes.index(name) for name, *_ in found]
        objects = {"bbox": boxes, "categories": names}
        parts.setdefault(place, []).append({"file_name": photo["file"], "objects": objects})
        (output / place).mkdir(exist_ok=True)
        shutil.copy(source.photos / photo["file"], output / place)
    for place, rows in parts.items():
        if is_csv:
            lines = [[row["file_name"], json.dumps(row["objects"])] for row in rows]
            write_csv(output / "metadata.csv", [["file_name", "objects"], *lines])
            continue
        boxes = datasets.List(datasets.List(datasets.Value("float64")))
        names = datasets.List(datasets.ClassLabel(names=classes))
        objects = {"bbox": boxes, "categories": names}
        columns = datasets.Features({"file_name": datasets.Value("string"), "objects": objects})
        lines = datasets.Dataset.from_list(rows, features=columns)
        lines.to_json(output / place / "metadata.jsonl")
        features = datasets.Features({"image": datasets.Image(), "objects": objects})
        info = datasets.DatasetInfo(features=features)
        card = DatasetCardData()
        DatasetInfosDict({"default": info}).to_dataset_card_data(card)
        (output / "README.md").write_text(f"---\n{card}\n---\n")
    for place, rows in parts.items():
        again = datasets.load_dataset("imagefolder", data_dir=str(output), split=place or "train")
        read = [json.loads(each) if is_csv else each for each in again["objects"]]
        if read != [row["objects"] for row in rows]:
            raise SystemExit(f"imagefolder reads other objects: {read}")


def scalabel(source: Source, form: str, output: pathlib.Path) -> None:
    """Reads COCO, outlines included, and writes frames; folders and names are BDD100K's.

    Its boxes end with their last pixel; its own way back must give the truth again.
    """
    from scalabel.label.from_coco import coco_to_scalabel
    from scalabel.label.io import load, save
    from scalabel.label.transforms import box2d_to_xyxy
    from scalabel.label.typing import Dataset

    frames, config = coco_to_scalabel(json.loads(source.coco.read_text()))
    (output / "labels" / "det_20").mkdir(parents=True)
    path = output / "labels" / "det_20" / "det_train.json"
    save(str(path), Dataset(frames=frames, groups=None, config=config))
    source.copy_photos(output / "images" / "100k" / "train")
    found = {
        frame.name: [box2d_to_xyxy(label.box2d) for label in frame.labels]
        for frame in load(str(path)).frames
    }
    wanted = {photo["file"]: [box for _, box, _ in source.objects(photo)] for photo in source.truth}
    if found != wanted:
        raise SystemExit(f"scalabel reads other boxes: {found}")
