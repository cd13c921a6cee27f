"""Cuts the figures of this folder from the full golden data, which is too large to be kept here.

    python -m tests.golden.cut ../shared/golden

The full files hold what google/automl efficientdet @6a54c87 printed under TensorFlow 2.15.1;
README.md says what is in each file here. Files that are not listed below were cut by hand.
"""

import json
import pathlib
import sys

import numpy as np

from tests.golden.summary import summarize

HERE = pathlib.Path(__file__).parent
LEVELS = range(3, 8)
NETWORKS = ("d0_128", "d0_136x200", "d0_512")
# Beside the modes that post.npz had from the start.
POST_MODES = ("global_gaussian_0_topk500", "combined_0.4")


def cut_networks(full: pathlib.Path) -> dict[str, np.ndarray]:
    """Summarises every tensor of the three D0 networks."""
    figures = {}
    for case in NETWORKS:
        file = np.load(full / f"{case}.npz")
        figures[f"{case}/meta"] = file["meta"]
        for key in sorted(set(file.files) - {"meta", "image"}):
            figures[f"{case}/{key}"] = summarize(key, file[key])
    return figures


def cut_pipeline(full: pathlib.Path) -> dict[str, np.ndarray]:
    """The reference's labels of the four records in tiny.tfrecord, positive anchors only."""
    figures = {}
    for kind in ("eval", "train"):
        file = np.load(full / f"pipeline_{kind}.npz")
        for batch in "01":
            classes, boxes = (
                np.concatenate(
                    [file[f"{batch}/{name}_targets_{k}"].reshape(2, -1, width) for k in LEVELS], 1
                )
                for name, width in (("cls", 1), ("box", 4))
            )
            for image, source_id in enumerate(file[f"{batch}/source_ids"]):
                positive = np.flatnonzero(classes[image, :, 0] >= 0)
                prefix = f"{kind}/{int(source_id)}/"
                figures[prefix + "positive"] = positive.astype(np.int32)
                figures[prefix + "class_targets"] = classes[image, positive, 0]
                figures[prefix + "box_targets"] = boxes[image, positive]
            # Every entry is the mean of the batch.
            assert file[f"{batch}/mean_num_positives"].sum() == (classes >= 0).sum()
    return figures


def cut_photo(full: pathlib.Path) -> dict[str, np.ndarray]:
    """What does not need the pixels of the reference's img1.jpg, which is not among the data."""
    file = np.load(full / "preprocess_img1.npz")
    sizes = ("512", "640", "lite320")
    keys = [f"{s}/{k}" for s in sizes for k in ("scale", "scale_to_original", "scaled_hw")]
    keys += ["decoded_shape", "decoded_mean", "512/channel_mean"]
    return {key: file[key] for key in keys}


def cut_suppression(full: pathlib.Path) -> dict[str, np.ndarray]:
    """Adds modes to post.npz, of the same image."""
    figures = dict(np.load(HERE / "post.npz"))
    file = np.load(full / "post_1.npz")
    for mode in POST_MODES:
        count = int(file[f"{mode}/valid_len"][0])
        for part in ("boxes", "scores", "classes"):
            figures[f"{mode}/{part}"] = file[f"{mode}/{part}"][0, :count]
    return figures


def cut_end_to_end(full: pathlib.Path) -> dict[str, np.ndarray]:
    """The first of two images and its detections in four modes, without the padding rows."""
    file = np.load(full / "e2e.npz")
    figures = {"meta": file["meta"], "image": file["images"][0]}
    for mode in (f"{a}_{b}" for a in ("global", "per_class") for b in ("gaussian", "hard")):
        count = int(file[f"{mode}/valid_len"][0])
        for part in ("boxes", "scores", "classes"):
            figures[f"{mode}/{part}"] = file[f"{mode}/{part}"][0, :count]
    return figures


def main(full: pathlib.Path) -> None:
    """Writes the files anew."""
    for name, cut in {
        "networks": cut_networks, "pipeline_targets": cut_pipeline, "photo": cut_photo,
        "post": cut_suppression, "e2e": cut_end_to_end,
    }.items():  # fmt: skip
        figures = cut(full)
        np.savez_compressed(HERE / f"{name}.npz", **figures)
        size = (HERE / f"{name}.npz").stat().st_size
        print(json.dumps({"file": f"{name}.npz", "bytes": size, "arrays": len(figures)}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
