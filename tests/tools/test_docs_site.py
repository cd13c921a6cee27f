"""Pages of the site: links that hold, every setting, every module."""

import dataclasses

from edet.config import schema
from tests.conftest import REPOSITORY
from tools.docs_site import api_rooms, settings_page, with_deeper_items, with_links_to, write_pages


def test_every_setting_is_there_with_its_default_and_its_words():
    page = settings_page()
    for section in dataclasses.fields(schema.Config):
        for field in dataclasses.fields(getattr(schema.Config(), section.name)):
            assert f"{section.name}.{field.name}" in page
    assert "| `detect.nms` | `'gaussian'` | soft-NMS, as the published AP |" in page
    assert "| `model.anchors.scale` |" in page
    # From the lines above the field.
    assert "run is too short for the numbers above (they are made for 277,200 steps)," in page


def test_links_to_pages_stay_and_others_become_words():
    page = REPOSITORY / "README.md"
    text = (
        "[a](docs/data.md#here) [b](edet/errors.py) [c](https://arxiv.org/abs/1) ![d](docs/x.png)"
    )
    expected = "[a](docs/data.md#here) b [c](https://arxiv.org/abs/1) ![d](docs/x.png)"
    assert with_links_to([REPOSITORY / "docs" / "data.md"], page, text) == expected


def test_what_belongs_to_a_numbered_item_is_indented_by_four():
    text = "1. a\n\n   ```sh\n   b \\\n       c\n   ```\n2. d\n\ne\n   f\n"
    deeper = "1. a\n\n    ```sh\n    b \\\n        c\n    ```\n2. d\n\ne\n   f\n"
    assert with_deeper_items(text) == deeper


def test_pages_keep_their_places_and_every_module_has_its_own_part(tmp_path):
    write_pages(tmp_path)
    for name in ("README.md", "docs/data.md", "docs/scenes.png", "tpu/README.md", "settings.md"):
        assert (tmp_path / name).is_file(), name
    rooms = api_rooms()
    assert "edet.report.page" in rooms["report"] and "edet.errors" in rooms["edet"]
    assert "::: edet.report.page" in (tmp_path / "api" / "report.md").read_text()
