"""Steps of D0 at 256 x 256 by our own TrainingStep, set to what the reference's trainer does.

    python -m tests.training.reference_steps

writes tests/golden/train_steps.npz: figures of the repeatable case below, printed by a program that
gave the reference's three steps (see test_parity.py). The reference's own images cannot be made
again from a seed and are too large to be kept, so this file stands for them on other machines.
Beside the figures it keeps how far rounding can move each of them, in this case and, where
../shared is at hand, in the reference's: `deviations`.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from unittest import mock

import numpy as np
import tensorflow as tf

import edet.training.tasks
from edet.config.loading import load_config
from edet.config.schema import AnchorConfig
from edet.geometry.anchors import make_anchors
from edet.geometry.coding import decode_boxes
from edet.models.efficientdet import build_network
from edet.training.losses import detection_losses
from edet.training.packing import Packing
from edet.training.recipe import resolve_recipe
from edet.training.step import State, TrainingStep
from edet.training.tasks import tasks_of
from edet.training.variables import TrainingVariables
from edet.weights.reference_names import reference_names, split
from tests.golden.fill import fill_with_golden_weights
from tests.golden.filler import image, rng_for
from tests.training.small import unpacked

SIDE = 256
ANCHORS = make_anchors((SIDE, SIDE), range(3, 8), AnchorConfig())
META = {"salt": "w", "gains": {"proj": 2.4, "res": 0.85, "fpn": 1.15, "head": 1.1}}
RECORDED = pathlib.Path(__file__).parents[1] / "golden" / "train_steps.npz"
FIGURES = pathlib.Path(__file__).parents[3] / "shared" / "golden" / "train_steps_256.npz"
Arrays = dict[str, np.ndarray]


class Case(NamedTuple):
    """Two images, their ground truth, and the deltas that the reference leaves out."""

    images: np.ndarray  # [2, 256, 256, 3], normalised
    gt_boxes: np.ndarray  # [2, N, 4]
    gt_classes: np.ndarray  # [2, N], -1 in padding rows
    left_out: np.ndarray  # [2, A, 4], bool


class Taken(NamedTuple):
    """What one step did, by the reference's names."""

    metrics: dict[str, float]
    gradients: Arrays  # before clipping, weight decay included
    outputs: Arrays  # of the network in training mode, before the update
    values: Arrays  # after the update; batch-norm statistics too
    averages: Arrays
    velocities: Arrays


def repeatable_case() -> Case:
    """Images and boxes from a seed; no delta of theirs is exactly 0."""
    rng = rng_for("repeatable", "boxes")
    corners, sides = rng.uniform(0, 150, (2, 4, 2)), rng.uniform(12, 100, (2, 4, 2))
    boxes = np.concatenate([corners, corners + sides], -1).astype(np.float32)
    classes = rng.integers(0, 90, (2, 4)).astype(np.int32)
    images = image("repeatable", 2, SIDE, SIDE)
    return Case(images, boxes, classes, np.zeros((2, len(ANCHORS), 4), bool))


def case_of_the_reference(figures: Arrays) -> Case:
    """The case of train_steps_256.npz, whose dense labels are turned back into boxes."""
    classes, deltas = (
        np.concatenate([figures[f"{n}_targets_{k}"].reshape(2, -1, w) for k in range(3, 8)], 1)
        for n, w in (("cls", 1), ("box", 4))
    )
    classes = classes[..., 0]
    objects = []
    for i in range(2):
        rows = np.flatnonzero(classes[i] >= 0)
        boxes = decode_boxes(deltas[i, rows], ANCHORS[rows]).numpy()
        # Anchors of one object decode to the same box within 1e-5 pixels.
        keys = np.column_stack([classes[i, rows], boxes.round(2)])
        _, first = np.unique(keys, axis=0, return_index=True)
        objects.append([(boxes[k], classes[i, rows[k]]) for k in np.sort(first)])
    count = max(map(len, objects))
    gt_boxes, gt_classes = np.zeros((2, count, 4), "f4"), np.full((2, count), -1, "i4")
    for i, rows in enumerate(objects):
        for k, (box, class_index) in enumerate(rows):
            gt_boxes[i, k], gt_classes[i, k] = box, class_index
    return Case(figures["image"], gt_boxes, gt_classes, deltas == 0)


class _WatchedStep(TrainingStep):
    """Keeps the gradients of its last call."""

    def _add_weight_decay(self, *args):
        self.gradients = super()._add_weight_decay(*args)
        return self.gradients


