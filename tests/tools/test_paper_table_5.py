"""Table 5: our counts, how near they come to the paper, and the page that tells of them."""

import pytest

from edet.config.loading import load_config
from edet.errors import UserError
from edet.files import write_json
from tests import small  # noqa: F401, for its backbone
from tests.conftest import REPOSITORY
from tools.paper import paper_tables, table_5

TINY = "efficientnet-lite-tiny"  # from tests.small
PAGE = REPOSITORY / "docs" / "paper" / "feature_networks.md"


def test_ten_of_twelve_ratios_are_the_papers_to_its_digits():
    """NAS-FPN has 0.035 more parameters, the fully connected network costs 0.008 less."""
    ours = table_5.ratios(table_5.read(), table_5.BEST)
    off = {
        (row.label, what): round(mine - paper, 3)
        for row in table_5.NETWORKS
        for what, mine, paper in zip(
            ("parameters", "multiply_adds"), ours[row.label], row[-2:], strict=True
        )
        if abs(mine - paper) > 0.00501
    }
    assert off == {
        ("NAS-FPN", "parameters"): 0.035, ("Fully-Connected FPN", "multiply_adds"): -0.008,
    }  # fmt: skip


def test_no_other_number_of_cells_is_as_near():
    costs = table_5.read()
    distances = {n: table_5.distance(costs, n) for n in table_5.REPEATS}
    assert min(distances, key=distances.get) == table_5.BEST == 5


def test_a_count_is_what_the_edges_say(monkeypatch):
    """One cell of the FPN on a small pyramid, by hand."""
    settings = ["model.image_size=64", f"model.backbone={TINY}"]
    monkeypatch.setattr(
        table_5,
        "load_config",
        lambda name, overrides: load_config(name, overrides=overrides + settings),
    )
    row = table_5.NETWORKS[0]._replace(cells=1)
    parameters, _ = table_5.count_network(row, repeats=1, model="efficientdet-d0")
    width, channels = 64, (16, 40, 112)  # of the pyramid, and of P3, P4, P5
    projections = sum((c + 3) * width for c in (*channels, channels[-1]))  # the last makes P6
    nodes = 5 * (9 * width + width * width + 3 * width)
    assert parameters == projections + nodes


def test_the_configurations_have_the_cells_that_were_counted():
    for row in table_5.NETWORKS:
        name = "bifpn_sum" if row.feature_network == "bifpn" and row.fusion == "sum" else ""
        path = REPOSITORY / f"configs/paper/feature_networks/{name or row.feature_network}.yaml"
        model = load_config(path=path).model
        assert (model.name, model.feature_network, model.fusion, model.pyramid_repeats) == (
            table_5.MODEL, row.feature_network, row.fusion, table_5.BEST * row.cells,
        )  # fmt: skip


def test_the_page_holds_the_tables_that_the_tool_prints():
    text = PAGE.read_text()
    for printed in paper_tables.feature_networks():
        assert printed.partition("\n\n")[2] in text, "copy them from tools/paper_tables.py"


def test_counts_that_are_not_there_say_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(table_5, "COSTS", str(tmp_path / "costs.json"))
    write_json(table_5.COSTS, {"5": {}})
    with pytest.raises(UserError, match=r"run python tools/paper_tables\.py --count"):
        table_5.read()
