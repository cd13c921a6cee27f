"""Names in signs that matplotlib's own font lacks are drawn by an installed one, or it is said."""

import logging
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from edet.evaluation import fonts
from edet.evaluation.fonts import font_of
from edet.evaluation.plots import draw_boxes, plain, save_figure

HOOKED = "\u1d81"  # a d with a hook: STIX has it, which comes with matplotlib, and DejaVu has not


@pytest.fixture(autouse=True)
def forgotten():
    _forget()


def _forget():
    fonts._found.clear()
    fonts._nowhere.clear()


def test_dejavu_where_it_has_all_signs_and_another_where_not():
    assert font_of(["größe", "кот", "a b"]).endswith("DejaVuSans.ttf")
    assert "STIX" in font_of(["cat", HOOKED])


def test_what_no_font_has_is_said_once(caplog, monkeypatch):
    monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", [])
    with caplog.at_level(logging.WARNING):
        assert font_of(["\u672c"]).endswith("DejaVuSans.ttf")
        assert font_of(["cat", "\u672c"]).endswith("DejaVuSans.ttf")  # another picture's names
    said = [one.getMessage() for one in caplog.records if "no installed font" in one.getMessage()]
    assert len(said) == 1 and "characters \u672c of" in said[0] and "Noto Sans CJK" in said[0]


def test_a_font_that_is_gone_is_passed_over(monkeypatch):
    gone = fonts.font_manager.FontEntry(fname="/nowhere.ttf", name="Gone")
    known = [gone, *fonts.font_manager.fontManager.ttflist]
    monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", known)
    assert "STIX" in font_of([HOOKED])


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
