"""Headless Chromium for the tests of what people open in a browser.

`page` of tests/conftest.py is a tab of it. A test file that takes it starts a process, so it is in
`SLOW` there.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

# Debian's, Ubuntu's and Google's names; playwright's own build is found by playwright.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_HERE = ("127.0.0.1", "localhost")


@contextlib.contextmanager
def chromium() -> Iterator:
    """Yields playwright's browser, or skips: with EDET_BROWSER=needed, as in .ci/run, it fails."""
    leave = pytest.fail if os.environ.get("EDET_BROWSER") == "needed" else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        leave("playwright is not installed: pip install 'edet[browser]'")
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = (
            own if pathlib.Path(own).exists() else next(filter(None, map(shutil.which, _NAMES)), "")
        )
        if not path:
            leave("there is no Chromium: playwright install --with-deps chromium")
        # Chromium refuses its sandbox to root, as whom containers run.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def tab(browser, **options) -> Iterator:
    """Yields a new tab; afterwards nothing may have been wrong in it.

    That is: no error in its console or scripts, and nothing asked of another machine.

    Args:
      browser: of `chromium`.
      **options: of playwright's `new_context`, such as viewport or color_scheme.
    """
    wrong: list[str] = []

    def follow(route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname not in _HERE:
            wrong.append(f"asked for {route.request.url}")
            route.abort()
        else:
            route.continue_()

    context = browser.new_context(**options)
    context.route("**/*", follow)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: line.type == "error" and wrong.append(line.text))
    yield page
    context.close()
    assert not wrong, "\n".join(wrong)
