"""What the networks of the paper cost: counted, timed, kept, and told on the pages."""

import json
from typing import NamedTuple

import pytest

from edet.cli.common import call, parsed
from edet.config.loading import load_config
from edet.config.schema import Config
from edet.errors import UserError
from edet.weights.zoo import ZOO
from tests.conftest import REPOSITORY
from tests.small import small_model
from tools.benchmarks import measure_networks
from tools.paper import costs, figure_1, figure_6, figure_9, paper_tables, table_4

PAGES = REPOSITORY / "docs" / "paper"


def tool(*arguments: str) -> int:
    options = parsed(measure_networks.define_flags, list(arguments))
    return call(measure_networks.measure_networks, options, [])


class Small(NamedTuple):
    """A subject of the tests."""

    label: str

    def config(self) -> Config:
        return Config(model=small_model())


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """An empty place for the figures, and two experiments of one small network each."""
    path = tmp_path / "costs.json"
    monkeypatch.setattr(costs, "COSTS", str(path))
    monkeypatch.setattr(costs, "_MODELS", str(tmp_path / "models.json"))
    experiments = {"scaling": (Small("a"),), "resolution": (Small("b"),)}
    monkeypatch.setattr(costs, "EXPERIMENTS", experiments)
    return path


# It measures, which takes its time.
@pytest.mark.thorough
def test_a_network_is_counted_once_and_timed_beside_the_load(kept, capsys):
    assert tool("--count", "--time", "--seconds=0") == 0
    found = json.loads(kept.read_text())
    assert list(found) == ["a", "b"]
    assert found["a"]["image_size"] == [64, 96]
    for key in ("parameters", "multiply_adds", "activation_bytes"):
        assert found["a"][key] == found["b"][key] > 0
    assert found["a"]["runs"] == 5
    assert found["a"]["milliseconds"]["median"] >= found["a"]["milliseconds"]["least"] > 0
    if found["a"]["inference_bytes_of"] == "TensorFlow's allocator":
        assert found["a"]["inference_bytes"] > 64 * 96 * 3 * 4  # more than a picture
    assert len(found["a"]["load"]) == 2
    assert "training_bytes" not in found["a"]
    assert found["b"]["training_bytes"]["fixed"] > 3 * 4 * found["b"]["parameters"]
    capsys.readouterr()
    kept.write_text(kept.read_text().replace('"runs": 5', '"runs": 50'))
    assert tool("--count", "--time") == 0
    assert json.loads(kept.read_text())["a"]["runs"] == 50  # nothing was done again
    assert "a: 0.21 M parameters" in capsys.readouterr().out


def test_a_network_above_the_limit_is_not_timed(kept):
    kept.write_text(json.dumps({"a": {"activation_bytes": 1, "multiply_adds": 61_000_000_000,
                                      "parameters": 1}}))  # fmt: skip
    assert tool("--time", "--experiments=scaling") == 0
    assert "milliseconds" not in json.loads(kept.read_text())["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--count, --time or both"),
        (["--count", "--experiments=depth"], "there is none; choose of scaling, resolution"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, kept, capsys):
    assert tool(*arguments) == 2
    assert message in capsys.readouterr().err


def test_figures_that_are_not_there_say_how_to_find_them(kept):
    kept.write_text("{")
    with pytest.raises(UserError, match="is not what this tool writes"):
        costs.read()
    kept.write_text("{}")
    with pytest.raises(UserError, match=r"no parameters of a; run python tools/measure_networks"):
        costs.figure(costs.read(), "a")


def test_three_of_four_networks_of_table_4_are_within_three_percent():
    """EfficientNet-B3 + FPN misses what one full convolution on all levels costs."""
    found = costs.read()
    off = {
        neck.config: [
            round(100 * (mine / paper - 1), 1)
            for mine, paper in zip(
                table_4.ours_of(found, neck), (neck.parameters, neck.multiply_adds), strict=True
            )
        ]
        for neck in table_4.NECKS
    }
    missing = off.pop("efficientnet_b3_fpn")
    assert missing == [-4.8, -6.9]
    assert all(abs(value) <= 3 for values in off.values() for value in values), off
    locations = sum((640 // 2**level) ** 2 for level in range(3, 8))
    parameters, multiply_adds = table_4.ours_of(found, table_4.NECKS[2])
    assert round(parameters + (9 * 256 * 256 + 256) / 1e6) == 21
    assert round(multiply_adds + 9 * 256 * 256 * locations / 1e9) == 75


def test_every_experiment_loads_and_differs_in_what_it_says():
    """Each scaling configuration is one of the points at phi = 3; fixed is 640, scaled is not."""
    for dimension in costs.DIMENSIONS:
        model = load_config(path=REPOSITORY / f"configs/paper/scaling/{dimension}.yaml").model
        assert model.name == f"efficientdet-phi3-{dimension}"
    for subject in costs.EXPERIMENTS["resolution"]:
        size = subject.config().model.image_size
        assert (size == (640, 640)) == (subject.label.endswith("640") or "-d1" in subject.label)
    labels = [subject.label for subject in costs.EXPERIMENTS["scaling"]]
    assert [figure_6.phi_of(label) for label in labels[:5]] == [0, 1, 1.5, 2, 3]
    assert figure_6.phi_of("efficientdet-phi2-depth") == 2


def test_one_dimension_alone_costs_what_that_dimension_does():
    """Resolution leaves the parameters; everything else costs less than all four together."""
    found = costs.read()
    base, compound = found["efficientdet-phi0"], found["efficientdet-phi2"]
    larger = found["efficientdet-phi2-resolution"]
    assert larger["parameters"] == base["parameters"]
    ratio = larger["multiply_adds"] / base["multiply_adds"]
    assert ratio == pytest.approx((768 / 512) ** 2, rel=0.01)
    for dimension in costs.DIMENSIONS:
        row = found[f"efficientdet-phi2-{dimension}"]
        assert base["multiply_adds"] < row["multiply_adds"] < compound["multiply_adds"]


def test_figures_have_a_curve_for_each_series():
    legends = [text.get_text() for text in figure_6.draw().axes[1].get_legend().get_texts()]
    assert legends == ["compound", *costs.DIMENSIONS]
    legends = [text.get_text() for text in figure_9.draw().axes[0].get_legend().get_texts()]
    assert legends == ["scaled", "fixed at 640"]
    left, right = figure_1.size_and_time().axes
    assert left.get_ylabel() == right.get_ylabel() == "published COCO AP (not ours)"
    aps = figure_1.multiply_adds().axes[0].lines[0].get_ydata()
    assert aps[0] == ZOO["efficientdet-d0"].ap_test


def test_the_pages_hold_the_tables_that_the_tool_prints():
    text = "".join((PAGES / name).read_text() for name in ("backbones.md", "scaling.md"))
    for printed in paper_tables.measured():
        assert printed.partition("\n\n")[2] in text, "copy them from tools/paper_tables.py"
