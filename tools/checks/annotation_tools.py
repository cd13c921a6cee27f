"""Has one data set written by the annotation tools of others, and keeps what they wrote.

  python -m tools.checks.annotation_tools --fixtures=tests/records/sources/fixtures

Each tool runs in an environment of its own, made by the first run (about 4 GB in all). What it
wrote is stripped of paths and dates, so that a second run writes the same bytes.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import rich
from absl import flags
from rich.progress import track

from edet.cli.common import run
from edet.errors import UserError
from edet.files import write_json, write_text
from tools.checks.annotation_truth import make_truth

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_WRITERS = "tools.checks.annotation_writers"
_SEED = 0
# Whose environment: what is installed in it. The first is the tool, and its version the one shown.
_PACKAGES = {
    "labelme": ("labelme==6.3.1",),
    "labelimg": ("labelImg==1.8.6",),
    "label_studio": ("label-studio-sdk==2.1.2",),
    "supervision": ("supervision==0.31.2",),
    "datumaro": ("datumaro==1.13.12",),
    "globox": ("globox==2.9.0",),
    "pylabel": ("pylabel==0.1.55", "pandas==2.0.3", "numpy<2"),
    "fiftyone": ("fiftyone==1.22.1",),
    "sahi": ("sahi==0.12.8",),
    "labelformat": ("labelformat==0.1.17",),
    # Formats without a package that writes them: VIA is a web page, and CSV needs no tool.
    "via": (),
    "plain_csv": (),
}
_README = """# One data set as real tools write it

`make annotation-tools` writes this folder anew. truth.json holds the five photos with their boxes,
[ymin, xmin, ymax, xmax] in pixels of the displayed photo; outputs.json says how far each tool's
files may differ from it (the fields of `Output` in tools/checks/annotation_tools.py). VIA and CSV
have no package that writes them: the script does, VIA as VIA 2.0.10's own source does.

| folder | version | what the tool changed |
|---|---|---|
"""
_DATES = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?|\d\d/\d\d/20\d\d,\d\d:\d\d:\d\d")
_YEAR = re.compile(r'("year": )20\d\d')


@dataclass(frozen=True)
class Output:
    """What one tool makes of the truth in one format, for a reader that makes no mistake.

    Attributes:
      tool, format: of the writer.
      pixels: the largest difference of a side; whole numbers are the tool's.
      crowds: 1 where the file says which object is a crowd.
      negatives: 1 where the photo without objects is part of what was written.
      extra: objects that the truth does not have.
      names: {name in the truth: name that was written}, where they differ.
      wrong: why nobody can read it; such files must be refused.
      note: what the tool changed, in words.
    """

    tool: str
    format: str
    pixels: float = 0.01
    crowds: int = 0
    negatives: int = 1
    extra: int = 0
    names: tuple[tuple[str, str], ...] = ()
    wrong: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.tool}_{self.format}"

    @property
    def version(self) -> str:
        """Of the tool."""
        packages = _PACKAGES[self.tool]
        return packages[0].partition("==")[2] if packages else ""


_WHOLE = "sides cut down to whole pixels"
_ROUNDED = "sides rounded to whole pixels"
_UPLOADED = "/data/upload/1/<hash>- before the names, _ for spaces"
_OBJECTS = "the crowd is an object"
_PARTS = "each part of an outline is an object, sides are those of a painted mask"
OUTPUTS = (
    Output("labelme", "json", note="no crowds; the parts of one object share a group_id"),
    Output("labelimg", "voc", pixels=1, note=f"{_WHOLE}, 0 becomes 1"),
    Output("labelimg", "yolo", pixels=1, note=f"{_WHOLE}, 0 becomes 1; classes as they were drawn"),
    Output("label_studio", "json", note=_UPLOADED),
    Output("label_studio", "json_local", note="/data/local-files/?d= before the names"),
    Output("label_studio", "json_min", note=_UPLOADED),
    Output("label_studio", "coco", note="ids from 0, alphabetical; no size without objects"),
    Output("label_studio", "voc", pixels=2, negatives=0, note="x, y, w, h each cut down"),
    Output("label_studio", "yolo", note="ids from 0, alphabetical; classes.txt"),
    Output("supervision", "coco", crowds=1, note="ids from 1"),
    Output("supervision", "voc", pixels=2, extra=1, note=f"{_PARTS}, and count from 1"),
    Output("supervision", "yolo", pixels=1.1, extra=1, note=_PARTS),
    Output("datumaro", "coco", note=f"ids from 1; {_OBJECTS} if it is a box"),
    Output("datumaro", "voc", note="no xml without objects; crowd in <attributes>"),
    Output("datumaro", "yolo", note="Darknet's layout; crowds left out, and named"),
    Output("datumaro", "ultralytics", note="lists of files; crowds left out, and named"),
    Output("datumaro", "kitti", note="names keep their spaces; a score at the end; no empty txt"),
    Output("datumaro", "cvat", note=_OBJECTS),
    Output("datumaro", "open_images", note="IsGroupOf is -1 for all"),
    Output("globox", "coco", note=f"annotation ids from 0; {_OBJECTS}"),
    Output("globox", "voc", note=_OBJECTS),
    Output("globox", "labelme", note=_OBJECTS),
    Output("globox", "cvat", note=f"no <meta>; {_OBJECTS}"),
    Output("globox", "open_images", negatives=0, note="ImageID with extension; flags are empty"),
    Output("globox", "via", note=f"class in label_id; {_OBJECTS}"),
    Output("pylabel", "coco", crowds=1, extra=1, note="a copy of the last box in the empty photo"),
    Output("pylabel", "voc", pixels=1, note=_WHOLE),
    Output("pylabel", "yolo", note="four decimals, for class ids too"),
    Output("fiftyone", "coco", crowds=1, note="ids from 1, alphabetical"),
    Output("fiftyone", "voc", pixels=1, note=_WHOLE),
    Output("fiftyone", "yolo", note=_OBJECTS),
    Output("fiftyone", "kitti", pixels=0.51, names=(("traffic light", "traffic_light"),),
           note=f"{_ROUNDED}, _ for spaces in names"),
    Output("fiftyone", "cvat", pixels=0.51, note=_ROUNDED),
    Output("sahi", "coco", note=f"{_OBJECTS}; image ids from 1"),
    Output("sahi", "yolo", wrong="the lines hold COCO's ids (90), data.yml three names from 0"),
    Output("labelformat", "coco", note=f"no annotation ids, area or iscrowd: {_OBJECTS}"),
    Output("labelformat", "voc", pixels=1, note=_WHOLE),
    Output("labelformat", "yolo", note="COCO's ids, with gaps, in the lines and as a map in names"),
    Output("labelformat", "kitti", note="names keep their spaces"),
    Output("labelformat", "cvat", note=_OBJECTS),
    Output("via", "project", note="a drop-down's option ids in the regions, its names apart"),
    Output("via", "json"),
    Output("via", "csv"),
    Output("plain_csv", "retinanet", note="no header; empty fields for no objects"),
    Output("plain_csv", "tensorflow", negatives=0, note="photos without objects cannot be named"),
)  # fmt: skip


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the check."""
    flags.DEFINE_string("output", "runs/annotation_tools", "Folder, made anew.", flag_values=values)
    flags.DEFINE_string(
        "environments",
        ".venv-annotations",
        "Folder of the tools' environments.",
        flag_values=values,
    )
    flags.DEFINE_string("fixtures", "", "Folder that gets what was written.", flag_values=values)
    flags.DEFINE_list("tools", sorted(_PACKAGES), "Whose files to write.", flag_values=values)


