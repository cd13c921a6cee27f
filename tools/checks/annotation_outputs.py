"""Which tools write the truth in which formats, and what each tool changes of it by itself."""

from __future__ import annotations

from dataclasses import dataclass

# Whose environment: what is installed in it. The first is the tool, and its version the one shown.
PACKAGES = {
    "labelme": ("labelme==6.3.1",),
    "labelimg": ("labelImg==1.8.6",),
    "label_studio": ("label-studio-sdk==2.1.2",),
    "supervision": ("supervision==0.31.2",),
    "datumaro": ("datumaro==1.13.12",),
    "globox": ("globox==2.9.0",),
    "pylabel": ("pylabel==0.1.55", "pandas==2.0.3", "numpy<2"),
    "fiftyone": ("fiftyone==1.22.1",),
    "sahi": ("sahi==0.12.8",),
    "labelformat": ("labelformat==0.1.17",),
    "supervisely": ("supervisely==6.74.51",),
    "darwin": ("darwin-py==3.6.3",),
    "huggingface": ("datasets==5.2.0",),
    "scalabel": ("scalabel==0.3.1", "pydantic<2"),
    # Formats without a package that writes them: VIA and VoTT are programs for people.
    "via": (),
    "vott": (),
    "plain_csv": (),
    "visdrone": (),
}


@dataclass(frozen=True)
class Output:
    """What one tool makes of the truth in one format, for a reader that makes no mistake.

    Attributes:
      tool, format: of the writer.
      pixels: the largest difference of a side; whole numbers are the tool's.
      crowds: 1 where the file says which object is a crowd.
      negatives: 1 where the photo without objects is part of what was written.
      extra: objects, or parts of them, that the truth does not have.
      missing: objects that are not there, or only in parts.
      names: {name in the truth: name that was written}, where they differ.
      wrong: why nobody can read it; such a set must be refused.
      note: what the tool changed, in words.
    """

    tool: str
    format: str
    pixels: float = 0.01
    crowds: int = 0
    negatives: int = 1
    extra: int = 0
    missing: int = 0
    names: tuple[tuple[str, str], ...] = ()
    wrong: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.tool}_{self.format}"

    @property
    def reader(self) -> str:
        """Of edet/records/sources/formats.py, by which this is read."""
        if self.tool == "huggingface":
            return "imagefolder"
        own = self.tool in ("labelme", "supervisely", "via", "visdrone") or self.format.startswith(
            "json"
        )
        names = {"ultralytics": "yolo", "retinanet": "csv", "tensorflow": "csv", "kaggle": "csv"}
        names |= {"makesense": "csv"}
        return self.tool if own else names.get(self.format, self.format)

    @property
    def version(self) -> str:
        """Of the tool."""
        packages = PACKAGES[self.tool]
        return packages[0].partition("==")[2] if packages else ""


