"""Compound scaling: the paper's equations (1)-(3), its Table 1, and the models made of them.

`MODELS` is the hparams factory's table: a model's name -> the fields of ModelConfig (and of the
schedule) in which it differs from the defaults. The released weights decide every number.
"""

from __future__ import annotations

import dataclasses
import difflib
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
# The two largest were trained twice as long (reference README).
_EPOCHS = {"efficientdet-d7": 600, "efficientdet-d7x": 600}


def list_models() -> list[str]:
    """Returns the names that `load_config(model=...)` and `--model` take, small to large."""
    return list(MODELS)


def sized_config(name: str) -> Config:
    """Returns the configuration of a named model; everything else keeps its default.

    Raises:
      ConfigError: no model has this name; the message gives the nearest one.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(MODELS)}."
        raise ConfigError(f"there is no model {name!r}; {hint}")
    return replace(
        Config(), model={"name": name} | MODELS[name], train={"epochs": scratch_epochs(name)}
    )


def scratch_epochs(name: str) -> float:
    """Returns for how many epochs a model is trained on COCO (paper 5.1, reference README)."""
    return _EPOCHS.get(name, Config().train.epochs)


def as_dict(config: Config) -> dict[str, Any]:
    """Returns the configuration as nested plain dicts and lists, ready for YAML or JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return value

    return plain(dataclasses.asdict(config))
