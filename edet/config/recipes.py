"""The named recipes: values of settings that `train.recipe` stands for.

They are weaker than whatever a released weight's settings, a YAML or --set say, and stronger than
the defaults of the schema and of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edet.config.schema import ConfigError

# docs/recipes.md has what each of them was worth where.
RECIPES: dict[str, dict[str, Any]] = {
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
        "train": {"optimizer": "adamw", "learning_rate": 0.003, "warmup_learning_rate": 0.0},
    },
}


def recipe_of(layers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the settings of the recipe that the last of these layers names, or of none.

    Raises:
      ConfigError: there is no such recipe.
    """
    sections = [train for layer in layers if isinstance(train := layer.get("train"), dict)]
    name = ([train["recipe"] for train in sections if "recipe" in train] or ["paper"])[-1]
    if name not in RECIPES:
        raise ConfigError(f"train.recipe is {name!r}; choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]
