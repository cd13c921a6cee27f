"""Names in signs that matplotlib's own font lacks are drawn by an installed one, or it is said."""

import logging
import pathlib
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from edet.evaluation import fonts
from edet.evaluation.fonts import Letters, fonts_of
from edet.evaluation.plots import draw_boxes, plain, save_figure

HOOKED = "\u1d81"  # a d with a hook: STIX has it, which comes with matplotlib, and DejaVu has not


@pytest.fixture(autouse=True)
def forgotten():
    _forget()


def _forget():
    del fonts._chain[1:]
    fonts._nowhere.clear()


def _names(paths):
    return [pathlib.Path(path).stem for path in paths]


def test_dejavu_where_it_has_all_signs_and_another_beside_it_where_not():
    assert _names(fonts_of(["größe", "кот", "a b"])) == ["DejaVuSans"]
    assert _names(fonts_of(["cat", HOOKED])) == ["DejaVuSans", "STIXGeneral"]


def test_what_no_font_has_is_said_once(caplog, monkeypatch):
    monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", [])
    with caplog.at_level(logging.WARNING):
        assert _names(fonts_of(["\u672c"])) == ["DejaVuSans"]
        assert _names(fonts_of(["cat", "\u672c"])) == ["DejaVuSans"]  # another picture's names
    said = [one.getMessage() for one in caplog.records if "no installed font" in one.getMessage()]
    assert len(said) == 1 and "characters \u672c of" in said[0] and "Noto Sans CJK" in said[0]


def test_a_font_that_is_gone_is_passed_over(monkeypatch):
    gone = fonts.font_manager.FontEntry(fname="/nowhere.ttf", name="Gone")
    known = [gone, *fonts.font_manager.fontManager.ttflist]
    monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", known)
    assert _names(fonts_of([HOOKED])) == ["DejaVuSans", "STIXGeneral"]


def _written(text, names=()):
    """What is written of a text, [40, 400] grey: 0 where nothing is."""
    picture = Image.new("L", (400, 40))
    Letters([text, *names], 20).write(ImageDraw.Draw(picture), 5, 5, text, "white")
    return np.asarray(picture)


def test_a_font_for_one_sign_changes_no_other_and_what_no_font_has_is_a_frame(monkeypatch):
    """STIX has but one of these Japanese signs, and draws nothing for what it lacks."""
    entries = fonts.font_manager.fontManager.ttflist
    stix = [one for one in entries if one.fname.endswith("STIXGeneral.ttf")]
    monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", stix)
    latin = _written("cat 90%")
    japanese = "とても長い日本語の名前、猫"
    np.testing.assert_array_equal(_written("cat 90%", [japanese]), latin)
    assert fonts._nowhere == set(japanese) - {"の"}
    frame = _written("\u672c")
    assert frame.any()
    for sign in fonts._nowhere:
        np.testing.assert_array_equal(_written(sign), frame)
    assert not np.array_equal(_written("の"), frame)
    # Each part begins where the one before it ends.
    both, width = _written("catの"), Letters(["cat"], 20).width("cat")
    np.testing.assert_array_equal(both[:, : 5 + width], _written("cat")[:, : 5 + width])
    assert Letters(["catの"], 20).width("catの") > width + 10


def test_a_text_is_cut_where_so_many_pixels_end():
    letters = Letters(["cat", HOOKED], 20)
    assert letters.cut("cat", letters.width("cat")) == "cat"
    assert letters.cut("cat", letters.width("cat") - 1) == "c…"
    assert letters.cut("cat", letters.width("ca…")) == "cat"  # "…" is wider than "t"
    assert letters.cut("x" * 300, letters.width("x" * 9 + "…")) == "x" * 9 + "…"
    assert letters.cut(HOOKED * 300, letters.width(HOOKED * 9 + "…")) == HOOKED * 9 + "…"
    assert letters.cut("cat", 0) == letters.cut("cat", -5) == "…"


def test_pictures_and_plots_show_the_sign(tmp_path, monkeypatch):
    """Other pixels than with DejaVu alone, which draws a frame; and no warning of matplotlib's."""

    def drawn():
        _forget()
        figure = Figure(figsize=(1, 1))
        figure.text(0.2, 0.2, HOOKED * 3)
        save_figure(figure, tmp_path / "a.png")
        boxes = draw_boxes(np.zeros((64, 64, 3), np.uint8), np.array([[9, 9, 50, 50]]), [HOOKED])
        return (tmp_path / "a.png").read_bytes(), boxes.tobytes()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_sign = drawn()
        monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", [])
        frames = drawn()
    assert with_sign[0] != frames[0] and with_sign[1] != frames[1]


def test_names_are_shown_as_they_are():
    """No formula, not left out of a legend, not longer than the page."""
    figure = Figure()
    axes = figure.subplots()
    for name in ("cat $5_$", "_background_", "x" * 300):
        axes.plot([0, 1], label=plain(name))
    shown = [text.get_text().lstrip("\N{ZERO WIDTH SPACE}") for text in axes.legend().get_texts()]
    assert shown == [r"cat \$5_\$", "_background_", "x" * 29 + "…"]
