"""The named recipes: values of settings that `train.recipe` stands for.

A name counts where it stands: what a YAML file sets is made for the recipe that it names, so that
another one given by --set replaces it, while what --set says besides is stronger.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from edet.config.schema import ConfigError

Layer = dict[str, Any]  # {section: settings}

# docs/recipes.md has what each of them was worth where.
RECIPES: dict[str, Layer] = {
    "paper": {},
    "modern": {
        "loss": {
            "assignment": "atss",
            "class_loss": "quality_focal",
            "gamma": 2.0,  # arXiv 2006.04388
            "box_weight": 0.0,
            "iou_loss": "giou",
            "iou_weight": 8.0,  # 2 for each positive anchor (arXiv 2006.04388): it is divided by 4
        },
        "train": {"optimizer": "adamw", "learning_rate": 0.0042, "warmup_learning_rate": 0.0},
        # 0.1 to 2 is for 300 epochs of COCO: a short training sees too little of the usual size.
        "augment": {"jitter_min": 0.5, "jitter_max": 1.5},
    },
}


def with_recipe(sources: Sequence[Sequence[Layer]], is_released: bool = False) -> list[Layer]:
    """Returns all layers, the weakest first, with the values of the recipe that they name.

    The last name counts. Its values are stronger than all sources before the one that brought it
    in, and weaker than whatever that one or a later one sets. Where none is named, it is "modern"
    for networks that detect and do nothing else, unless a setting of its losses or its optimiser is
    given (but AdamW itself): whoever gave it had the paper's others in mind.

    Args:
      sources: layers of settings, the weakest first; the order within a source means nothing.
      is_released: the training starts from weights that the paper's recipe has made, which it
        goes on with.

    Raises:
      ConfigError: there is no such recipe.
    """
    named = [
        (number, train["recipe"])
        for number, layers in enumerate(sources)
        for layer in layers
        if isinstance(train := layer.get("train"), dict) and "recipe" in train
    ]
    layers = itertools.chain(*sources)
    is_paper = is_released or any(map(_is_of_paper, layers))
    place, name = named[-1] if named else (0, "paper" if is_paper else "modern")
    if name not in RECIPES:
        raise ConfigError(f"train.recipe is {name!r}; choose one of {', '.join(RECIPES)}.")
    for number, earlier in reversed(named):  # to say a name again changes nothing
        if earlier != name:
            break
        place = number
    before, behind = itertools.chain(*sources[:place]), itertools.chain(*sources[place:])
    return [*before, {"train": {"recipe": name}}, RECIPES[name], *behind]


def _is_of_paper(layer: Layer) -> bool:
    """Whether a layer asks for a head of pixels, or gives a loss or optimiser that "modern" has.

    AdamW alone is no hint: the paper has none.
    """
    given = {name: section for name, section in layer.items() if isinstance(section, dict)}
    hints = {
        (name, key): given.get(name, {})[key]
        for name in ("loss", "train")
        for key in given.get(name, {}).keys() & RECIPES["modern"][name]
    }
    if hints.get(("train", "optimizer")) == "adamw":
        del hints["train", "optimizer"]
    return bool(hints) or "segmentation" in str(given.get("model", {}).get("heads"))