_WHOLE = "sides cut down to whole pixels"
_ROUNDED = "sides rounded to whole pixels"
_UPLOADED = "`/data/upload/1/<hash>-` before the names, _ for spaces"
_OBJECTS = "the crowd is an object"
_PARTS = "each part of an outline is an object, sides are those of a painted mask"
_VISDRONE = (("person", "pedestrian"), ("traffic light", "motor"), ("dog", "people"))
_ONE_CLASS = tuple((name, "object") for name in ("person", "traffic light", "dog"))
OUTPUTS = (
    Output("labelme", "json", note="no crowds; the parts of one object share a group_id"),
    Output("labelimg", "voc", pixels=1, note=f"{_WHOLE}, 0 becomes 1"),
    Output("labelimg", "yolo", pixels=1, note=f"{_WHOLE}, 0 becomes 1; classes as they were drawn"),
    Output("labelimg", "createml", note="one list for all photos"),
    Output("label_studio", "json", note=_UPLOADED),
    Output("label_studio", "json_local", note="`/data/local-files/?d=` before the names"),
    Output("label_studio", "json_min", note=_UPLOADED),
    Output("label_studio", "coco", note="ids from 0, alphabetical; no size without objects"),
    Output("label_studio", "voc", pixels=2, note="corner and sides cut down; no empty xml"),
    Output("label_studio", "yolo", note="ids from 0, alphabetical; classes.txt"),
    Output("supervision", "coco", crowds=1, note="ids from 1"),
    Output("supervision", "voc", pixels=2, missing=1, extra=2, note=f"{_PARTS}, and count from 1"),
    Output("supervision", "yolo", pixels=1.1, missing=1, extra=2, note=_PARTS),
    Output("datumaro", "coco", note=f"ids from 1; {_OBJECTS} if it is a box"),
    Output("datumaro", "voc", crowds=1, note="no xml without objects; crowd in `<attributes>`"),
    Output("datumaro", "yolo", missing=1, note="Darknet's layout; crowds left out, and named"),
    Output("datumaro", "ultralytics", missing=1, note="lists of files; crowds left out, and named"),
    Output("datumaro", "kitti", note="names keep their spaces; a score at the end; no empty txt"),
    Output("datumaro", "cvat", note=f"{_OBJECTS}; outlines and boxes would be objects each"),
    Output("datumaro", "open_images", note="IsGroupOf is -1 for all"),
    Output("datumaro", "json", crowds=1, note="ids from 0; an outline and its box share a group"),
    Output("globox", "coco", note=f"annotation ids from 0; {_OBJECTS}"),
    Output("globox", "voc", note=_OBJECTS),
    Output("globox", "labelme", note=_OBJECTS),
    Output("globox", "cvat", note=f"no `<meta>`; {_OBJECTS}"),
    Output("globox", "open_images", negatives=0, note="ImageID with extension; flags are empty"),
    Output("globox", "via", note=f"class in label_id; {_OBJECTS}"),
    Output("pylabel", "coco", crowds=1, extra=1, note="the box before an empty photo twice"),
    Output("pylabel", "voc", pixels=1, note=_WHOLE),
    Output("pylabel", "yolo", note="four decimals, for class ids too"),
    Output("fiftyone", "coco", crowds=1, note="ids from 1, alphabetical"),
    Output("fiftyone", "voc", pixels=1, crowds=1, note=f"{_WHOLE}; crowd in `<iscrowd>`"),
    Output("fiftyone", "yolo", note=_OBJECTS),
    Output("fiftyone", "kitti", pixels=0.51, names=(("traffic light", "traffic_light"),),
           note=f"{_ROUNDED}, _ for spaces in names"),
    Output("fiftyone", "cvat", pixels=0.51, crowds=1, note=f"{_ROUNDED}; crowd in an attribute"),
    Output("sahi", "coco", note=f"{_OBJECTS}; image ids from 1"),
    Output("sahi", "yolo", wrong="the lines hold COCO's ids (90), data.yml three names from 0"),
    Output("labelformat", "coco", note=f"no annotation ids, area or iscrowd: {_OBJECTS}"),
    Output("labelformat", "voc", note=_OBJECTS),
    Output("labelformat", "yolo", note="COCO's ids, with gaps, in the lines and as a map in names"),
    Output("labelformat", "kitti", note="names keep their spaces"),
    Output("labelformat", "cvat", note=_OBJECTS),
    Output("supervisely", "json", pixels=1, note=f"{_WHOLE}, the last pixel included; {_OBJECTS}"),
    Output("darwin", "json", note="no crowds; classes are named by each object alone"),
    Output("huggingface", "jsonl", note="numbers of classes, whose names are in README.md"),
    Output("huggingface", "csv", note="JSON within a field, which its own to_csv does not write"),
    Output("scalabel", "json", crowds=1, note="boxes end with their last pixel, x2 - 1"),
    Output("via", "project", note="a drop-down's option ids in the regions, its names apart"),
    Output("via", "json"),
    Output("via", "csv"),
    Output("vott", "json_assets"),
    Output("vott", "json_export"),
    Output("vott", "csv", negatives=0, note="photos without objects cannot be named"),
    Output("plain_csv", "retinanet", note="no header; empty fields for no objects"),
    Output("plain_csv", "tensorflow", negatives=0, note="photos without objects cannot be named"),
    Output("plain_csv", "kaggle", names=_ONE_CLASS, note="one class, unnamed; no rows, no objects"),
    Output("plain_csv", "makesense", pixels=1.01, negatives=0,
           note=f"{_ROUNDED}; no header; photos without objects cannot be named"),
    Output("visdrone", "txt", pixels=1, crowds=1, names=_VISDRONE,
           note=f"{_WHOLE}; classes of its own; crowd by a score of 0"),
)  # fmt: skip
