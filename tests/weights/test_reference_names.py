"""The reference's names against those that its own checkpoint has."""

import gzip
import json

from edet.config.loading import load_config
from edet.models.complexity import outline
from edet.weights.reference_names import reference_names
from tests.small import small_model


def test_graph_names_and_object_keys_of_d0_are_the_reference_s(golden):
    """All 709 variables: the file pairs the keys of its TF2 checkpoint with its variables."""
    pairs = json.loads(gzip.decompress((golden / "d0_object_keys.json.gz").read_bytes()))
    model = load_config("efficientdet-d0", overrides=["model.image_size=128"]).model
    network = outline(model)
    graph, keys = (reference_names(network, model, style) for style in ("graph", "object"))
    ours = {key: name for path in graph for key, name in zip(keys[path], graph[path], strict=True)}
    assert len(pairs) == 709
    assert ours == pairs


def nodes_named(feature_network):
    """The reference's names, of both styles, of all variables in the cells of a small network."""
    model = small_model(feature_network=feature_network, max_level=7)
    network = outline(model)
    styles = (reference_names(network, model, style) for style in ("graph", "object"))
    return [
        {n for path, named in names.items() if path.startswith("pyramid.cell") for n in named}
        for names in styles
    ]


def test_a_quad_fpn_begins_with_the_bifpn_and_another_network_shares_no_node_with_it():
    named = map(nodes_named, ("bifpn", "quad_fpn", "panet"))
    for bifpn, quad_fpn, panet in zip(*named, strict=True):
        assert bifpn < quad_fpn
        assert not bifpn & panet
