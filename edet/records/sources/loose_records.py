"""Records that another program wrote, whose lists may be of any kind: what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from edet.records.schema import AREA_KEY, BBOX_KEYS, CROWD_KEY, LABEL_KEY, TEXT_KEY
from edet.records.sources.shapes import flag


class RecordedObject(NamedTuple):
    """One object of a record that another program may have written."""

    class_id: int | None  # None where the record has names alone
    name: str  # "" where it has ids alone
    box: tuple[float, float, float, float]  # ymin, xmin, ymax, xmax, shares
    is_crowd: bool
    area: float  # pixels squared; 0 where the record has none


def recorded_objects(features: Mapping[str, tf.train.Feature]) -> list[RecordedObject]:
    """Returns the objects of a record whose lists may be of any kind, and empty ones of another.

    Raises:
      ValueError: lists differ in length, or a value is no number.
    """
    sides = [_values(features, key) for key in BBOX_KEYS]
    count = len(sides[0])

    def one_for_each(*keys: str, default: Any) -> list[Any]:
        found = next(filter(None, (_values(features, key) for key in keys)), [])
        if len(found) not in (0, count):
            raise ValueError(f"{len(found)} values in {keys[0]} for {count} boxes")
        return found or [default] * count

    if len({len(side) for side in sides}) > 1:
        raise ValueError(f"the sides of its boxes are {', '.join(str(len(s)) for s in sides)}")
    ids, names = one_for_each(LABEL_KEY, default=None), one_for_each(TEXT_KEY, default=b"")
    # Open Images' own script calls its crowds groups.
    crowds = one_for_each(CROWD_KEY, "image/object/group_of", default=0)
    crowds = [c.decode(errors="replace") if isinstance(c, bytes) else c for c in crowds]
    areas = one_for_each(AREA_KEY, default=0)
    return [
        RecordedObject(
            None if class_id is None else int(class_id), name.decode(errors="replace"),
            tuple(map(float, box)), flag(is_crowd), float(area),
        )
        for class_id, name, box, is_crowd, area in zip(
            ids, names, zip(*sides, strict=True), crowds, areas, strict=True
        )
    ]  # fmt: skip


def _values(features: Mapping[str, tf.train.Feature], key: str) -> list[Any]:
    kind = features[key].WhichOneof("kind") if key in features else None
    return list(getattr(features[key], kind).value) if kind else []


def picture_of(features: Mapping[str, tf.train.Feature]) -> dict[str, Any]:
    """Returns what a record says of its picture: "encoded", "source_id", "filename", sizes.

    Raises:
      KeyError: it has no encoded picture.
    """
    texts = {
        key: b"".join(v for v in _values(features, f"image/{key}") if isinstance(v, bytes))
        for key in ("encoded", "source_id", "filename")
    }
    if not texts["encoded"]:
        raise KeyError("image/encoded")
    names = {key: texts[key].decode(errors="replace") for key in ("source_id", "filename")}
    sizes = {key: (_values(features, f"image/{key}") or [-1])[0] for key in ("height", "width")}
    return {"encoded": texts["encoded"], **names, **sizes}
