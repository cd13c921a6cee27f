"""The reference's names of every model, built here a second time from its tables alone."""

import pytest

from edet.config.loading import load_config
from edet.models.complexity import outline
from edet.weights.reference_names import reference_names

# Blocks of each stage (reference 1.1). Stage 1 does not expand; lite networks do not squeeze.
STAGES = {
    "efficientnet-b0": (1, 2, 2, 3, 3, 4, 1),
    "efficientnet-b1": (2, 3, 3, 4, 4, 5, 2),
    "efficientnet-b7": (4, 7, 7, 10, 10, 13, 4),
    "efficientnet-lite0": (1, 2, 2, 3, 3, 4, 1),
}
# Inputs of each node of a cell (reference 1.3), and which of them the first cell projects: the
# backbone's, ids 0 to 2. The first node has the id that follows the inputs'.
NODES = {
    (3, 7): [(3, 4), (2, 5), (1, 6), (0, 7), (1, 7, 8), (2, 6, 9), (3, 5, 10), (4, 11)],
    (3, 8): [(4, 5), (3, 6), (2, 7), (1, 8), (0, 9), (1, 9, 10), (2, 8, 11), (3, 7, 12),
             (4, 6, 13), (5, 14)],
    (2, 7): [(4, 5), (3, 6), (2, 7), (1, 8), (0, 9), (1, 9, 10), (2, 8, 11), (3, 7, 12),
             (4, 6, 13), (5, 14)],
}  # fmt: skip
BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def expected_names(backbone, levels, cells, repeats, weighted) -> list[str]:
    """All variables, by the table of reference 10.1."""
    names = []

    def add(scope, *leaves):
        names.extend(f"{scope}/{leaf}" for leaf in leaves)

    def separable(scope):
        add(scope, "depthwise_kernel", "pointwise_kernel", "bias")

    def projection(scope):
        add(f"{scope}/conv2d", "kernel", "bias")
        add(f"{scope}/bn", *BATCH_NORM)

    add(f"{backbone}/stem/conv2d", "kernel")
    add(f"{backbone}/stem/tpu_batch_normalization", *BATCH_NORM)
    stages = STAGES[backbone]
    for index in range(sum(stages)):
        block, expands = f"{backbone}/blocks_{index}", index >= stages[0]
        for suffix in ("", "_1")[: 1 + expands]:
            add(f"{block}/conv2d{suffix}", "kernel")
        for suffix in ("", "_1", "_2")[: 2 + expands]:
            add(f"{block}/tpu_batch_normalization{suffix}", *BATCH_NORM)
        add(f"{block}/depthwise_conv2d", "depthwise_kernel")
        if "lite" not in backbone:
            add(f"{block}/se/conv2d", "kernel", "bias")
            add(f"{block}/se/conv2d_1", "kernel", "bias")
    projection("resample_p6")
    inputs = levels[1] - levels[0] + 1
    from_backbone = 5 - levels[0] + 1
    for cell in range(cells):
        for order, ids in enumerate(NODES[levels]):
            node, made = f"fpn_cells/cell_{cell}/fnode{order}", inputs + order
            if weighted:
                add(node, *("WSM", "WSM_1", "WSM_2")[: len(ids)])
            for position, source in enumerate(ids):
                if cell == 0 and source < from_backbone:
                    projection(f"{node}/resample_{position}_{source}_{made}")
            separable(f"{node}/op_after_combine{made}/conv")
            add(f"{node}/op_after_combine{made}/bn", *BATCH_NORM)
    for net, kind in (("class_net", "class"), ("box_net", "box")):
        for repeat in range(repeats):
            separable(f"{net}/{kind}-{repeat}")
            for level in range(levels[0], levels[1] + 1):
                add(f"{net}/{kind}-{repeat}-bn-{level}", *BATCH_NORM)
        separable(f"{net}/{kind}-predict")
    return names


# name, fusion, shape of its weights, levels, cells and head repeats, and variables of a released
# model (1.8). D0 as released is in test_reference_names.py. D7x is large, and each of its
# differences is in another one.
MODELS = [
    ("efficientdet-d0", "softmax", (), (2, 7), 2, 1, None),
    ("efficientdet-d0", "channel_fast", (64,), (3, 8), 1, 1, None),
    ("efficientdet-d0", "channel_softmax", (64,), (3, 7), 1, 1, None),
    ("efficientdet-d0", "sum", None, (3, 7), 1, 2, None),
    ("efficientdet-d1", "fast", (), (3, 7), 4, 3, 912),
    pytest.param("efficientdet-d7x", "sum", None, (3, 8), 8, 5, 1902, marks=pytest.mark.thorough),
    ("efficientdet-lite0", "sum", None, (3, 7), 3, 3, 588),
]


@pytest.mark.parametrize(
    ("name", "fusion", "shape", "levels", "cells", "repeats", "count"),
    MODELS,
)
def test_every_variable_has_the_name_that_the_reference_gives_it(
    name, fusion, shape, levels, cells, repeats, count
):
    settings = {
        "image_size": "[200,328]", "fusion": fusion, "min_level": levels[0],
        "max_level": levels[1], "pyramid_repeats": cells, "head_repeats": repeats,
    }  # fmt: skip
    overrides = [f"model.{key}={value}" for key, value in settings.items()]
    config = load_config(name, overrides=overrides).model
    network = outline(config)
    names = reference_names(network, config)
    assert set(names) == {v.path for v in network.variables}
    flat = [name for named in names.values() for name in named]
    assert len(flat) == len(set(flat))
    expected = expected_names(config.backbone, levels, cells, repeats, fusion != "sum")
    assert set(flat) == set(expected)
    assert count is None or len(flat) == count
    weights = [v for v in network.variables if v.path.endswith("fusion_weights")]
    assert len(weights) == (0 if fusion == "sum" else cells * len(NODES[levels]))
    for variable in weights:  # each row is a variable of the reference, in the order of the inputs
        suffixes = [name.rpartition("/")[2] for name in names[variable.path]]
        assert suffixes == ["WSM", "WSM_1", "WSM_2"][: len(suffixes)]
        assert variable.shape == (len(suffixes), *shape)
