"""What became of a data set that was written: for a file, for the terminal, or as an error."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from edet.errors import UserError
from edet.files import write_json
from edet.image.sixteen_bits import white_level_advice
from edet.image.transcode import STORED, TURNED
from edet.records.sources.example_set import Source, Tally

SIXTEEN_BITS = "written in 16 bits, values below "


@dataclass(frozen=True)
class Report:
    """What `write_records` has written."""

    shards: list[str]
    kept: int  # shards of an earlier run, left as they were
    labels: dict[int, str]
    tally: Tally

    def as_json(self) -> dict[str, Any]:
        """Returns the report as the JSON file holds it."""
        tally = self.tally.as_json()
        boxes = tally.pop("class_boxes")
        classes = [
            {"id": class_id, "name": name, "boxes": boxes.get(str(class_id), 0)}
            for class_id, name in self.labels.items()
        ]
        problems = tally.pop("problems")
        return {"shards": self.shards, **tally, "classes": classes, "problems": problems}

    def sentences(self, has_masks: bool) -> list[str]:
        """Returns what a person should know of pictures that were written.

        Args:
          has_masks: there is something to learn from pictures without boxes.
        """
        return [*filter(None, (self.advice(), self.orientations(), self.emptiness(has_masks)))]

    def orientations(self) -> str:
        """Says that photos of some boxes were turned and of others not; "" if they are alike."""
        stored, turned = (self.tally.images[what] for what in (STORED, TURNED))
        if not stored or not turned:
            return ""
        return (
            f"the boxes of {stored:,} photos are of the pixels as stored, as the sizes tell, and "
            f"{turned:,} were turned upright, whose sizes do not tell that; if one tool labelled "
            "all of them, write the records with create_tfrecords --exif=stored."
        )

    def advice(self) -> str:
        """Says what `model.white_level` should be for the pictures of 16 bits; "" if nothing."""
        brightest: list[int] = []
        for what, count in self.tally.images.items():
            if what.startswith(SIXTEEN_BITS):
                brightest += [int(what.removeprefix(SIXTEEN_BITS)) - 1] * count
        return white_level_advice(brightest)

    def emptiness(self, has_masks: bool) -> str:
        """Says that there is no object in any picture; "" if there is one, or masks to learn."""
        if has_masks or self.tally.boxes["written"]:
            return ""
        return (
            f"not one of the {self.tally.images['written']:,} pictures has an object: what learns "
            "from them finds nothing. If they should have some, look where their annotations are."
        )

    def tables(self) -> list[Table]:
        """Returns the figures as tables for rich."""
        counts = Table("", "images", "boxes", title="What became of the data")
        tally = self.tally
        for what in sorted({*tally.images, *tally.boxes}, key=lambda w: (w != "written", w)):
            row = (tally.images.get(what, ""), tally.boxes.get(what, ""))
            counts.add_row(what, *(f"{n:,}" if n != "" else "" for n in row))
        classes = Table("id", "class", "boxes", title="Boxes written")
        for class_id, name in self.labels.items():
            boxes = tally.class_boxes.get(str(class_id), 0)
            classes.add_row(str(class_id), escape(name), f"{boxes:,}")
        problems = [tally.problem_table("in the .report.json")] if tally.problems else []
        return [counts, classes, *problems]


def nothing_read(source: Source, output: str) -> UserError:
    """Returns the error for a source without images; what its reader dropped is reported."""
    sentence = f"there are no images to write to {output}; check the annotations"
    if not source.tally.problems:
        return UserError(f"{sentence}.")
    write_json(f"{output}.report.json", Report([], 0, source.labels, source.tally).as_json())
    return UserError(f"{sentence}: {_first(source.tally)} ({output}.report.json names all).")


def _first(tally: Tally) -> str:
    """The first problem that dropped something, or the first of all."""
    dropped = [p for p in tally.problems if p["what"].startswith("dropped")]
    problem = (dropped or tally.problems)[0]
    return ": ".join(filter(None, (problem["file"], problem["what"], problem.get("detail"))))


def refuse_nothing(source: Source, total: Tally, output: str) -> None:
    """Checks that something was written that a network can learn from.

    Images without boxes are welcome, but where all boxes were dropped there is a mistake.

    Raises:
      UserError: there is no image, or none of the annotated boxes.
    """
    if not total.images["written"]:
        raise UserError(
            f"no image could be written; the first, {_first(total)} ({output}.report.json names "
            "all)."
        )
    dropped = Counter({k: n for k, n in total.boxes.items() if k.startswith("dropped") and n})
    if dropped and not total.boxes["written"] and not source.mask_labels:
        ((what, count),) = dropped.most_common(1)
        raise UserError(
            f"none of the {dropped.total():,} annotated boxes could be written, {count:,} of them "
            f"{what}; fix the annotations by {output}.report.json, which names each file."
        )
    if not source.labels and not source.mask_labels:
        raise UserError(
            f"the {total.images['written']:,} pictures of {output} have not one object and no "
            "class; annotate some of them, or give --labels."
        )
