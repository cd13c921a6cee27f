"""The reference's variable names, derived from the architecture.

The released TF1 checkpoints store a variable under the name that google/automl's graph gave it:
"efficientnet-b0/blocks_3/conv2d_1/kernel", "fpn_cells/cell_0/fnode4/WSM_1", ... This module walks
the same configuration as the network's builder and gives each of our variables its name there.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras

from edet.config.schema import ModelConfig
from edet.models.efficientnet import blocks_of
from edet.models.fusion_graph import FEATURE_NETWORKS


def reference_names(network: keras.Model, config: ModelConfig) -> dict[str, list[str]]:
    """Returns {our variable's path: its names in the reference}.

    Every variable has one name, but for fusion weights: ours hold all n inputs in one variable
    [n, ...], the reference has one per input (WSM, WSM_1, WSM_2).
    """
    layers = dict(_layer_names(config))
    names: dict[str, list[str]] = {}
    for variable in network.variables:
        layer, _, leaf = variable.path.rpartition("/")
        if leaf == "fusion_weights":
            scopes = [
                f"{layers[layer]}/WSM{f'_{k}' if k else ''}" for k in range(variable.shape[0])
            ]
            names[variable.path] = scopes
            continue
        if leaf == "kernel" and layer.endswith("dwconv"):
            leaf = "depthwise_kernel"
        names[variable.path] = [f"{layers[layer]}/{leaf}"]
    return names


def _layer_names(config: ModelConfig) -> Iterator[tuple[str, str]]:
    yield from _backbone_names(config)
    yield from _pyramid_names(config)
    for ours, theirs, kind in (
        ("class_head", "class_net", "class"),
        ("box_head", "box_net", "box"),
    ):
        for repeat in range(config.head_repeats):
            yield f"{ours}.conv{repeat}", f"{theirs}/{kind}-{repeat}"
            for level in config.levels:
                yield f"{ours}.bn{repeat}_p{level}", f"{theirs}/{kind}-{repeat}-bn-{level}"
        yield f"{ours}.predict", f"{theirs}/{kind}-predict"


def _backbone_names(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """Convolutions and batch norms count up within a block, in the order they are applied."""
    root = config.backbone
    yield "backbone.stem_conv", f"{root}/stem/conv2d"
    yield "backbone.stem_bn", f"{root}/stem/tpu_batch_normalization"
    for index, block in enumerate(blocks_of(config.backbone)):
        ours, theirs = f"backbone.block{block.name}_", f"{root}/blocks_{index}/"
        expand = ["expand_conv"] if block.expansion != 1 else []
        for k, layer in enumerate([*expand, "project_conv"]):
            yield f"{ours}{layer}", f"{theirs}conv2d{_suffix(k)}"
        expand = ["expand_bn"] if block.expansion != 1 else []
        for k, layer in enumerate([*expand, "bn", "project_bn"]):
            yield f"{ours}{layer}", f"{theirs}tpu_batch_normalization{_suffix(k)}"
        yield f"{ours}dwconv", f"{theirs}depthwise_conv2d"
        for k, layer in enumerate(["se_reduce", "se_expand"]):
            yield f"{ours}{layer}", f"{theirs}se/conv2d{_suffix(k)}"


def _pyramid_names(config: ModelConfig) -> Iterator[tuple[str, str]]:
    for level in range(6, config.max_level + 1):
        yield f"pyramid.p{level}_conv", f"resample_p{level}/conv2d"
        yield f"pyramid.p{level}_bn", f"resample_p{level}/bn"
    levels = len(config.levels)
    for cell in range(config.pyramid_repeats):
        for order, node in enumerate(FEATURE_NETWORKS[config.feature_network](config.levels)):
            made = levels + order
            ours = f"pyramid.cell{cell}.node{made}"
            theirs = f"fpn_cells/cell_{cell}/fnode{order}"
            yield f"{ours}.fusion", theirs
            yield f"{ours}.conv", f"{theirs}/op_after_combine{made}/conv"
            yield f"{ours}.bn", f"{theirs}/op_after_combine{made}/bn"
            for position, source in enumerate(node.inputs):
                scope = f"{theirs}/resample_{position}_{source}_{made}"
                yield f"{ours}.input{position}_conv", f"{scope}/conv2d"
                yield f"{ours}.input{position}_bn", f"{scope}/bn"


def _suffix(k: int) -> str:
    """Keras' own numbering of equal names: nothing, _1, _2."""
    return f"_{k}" if k else ""
