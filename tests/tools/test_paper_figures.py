"""The figures: nodes where the node lists have them, and weights from a run's own file."""

import pytest

from edet.cli.common import call, parsed
from edet.errors import UserError
from edet.models.fusion_graph import bifpn, nas_fpn
from tools.paper import figure_2, figure_5, paper_figures


def tool(*arguments: str) -> int:
    options = parsed(paper_figures.define_flags, list(arguments))
    return call(paper_figures.paper_figures, options, [])


@pytest.fixture
def runs(tmp_path):
    """Two runs of three fusions: one hardly moves, one has three inputs."""
    for name, last in (("softmax", 0.7), ("fast", 0.8)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fusion_weights.csv").write_text(
            "step,a.input0,a.input1,b.input0,b.input1,c.input0,c.input1,c.input2\n"
            "0,0.5,0.5,0.5,0.5,0.3,0.3,0.4\n"
            f"10,{last},0.3,0.51,0.49,0.1,0.1,0.8\n"
        )
    return {name: str(tmp_path / name) for name in ("softmax", "fast")}


def test_inputs_stand_left_and_outputs_right():
    places = figure_2.places(bifpn(range(3, 8)))
    assert places[:5] == [(0, 3), (0, 4), (0, 5), (0, 6), (0, 7)]
    assert places[5:8] == [(1, 6), (1, 5), (1, 4)]
    assert places[8:] == [(2, 3), (2, 4), (2, 5), (2, 6), (2, 7)]


def test_no_two_nodes_stand_in_one_place():
    for network in figure_2.FEATURE_NETWORKS.values():
        places = figure_2.places(network(range(3, 8)))
        assert len(set(places)) == len(places)
    assert figure_2.places(nas_fpn(range(3, 8)))[5:7] == [(1, 4), (2, 4)]


def test_figure_2_has_a_panel_for_each_network():
    titles = [axes.get_title() for axes in figure_2.draw().axes]
    assert len(titles) == len(figure_2.FEATURE_NETWORKS) == 6
    assert "(d) BiFPN" in titles


def test_figure_5_draws_the_first_weight_of_each_run_in_percent(runs):
    figure = figure_5.draw(runs)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]  # c has three inputs
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines["softmax"].get_xdata()) == [0, 10]
    assert list(lines["softmax"].get_ydata()) == pytest.approx([50, 70])
    assert list(lines["fast"].get_ydata()) == pytest.approx([50, 80])


def test_figures_are_written_as_png(runs, tmp_path, capsys):
    pairs = ",".join(f"{label}={path}" for label, path in runs.items())
    assert tool("--figures=5", f"--runs={pairs}", "--nodes=b", f"--output={tmp_path}/new") == 0
    path = tmp_path / "new" / "figure_5.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--figures=3"], "--figures=3 is not drawn here; choose of"),
        (["--figures=5"], "give --runs=label=workdir"),
        (["--figures=5", "--runs=softmax"], "give --runs=label=workdir"),
        (["--figures=5", "--runs=softmax=/nowhere"], "/nowhere/fusion_weights.csv"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, capsys):
    assert tool(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_node_that_a_run_does_not_have_is_refused(runs):
    with pytest.raises(UserError, match="has no node cell9"):
        figure_5.draw(runs, ["cell9.node5"])
