"""What a run does, in steps, for long and for short runs."""

import io

import pytest
import rich.console

from edet.config.loading import load_config
from edet.config.schema import Config, ConfigError, replace
from edet.errors import UserError
from edet.training.recipe import finetuning_epochs, refuse_late_drops, resolve_recipe


def test_coco_keeps_the_papers_numbers():
    """118,287 images in batches of 128 for 300 epochs: 924 x 300 steps, rate 0.16."""
    config = replace(Config(), data={"batch_size": 128})
    recipe = resolve_recipe(config, num_examples=118_287)
    assert recipe.steps_per_epoch == 924
    assert recipe.total_steps == 277_200
    assert recipe.learning_rate == pytest.approx(0.16)
    assert recipe.warmup_learning_rate == pytest.approx(0.016)
    assert recipe.warmup_steps == 924
    assert recipe.ema_decay == 0.9998
    assert recipe.batch_norm_momentum == 0.99


def test_a_short_run_shortens_its_averages():
    """1000 steps: averages over 100 steps, batch norm over 20, warm-up 50."""
    config = replace(Config(), data={"batch_size": 8}, train={"steps": 1000, "warmup_epochs": 5})
    recipe = resolve_recipe(config, num_examples=292)
    assert recipe.ema_decay == pytest.approx(0.99)
    assert recipe.batch_norm_momentum == pytest.approx(0.95)
    assert recipe.warmup_steps == 50
    assert recipe.learning_rate == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("optimizer", "at_8", "at_64"), [("sgd", 0.005, 0.04), ("adamw", 0.04, 0.04)]
)
def test_the_rate_goes_with_the_batch_for_sgd_alone(optimizer, at_8, at_64):
    train = {"optimizer": optimizer, "learning_rate": 0.04}
    for batch, rate in ((8, at_8), (64, at_64)):
        config = replace(Config(), data={"batch_size": batch}, train=train)
        assert resolve_recipe(config, num_examples=640).learning_rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("settings", "batch", "is_slow"),
    [
        (["train.learning_rate=0.001"], 8, True),  # 0.000125
        (["train.learning_rate=0.001"], 64, False),
        (["train.learning_rate=0.001", "train.recipe=modern"], 8, False),
        (["train.recipe=paper"], 1, False),  # 0.00125
        ([], 1, False),
    ],
)
def test_a_rate_of_adamw_given_to_sgd_is_told(settings, batch, is_slow):
    """A rate alone means the paper's recipe, which scales it."""
    config = load_config("efficientdet-lite0", overrides=[f"data.batch_size={batch}", *settings])
    said = resolve_recipe(config, num_examples=640).low_rate_warning(config)
    assert ("is 0.000125, of which" in said and "yours is 8" in said) is is_slow


def test_drops_beyond_the_end_of_the_run_are_refused():
    """40 steps of 64 images from 640 are four epochs, and the rate would stay what it is."""
    train = {"schedule": "stepwise", "steps": 40}
    with pytest.raises(UserError, match=r"after step 2000, .* has 40; .* such as \[2\.67,3\.33\]"):
        refuse_late_drops(resolve_recipe(replace(Config(), train=train), 640))
    train["drop_epochs"] = (3, 5)  # the second one may lie there
    recipe = resolve_recipe(replace(Config(), train=train), 640)
    assert recipe.drop_steps == (30, 50)
    refuse_late_drops(recipe)


def test_adapting_can_be_turned_off():
    config = replace(Config(), train={"steps": 100, "adapt_to_length": False})
    recipe = resolve_recipe(config, num_examples=64 * 7)
    assert recipe.ema_decay == 0.9998
    assert recipe.batch_norm_momentum == 0.99
    assert recipe.warmup_steps == 7


@pytest.mark.parametrize(("steps", "images"), [(1, 1), (2, 1000), (30, 3)])
def test_the_shortest_runs_have_usable_numbers(steps, images):
    recipe = resolve_recipe(replace(Config(), train={"steps": steps}), images)
    assert 0 <= recipe.ema_decay < 1
    assert 0 < recipe.batch_norm_momentum < 1
    assert recipe.warmup_steps < recipe.total_steps == steps
    assert min(recipe.eval_every, recipe.save_every, recipe.log_every) >= 1


def test_the_steps_that_fit_into_the_minutes_are_the_length_of_the_run():
    """And everything else is as with so many `train.steps`."""
    data = {"batch_size": 8}
    timed = replace(Config(), data=data, train={"minutes": 60.0})
    fixed = replace(Config(), data=data, train={"steps": 1000})
    assert resolve_recipe(timed, 292, steps=1000) == resolve_recipe(fixed, 292)
    out = io.StringIO()
    table = resolve_recipe(timed, 292, steps=1000).table(timed)
    rich.console.Console(file=out, width=200).print(table)
    assert "train.minutes 60, at the speed of the first start" in out.getvalue()


@pytest.mark.parametrize("name", ["steps", "epochs"])
def test_two_lengths_of_a_run_are_refused(name):
    with pytest.raises(ConfigError, match=rf"train.minutes is 60 and train.{name} 9, .* to 0"):
        load_config(overrides=["train.minutes=60", f"train.{name}=9"])


@pytest.mark.parametrize(("images", "epochs"), [(292, 221), (5717, 50), (118_287, 11)])
def test_fine_tuning_takes_the_reference_s_50_epochs_of_voc_scaled_with_the_root(images, epochs):
    config = replace(Config(), data={"batch_size": 8})
    recipe = resolve_recipe(config, images, finetuning=True)
    assert finetuning_epochs(images) == recipe.epochs == epochs
    assert recipe.total_steps == epochs * (images // 8)


def test_fine_tuning_keeps_what_the_user_asked_for():
    def epochs(images=292, **train):
        config = replace(Config(), train=train)
        return resolve_recipe(config, images, finetuning=True).epochs

    assert epochs(epochs=80) == 80
    assert epochs(adapt_to_length=False) == 300
    assert epochs(images=50) == 300  # never more than from scratch
    assert epochs(steps=40) == 10  # 4 steps an epoch


def test_a_small_set_warms_up_for_longer_than_its_epoch():
    """292 images in batches of 64 have 4 steps an epoch; 300 epochs are 1200 steps."""
    recipe = resolve_recipe(Config(), 292)
    assert recipe.steps_per_epoch == 4
    assert recipe.warmup_steps == 30
    assert resolve_recipe(replace(Config(), train={"warmup_epochs": 0}), 292).warmup_steps == 0


@pytest.mark.parametrize(
    ("asked", "on_tpu", "precision"),
    [
        ("auto", False, "float32"), ("auto", True, "bfloat16"), ("float32", True, "float32"),
        ("float16", False, "float16"),
    ],
)  # fmt: skip
def test_activations_are_bfloat16_on_a_tpu_unless_asked_otherwise(asked, on_tpu, precision):
    config = replace(Config(), train={"precision": asked})
    assert resolve_recipe(config, 1000, on_tpu=on_tpu).precision == precision


def test_the_printed_numbers_name_their_recipe():
    """Which it is may follow from other settings."""
    for more, name in (([], "modern"), (["train.learning_rate=0.1"], "paper")):
        config = load_config(overrides=more)
        columns = resolve_recipe(config, num_examples=64).table(config).columns
        assert [next(iter(column.cells)) for column in columns][:2] == ["recipe", name]
