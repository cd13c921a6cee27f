"""Class identity: the data set's own ids and names, and which logit stands for which.

Logit k is the k-th id in rising order. There is no background class. An id whose name is empty
has a logit (the released weights have one for each of COCO's ids 1-90) but is never detected.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from edet.config.label_map_pbtxt import parse_pbtxt
from edet.config.schema import ConfigError, ModelConfig
from edet.config.yaml_text import parse_yaml
from edet.files import read_text

# Ids 1-90 in order; the ten that COCO never used are empty.
_COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,,"
    "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,,"
    "backpack,umbrella,,,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,"
    "baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,,wine glass,cup,fork,"
    "knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,"
    "couch,potted plant,bed,,dining table,,,toilet,,tv,laptop,mouse,remote,keyboard,cell phone,"
    "microwave,oven,toaster,sink,refrigerator,,book,clock,vase,scissors,teddy bear,hair drier,"
    "toothbrush"
)
# Pascal VOC's twenty, alphabetical, as ids 1-20.
_VOC = (
    "aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,"
    "person,pottedplant,sheep,sofa,train,tvmonitor"
)
BACKGROUND = "background"
LARGEST_ID = 2**31 - 1
NAMED_LABELS: dict[str, dict[int, str]] = {
    key: dict(enumerate(names.split(","), start=1))
    for key, names in {"coco": _COCO, "voc": _VOC}.items()
}


def tidy_name(name: str) -> str:
    """Returns a name on one line: a line break in it is drawn, listed and counted as two.

    Spaces around it are no part of it.
    """
    return " ".join(line.strip() for line in name.splitlines())


def distinct_names(labels: dict[int, str]) -> dict[int, str]:
    """Returns a name of its own for each id: where one is empty or twice there, the id is added.

    It is added again where another class has the new name.
    """
    times = Counter(labels.values())
    taken, distinct = set(times), {}
    for class_id, name in labels.items():
        new = name
        if not name or times[name] > 1:
            new = f"{name} ({class_id})" if name else f"{class_id}"
            while new in taken:
                new += f" ({class_id})"
            taken.add(new)
        distinct[class_id] = new
    return distinct


def read_labels(value: Any) -> dict[int, str]:
    """Returns {id: name} of what `model.labels` may hold: a map, "coco", "voc" or a file.

    A file is YAML or, where it ends in .pbtxt, the label map of the TF Object Detection API.

    Raises:
      ConfigError: the file is not a map of whole numbers to text.
    """
    if not value:
        return {}
    if isinstance(value, str):
        if value in NAMED_LABELS:
            return dict(NAMED_LABELS[value])
        source = f"label map {value}"
        parse = parse_pbtxt if value.lower().endswith(".pbtxt") else parse_yaml
        value = parse(read_text(value, "label map"), source)
    else:
        source = "the label map"
    if not isinstance(value, dict):
        raise ConfigError(f"{source} must be a map of ids to names, such as '1: person'.")
    for class_id, name in value.items():
        if not isinstance(class_id, int) or isinstance(class_id, bool):
            raise ConfigError(f"{source} has the id {class_id!r}; ids are whole numbers.")
        if abs(class_id) > LARGEST_ID:
            raise ConfigError(
                f"{source} has the id {class_id}; ids lie within {LARGEST_ID}, for 32 bits hold "
                "them in TensorFlow's files; number the classes anew."
            )
        if name is not None and not isinstance(name, str):  # no is False, and 12:30 is 750
            raise ConfigError(
                f"label {class_id} of {source} is {name!r}, which YAML does not take for text; "
                "write it in quotes."
            )
    return {class_id: tidy_name(name or "") for class_id, name in value.items()}


def read_mask_labels(value: Any) -> dict[int, str]:
    """As `read_labels`, of `model.segmentation.labels`: "coco" and "voc" have a background, 0."""
    labels = read_labels(value)
    if isinstance(value, str) and value in NAMED_LABELS:
        return {0: BACKGROUND} | {class_id: name for class_id, name in labels.items() if name}
    return labels


def mask_labels_of(model: ModelConfig) -> dict[int, str]:
    """Returns {value of the masks: name} in the order of the segmentation's logits.

    Without labels, 21 classes are VOC's, and any other number is values 0..C-1 named "class 0", ...
    """
    labels, count = model.segmentation.labels, model.segmentation.num_classes
    if not labels and count == 1 + len(NAMED_LABELS["voc"]):
        return read_mask_labels("voc")
    return labels or {value: f"class {value}" for value in range(count)}


def labels_of(model: ModelConfig) -> dict[int, str]:
    """Returns {id: name} in logit order, whatever the configuration leaves out.

    Without labels, 90 classes are COCO's, and any other number is ids 1..K named "class 1", ...
    """
    if model.labels:
        return dict(model.labels)
    if model.num_classes == len(NAMED_LABELS["coco"]):
        return dict(NAMED_LABELS["coco"])
    return {k: f"class {k}" for k in range(1, model.num_classes + 1)}


def class_ids(model: ModelConfig) -> list[int]:
    """Returns the data set's id of each logit."""
    return list(labels_of(model))


def detectable(model: ModelConfig) -> list[bool]:
    """Returns for each logit whether its class may be detected; ids without a name may not."""
    return [bool(name) for name in labels_of(model).values()]
