"""The numbers of one run, worked out from the configuration and the size of the data.

The configured warm-up, moving average and batch-norm memory are made for 300 epochs of COCO. A run
of a thousand steps would end inside the warm-up of its averages: its moving variances would still
remember their initial value and its averaged weights the random ones. So a short run shortens
them, and says so. A run that starts from a whole detector needs fewer passes than one from
scratch, and gets them unless it asks for a number of its own.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import rich.table

from edet.config.schema import Config
from edet.config.sizes import scratch_epochs
from edet.errors import UserError

# The averages must forget their start well within the run: the weights' average looks back over a
# tenth of it at most, batch norm over a fiftieth. The warm-up takes a twentieth at most: the cosine
# is not shifted by it (see training.schedules) and would not end near zero.
_EMA_SHARE = 10
_BATCH_NORM_SHARE = 50
_WARMUP_SHARE = 20
_SLOW = 5e-4  # a rate of sgd; the paper's is 0.00125 for a batch of one
_SHORTEST_WARMUP = 30  # steps, where the run is long enough: a small set's epoch has only a few
_SHORTEST_BATCH_NORM_MEMORY = 5  # steps; below that the statistics are those of single batches


@dataclass(frozen=True)
class Recipe:
    """What the run does, in steps and absolute numbers: every one that the step reads.

    What a loss weighs is its task's own (`training.tasks`).
    """

    recipe: str  # its name, train.recipe
    finetuning: bool  # the run starts from a whole detector
    seed: int
    precision: str  # of activations: float32, bfloat16 or float16
    epochs: float
    steps_per_epoch: int
    total_steps: int
    learning_rate: float  # peak, for the run's batch size
    schedule: str
    warmup_learning_rate: float
    warmup_steps: int
    drop_steps: tuple[int, int]  # of the stepwise schedule
    optimizer: str
    momentum: float
    weight_decay: float
    adamw_decay: float
    clip_norm: float
    ema_decay: float
    batch_norm_momentum: float
    micro_batches: int
    remat: bool
    mean_rgb: tuple[float, float, float]  # of pixels 0-255
    stddev_rgb: tuple[float, float, float]
    eval_every: int
    save_every: int
    log_every: int

    def table(self, config: Config) -> rich.table.Table:
        """Returns the numbers as a table, each beside what it was made from."""
        batch = config.data.batch_size
        notes = {
            "recipe": "train.recipe, or docs/recipes.md",
            "finetuning": f"train.init {config.train.init}"
            if config.train.init
            else "no train.init",
            "precision": f"train.precision {config.train.precision}",
            "epochs": self._epochs_note(config),
            "steps_per_epoch": f"images // batch of {batch}",
            "total_steps": _length_note(config),
            "learning_rate": f"train.learning_rate {config.train.learning_rate} x {batch} / 64"
            if config.train.optimizer == "sgd"
            else "train.learning_rate",
            "warmup_steps": f"train.warmup_epochs {config.train.warmup_epochs}",
            "ema_decay": f"train.ema_decay {config.train.ema_decay}",
            "batch_norm_momentum": f"model.batch_norm_momentum {config.model.batch_norm_momentum}",
        }
        table = rich.table.Table(title="recipe of this run")
        for heading in ("number", "value", "made from"):
            table.add_column(heading)
        for key, value in dataclasses.asdict(self).items():
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            table.add_row(key, shown, notes.get(key, ""))
        return table

    def low_rate_warning(self, config: Config) -> str:
        """Returns why nothing may be learnt, where a rate was given as for AdamW, or ""."""
        given, batch = config.train.learning_rate, config.data.batch_size
        if self.optimizer != "sgd" or self.learning_rate >= _SLOW or self.finetuning:
            return ""
        return (
            f"the learning rate is {self.learning_rate:.3g}, of which sgd learns little: "
            f"train.learning_rate {given:g} is for a batch of 64, and yours is {batch}. Give a "
            "higher one, or train.recipe=modern beside it, whose AdamW takes it as it is."
        )

    def _epochs_note(self, config: Config) -> str:
        if config.train.steps or config.train.minutes:
            return "total_steps / steps_per_epoch"
        if config.train.epochs:
            return "train.epochs"
        if self.epochs == scratch_epochs(config.model.name):
            return "the paper's; train.epochs or train.steps set any length"
        return "for fine-tuning; train.epochs or train.steps set any length"


def _length_note(config: Config) -> str:
    if config.train.minutes:
        return f"train.minutes {config.train.minutes:g}, at the speed of the first start"
    return "train.steps" if config.train.steps else "epochs x steps_per_epoch"


def finetuning_epochs(num_examples: int) -> float:
    """Passes over a set of `num_examples` images when training starts from a detector.

    The reference fine-tunes Pascal VOC 2012, 5717 images, for 50. A larger set needs fewer passes
    but more steps, a smaller one the other way round; the square root is halfway: 221 for 292
    images, 11 for COCO.
    """
    return max(1.0, round(50 * math.sqrt(5717 / max(1, num_examples))))


def resolve_recipe(
    config: Config, num_examples: int, finetuning: bool = False, on_tpu: bool = False,
    steps: int = 0,
) -> Recipe:  # fmt: skip
    """Works out a run's numbers for a training set of `num_examples` images.

    Args:
      config: the experiment.
      num_examples: images of one epoch.
      finetuning: the run starts from a whole detector, not from scratch or from a backbone.
      on_tpu: `train.precision` auto is bfloat16 there, which is what its matrix units multiply.
      steps: those that fit into `train.minutes`, where they are known.
    """
    train, batch = config.train, config.data.batch_size
    steps_per_epoch = max(1, num_examples // batch)
    epochs = train.epochs or scratch_epochs(config.model.name)
    if finetuning and train.adapt_to_length and not train.epochs:
        epochs = min(epochs, finetuning_epochs(num_examples))
    steps = steps or train.steps
    total = steps or max(1, int(epochs * steps_per_epoch))
    warmup = int(train.warmup_epochs * steps_per_epoch)
    ema_decay, batch_norm_momentum = train.ema_decay, config.model.batch_norm_momentum
    if train.adapt_to_length:
        if warmup:
            warmup = min(max(warmup, _SHORTEST_WARMUP), total // _WARMUP_SHARE)
        ema_decay = min(ema_decay, max(0.0, 1 - _EMA_SHARE / total))
        memory = max(total / _BATCH_NORM_SHARE, _SHORTEST_BATCH_NORM_MEMORY)
        batch_norm_momentum = min(batch_norm_momentum, 1 - 1 / memory)
    # The reference's learning rates are for a batch of 64. AdamW's steps are as long as its rate,
    # whatever the size of the gradients.
    scale = 1.0 if train.optimizer == "adamw" else batch / 64
    return Recipe(
        recipe=train.recipe,
        finetuning=finetuning,
        seed=train.seed,
        precision=_precision(config, on_tpu),
        epochs=steps / steps_per_epoch if steps else epochs,
        steps_per_epoch=steps_per_epoch,
        total_steps=total,
        learning_rate=train.learning_rate * scale,
        schedule=train.schedule,
        warmup_learning_rate=min(train.warmup_learning_rate, train.learning_rate) * scale,
        warmup_steps=warmup,
        drop_steps=tuple(int(epoch * steps_per_epoch) for epoch in train.drop_epochs),
        optimizer=train.optimizer,
        momentum=train.momentum,
        weight_decay=config.loss.weight_decay,
        adamw_decay=train.adamw_decay,
        clip_norm=train.clip_norm,
        ema_decay=ema_decay,
        batch_norm_momentum=batch_norm_momentum,
        micro_batches=train.micro_batches,
        remat=train.remat,
        mean_rgb=config.model.mean_rgb,
        stddev_rgb=config.model.stddev_rgb,
        eval_every=train.eval_every or math.ceil(total / 10),
        save_every=train.save_every or math.ceil(total / 20),
        log_every=train.log_every or max(1, min(100, total // 200)),
    )


def refuse_late_drops(recipe: Recipe) -> None:
    """Raises UserError if the stepwise rate of a run would never drop."""
    if recipe.schedule == "stepwise" and recipe.drop_steps[0] >= recipe.total_steps:
        epochs = recipe.total_steps / recipe.steps_per_epoch
        raise UserError(
            f"train.schedule=stepwise first drops the rate after step {recipe.drop_steps[0]}, and "
            f"this run has {recipe.total_steps}; give train.drop_epochs, such as "
            f"[{2 * epochs / 3:.3g},{5 * epochs / 6:.3g}]."
        )


def _precision(config: Config, on_tpu: bool) -> str:
    if config.train.precision != "auto":
        return config.train.precision
    return "bfloat16" if on_tpu else "float32"
