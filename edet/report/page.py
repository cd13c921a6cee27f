"""Writes report.html: every section of a run of which there is something, in one file.

A mode leaves its results in the workdir as JSON and CSV, and what only the page needs in report/:
<section>.json, <section>-pictures.json with thumbnails. The page is made of whatever is there, by
templates/, and drawn by assets/report.js. uPlot (MIT, 50 kB) draws the curves: plotly's smallest
bundle has 1.2 MB, Vega's 0.8 MB, and a browser takes longer to start either than to open the page.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jinja2
import markupsafe
import tensorflow as tf

from edet.errors import StorageError, UserError, refuse_malformed
from edet.files import read_json, read_json_or, write_text
from edet.report.sections import SECTIONS
from edet.report.thumbnails import Read, strips_of
from edet.workdir import Workdir


def save_section(
    workdir: Workdir, name: str, data: Mapping[str, Any] | Sequence[Any],
    pictures: Callable[[], Iterable[Read]] | None = None, of: Any = None, white_level: int = 65535,
) -> None:  # fmt: skip
    """Writes what the page needs of a section beyond what the mode keeps anyway.

    Args:
      workdir: of the run.
      name: of the section.
      data: ready for JSON.
      pictures: gives what reads each picture that is shown, in order; None leaves those there are.
      of: what the pictures depend on, ready for JSON, for `pictures_of`.
      white_level: see `edet.image.decode.decode_image`.
    """
    write_text(workdir.report_file(name), _compact(data))
    if pictures is not None:
        path = workdir.report_file(f"{name}-pictures")
        write_text(path, _compact({"of": of, **strips_of(pictures(), white_level)}))


def pictures_of(workdir: Workdir, name: str) -> Any:
    """Returns what a section's thumbnails were made of, None if there are none or are damaged."""
    path = workdir.report_file(f"{name}-pictures")
    with contextlib.suppress(UserError, KeyError, TypeError):  # they are made again
        return read_json_or(path, "thumbnails", {"of": None})["of"]
    return None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_page(workdir: Workdir) -> None:
    """Writes the page of a run; nothing where no run is named.

    Raises:
      UserError: a file of the run cannot be read, or the page cannot be written; StorageError: this
        may pass.
    """
    if workdir:
        write_text(workdir.report_page, page_of(workdir))


def page_of(workdir: Workdir, watched: bool = False) -> str:
    """Returns the page of a run.

    Args:
      workdir: of the run.
      watched: the page asks its server for changes, and comes anew when there are some.

    Raises:
      StorageError: a file cannot be read now. What is damaged is said in its section instead.
    """
    sections, embedded, strips = {}, {}, {}
    for name in SECTIONS:
        try:
            sections[name] = _section(workdir, name, embedded, strips)
        except StorageError:
            raise
        except UserError as error:  # no reason to show nothing else
            sections[name] = {"damaged": str(error)}
            embedded.pop(f"{name}-data", None)
    name = os.path.basename(os.path.normpath(workdir.path))
    subtitle = ""
    if workdir.has_config():
        model = workdir.config().model
        subtitle = f"{model.name}, {' × '.join(map(str, model.image_size))}"
    return render(
        "run.html", title=name, subtitle=subtitle, sections=sections, embedded=embedded,
        strips=strips, watched=watched,
    )  # fmt: skip


def _section(
    workdir: Workdir, name: str, embedded: dict[str, str], strips: dict[str, str]
) -> dict[str, Any] | None:
    """Returns what a section's template shows, None if there is nothing; adds what it embeds."""
    describe, files = SECTIONS[name]
    with refuse_malformed(f"{workdir}'s {files}: not as edet writes it"):
        found = describe(workdir)
        if not found:
            return None
        if found.drawn is not None:
            embedded[f"{name}-data"] = _compact(found.drawn)
        elif tf.io.gfile.exists(workdir.report_file(name)):
            embedded[f"{name}-data"] = _compact(read_json(workdir.report_file(name), "report"))
            add_pictures(workdir, name, embedded, strips)
        return found.values


def add_pictures(
    workdir: Workdir, name: str, embedded: dict[str, str], strips: dict[str, str]
) -> None:
    """Adds the thumbnails of a section, if it has any, to what a page embeds."""
    path = workdir.report_file(f"{name}-pictures")
    found = read_json_or(path, "thumbnails", {})
    embedded[f"{name}-places"] = _compact(found.get("places", []))
    strips |= {f"{name}-strip-{k}": strip for k, strip in enumerate(found.get("strips", []))}


def render(template: str, **values: Any) -> str:
    """Returns a page of templates/; names in it are foreign text, and escaped."""
    return _templates().get_template(template).render(**values)


@functools.cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("edet.report"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    templates.globals["asset"] = _asset
    templates.filters["in_script"] = _in_script
    return templates


@functools.cache
def _asset(name: str) -> markupsafe.Markup:
    """Our own style or script, as it is."""
    file = importlib.resources.files("edet.report") / "assets" / name
    return markupsafe.Markup(file.read_text("utf-8"))


def _in_script(text: str) -> markupsafe.Markup:
    """JSON that cannot end the script element that holds it, whatever the names in it are."""
    return markupsafe.Markup(text.replace("<", "\\u003c"))
