"""What LiteRT and ONNX files share."""

import pytest

from edet.errors import UserError
from edet.export.litert import export_litert
from edet.export.onnx import export_onnx


@pytest.mark.parametrize("write", [export_litert, export_onnx])
def test_a_place_that_cannot_be_taken_is_refused_before_the_work(tmp_path, write):
    """There is no network to work with, and none is asked for."""
    ending = "onnx" if write is export_onnx else "tflite"
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / f"folder.{ending}").mkdir()
    for name, words in (("notes", "notes.json describes no model file"), ("folder", "is a folder")):
        with pytest.raises(UserError, match=words):
            write(None, None, str(tmp_path / f"{name}.{ending}"))
