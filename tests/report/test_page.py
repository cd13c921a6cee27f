"""The page of a run in a real browser: what is clicked, and that its numbers are the run's."""

import pathlib

import numpy as np
import pytest

from edet.evaluation.errors import best_threshold, counts_by_threshold
from edet.evaluation.matching import confusion_matrix
from edet.evaluation.report import percent
from edet.report.page import write_page
from edet.workdir import Workdir
from tests.browser import tab
from tests.report.small_run import FOREIGN, color_of, write_evaluation, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = write_run(tmp_path_factory.mktemp("run"))
    write_page(workdir)
    return workdir


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    return write_evaluation(Workdir(str(tmp_path_factory.mktemp("again"))))


@pytest.fixture
def opened(page, run):
    """The page, with nothing but the file: a tab lets no request to another machine through."""
    return _open(page, run)


def _open(page, workdir):
    page.goto(pathlib.Path(workdir.report_page).as_uri())
    page.wait_for_selector("body[data-ready]")
    return page


def drawn(page) -> None:
    page.evaluate("() => new Promise(requestAnimationFrame)")  # changes are drawn with the next


def number(page, name: str) -> str:
    drawn(page)
    return page.inner_text(f"#count-{name}")


def move(page, selector: str, value) -> None:
    page.eval_on_selector(
        selector, "(n, v) => { n.value = v; n.dispatchEvent(new Event('input')); "
        "n.dispatchEvent(new Event('change')); }", str(value),
    )  # fmt: skip
    drawn(page)


def gallery_count(page) -> int:
    drawn(page)
    return int(page.inner_text("#gallery-title").rpartition(": ")[2])


def test_every_section_is_there_and_numbers_are_those_of_the_evaluation(opened, evaluated):
    result, matches = evaluated
    headings = opened.locator("h2").all_inner_texts()
    assert headings == ["Evaluation", "Training", "Data", "Predict", "Models"]
    for name, value in result.metrics.items():
        assert opened.inner_text(f"[data-metric={name}] b") == percent(value)
    best = best_threshold(counts_by_threshold(matches), matches.floor)
    assert number(opened, "at") == f"{best['score']:.2f}"
    assert number(opened, "f1") == percent(best["F1"])
    assert number(opened, "precision") == percent(best["precision"])
    assert opened.locator("canvas").count() > 9  # charts and pictures
    text = opened.inner_text("main")
    memory = opened.locator(".card", has_text="Memory at its peak, MiB").last.inner_text()
    words = "expected: weights\n1\nexpected in all\n1\nmeasured: a device\n900\n"
    assert (words + "measured: the process\n1,600") in memory.replace("\n\n", "\n")
    for shown in ("train.steps was 1, now it is 2", "box without area", "m.tflite", "b.jpg"):
        assert shown in text


def test_the_slider_changes_the_counts_and_keys_move_it(opened, evaluated):
    counts = counts_by_threshold(evaluated[1])
    right, false = (counts[name].sum(axis=(0, 1)) for name in ("right", "false"))
    for t in (60, 85):
        move(opened, "#threshold", t)
        assert number(opened, "right") == str(right[t])
        assert number(opened, "false") == str(false[t])
        assert number(opened, "missed") == str(counts["objects"].sum() - right[t])
    opened.keyboard.press("]")
    assert number(opened, "at") == "0.86"
    opened.click("#best")
    assert number(opened, "at") != "0.86"


def test_a_cell_of_the_matrix_opens_its_pictures(opened, evaluated):
    move(opened, "#threshold", 40)
    matrix = confusion_matrix(evaluated[1], 0.4)
    for row, column in ((0, 1), (2, 3), (3, 0)):  # wrong class, missed, background
        opened.wait_for_selector("#matrix button")
        cell = opened.locator(f'[data-cell="{row},{column}"]')
        assert cell.inner_text() == str(matrix[row, column]) != "0"
        cell.click()
        assert gallery_count(opened) == matrix[row, column]
    opened.locator("#gallery button").first.click()
    assert opened.inner_text("#viewer span") == f"1 of {matrix[3, 0]}"
    opened.keyboard.press("ArrowRight")
    assert opened.inner_text("#viewer span") == f"2 of {matrix[3, 0]}"
    opened.keyboard.press("Escape")
    assert not opened.is_visible("#viewer")


@pytest.mark.parametrize("label", [0, 2])
def test_filters_filter(opened, evaluated, label):
    matches = evaluated[1]
    counts = counts_by_threshold(matches)
    move(opened, "#threshold", 50)
    move(opened, "#class", label)
    assert number(opened, "right") == str(counts["right"][label, :, 50].sum())
    move(opened, "#size", 2)
    right, objects = counts["right"][label, 2, 50], counts["objects"][label, 2]
    assert number(opened, "right") == str(right)
    assert number(opened, "missed") == str(objects - right)
    assert gallery_count(opened) == objects - right  # it begins with what is missed
    titles = opened.locator("#gallery button span").all_inner_texts()
    assert all(title.startswith(f"class {label + 1}, large") for title in titles)
    opened.keyboard.press("2")
    drawn(opened)
    assert opened.inner_text("#gallery-title").startswith("false alarm")


def test_each_picture_is_shown_with_its_own_pixels(opened):
    """All have a colour of their own; this point at the right edge is free of boxes."""
    opened.keyboard.press("8")
    drawn(opened)
    opened.wait_for_selector("text=all pictures: 30")
    for image in (0, 7, 23):
        canvas = opened.locator("#gallery canvas").nth(image)
        canvas.scroll_into_view_if_needed()
        opened.wait_for_timeout(200)
        pixel = canvas.evaluate(
            "n => [...n.getContext('2d').getImageData(n.width - 3, 0.85 * n.height, 1, 1).data]"
        )
        assert np.abs(np.subtract(pixel[:3], color_of(image))).max() < 12, image


def test_names_from_a_data_set_are_text(opened):
    assert opened.evaluate("document.body.dataset.hurt") is None
    assert opened.locator("tr[data-class='1'] td").first.inner_text() == FOREIGN
    assert opened.locator("#class option").nth(2).inner_text() == FOREIGN
    assert FOREIGN in opened.inner_text(".note")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_takes_the_systems_light(browser, run, scheme):
    with tab(browser, viewport={"width": 390, "height": 800}, color_scheme=scheme) as page:
        _open(page, run)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") != scheme


def test_a_folder_without_anything_has_a_page(page, tmp_path):
    workdir = Workdir(str(tmp_path))
    write_page(workdir)
    assert "Nothing has been done" in _open(page, workdir).inner_text("main")


def test_thumbnails_stand_behind_the_script_that_draws_the_rest(run):
    """A browser shows what it has: megabytes before the script would keep the page empty."""
    html = pathlib.Path(run.report_page).read_text()
    assert html.index("document.body.dataset.ready") < html.index('id="evaluation-strip-0"')
