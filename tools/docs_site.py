"""Builds the documentation as a site: README, docs/, every setting, and the API from docstrings.

  make docs

mkdocs-material makes it, with a search that needs no server, and mkdocstrings the API pages. The
pages keep their paths, so that links between them hold; a link to a file that is no page becomes
its name. A warning, such as a link to nowhere, ends the build.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml
from absl import flags

from edet.cli.common import run
from edet.config import schema
from edet.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parent.parent
_PAGES = ("README.md", "WORKSPACE.md", "CHANGELOG.md", "tpu/README.md", "docs/**/*.md")
_PICTURES = ("docs/**/*.png",)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
_FIELD = re.compile(r"^    (\w+): ")
_HIDDEN = ("__init__", "__main__")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string("output", "site", "Folder of the site.", flag_values=values)


def build(options: flags.FlagValues) -> None:
    """Builds the site.

    Raises:
      UserError: mkdocs is not installed, or it has warned.
    """
    with tempfile.TemporaryDirectory() as folder:
        stage = pathlib.Path(folder) / "pages"
        write_pages(stage)
        config = pathlib.Path(folder) / "mkdocs.yml"
        config.write_text(yaml.safe_dump(_config(stage), sort_keys=False))
        command = [
            sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet",
            f"--config-file={config}", f"--site-dir={os.path.abspath(options.output)}",
        ]  # fmt: skip
        # Its makers announce another generator; material keeps its fixes until May 2027.
        quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
        if subprocess.run(command, check=False, env=quiet).returncode:
            raise UserError(
                "the site was not built, see above; pip install 'edet[docs]' brings what it needs."
            )
    print(f"{options.output}/index.html")


def write_pages(stage: pathlib.Path) -> None:
    """Writes every page and picture of the site into a folder."""
    pages = [path for pattern in _PAGES for path in sorted(ROOT.glob(pattern))]
    for path in [*pages, *(p for pattern in _PICTURES for p in ROOT.glob(pattern))]:
        copy = stage / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            copy.write_text(with_deeper_items(with_links_to(pages, path, path.read_text())))
        else:
            shutil.copy(path, copy)
    (stage / "settings.md").write_text(settings_page())
    for room, modules in api_rooms().items():
        text = "\n\n".join([f"# {room}", *(f"::: {module}" for module in modules)])
        (stage / "api").mkdir(exist_ok=True)
        (stage / "api" / f"{room}.md").write_text(text + "\n")


def with_links_to(pages: list[pathlib.Path], page: pathlib.Path, text: str) -> str:
    """Returns a page's text whose links to anything but pages are their words alone."""

    def kept(link: re.Match) -> str:
        target = (page.parent / link[2]).resolve()
        return link[0] if target in pages else link[1]

    return _LINK.sub(kept, text)


def with_deeper_items(text: str) -> str:
    """Returns Markdown with four spaces where a numbered item goes on.

    GitHub takes the item's own three; the generator would end the list there.
    """
    lines, inside = [], False
    for line in text.split("\n"):
        goes_on = inside and line.startswith("   ")
        inside = goes_on or bool(re.match(r"\d+\. ", line)) or (inside and not line)
        lines.append(f" {line}" if goes_on else line)
    return "\n".join(lines)


def settings_page() -> str:
    """Returns every setting with its default and what its comments in the schema say."""
    lines = ["# Settings", "", "Default < model < YAML < `--set section.key=value`.", ""]
    for section in dataclasses.fields(schema.Config):
        lines += _section_rows(section.name, type(getattr(schema.Config(), section.name)))
    return "\n".join(lines) + "\n"


def _section_rows(name: str, section: type) -> list[str]:
    comments = _comments(section)
    lines = [f"## {name}", "", (section.__doc__ or "").split("\n\n")[0], ""]
    lines += ["| setting | default | |", "|---|---|---|"]
    nested = []
    for field in dataclasses.fields(section):
        default = getattr(section(), field.name)
        if dataclasses.is_dataclass(default):
            nested += _section_rows(f"{name}.{field.name}", type(default))
            continue
        cells = (f"`{name}.{field.name}`", f"`{default!r}`", comments.get(field.name, ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, "", *nested]


def _comments(section: type) -> dict[str, str]:
    """Returns {field: the comment before it and behind it}."""
    found: dict[str, str] = {}
    above: list[str] = []
    name = ""
    for line in inspect.getsource(section).splitlines():
        if line.strip().startswith("#"):
            above.append(line.strip(" #"))
            continue
        if field := _FIELD.match(line):
            name = field[1]
            found[name] = " ".join(above)
        if name and "  # " in line:
            found[name] = f"{found[name]} {line.partition('  # ')[2]}".strip()
        above = []
    return found


def api_rooms() -> dict[str, list[str]]:
    """Returns {room: its modules}; modules of no room are in "edet"."""
    rooms: dict[str, list[str]] = {"edet": []}
    for path in sorted((ROOT / "edet").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] not in _HIDDEN:
            rooms.setdefault(parts[1] if len(parts) > 2 else "edet", []).append(".".join(parts))
    return rooms


def _config(stage: pathlib.Path) -> dict:
    options = {
        "docstring_style": "google", "show_source": False, "show_root_heading": True,
        "docstring_options": {"warnings": False}, "members_order": "source",
    }  # fmt: skip
    python = {"paths": [str(ROOT)], "options": options}
    return {
        "site_name": "edet",
        "docs_dir": str(stage),
        "theme": {"name": "material", "font": False, "features": ["content.code.copy"]},
        "plugins": ["search", {"mkdocstrings": {"handlers": {"python": python}}}],
        "markdown_extensions": ["tables", "fenced_code", "toc", "pymdownx.superfences"],
        "validation": {"anchors": "warn", "unrecognized_links": "warn"},
    }


if __name__ == "__main__":
    run(define_flags, build)
