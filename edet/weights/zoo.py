"""Every set of weights that Google released for EfficientDet and EfficientNet, and what it expects.

Numbers are the authors' own: the READMEs of google/automl (efficientdet) and, for the backbones,
of tensorflow/tpu; the latencies of D0 to D7x are those of the paper's Table 2 (version 7). All
detectors have COCO's 90 logits for the ids 1 to 90. No checksum was ever published: the first
download of a file pins its own (see `download`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_BUCKET = "https://storage.googleapis.com/cloud-tpu-checkpoints"

# The anchors that these weights were trained with: 1.4 and 0.7 for what became sqrt(2) = 1.414 and
# 1 / sqrt(2) = 0.707 in September 2020, one percent a side. The lite models came later.
_OLD_ANCHORS = ("model.anchors.aspect_pairs=[[1.0,1.0],[1.4,0.7],[0.7,1.4]]",)
# AdvProp's pixels lie in [-1, 1]. It pads with black before scaling, others with the mean colour.
_ADVPROP = (
    *_OLD_ANCHORS,
    "model.mean_rgb=[127.5,127.5,127.5]",
    "model.stddev_rgb=[127.5,127.5,127.5]",
    "model.padding=-1.0",
)


@dataclass(frozen=True)
class Release:
    """One released set of weights. A figure that was never published is missing."""

    name: str
    model: str  # a name of `list_models()`, or the backbone's own name
    url: str  # of a .tar.gz or .tgz with a TF1 checkpoint
    settings: tuple[str, ...] = ()  # "section.key=value": where the weights leave the defaults
    sha256: str | None = None  # of the archive, in hexadecimal; None: pinned on first use
    parameters: float | None = None  # millions; of a backbone with its ImageNet head
    multiply_adds: float | None = None  # billions, for one image of the model's default size
    ap_test: float | None = None  # COCO test-dev2017, 0-100
    ap_val: float | None = None  # COCO val2017, 0-100
    ap_int8: float | None = None  # COCO val2017 after quantisation, 0-100
    latency: Mapping[str, float] = field(default_factory=dict, hash=False)  # {machine: ms}
    epochs: int | None = None

    @property
    def is_backbone(self) -> bool:
        """Whether these are ImageNet weights of a backbone, not a whole detector."""
        return self.name.startswith("efficientnet-")


# What the published latencies were measured on, one image at a time (paper 5.1).
_TITAN_V = "Titan V, float32"
_V100 = "V100, float16, end to end"
_PHONE = "a phone's CPU"
# phi: (test-dev AP, val AP, parameters, multiply-adds, Titan V, V100, epochs). In the README, D3
# takes 28.0 ms on the V100.
_D = {
    "d0": (34.6, 34.3, 3.9, 2.54, 12.0, 10.2, 300),
    "d1": (40.5, 40.2, 6.6, 6.10, 16.0, 13.5, 300),
    "d2": (43.9, 43.5, 8.1, 11.0, 23.0, 17.7, 300),
    "d3": (47.2, 46.8, 12.0, 24.9, 37.0, 29.0, 300),
    "d4": (49.7, 49.3, 20.7, 55.2, 65.0, 42.8, 300),
    "d5": (51.5, 51.2, 33.7, 130.0, 128.0, 72.5, 300),
    "d6": (52.6, 52.1, 51.9, 226.0, 169.0, 92.8, 300),
    "d7": (53.7, 53.4, 51.9, 325.0, 232.0, 122.0, 600),
    "d7x": (55.1, 54.4, 77.0, 410.0, 285.0, 153.0, 600),
}
# (float AP, int8 AP, parameters, latency)
_LITE = {
    "lite0": (26.41, 26.10, 3.2, 36.0),
    "lite1": (31.50, 31.12, 4.2, 49.0),
    "lite2": (35.06, 34.69, 5.3, 69.0),
    "lite3": (38.77, 38.42, 8.4, 116.0),
    "lite3x": (42.64, 41.87, 9.3, 208.0),
    "lite4": (43.18, 42.83, 15.1, 260.0),
}
# Trained at 640 x 640 whatever their phi: (AP, latency). The README does not name the split of this
# AP; beside its other latencies it gives test-dev's; Figure 9 of the paper, with 47.9, says val.
_640 = {
    "d2": (41.7, 14.8),
    "d3": (44.0, 18.7),
    "d4": (45.7, 21.7),
    "d5": (46.6, 26.6),
    "d6": (47.9, 33.8),
}
# Det-AdvProp with AutoAugment (arXiv 2103.13886): (test-dev AP, val AP)
_ADVPROP_AP = {
    "d0": (35.3, 35.1),
    "d1": (40.9, 40.8),
    "d2": (44.3, 44.3),
    "d3": (48.0, 47.7),
    "d4": (50.4, 50.4),
    "d5": (52.5, 52.2),
}
# (parameters, multiply-adds) of the ImageNet classifiers; b*: trained with AutoAugment.
_BACKBONES = {
    "b0": (5.3, 0.39),
    "b1": (7.8, 0.70),
    "b2": (9.2, 1.0),
    "b3": (12.0, 1.8),
    "b4": (19.0, 4.2),
    "b5": (30.0, 9.9),
    "b6": (43.0, 19.0),
    "b7": (66.0, 37.0),
    "lite0": (4.7, 0.407),
    "lite1": (5.4, 0.631),
    "lite2": (6.1, 0.899),
    "lite3": (8.2, 1.44),
    "lite4": (13.0, 2.64),
}


def _table() -> list[Release]:
    det, net = f"{_BUCKET}/efficientdet", f"{_BUCKET}/efficientnet"
    rows = []
    for phi, (ap_test, ap_val, parameters, multiply_adds, titan_v, v100, epochs) in _D.items():
        name = f"efficientdet-{phi}"
        rows.append(
            Release(
                name, name, f"{det}/coco2/{name}.tar.gz", _OLD_ANCHORS, ap_test=ap_test,
                ap_val=ap_val, parameters=parameters, multiply_adds=multiply_adds,
                latency={_TITAN_V: titan_v, _V100: v100}, epochs=epochs,
            )
        )  # fmt: skip
    for phi, (ap_val, ap_int8, parameters, latency) in _LITE.items():
        name = f"efficientdet-{phi}"
        rows.append(
            Release(
                name, name, f"{det}/coco/{name}.tgz", ap_val=ap_val, ap_int8=ap_int8,
                parameters=parameters, latency={_PHONE: latency},
            )
        )  # fmt: skip
    for phi, (ap_test, latency) in _640.items():
        name = f"efficientdet-{phi}-640"
        rows.append(
            Release(
                name, f"efficientdet-{phi}", f"{det}/coco640/{name}.tar.gz",
                (*_OLD_ANCHORS, "model.image_size=640"), ap_test=ap_test, parameters=_D[phi][2],
                latency={_V100: latency},
            )
        )  # fmt: skip
    for phi, (ap_test, ap_val) in _ADVPROP_AP.items():
        model = f"efficientdet-{phi}"
        rows.append(
            Release(
                f"{model}-advprop", model, f"{det}/advprop/{model}.tar.gz", _ADVPROP,
                ap_test=ap_test, ap_val=ap_val, parameters=_D[phi][2], multiply_adds=_D[phi][3],
            )
        )  # fmt: skip
    for kind, (parameters, multiply_adds) in _BACKBONES.items():
        name = f"efficientnet-{kind}"
        folder = "lite" if kind.startswith("lite") else "ckptsaug"
        rows.append(
            Release(
                name, name, f"{net}/{folder}/{name}.tar.gz", parameters=parameters,
                multiply_adds=multiply_adds,
            )
        )  # fmt: skip
    return rows


ZOO: dict[str, Release] = {release.name: release for release in _table()}
