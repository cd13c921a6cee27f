"""Folders of a few small files, and what the readers find in them."""

import pathlib

from edet.records.sources.example_set import ExampleSet
from edet.records.sources.folder import Folder
from edet.records.sources.formats import FORMATS, recognise
from edet.records.sources.joining import examples_of


def make(root: pathlib.Path, files: dict[str, str | bytes], pictures: str = "") -> Folder:
    """Writes files by name, and empty ones for the names of pictures."""
    for name, content in {**dict.fromkeys(pictures.split(), b""), **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Folder(str(root))


def read(folder: Folder, format_name: str) -> dict[str, ExampleSet]:
    """Returns {split: its set}; the folder must be recognised as this format."""
    folder, name, splits = recognise(folder.root)
    assert name == format_name
    parts = [FORMATS[name].read(folder, split, files) for split, files in splits.items()]
    return dict(zip(splits, examples_of(parts, folder), strict=True))


def objects(source: ExampleSet) -> dict[str, list[tuple]]:
    """Returns {source id: [(class, ymin, xmin, ymax, xmax)]}."""
    return {
        example.source_id: [
            (source.labels[int(class_id)], *box)
            for class_id, box in zip(example.class_ids, example.boxes.tolist(), strict=True)
        ]
        for example in source.examples
    }
