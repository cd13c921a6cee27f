"""Lines of JSON as SageMaker, Azure and Vertex write them."""

import json

import pytest

from edet.errors import UserError
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED
from tests.records.sources.small_folders import make, objects, read

_AT = "azureml://subscriptions/s/workspaces/w/paths/img"


def sagemaker(name: str, *boxes: tuple, job="cats") -> dict:
    """Boxes are of the classes that the map of the job's metadata names."""
    keys = ("class_id", "left", "top", "width", "height")
    annotations = [dict(zip(keys, box, strict=True)) for box in boxes]
    size = [{"width": 60, "height": 50, "depth": 3}]
    return {
        "source-ref": f"s3://bucket/img/{name}",
        job: {"annotations": annotations, "image_size": size},
        f"{job}-metadata": {"class-map": {"0": "cat", "7": "dog"}, "objects": []},
    }


def azure(name: str, *entries: dict) -> dict:
    size = {"format": "jpg", "width": "60px", "height": "50px"}
    return {"image_url": f"{_AT}/{name}", "image_details": size, "label": list(entries)}


def vertex(name: str, *entries: dict, use="training") -> dict:
    resources = {"aiplatform.googleapis.com/ml_use": use}
    uri = f"gs://bucket/img/{name}"
    return {
        "imageGcsUri": uri, "boundingBoxAnnotations": entries, "dataItemResourceLabels": resources,
    }  # fmt: skip


def lines(*values) -> str:
    return "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values)


def test_sagemakers_manifest_has_pixels_and_names_in_the_metadata(tmp_path):
    """The first picture is not labelled yet; 10 + 30 is 40, 20 + 10.5 is 30.5."""
    text = lines(
        '{"source-ref":',
        {"source-ref": "s3://bucket/img/new.jpg"},
        sagemaker("a.jpg", (7, 10, 20, 30, 10.5), (0, 0, 0, 6, 5)),
        sagemaker("b.jpg"),
        sagemaker("c.jpg", (3, 1, 2, 3, 4)),  # a class that the map does not have
    )
    folder = make(tmp_path, {"output.manifest": text}, "img/a.jpg img/b.jpg img/c.jpg img/new.jpg")
    (source,) = read(folder, "json_lines").values()
    assert [*objects(source).values()] == [
        [("dog", 20, 10, 30.5, 40), ("cat", 0, 0, 5, 6)], [], [],
    ]  # fmt: skip
    assert (source.examples[0].height, source.examples[0].width) == (50, 60)
    assert source.tally.images == {BAD_IMAGE: 2} and source.tally.boxes == {DAMAGED: 1}


def test_azure_has_shares_crowds_and_polygons(tmp_path):
    box = {"label": "cat", "topX": 0.25, "topY": 0.5, "bottomX": 0.75, "bottomY": 1, "isCrowd": 1}
    polygon = {"label": "dog", "isCrowd": 0, "polygon": [[0, 0, 0.5, 0, 0.5, 0.25]]}
    text = lines(azure("a.jpg", box, polygon), azure("b.jpg"))
    folder = make(tmp_path, {"train_annotations.jsonl": text}, "img/a.jpg img/b.jpg")
    source = read(folder, "json_lines")["train"]
    assert [*objects(source).values()] == [
        [("cat", 0.5, 0.25, 1, 0.75), ("dog", 0, 0, 0.25, 0.5)], [],
    ]  # fmt: skip
    assert source.examples[0].relative and source.examples[0].is_crowd.tolist() == [True, False]
    assert source.examples[0].width == 60


def test_vertex_has_shares_and_says_the_split(tmp_path):
    """A side of 0 may be left out, as in all of Google's JSON."""
    box = {"displayName": "cat", "yMin": 0.5, "xMax": 0.75, "yMax": 1.0}
    text = lines(vertex("a.jpg", box), vertex("b.jpg", use="validation"))
    found = read(make(tmp_path, {"data.jsonl": text}, "img/a.jpg img/b.jpg"), "json_lines")
    assert {split: [*objects(one).values()] for split, one in found.items()} == {
        "train": [[("cat", 0.5, 0, 1, 0.75)]], "val": [[]],
    }  # fmt: skip


def test_files_of_two_clouds_are_no_one_split(tmp_path):
    files = {"a.manifest": lines(sagemaker("a.jpg")), "b.jsonl": lines(azure("a.jpg"))}
    with pytest.raises(UserError, match=r"a.manifest and .*b.jsonl are of one split and of 2"):
        read(make(tmp_path, files, "img/a.jpg"), "json_lines")
