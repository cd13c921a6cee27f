"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from keras import ops

from edet.geometry.boxes import Tensor


def learning_rate(
    step: Tensor,
    *,
    peak: float,
    warmup_start: float,
    warmup_steps: int,
    total_steps: int,
    schedule: str,
    drop_steps: tuple[int, int],
) -> Tensor:
    """Returns the learning rate of `step`, a float32 scalar.

    It rises linearly from `warmup_start` at step 0 towards `peak` at `warmup_steps`; from there on
    the schedule decides. Steps beyond `total_steps` keep a finite, non-negative rate.

    Args:
        step: updates done so far, a scalar of any number type.
        peak: highest rate, already scaled to the batch.
        warmup_start: rate of step 0, already scaled to the batch.
        warmup_steps: updates of the warm-up; 0 for none.
        total_steps: updates of the whole run.
        schedule: "cosine", "stepwise" (x0.1 and x0.01 from `drop_steps` on), "polynomial" (power
            0.9) or "constant".
        drop_steps: the two steps of "stepwise".
    """
    step = ops.cast(step, "float32")
    if schedule == "cosine":
        # The reference counts from step 0 but decays over the steps after the warm-up, so the rate
        # reaches 0 one warm-up before the end and rises a hair (to 4e-6 in the paper's run).
        decay_steps = max(total_steps - warmup_steps, 1)
        rate = 0.5 * peak * (1 + ops.cos(math.pi * step / decay_steps))
    elif schedule == "stepwise":
        drops = [ops.cast(step >= drop, "float32") for drop in drop_steps]
        rate = peak * (1 - 0.9 * drops[0]) * (1 - 0.9 * drops[1])
    elif schedule == "polynomial":
        rate = peak * ops.power(ops.relu(total_steps - step) / max(total_steps, 1), 0.9)
    else:
        rate = peak * ops.ones_like(step)
    warmup = warmup_start + (peak - warmup_start) * step / max(warmup_steps, 1)
    return ops.where(step < warmup_steps, warmup, rate)
