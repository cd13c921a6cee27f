"""Reads VoTT's JSON: an `<id>-asset.json` for each picture, or the one `<project>-export.json`.

A box is left, top, width and height in pixels. A region of several tags is an object of each, as in
VoTT's own exports. The project's own file (`*.vott`) has no regions and is not needed.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from edet.files import read_json
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, by_split
from edet.records.sources.shapes import (
    BAD_IMAGE,
    NO_BOX,
    OUTLINE,
    WRONG,
    Seen,
    bounds,
    in_words,
    pixels,
    read_files,
    read_objects,
    text,
)  # fmt: skip

_ASSET = re.compile(r'"asset"\s*:\s*\{')
_REGIONS = re.compile(r'"regions"\s*:\s*\[')
_OF_ONE, _EXPORT = "-asset.json", "-export.json"  # what an id, and a project's name, end with
_VIDEO, _FRAME = 2, 3  # types of assets
_NOT_VISITED = 0
_UNSEEN = "dropped: picture that nobody has visited"
_LINES = ("POLYLINE", "POINT")


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its JSON files} of a folder, exports last; {} where there is none."""
    files = folder.alike(folder.matching("*.json"), _is_vott)
    return by_split(sorted(files, key=lambda file: file.lower().endswith(_EXPORT)))


def _is_vott(head: str) -> bool:
    return head.lstrip().startswith("{") and bool(_ASSET.search(head) and _REGIONS.search(head))


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a JSON of something else is reported by name.

    An export beside the files of its pictures holds these once more, and maybe others.
    """
    found = Annotations(folder.path(files[0]), [], "xywh", split=split)
    parsed = read_files(folder, files, _parse, found.tally)
    own = {posixpath.basename(file).removesuffix(_OF_ONE) for file in parsed}
    for file, entries in parsed.items():
        for key, entry in entries.items():
            if key in own:
                continue
            try:
                image = _picture(entry, found.tally)
            except WRONG as error:
                what = f"{key} of {file}" if key else file
                found.tally.image_problem(what, BAD_IMAGE, in_words(error))
                continue
            if image is not None:
                found.images.append(image._replace(base=posixpath.dirname(file)))
    return found


def _parse(path: str) -> dict[str, Any]:
    """Returns {id: picture with its regions} of one file; the id is "" where it has one only.

    Raises:
      UserError: it is no JSON; one of WRONG: it is something else's.
    """
    data = read_json(path, "VoTT annotations", kind=dict)
    if "asset" in data:
        return {"": data}
    if not isinstance(data["assets"], dict):
        raise ValueError("its assets are no object of JSON")
    return data["assets"]


def _picture(entry: dict[str, Any], tally: Tally) -> AnnotatedImage | None:
    """Returns the picture of an entry and its objects; None where nobody has looked at it."""
    asset, regions = entry["asset"], entry["regions"]
    if asset.get("type") == _VIDEO:
        raise ValueError("it is no picture but a video; have its frames exported")
    if not isinstance(regions, list):
        raise ValueError("its regions are no list")
    source_id, size = text(asset["name"]), asset.get("size") or {}
    if asset.get("state") == _NOT_VISITED and not regions:
        tally.image_problem(source_id, _UNSEEN)
        return None
    sides = pixels(size.get("height")), pixels(size.get("width"))
    # The path, mostly of another machine, tells apart what has one name in two folders; a frame's
    # is the video's.
    path = None if asset.get("type") == _FRAME else asset.get("path")
    name = text(path or source_id).removeprefix("file:")
    objects = read_objects(source_id, _tagged(regions), _seen, tally)
    return AnnotatedImage(name, source_id, objects, *sides)


def _tagged(regions: list[Any]) -> list[tuple[Any, Any]]:
    """Returns each region with each of its tags; None stands for one that is not there."""
    found = []
    for region in regions:
        tags = region.get("tags") if isinstance(region, dict) else None
        found += (
            [(region, tag) for tag in tags] if isinstance(tags, list) and tags else [(region, None)]
        )
    return found


def _seen(tagged: tuple[dict[str, Any], Any]) -> Seen:
    region, tag = tagged
    kind = region.get("type")
    if kind in _LINES:
        return Seen(None, NO_BOX)
    if tag is None:
        raise ValueError("it has no tag")
    note = OUTLINE if kind == "POLYGON" else ""
    if box := region.get("boundingBox"):
        sides = tuple(float(box[key]) for key in ("left", "top", "width", "height"))
        return Seen(AnnotatedObject(text(tag), sides), note)
    xmin, ymin, xmax, ymax = bounds((point["x"], point["y"]) for point in region["points"])
    return Seen(AnnotatedObject(text(tag), (xmin, ymin, xmax - xmin, ymax - ymin)), note)
