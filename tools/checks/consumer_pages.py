"""What exported files give in headless Chromium; `consumers` has the table.

Each takes the file, the npz of inputs, with the picture beside it, and node_modules, and returns
the version, None for the seconds, and what came out.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import shutil
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edet.cli.serve_web import Handler, listening
from edet.export.web import RUNTIME

Outputs = Mapping[str, np.ndarray]


@contextlib.contextmanager
def _tab(folder: str) -> Iterator[tuple[Any, str]]:
    """Serves a folder; yields a tab of Chromium and its version."""
    from playwright.sync_api import sync_playwright

    handler = functools.partial(Handler, directory=folder)
    with sync_playwright() as playwright, listening(handler, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = playwright.chromium.executable_path
        path = own if os.path.exists(own) else shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield (
            browser.new_page(base_url=f"http://127.0.0.1:{server.server_port}"),
            f"Chromium {browser.version}",
        )
        browser.close()
        server.shutdown()


def _in_page(folder: str, given: pathlib.Path, node_modules: str) -> tuple[str, None, Outputs]:
    """Opens the page of `export_web`, gives it the picture, and reads what it found."""
    with _tab(folder) as (page, browser):
        page.goto("/")
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        page.set_input_files("#file", given.with_name("picture.png"))
        page.wait_for_function("edet.found()", timeout=60_000)
        rows = page.evaluate("edet.found().rows")
    found = {
        "boxes": np.array([[row["box"] for row in rows]]),
        "scores": np.array([[row["score"] for row in rows]]),
        "classes": np.array([[row["id"] for row in rows]]),
    }
    return f"{RUNTIME}, {browser}", None, found


_ONNXRUNTIME_WEB = """async shape => {
  const ort = await import("/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create("/model", { executionProviders: ["wasm"] });
  const pixels = new Float32Array(await (await fetch("/pixels")).arrayBuffer());
  const found = await session.run({ images: new ort.Tensor("float32", pixels, shape) });
  const outputs = Object.entries(found).map(([name, t]) => [name, t.dims, Array.from(t.data)]);
  return [ort.env.versions.web, outputs];
}"""


def _in_onnxruntime_web(
    path: str, given: pathlib.Path, node_modules: str
) -> tuple[str, None, Outputs]:
    """Runs a file in onnxruntime-web in Chromium, one thread of WebAssembly."""
    pixels = np.load(given)["pixels"]
    with _tab(os.path.join(node_modules, "onnxruntime-web", "dist")) as (page, browser):
        page.route("**/model", lambda route: route.fulfill(path=path))
        page.route("**/pixels", lambda route: route.fulfill(body=pixels.tobytes()))
        page.goto("/ort.wasm.min.mjs")
        version, outputs = page.evaluate(_ONNXRUNTIME_WEB, list(pixels.shape))
    found = {name: np.array(data, np.float32).reshape(dims) for name, dims, data in outputs}
    return f"{version}, {browser}", None, found


BROWSERS = {"page": _in_page, "onnxruntime_web_page": _in_onnxruntime_web}