def check(options: flags.FlagValues) -> None:
    """Writes the truth by each tool."""
    if unknown := sorted(set(options.tools) - set(_PACKAGES)):
        raise UserError(f"--tools={unknown[0]} is none of {', '.join(sorted(_PACKAGES))}.")
    output = pathlib.Path(options.output).absolute()
    shutil.rmtree(output, ignore_errors=True)
    truth = make_truth(output / "truth", _SEED)
    outputs = [item for item in OUTPUTS if item.tool in options.tools]
    for item in track(outputs, "writing"):
        write(
            item,
            output / "truth",
            output / item.name,
            pathlib.Path(options.environments).absolute(),
        )
    if options.fixtures:
        keep(truth, outputs, output, pathlib.Path(options.fixtures))


def write(
    item: Output, truth: pathlib.Path, folder: pathlib.Path, environments: pathlib.Path
) -> None:
    """Runs one writer in the environment of its tool and strips what it wrote."""
    python = make_environment(environments / item.tool, _PACKAGES[item.tool])
    with tempfile.TemporaryDirectory() as home:  # some keep settings and a database at home
        result = subprocess.run(
            [python, "-m", _WRITERS, item.tool, item.format, truth, folder],
            cwd=_ROOT,
            env=os.environ | {"HOME": home, "QT_QPA_PLATFORM": "offscreen", "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
    if result.returncode:
        raise UserError(f"{item.tool} cannot write {item.format}:\n{result.stdout[-2000:]}")
    strip(folder, (str(truth), str(folder)))


def make_environment(folder: pathlib.Path, packages: Iterable[str]) -> str:
    """Installs a tool once; returns the path of its Python."""
    python, ready = folder / "bin" / "python", folder / "ready"
    wanted = "\n".join(packages)
    if not wanted:
        return sys.executable
    if not ready.exists() or ready.read_text() != wanted:
        print(f"installing {wanted.replace(chr(10), ', ')} in {folder}")
        install = [python, "-m", "pip", "install", "--quiet", *packages]
        for command in ([sys.executable, "-m", "venv", "--clear", folder], install):
            if subprocess.run(command).returncode:
                raise UserError(f"cannot make the environment {folder}; pip's message is above.")
        ready.write_text(wanted)
    return str(python)


def strip(folder: pathlib.Path, paths: tuple[str, ...]) -> None:
    """Takes this machine's folders and the time of writing out of all texts."""
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix.lower() not in (".jpg", ".png"):
            text = before = file.read_text("utf-8")
            for path in paths:
                text = text.replace(path, f"/data/{os.path.basename(path)}")
            text = _YEAR.sub(r"\g<1>2000", _DATES.sub("2000-01-01 00:00:00", text))
            if text != before:
                file.write_text(text, "utf-8")


def keep(
    truth: dict[str, Any], outputs: list[Output], source: pathlib.Path, fixtures: pathlib.Path
) -> None:
    """Puts what was written, the truth and what may differ from it into the tests' folder."""
    for item in outputs:
        shutil.rmtree(fixtures / item.name, ignore_errors=True)
        shutil.copytree(source / item.name, fixtures / item.name)
    write_json(fixtures / "truth.json", truth)
    described = {item.name: asdict(item) | {"version": item.version} for item in OUTPUTS}
    write_json(fixtures / "outputs.json", described)
    rows = [f"| {item.name} | {item.version} | {item.wrong or item.note} |" for item in OUTPUTS]
    write_text(fixtures / "README.md", _README + "\n".join(rows) + "\n")
    rich.print(f"{len(outputs)} sets are in {fixtures}")


if __name__ == "__main__":
    run(define_flags, check)
