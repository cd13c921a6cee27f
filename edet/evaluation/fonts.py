"""Fonts that have the characters of a data set's names between them, and what they write."""

from __future__ import annotations

import bisect
import functools
import math
import pathlib
from collections.abc import Iterable

import matplotlib
from absl import logging
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from PIL import ImageDraw, ImageFont

# DejaVu comes with matplotlib and has Latin, Greek, Cyrillic and more; Pillow's own font does not.
_DEJAVU = str(pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
_FRAMES = "Last Resort"  # it has a frame for every character
_chain: list[str] = [_DEJAVU]  # fonts that names have needed so far
_nowhere: set[str] = set()  # characters that were looked for in vain, and said


def fonts_of(names: Iterable[str]) -> list[str]:
    """Returns paths of fonts for names: DejaVu, then installed ones that have what it lacks.

    A character is drawn by the first that has it, so that none changes how the others look. Where
    none has a character it is said once, and a frame is drawn for it.
    """
    lacking = {c for c in "".join(names) if c.isprintable()} - _nowhere
    for path in _chain:
        lacking = _missing(path, lacking)
    while lacking:
        best = _best_for(lacking)
        left = _missing(best, lacking)
        if left == lacking:
            _nowhere.update(lacking)
            logging.warning(
                "no installed font has the characters %s of the names; frames are drawn for them. "
                "Install one that has them, such as Noto Sans CJK.", "".join(sorted(lacking)[:20]),
            )  # fmt: skip
            break
        _chain.append(best)
        lacking = left
    return list(_chain)


def _best_for(characters: set[str]) -> str:
    """Returns the path of the installed font that lacks the fewest."""
    installed = [
        f.fname for f in font_manager.fontManager.ttflist if not f.name.startswith(_FRAMES)
    ]
    return min(installed, key=lambda path: len(_missing(path, characters)), default=_DEJAVU)


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


class Letters:
    """Letters of one size, of `fonts_of`'s fonts, for what is written on a picture.

    Attributes:
      height: pixels of a line.

    Args:
      names: whose characters are needed.
      size: of the letters, in pixels.
    """

    def __init__(self, names: Iterable[str], size: int):
        self._fonts = {path: ImageFont.truetype(path, size) for path in fonts_of(names)}
        self._ascent, descent = self._fonts[_DEJAVU].getmetrics()
        self.height = self._ascent + descent

    def width(self, text: str) -> int:
        """Returns the pixels of a text, rounded up."""
        return math.ceil(sum(font.getlength(part) for font, part in self._parts(text)))

    def cut(self, text: str, width: int) -> str:
        """Returns a text as far as so many pixels hold it, with "…" where it goes on."""
        if self.width(text) <= width:
            return text
        longest = bisect.bisect(range(len(text)), width, key=lambda n: self.width(f"{text[:n]}…"))
        return f"{text[: max(0, longest - 1)]}…"

    def write(self, draw: ImageDraw.ImageDraw, x: int, y: int, text: str, ink: str) -> None:
        """Writes a text to the right of and below x, y, in pixels of the picture."""
        left: float = x
        for font, part in self._parts(text):
            draw.text((left, y + self._ascent), part, fill=ink, font=font, anchor="ls")
            left += font.getlength(part)

    def _parts(self, text: str) -> list[tuple[ImageFont.FreeTypeFont, str]]:
        """Splits a text where its font changes; joiners and the like stay with what they join."""
        parts: list[tuple[str, str]] = []
        for sign in text:
            path = next((path for path in self._fonts if not _missing(path, {sign})), _DEJAVU)
            if parts and (path == parts[-1][0] or not sign.isprintable()):
                path, before = parts.pop()
                sign = before + sign
            parts.append((path, sign))
        return [(self._fonts[path], part) for path, part in parts]


def set_fonts(figure: Figure) -> None:
    """Has all texts of a figure drawn by the fonts of `fonts_of`."""
    texts = figure.findobj(Text)
    paths = fonts_of(text.get_text() for text in texts)
    if len(paths) > 1:
        family = [font_manager.FontProperties(fname=path).get_name() for path in paths]
        for text in texts:
            text.set_family(family)
