"""Sound pictures, records and files of annotations, damaged as a seed and a number say."""

from __future__ import annotations

import copy
import functools
import io
import json
import math
import os
import pathlib
import random
import tempfile
import zlib

import numpy as np
import tensorflow as tf
import yaml
from PIL import Image

from edet.records.schema import Example, encode_example

PICTURES = ("jpeg", "png", "gif", "bmp", "webp")
TEXTS = ("records", "coco", "labels", "sets")
# Data sets as annotation tools wrote them, a folder each.
SETS = pathlib.Path(__file__).resolve().parents[2] / "tests" / "records" / "sources" / "fixtures"
_STRANGE = (
    None,
    "",
    "x",
    "\ud83d",
    -1,
    0,
    1.5,
    math.nan,
    1e400,
    2**70,
    True,
    [],
    {},
    [[]],
    {"a": 1},
)
# A data set that is a file of results, too.
COCO = {
    "images": [{"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 48} for i in (1, 2)],
    "categories": [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}],
    "annotations": [
        {"id": i, "image_id": 1 + i % 2, "category_id": 1, "bbox": [4, 5, 20.5, 9], "area": 99,
         "iscrowd": 0, "score": 0.5, "segmentation": [[1, 2, 3, 4, 5, 6]]}
        for i in range(4)
    ],
}  # fmt: skip


def damaged(kind: str, seed: int, number: int) -> bytes:
    """Returns the input of a number, always the same one.

    Of "sets" it is the path of a file below SETS, a zero byte, and what that file holds then.
    """
    dice = random.Random(f"{kind} {seed} {number}")
    if kind in PICTURES:
        data = damage(dice.choice(_pictures(kind)), dice)
        return _with_checksums(data) if kind == "png" and dice.random() < 0.6 else data
    if kind == "records":
        data = _record(dice.choice(_pictures("jpeg")))
        if dice.random() < 0.7:  # a whole file of a damaged record
            return _framed(damage(data, dice))
        return damage(_framed(data) * 2, dice)
    if kind == "sets":
        name = dice.choice(_annotation_files())
        data = (SETS / name).read_bytes()
        if name.endswith(".json") and dice.random() < 0.7:
            return f"{name}\0{json.dumps(_with_odd_values(json.loads(data), dice))}".encode()
        return f"{name}\0".encode() + damage(data, dice)
    value = COCO if kind == "coco" else {1: "cat", 2: "dog", 7: "a: b"}
    if dice.random() < 0.7:
        value = _with_odd_values(value, dice)
    text = (json.dumps if kind == "coco" else yaml.safe_dump)(value).encode()
    return text if dice.random() < 0.5 else damage(text, dice)


def damage(data: bytes, dice: random.Random) -> bytes:
    """Changes bytes here and there, half of the time in what may be a header."""
    found = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        at = dice.randrange(min(len(found), dice.choice((64, 10**9)))) if found else 0
        size = dice.choice((1, 2, 4, 30))
        extreme = dice.choice((b"\0", b"\xff", b"\x7f", b"\x80", dice.randbytes(1))) * size
        match dice.randrange(7):
            case 0 if found:
                found[at] ^= 1 << dice.randrange(8)
            case 1 | 2:
                found[at : at + size] = extreme
            case 3:
                found[at:at] = extreme
            case 4:
                del found[at : at + size]
            case 5:
                found[at:at] = found[dice.randrange(len(found) + 1) :][: 8 * size]
            case 6 if dice.random() < 0.3:
                del found[at:]
    return bytes(found)


def _pictures(kind: str, known: dict[str, list[bytes]] = {}) -> list[bytes]:  # noqa: B006
    """Sound pictures of a format, drawn once."""
    if kind not in known:
        pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
        colors = Image.fromarray(pixels)
        grey, palette = colors.convert("L"), colors.quantize(16)
        alpha = colors.convert("RGBA")
        alpha.putalpha(grey)
        deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 16)
        turned = Image.Exif()
        turned[0x0112] = 6
        more = {"save_all": True, "append_images": [palette.rotate(180)]}
        made = {
            "jpeg": [(colors, {}), (grey, {}), (colors.convert("CMYK"), {}),
                     (colors, {"progressive": True}), (colors, {"exif": turned})],
            "png": [(colors, {}), (palette, {}), (alpha, {}), (grey.convert("1"), {}), (deep, {})],
            "gif": [(palette, {}), (palette, more)],
            "bmp": [(colors, {}), (palette, {}), (grey, {}), (alpha, {})],
            "webp": [(colors, {}), (colors, {"lossless": True}), (alpha, {}), (colors, more)],
        }  # fmt: skip
        known[kind] = [_encoded(image, kind, saved) for image, saved in made[kind]]
    return known[kind]


def _encoded(image: Image.Image, kind: str, options: dict) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def _annotation_files() -> list[str]:
    files = (path for path in SETS.glob("*/**/*") if path.is_file() and path.suffix != ".jpg")
    return sorted(str(path.relative_to(SETS)) for path in files)


def _with_checksums(png: bytes) -> bytes:
    """Mends the checksums, without which a decoder looks no further into a damaged PNG."""
    found, at = bytearray(png), 8
    while at + 12 <= len(found):
        end = at + 8 + int.from_bytes(found[at : at + 4])
        found[end : end + 4] = zlib.crc32(found[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(found[: len(png)])


def _record(picture: bytes) -> bytes:
    boxes = np.array([[2, 3, 20, 21], [0, 0, 9, 9]], np.float32)
    example = Example(picture, "7", boxes, np.array([1, 2]), 24, 32)
    return encode_example(example, {1: "cat", 2: "dog"})


def _framed(record: bytes) -> bytes:
    """One record as a TFRecord file holds it, with its checksums."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "records")
        with tf.io.TFRecordWriter(path) as writer:
            writer.write(record)
        with open(path, "rb") as file:
            return file.read()


def _with_odd_values(value: object, dice: random.Random) -> object:
    """Replaces one or two values of a tree, or takes them away."""
    value = copy.deepcopy(value)
    for _ in range(dice.choice((1, 1, 2))):
        node = value
        while isinstance(node, dict | list) and node:
            key = dice.choice(list(node)) if isinstance(node, dict) else dice.randrange(len(node))
            if not isinstance(node[key], dict | list) or dice.random() < 0.2:
                if dice.random() < 0.2:
                    del node[key]
                else:
                    node[key] = dice.choice(_STRANGE)
                break
            node = node[key]
    return value
