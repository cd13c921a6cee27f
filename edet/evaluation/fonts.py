"""A font that has the characters of a data set's names, for what is drawn."""

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
_FRAMES = "Last Resort"  # it has a frame for every character
_found: list[str] = []  # fonts that names have needed: the next ones are likely of the same script
_nowhere: set[str] = set()  # characters that were looked for in vain, and said


def font_of(names: Iterable[str]) -> str:
    """Returns the path of a font for names: DejaVu, or an installed one that has what it lacks.

    Where none has a character it is said once, and a frame is drawn for it.
    """
    characters = {c for c in "".join(names) if c.isprintable()} - _nowhere
    lacking = _missing(_DEJAVU, characters)
    if not lacking:
        return _DEJAVU
    installed = [
        f.fname for f in font_manager.fontManager.ttflist if not f.name.startswith(_FRAMES)
    ]
    best, fewest = _DEJAVU, lacking
    for path in (*_found, *installed):
        missing = _missing(path, characters)
        if len(missing) < len(fewest):
            best, fewest = path, missing
        if not fewest:
            break
    if fewest:
        _nowhere.update(fewest)
        logging.warning(
            "no installed font has the characters %s of the names; frames are drawn for them. "
            "Install one that has them, such as Noto Sans CJK.", "".join(sorted(fewest)[:20]),
        )  # fmt: skip
    if best not in (_DEJAVU, *_found):
        _found.append(best)
    return best


def _missing(path: str, characters: set[str]) -> set[str]:
    """Returns the characters that a font lacks; all of them where it cannot be read."""
    try:
        font = _opened(path)
    except (OSError, RuntimeError):  # gone since the list was made, or of another kind
        return characters
    return {character for character in characters if not font.get_char_index(ord(character))}


@functools.lru_cache(maxsize=8)
def _opened(path: str) -> FT2Font:
    return FT2Font(path)


def set_fonts(figure: Figure) -> None:
    """Has all texts of a figure drawn by DejaVu and, where it lacks a character, by `font_of`."""
    texts = figure.findobj(Text)
    path = font_of(text.get_text() for text in texts)
    if path != _DEJAVU:
        family = ["DejaVu Sans", font_manager.FontProperties(fname=path).get_name()]
        for text in texts:
            text.set_family(family)
