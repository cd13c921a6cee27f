"""Two runs on one page: numbers beside each other, the pictures first where they differ."""

import json
import pathlib

import numpy as np
import pytest

from edet.cli import compare_runs
from edet.cli.common import parsed
from edet.errors import UserError
from edet.evaluation.errors import CORRECT, find_errors
from edet.report.comparison import errors_by_image
from edet.workdir import Workdir
from tests.report.small_run import write_evaluation


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    first, second = Workdir(str(folder / "a")), Workdir(str(folder / "b"))
    return folder, write_evaluation(first), write_evaluation(second, seed=4)


def test_errors_of_a_picture_are_what_is_missed_and_what_is_false(runs):
    """Counted from the matches themselves at the score of the best F1."""
    folder, (_, matches), _ = runs
    data = json.loads((folder / "a" / "report" / "evaluation.json").read_text())
    seen = np.round(matches.scores, 4) >= data["best"]["score"]
    false = seen & (find_errors(matches).kinds != CORRECT)
    missed = ~np.append(seen, False)[matches.detection_of]
    expected = np.bincount(matches.found.images[false], minlength=30)
    expected += np.bincount(matches.truth.images[missed], minlength=30)
    np.testing.assert_array_equal(errors_by_image(data), expected)


def test_the_page_shows_both_and_begins_where_they_differ_most(page, runs, tmp_path):
    folder, (one, _), (other, _) = runs
    output = str(tmp_path / "compare.html")
    options = parsed(compare_runs.define_flags, [f"--output={output}"])
    compare_runs.compare_runs(options, [str(folder / "a"), str(folder / "b")])
    page.goto(pathlib.Path(output).as_uri())
    page.wait_for_selector("body[data-ready]")
    difference = 100 * (other.metrics["AP"] - one.metrics["AP"])
    row = page.locator("table").first.locator("tbody tr").first
    assert row.inner_text().split()[0] == "AP" and f"{difference:+.1f}" in row.inner_text()
    titles = page.locator("#gallery button span").all_inner_texts()
    pairs = [title.rpartition("errors ")[2].split(" and ") for title in titles]
    gaps = [abs(int(a) - int(b)) for a, b in pairs]
    assert len(gaps) == 24 and gaps == sorted(gaps, reverse=True) and gaps[0] > 0
    page.select_option("#find", "better")
    titles = page.locator("#gallery button span").all_inner_texts()
    pairs = [title.rpartition("errors ")[2].split(" and ") for title in titles]
    assert pairs and all(int(b) < int(a) for a, b in pairs)


def test_what_cannot_be_compared_is_named(runs, tmp_path):
    folder, *_ = runs
    options = parsed(compare_runs.define_flags, [f"--output={tmp_path / 'c.html'}"])
    mine = parsed(compare_runs.define_flags, [f"--output={folder / 'a' / 'config.yaml'}"])
    with pytest.raises(UserError, match="end its name in .html"):
        compare_runs.compare_runs(mine, [str(folder / "a"), str(folder / "a")])
    with pytest.raises(UserError, match="give two workdirs"):
        compare_runs.compare_runs(options, [str(folder / "a")])
    with pytest.raises(UserError, match="Run --mode=eval --workdir=.*empty first"):
        compare_runs.compare_runs(options, [str(folder / "a"), str(tmp_path / "empty")])
