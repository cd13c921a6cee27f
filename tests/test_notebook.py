"""The notebook of docs/ runs from its first cell to its last, with a network of seconds."""

import ast
import json
import pathlib

import pytest

from edet.evaluation.report import Evaluated
from edet.workflows.predictions import Prediction
from tests import small
from tests.conftest import REPOSITORY

assert small.BACKBONES  # importing it makes its backbone known
NOTEBOOK = REPOSITORY / "docs" / "from_folder_to_phone.ipynb"
SMALL = [
    "train.steps=4", "data.batch_size=4", "model.image_size=64", "model.max_level=5",
    "model.backbone=efficientnet-lite-tiny", "model.pyramid_width=16", "model.pyramid_repeats=1",
    "model.head_repeats=1", "export.calibration_images=4",
]  # fmt: skip


def run_cell(text: str, names: dict) -> object:
    """Runs a cell as Jupyter does; returns the value of its last line, if that is one."""
    tree = ast.parse(text)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), names)
    return last and eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


def test_cells_hold_no_output_and_parse():
    """Without running them: this one is for each change."""
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs")
        if cell["cell_type"] == "code":
            ast.parse("".join(cell["source"]))


@pytest.mark.slow
@pytest.mark.thorough
def test_the_notebook_leads_from_a_folder_to_a_phone_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, shown = {}, []
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            text = "".join(cell["source"])
            if "settings" in cell["metadata"].get("tags", ()):
                text = f"PICTURES, SETTINGS = 16, {SMALL}"
            shown.append(run_cell(text, names))
    kinds = [type(value) for value in shown if value is not None]
    assert kinds == [list, dict, Prediction, Evaluated, Prediction]
    assert pathlib.Path(names["phone"]).stat().st_size > 10_000
    assert pathlib.Path("runs/shapes/report.html").exists()
    assert all(shown[k]._repr_png_().startswith(b"\x89PNG") for k in (-3, -1))
