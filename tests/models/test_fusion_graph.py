"""The edges of every feature network against its drawing, and what can reach what."""

from typing import get_args

import pytest

from edet.config.loading import load_config
from edet.config.schema import ConfigError, FeatureNetwork
from edet.models.fusion_graph import (
    FEATURE_NETWORKS,
    Node,
    bifpn,
    fpn,
    fully_connected,
    name_prefix,
    nas_fpn,
    panet,
    quad_fpn,
)
from tests.small import small_model

LEVELS = range(3, 8)

BIFPN = [
    Node(6, (3, 4)), Node(5, (2, 5)), Node(4, (1, 6)), Node(3, (0, 7)),
    Node(4, (1, 7, 8)), Node(5, (2, 6, 9)), Node(6, (3, 5, 10)), Node(7, (4, 11)),
]  # fmt: skip


def levels_reached(network: str) -> dict[int, set[int]]:
    """{level: levels of the inputs that its output depends on}, by following the edges."""
    seen = [{level} for level in LEVELS]
    outputs = {}
    for node in FEATURE_NETWORKS[network](LEVELS):
        seen.append(set().union(*(seen[i] for i in node.inputs)))
        outputs[node.level] = seen[-1]
    return outputs


ALL = set(LEVELS)
REACHED = {
    "bifpn": dict.fromkeys(LEVELS, ALL),
    "fpn": {level: set(range(level, 8)) for level in LEVELS},  # one way: only from above
    "panet": dict.fromkeys(LEVELS, ALL),
    # P3 and P4 are made before anything reads P5 or P7
    "nas_fpn": {3: {3, 4, 6}, 4: {3, 4, 6}, 5: {3, 4, 5, 6}, 6: ALL, 7: ALL},
    "fully_connected": dict.fromkeys(LEVELS, ALL),
    "quad_fpn": dict.fromkeys(LEVELS, ALL),
}


def test_bifpn_levels_3_to_7_are_the_picture():
    assert bifpn(LEVELS) == BIFPN


def test_bifpn_levels_3_to_8_are_those_of_d7x():
    assert bifpn(range(3, 9)) == [
        Node(7, (4, 5)), Node(6, (3, 6)), Node(5, (2, 7)), Node(4, (1, 8)), Node(3, (0, 9)),
        Node(4, (1, 9, 10)), Node(5, (2, 8, 11)), Node(6, (3, 7, 12)), Node(7, (4, 6, 13)),
        Node(8, (5, 14)),
    ]  # fmt: skip


def test_fpn_reads_its_own_level_and_the_one_above():
    assert fpn(LEVELS) == [
        Node(7, (4,)), Node(6, (3, 5)), Node(5, (2, 6)), Node(4, (1, 7)), Node(3, (0, 8)),
    ]  # fmt: skip


def test_panet_is_the_fpn_and_then_a_way_up_over_its_outputs():
    assert panet(LEVELS) == [
        *fpn(LEVELS),
        Node(3, (9,)), Node(4, (8, 10)), Node(5, (7, 11)), Node(6, (6, 12)), Node(7, (5, 13)),
    ]  # fmt: skip


def test_every_output_of_the_fully_connected_network_reads_every_input():
    assert fully_connected(LEVELS) == [Node(level, (0, 1, 2, 3, 4)) for level in LEVELS]


def test_nas_fpn_is_the_published_architecture():
    # (level, how, the two inputs) as its authors list the seven merging cells
    published = [
        (4, "attention", {1, 3}), (4, "sum", {1, 5}), (3, "sum", {0, 6}), (4, "sum", {6, 7}),
        (5, "attention", {7, 8}), (7, "attention", {6, 9}), (6, "attention", {9, 10}),
    ]  # fmt: skip
    nodes = nas_fpn(LEVELS)
    assert [
        (node.level, "attention" if node.attends else "sum", set(node.inputs[:2])) for node in nodes
    ] == published
    # the gate is the coarser of the two
    level_of = [*LEVELS, *(node.level for node in nodes)]
    gated = [[level_of[i] for i in node.inputs[:2]] for node in nodes if node.attends]
    assert gated == [[6, 4], [4, 3], [5, 4], [7, 5]]
    # every id but the five outputs is read; what the list leaves out joins its level's output
    read = [i for node in nodes for i in node.inputs]
    assert set(range(12)) - set(read) == {11}
    assert [node.inputs[2:] for node in nodes if node.inputs[2:]] == [(2,), (4,)]


def test_quad_fpn_is_the_bifpn_its_mirror_image_and_their_sum():
    assert quad_fpn(LEVELS) == [
        *BIFPN,
        Node(4, (1, 0)), Node(5, (2, 13)), Node(6, (3, 14)), Node(7, (4, 15)),
        Node(6, (3, 15, 16)), Node(5, (2, 14, 17)), Node(4, (1, 13, 18)), Node(3, (0, 19)),
        Node(7, (12, 16)), Node(6, (11, 17)), Node(5, (10, 18)), Node(4, (9, 19)),
        Node(3, (8, 20)),
    ]  # fmt: skip


@pytest.mark.parametrize("network", FEATURE_NETWORKS)
def test_every_output_sees_the_levels_that_it_is_meant_to_see(network):
    assert levels_reached(network) == REACHED[network]


@pytest.mark.parametrize(
    ("network", "levels"),
    [
        (network, levels)
        for network in FEATURE_NETWORKS
        for levels in (LEVELS, range(2, 8), range(3, 9))
        if network != "nas_fpn" or levels == LEVELS
    ],
)
def test_every_level_has_an_output_and_nodes_read_only_what_is_made(network, levels):
    nodes = FEATURE_NETWORKS[network](levels)
    assert {node.level for node in nodes} == set(levels)
    for order, node in enumerate(nodes):
        assert all(0 <= i < len(levels) + order for i in node.inputs)
        assert len(set(node.inputs)) == len(node.inputs) >= 1


def test_the_setting_has_every_network_and_no_other():
    assert set(get_args(FeatureNetwork)) == set(FEATURE_NETWORKS)


def test_a_network_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="feature_network"):
        load_config("efficientdet-d0", overrides=["model.feature_network=bipfn"])


def test_nas_fpn_refuses_other_levels_than_it_was_searched_for():
    with pytest.raises(ConfigError, match="nas_fpn was searched for levels 3-7, not 3-8"):
        small_model(feature_network="nas_fpn", max_level=8)


def test_only_networks_that_the_reference_has_share_its_names():
    assert name_prefix("bifpn") == name_prefix("quad_fpn") == ""
    others = [name_prefix(network) for network in FEATURE_NETWORKS if "bi" not in network]
    assert others == ["fpn_", "panet_", "nas_fpn_", "fully_connected_", ""]
