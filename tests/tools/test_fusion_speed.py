"""The contenders compute what they should, and every one of them is timed."""

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import Config, replace
from edet.models.efficientdet import build_network
from edet.models.pyramid import WeightedFusion
from tests.small import small_model
from tools.benchmarks import fusion_speed


def test_stacked_fusion_is_softmax_fusion():
    """1/4 of the first and 3/4 of the second: the weights are ln 1 and ln 3."""
    maps = [tf.fill((1, 2, 2, 3), 4.0), tf.fill((1, 2, 2, 3), 8.0)]
    layer = fusion_speed.StackedFusion("softmax")
    layer.build([m.shape for m in maps])
    layer.fusion_weights.assign([0.0, np.log(3.0)])
    np.testing.assert_allclose(layer(maps), np.full((1, 2, 2, 3), 7.0), rtol=1e-6)


def test_a_stacked_network_has_only_stacked_fusions_and_the_same_function():
    network = build_network(small_model(fusion="softmax", image_size=(32, 48)))
    stacked = fusion_speed._stacked(network)
    kinds = [type(x) for x in stacked.layers if isinstance(x, WeightedFusion)]
    assert kinds == [fusion_speed.StackedFusion] * 4
    images = tf.random.stateless_normal((1, 32, 48, 3), [1, 2])
    for name, value in network(images).items():  # every fusion weight still is 1
        np.testing.assert_allclose(stacked(images)[name], value, rtol=1e-4, atol=1e-5)


# It measures, which takes its time.
@pytest.mark.thorough
def test_a_contender_trains_infers_and_is_folded(eagerly):
    model = vars(small_model(image_size=(32, 48)))
    config = replace(Config(), model=model, data={"batch_size": 1})
    calls = fusion_speed._calls(config, "stacked")
    assert set(calls) == {"train", "infer", "folded"}
    for call in calls.values():
        call()


def test_ratios_are_medians_over_the_rounds(monkeypatch):
    times = {"fast": [10, 20, 40], "softmax": [11, 24, 40], "stacked": [20, 40, 80]}
    monkeypatch.setattr(fusion_speed, "_calls", lambda *_: dict.fromkeys(fusion_speed.PHASES))
    monkeypatch.setattr(
        fusion_speed, "_in_turns", lambda *_: {k: np.array(v) for k, v in times.items()}
    )
    found = fusion_speed.measure(Config(), rounds=3)
    assert found["train"]["softmax"] == {
        "milliseconds": 24.0, "ratio": 1.1, "quartiles": [1.05, 1.15],
    }  # fmt: skip
    assert found["folded"]["stacked"]["ratio"] == 2.0
    lines = fusion_speed.table("tiny", found).splitlines()
    assert [line.count("|") for line in lines] == [7] * 5
    assert lines[4] == "| train | 20.0 | 24.0 | 1.100 (1.050-1.150) | 40.0 | 2.000 (2.000-2.000) |"


@pytest.mark.parametrize("rounds", [2, 7])
def test_contenders_take_turns_and_each_begins_as_often_as_it_can(rounds):
    called = []
    names = ("a", "b", "c")
    times = fusion_speed._in_turns({n: lambda n=n: called.append(n) for n in names}, rounds)
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys(names, rounds)
    turns = ["".join(called[i : i + 3]) for i in range(0, len(called), 3)]
    assert turns == (["abc", "bca", "cab"] * 3)[: rounds + 2]
