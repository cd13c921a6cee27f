"""Every committed experiment loads, and its header holds the command that runs it."""

import pytest

from edet.config.loading import load_config
from tests.conftest import REPOSITORY

CONFIGS = sorted(
    path for path in (REPOSITORY / "configs").rglob("*.yaml") if not path.match("*.sweep.yaml")
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_committed_experiment_loads_and_says_how_to_run_it(path):
    load_config(path=path)
    header = path.read_text().partition("model:")[0]
    assert str(path.relative_to(REPOSITORY)) in header
    assert "Hardware:" in header
    assert "AP" in header or "Not trained here" in header
