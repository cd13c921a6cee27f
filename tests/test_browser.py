"""The browser of the tests sees pages, and finds what is wrong in them."""

import pytest

from tests.browser import tab


def test_a_tab_runs_a_pages_script(page):
    page.set_content("<p></p><script>document.querySelector('p').textContent = 6 * 7</script>")
    assert page.inner_text("p") == "42"


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("<script>nothing.here</script>", "nothing is not defined"),
        ("<script>console.error('so it is')</script>", "so it is"),
        ("<img src='https://edet.invalid/picture.png'>", "asked for https://edet.invalid"),
    ],
)
def test_a_tab_finds_errors_and_whatever_is_asked_of_another_machine(browser, content, wrong):
    with pytest.raises(AssertionError, match=wrong), tab(browser) as page:
        page.set_content(content)
