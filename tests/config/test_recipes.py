"""train.recipe: a name for values of settings, and what is stronger than them."""

from typing import get_args, get_type_hints

import pytest

from edet.config.loading import differences, load_config, save_config
from edet.config.recipes import RECIPES
from edet.config.schema import ConfigError, TrainConfig
from edet.config.sizes import sized_config
from tests.conftest import REPOSITORY


def test_every_recipe_has_a_name_in_the_schema():
    assert set(get_args(get_type_hints(TrainConfig)["recipe"])) == set(RECIPES)
    assert RECIPES["paper"] == {}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_values_that_it_stands_for(name):
    """Those of the paper are the defaults of the schema."""
    config = load_config("efficientdet-d0", overrides=[f"train.recipe={name}"])
    changed = {key: new for key, _, new in differences(sized_config("efficientdet-d0"), config)}
    expected = {
        f"{section}.{key}": v for section, f in RECIPES[name].items() for key, v in f.items()
    }
    assert changed.pop("train.recipe", "paper") == name
    assert changed == expected


@pytest.mark.parametrize(
    ("overrides", "settings", "recipe"),
    [
        (["train.steps=9", "model.num_classes=3"], None, "modern"),
        (["train.learning_rate=0.1"], None, "paper"),
        (["loss.gamma=1.25"], None, "paper"),
        (["train.optimizer=adamw"], None, "modern"),  # which the paper has not
        (["train.optimizer=adamw", "train.learning_rate=0.002"], None, "paper"),
        (["loss.iou_loss=giou"], None, "paper"),  # beside its own
        (["augment.jitter_min=0.8"], None, "modern"),  # pictures are of no recipe
        (["model.heads=[detection,segmentation]"], None, "paper"),
        ([], [], "paper"),  # released weights that ask for nothing special
        (["train.recipe=modern", "train.learning_rate=0.1"], [], "modern"),
    ],
)
def test_without_a_name_it_is_modern_where_nothing_is_of_the_paper(overrides, settings, recipe):
    assert load_config(overrides=overrides, settings=settings).train.recipe == recipe


def test_the_experiments_of_the_paper_keep_its_recipe():
    paths = [*REPOSITORY.glob("configs/coco/*.yaml"), *REPOSITORY.glob("configs/paper/*/*.yaml")]
    recipes = {
        path.name: load_config(path=path).train.recipe
        for path in paths
        if not path.name.endswith(".sweep.yaml")
    }
    assert len(recipes) > 30
    assert set(recipes.values()) == {"paper"}


def test_what_is_set_beside_a_recipe_or_after_it_is_stronger(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("train: {recipe: modern, adamw_decay: 0.01}\nloss: {gamma: 1.25}\n")
    config = load_config(
        path=path, overrides=["loss.iou_loss=ciou"], settings=["train.optimizer=sgd"]
    )
    assert (config.loss.gamma, config.loss.iou_loss) == (1.25, "ciou")
    assert (config.train.optimizer, config.train.adamw_decay) == ("adamw", 0.01)
    assert load_config(path=path, overrides=["train.recipe=modern"]).loss.gamma == 1.25
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(path=tmp_path / "saved.yaml") == config


def test_another_recipe_replaces_what_a_file_sets_for_its_own(tmp_path):
    """A rate for SGD would break AdamW. The order of --set means nothing."""
    path = tmp_path / "c.yaml"
    path.write_text("train: {learning_rate: 0.32, steps: 1080}\n")
    for more, rate in (([], RECIPES["modern"]["train"]["learning_rate"]), (["0.006"], 0.006)):
        overrides = [*(f"train.learning_rate={value}" for value in more), "train.recipe=modern"]
        config = load_config(path=path, overrides=overrides)
        assert (config.train.learning_rate, config.train.steps) == (rate, 1080)


@pytest.mark.parametrize("name", ["moderm", "3", "[paper]"])
def test_an_unknown_recipe_is_refused(name):
    with pytest.raises(ConfigError, match=r"^train\.recipe is .*; choose one of paper, modern\.$"):
        load_config(overrides=[f"train.recipe={name}"])
