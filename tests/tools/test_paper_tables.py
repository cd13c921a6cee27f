"""The tool: the README's table is its own, and our figures are the published ones."""

import json

import pytest

from edet.cli.common import call, parsed
from edet.config.sizes import list_models
from tests.conftest import REPOSITORY
from tests.models.test_efficientdet import RELEASED
from tools.paper import paper_tables, table_5


def tool(*arguments: str) -> int:
    options = parsed(paper_tables.define_flags, list(arguments))
    return call(paper_tables.paper_tables, options, [])


@pytest.fixture
def readme(tmp_path, monkeypatch):
    """A README of three lines with a table of its own."""
    path = tmp_path / "README.md"
    path.write_text(f"before\n{paper_tables.BEGIN}\n\n| old |\n\n{paper_tables.END}\nafter\n")
    monkeypatch.setattr(paper_tables, "README", str(path))
    return path


def rows_of(table: str) -> dict[str, list[str]]:
    """{first cell: the cells after it} of a Markdown table."""
    lines = [line for line in table.splitlines() if line.startswith("| efficientdet-")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_the_readme_of_this_repository_is_up_to_date(capsys):
    assert tool("--check") == 0, capsys.readouterr().err


def test_a_stale_readme_fails_and_is_mended(readme, capsys):
    assert tool("--check") == 2
    assert "stale; run python tools/paper_tables.py --readme" in capsys.readouterr().err
    assert tool("--readme") == 0
    assert tool("--check") == 0
    text = readme.read_text()
    assert text.startswith("before\n<!-- model table")
    assert text.endswith("|\n\n<!-- end -->\nafter\n")
    assert text.count("\n| efficientdet-") == len(list_models()) == 15
    assert "old" not in text
    readme.write_text(text.replace("3,880,067", "3,880,068"))
    assert tool("--check") == 2


def test_a_readme_without_the_marks_is_left_as_it_is(readme, capsys):
    readme.write_text("no table\n")
    assert tool("--readme") == 2
    assert "has no lines <!-- model table" in capsys.readouterr().err
    assert readme.read_text() == "no table\n"


def test_the_readme_table_has_our_cost_and_the_published_ap():
    rows = rows_of(paper_tables.readme_table(paper_tables.read_costs()))
    assert list(rows) == list_models()
    d0, lite0 = rows["efficientdet-d0"], rows["efficientdet-lite0"]
    assert d0[:5] == ["512", "3,880,067", "2.548 B", "34.6", "34.3"]
    assert d0[5:] == ["efficientnet-b0", "64", "3", "3"]
    assert lite0[3:5] == ["–", "26.4"]


def test_the_kept_counts_are_those_of_the_released_models():
    """tests/models counts every network against the same numbers."""
    costs = paper_tables.read_costs()
    assert list(costs) == list(RELEASED)
    for name, (parameters, multiply_adds) in RELEASED.items():
        assert costs[name]["parameters"] == parameters
        assert costs[name]["multiply_adds"] / 1e9 == pytest.approx(multiply_adds, rel=0.01)


def test_counting_gives_the_kept_counts(tmp_path, monkeypatch):
    kept = paper_tables.read_costs()["efficientdet-lite0"]
    monkeypatch.setattr(paper_tables, "COSTS", str(tmp_path / "costs.json"))
    monkeypatch.setattr(paper_tables, "list_models", lambda: ["efficientdet-lite0"])
    neck = table_5.NETWORKS[0]
    networks = {str(table_5.BEST): {neck.label: table_5.read()[str(table_5.BEST)][neck.label]}}
    monkeypatch.setattr(table_5, "COSTS", str(tmp_path / "networks.json"))
    monkeypatch.setattr(table_5, "NETWORKS", (neck,))
    monkeypatch.setattr(table_5, "REPEATS", (table_5.BEST,))
    assert tool("--count", "--check") == 2  # one model is not the README's fifteen
    assert json.loads((tmp_path / "networks.json").read_text()) == networks
    ((name, counted),) = json.loads((tmp_path / "costs.json").read_text()).items()
    assert name == "efficientdet-lite0"
    assert counted["parameters"] == kept["parameters"]
    assert counted["multiply_adds"] == pytest.approx(kept["multiply_adds"], rel=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot read counts"), ("{", "--count"), ("[]", "--count"), ("{}", "--count")],
)
def test_counts_that_are_missing_or_broken_are_named(text, message, tmp_path, monkeypatch, capsys):
    path = tmp_path / "costs.json"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(paper_tables, "COSTS", str(path))
    assert tool() == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert message in error
    assert error.count("\n") == 1


def test_one_published_figure_alone_is_more_than_a_percent_from_ours():
    """The authors' README gives D5 130 billion multiply-adds, their paper 135; it has 135.6."""
    (found,) = paper_tables.disagreements(paper_tables.read_costs())
    assert found[:4] == ("efficientdet-d5", "multiply_adds", "released", "130")
    assert found.ours == pytest.approx(135.6, abs=0.1)


def test_a_count_that_is_two_percent_off_disagrees_with_paper_and_release():
    costs = paper_tables.read_costs()
    costs["efficientdet-d7"] = {"parameters": 51_900_000, "multiply_adds": 331_500_000_000}
    found = [row for row in paper_tables.disagreements(costs) if row.model == "efficientdet-d7"]
    assert [(row.what, row.source) for row in found] == [
        ("multiply_adds", "released"), ("multiply_adds", "paper"),
    ]  # fmt: skip


def test_table_1_shows_where_the_paper_rounds_otherwise_than_its_equations():
    rows = rows_of(paper_tables.table_1())
    assert list(rows) == list(paper_tables.PAPER)
    for name, row in rows.items():  # phi, backbone, ours, then paper, ours and equation four times
        assert row[1].replace("B", "efficientnet-b") == row[2]
        assert row[3::3] == row[4::3], name
    d4, d5 = rows["efficientdet-d4"], rows["efficientdet-d5"]
    assert " ".join(d4[3:]) == "1024 1024 1024 224 224 212.6 7 7 7 4 4 4"
    assert " ".join(d5[3:]) == "1280 1280 1152 288 288 287.0 7 7 8 4 4 4"


def test_all_tables_are_printed_with_paper_release_and_ours(capsys):
    assert tool() == 0
    text = capsys.readouterr().out
    cost, published = "3.9 | 3.9 | 3.880 | 2.5 | 2.54 | 2.548", "34.6 | 34.6 | 34.3 | 34.3"
    assert f"| efficientdet-d0 | {cost} | {published} | 12 | 10.2 |" in text
    assert "| efficientdet-lite0 | 3.2 | 3.243 | 0.9762 | 26.41 | 26.10 |" in text
    assert text.endswith("multiply-adds of efficientdet-d5: ours 135.6, released 130\n")


def test_the_page_of_the_recipes_has_the_paper_and_every_sweep_that_was_trained_here():
    page = (REPOSITORY / "docs" / "paper" / "recipes.md").read_text()
    length, jitter = (text.partition("\n\n")[2] for text in paper_tables.training_recipes())
    assert length in page
    assert jitter in page
    # The figures print these; Table 2 has the same AP of D1 and RetinaNet-R50 after 300 epochs.
    assert "| 300 | 40.2 | 39.2 | 150 |" in length
    assert paper_tables.PAPER["efficientdet-d1"].ap_val == "40.2"
    assert "| 0.1-2.0 | 40.2 | 34.6 |" in jitter
    assert length.count(" ± ") == 4 * 2 * 2
    assert jitter.count(" ± ") == 4 * 2
