"""Settings that were given and change nothing are named."""

import pytest

from edet.config import unread
from edet.config.loading import flat_settings, load_config
from edet.config.recipes import RECIPES
from edet.config.schema import Config
from edet.config.unread import unread_settings


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_as_it_is_leaves_nothing_unread(recipe):
    assert unread_settings(load_config(overrides=[f"train.recipe={recipe}"])) == []


@pytest.mark.parametrize(
    ("given", "recipe", "decides"),
    [
        ("loss.alpha=0.9", "modern", "loss.class_loss is quality_focal"),
        ("loss.label_smoothing=0.2", "modern", "loss.class_loss is quality_focal"),
        ("loss.positive_iou=0.9", "modern", "loss.assignment is atss"),
        ("loss.huber_delta=5.0", "modern", "loss.box_weight is 0.0"),
        ("train.momentum=0.5", "modern", "train.optimizer is adamw"),
        ("train.adamw_decay=0.5", "paper", "train.optimizer is sgd"),
        ("train.drop_epochs=[3.0, 4.0]", "paper", "train.schedule is cosine"),
    ],
)
def test_what_the_other_settings_leave_no_part_is_named(given, recipe, decides):
    config = load_config(overrides=[f"train.recipe={recipe}", given])
    assert unread_settings(config) == [
        f"{given} changes nothing in this training, because {decides}"
    ]


def test_what_the_recipe_brings_was_given_by_nobody():
    settings = ["train.recipe=modern", "train.warmup_epochs=0", "loss.iou_loss=none"]
    assert unread_settings(load_config(overrides=settings)) == []


def test_every_name_is_a_setting():
    """A setting that is renamed may not leave its row behind."""
    deciding = [by for by, _ in unread._READ_WITH.values()]
    names = {*unread._READ_WITH, *deciding, *unread._NOT_READ_AT_ZERO}
    assert names | {*unread._NOT_READ_AT_ZERO.values()} <= flat_settings(Config()).keys()
