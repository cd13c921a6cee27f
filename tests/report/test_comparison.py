"""Two runs on one page: numbers beside each other, the pictures first where they differ."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest

from edet.cli import compare_runs
from edet.cli.common import parsed
from edet.errors import UserError
from edet.evaluation.errors import CORRECT, find_errors
from edet.files import write_json
from edet.report.comparison import _names, compare, errors_by_image
from edet.report.page import write_page
from edet.workdir import Workdir
from tests.report.small_run import write_evaluation


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    first, second = Workdir(str(folder / "a")), Workdir(str(folder / "b"))
    return folder, write_evaluation(first), write_evaluation(second, share=0.7)


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


def test_only_a_comparison_is_written_over(runs, tmp_path):
    folder, *_ = runs
    workdirs = [str(folder / "a"), str(folder / "b")]
    options = parsed(compare_runs.define_flags, [f"--output={tmp_path / 'c.html'}"])
    for _ in range(2):
        compare_runs.compare_runs(options, workdirs)
    write_page(Workdir(workdirs[0]))
    report = folder / "a" / "report.html"
    before = report.read_text()
    options = parsed(compare_runs.define_flags, [f"--output={report}"])
    with pytest.raises(UserError, match=r"report.html is no comparison and would be replaced"):
        compare_runs.compare_runs(options, workdirs)
    assert report.read_text() == before


def test_what_cannot_be_compared_is_named(runs, tmp_path):
    folder, *_ = runs
    options = parsed(compare_runs.define_flags, [f"--output={tmp_path / 'c.html'}"])
    mine = parsed(compare_runs.define_flags, [f"--output={folder / 'a' / 'config.yaml'}"])
    with pytest.raises(UserError, match="end its name in .html"):
        compare_runs.compare_runs(mine, [str(folder / "a"), str(folder / "a")])
    with pytest.raises(UserError, match="give two workdirs"):
        compare_runs.compare_runs(options, [str(folder / "a")])
    with pytest.raises(UserError, match="no evaluation; run --mode=eval --workdir=.*empty"):
        compare_runs.compare_runs(options, [str(folder / "a"), str(tmp_path / "empty")])
    pixels = Workdir(str(tmp_path / "pixels"))
    write_json(pixels.result_file("segmentation"), {"metrics": {"mIOU": 0.5}})
    with pytest.raises(UserError, match="pixels classifies pixels; only runs that find boxes"):
        compare(str(folder / "a"), pixels.path)


def test_pictures_of_one_name_are_told_apart_by_their_objects(runs, tmp_path):
    """Two sets that number their pictures from 1, as most exporters do, share none of them."""
    folder, *_ = runs
    write_evaluation(Workdir(str(tmp_path / "other")), seed=4)
    with pytest.raises(UserError, match="share no picture, 30 have one name but other sizes or"):
        compare(str(folder / "a"), str(tmp_path / "other"))
    mixed = Workdir(str(tmp_path / "mixed"))
    write_evaluation(mixed)
    path = pathlib.Path(mixed.report_file("evaluation"))
    data = json.loads(path.read_text())
    data["images"][0][1] += 1  # another width
    path.write_text(json.dumps(data))
    page = compare(str(folder / "a"), mixed.path)
    assert "1 pictures have one name in both, but other sizes or objects" in page
    assert "30 and 30 pictures were evaluated; 29 are shown of both." in page


def test_classes_of_one_run_alone_are_shown_and_named(runs, tmp_path):
    folder, *_ = runs
    other = Workdir(str(tmp_path / "renamed"))
    write_evaluation(other)
    path = pathlib.Path(other.result_file("eval"))
    result = json.loads(path.read_text())
    first = next(iter(result["per_class"]))
    result["per_class"]["robin"] = result["per_class"].pop(first)
    path.write_text(json.dumps(result))
    page = compare(str(folder / "a"), other.path)
    assert f"Only a has the classes {first}." in page
    assert "Only renamed has the classes robin." in page
    row = page[page.index("<td>robin</td>") :].partition("</tr>")[0]
    assert row.count("<td>–</td>") == 2  # the other run's AP, and the change


def test_what_was_evaluated_otherwise_is_named(runs, tmp_path):
    """An exported file in place of the checkpoint, with another threshold."""
    folder, *_ = runs
    results = json.loads((folder / "a" / "eval.json").read_text())
    thresholds = {"b": 0.001, "c": 0.5}
    for run, file in (("b", None), ("c", "model.tflite")):
        shutil.copytree(folder / "a", tmp_path / run)
        own = {"detect": {"score_threshold": thresholds[run], "tile": [0, 0]}}
        own |= {"file": file} if file else {}
        (tmp_path / run / "eval.json").write_text(json.dumps(results | own))
    page = " ".join(compare(str(tmp_path / "b"), str(tmp_path / "c")).split())
    assert "The numbers of c are those of model.tflite." in page
    assert "The numbers of b" not in page
    row = page[page.index("detect.score_threshold") :].partition("</tr>")[0]
    assert "0.001" in row and "0.5" in row and "detect.tile" not in page


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("length", [25, 40, 300])
def test_long_names_of_classes_and_runs_leave_the_numbers_in_sight(
    page, runs, tmp_path, length, width
):
    """No table is wider than its card: what is beside a long name needs no scrolling."""
    names = [f"2026-11-29_d0_lr{rate}_mosaic_flip" for rate in (0.08, 0.16)]
    for name in names:
        write_evaluation(Workdir(str(tmp_path / name)))
        path = tmp_path / name / "eval.json"
        result = json.loads(path.read_text())
        first = next(iter(result["per_class"]))
        result["per_class"]["m" * length] = result["per_class"].pop(first)
        path.write_text(json.dumps(result))
    output = tmp_path / "compare.html"
    output.write_text(compare(*(str(tmp_path / name) for name in names)))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(output.as_uri())
    page.wait_for_selector("body[data-ready]")
    widths = "cards => cards.map(card => [card.scrollWidth, card.clientWidth])"
    found = page.locator(".scroll").evaluate_all(widths)
    assert len(found) == 3 and all(inner <= outer for inner, outer in found)


@pytest.mark.parametrize("name", ["eval.json", "report/evaluation.json"])
@pytest.mark.parametrize("content", ["{}", "[1]", "null", '{"metrics": 5}'])
def test_a_damaged_evaluation_is_named(runs, tmp_path, name, content):
    folder, *_ = runs
    shutil.copytree(folder / "a", tmp_path / "c")
    (tmp_path / "c" / name).write_text(content)
    file_or_both = rf"{re.escape(name)}|eval.json or report/evaluation\*.json of .* not as edet"
    with pytest.raises(UserError, match=file_or_both):
        compare(str(folder / "a"), str(tmp_path / "c"))


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("runs/a", "runs/b", ["a", "b"]),
        ("sweep/SGD/seed0", "sweep/AdamW/seed0", ["SGD", "AdamW"]),
        ("x/a/run", "y/b/run", ["a", "b"]),
        ("runs/a", "runs/a/", ["runs/a", "runs/a/"]),
        ("run", "old/run", ["run", "old/run"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(first, second, names):
    assert _names([first, second]) == names
