"""The measurement on a network that takes a step in no time."""

import json

import pytest

from edet.cli.common import parsed
from edet.config.schema import ConfigError
from tests.training.small import small_config
from tools.benchmarks import measure_memory


def test_a_step_needs_about_what_was_expected_and_parts_need_less(monkeypatch, tmp_path, capsys):
    """A batch of 16, whole and in four parts."""
    seen = []

    def load(model, overrides):
        seen.append((model, overrides))
        parts = int(overrides[2].partition("=")[2])
        return small_config(
            model=vars(small_config().model) | {"image_size": (64, 64), "max_level": 5},
            data={"batch_size": 16}, train={"micro_batches": parts},
        )  # fmt: skip

    monkeypatch.setattr(measure_memory, "load_config", load)
    monkeypatch.setattr(measure_memory, "_REMAT", (False,))
    arguments = ["--batch_size=16", "--micro_batches=4", f"--output={tmp_path / 'figures.json'}"]
    measure_memory.measure(parsed(measure_memory.define_flags, arguments))
    whole, parts = json.loads((tmp_path / "figures.json").read_text())["steps"]
    assert parts["peak_mib"] < 0.6 * whole["peak_mib"]
    # On D0 it is within a tenth (docs/memory.md); here the small things are as large as any.
    assert 0.5 < whole["expected_mib"] / whole["peak_mib"] < 2
    assert "efficientdet-d0" in capsys.readouterr().out
    assert seen[0] == (
        "efficientdet-d0",
        ["data.batch_size=16", "train.remat=False", "train.micro_batches=1"],
    )


def test_a_batch_that_parts_cannot_share_is_refused():
    config = small_config(data={"batch_size": 4}, train={"micro_batches": 3})
    with pytest.raises(ConfigError, match="use 3 or 6"):
        measure_memory.measure_step(config, "CPU:0")
