"""A font that has the signs of a data set's names, for what is drawn."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterable

import matplotlib
from absl import logging
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

# DejaVu comes with matplotlib and has Latin, Greek, Cyrillic and more; Pillow's own font does not.
_DEJAVU = str(pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
_PICTURES_OF_BLOCKS = "Last Resort"  # it has a frame for every sign, and no sign


def font_of(names: Iterable[str]) -> str:
    """Returns the path of a font for these names: DejaVu, or an installed one with more signs.

    Where none has all signs it is said once, and frames are drawn for those missing.
    """
    return _font_of("".join(sorted(set("".join(names)))))


@functools.lru_cache(maxsize=64)
def _font_of(signs: str) -> str:
    best, fewest = _DEJAVU, _missing(_DEJAVU, signs)
    for font in font_manager.fontManager.ttflist if fewest else []:
        if font.name.startswith(_PICTURES_OF_BLOCKS):
            continue
        missing = _missing(font.fname, signs)
        if len(missing) < len(fewest):
            best, fewest = font.fname, missing
        if not fewest:
            break
    if fewest:
        logging.warning(
            "no installed font has the signs %s of the classes' names; frames are drawn for them. "
            "Install one that has them, such as Noto Sans CJK.", "".join(fewest[:20]),
        )  # fmt: skip
    return best


def _missing(path: str, signs: str) -> list[str]:
    """Returns the signs that a font lacks; all of them where it cannot be read."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # gone since the list was made, or of another kind
        return list(signs)
    return [sign for sign in signs if sign.isprintable() and not font.get_char_index(ord(sign))]


def set_fonts(figure: Figure) -> None:
    """Has all texts of a figure drawn by DejaVu and, where it lacks a sign, by `font_of`."""
    texts = figure.findobj(Text)
    path = font_of(text.get_text() for text in texts)
    if path != _DEJAVU:
        family = ["DejaVu Sans", font_manager.FontProperties(fname=path).get_name()]
        for text in texts:
            text.set_family(family)
