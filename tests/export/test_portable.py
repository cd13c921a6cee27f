"""What LiteRT and ONNX files share."""

import pytest

from edet.config.schema import Config
from edet.errors import UserError
from edet.export.litert import export_litert
from edet.export.onnx import export_onnx
from edet.export.web import check_web


@pytest.mark.parametrize("write", [export_litert, export_onnx])
def test_a_place_that_cannot_be_taken_is_refused_before_the_work(tmp_path, write):
    """There is no network to work with, and none is asked for."""
    ending = "onnx" if write is export_onnx else "tflite"
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / f"folder.{ending}").mkdir()
    (tmp_path / f"other.{ending}").write_bytes(b"a network of others")
    for name, words in (
        ("notes", "notes.json describes no model file"), ("folder", "is a folder"),
        ("other", "is not of edet and would be replaced"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            write(None, None, str(tmp_path / f"{name}.{ending}"))


@pytest.mark.parametrize("name", ["index.html", "detect.js"])
def test_a_page_of_others_is_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("a page")
    with pytest.raises(UserError, match=f"{name} is not of edet and would be replaced"):
        check_web(Config(), str(tmp_path))
