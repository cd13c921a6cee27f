"""The page detects in a browser what the Detector detects, by mouse, keyboard and webcam."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import threading

import numpy as np
import pytest
from PIL import Image

from edet.cli.serve_web import server_of
from edet.config.schema import ConfigError, ExportConfig
from edet.errors import UserError
from edet.export import web
from edet.export.web import RUNTIME, export_web
from tests.browser import tab
from tests.conftest import REPOSITORY
from tests.export.test_litert import LABELS, detector_of, parts_of, spread_network
from tests.small import small_model

DETECT = {"score_threshold": 0.05, "max_detections": 20, "draw_threshold": 0.0}
FOUND = "document.getElementById('status').textContent.includes(' found, ')"


@pytest.fixture(scope="module")
def network():
    return spread_network(small_model(labels=LABELS))


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """LiteRT.js of the pinned version; the tests ask no content network for it."""
    if (REPOSITORY / "node_modules/@litertjs/core").is_dir():
        return REPOSITORY / "node_modules"
    if not shutil.which("npm"):
        pytest.skip(f"there is no npm to install @litertjs/core@{RUNTIME}")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-save", "--silent", f"@litertjs/core@{RUNTIME}"]
    if subprocess.run(command, cwd=folder, check=False, timeout=300).returncode:
        pytest.skip(f"npm cannot install @litertjs/core@{RUNTIME} here")
    return folder / "node_modules"


@contextlib.contextmanager
def served(folder):
    with server_of(str(folder), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def address(network, node_modules, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    parts = parts_of(network, DETECT, format="web", litert_js=str(node_modules))
    assert export_web(*parts, str(folder)) == str(folder)
    with served(folder) as address:
        yield address


def picture_in(folder: pathlib.Path) -> tuple[str, np.ndarray]:
    """A photo of blood cells, 480 x 640, as PNG: each decoder makes other pixels of a JPEG."""
    photos = REPOSITORY.parent / "shared/data/bccd/JPEGImages"
    if not photos.is_dir():
        pytest.skip("../shared (real pictures) is not on this machine")
    pixels = np.asarray(Image.open(min(photos.iterdir())).convert("RGB"))
    path = folder / "cells.png"
    Image.fromarray(pixels).save(path)
    return str(path), pixels


def opened(page, address):
    page.goto(address)
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    return page


def test_the_page_finds_in_a_photo_what_the_detector_finds(page, address, network, tmp_path):
    path, pixels = picture_in(tmp_path)
    expected = detector_of(network, DETECT)([pixels])
    count = int(expected["num_detections"][0])
    assert count > 3
    opened(page, address)
    assert page.evaluate("crossOriginIsolated")  # so the model runs in threads
    page.set_input_files("#file", path)
    page.wait_for_function(FOUND)
    rows = page.evaluate("edet.found().rows")
    boxes, scores, ids = ([row[key] for row in rows] for key in ("box", "score", "id"))
    assert ids == expected["classes"][0, :count].tolist()
    np.testing.assert_allclose(scores, expected["scores"][0, :count], atol=1e-5)
    np.testing.assert_allclose(boxes, expected["boxes"][0, :count], atol=0.01)
    assert [row["name"] for row in rows] == [LABELS[i] or f"class {i}" for i in ids]
    status = page.inner_text("#status")
    assert status.startswith(f"{count} object") and " ms in the model" in status
    assert page.locator("#found tr").count() == count
    assert page.evaluate("[view.width, view.height]") == [640, 480]  # in the photo's own pixels


def test_a_picture_above_what_canvases_hold_is_scaled_down(page, address, tmp_path):
    path, pixels = picture_in(tmp_path)
    opened(page, address).set_input_files("#file", path)
    page.wait_for_function(FOUND)
    small = page.evaluate("edet.found().rows[0]")
    large = tmp_path / "large.png"
    Image.fromarray(pixels.repeat(8, 0).repeat(8, 1)).save(large, compress_level=1)
    page.set_input_files("#file", large)
    page.wait_for_function("view.width === 4096 && view.height === 3072")
    row = page.evaluate("edet.found().rows[0]")
    assert row["id"] == small["id"]
    np.testing.assert_allclose(row["score"], small["score"], atol=0.02)
    np.testing.assert_allclose(row["box"], 8 * np.array(small["box"]), atol=32)
    wide = tmp_path / "wide.png"
    Image.new("RGB", (66_000, 8), "red").save(wide)  # wider than Chromium's canvases can be
    page.set_input_files("#file", wide)
    page.wait_for_function("view.width === 4096 && view.height === 1")
    assert page.evaluate("view.getContext('2d').getImageData(4000, 0, 1, 1).data[0]") == 255


def test_only_what_was_chosen_last_is_shown(page, address, tmp_path):
    page.add_init_script(
        """const decode = createImageBitmap;
        globalThis.createImageBitmap = async (file, options) => {
          if (file.name === "slow.png") await new Promise((go) => { globalThis.go = go; });
          const picture = await decode(file, options);
          const close = picture.close.bind(picture);
          picture.close = () => { close(); document.body.dataset[file.name[0]] = "is over"; };
          return picture;
        }"""
    )
    Image.new("RGB", (64, 48)).save(tmp_path / "slow.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "next.png")
    opened(page, address).set_input_files("#file", tmp_path / "slow.png")
    page.set_input_files("#file", tmp_path / "next.png")
    page.wait_for_selector("body[data-n]")
    page.evaluate("go()")
    page.wait_for_selector("body[data-s]")
    assert page.evaluate("[view.width, view.height]") == [40, 30]


def test_a_file_can_be_chosen_again_after_another_was_dropped(page, address, tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "x.png")
    opened(page, address).set_input_files("#file", tmp_path / "x.png")
    page.wait_for_function("view.width === 64")
    assert page.input_value("#file") == ""  # so no name stays beside the button
    page.evaluate(
        """async () => {
          const picture = await new OffscreenCanvas(30, 20).getContext("2d").canvas.convertToBlob();
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([picture], "dropped.png"));
          document.dispatchEvent(new DragEvent("drop", { dataTransfer }));
        }"""
    )
    page.wait_for_function("view.width === 30")
    page.set_input_files("#file", tmp_path / "x.png")
    page.wait_for_function("view.width === 64")


def test_a_webcam_that_is_allowed_after_a_picture_was_chosen_is_turned_off(page, address, tmp_path):
    page.add_init_script(
        """navigator.mediaDevices.getUserMedia = async () => {
          await new Promise((allow) => { globalThis.allow = allow; });
          const stop = () => { document.body.dataset.off = ""; };
          return { getTracks: () => [{ stop }] };
        }"""
    )
    Image.new("RGB", (64, 48)).save(tmp_path / "x.png")
    opened(page, address).click("#camera")
    page.set_input_files("#file", tmp_path / "x.png")
    page.wait_for_function(FOUND)
    page.evaluate("allow()")
    page.wait_for_selector("body[data-off]")
    assert page.get_attribute("#camera", "aria-pressed") == "false"


def test_a_long_name_leaves_scores_and_boxes_in_sight(page, address, tmp_path):
    path, _ = picture_in(tmp_path)
    page.set_viewport_size({"width": 400, "height": 800})
    opened(page, address).set_input_files("#file", path)
    page.wait_for_function(FOUND)
    page.evaluate(
        """edet.found().rows[0].name = "x".repeat(300);
        threshold.dispatchEvent(new Event("input"))"""
    )
    assert page.inner_text("#found tr:first-child td:first-child") == "x" * 300
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    box = page.locator("#found tr:first-child td:last-child").bounding_box()
    assert box["x"] + box["width"] <= 400


def test_it_can_be_used_by_keyboard_alone(page, address, tmp_path):
    path, _ = picture_in(tmp_path)
    page.on("filechooser", lambda _: None)  # choosers are caught from here on, not some time later
    opened(page, address)
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(path)
    page.wait_for_function(FOUND)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "camera"
    page.keyboard.press("Tab")
    page.keyboard.press("End")  # of the slider: the least score is 1
    assert page.inner_text("#least") == "1.00"
    assert page.inner_text("#status").startswith("0 objects of ")
    assert page.locator("#found tr").count() == 0


def test_the_webcam_is_looked_at_until_it_is_turned_off(browser, address):
    """A canvas stands for the camera: a stream as a browser gives it."""
    with tab(browser) as page:
        page.add_init_script(
            """navigator.mediaDevices.getUserMedia = async () => {
              const canvas = document.createElement("canvas");
              setInterval(() => canvas.getContext("2d").fillRect(0, 0, 99, 99), 50);
              return canvas.captureStream(10);
            }"""
        )
        opened(page, address).click("#camera")
        page.wait_for_function(FOUND)
        assert page.get_attribute("#camera", "aria-pressed") == "true"
        page.click("#camera")
        assert page.get_attribute("#camera", "aria-pressed") == "false"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("delete globalThis.WebAssembly", "This browser lacks WebAssembly; use a current Chrome"),
        (
            "window.fetch = async () => { throw new Error('no file') }",
            "The model cannot be read (no file); serve this folder",
        ),
    ],
)
def test_what_is_missing_is_a_sentence(script, sentence, page, address):
    page.add_init_script(script)
    page.goto(address)
    page.wait_for_selector("#status.problem")
    assert page.inner_text("#status").startswith(sentence)


def test_a_browser_without_a_webcam_and_a_file_that_is_no_picture_say_so(page, address, tmp_path):
    page.add_init_script("delete Navigator.prototype.mediaDevices")
    opened(page, address).click("#camera")
    assert "gives pages no webcam here" in page.inner_text("#status")
    (tmp_path / "x.png").write_bytes(b"no picture")
    page.set_input_files("#file", tmp_path / "x.png")
    page.wait_for_function(
        "document.querySelector('#status').textContent.startsWith('x.png cannot')"
    )


@pytest.fixture
def without_a_model(monkeypatch):
    monkeypatch.setattr(web, "export_litert", lambda *_: None)


def test_by_default_the_page_asks_a_content_network_for_the_pinned_runtime(
    network, without_a_model, tmp_path
):
    parts = parts_of(network, {"draw_threshold": 0.3}, format="web")
    export_web(*parts, str(tmp_path / "web"))
    assert sorted(os.listdir(tmp_path / "web")) == ["detect.js", "index.html"]
    page = (tmp_path / "web" / "index.html").read_text("utf-8")
    imports = json.loads(page.split('"importmap">')[1].split("</script>")[0])["imports"]
    network = "https://cdn.jsdelivr.net/npm"
    assert imports == {
        name: f"{network}/{name}@{RUNTIME}/dist/index.js"
        for name in ("@litertjs/core", "@litertjs/wasm-utils")
    }
    assert f'"{network}/@litertjs/core@{RUNTIME}/wasm/"' in page
    assert 'value="0.3"' in page


@pytest.mark.parametrize("threshold", [0.33, 0.333])
def test_the_slider_begins_at_the_threshold(threshold, page, network, without_a_model, tmp_path):
    parts = parts_of(network, {"draw_threshold": threshold}, format="web")
    export_web(*parts, str(tmp_path))
    page.set_content((tmp_path / "index.html").read_text("utf-8"))
    assert page.input_value("#threshold") == str(threshold)


def test_another_runtime_is_refused_and_nothing_is_written(network, without_a_model, tmp_path):
    parts = parts_of(network, format="web", litert_js=str(tmp_path / "node_modules"))
    with pytest.raises(UserError, match=r"no node_modules with LiteRT.js .*npm install @litertjs"):
        export_web(*parts, str(tmp_path / "web"))
    package = tmp_path / "node_modules/@litertjs/core/package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "1.0.0"}')
    with pytest.raises(UserError, match=r"has @litertjs/core 1\.0\.0, and the page is made for"):
        export_web(*parts, str(tmp_path / "web"))
    assert not (tmp_path / "web").exists()


def test_settings_that_a_page_cannot_have_are_named():
    with pytest.raises(ConfigError, match="but a page draws detections"):
        ExportConfig(format="web", outputs="boxes")
    with pytest.raises(ConfigError, match=r"litert_js is of export\.format=web, not litert"):
        ExportConfig(format="litert", litert_js="node_modules")
