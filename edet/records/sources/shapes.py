"""What the readers of annotation tools have in common: bounds of what is drawn, and what is said.

Boxes are xmin, ymin, xmax, ymax in the units of the points.
"""

from __future__ import annotations

import concurrent.futures
import math
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from edet.errors import UserError
from edet.records.sources.annotations import AnnotatedObject
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder

Box = tuple[float, float, float, float]
T = TypeVar("T")

# What an entry may raise that is not what its format says.
WRONG = (AttributeError, KeyError, TypeError, ValueError, OverflowError, IndexError)

# Unspecified is what VOC's own tools write of what nobody has said.
_WORDS_OF_FLAGS = dict.fromkeys(("true", "yes", "t", "y", "on"), True) | dict.fromkeys(
    ("", "false", "no", "f", "n", "off", "none", "null", "unspecified"), False
)

ONLY_CLASS = "object"  # of boxes whose files tell no classes
OUTLINE = "outline instead of a box (its bounds taken)"
JOINED = "shapes of one group (joined into one object)"
ROTATED = "rotated box (its bounds taken)"
NO_BOX = "dropped: point or line (it has no box)"
DAMAGED = "dropped: object that cannot be read"
NO_FILE = "without annotation file (taken as without objects)"
BAD_FILE = "dropped: annotation missing or unreadable"
BAD_IMAGE = "dropped: entry of a picture that cannot be read"


class Seen(NamedTuple):
    """One entry as a reader sees it: an object or None, and what is to be said of it, if any."""

    thing: AnnotatedObject | None
    note: str = ""


def bounds(points: Iterable[Sequence[Any]]) -> Box:
    """Returns the box around points [x, y].

    Raises:
      ValueError: there are fewer than two, one is no pair, or a number is not finite.
    """
    pairs = [_pair(point) for point in points]
    if len(pairs) < 2:
        raise ValueError("fewer than two points")
    if not all(math.isfinite(value) for pair in pairs for value in pair):
        raise ValueError("a coordinate is not finite")
    xs, ys = zip(*pairs, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _pair(point: Sequence[Any]) -> tuple[float, float]:
    try:
        x, y = point
        return float(x), float(y)
    except (TypeError, ValueError):
        raise ValueError(f"{reprlib.repr(point)} is no point [x, y]") from None


def rotated_bounds(box: Box, degrees: float, pivot: tuple[float, float] | None = None) -> Box:
    """Returns the box around one that is turned clockwise, about its centre or about `pivot`."""
    xmin, ymin, xmax, ymax = box
    x, y = pivot or ((xmin + xmax) / 2, (ymin + ymax) / 2)
    # Exactly 0 and 1 at right angles: a box that only lies on its side keeps its corners.
    quarter, rest = divmod(float(degrees), 90.0)
    sine, cosine = math.sin(math.radians(rest)), math.cos(math.radians(rest))
    for _ in range(int(quarter) % 4):
        sine, cosine = cosine, -sine
    return bounds(
        (x + cosine * (px - x) - sine * (py - y), y + sine * (px - x) + cosine * (py - y))
        for px, py in ((xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax))
    )


def ellipse_bounds(x: float, y: float, rx: float, ry: float, degrees: float = 0.0) -> Box:
    """Returns the box around an ellipse of centre x, y and half-axes rx, ry, turned clockwise."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    half_x, half_y = math.hypot(rx * cosine, ry * sine), math.hypot(rx * sine, ry * cosine)
    return bounds(((x - half_x, y - half_y), (x + half_x, y + half_y)))


def pixels(value: Any) -> int:
    """Returns a picture's side; -1 where it is not given, or no positive number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return -1
    return round(number) if 1 <= number < 2**31 else -1


def is_number(word: str) -> bool:
    """Whether a word of a line is a number, NaN and infinity included."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def flag(value: Any) -> bool:
    """Returns a flag that a file gives as a number, as text, or not at all.

    Of text, bool() is true whatever it says; not a number is how tables write what is missing.

    Raises:
      ValueError: it is neither.
    """
    word = str("" if value is None else value).strip().lower()
    if word in _WORDS_OF_FLAGS:
        return _WORDS_OF_FLAGS[word]
    number = float(word)
    return not math.isnan(number) and number != 0


def text(value: Any) -> str:
    """Returns a name that must be there.

    Raises:
      ValueError: it is empty, or neither text nor a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f"{value!r} is no name")
    name = str(value).strip()
    name.encode()  # refuses half of a letter ("\ud83d"), which nothing can write
    return name


def read_objects(
    file: str, entries: Iterable[T], read_one: Callable[[T], Seen], tally: Tally
) -> list[AnnotatedObject]:
    """Returns the objects of one picture; what is dropped or changed is reported by file.

    Args:
      file: names the picture or its annotation file in the report.
      entries: of the objects in the file.
      read_one: makes an object of an entry, or raises one of WRONG.
      tally: gets what is to be said.
    """
    things, notes, details = [], Counter(), {}
    for number, entry in enumerate(entries, start=1):
        try:
            thing, note = read_one(entry)
        except WRONG as error:
            thing, note = None, DAMAGED
            details.setdefault(note, f"object {number}: {in_words(error)}")
        if note:
            notes[note] += 1
        if thing is not None:
            things.append(thing)
    for note, count in notes.items():
        tally.box_problem(file, note, count, details.get(note, ""))
    return things


def in_words(error: Exception) -> str:
    """Says what is wrong with an entry, where Python only names the key."""
    return f"it has no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


def read_files(
    folder: Folder, names: Sequence[str], parse: Callable[[str], T], tally: Tally
) -> dict[str, T]:
    """Returns {name: what `parse` makes of the path}; files that cannot be read are reported."""

    def try_one(name: str) -> T | Exception:
        try:
            return parse(folder.path(name))
        except (UserError, *WRONG) as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = dict(zip(names, pool.map(try_one, names), strict=True))
    for name, value in found.items():
        if isinstance(value, Exception):
            tally.image_problem(name, BAD_FILE, in_words(value))
    return {name: value for name, value in found.items() if not isinstance(value, Exception)}
