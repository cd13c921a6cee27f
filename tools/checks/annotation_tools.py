"""Has one data set written by the annotation tools of others, and reads what they wrote.

  python -m tools.checks.annotation_tools --fixtures=tests/records/sources/fixtures
      --document=docs/data.md

Each tool runs in an environment of its own, made by the first run (about 4 GB in all). What it
wrote is stripped of paths and dates, so that a second run writes the same bytes.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict
from typing import Any

import rich
from absl import flags
from rich.progress import track

from edet.cli.common import run
from edet.errors import UserError
from edet.files import write_json, write_text
from tools.checks.annotation_outputs import OUTPUTS, PACKAGES, Output
from tools.checks.annotation_reading import compare, markdown
from tools.checks.annotation_truth import make_truth
from tools.checks.environments import make_environment

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_WRITERS = "tools.checks.annotation_writers"
_SEED = 0
_README = """# One data set as real tools write it

`make annotation-tools` writes this folder anew. truth.json holds the five photos with their boxes,
[ymin, xmin, ymax, xmax] in pixels of the displayed photo; outputs.json says how far each tool's
files may differ from it (the fields of `Output` in tools/checks/annotation_outputs.py). VIA, VoTT,
CSV and VisDrone have no package that writes them: the script does, VIA as VIA 2.0.10's own source
does, VoTT as VoTT's.

| folder | version | what the tool changed |
|---|---|---|
"""
_DATES = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?|\d\d/\d\d/20\d\d,\d\d:\d\d:\d\d")
_YEAR = re.compile(r'("year": )20\d\d')


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the check."""
    flags.DEFINE_string("output", "runs/annotation_tools", "Folder for all.", flag_values=values)
    flags.DEFINE_string(
        "environments",
        ".venv-annotations",
        "Folder of the tools' environments.",
        flag_values=values,
    )
    flags.DEFINE_string("fixtures", "", "Folder that gets what was written.", flag_values=values)
    flags.DEFINE_string("document", "", "Text that gets the table.", flag_values=values)
    flags.DEFINE_list("tools", sorted(PACKAGES), "Whose files to write.", flag_values=values)


def check(options: flags.FlagValues) -> None:
    """Writes the truth by each tool, reads it with edet, and compares."""
    if unknown := sorted(set(options.tools) - set(PACKAGES)):
        raise UserError(f"--tools={unknown[0]} is none of {', '.join(sorted(PACKAGES))}.")
    output = pathlib.Path(options.output).absolute()
    outputs = [item for item in OUTPUTS if item.tool in options.tools]
    for name in ("truth", *(item.name for item in outputs)):
        shutil.rmtree(output / name, ignore_errors=True)
    truth = make_truth(output / "truth", _SEED)
    environments = pathlib.Path(options.environments).absolute()
    for item in track(outputs, "writing"):
        write(item, output / "truth", output / item.name, environments)
    if options.fixtures:
        keep(truth, outputs, output, pathlib.Path(options.fixtures))
    readings = [compare(item, truth, output / item.name) for item in track(outputs, "reading")]
    table = markdown(readings)
    print(table)
    if options.document:
        document(pathlib.Path(options.document), table, "annotation_tools")
    if wrong := [reading for reading in readings if not reading.right]:
        raise UserError("\n".join(f"{each.item.name}: {each.problem}" for each in wrong))


def document(path: pathlib.Path, table: str, name: str) -> None:
    """Puts a table between the two comments of a text that name the script which made it."""
    opening, closing = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, mark, rest = path.read_text().partition(opening)
    _, end, after = rest.partition(closing)
    if not end:
        raise UserError(f"{path} lacks {opening.strip()} and {closing} around the table.")
    path.write_text(f"{before}{mark}{table}{end}{after}")


def write(
    item: Output, truth: pathlib.Path, folder: pathlib.Path, environments: pathlib.Path
) -> None:
    """Runs one writer in the environment of its tool and strips what it wrote."""
    python = make_environment(environments / item.tool, PACKAGES[item.tool])
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
