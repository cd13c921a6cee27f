"""Compound scaling: the paper's equations (1)-(3), its Table 1, and the models made of them.

`MODELS` is the hparams factory's table: a model's name -> the fields of ModelConfig (and of the
schedule) in which it differs from the defaults. The released weights decide every number.

Beside those, names may be made up: "efficientdet-phi1.5" is what the equations alone give for a
compound coefficient, "efficientdet-phi3-depth" is phi = 0 with one dimension as at phi = 3.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from typing import Any

from edet.config.schema import AnchorConfig, Config, ConfigError, replace


def pyramid_width(phi: float) -> float:
    """Channels of the feature network before rounding: 64 * 1.35^phi (equation 1)."""
    return 64 * 1.35**phi


def pyramid_repeats(phi: float) -> float:
    """Cells of the feature network: 3 + phi (equation 1)."""
    return 3 + phi


def head_repeats(phi: float) -> int:
    """Convolutions of each head: 3 + floor(phi / 3) (equation 2)."""
    return 3 + int(phi // 3)


def image_side(phi: float) -> float:
    """Side of the square input in pixels: 512 + 128 * phi (equation 3)."""
    return 512 + 128 * phi


# (width, depth) multipliers of EfficientNet-B0 to B7 (arXiv 1905.11946)
BACKBONE_SCALES = (
    (1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1),
)  # fmt: skip
DIMENSIONS = ("resolution", "depth", "width", "channels")
_SCALED_NAME = re.compile(r"efficientdet-phi(\d+(?:\.\d+)?)(?:-(\w+))?")


def backbone_scales(phi: float) -> tuple[float, float]:
    """(width, depth) multipliers: EfficientNet-B<phi>'s, and what lies on the line between two.

    Above 7 the last line goes on; it meets the published B8, (2.2, 3.6).
    """
    below = min(int(phi), len(BACKBONE_SCALES) - 2)
    pairs = zip(BACKBONE_SCALES[below], BACKBONE_SCALES[below + 1], strict=True)
    width, depth = (round(low + (phi - below) * (high - low), 4) for low, high in pairs)
    return width, depth


def scaled_fields(phi: float, dimension: str | None = None) -> dict[str, Any]:
    """Returns the fields of ModelConfig that the equations alone give.

    Counts of layers are rounded to whole numbers (halves up), channels to multiples of 8 and the
    side to a multiple of 128, so that every level up to P7 halves evenly (paper 4.2).

    Args:
      phi: the compound coefficient, 0 or more.
      dimension: one of DIMENSIONS, to scale it alone: "resolution" of the input, "depth" of
        backbone, feature network and heads, "width" of the backbone, "channels" of the feature
        network and the heads. Together they are compound scaling, which is the default.
    """
    at = {each: phi if dimension in (None, each) else 0.0 for each in DIMENSIONS}
    scales = (backbone_scales(at["width"])[0], backbone_scales(at["depth"])[1])
    known = scales in BACKBONE_SCALES
    backbone = f"b{BACKBONE_SCALES.index(scales)}" if known else "w{:g}-d{:g}".format(*scales)
    return {
        "backbone": f"efficientnet-{backbone}",
        "image_size": _round(image_side(at["resolution"]), 128),
        "pyramid_width": _round(pyramid_width(at["channels"]), 8),
        "pyramid_repeats": _round(pyramid_repeats(at["depth"]), 1),
        "head_repeats": head_repeats(at["depth"]),
        "drop_connect_rate": 0.0 if backbone == "b0" else Config().model.drop_connect_rate,
    }


def _round(value: float, step: int) -> int:
    """The nearest multiple of `step`, the upper one of two."""
    return step * int(value / step + 0.5)


# Table 1 of the paper. Where it rounds otherwise than the equations, the table holds, because the
# released weights have its shapes: width 88 for 86.4, 112 for 116.6, 160 for 157.5, 224 for 212.6
# and 384 for 387.5; seven cells at phi = 5 and eight from phi = 6; side 1280 for 1152 at phi = 5.
# phi: (backbone, image side, pyramid width, pyramid repeats, head repeats)
TABLE_1: dict[str, tuple[str, int, int, int, int]] = {
    "efficientdet-d0": ("efficientnet-b0", 512, 64, 3, 3),
    "efficientdet-d1": ("efficientnet-b1", 640, 88, 4, 3),
    "efficientdet-d2": ("efficientnet-b2", 768, 112, 5, 3),
    "efficientdet-d3": ("efficientnet-b3", 896, 160, 6, 4),
    "efficientdet-d4": ("efficientnet-b4", 1024, 224, 7, 4),
    "efficientdet-d5": ("efficientnet-b5", 1280, 288, 7, 4),
    "efficientdet-d6": ("efficientnet-b6", 1280, 384, 8, 5),
    "efficientdet-d7": ("efficientnet-b6", 1536, 384, 8, 5),
    "efficientdet-d7x": ("efficientnet-b7", 1536, 384, 8, 5),
}
# The mobile models came after the paper (reference). Their last column is the anchor scale.
_LITE: dict[str, tuple[str, int, int, int, int, float]] = {
    "efficientdet-lite0": ("efficientnet-lite0", 320, 64, 3, 3, 3.0),
    "efficientdet-lite1": ("efficientnet-lite1", 384, 88, 4, 3, 3.0),
    "efficientdet-lite2": ("efficientnet-lite2", 448, 112, 5, 3, 3.0),
    "efficientdet-lite3": ("efficientnet-lite3", 512, 160, 6, 4, 4.0),
    "efficientdet-lite3x": ("efficientnet-lite3", 640, 200, 6, 4, 3.0),
    "efficientdet-lite4": ("efficientnet-lite4", 640, 224, 7, 4, 4.0),
}
_COLUMNS = ("backbone", "image_size", "pyramid_width", "pyramid_repeats", "head_repeats")

MODELS: dict[str, dict[str, Any]] = {
    name: dict(zip(_COLUMNS, row, strict=True)) for name, row in TABLE_1.items()
}
MODELS["efficientdet-d0"]["drop_connect_rate"] = 0.0  # the reference turns it off for B0
# Plain sums keep D6-D7x stable (paper 4.2); D7 has larger anchors for its larger input, and D7x
# a level more.
MODELS["efficientdet-d6"]["fusion"] = "sum"
MODELS["efficientdet-d7"] |= {"fusion": "sum", "anchors": AnchorConfig(scale=5.0)}
MODELS["efficientdet-d7x"] |= {"fusion": "sum", "max_level": 8}
MODELS |= {
    name: dict(zip(_COLUMNS, row, strict=False))
    | {
        "fusion": "sum",
        "activation": "relu6",
        "mean_rgb": (127.0, 127.0, 127.0),
        "stddev_rgb": (128.0, 128.0, 128.0),
        "anchors": AnchorConfig(scale=row[-1]),
    }
    for name, row in _LITE.items()
}
# What the paper's Tables 2 and 4 compare with: RetinaNet (arXiv 1708.02002) at 640 x 640. Its
# pixels are those of keras.applications' ResNets: mean colours taken away, not divided.
BASELINES: dict[str, dict[str, Any]] = {
    f"retinanet-{backbone}": {
        "backbone": backbone,
        "image_size": 640,
        "feature_network": "fpn",
        "fusion": "sum",
        "convolution": "full",
        "pyramid_width": 256,
        "pyramid_repeats": 1,
        "head_repeats": 4,
        "activation": "relu",
        "mean_rgb": (123.68, 116.779, 103.939),
        "stddev_rgb": (1.0, 1.0, 1.0),
    }
    for backbone in ("resnet50", "resnet101")
}
# The two largest were trained twice as long (reference README).
_EPOCHS = {"efficientdet-d7": 600, "efficientdet-d7x": 600}


def list_models() -> list[str]:
    """Returns the names of the released models, small to large.

    `load_config(model=...)` and `--model` also take those of `BASELINES` and made-up ones.
    """
    return list(MODELS)


def sized_config(name: str) -> Config:
    """Returns the configuration of a named model; everything else keeps its default.

    Args:
      name: of a released model, of one of `BASELINES`, or made up: "efficientdet-phi1.5",
        "efficientdet-phi3-depth" (see `scaled_fields`).

    Raises:
      ConfigError: no model has this name; the message gives the nearest one.
    """
    return replace(Config(), model={"name": name} | _fields(name))


def _fields(name: str) -> dict[str, Any]:
    known = MODELS | BASELINES
    if name in known:
        return known[name]
    scaled = _SCALED_NAME.fullmatch(name)
    if scaled and scaled[2] in (None, *DIMENSIONS):
        return scaled_fields(float(scaled[1]), scaled[2])
    if scaled:
        raise ConfigError(
            f"model {name!r} scales {scaled[2]!r} alone; the dimensions are "
            f"{', '.join(DIMENSIONS)}."
        )
    if name.endswith((".yaml", ".yml")):
        raise ConfigError(
            f"{name!r} is no model; a YAML file is --config, or load_config(path={name!r})."
        )
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}."
    raise ConfigError(f"there is no model {name!r}; {hint}")


def scratch_epochs(name: str) -> float:
    """Returns for how many epochs a model is trained on COCO (paper 5.1, reference README)."""
    return _EPOCHS.get(name, 300)


def as_dict(config: Config) -> dict[str, Any]:
    """Returns the configuration as nested plain dicts and lists, ready for YAML or JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return value

    return plain(dataclasses.asdict(config))
