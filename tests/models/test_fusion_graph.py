"""The BiFPN's edges against the picture in the module and the paper's Figure 2d."""

from edet.models.fusion_graph import Node, bifpn


def test_levels_3_to_7_are_the_picture():
    assert bifpn(range(3, 8)) == [
        Node(6, (3, 4)), Node(5, (2, 5)), Node(4, (1, 6)), Node(3, (0, 7)),
        Node(4, (1, 7, 8)), Node(5, (2, 6, 9)), Node(6, (3, 5, 10)), Node(7, (4, 11)),
    ]  # fmt: skip


def test_levels_3_to_8_are_those_of_d7x():
    assert bifpn(range(3, 9)) == [
        Node(7, (4, 5)), Node(6, (3, 6)), Node(5, (2, 7)), Node(4, (1, 8)), Node(3, (0, 9)),
        Node(4, (1, 9, 10)), Node(5, (2, 8, 11)), Node(6, (3, 7, 12)), Node(7, (4, 6, 13)),
        Node(8, (5, 14)),
    ]  # fmt: skip
