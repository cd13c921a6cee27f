"""Every feature network takes a training step, and all of it learns."""

import numpy as np
import pytest
import tensorflow as tf

from edet.training.variables import TrainingVariables
from tests.small import small_model
from tests.training.small import make_batch, seeded_network, small_config, small_step, unpacked

# P6 is 1 x 2 here. Of one pixel, P6 and P7 would be the same, and their weights without effect.
SIDE = (64, 96)


@pytest.mark.parametrize(
    ("network", "fused"),
    # A node with one input, or with attention, has no weights to fuse by.
    [("fpn", 4), ("panet", 8), ("nas_fpn", 3), ("fully_connected", 5), ("quad_fpn", 21)],
)
def test_a_step_reaches_every_kernel_and_every_fusion_weight(network, fused):
    config = small_config(
        model=vars(small_model(image_size=SIDE, feature_network=network, max_level=7)),
        loss={"weight_decay": 0.0},  # it would reach kernels that nothing else reaches
    )
    model = seeded_network(config)
    before = TrainingVariables(model).read()
    after, metrics = small_step(model, config)(before, make_batch(0, side=SIDE))
    assert np.isfinite(float(metrics["total_loss"]))
    velocities = unpacked(after).velocities
    reached = {
        variable.path: bool(tf.reduce_any(velocity != 0))  # a weight moves by too little to see
        for variable, velocity in zip(model.trainable_variables, velocities, strict=True)
        if variable.path.startswith("pyramid.") and variable.path.endswith(("kernel", "weights"))
    }
    assert [path for path, is_reached in reached.items() if not is_reached] == []
    assert len([path for path in reached if path.endswith("fusion_weights")]) == fused
