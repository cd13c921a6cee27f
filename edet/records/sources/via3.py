"""VIA 3's projects, as VIA 2 would have written their pictures and regions.

Files are shown in views, and a region belongs to a view; the id of an option stands for its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edet.records.sources.example_set import Tally
from edet.records.sources.shapes import BAD_IMAGE, WRONG, in_words, text

_KEYS = ("file", "view", "metadata")
_PICTURE = 2  # of the types of files; others are videos and sounds
_POINT, _RECTANGLE, _CIRCLE, _ELLIPSE, _LINE, _POLYLINE, _POLYGON, _FOUR_POINTS = range(1, 9)
# How many numbers follow that of a shape, and what VIA 2 calls them.
_NAMED = {
    _RECTANGLE: ("rect", ("x", "y", "width", "height")),
    _CIRCLE: ("circle", ("cx", "cy", "r")),
    _ELLIPSE: ("ellipse", ("cx", "cy", "rx", "ry")),
}


def is_head(head: str) -> bool:
    """Whether the head of a JSON is that of a project."""
    is_versioned = '"vid_list"' in head or '"data_format_version"' in head
    return '"project"' in head and '"pid"' in head and is_versioned


def is_project(data: Any) -> bool:
    """Whether a JSON is a project."""
    return isinstance(data, dict) and all(isinstance(data.get(key), dict) for key in _KEYS)


def pictures_of(data: dict[str, Any], where: str, tally: Tally) -> list[tuple[str, list[Any]]]:
    """Returns the name of each picture and its regions; views of anything else are reported."""
    attributes = data.get("attribute")
    attributes = attributes if isinstance(attributes, dict) else {}
    regions: dict[str, list[Any]] = {key: [] for key in data["view"]}
    for one in data["metadata"].values():
        if isinstance(one, dict) and one.get("xy") and str(one.get("vid")) in regions:
            regions[str(one["vid"])].append(_region(one, attributes))
    found = []
    for key, view in data["view"].items():
        try:
            if len(view["fid_list"]) != 1:
                raise ValueError(f"it shows {len(view['fid_list'])} files")
            file = data["file"][str(view["fid_list"][0])]
            if file["type"] != _PICTURE:
                raise ValueError("it is no picture")
            # The path or URL tells apart what has one name in two folders; data holds the bytes.
            source = str(file.get("src") or "")
            name = file["fname"] if source[:5] in ("", "data:") else source
            found.append((text(name), regions[key]))
        except WRONG as error:
            tally.image_problem(f"view {key} of {where}", BAD_IMAGE, in_words(error))
    return found


def _region(one: dict[str, Any], attributes: dict[str, Any]) -> Any:
    """Returns a region of VIA 2, or one without a shape, which its reader reports."""
    try:
        named = {
            text(attributes[key]["aname"]): _option(attributes[key], value)
            for key, value in one["av"].items()
        }
        kind, *numbers = one["xy"]
        return {"shape_attributes": _shape(kind, numbers), "region_attributes": named}
    except WRONG:
        return None


def _option(attribute: dict[str, Any], value: Any) -> Any:
    """Returns the text of an option; of several, as check boxes give them, VIA 2's map."""
    options = attribute.get("options") or {}
    if value in options:
        return options[value]
    parts = str(value).split(",")
    return {options[part]: True for part in parts} if set(parts) <= set(options) else value


def _shape(kind: int, numbers: Sequence[float]) -> dict[str, Any]:
    if kind in (_POINT, _LINE):
        return {"name": "point"}
    if kind in (_POLYLINE, _POLYGON, _FOUR_POINTS):
        return {"name": "polygon", "all_points_x": numbers[::2], "all_points_y": numbers[1::2]}
    name, keys = _NAMED[kind]
    return {"name": name, **dict(zip(keys, numbers, strict=True))}