class Runner:
    """Takes steps from the golden weights, any number of times."""

    def __init__(self):
        config = load_config(
            "efficientdet-d0",
            overrides=[
                f"model.image_size={SIDE}", "data.batch_size=2",
                # The golden images are normalised already.
                "model.mean_rgb=[0, 0, 0]", "model.stddev_rgb=[1, 1, 1]", "train.recipe=paper",
            ],
        )  # fmt: skip
        self.config, self.network = config, build_network(config.model)
        fill_with_golden_weights(self.network, config.model, META)
        self.names = reference_names(self.network, config.model)
        # 100 steps an epoch. The reference's TF2 trainer scales the peak with the batch but not
        # the start of the warm-up, and never shortens anything.
        recipe = dataclasses.replace(
            resolve_recipe(config, num_examples=200),
            learning_rate=0.08 * 2 / 64, warmup_learning_rate=0.008, warmup_steps=100,
            ema_decay=0.9998,
        )  # fmt: skip
        self.step = _WatchedStep(self.network, tasks_of(config), recipe)
        self.start = TrainingVariables(self.network).read()
        self.initial = self._named([*self.start.trainable, *self.start.non_trainable])

    def take(self, case: Case, count: int) -> Iterator[Taken]:
        """Yields what each of `count` steps did."""
        state, outputs = self.start, {}

        def losses(class_logits, box_deltas, targets, *args, **kwargs):
            # Our one difference: the reference leaves out every delta whose target is exactly 0.
            # A prediction that equals it has the same effect, on the loss and on the gradient.
            outputs.update(class_logits=class_logits.numpy(), box_deltas=box_deltas.numpy())
            box_deltas = tf.where(case.left_out, targets.box_targets, box_deltas)
            return detection_losses(class_logits, box_deltas, targets, *args, **kwargs)

        batch = {
            "images": tf.constant(case.images),
            "gt_boxes": tf.constant(case.gt_boxes),
            "gt_classes": tf.constant(case.gt_classes),
        }
        for _ in range(count):
            with mock.patch.object(edet.training.tasks, "detection_losses", losses):
                state, metrics = self.step(state, batch)
            in_order = unpacked(state)
            yield Taken(
                metrics={name: float(value) for name, value in metrics.items()},
                gradients=self._named(self.step.gradients),
                outputs=dict(outputs),
                values=self._named([*state.trainable, *state.non_trainable]),
                averages=self._named(in_order.averages),
                velocities=self._named(in_order.velocities),
            )

    def _named(self, tensors: list[tf.Tensor]) -> Arrays:
        """Tensors of the trainable variables, or of those and the others."""
        variables = [*self.network.trainable_variables, *self.network.non_trainable_variables]
        paths = [variable.path for variable in variables[: len(tensors)]]
        arrays = {path: tensor.numpy() for path, tensor in zip(paths, tensors, strict=True)}
        return split(arrays, {path: self.names[path] for path in paths})


def norms(arrays: Arrays, others: Arrays | None = None) -> np.ndarray:
    """Norms of arrays, or of their differences from others, in the order of their names."""
    return np.array([
        np.linalg.norm((np.float64(arrays[n]) - (others[n] if others else 0)).ravel())
        for n in sorted(arrays)
    ])  # fmt: skip


def describe(runner: Runner, steps: list[Taken]) -> Arrays:
    """What is recorded of a run; but for the gradients, a row is a step."""
    return {
        "metrics": np.array([[s.metrics[key] for key in sorted(s.metrics)] for s in steps]),
        "gradients": norms(steps[0].gradients),
        "changes": np.array([norms(s.values, runner.initial) for s in steps]),
        "changes_of_averages": np.array([norms(s.averages, runner.initial) for s in steps]),
    }


def by_level(outputs: Arrays) -> dict[str, np.ndarray]:
    """Outputs of the network by head and level: `class_logits/3` is [2, 9 x 32 x 32, 90]."""
    ends = np.cumsum([9 * (SIDE >> level) ** 2 for level in range(3, 8)])[:-1]
    return {
        f"{name}/{level}": part
        for name, whole in outputs.items()
        for level, part in enumerate(np.split(whole, ends, axis=1), 3)
    }


def deviations(runner: Runner, case: Case, count: int, names: Iterable[str] = ()) -> Arrays:
    """Returns how far each figure of `count` steps moves when its inputs move by their rounding.

    Every pixel and weight is moved by at most a unit in the last place, at random; the largest
    deviation of six runs is kept. That is the condition of these sums (some cancel all but a
    thousandth of what they add) and not of a machine: the rounding of one layer looks to the next
    like a move of its inputs. `names` are variables of which the entries are told as well.
    """

    def figures(start: State, images: np.ndarray) -> Arrays:
        runner.start, kept = start, (runner.start, runner.initial)
        runner.initial = runner._named([*start.trainable, *start.non_trainable])
        steps = list(runner.take(case._replace(images=images), count))
        found = describe(runner, steps) | by_level(steps[0].outputs)
        for k, step in enumerate(steps):
            found |= {f"{k}/var/{n}": step.values[n] - runner.initial[n] for n in names}
            found |= {f"{k}/ema/{n}": step.averages[n] - runner.initial[n] for n in names}
        runner.start, runner.initial = kept
        return found

    def moved(array: np.ndarray) -> np.ndarray:
        unit = np.finfo("f4").eps * rng.uniform(-1, 1, np.shape(array))
        return (np.float64(array) * (1 + unit)).astype("f4")

    rng = rng_for("repeatable", "rounding")
    expected, largest = figures(runner.start, case.images), {}
    for _ in range(6):
        weights = [tf.constant(moved(x)) for x in runner.start.trainable]
        packed = Packing(weights).pack(weights)
        averages = [*packed, *runner.start.averages[len(packed) :]]
        start = runner.start._replace(trainable=weights, averages=averages)
        for key, value in figures(start, moved(case.images)).items():
            deviation = np.abs(value - expected[key])
            if "/" in key:  # of the entries of an array, the largest
                deviation = deviation.max()
            largest[key] = np.maximum(largest.get(key, 0), deviation).astype("f4")
    return largest


def main() -> None:
    """Records the repeatable case."""
    runner, case = Runner(), repeatable_case()
    steps = list(runner.take(case, 2))
    found = describe(runner, steps) | {"names": np.array(sorted(steps[0].values))}
    found |= {f"deviation/{k}": x for k, x in deviations(runner, case, 2).items()}
    if os.path.exists(FIGURES):
        figures = dict(np.load(FIGURES))
        names = [key.removeprefix("step0/var/") for key in figures if "step0/var/" in key]
        case = case_of_the_reference(figures)
        of_reference = deviations(runner, case, 3, names)
    else:
        of_reference = {
            key.removeprefix("reference/"): x
            for key, x in np.load(RECORDED).items()
            if key.startswith("reference/")
        }
    found |= {f"reference/{key}": x for key, x in of_reference.items()}
    np.savez_compressed(RECORDED, **found)


if __name__ == "__main__":
    main()
