"""Settings that a training does not read, because others leave them no part in it."""

from __future__ import annotations

from edet.config.loading import flat_settings
from edet.config.recipes import RECIPES
from edet.config.schema import Config, replace

# setting: (the one that decides, its values with which the setting is read)
_READ_WITH = {
    "loss.positive_iou": ("loss.assignment", ("iou",)),
    "loss.alpha": ("loss.class_loss", ("focal", "varifocal")),
    "loss.label_smoothing": ("loss.class_loss", ("focal",)),
    "loss.iou_weight": ("loss.iou_loss", ("iou", "giou", "diou", "ciou")),
    "loss.weight_decay": ("train.optimizer", ("sgd",)),
    "train.momentum": ("train.optimizer", ("sgd",)),
    "train.adamw_decay": ("train.optimizer", ("adamw",)),
    "train.drop_epochs": ("train.schedule", ("stepwise",)),
}
_NOT_READ_AT_ZERO = {
    "loss.huber_delta": "loss.box_weight",
    "augment.mosaic_off": "augment.mosaic",
    "train.warmup_learning_rate": "train.warmup_epochs",
}


def unread_settings(config: Config) -> list[str]:
    """Returns a sentence for each setting that was changed and changes nothing."""
    given = flat_settings(config)
    defaults = flat_settings(replace(Config(), **RECIPES[config.train.recipe]))
    deciding = {key: by for key, (by, values) in _READ_WITH.items() if given[by] not in values}
    deciding |= {key: by for key, by in _NOT_READ_AT_ZERO.items() if not given[by]}
    return [
        f"{key}={given[key]} changes nothing in this training, because {by} is {given[by]}"
        for key, by in sorted(deciding.items())
        if given[key] != defaults[key]
    ]
