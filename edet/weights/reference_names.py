"""The reference's variable names, derived from the architecture.

google/automl's checkpoints name a variable in one of two ways:

    graph   efficientnet-b0/blocks_3/conv2d_1/kernel       released TF1 checkpoints, Keras h5 files
    object  backbone/_blocks/3/_project_conv/kernel        checkpoints of its TF2 trainer

This module walks the same configuration as the network's builder and gives each of our variables
its names there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import keras
import numpy as np

from edet.config.schema import ModelConfig
from edet.models.efficientnet import blocks_of
from edet.models.fusion_graph import FEATURE_NETWORKS, name_prefix
from edet.models.resnet import RESNETS

Style = Literal["graph", "object"]


def reference_names(
    network: keras.Model, config: ModelConfig, style: Style = "graph"
) -> dict[str, list[str]]:
    """Returns {our variable's path: its names in the reference}.

    Every variable has one name, but for fusion weights: ours hold all n inputs in one variable
    [n, ...], the reference has one per input (WSM, WSM_1, WSM_2). What it does not have, such as
    a ResNet or a head for segmentation, keeps our names.
    """
    layers = {ours: {"graph": graph, "object": key}[style] for ours, graph, key in _layers(config)}
    names: dict[str, list[str]] = {}
    for variable in network.variables:
        layer, _, leaf = variable.path.rpartition("/")
        if layer not in layers:
            names[variable.path] = [variable.path]
            continue
        if leaf == "fusion_weights":
            names[variable.path] = [
                f"{layers[layer]}/WSM{_suffix(k)}" for k in range(variable.shape[0])
            ]
            continue
        if leaf == "kernel" and layer.endswith("dwconv"):
            leaf = "depthwise_kernel"
        names[variable.path] = [f"{layers[layer]}/{leaf}"]
    return names


def joined(
    values: Mapping[str, np.ndarray], names: Mapping[str, Sequence[str]]
) -> dict[str, np.ndarray]:
    """Returns {our variable's path: array} of those whose names are all among the values."""
    return {
        path: np.stack([values[n] for n in named]) if len(named) > 1 else values[named[0]]
        for path, named in names.items()
        if all(n in values for n in named)
    }


def split(
    weights: Mapping[str, np.ndarray], names: Mapping[str, Sequence[str]]
) -> dict[str, np.ndarray]:
    """Returns {name: array} of {our variable's path: array}; the inverse of `joined`."""
    return {
        name: part
        for path, named in names.items()
        for name, part in zip(
            named, weights[path] if len(named) > 1 else [weights[path]], strict=True
        )
    }


def _layers(config: ModelConfig) -> Iterator[tuple[str, str, str]]:
    """Yields each layer as (ours, graph name, object key)."""
    yield from _backbone(config)
    yield from _pyramid(config)
    yield from _head(config, "class_head", "class_net", "class", "classes")
    yield from _head(config, "box_head", "box_net", "box", "boxes")


def _backbone(config: ModelConfig) -> Iterator[tuple[str, str, str]]:
    """In the graph, convolutions and batch norms count up within a block, in order of use."""
    if config.backbone in RESNETS:
        return
    root, norm = config.backbone, "tpu_batch_normalization"
    yield "backbone.stem_conv", f"{root}/stem/conv2d", "backbone/_stem/_conv_stem"
    yield "backbone.stem_bn", f"{root}/stem/{norm}", "backbone/_stem/_bn"
    for index, block in enumerate(blocks_of(config.backbone)):
        ours = f"backbone.block{block.name}_"
        graph, key = f"{root}/blocks_{index}/", f"backbone/_blocks/{index}/"
        first = 0 if block.expansion != 1 else 1  # without expansion there is no first of each
        for k, layer in enumerate(["expand_conv", "project_conv"][first:]):
            yield f"{ours}{layer}", f"{graph}conv2d{_suffix(k)}", f"{key}_{layer}"
        for k, (layer, count) in enumerate(
            [("expand_bn", 0), ("bn", 1), ("project_bn", 2)][first:]
        ):
            yield f"{ours}{layer}", f"{graph}{norm}{_suffix(k)}", f"{key}_bn{count}"
        yield f"{ours}dwconv", f"{graph}depthwise_conv2d", f"{key}_depthwise_conv"
        for k, layer in enumerate(["se_reduce", "se_expand"]):
            yield f"{ours}{layer}", f"{graph}se/conv2d{_suffix(k)}", f"{key}_se/_{layer}"


def _pyramid(config: ModelConfig) -> Iterator[tuple[str, str, str]]:
    for level in range(6, config.max_level + 1):
        graph, key = f"resample_p{level}", f"resample_layers/{level - 6}"
        for ours, leaf in (("conv", "conv2d"), ("bn", "bn")):
            yield f"pyramid.p{level}_{ours}", f"{graph}/{leaf}", f"{key}/{leaf}"
    if config.pyramid_levels != config.levels:  # other nodes than any released one's
        return
    # What the reference does not have gets names that none of its checkpoints has.
    levels, prefix = len(config.levels), name_prefix(config.feature_network)
    for cell in range(config.pyramid_repeats):
        for order, node in enumerate(FEATURE_NETWORKS[config.feature_network](config.levels)):
            made = levels + order
            ours = f"pyramid.cell{cell}.{prefix}node{made}"
            graph = f"fpn_cells/cell_{cell}/{prefix}fnode{order}"
            key = f"fpn_cells/cells/{cell}/{prefix}fnodes/{order}"
            yield f"{ours}.fusion", graph, key
            combine = f"{graph}/op_after_combine{made}"
            yield f"{ours}.conv", f"{combine}/conv", f"{key}/op_after_combine/conv_op"
            yield f"{ours}.bn", f"{combine}/bn", f"{key}/op_after_combine/bn"
            for position, source in enumerate(node.inputs):
                scope = f"{graph}/resample_{position}_{source}_{made}"
                resample = f"{key}/resample_layers/{position}"
                yield f"{ours}.input{position}_conv", f"{scope}/conv2d", f"{resample}/conv2d"
                yield f"{ours}.input{position}_bn", f"{scope}/bn", f"{resample}/bn"


def _head(
    config: ModelConfig, ours: str, theirs: str, kind: str, last: str
) -> Iterator[tuple[str, str, str]]:
    for repeat in range(config.head_repeats):
        conv = f"{theirs}/{kind}-{repeat}"
        yield f"{ours}.conv{repeat}", conv, f"{theirs}/conv_ops/{repeat}"
        for index, level in enumerate(config.levels):
            yield (
                f"{ours}.bn{repeat}_p{level}",
                f"{conv}-bn-{level}",
                f"{theirs}/bns/{repeat}/{index}",
            )
    yield f"{ours}.predict", f"{theirs}/{kind}-predict", f"{theirs}/{last}"


def _suffix(k: int) -> str:
    """Keras' own numbering of equal names: nothing, _1, _2."""
    return f"_{k}" if k else ""
